/* SPDX-License-Identifier: Apache-2.0 */
/* A stand-in GPU computes on the processors that everything else needs too. Linux lets a running thread finish its slice (about 3 ms) before a thread
 * that wakes up gets the processor, unless the one that wakes has the shorter slice: then it goes first, at once. So the driver's compute threads get
 * a long slice, and a neighbour's request is seen when it comes and not some slices later. What a thread gets in the
 * long run does not depend on its slice. No privilege is needed; before Linux 6.12 it has no effect. */
#pragma once

/* Every thread of this process but the main one: to be called when the driver is open and no thread of our own runs yet. */
void slices_lengthen(void);

/* SPDX-License-Identifier: Apache-2.0 */
/* health: looks after workers twice a second while they have work, every five seconds while all are idle, and not at all without any. A
 * worker that is stopped, or whose device work does not end although its own watchdog should have ended it, is killed, so that its client
 * gets an error and its memory and turn go back. A stop of our own child is told by a signal; for adopted workers the looks go on. */
#pragma once

#include "daemon/daemon.h"

int health_start(struct daemon *d, struct error *err);
/* There is something to look after: a worker, a removal that waits. */
void health_wake(struct daemon *d);
void health_stop(struct daemon *d);

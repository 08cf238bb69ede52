/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the command ring: a few threads take turns (leader and followers).
 *
 * Whoever holds the ring's lock takes frames in order and serves control messages at once; a command goes to its queue, and the thread that
 * wakes an idle queue runs it. Before a thread sleeps for the device or for a turn it says so (pause), and if nobody else is awake the client is told to
 * ring, and a parked thread reads on. So a lone launch is read, run and retired by one thread without a hand-over. */
#pragma once

#include "worker/objects.h"

#include <stdint.h>

struct intake;
struct intake *intake_new(struct session *s);
/* Starts the first thread. They end with the process. */
int intake_start(struct intake *in);
void intake_pause(struct intake *in);
void intake_resume(struct intake *in);
/* Takes commands of this queue that are next in the ring, without waiting; returns how many. */
unsigned intake_take_own(struct intake *in, struct object *queue);

/* control.c: serves one control message (everything but queue commands); answers on the reply ring. */
void control_serve(struct session *s, struct wire_end *reply, uint16_t op, const uint8_t *payload, uint32_t bytes);

/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling ahead of the turn.
 *
 * PoCL compiles a kernel's work-group function when the first launch of a new shape is about to run: local size, with or without an offset, small
 * or large range (measured: 30 to 100 ms; seen in its pthread_scheduler.c). Inside a turn, neighbours would wait for that, and the share pay for it. So such a launch is given to
 * the driver outside a turn, and held back between compiling and running: PoCL calls the functions that wait for CL_RUNNING on the
 * thread that is to run the kernel, after it has compiled it and before it starts, and there we wait for the turn. Whether a driver does so
 * is tried out when it is opened; where it does not, such launches are like any others. */
#pragma once

#include "worker/objects.h"
#include "worker/queue.h"

/* Tries whether work waits for what is called at CL_RUNNING. m is a buffer over `page`, in place; q one of its context's queues. */
bool ahead_is_possible(cl_context context, cl_command_queue q, cl_mem m, volatile char *page);
/* Whether this launch is of a shape that the kernel did not have before. */
bool ahead_is_new(const struct command *c);
/* It will be compiled inside its turn after all. */
void ahead_skip(const struct command *c);
/* Gives a launch to the driver while the gate is reserved; q->ahead says whether its turn is waited for by the driver's thread. Under q->lock. */
void ahead_submit(struct queue *q, struct command *c);
/* Waits until the turn for which the gate is reserved has come. Not under q->lock. */
void ahead_wait(struct queue *q, enum ahead state);

/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels in the worker: one driver object per kernel and queue, so that queues need no lock between setting arguments and launching. */
#pragma once

#include "worker/objects.h"
#include "worker/queue.h"

struct kernel_copy;

/* Appends what a client must know of every kernel of a built program (names, arguments, work-group figures). */
void kernels_describe(struct session *s, cl_program program, struct wire_out *out);
/* Learns what each argument of the kernel takes, so that no client can pass a number where the driver expects one of its pointers. */
void kernel_learn(struct object *o, cl_kernel k);
/* References the memory objects among a launch's arguments. False: the arguments make no sense. */
bool kernel_decode_arguments(struct command *c, uint32_t nargs_max);
/* Sets arguments that differ from the last launch on this queue and launches. */
cl_int kernel_launch(struct queue *q, struct command *c);
/* Takes a piece off the launch's front if it is long and its program allows: see cut.h. */
bool kernel_cut(struct command *c, uint64_t piece_ns, uint32_t compute_units, struct wire_ndrange *ret_piece);
uint64_t kernel_cost_ns(struct command *c, uint64_t unknown_ns);
void kernel_measured(struct command *c, uint64_t ns);
void kernel_free(struct object *o);

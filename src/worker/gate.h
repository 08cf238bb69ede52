/* SPDX-License-Identifier: Apache-2.0 */
/* One worker, several queues, one turn: the gate counts the queues that have work on the device and talks to the scheduler for all of them. */
#pragma once

#include "sched/sched.h"

#include <stdbool.h>

struct gate;
struct watch;
/* `watch` is told when work begins. */
struct gate *gate_new(struct sched_page *page, struct sched_client *client, struct watch *watch);
/* Waits for a turn if there is none, then counts the caller in. */
void gate_enter(struct gate *g);
/* Without waiting: false when that would have to. */
bool gate_try_enter(struct gate *g);
/* Nobody of this worker is inside, and nobody comes in until gate_enter_reserved; the worker's turn, if it has one, is given back. False when somebody
 * is inside, or on the way. */
bool gate_reserve(struct gate *g);
void gate_enter_reserved(struct gate *g);
/* The caller has no work on the device any more. */
void gate_leave(struct gate *g);
/* Others wait and the quantum is used up: submit nothing more, drain, leave. */
bool gate_must_yield(struct gate *g);
/* The quantum in force at the last turn. */
uint64_t gate_quantum_ns(const struct gate *g);

/* SPDX-License-Identifier: Apache-2.0 */
/* A lock between processes that outlives any of them: one word of shared memory that names its owner.
 *
 * Not a robust pthread mutex, because that one keeps list pointers in the shared page, which glibc follows and writes through
 * while it locks and unlocks: whoever can write to the page could write anywhere in tranched. Here the page holds a number only.
 * An owner that died is recognised by its seat, a byte of the file that it keeps locked for life (sched_page.c). An owner that
 * lives but does not let go within SCHED_LOCK_BREAK_NS (stopped, or hostile; the longest honest hold is some microseconds) loses
 * the lock, so that nobody, tranched least of all, waits for it endlessly. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SCHED_LOCK_CHECK_NS UINT64_C(2000000)
#define SCHED_LOCK_BREAK_NS UINT64_C(1000000000)

/* Locks as `owner` (1..65535). is_alive tells whether another owner still lives. Returns false when the lock was taken from an
 * owner that did not unlock: what it guards may be half changed. */
bool sched_lock_acquire(uint32_t *word, uint32_t owner, bool (*is_alive)(void *context, uint32_t owner), void *context);
/* False when the lock had been taken away in the meantime: what it guards needs a repair. */
bool sched_lock_release(uint32_t *word, uint32_t owner);
/* A process that just took the seat `owner` frees what the seat's last holder left locked. True when it did and has the lock now. */
bool sched_lock_inherit(uint32_t *word, uint32_t owner);

/* Futexes in memory that processes share. wait returns when woken, when *word != value, or at until_ns (CLOCK_MONOTONIC). */
void sched_futex_wait(uint32_t *word, uint32_t value, uint64_t until_ns);
void sched_futex_wake(uint32_t *word, int count);

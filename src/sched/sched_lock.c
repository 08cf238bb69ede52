/* SPDX-License-Identifier: Apache-2.0 */
/* The lock between processes: see sched_lock.h. */
#include "sched/sched_lock.h"

#include "base/clock.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CONTENDED 0x80000000u     /* somebody sleeps for the lock: its owner must wake when it unlocks */
#define SPINS 100                 /* about as long as an honest owner holds it */

void sched_futex_wait(uint32_t *word, uint32_t value, uint64_t until_ns)
{
    const struct timespec until = { (time_t)(until_ns / NS_PER_S), (long)(until_ns % NS_PER_S) };
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, &until, NULL, FUTEX_BITSET_MATCH_ANY);
}

void sched_futex_wake(uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

static bool swap(uint32_t *word, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool try_spinning(uint32_t *word, uint32_t owner)
{
    for (int i = 0; i < SPINS; i++) {
        if (__atomic_load_n(word, __ATOMIC_RELAXED) == 0 && swap(word, 0, owner))
            return true;
        pause_cpu();
    }
    return false;
}

/* One round of waiting. True when the lock could be taken regularly. */
static bool wait_once(uint32_t *word, uint32_t owner)
{
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    if (seen == 0)
        return swap(word, 0, owner | CONTENDED);
    if (!(seen & CONTENDED) && !swap(word, seen, seen | CONTENDED))
        return false;
    sched_futex_wait(word, seen | CONTENDED, clock_now_ns() + SCHED_LOCK_CHECK_NS);
    return false;
}

bool sched_lock_acquire(uint32_t *word, uint32_t owner, bool (*is_alive)(void *context, uint32_t owner), void *context)
{
    if (swap(word, 0, owner) || try_spinning(word, owner))
        return true;
    const uint64_t since = clock_now_ns();
    uint64_t held_since = since;
    uint32_t held = 0;
    for (;;) {
        if (wait_once(word, owner))
            return true;
        uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
        uint64_t now = clock_now_ns();
        if (seen != held) {
            held = seen;
            held_since = now;
            continue;
        }
        uint32_t other = seen & ~CONTENDED;
        bool stuck = now - held_since >= SCHED_LOCK_BREAK_NS || now - since >= 4 * SCHED_LOCK_BREAK_NS;
        if (seen && (stuck || (other != owner && !is_alive(context, other))) && swap(word, seen, owner | CONTENDED))
            return false;
    }
}

static bool unlock_from(uint32_t *word, uint32_t from)
{
    return __atomic_compare_exchange_n(word, &from, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

bool sched_lock_release(uint32_t *word, uint32_t owner)
{
    if (unlock_from(word, owner))
        return true;
    if (!unlock_from(word, owner | CONTENDED))
        return unlock_from(word, owner);   /* in case a waiter's mark came or went between the two */
    sched_futex_wake(word, 1);
    return true;
}

bool sched_lock_inherit(uint32_t *word, uint32_t owner)
{
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    return (seen & ~CONTENDED) == owner && swap(word, seen, owner | CONTENDED);
}

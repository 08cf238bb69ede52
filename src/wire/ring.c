/* SPDX-License-Identifier: Apache-2.0 */
/* Rings over shared memory: see ring.h. */
#include "wire/ring.h"

#include "base/clock.h"
#include "base/cleanup.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>

#define CHECK_ALIVE_NS (100 * NS_PER_MS)

void wire_futex_wait(_Atomic uint32_t *word, uint32_t old, uint64_t timeout_ns)
{
    struct timespec t = { (time_t)(timeout_ns / NS_PER_S), (long)(timeout_ns % NS_PER_S) };
    syscall(SYS_futex, word, FUTEX_WAIT, old, &t, NULL, 0);
}

void wire_futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

void wire_ring_bell(_Atomic uint32_t *bell, _Atomic uint32_t *waiters, int count)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(waiters, memory_order_relaxed) || !atomic_exchange(waiters, 0))
        return;
    atomic_fetch_add(bell, 1);
    wire_futex_wake(bell, count);
}

uint64_t wire_spin_ns(const _Atomic uint32_t *peer_cpu, uint64_t limit_ns)
{
    int cpu = sched_getcpu();
    return cpu >= 0 && (uint32_t)cpu == atomic_load_explicit(peer_cpu, memory_order_relaxed) ? 0 : limit_ns;
}

void wire_note_cpu(_Atomic uint32_t *own_cpu)
{
    uint32_t cpu = (uint32_t)sched_getcpu();
    if (atomic_load_explicit(own_cpu, memory_order_relaxed) != cpu)
        atomic_store_explicit(own_cpu, cpu, memory_order_relaxed);
}

bool wire_spin(struct wire_spin *spin)
{
    if (!spin->limit)
        return false;
    if ((++spin->round & 31) == 0) {
        uint64_t now = clock_now_ns();
        if (!spin->until)
            spin->until = now + spin->limit;
        else if (now >= spin->until)
            spin->limit = 0;
    }
    wire_pause();
    return true;
}

static void copy_in(struct wire_end *end, const void *from, uint64_t n)
{
    if (n == 0)
        return;         /* `from` may be NULL */
    uint64_t at = end->position & (end->size - 1), first = MIN(n, end->size - at);
    memcpy(end->data + at, from, first);
    memcpy(end->data, (const uint8_t *)from + first, n - first);
    end->position += n;
}

/* Free bytes as last seen, or -EPROTO. */
static int64_t ring_space(const struct wire_end *end)
{
    uint64_t used = end->position - end->peer;
    return used > end->size ? -EPROTO : (int64_t)(end->size - used);
}

/* Free bytes once there are at least `need`; -EPIPE, -EPROTO. */
static int64_t wait_for_space(struct wire_end *end, uint64_t need)
{
    for (unsigned spins = 0;;) {
        int64_t space = ring_space(end);
        if (space < 0 || (uint64_t)space >= need)
            return space;
        uint64_t tail = atomic_load_explicit(&end->ring->tail, memory_order_acquire);
        if (tail != end->peer) {
            end->peer = tail;
            continue;
        }
        if (++spins < 64) {
            wire_pause();
            continue;
        }
        if (!end->alive(end->alive_arg))
            return -EPIPE;
        uint32_t bell = atomic_load(&end->ring->space_bell);
        atomic_store(&end->ring->space_wait, 1);
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load(&end->ring->tail) == tail)
            wire_futex_wait(&end->ring->space_bell, bell, CHECK_ALIVE_NS);
    }
}

static void tell(struct wire_end *end)
{
    atomic_store_explicit(&end->ring->head, end->position, memory_order_release);
    wire_ring_bell(&end->ring->data_bell, &end->ring->data_wait, 1);
}

static int put_in_pieces(struct wire_end *end, const uint8_t *p, uint64_t n)
{
    while (n) {
        int64_t space = wait_for_space(end, 1);
        if (space < 0)
            return (int)space;
        uint64_t piece = MIN((uint64_t)space, n);
        copy_in(end, p, piece);
        tell(end);
        p += piece;
        n -= piece;
    }
    return 0;
}

int wire_ring_write(struct wire_end *end, uint16_t op, uint16_t flags, const void *payload, uint32_t bytes)
{
    struct wire_frame frame = { bytes, op, flags };
    uint64_t total = sizeof frame + (uint64_t)bytes;
    if (total > end->size) {
        int r = put_in_pieces(end, (const uint8_t *)&frame, sizeof frame);
        return r < 0 ? r : put_in_pieces(end, payload, bytes);
    }
    int64_t space = wait_for_space(end, total);
    if (space < 0)
        return (int)space;
    copy_in(end, &frame, sizeof frame);
    copy_in(end, payload, bytes);
    tell(end);
    return 0;
}

int64_t wire_ring_available(struct wire_end *end)
{
    end->peer = atomic_load_explicit(&end->ring->head, memory_order_acquire);
    uint64_t n = end->peer - end->position;
    return n > end->size ? -EPROTO : (int64_t)n;
}

void wire_ring_peek(const struct wire_end *end, void *buf, uint64_t n)
{
    uint64_t at = end->position & (end->size - 1), first = MIN(n, end->size - at);
    memcpy(buf, end->data + at, first);
    memcpy((uint8_t *)buf + first, end->data, n - first);
}

int wire_ring_wait(struct wire_end *end, uint64_t spin_ns)
{
    struct wire_spin spin = { .limit = spin_ns };
    for (bool slept = false;;) {
        int64_t n = wire_ring_available(end);
        if (n)
            return n < 0 ? (int)n : 0;
        if (wire_spin(&spin))
            continue;
        if (slept && !end->alive(end->alive_arg))
            return -EPIPE;
        slept = true;          /* the first sleep ends by itself: no need to look whether the peer lives */
        if (end->poll_ns) {
            nanosleep(&(struct timespec){ 0, (long)end->poll_ns }, NULL);
            continue;
        }
        uint32_t bell = atomic_load(&end->ring->data_bell);
        atomic_store(&end->ring->data_wait, 1);
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load(&end->ring->head) == end->position)
            wire_futex_wait(&end->ring->data_bell, bell, CHECK_ALIVE_NS);
        atomic_store(&end->ring->data_wait, 0);
    }
}

int wire_ring_take(struct wire_end *end, void *buf, uint64_t n)
{
    for (uint8_t *p = buf; n;) {
        int64_t have = wire_ring_available(end);
        if (have == 0) {
            int r = wire_ring_wait(end, 0);
            if (r < 0)
                return r;
            continue;
        }
        if (have < 0)
            return (int)have;
        uint64_t piece = MIN((uint64_t)have, n);
        wire_ring_peek(end, p, piece);
        end->position += piece;
        p += piece;
        n -= piece;
        atomic_store_explicit(&end->ring->tail, end->position, memory_order_release);
        /* A producer that waits is woken when half of the ring is free, not for every frame. */
        if (end->peer - end->position <= end->size / 2)
            wire_ring_bell(&end->ring->space_bell, &end->ring->space_wait, 1);
    }
    return 0;
}

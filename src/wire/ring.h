/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting and rings over shared memory: one end of a byte stream, framed, safe against a peer that lies about its position. */
#pragma once

#include "wire/layout.h"

#include <stdbool.h>
#include <stddef.h>

/* Tells whether waiting still makes sense; asked at least every 100 ms of sleep. */
typedef bool (*wire_alive_fn)(void *arg);

/* Sleeps while *word == old, at most timeout_ns. Shared between processes. */
void wire_futex_wait(_Atomic uint32_t *word, uint32_t old, uint64_t timeout_ns);
void wire_futex_wake(_Atomic uint32_t *word, int count);
/* ++*bell and wake `count` sleepers, if somebody announced itself in *waiters (reset here). One full fence before looking. */
void wire_ring_bell(_Atomic uint32_t *bell, _Atomic uint32_t *waiters, int count);

/* How long to spin for the peer before sleeping: 0 where the peer last ran on this CPU or there is only one. */
uint64_t wire_spin_ns(const _Atomic uint32_t *peer_cpu, uint64_t limit_ns);
/* Publishes the CPU this thread runs on. */
void wire_note_cpu(_Atomic uint32_t *own_cpu);
static inline void wire_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Spinning for at most `limit` ns: true while it is worth looking again at once. */
struct wire_spin { uint64_t limit, until; unsigned round; };
bool wire_spin(struct wire_spin *spin);

struct wire_end {
    struct wire_ring *ring;
    uint8_t *data;
    uint64_t size;         /* power of two */
    uint64_t position;     /* this side's own; what stands in the ring is only told to the peer */
    uint64_t peer;         /* last seen position of the peer */
    wire_alive_fn alive;
    void *alive_arg;
    uint64_t poll_ns;      /* not 0: look again this often instead of sleeping on the bell, which is another thread's */
};

/* Writes a whole frame, waiting for space. A frame that fits the ring appears in it at once, a larger one in pieces. 0, -EPIPE when the peer is gone, -EPROTO when the peer's position is impossible. */
int wire_ring_write(struct wire_end *end, uint16_t op, uint16_t flags, const void *payload, uint32_t bytes);

/* Bytes that can be read now, or -EPROTO. */
int64_t wire_ring_available(struct wire_end *end);
/* Takes n bytes, waiting for them. Same errors as write. */
int wire_ring_take(struct wire_end *end, void *buf, uint64_t n);
/* Copies n bytes that are available without taking them. */
void wire_ring_peek(const struct wire_end *end, void *buf, uint64_t n);
/* Waits for data: spins up to spin_ns, then sleeps. 0 when there is some, -EPIPE, -EPROTO. */
int wire_ring_wait(struct wire_end *end, uint64_t spin_ns);

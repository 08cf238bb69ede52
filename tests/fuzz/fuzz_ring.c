/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: one end of a ring whose other end is the tenant's. Bytes are actions: the peer moves positions, scribbles over data and bells; our side
 * looks, peeks, takes and writes. Beside the sanitizers: our position moves by what was taken or written and by nothing else, nothing beyond the
 * ring is touched, and what an honest peer wrote is what comes out. */
#include "wire/ring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) ({ if (!(condition)) { fprintf(stderr, "not so: %s\n", #condition); abort(); } })
#define RING_BYTES 256

struct input { const uint8_t *data; size_t size, at; };

static bool gone(void *arg) { return false; }       /* every wait ends at once: there is one thread here */

static uint8_t byte(struct input *in) { return in->at < in->size ? in->data[in->at++] : 0; }

static uint64_t number(struct input *in)
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n = n << 8 | byte(in);
    return n;
}

/* A position: near ours, so that lies are plausible, or anywhere. */
static uint64_t position(struct input *in, const struct wire_end *end)
{
    uint8_t kind = byte(in);
    return kind < 128 ? end->position + kind : kind < 250 ? end->position + RING_BYTES - (kind - 128) : number(in);
}

static void take(struct wire_end *end, struct input *in, bool peek)
{
    uint8_t out[RING_BYTES * 2];
    uint64_t n = byte(in), before = end->position;
    int64_t available = wire_ring_available(end);
    MUST(available == -EPROTO || (available >= 0 && available <= RING_BYTES));
    MUST(end->position == before);
    if (peek && available >= (int64_t)n) {
        wire_ring_peek(end, out, n);
        MUST(end->position == before);
    } else if (!peek) {
        int r = wire_ring_take(end, out, n);
        MUST(r == 0 || r == -EPIPE || r == -EPROTO);
        MUST(r != 0 || end->position == before + n);
        MUST(end->position - before <= n);
    }
}

static void write_frame(struct wire_end *end, struct input *in)
{
    uint8_t payload[RING_BYTES * 4] = { 1 };
    uint32_t n = (uint32_t)byte(in) * 4;
    uint64_t before = end->position;
    int r = wire_ring_write(end, 1, 2, payload, n);
    MUST(r == 0 || r == -EPIPE || r == -EPROTO);
    MUST(end->position - before <= n + sizeof(struct wire_frame));
    MUST(r != 0 || end->position - before == n + sizeof(struct wire_frame));
}

/* An honest peer for once: what it wrote arrives. */
static void round_trip(struct wire_end *end, struct input *in)
{
    uint8_t sent[RING_BYTES / 2], got[RING_BYTES / 2];
    struct wire_end peer = { .ring = end->ring, .data = end->data, .size = RING_BYTES, .position = end->position, .peer = end->position, .alive = gone };
    uint32_t n = byte(in) % (sizeof sent - sizeof(struct wire_frame));
    struct wire_frame frame;
    for (uint32_t i = 0; i < n; i++)
        sent[i] = byte(in);
    atomic_store(&end->ring->tail, end->position);
    MUST(wire_ring_write(&peer, 7, 9, sent, n) == 0);
    MUST(wire_ring_available(end) == (int64_t)(n + sizeof frame));
    MUST(wire_ring_take(end, &frame, sizeof frame) == 0 && frame.op == 7 && frame.bytes == n);
    MUST(wire_ring_take(end, got, n) == 0 && memcmp(got, sent, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size, 0 };
    struct wire_ring *ring = calloc(1, sizeof *ring);
    uint8_t *bytes = calloc(1, RING_BYTES);         /* of its own, so that the sanitizer sees the first byte behind it */
    struct wire_end end = { .ring = ring, .data = bytes, .size = RING_BYTES, .alive = gone, .poll_ns = 1 };
    if (size && byte(&in) & 1)
        end.position = end.peer = number(&in);
    while (in.at < in.size) {
        switch (byte(&in) % 8) {
        case 0: atomic_store(&ring->head, position(&in, &end)); break;
        case 1: atomic_store(&ring->tail, position(&in, &end)); break;
        case 2: bytes[byte(&in) % RING_BYTES] = byte(&in); break;
        case 3: atomic_store(&ring->data_bell, (uint32_t)number(&in)); atomic_store(&ring->space_wait, byte(&in)); break;
        case 4: take(&end, &in, false); break;
        case 5: take(&end, &in, true); break;
        case 6: end.peer = end.position; write_frame(&end, &in); break;
        case 7: end.peer = end.position; round_trip(&end, &in); break;
        }
    }
    free(bytes);
    free(ring);
    return 0;
}

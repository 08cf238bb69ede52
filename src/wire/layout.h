/* SPDX-License-Identifier: Apache-2.0 */
/* The shared region of one connection: a sealed memfd that the worker makes and the client maps.
 *
 * Every word here can be changed by the other side at any moment. The worker copies what it needs once, keeps its own positions, and checks
 * sizes and indexes against its own constants, never against what is written here. The client trusts the worker (it runs on the host side). */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define WIRE_COMMAND_RING_BYTES (UINT64_C(1) << 20)
#define WIRE_REPLY_RING_BYTES (UINT64_C(256) << 10)
#define WIRE_MAX_QUEUES 1024         /* 128 bytes each; conformance tests make hundreds, nobody needs more at once */
#define WIRE_MAX_EVENTS 131072       /* 64 bytes each, only touched pages cost; programs keep thousands of events alive */
#define WIRE_MAX_OBJECTS (1u << 20)  /* handles of one client */
#define WIRE_MAX_WAIT_LIST 4096
#define WIRE_INLINE_WRITE_MAX 32768  /* bytes of a write that travel in the command ring itself */
#define WIRE_STREAM_CHANNELS 4       /* concurrent streamed transfers, each with a window in the arena */
#define WIRE_STREAM_CHUNKS 4
#define WIRE_STREAM_CHUNK_BYTES (UINT64_C(1) << 20)
#define WIRE_NO_OFFSET UINT64_MAX    /* a buffer that does not live in the arena */
#define WIRE_NO_EVENT UINT32_MAX
/* Flags of a marker. In a queue that runs in order they say nothing new. */
#define WIRE_MARKER_AFTER_ALL 1u     /* waits for everything before it, not only for its wait list */
#define WIRE_MARKER_BARRIER 2u       /* everything behind it waits for it */
/* Facts about the device beyond OpenCL's own names: cl_image_format lists by image type (0x10F1..) and access (0 read, 1 write, 2 read-write, 3 both in one kernel). */
#define WIRE_FACT_FORMATS(type, access) (UINT32_C(0x7f000000) | ((type) & 0xff) << 8 | (access))

struct wire_frame {      /* before every message in a ring */
    uint32_t bytes;      /* of the payload that follows */
    uint16_t op;
    uint16_t flags;
};
_Static_assert(sizeof(struct wire_frame) == 8, "a frame header is 8 bytes on the wire");

struct wire_event_ref { uint32_t slot, generation; };

struct wire_command {    /* begins the payload of every command; wait list entries (struct wire_event_ref) follow */
    uint32_t queue;      /* handle */
    uint32_t waits;
    uint64_t sequence;   /* 1, 2, 3 … per queue */
    struct wire_event_ref event;   /* slot WIRE_NO_EVENT: none wanted */
};
_Static_assert(sizeof(struct wire_command) == 24, "a command header is 24 bytes on the wire");

struct wire_ring {       /* a byte stream, one producer and one consumer */
    _Alignas(64) _Atomic uint64_t head;                     /* bytes ever written */
    _Alignas(64) _Atomic uint64_t tail;                     /* bytes ever taken */
    _Alignas(64) _Atomic uint32_t data_bell, data_wait;     /* consumer sleeps on data_bell after setting data_wait */
    _Alignas(64) _Atomic uint32_t space_bell, space_wait;   /* producer likewise */
};

struct wire_queue_state {
    _Alignas(64) _Atomic uint64_t completed;    /* sequence number up to which everything is done */
    _Atomic uint32_t bell, waiters;             /* bell changes with completed */
    _Atomic int32_t error;                      /* first execution error, an OpenCL code */
};

struct wire_event {
    _Alignas(64) _Atomic uint64_t state;        /* generation << 32 | (uint32_t)execution status; futex on the low half */
    _Atomic uint32_t waiters;
    uint32_t reserved;
    uint64_t time_ns[4];                        /* queued, submitted, started, ended, on the device's clock; what the client has set the worker leaves */
};
_Static_assert(sizeof(struct wire_event) == 64, "an event slot is one cache line");

struct wire_channel {    /* progress of one streamed transfer, in chunks */
    _Alignas(64) _Atomic uint32_t filled, filled_wait;
    _Alignas(64) _Atomic uint32_t drained, drained_wait;
};

#define WIRE_UNIFIED 1u  /* buffers live in the arena and kernels see them there */

struct wire_header {
    uint32_t version, flags;
    uint64_t region_bytes, arena_offset, arena_bytes;
    int64_t device_clock_minus_monotonic_ns;
    _Atomic uint32_t worker_cpu, client_cpu;    /* last CPU each side ran on: nobody spins against its own peer */
    _Alignas(64) _Atomic uint32_t completion_bell, completion_wait;   /* rung with each finished event while somebody waits for any */
    _Alignas(64) _Atomic uint32_t change_bell, change_wait;           /* rung with each event that either side sets while the worker waits for any of several */
    struct wire_ring command, reply;
    struct wire_channel channels[WIRE_STREAM_CHANNELS];
};

#define WIRE_ALIGN(n) (((n) + 4095) & ~UINT64_C(4095))
#define WIRE_COMMAND_OFFSET WIRE_ALIGN(sizeof(struct wire_header))
#define WIRE_REPLY_OFFSET (WIRE_COMMAND_OFFSET + WIRE_COMMAND_RING_BYTES)
#define WIRE_QUEUES_OFFSET (WIRE_REPLY_OFFSET + WIRE_REPLY_RING_BYTES)
#define WIRE_EVENTS_OFFSET WIRE_ALIGN(WIRE_QUEUES_OFFSET + WIRE_MAX_QUEUES * sizeof(struct wire_queue_state))
#define WIRE_ARENA_OFFSET WIRE_ALIGN(WIRE_EVENTS_OFFSET + WIRE_MAX_EVENTS * sizeof(struct wire_event))
#define WIRE_STREAM_BYTES (WIRE_STREAM_CHANNELS * WIRE_STREAM_CHUNKS * WIRE_STREAM_CHUNK_BYTES)   /* at the start of the arena */

static inline struct wire_queue_state *wire_queue_state(struct wire_header *h, uint32_t i)
{
    return (struct wire_queue_state *)((char *)h + WIRE_QUEUES_OFFSET) + i;
}
static inline struct wire_event *wire_event(struct wire_header *h, uint32_t i)
{
    return (struct wire_event *)((char *)h + WIRE_EVENTS_OFFSET) + i;
}
static inline uint64_t wire_event_state(uint32_t generation, int32_t status) { return (uint64_t)generation << 32 | (uint32_t)status; }
static inline uint32_t wire_event_generation(uint64_t state) { return (uint32_t)(state >> 32); }
static inline int32_t wire_event_status(uint64_t state) { return (int32_t)(uint32_t)state; }

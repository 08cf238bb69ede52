/* SPDX-License-Identifier: Apache-2.0 */
/* The connection of this process to its worker: handshake, shared region, handles, event slots, calls and waits. */
#pragma once

#include "wire/messages.h"
#include "wire/ring.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct link {
    int sock;
    struct wire_header *header;
    uint8_t *arena;
    uint8_t *svm_arena;               /* the arena where the worker has it too: shared virtual memory; NULL where there is none */
    pthread_mutex_t push_lock;        /* the command ring and every queue's sequence number */
    struct wire_end command;
    pthread_mutex_t call_lock[2];     /* one question at a time of each kind: builds, which take long, and the rest */
    pthread_mutex_t reply_lock;       /* the answers that have come, and who reads the reply ring */
    pthread_cond_t answered;
    bool reading;                     /* a thread waits for the ring; others wait for what it finds */
    struct answer { void *buf; uint16_t op; uint32_t bytes; } answers[2];
    struct wire_end reply;
    _Atomic bool dead;
    uint64_t spin_ns;                 /* budget of a wait */
    _Atomic uint64_t wait_ns;         /* how long waits have lately taken */
    pthread_mutex_t output_lock;
    int output;                       /* the stdout that the worker has, kept to see when ours becomes another; -1 none */
};

/* Now, on the clock of profiling times, in nanoseconds. */
uint64_t link_device_now(const struct link *l);

/* The connection, made at the first call; NULL when there is none (no share in the environment, refused, or the worker is gone). */
struct link *link_get(void);
/* The connection that was made, or NULL; never connects. For objects that can only exist with one. */
struct link *link_current(void);
bool link_alive(struct link *l);

uint32_t link_id_new(void);           /* 0 when all are taken */
void link_id_free(uint32_t id);

/* One-way message. 0 or a negative errno (the link is dead then). */
int link_post(struct link *l, enum wire_op op, const struct wire_out *out);
/* Question and answer. The answer's frame is malloc'ed into ret_buf (free it); in reads it. */
int link_call(struct link *l, enum wire_op op, const struct wire_out *out, struct wire_in *in, void **ret_buf);

/* Shows the worker where this process's stdout goes now, if that has changed: kernels launched afterwards print there. 0 or a negative errno. */
int link_follow_output(struct link *l);

/* LINK_POST(l, mem_destroy, .mem = id);   LINK_CALL(l, queue_create, &answer, .queue = id, …) with the answer's blobs copied nowhere: ret_buf owns them. */
#define LINK_POST(l, name, ...) ({ \
    uint8_t small_[256]; \
    struct wire_out out_ = { small_, 0, sizeof small_, false, false }; \
    wire_put_##name(&out_, &(struct wire_##name){ __VA_ARGS__ }); \
    int r_ = link_post(l, WIRE_OP_##name, &out_); \
    wire_out_done(&out_); \
    r_; })
#define LINK_CALL(l, name, answer, buf, ...) ({ \
    uint8_t small_[256]; \
    struct wire_out out_ = { small_, 0, sizeof small_, false, false }; \
    struct wire_in in_ = { 0 }; \
    wire_put_##name(&out_, &(struct wire_##name){ __VA_ARGS__ }); \
    int r_ = link_call(l, WIRE_OP_##name, &out_, &in_, buf); \
    wire_out_done(&out_); \
    if (r_ == 0) { \
        wire_get_##name##_answer(&in_, answer); \
        if (in_.bad) \
            r_ = -71 /* EPROTO */; \
    } \
    r_; })

/* Waits until the queue state has completed `sequence`. 0 or -EPIPE. */
int link_wait_queue(struct link *l, uint32_t state, uint64_t sequence);
/* Waits until the event slot's generation moves on or its status is at most `status`. Returns the status, or -EPIPE * 1000 when the link died. */
#define LINK_LOST INT32_MIN
int32_t link_wait_event(struct link *l, uint32_t slot, uint32_t generation, int32_t status);
/* Sets an event slot from this side and wakes whoever waits for it. */
void link_set_event(struct link *l, uint32_t slot, uint32_t generation, int32_t status);

/* Facts that the worker sent once: `space` 0 platform, 1 device. NULL when unknown. */
const struct wire_blob *link_fact(uint32_t space, uint32_t name);

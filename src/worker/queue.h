/* SPDX-License-Identifier: Apache-2.0 */
/* Command queues of the client. Commands wait until their wait list is done and the worker has a turn, are given to the driver (no more than
 * about a quantum at a time), and are retired in that order: completion is published to the queue state and the event slot. In an out-of-order
 * queue a command may pass those that still wait, but not a barrier; the driver's queue is in order either way.
 * One thread at a time runs a queue; others may append to it and hand commands to the driver while the runner sleeps for the device. */
#pragma once

#include "worker/objects.h"
#include "worker/session.h"

#include <semaphore.h>

struct command {
    struct command *next;
    uint32_t op, frame_bytes;          /* frame_bytes: room in frame */
    bool pooled;
    uint64_t sequence;
    struct wire_event_ref event;
    uint32_t nwaits;
    const uint8_t *waits;              /* nwaits packed struct wire_event_ref inside the frame */
    uint32_t nobjects;
    struct object **objects;           /* referenced; which is which depends on op */
    struct object *few[4];
    union {
        struct wire_ndrange ndrange;
        struct wire_write_inline write_inline;
        struct wire_stream_write stream;      /* both directions: same fields */
        struct wire_copy copy;
        struct wire_copy_rect copy_rect;
        struct wire_fill fill;
        struct wire_copy_image copy_image;
        struct wire_image_to_buffer image_to_buffer;
        struct wire_buffer_to_image buffer_to_image;
        struct wire_fill_image fill_image;
        struct wire_write_image transfer_image;   /* both directions: same fields */
        struct wire_marker marker;
    } u;
    cl_event native;                   /* once given to the driver */
    cl_int status;                     /* CL_SUCCESS, or why it failed */
    uint64_t cost_ns;                  /* estimate, what it counts in the window */
    bool sampled;                      /* measure this one */
    bool watched;                      /* needs `native`: somebody looks at its state or times, or it ends what was submitted */
    struct command *piece;             /* cut off its front, waiting for room */
    struct command *whole;             /* of a piece: the command whose front it is, which follows it in the queue; its objects are borrowed */
    cl_ulong first_ns[3];              /* of a command that was cut: queued, submitted and started times of its first piece */
    uint8_t frame[];                   /* the payload as received */
};

/* A launch that is compiled before its turn (ahead.h): none, the gate is reserved for one, the driver has one and waits for the turn. */
enum ahead { AHEAD_NO, AHEAD_RESERVED, AHEAD_LAUNCHED };

struct queue {
    pthread_mutex_t lock;
    struct session *session;
    cl_command_queue native;
    struct wire_queue_state *state;
    bool profiling, out_of_order, running, inside;
    struct command *pending, **pending_end, *flying, **flying_end;
    enum ahead ahead;
    sem_t turn_came;                   /* for the launch that the driver holds back */
    uint32_t npending, nflying, nbarriers;   /* nbarriers: of those flying */
    uint64_t last;                     /* sequence number of the newest command */
    uint64_t flying_ns;                /* estimates of what the driver has */
    uint64_t unchecked_ns;             /* estimates of what it was given since the quantum was last looked at */
    uint32_t unwatched;                /* launches given to the driver since the last one with an event */
    struct { cl_event event; bool attached; uint32_t launches, most; } hold;   /* what the launches being submitted wait for, see queue.c */
};

struct queue *queue_new(struct session *s, cl_device_id device, uint32_t state, cl_command_queue_properties properties, cl_int *ret_error);
void queue_free(struct queue *q);
/* Appends a command; true when the caller must now call queue_run. */
bool queue_append(struct queue *q, struct command *c);
/* As many commands wait as may: read no more until some are done. */
bool queue_full(struct queue *q);
/* Runs the queue until nothing is left. */
void queue_run(struct object *queue);

/* commands.c: decodes and references (false: protocol error), hands to the driver, frees. */
bool command_decode(struct session *s, struct command *c, uint32_t bytes);
/* Gives the command to the driver; sets native (may stay NULL: nothing to wait for) and status. */
void command_submit(struct queue *q, struct command *c);
bool command_needs_device(const struct command *c);
/* The front piece of a command that is better run in pieces, or NULL. */
struct command *command_cut(struct queue *q, struct command *c);
/* A finished piece tells the command it belongs to. */
void command_join(struct command *piece);
uint64_t command_cost_ns(const struct session *s, struct command *c);
/* After completion: measured times for estimates. */
void command_measured(struct command *c);
/* A command with room for a frame of this size; its frame is not initialised. */
struct command *command_new(uint32_t bytes);
/* Frees a list of commands and drops their references. */
void command_free(struct command *list);
/* What all commands of this client take, waiting or under way. */
uint64_t commands_held_bytes(void);

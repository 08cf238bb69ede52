/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that read the command ring: see intake.h. */
#include "worker/intake.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "worker/queue.h"

#include <errno.h>

#define THREADS_MAX (WIRE_MAX_QUEUES + 8)   /* each queue can hold one; one more reads */
#define TAKE_AT_ONCE 256
#define OVERSIZE_POLL_NS (50 * NS_PER_US)    /* between the pieces of a frame larger than the ring; the bell belongs to parked threads */

struct intake {
    struct session *session;
    pthread_mutex_t lock;             /* the command ring, and serving in its order */
    struct wire_end command, reply;
    _Atomic int active, parked, threads;
};

static bool always(void *arg) { return true; }     /* the main thread watches the socket and ends the process */

struct intake *intake_new(struct session *s)
{
    struct intake *in = calloc(1, sizeof *in);
    uint8_t *base = (uint8_t *)s->header;
    if (!in)
        return NULL;
    in->session = s;
    pthread_mutex_init(&in->lock, NULL);
    in->command = (struct wire_end){ &s->header->command, base + WIRE_COMMAND_OFFSET, WIRE_COMMAND_RING_BYTES, 0, 0, always, NULL, OVERSIZE_POLL_NS };
    in->reply = (struct wire_end){ &s->header->reply, base + WIRE_REPLY_OFFSET, WIRE_REPLY_RING_BYTES, 0, 0, always, NULL, 0 };
    return in;
}

static void *reader(void *arg);

static void spawn(struct intake *in)
{
    pthread_t t;
    if (atomic_fetch_add(&in->threads, 1) >= THREADS_MAX) {
        atomic_fetch_sub(&in->threads, 1);
        return;
    }
    if (pthread_create(&t, NULL, reader, in) != 0)
        session_fail("cannot start a thread: %s", strerror(errno));
    pthread_detach(t);
}

int intake_start(struct intake *in)
{
    spawn(in);
    return 0;
}

static int64_t available(struct intake *in)
{
    uint64_t n = atomic_load(&in->command.ring->head) - in->command.position;
    if (n > in->command.size)
        return -EPROTO;
    return n < sizeof(struct wire_frame) ? 0 : (int64_t)n;      /* a client that writes less than a head is not waited for awake */
}

/* Makes a parked thread read, or a new one. */
static void wake_one(struct intake *in)
{
    if (atomic_load(&in->parked) == 0) {
        spawn(in);
        return;
    }
    atomic_fetch_add(&in->command.ring->data_bell, 1);
    wire_futex_wake(&in->command.ring->data_bell, 1);
}

void intake_pause(struct intake *in)
{
    if (atomic_fetch_sub(&in->active, 1) != 1)
        return;
    /* The last one awake: from now on the client must ring, and somebody must hear it. */
    if (atomic_load(&in->parked) == 0)
        spawn(in);
    atomic_store(&in->command.ring->data_wait, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (available(in) != 0)
        wake_one(in);
}

void intake_resume(struct intake *in)
{
    atomic_fetch_add(&in->active, 1);
    atomic_store_explicit(&in->command.ring->data_wait, 0, memory_order_relaxed);
    wire_note_cpu(&in->session->header->worker_cpu);
}

/* Under the lock, with data in the ring: takes the next frame's head. Unless it is larger than the ring, its payload is there too. */
static struct wire_frame frame_head(struct intake *in)
{
    struct wire_frame f;
    if (wire_ring_take(&in->command, &f, sizeof f) < 0)
        session_fail("the command ring is corrupt");
    if (f.bytes > WIRE_FRAME_MAX || f.op == 0 || f.op >= WIRE_OP_COUNT)
        session_fail("frame of %u bytes with operation %u", f.bytes, f.op);
    return f;
}

/* Under the lock: takes a command whose head was taken; the queue's object is referenced. */
static struct command *take_command(struct intake *in, struct wire_frame f, struct object **ret_queue)
{
    uint32_t id;
    if (f.bytes < sizeof(struct wire_command))
        session_fail("a command of %u bytes", f.bytes);
    struct command *c = command_new(f.bytes);
    if (!c)
        session_fail("out of memory");
    c->op = f.op;
    if (wire_ring_take(&in->command, c->frame, f.bytes) < 0)
        session_fail("the command ring is corrupt");
    memcpy(&id, c->frame, sizeof id);
    if (!(*ret_queue = objects_get(id, OBJECT_QUEUE)) || !command_decode(in->session, c, f.bytes))
        session_fail("a %s command that makes no sense", wire_op_to_string(f.op));
    return c;
}

/* Under the lock, with data in the ring: serves one frame. Returns a queue that the caller must run (referenced), or NULL. */
static struct object *serve_one(struct intake *in)
{
    struct object *queue = NULL;
    struct wire_frame f = frame_head(in);
    if (!wire_op_is_command(f.op)) {
        _cleanup_free_ uint8_t *payload = malloc(f.bytes + 1);
        if (!payload)
            session_fail("out of memory");
        if (wire_ring_take(&in->command, payload, f.bytes) < 0)
            session_fail("the command ring is corrupt");
        control_serve(in->session, &in->reply, f.op, payload, f.bytes);
        return NULL;
    }
    struct command *c = take_command(in, f, &queue);
    while (queue_full(queue->u.queue))
        nanosleep(&(struct timespec){ 0, (long)NS_PER_MS }, NULL);      /* the ring fills up, and the client waits */
    if (queue_append(queue->u.queue, c))
        return queue;
    object_unref(queue);
    return NULL;
}

unsigned intake_take_own(struct intake *in, struct object *queue)
{
    struct { struct wire_frame f; uint32_t queue; } next;
    unsigned taken = 0;
    if (pthread_mutex_trylock(&in->lock) != 0)
        return 0;
    for (; taken < TAKE_AT_ONCE && !queue_full(queue->u.queue); taken++) {
        int64_t n = wire_ring_available(&in->command);
        if (n < (int64_t)sizeof next)
            break;
        wire_ring_peek(&in->command, &next, sizeof next);
        struct object *named = wire_op_is_command(next.f.op) ? objects_get(next.queue, OBJECT_QUEUE) : NULL;
        object_unref(named);
        if (named != queue)
            break;
        struct wire_frame f = frame_head(in);
        struct command *c = take_command(in, f, &named);
        if (named != queue)
            session_fail("a frame changed while it was read");
        queue_append(queue->u.queue, c);     /* running already, by this thread */
        object_unref(named);
    }
    pthread_mutex_unlock(&in->lock);
    return taken;
}

/* Waits for data outside the lock: spins while nothing is on the device and the client is on another CPU, then parks. */
static void wait_for_data(struct intake *in)
{
    struct session *s = in->session;
    wire_note_cpu(&s->header->worker_cpu);
    struct wire_spin spin = { .limit = wire_spin_ns(&s->header->client_cpu, s->options.spin_ns) };
    while (atomic_load_explicit(&s->in_flight, memory_order_relaxed) == 0 && wire_spin(&spin))
        if (available(in) != 0)
            return;
    uint32_t bell = atomic_load(&in->command.ring->data_bell);
    atomic_fetch_add(&in->parked, 1);
    if (atomic_fetch_sub(&in->active, 1) == 1)
        atomic_store(&in->command.ring->data_wait, 1);
    atomic_thread_fence(memory_order_seq_cst);
    /* Ring positions move under the lock; a stale look costs one more round. */
    if (available(in) == 0 || atomic_load(&in->active) > 0)
        wire_futex_wait(&in->command.ring->data_bell, bell, 3600 * NS_PER_S);
    atomic_fetch_sub(&in->parked, 1);
    intake_resume(in);
}

static void *reader(void *arg)
{
    struct intake *in = arg;
    intake_resume(in);
    for (;;) {
        struct object *run = NULL;
        pthread_mutex_lock(&in->lock);
        int64_t n = wire_ring_available(&in->command);
        if (n < 0)
            session_fail("the command ring is corrupt");
        if (n >= (int64_t)sizeof(struct wire_frame))
            run = serve_one(in);
        pthread_mutex_unlock(&in->lock);
        if (run) {
            intake_take_own(in, run);       /* with the first command those behind it: they are cheaper together */
            queue_run(run);
            object_unref(run);
        } else if (n < (int64_t)sizeof(struct wire_frame))
            wait_for_data(in);
    }
    return NULL;
}

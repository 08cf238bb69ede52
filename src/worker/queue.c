/* SPDX-License-Identifier: Apache-2.0 */
/* Running the client's command queues: see queue.h. */
#include "worker/queue.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "worker/ahead.h"
#include "worker/gate.h"
#include "worker/intake.h"

#define FLYING_MAX 512       /* commands in the driver at once: bounds its memory and the time to drain */
#define FLYING_ALONE 2
#define HOLD_LEAST 8         /* launches that wait to be given to the driver */
#define HOLD_FIRST 16u       /* held together at first; twice as many each time, so that the device has something to do soon */
#define HOLD_MOST 128u
#define HOLD_COST_NS (15 * NS_PER_US)
#define UNWATCHED_MOST 31    /* launches in a row without an event of the driver: how finely the queue's progress is seen */
#define CHECK_EVERY_NS (50 * NS_PER_US)
#define PENDING_MAX 65536    /* commands waiting; beyond it the ring fills up and the client waits */
#define HELD_BYTES_MAX (UINT64_C(256) << 20)   /* likewise for all queues together: the host's memory is not the client's quota */

struct queue *queue_new(struct session *s, cl_device_id device, uint32_t state, cl_command_queue_properties properties, cl_int *ret_error)
{
    struct queue *q = calloc(1, sizeof *q);
    if (!q)
        session_fail("out of memory");
    cl_queue_properties list[] = { CL_QUEUE_PROPERTIES, CL_QUEUE_PROFILING_ENABLE, 0 };
    /* In order also where the client asked for out-of-order: the driver only gets what may run now. Profiling feeds the estimates. */
    q->native = clCreateCommandQueueWithProperties(s->driver.context, device, list, ret_error);
    if (!q->native) {
        free(q);
        return NULL;
    }
    pthread_mutex_init(&q->lock, NULL);
    sem_init(&q->turn_came, 0, 0);
    q->session = s;
    q->state = wire_queue_state(s->header, state);
    q->profiling = properties & CL_QUEUE_PROFILING_ENABLE;
    q->out_of_order = properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
    q->pending_end = &q->pending;
    q->flying_end = &q->flying;
    atomic_store(&q->state->completed, 0);
    atomic_store(&q->state->error, 0);
    return q;
}

void queue_free(struct queue *q)
{
    clReleaseCommandQueue(q->native);
    pthread_mutex_destroy(&q->lock);
    sem_destroy(&q->turn_came);
    free(q);
}

/* ---- wait lists ---- */

static struct wire_event_ref wait_ref(const struct command *c, uint32_t i)
{
    struct wire_event_ref r;
    memcpy(&r, c->waits + i * sizeof r, sizeof r);
    return r;
}

/* CL_COMPLETE, an error of an event in the list, or 1 while one is unfinished (its index in *ret_i). A slot that was given to
 * another event since then belonged to a finished one. */
static cl_int waits_state(struct session *s, const struct command *c, uint32_t *ret_i)
{
    cl_int result = CL_COMPLETE;
    for (uint32_t i = 0; i < c->nwaits; i++) {
        struct wire_event_ref r = wait_ref(c, i);
        uint64_t state = atomic_load_explicit(&wire_event(s->header, r.slot)->state, memory_order_acquire);
        if (wire_event_generation(state) != r.generation)
            continue;
        if (wire_event_status(state) > CL_COMPLETE) {
            *ret_i = i;
            return 1;
        }
        if (wire_event_status(state) < 0)
            result = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    }
    return result;
}

static void wait_for_event(struct session *s, struct wire_event_ref r)
{
    struct wire_event *e = wire_event(s->header, r.slot);
    uint64_t state = atomic_load(&e->state);
    atomic_store(&e->waiters, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&e->state) == state && wire_event_generation(state) == r.generation && wire_event_status(state) > CL_COMPLETE)
        wire_futex_wait((_Atomic uint32_t *)&e->state, (uint32_t)state, NS_PER_S);
}

/* ---- order ---- */

static bool is_marker(const struct command *c, uint32_t flag) { return c->op == WIRE_OP_marker && c->u.marker.flags & flag; }

/* As waits_state, for a pending command: 1 also while others before it are pending and it is to come after all of them. */
static cl_int readiness(const struct queue *q, const struct command *c, uint32_t *ret_i)
{
    if (c->first_ns[0])
        return CL_COMPLETE;         /* parts of it ran already */
    if (q->out_of_order && c != q->pending && is_marker(c, WIRE_MARKER_AFTER_ALL))
        return 1;
    return waits_state(q->session, c, ret_i);
}

/* Whether those behind a command that must wait may run before it. */
static bool may_pass(const struct queue *q, const struct command *c) { return q->out_of_order && !is_marker(c, WIRE_MARKER_BARRIER); }

/* The first pending command that need not wait for events; NULL: *ret_i is what the head waits for. */
static struct command *first_ready(const struct queue *q, uint32_t *ret_i)
{
    for (struct command *c = q->pending; c; c = c->next) {
        if (readiness(q, c, ret_i) <= CL_COMPLETE)
            return c;
        if (!may_pass(q, c))
            break;
    }
    return NULL;
}

/* Out of order: everything up to the number before the lowest unfinished one is done. */
static uint64_t completed_up_to(const struct queue *q)
{
    uint64_t lowest = q->pending ? q->pending->sequence : UINT64_MAX;
    for (const struct command *c = q->flying; c; c = c->next)
        if (!c->whole)
            lowest = MIN(lowest, c->sequence);
    return lowest == UINT64_MAX ? q->last : lowest - 1;
}

/* ---- publishing ---- */

/* Wakes queues that wait for any of several events; the caller's change is behind a full fence. */
static void changed(struct session *s)
{
    if (atomic_load_explicit(&s->header->change_wait, memory_order_relaxed))
        wire_ring_bell(&s->header->change_bell, &s->header->change_wait, INT32_MAX);
}

static void event_set(struct session *s, const struct command *c, cl_int status)
{
    if (c->event.slot == WIRE_NO_EVENT)
        return;
    struct wire_event *e = wire_event(s->header, c->event.slot);
    atomic_store_explicit(&e->state, wire_event_state(c->event.generation, status), memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&e->waiters, memory_order_relaxed) && atomic_exchange(&e->waiters, 0))
        wire_futex_wake((_Atomic uint32_t *)&e->state, INT32_MAX);
    wire_ring_bell(&s->header->completion_bell, &s->header->completion_wait, 1);
    changed(s);
}

static uint64_t device_now(const struct session *s) { return clock_now_ns() + (uint64_t)s->header->device_clock_minus_monotonic_ns; }

/* What the client has set stays: when it enqueued, when work of its own began. No time is later than the next. */
static void event_times(struct queue *q, const struct command *c)
{
    static const cl_profiling_info names[4] = { CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT, CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_END };
    if (c->event.slot == WIRE_NO_EVENT || !q->profiling)
        return;
    uint64_t *times = wire_event(q->session->header, c->event.slot)->time_ns;
    for (int i = 3; i >= 0; i--) {
        cl_ulong t = 0;
        if (i < 3 && times[i])
            t = times[i];
        else if (i < 3 && c->first_ns[i])
            t = c->first_ns[i];
        else if (!c->native || clGetEventProfilingInfo(c->native, names[i], sizeof t, &t, NULL) != CL_SUCCESS)
            t = device_now(q->session);
        times[i] = i < 3 ? MIN(t, times[i + 1]) : t;
    }
}

static cl_int native_status(const struct command *c)
{
    cl_int status = CL_COMPLETE;
    if (c->status != CL_SUCCESS || !c->native)
        return c->status;
    if (c->event.slot != WIRE_NO_EVENT)
        clGetEventInfo(c->native, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
    return status > CL_COMPLETE ? CL_COMPLETE : status;
}

static void publish(struct queue *q, struct command *c)
{
    if (c->whole) {
        command_join(c);
        return;
    }
    cl_int status = native_status(c), none = 0;
    if (status < 0)
        atomic_compare_exchange_strong(&q->state->error, &none, status);
    event_times(q, c);
    if (c->sampled)
        command_measured(c);
    /* The event first: who has waited for the queue finds its events complete. */
    event_set(q->session, c, status);
}

/* ---- handing over ---- */

/* Alone on the GPU, the next command follows long ones without a gap; otherwise others would wait for it too. */
static bool window_open(const struct queue *q, const struct command *c, uint64_t quantum_ns)
{
    if (q->nflying == 0 || (q->nflying < FLYING_MAX && q->flying_ns + c->cost_ns <= quantum_ns))
        return true;
    return q->nflying < FLYING_ALONE && !sched_is_shared(q->session->client);
}

/* Looks at the clock once for many short commands. */
static bool must_yield(struct queue *q, const struct command *c)
{
    q->unchecked_ns += c->cost_ns;
    if (q->unchecked_ns < CHECK_EVERY_NS)
        return false;
    q->unchecked_ns = 0;
    return gate_must_yield(q->session->gate);
}

static void fly(struct queue *q, struct command *c)
{
    c->next = NULL;
    *q->flying_end = c;
    q->flying_end = &c->next;
    q->nflying++;
    q->nbarriers += is_marker(c, WIRE_MARKER_BARRIER);
    q->flying_ns += c->cost_ns;
}

static struct command *take_pending(struct queue *q, struct command **at)
{
    struct command *c = *at;
    if (!(*at = c->next))
        q->pending_end = at;
    q->npending--;
    return c;
}

/* Short launches in a row, on a device whose threads are the host's: given one by one they would run faster than they come, and each would wake
 * threads that had just gone to sleep. So a few at a time wait for an event of ours, which is set when the last of them is there. */
static void hold_release(struct queue *q)
{
    if (!q->hold.event)
        return;
    clSetUserEventStatus(q->hold.event, CL_COMPLETE);
    clReleaseEvent(q->hold.event);
    q->hold.event = NULL;
    q->hold.attached = false;
    q->hold.launches = 0;
    q->hold.most = MIN(q->hold.most * 2, HOLD_MOST);
}

static void hold_consider(struct queue *q, const struct command *c)
{
    cl_int e;
    if (c->op != WIRE_OP_ndrange || c->cost_ns > HOLD_COST_NS || q->hold.launches >= q->hold.most)
        hold_release(q);
    if (!q->hold.event && q->session->driver.on_cpus && !q->out_of_order && q->npending >= HOLD_LEAST && c->op == WIRE_OP_ndrange && c->cost_ns <= HOLD_COST_NS)
        q->hold.event = clCreateUserEvent(q->session->driver.context, &e);
    q->hold.launches++;
}

static bool is_unwatched(const struct command *c) { return c->op == WIRE_OP_ndrange && !c->native && c->status == CL_SUCCESS; }

/* Whether anybody looks at the command's event: if not the driver is spared making one. */
static bool is_watched(const struct queue *q, const struct command *c)
{
    return c->op != WIRE_OP_ndrange || c->event.slot != WIRE_NO_EVENT || c->whole || c->sampled || q->npending == 1 || q->unwatched >= UNWATCHED_MOST;
}

/* Gives a command without an event of the driver one that tells when it and all before it are done. */
static void watch(struct queue *q, struct command *c)
{
    if (clEnqueueMarkerWithWaitList(q->native, 0, NULL, &c->native) != CL_SUCCESS) {
        hold_release(q);
        clFinish(q->native);
    }
    q->unwatched = 0;
}

/* The driver would compile for this launch before it runs. */
static bool compiles(const struct queue *q, const struct command *c)
{
    return c->op == WIRE_OP_ndrange && q->session->driver.compiles_ahead && ahead_is_new(c);
}

/* A command, or a piece of it, that may go to the driver now if the window and the quantum allow. */
static bool submit_now(struct queue *q, struct command *c, uint64_t quantum_ns)
{
    c->cost_ns = command_cost_ns(q->session, c);
    if (!q->ahead && compiles(q, c))
        return false;           /* after what is under way, and outside the turn */
    if (!window_open(q, c, quantum_ns) || (!q->ahead && must_yield(q, c)))
        return false;
    c->sampled = c->sampled || q->ahead;
    c->watched = is_watched(q, c);
    q->unwatched = c->watched ? 0 : q->unwatched + 1;
    hold_consider(q, c);
    event_set(q->session, c->whole ? c->whole : c, CL_SUBMITTED);
    if (q->ahead)
        ahead_submit(q, c);
    else
        command_submit(q, c);
    event_set(q->session, c->whole ? c->whole : c, CL_RUNNING);
    return true;
}

/* Out of order, a marker with nothing but a wait list is done when that is, whatever runs; unless a barrier before it is not. */
static bool is_done_at_once(const struct queue *q, const struct command *c)
{
    return q->out_of_order && c->op == WIRE_OP_marker && !c->u.marker.flags && q->nbarriers == 0;
}

static void finish_here(struct queue *q, struct command *c)
{
    c->next = NULL;
    publish(q, c);
    command_free(c);
    atomic_store_explicit(&q->state->completed, completed_up_to(q), memory_order_release);
    wire_ring_bell(&q->state->bell, &q->state->waiters, INT32_MAX);
}

/* Under the lock, for a command that has waited: gives it, or a piece of it, to the driver. False when that must wait for room or a turn. */
static bool submit_one(struct queue *q, struct command **at, cl_int waits, uint64_t quantum_ns)
{
    struct command *c = *at;
    bool device = command_needs_device(c) && waits == CL_COMPLETE && c->status == CL_SUCCESS;
    if (device && !q->inside)
        return false;
    struct command *piece = device ? c->piece ? c->piece : command_cut(q, c) : NULL;
    c->piece = NULL;
    if (device && !submit_now(q, piece ? piece : c, quantum_ns)) {
        c->piece = piece;           /* cut once, sent when there is room */
        return false;
    }
    if (piece) {
        fly(q, piece);
        return true;
    }
    if (waits < 0)
        c->status = waits;
    take_pending(q, at);
    if (is_done_at_once(q, c)) {
        finish_here(q, c);
        return true;
    }
    if (!device && c->event.slot != WIRE_NO_EVENT && q->unwatched)
        watch(q, c);
    fly(q, c);
    return true;
}

/* Under the lock: gives to the driver what may go now. */
static void submit_ready(struct queue *q)
{
    struct session *s = q->session;
    uint64_t quantum_ns = gate_quantum_ns(s->gate);
    uint32_t ignored, flew = q->nflying;
    if (!flew)
        q->hold.most = HOLD_FIRST;
    for (struct command **at = &q->pending, *c; q->ahead != AHEAD_LAUNCHED && (c = *at);) {
        cl_int waits = readiness(q, c, &ignored);
        if (waits > CL_COMPLETE) {
            if (!may_pass(q, c))
                break;
            at = &c->next;
        } else if (!submit_one(q, at, waits, quantum_ns))
            break;
    }
    if (q->unwatched)
        watch(q, (struct command *)((char *)q->flying_end - offsetof(struct command, next)));      /* the last */
    hold_release(q);
    if (q->nflying == flew)
        return;
    atomic_fetch_add(&s->in_flight, q->nflying - flew);
    clFlush(q->native);
}

bool queue_append(struct queue *q, struct command *c)
{
    pthread_mutex_lock(&q->lock);
    *q->pending_end = c;
    q->pending_end = &c->next;
    q->npending++;
    q->last = c->sequence;
    bool start = !q->running;
    if (start)
        q->running = true;
    else if (q->inside && q->nflying)
        submit_ready(q);             /* keeps the device busy while the runner sleeps */
    else if (q->out_of_order) {
        atomic_thread_fence(memory_order_seq_cst);
        changed(q->session);
    }
    pthread_mutex_unlock(&q->lock);
    return start;
}

bool queue_full(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    bool full = q->npending >= PENDING_MAX || commands_held_bytes() >= HELD_BYTES_MAX;
    pthread_mutex_unlock(&q->lock);
    return full;
}

/* ---- retiring ---- */

/* Under the lock: how many commands to retire next, and the driver's event to wait for (referenced; NULL when all of them are done). A command
 * whose event somebody may be waiting for is retired by itself; others half the window at a time, so that the device never runs dry. Launches
 * without an event of the driver are retired with the next command that has one. */
static uint32_t choose(struct queue *q, cl_event *ret_event)
{
    uint32_t n = 0, seen = 0, most = q->pending ? (q->nflying + 1) / 2 : q->nflying;
    cl_event last = NULL;
    bool covered = true;
    for (struct command *c = q->flying; c && (seen < most || !n); c = c->next) {
        seen++;
        if (c->native)
            last = c->native;
        covered = c->native || (covered && !is_unwatched(c));
        n = covered ? seen : n;
        if (covered && (c->event.slot != WIRE_NO_EVENT || c->whole))
            break;
    }
    if (last)
        clRetainEvent(last);
    *ret_event = last;
    return n;
}

static void retire(struct queue *q, uint32_t n)
{
    struct command *done = NULL, **end = &done;
    uint64_t completed = 0;
    pthread_mutex_lock(&q->lock);
    atomic_fetch_sub(&q->session->in_flight, n);
    for (; n; n--) {
        struct command *c = q->flying;
        if (!(q->flying = c->next))
            q->flying_end = &q->flying;
        q->nflying--;
        q->nbarriers -= is_marker(c, WIRE_MARKER_BARRIER);
        q->flying_ns -= c->cost_ns;
        publish(q, c);
        completed = c->whole ? completed : c->sequence;
        c->next = NULL;
        *end = c;
        end = &c->next;
    }
    if (completed)
        atomic_store_explicit(&q->state->completed, q->out_of_order ? completed_up_to(q) : completed, memory_order_release);
    pthread_mutex_unlock(&q->lock);
    wire_ring_bell(&q->state->bell, &q->state->waiters, INT32_MAX);
    sched_progress(q->session->client);
    command_free(done);
}

/* ---- running ---- */

enum next { NEXT_AGAIN, NEXT_RETIRE, NEXT_STOP };

/* Announces that this queue waits for any event; the value to sleep on. Before looking at events. */
static uint32_t change_announce(struct session *s)
{
    uint32_t bell = atomic_load(&s->header->change_bell);
    atomic_store(&s->header->change_wait, 1);
    atomic_thread_fence(memory_order_seq_cst);
    return bell;
}

/* What the head of the queue waits for, or out of order any event. */
static void wait_for_events(struct queue *q, struct wire_event_ref head, uint32_t bell)
{
    struct session *s = q->session;
    intake_pause(s->intake);
    if (q->out_of_order)
        wire_futex_wait(&s->header->change_bell, bell, NS_PER_S);
    else
        wait_for_event(s, head);
    intake_resume(s->intake);
}

static void enter_gate(struct queue *q)
{
    struct session *s = q->session;
    if (!gate_try_enter(s->gate)) {
        intake_pause(s->intake);
        gate_enter(s->gate);
        intake_resume(s->intake);
    }
    pthread_mutex_lock(&q->lock);
    q->inside = true;
    pthread_mutex_unlock(&q->lock);
}

/* The gate is reserved: the next launch goes to the driver before its turn, to be compiled. */
static void enter_reserved(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->inside = true;
    q->ahead = AHEAD_RESERVED;
    pthread_mutex_unlock(&q->lock);
}

/* Nothing is in the driver. Waits for whatever the queue needs to go on, or stops when nothing is pending. Called with the lock held, returns without. */
static enum next wait_for_work(struct queue *q)
{
    struct session *s = q->session;
    uint32_t i = 0, bell = q->out_of_order && q->pending ? change_announce(s) : 0;
    struct command *head = q->pending, *ready = first_ready(q, &i);
    struct command *next = ready && ready->piece ? ready->piece : ready;
    bool ahead = ready && command_needs_device(ready) && compiles(q, next);
    bool leave = q->inside && (!ready || ahead || gate_must_yield(s->gate));
    if (leave)
        q->inside = false;
    if (!head && !leave) {
        q->running = false;
        pthread_mutex_unlock(&q->lock);
        return NEXT_STOP;
    }
    bool enter = ready && !q->inside && command_needs_device(ready), unfinished = head && !ready;
    struct wire_event_ref ref = unfinished && !q->out_of_order ? wait_ref(head, i) : (struct wire_event_ref){ 0 };
    pthread_mutex_unlock(&q->lock);
    if (leave)
        gate_leave(s->gate);
    if (ahead && !(ahead = gate_reserve(s->gate)))
        ahead_skip(next);           /* another queue is at work: its commands and this compilation would wait for each other */
    if (unfinished)
        wait_for_events(q, ref, bell);
    else if (ahead)
        enter_reserved(q);
    else if (enter)
        enter_gate(q);
    return NEXT_AGAIN;
}

void queue_run(struct object *object)
{
    struct queue *q = object->u.queue;
    struct session *s = q->session;
    for (;;) {
        cl_event event = NULL;
        pthread_mutex_lock(&q->lock);
        submit_ready(q);
        if (q->ahead) {
            enum ahead state = q->ahead;
            pthread_mutex_unlock(&q->lock);
            ahead_wait(q, state);
            pthread_mutex_lock(&q->lock);
            q->ahead = AHEAD_NO;
            submit_ready(q);
        }
        if (!q->nflying) {
            if (wait_for_work(q) == NEXT_STOP)
                return;
            continue;
        }
        uint32_t n = choose(q, &event);
        bool room = !q->pending;
        pthread_mutex_unlock(&q->lock);
        if (event && room && intake_take_own(s->intake, object)) {
            clReleaseEvent(event);
            continue;
        }
        if (event) {
            intake_pause(s->intake);
            clWaitForEvents(1, &event);
            intake_resume(s->intake);
            clReleaseEvent(event);
        }
        retire(q, n);
    }
}

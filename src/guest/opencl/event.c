/* SPDX-License-Identifier: Apache-2.0 */
/* Events live in slots of the shared region: status and times are read there, user events are set there, no message is sent. */
#include "guest/opencl/guest.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

/* Slots: a stack of free ones, and a queue of those whose event was released before its command had finished. */
static struct {
    pthread_mutex_t lock;
    uint32_t *free, nfree, next;
    uint32_t *pending, first, npending;     /* ring of released, unfinished slots */
    uint32_t generation[WIRE_MAX_EVENTS];
} slots = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool slot_finished(struct link *l, uint32_t slot)
{
    return wire_event_status(atomic_load_explicit(&wire_event(l->header, slot)->state, memory_order_acquire)) <= CL_COMPLETE;
}

/* Looks at up to `most` of the released slots. One that is not finished yet goes to the back: a user event that nobody sets must not hold up the rest. */
static void sweep(struct link *l, uint32_t most)
{
    for (most = MIN(most, slots.npending); most; most--) {
        uint32_t slot = slots.pending[slots.first];
        slots.first = (slots.first + 1) % WIRE_MAX_EVENTS;
        if (slot_finished(l, slot)) {
            slots.free[slots.nfree++] = slot;
            slots.npending--;
        } else
            slots.pending[(slots.first + slots.npending - 1) % WIRE_MAX_EVENTS] = slot;
    }
}

static bool slot_take(struct link *l, uint32_t *ret_slot, uint32_t *ret_generation)
{
    pthread_mutex_lock(&slots.lock);
    if (!slots.free) {
        slots.free = malloc(WIRE_MAX_EVENTS * sizeof *slots.free);
        slots.pending = malloc(WIRE_MAX_EVENTS * sizeof *slots.pending);
    }
    bool ok = slots.free && slots.pending;
    if (ok) {
        sweep(l, slots.nfree || slots.next < WIRE_MAX_EVENTS ? 2 : WIRE_MAX_EVENTS);
        ok = slots.nfree || slots.next < WIRE_MAX_EVENTS;
    }
    if (ok) {
        *ret_slot = slots.nfree ? slots.free[--slots.nfree] : slots.next++;
        *ret_generation = ++slots.generation[*ret_slot];
    }
    pthread_mutex_unlock(&slots.lock);
    return ok;
}

static void slot_give(struct link *l, uint32_t slot)
{
    pthread_mutex_lock(&slots.lock);
    if (slot_finished(l, slot))
        slots.free[slots.nfree++] = slot;
    else {
        slots.pending[(slots.first + slots.npending) % WIRE_MAX_EVENTS] = slot;
        slots.npending++;
    }
    pthread_mutex_unlock(&slots.lock);
}

void events_fork(enum fork_step step) { fork_lock(&slots.lock, step); }

cl_event event_new(cl_context context, cl_command_queue queue, cl_command_type type)
{
    struct link *l = link_current();
    cl_event e = l ? malloc(sizeof *e) : NULL;
    if (!e)
        return NULL;
    if (!slot_take(l, &e->slot, &e->generation)) {
        free(e);
        return NULL;
    }
    struct wire_event *shared = wire_event(l->header, e->slot);
    memset(shared->time_ns, 0, sizeof shared->time_ns);
    atomic_store_explicit(&shared->waiters, 0, memory_order_relaxed);
    atomic_store_explicit(&shared->state, wire_event_state(e->generation, queue ? CL_QUEUED : CL_SUBMITTED), memory_order_release);
    object_init(&e->base, KIND_EVENT, 0);
    e->context = context;
    e->queue = queue;
    e->type = type;
    object_ref(context);
    if (queue)
        object_ref(queue);
    return e;
}

void event_release(cl_event e)
{
    if (!object_unref(e))
        return;
    struct link *l = link_current();
    if (l)
        slot_give(l, e->slot);
    e->base.kind = 0;
    if (e->queue)
        queue_release(e->queue);
    context_release(e->context);
    free(e);
}

int32_t event_status(const struct _cl_event *e)
{
    struct link *l = link_current();
    if (!l)
        return CL_OUT_OF_RESOURCES;
    int32_t s = wire_event_status(atomic_load_explicit(&wire_event(l->header, e->slot)->state, memory_order_acquire));
    return s > CL_COMPLETE && atomic_load_explicit(&l->dead, memory_order_relaxed) ? CL_OUT_OF_RESOURCES : s;
}

void event_complete(cl_event e, int32_t status)
{
    struct link *l = link_current();
    if (l)
        link_set_event(l, e->slot, e->generation, status);
    background_kick();
}

cl_int event_wait(cl_event e)
{
    struct link *l = link_current();
    int32_t s = l ? link_wait_event(l, e->slot, e->generation, CL_COMPLETE) : LINK_LOST;
    return s == LINK_LOST ? CL_OUT_OF_RESOURCES : s;
}

cl_int events_check(cl_context context, cl_uint n, const cl_event *list)
{
    if ((n == 0) != (list == NULL) || n > WIRE_MAX_WAIT_LIST)
        return CL_INVALID_EVENT_WAIT_LIST;
    for (cl_uint i = 0; i < n; i++) {
        if (!object_is(list[i], KIND_EVENT))
            return CL_INVALID_EVENT_WAIT_LIST;
        if (list[i]->context != context)
            return CL_INVALID_CONTEXT;
    }
    return CL_SUCCESS;
}

bool events_complete(cl_uint n, const cl_event *list)
{
    for (cl_uint i = 0; i < n; i++)
        if (event_status(list[i]) != CL_COMPLETE)
            return false;
    return true;
}

cl_int events_wait(cl_uint n, const cl_event *list)
{
    cl_int result = CL_SUCCESS;
    for (cl_uint i = 0; i < n; i++) {
        cl_int s = event_wait(list[i]);
        if (s == CL_OUT_OF_RESOURCES && !link_alive(link_current()))
            return s;
        if (s < 0)
            result = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    }
    return result;
}

cl_int CL_API_CALL clWaitForEvents(cl_uint n, const cl_event *list)
{
    if (n == 0 || !list)
        return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < n; i++) {
        if (!object_is(list[i], KIND_EVENT))
            return CL_INVALID_EVENT;
        if (list[i]->context != list[0]->context)
            return CL_INVALID_CONTEXT;
    }
    return events_wait(n, list);
}

cl_int CL_API_CALL clRetainEvent(cl_event e)
{
    if (!object_is(e, KIND_EVENT))
        return CL_INVALID_EVENT;
    object_ref(e);
    return CL_SUCCESS;
}

cl_int CL_API_CALL clReleaseEvent(cl_event e)
{
    if (!object_is(e, KIND_EVENT))
        return CL_INVALID_EVENT;
    event_release(e);
    return CL_SUCCESS;
}

cl_event CL_API_CALL clCreateUserEvent(cl_context context, cl_int *errcode_ret)
{
    cl_event e = object_is(context, KIND_CONTEXT) ? event_new(context, NULL, CL_COMMAND_USER) : NULL;
    if (errcode_ret)
        *errcode_ret = e ? CL_SUCCESS : object_is(context, KIND_CONTEXT) ? CL_OUT_OF_RESOURCES : CL_INVALID_CONTEXT;
    return e;
}

cl_int CL_API_CALL clSetUserEventStatus(cl_event e, cl_int status)
{
    struct link *l = link_current();
    if (!object_is(e, KIND_EVENT) || e->type != CL_COMMAND_USER)
        return CL_INVALID_EVENT;
    if (status > CL_COMPLETE)
        return CL_INVALID_VALUE;
    if (!l)
        return CL_OUT_OF_RESOURCES;
    uint64_t now = wire_event_state(e->generation, CL_SUBMITTED);
    if (!atomic_compare_exchange_strong(&wire_event(l->header, e->slot)->state, &now, wire_event_state(e->generation, status)))
        return CL_INVALID_OPERATION;
    event_complete(e, status);
    return CL_SUCCESS;
}

cl_int CL_API_CALL clGetEventInfo(cl_event e, cl_event_info name, size_t size, void *value, size_t *size_ret)
{
    struct link *l = link_current();
    if (!object_is(e, KIND_EVENT))
        return CL_INVALID_EVENT;
    if (name == CL_EVENT_COMMAND_EXECUTION_STATUS && l && event_status(e) > CL_COMPLETE)
        link_alive(l);      /* a program that polls must learn that the worker is gone */
    switch (name) {
    case CL_EVENT_COMMAND_QUEUE: return INFO(cl_command_queue, e->queue);
    case CL_EVENT_CONTEXT: return INFO(cl_context, e->context);
    case CL_EVENT_COMMAND_TYPE: return INFO(cl_command_type, e->type);
    case CL_EVENT_COMMAND_EXECUTION_STATUS: return INFO(cl_int, event_status(e));
    case CL_EVENT_REFERENCE_COUNT: return INFO(cl_uint, atomic_load(&e->base.refs));
    default: return CL_INVALID_VALUE;
    }
}

cl_int CL_API_CALL clGetEventProfilingInfo(cl_event e, cl_profiling_info name, size_t size, void *value, size_t *size_ret)
{
    struct link *l = link_current();
    if (!object_is(e, KIND_EVENT))
        return CL_INVALID_EVENT;
    if (!l || !e->queue || !(e->queue->properties & CL_QUEUE_PROFILING_ENABLE) || event_status(e) != CL_COMPLETE)
        return CL_PROFILING_INFO_NOT_AVAILABLE;
    const struct wire_event *shared = wire_event(l->header, e->slot);
    switch (name) {
    case CL_PROFILING_COMMAND_QUEUED: return INFO(cl_ulong, shared->time_ns[0]);
    case CL_PROFILING_COMMAND_SUBMIT: return INFO(cl_ulong, shared->time_ns[1]);
    case CL_PROFILING_COMMAND_START: return INFO(cl_ulong, shared->time_ns[2]);
    case CL_PROFILING_COMMAND_END:
    case CL_PROFILING_COMMAND_COMPLETE: return INFO(cl_ulong, shared->time_ns[3]);
    default: return CL_INVALID_VALUE;
    }
}

struct callback {
    void (CL_CALLBACK *call)(cl_event, cl_int, void *);
    void *user;
    cl_int type;
};

static void run_callback(cl_event e, int32_t status, void *arg)
{
    struct callback *c = arg;
    c->call(e, status < 0 ? status : c->type, c->user);
    free(c);
}

cl_int CL_API_CALL clSetEventCallback(cl_event e, cl_int type, void (CL_CALLBACK *call)(cl_event, cl_int, void *), void *user)
{
    if (!object_is(e, KIND_EVENT))
        return CL_INVALID_EVENT;
    if (!call || (type != CL_SUBMITTED && type != CL_RUNNING && type != CL_COMPLETE))
        return CL_INVALID_VALUE;
    struct callback *c = malloc(sizeof *c);
    if (!c)
        return CL_OUT_OF_HOST_MEMORY;
    *c = (struct callback){ call, user, type };
    cl_int r = background_add(e, type, run_callback, c);
    if (r)
        free(c);
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Command queues: encoding a command and pushing it, waiting for a queue, markers and barriers. */
#include "guest/opencl/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Which queue states of the region are taken. The worker writes a state until the last command of its queue is done, which may be long after the
 * program has released the queue; only then may another queue have it. */
static struct {
    pthread_mutex_t lock;
    uint64_t used[WIRE_MAX_QUEUES / 64];
    struct { uint32_t state; uint64_t last; } closing[WIRE_MAX_QUEUES];
    uint32_t nclosing;
} states = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void state_free(uint32_t i) { states.used[i / 64] &= ~(UINT64_C(1) << i % 64); }

static void states_sweep(struct link *l)
{
    for (uint32_t i = 0; i < states.nclosing;) {
        uint32_t state = states.closing[i].state;
        if (atomic_load_explicit(&wire_queue_state(l->header, state)->completed, memory_order_acquire) >= states.closing[i].last) {
            state_free(state);
            states.closing[i] = states.closing[--states.nclosing];
        } else
            i++;
    }
}

static bool state_take(struct link *l, uint32_t *ret)
{
    bool found = false;
    pthread_mutex_lock(&states.lock);
    states_sweep(l);
    for (uint32_t i = 0; !found && i < WIRE_MAX_QUEUES; i++)
        if (!(states.used[i / 64] >> i % 64 & 1)) {
            states.used[i / 64] |= UINT64_C(1) << i % 64;
            *ret = i;
            found = true;
        }
    pthread_mutex_unlock(&states.lock);
    return found;
}

/* Gives the state back once `last` is completed. */
static void state_give(uint32_t i, uint64_t last)
{
    pthread_mutex_lock(&states.lock);
    states.closing[states.nclosing].state = i;      /* no more of them than states */
    states.closing[states.nclosing++].last = last;
    pthread_mutex_unlock(&states.lock);
}

void queues_fork(enum fork_step step)
{
    fork_lock(&states.lock, step);
    for (; step == FORK_CHILD && states.nclosing; states.nclosing--)
        state_free(states.closing[states.nclosing - 1].state);
}

static cl_int queue_open(cl_command_queue q)
{
    struct link *l = link_current();
    struct wire_queue_create_answer a = { 0 };
    void *buf = NULL;
    if (!l)
        return CL_OUT_OF_RESOURCES;
    q->base.id = link_id_new();
    if (!q->base.id || !state_take(l, &q->state)) {
        link_id_free(q->base.id);
        return CL_OUT_OF_RESOURCES;
    }
    struct wire_queue_state *s = wire_queue_state(l->header, q->state);
    atomic_store(&s->completed, 0);
    atomic_store(&s->error, 0);
    int r = LINK_CALL(l, queue_create, &a, &buf, .queue = q->base.id, .state = q->state, .properties = q->properties, .device = q->device->base.id);
    free(buf);
    if (r == 0 && a.error == CL_SUCCESS)
        return CL_SUCCESS;
    state_give(q->state, 0);
    link_id_free(q->base.id);
    return r < 0 ? CL_OUT_OF_RESOURCES : a.error;
}

static cl_command_queue queue_new(cl_context context, cl_device_id device, cl_command_queue_properties properties, const cl_queue_properties *list,
                                  size_t nlist, cl_int *error)
{
    if (!object_is(context, KIND_CONTEXT))
        *error = CL_INVALID_CONTEXT;
    else if (!object_is(device, KIND_DEVICE) || !context_has(context, device))
        *error = CL_INVALID_DEVICE;
    else if (properties & ~(cl_command_queue_properties)(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE))
        *error = properties >> 4 ? CL_INVALID_VALUE : CL_INVALID_QUEUE_PROPERTIES;    /* on-device queues are not offered */
    else
        *error = CL_SUCCESS;
    cl_command_queue q = *error ? NULL : calloc(1, sizeof *q);
    if (!q) {
        *error = *error ? *error : CL_OUT_OF_HOST_MEMORY;
        return NULL;
    }
    object_init(&q->base, KIND_QUEUE, 0);
    q->context = context;
    q->device = device;
    q->properties = properties;
    if (nlist && (q->list = malloc(nlist * sizeof *list))) {
        memcpy(q->list, list, nlist * sizeof *list);
        q->nlist = nlist;
    }
    *error = queue_open(q);
    if (*error) {
        free(q->list);
        free(q);
        return NULL;
    }
    object_ref(context);
    device_ref(device);
    return q;
}

cl_command_queue queue_internal(void)
{
    cl_command_queue q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    object_init(&q->base, KIND_QUEUE, 0);
    q->device = &the_device;
    if (queue_open(q) == CL_SUCCESS)
        return q;
    free(q);
    return NULL;
}

cl_command_queue CL_API_CALL clCreateCommandQueue(cl_context context, cl_device_id device, cl_command_queue_properties properties, cl_int *errcode_ret)
{
    cl_int e;
    cl_command_queue q = queue_new(context, device, properties, NULL, 0, &e);
    if (errcode_ret)
        *errcode_ret = e;
    return q;
}

cl_command_queue CL_API_CALL clCreateCommandQueueWithProperties(cl_context context, cl_device_id device, const cl_queue_properties *list, cl_int *errcode_ret)
{
    cl_command_queue_properties properties = 0;
    size_t n = 0;
    cl_int e = CL_SUCCESS;
    for (; list && list[n]; n += 2) {
        if (list[n] == CL_QUEUE_PROPERTIES)
            properties = (cl_command_queue_properties)list[n + 1];
        else
            e = list[n] == CL_QUEUE_SIZE ? CL_INVALID_QUEUE_PROPERTIES : CL_INVALID_VALUE;
    }
    cl_command_queue q = e ? NULL : queue_new(context, device, properties, list, list ? n + 1 : 0, &e);
    if (errcode_ret)
        *errcode_ret = e;
    return q;
}

cl_int CL_API_CALL clRetainCommandQueue(cl_command_queue q)
{
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    object_ref(q);
    return CL_SUCCESS;
}

void queue_release(cl_command_queue q)
{
    if (!object_unref(q))
        return;
    struct link *l = link_current();
    if (l) {
        LINK_POST(l, queue_destroy, .queue = q->base.id);
        state_give(q->state, q->enqueued);
        link_id_free(q->base.id);
    }
    q->base.kind = 0;
    device_release(q->device);
    context_release(q->context);
    free(q->list);
    free(q);
}

cl_int CL_API_CALL clReleaseCommandQueue(cl_command_queue q)
{
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    queue_release(q);
    return CL_SUCCESS;
}

cl_int CL_API_CALL clGetCommandQueueInfo(cl_command_queue q, cl_command_queue_info name, size_t size, void *value, size_t *size_ret)
{
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    switch (name) {
    case CL_QUEUE_CONTEXT: return INFO(cl_context, q->context);
    case CL_QUEUE_DEVICE: return INFO(cl_device_id, q->device);
    case CL_QUEUE_REFERENCE_COUNT: return INFO(cl_uint, atomic_load(&q->base.refs));
    case CL_QUEUE_PROPERTIES: return INFO(cl_command_queue_properties, q->properties);
    case CL_QUEUE_PROPERTIES_ARRAY: return info_put(q->list, q->nlist * sizeof *q->list, size, value, size_ret);
    case CL_QUEUE_DEVICE_DEFAULT: return INFO(cl_command_queue, NULL);
    case CL_QUEUE_SIZE: return CL_INVALID_COMMAND_QUEUE;
    default: return CL_INVALID_VALUE;
    }
}

cl_int CL_API_CALL clSetDefaultDeviceCommandQueue(cl_context context, cl_device_id device, cl_command_queue q)
{
    if (!object_is(context, KIND_CONTEXT))
        return CL_INVALID_CONTEXT;
    if (!object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    (void)q;
    return CL_INVALID_OPERATION;      /* a device without on-device queues (OpenCL 3.0, 5.1) */
}

void command_begin(struct command *c, cl_uint nwait, const cl_event *wait)
{
    struct wire_command head = { 0 };
    c->out = (struct wire_out){ c->small, 0, sizeof c->small, false, false };
    wire_put_bytes(&c->out, &head, sizeof head);
    for (cl_uint i = 0; i < nwait; i++) {
        if (event_status(wait[i]) == CL_COMPLETE)
            continue;
        struct wire_event_ref ref = { wait[i]->slot, wait[i]->generation };
        wire_put_bytes(&c->out, &ref, sizeof ref);
        head.waits++;
    }
    if (!c->out.bad)
        memcpy(c->out.buf, &head, sizeof head);
}

cl_int command_push(struct command *c, enum wire_op op, cl_command_queue q, cl_command_type type, cl_event *event)
{
    struct link *l = link_current();
    cl_event e = event && l ? event_new(q->context, q, type) : NULL;
    int r = !l ? -EPIPE : c->out.bad || (event && !e) ? -ENOMEM : 0;
    if (r == 0) {
        struct wire_command *head = (struct wire_command *)c->out.buf;
        head->queue = q->base.id;
        head->event = e ? (struct wire_event_ref){ e->slot, e->generation } : (struct wire_event_ref){ WIRE_NO_EVENT, 0 };
        if (e && q->properties & CL_QUEUE_PROFILING_ENABLE)
            wire_event(l->header, e->slot)->time_ns[0] = link_device_now(l);
        pthread_mutex_lock(&l->push_lock);
        head->sequence = q->enqueued + 1;
        r = atomic_load_explicit(&l->dead, memory_order_relaxed) ? -EPIPE
          : wire_ring_write(&l->command, (uint16_t)op, 0, c->out.buf, (uint32_t)c->out.len);
        if (r == 0)
            q->enqueued++;
        else
            atomic_store(&l->dead, true);
        pthread_mutex_unlock(&l->push_lock);
    }
    wire_out_done(&c->out);
    if (r < 0 && e) {
        event_complete(e, CL_OUT_OF_RESOURCES);
        event_release(e);
    }
    if (r == 0 && event)
        *event = e;
    return r == 0 ? CL_SUCCESS : r == -ENOMEM ? CL_OUT_OF_HOST_MEMORY : CL_OUT_OF_RESOURCES;
}

uint64_t queue_last(cl_command_queue q)
{
    struct link *l = link_current();
    pthread_mutex_lock(&l->push_lock);
    uint64_t n = q->enqueued;
    pthread_mutex_unlock(&l->push_lock);
    return n;
}

bool queue_idle(cl_command_queue q)
{
    struct link *l = link_current();
    return l && atomic_load_explicit(&wire_queue_state(l->header, q->state)->completed, memory_order_acquire) >= queue_last(q);
}

cl_int queue_drain(cl_command_queue q)
{
    struct link *l = link_current();
    return l && link_wait_queue(l, q->state, queue_last(q)) == 0 ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

cl_int queue_marker(cl_command_queue q, cl_command_type type, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    struct command c;
    bool barrier = type == CL_COMMAND_BARRIER, all = (barrier || type == CL_COMMAND_MARKER) && nwait == 0;
    command_begin(&c, nwait, wait);
    wire_put_marker(&c.out, &(struct wire_marker){ (all ? WIRE_MARKER_AFTER_ALL : 0) | (barrier ? WIRE_MARKER_BARRIER : 0) });
    return command_push(&c, WIRE_OP_marker, q, type, event);
}

cl_int queue_wait_turn(cl_command_queue q, cl_uint nwait, const cl_event *wait)
{
    cl_event turn;
    if (!(q->properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)) {
        cl_int r = events_wait(nwait, wait);
        return r == CL_SUCCESS ? queue_drain(q) : r;
    }
    cl_int r = queue_marker(q, 0, nwait, wait, &turn);
    if (r == CL_SUCCESS) {
        r = event_wait(turn);
        event_release(turn);
    }
    return r;
}

cl_int CL_API_CALL clFlush(cl_command_queue q)
{
    /* Every command is on its way as soon as it is enqueued. */
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    struct link *l = link_current();
    return l && !atomic_load_explicit(&l->dead, memory_order_relaxed) ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

cl_int CL_API_CALL clFinish(cl_command_queue q) { return object_is(q, KIND_QUEUE) ? queue_drain(q) : CL_INVALID_COMMAND_QUEUE; }

static cl_int enqueue_marker(cl_command_queue q, cl_command_type type, cl_uint n, const cl_event *list, cl_event *event)
{
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    cl_int e = events_check(q->context, n, list);
    return e ? e : queue_marker(q, type, n, list, event);
}

cl_int CL_API_CALL clEnqueueMarkerWithWaitList(cl_command_queue q, cl_uint n, const cl_event *list, cl_event *event)
{
    return enqueue_marker(q, CL_COMMAND_MARKER, n, list, event);
}

cl_int CL_API_CALL clEnqueueBarrierWithWaitList(cl_command_queue q, cl_uint n, const cl_event *list, cl_event *event)
{
    return enqueue_marker(q, CL_COMMAND_BARRIER, n, list, event);
}

cl_int CL_API_CALL clEnqueueMarker(cl_command_queue q, cl_event *event)
{
    return event ? enqueue_marker(q, CL_COMMAND_MARKER, 0, NULL, event) : CL_INVALID_VALUE;
}

cl_int CL_API_CALL clEnqueueBarrier(cl_command_queue q) { return enqueue_marker(q, CL_COMMAND_BARRIER, 0, NULL, NULL); }

cl_int CL_API_CALL clEnqueueWaitForEvents(cl_command_queue q, cl_uint n, const cl_event *list)
{
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (n == 0 || !list)
        return CL_INVALID_VALUE;
    cl_int e = events_check(q->context, n, list);
    return e == CL_INVALID_EVENT_WAIT_LIST ? CL_INVALID_EVENT : e ? e : queue_marker(q, CL_COMMAND_BARRIER, n, list, NULL);
}

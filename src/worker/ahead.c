/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling ahead of the turn: see ahead.h. */
#include "worker/ahead.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "worker/gate.h"
#include "worker/intake.h"

#include <errno.h>
#include <time.h>

#define TRIAL_NS (200 * NS_PER_US)     /* a fill of a few bytes takes less than a tenth of it */
#define WIDE 65535                     /* items along a dimension: PoCL makes code for larger ranges apart */

/* ---- trying the driver ---- */

struct trial { volatile char *page; char before, after; };

static void CL_CALLBACK look_and_wait(cl_event event, cl_int status, void *arg)
{
    struct trial *t = arg;
    t->before = t->page[0];
    nanosleep(&(struct timespec){ 0, (long)TRIAL_NS }, NULL);
    t->after = t->page[0];
}

bool ahead_is_possible(cl_context context, cl_command_queue q, cl_mem m, volatile char *page)
{
    const char pattern = 0x33;
    struct trial t = { .page = page, .before = pattern };
    cl_int e;
    cl_event event = NULL, start = clCreateUserEvent(context, &e);
    if (!start)
        return false;
    page[0] = 0;
    bool ok = clEnqueueFillBuffer(q, m, &pattern, 1, 0, 64, 1, &start, &event) == CL_SUCCESS &&
              clSetEventCallback(event, CL_RUNNING, look_and_wait, &t) == CL_SUCCESS;
    clSetUserEventStatus(start, CL_COMPLETE);
    ok = clFinish(q) == CL_SUCCESS && ok && t.before == 0 && t.after == 0 && page[0] == pattern;
    if (event)
        clReleaseEvent(event);
    clReleaseEvent(start);
    return ok;
}

/* ---- shapes ---- */

/* What the driver makes different code for. Without a local size it chooses one that divides the range, at most some powers of two. */
static uint64_t shape_of(const struct wire_ndrange *m)
{
    uint64_t shape = 1469598103934665603u, part;
    bool given = m->flags & 1, shifted = false, wide = false;
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t global = i < m->dimensions ? m->global[i] : 1;
        part = given ? i < m->dimensions ? m->local[i] : 1 : MIN(global & -global, UINT64_C(4096));
        shifted = shifted || m->offset[i];
        wide = wide || global >= WIDE;
        shape = (shape ^ part) * 1099511628211u;
    }
    return (shape ^ (uint64_t)(4 * given + 2 * shifted + wide)) * 1099511628211u | 1;
}

/* A kernel launched in ever new shapes is compiled for each inside its turn from some number on: looking them up must stay cheap. */
bool ahead_is_new(const struct command *c)
{
    struct object *o = c->objects[0];
    uint64_t shape = shape_of(&c->u.ndrange);
    bool found = false;
    pthread_mutex_lock(&o->u.kernel.lock);
    for (uint32_t i = 0; i < o->u.kernel.nshapes && !found; i++)
        found = o->u.kernel.shapes[i] == shape;
    bool room = o->u.kernel.nshapes < ARRAY_LEN(o->u.kernel.shapes);
    pthread_mutex_unlock(&o->u.kernel.lock);
    return !found && room;
}

void ahead_skip(const struct command *c)
{
    struct object *o = c->objects[0];
    pthread_mutex_lock(&o->u.kernel.lock);
    if (o->u.kernel.nshapes < ARRAY_LEN(o->u.kernel.shapes))
        o->u.kernel.shapes[o->u.kernel.nshapes++] = shape_of(&c->u.ndrange);
    pthread_mutex_unlock(&o->u.kernel.lock);
}

/* ---- launching ---- */

/* On a thread of the driver, which holds nothing but this event. Also called, once, when the launch fails before it runs. */
static void CL_CALLBACK on_running(cl_event event, cl_int status, void *arg)
{
    struct queue *q = arg;
    gate_enter_reserved(q->session->gate);
    sem_post(&q->turn_came);
}

void ahead_submit(struct queue *q, struct command *c)
{
    cl_int e;
    cl_event start = clCreateUserEvent(q->session->driver.context, &e);
    ahead_skip(c);
    if (start && clEnqueueBarrierWithWaitList(q->native, 1, &start, NULL) == CL_SUCCESS) {
        command_submit(q, c);
        if (c->native && clSetEventCallback(c->native, CL_RUNNING, on_running, q) == CL_SUCCESS)
            q->ahead = AHEAD_LAUNCHED;
    }
    if (q->ahead != AHEAD_LAUNCHED) {       /* without the driver's help: as any other launch, and nothing runs before the turn */
        gate_enter_reserved(q->session->gate);
        q->ahead = AHEAD_NO;
        if (!c->native && c->status == CL_SUCCESS)
            command_submit(q, c);
    }
    if (start) {
        clSetUserEventStatus(start, CL_COMPLETE);
        clReleaseEvent(start);
    }
}

void ahead_wait(struct queue *q, enum ahead state)
{
    struct session *s = q->session;
    intake_pause(s->intake);
    if (state == AHEAD_RESERVED)
        gate_enter_reserved(s->gate);       /* the launch for which the gate was reserved has come to nothing */
    while (state == AHEAD_LAUNCHED && sem_wait(&q->turn_came) < 0 && errno == EINTR)
        ;
    intake_resume(s->intake);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that this process carries out itself: copies between its memory and the arena, SVM commands, callbacks.
 *
 * Such a command first waits for what stands before it. Blocking calls and idle queues do that in the calling thread; otherwise two markers are enqueued,
 * and the background thread does the work between them. */
#include "guest/opencl/guest.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <stdlib.h>

/* An event for a command that this side carries out itself, already at its end. */
static cl_event done_event(cl_command_queue q, cl_command_type type, uint64_t begun)
{
    struct link *l = link_current();
    cl_event e = event_new(q->context, q, type);
    if (!e)
        return NULL;
    uint64_t *t = wire_event(l->header, e->slot)->time_ns;
    t[0] = t[1] = t[2] = begun;
    t[3] = MAX(link_device_now(l), begun + 1);
    event_complete(e, CL_COMPLETE);
    return e;
}

cl_int host_run_now(cl_command_queue q, host_fn run, void *arg, cl_command_type type, cl_event *event)
{
    uint64_t begun = link_device_now(link_current());
    cl_int r = run(arg);
    if (r == CL_SUCCESS && event && !(*event = done_event(q, type, begun)))
        r = CL_OUT_OF_RESOURCES;
    return r;
}

cl_int host_run_in_turn(cl_command_queue q, host_fn run, void *arg, cl_command_type type, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    cl_int r = queue_wait_turn(q, nwait, wait);
    return r == CL_SUCCESS ? host_run_now(q, run, arg, type, event) : r;
}

struct deferred { struct host_work work; cl_event gate, event; };

static void run_deferred(cl_event reached, int32_t status, void *arg)
{
    struct deferred *d = arg;
    struct link *l = link_current();
    if (d->event && l) {
        uint64_t *t = wire_event(l->header, d->event->slot)->time_ns;
        t[1] = t[2] = link_device_now(l);
    }
    cl_int r = status < 0 ? status : d->work.run(d->work.arg);
    (void)reached;
    event_complete(d->gate, r);
    event_release(d->gate);
    if (d->event)
        event_release(d->event);
    d->work.drop(d->work.arg);
    free(d);
}

/* marker `reached` (everything before is done) - the background thread works, then sets `gate` - marker that waits for `gate`. */
cl_int host_run_later(cl_command_queue q, const struct host_work *work, cl_command_type type, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    struct deferred *d = calloc(1, sizeof *d);
    cl_event reached = NULL, gate = d ? event_new(q->context, NULL, CL_COMMAND_USER) : NULL;
    if (!gate) {
        work->drop(work->arg);
        free(d);
        return CL_OUT_OF_HOST_MEMORY;
    }
    *d = (struct deferred){ .work = *work, .gate = gate };
    object_ref(gate);
    cl_int r = queue_marker(q, type, nwait, wait, &reached);
    if (r == CL_SUCCESS)
        r = queue_marker(q, type, 1, &gate, event);
    if (r == CL_SUCCESS && event) {
        d->event = *event;
        object_ref(d->event);
    }
    if (r == CL_SUCCESS)
        r = background_add(reached, CL_COMPLETE, run_deferred, d);
    if (r != CL_SUCCESS)
        run_deferred(NULL, CL_OUT_OF_RESOURCES, d);
    if (reached)
        event_release(reached);
    event_release(gate);
    return r;
}

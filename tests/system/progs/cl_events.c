/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: events, user events, callbacks, wait lists, markers and barriers, profiling. */
#include "cl_check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define SOON 15.0       /* seconds that anything may take on a crowded machine */

static int read_int(cl_mem m)
{
    int x;
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
    return x;
}

/* A kernel that adds one to a fresh buffer holding 0. */
static cl_kernel counter(cl_mem *ret_buffer)
{
    cl_kernel k = kernel("add_one");
    *ret_buffer = buffer_with(4, &(int){ 0 });
    set_args(k, 1, ARG(*ret_buffer));
    return k;
}

/* ---- callbacks ---- */

struct seen { _Atomic int calls, status; cl_event event; void *user; };

static void CL_CALLBACK note(cl_event e, cl_int status, void *user)
{
    struct seen *s = user;
    s->event = e;
    atomic_store(&s->status, status);
    atomic_fetch_add(&s->calls, 1);
}

static bool called(struct seen *s, int times)
{
    for (double end = now() + SOON; atomic_load(&s->calls) < times; usleep(500))
        if (now() > end)
            return false;
    return true;
}

static void callbacks_for_every_status(void)
{
    static struct seen seen[3];
    static const cl_int types[3] = { CL_SUBMITTED, CL_RUNNING, CL_COMPLETE };
    cl_mem m;
    cl_kernel k = counter(&m);
    cl_event gate = user_event(), e = launch(queue, k, 1, 1, &gate);
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < 3; i++)
        CL(clSetEventCallback(e, types[i], note, &seen[i]));
    CL(clFlush(queue));
    pause_ms(20);
    CHECK(atomic_load(&seen[2].calls) == 0);
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    for (int i = 0; i < 3; i++) {
        CHECK(called(&seen[i], 1), "type %d", types[i]);
        CHECK(seen[i].event == e);
        CHECK(atomic_load(&seen[i].status) == types[i], "%d", atomic_load(&seen[i].status));
    }
    CL(clFinish(queue));
    pause_ms(20);
    for (int i = 0; i < 3; i++)
        CHECK(atomic_load(&seen[i].calls) == 1);
}

static void callback_on_finished_event(void)
{
    static struct seen seen;
    cl_mem m;
    cl_event e = launch(queue, counter(&m), 1, 0, NULL);
    memset(&seen, 0, sizeof seen);
    CL(clWaitForEvents(1, &e));
    CL(clSetEventCallback(e, CL_COMPLETE, note, &seen));
    CHECK(called(&seen, 1));
    CHECK(atomic_load(&seen.status) == CL_COMPLETE);
}

static void thousand_callbacks(void)
{
    static struct seen seen;
    cl_event gate = user_event(), all[1000];
    memset(&seen, 0, sizeof seen);
    for (int i = 0; i < 1000; i++) {
        CL(clEnqueueMarkerWithWaitList(queue, 1, &gate, &all[i]));
        CL(clSetEventCallback(all[i], CL_COMPLETE, note, &seen));
        CL(clSetEventCallback(gate, CL_COMPLETE, note, &seen));
        CL(clReleaseEvent(all[i]));         /* the callback comes nevertheless */
    }
    CL(clFlush(queue));
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CHECK(called(&seen, 2000), "%d", atomic_load(&seen.calls));
    CL(clFinish(queue));
    CHECK(atomic_load(&seen.calls) == 2000);
}

static void CL_CALLBACK open_gate(cl_event e, cl_int status, void *user) { clSetUserEventStatus(user, CL_COMPLETE); }

/* Kernel on one queue; its callback sets the user event that a kernel on another queue waits for. */
static void callback_lets_another_queue_go(void)
{
    cl_mem a, b;
    cl_kernel first = counter(&a), second = counter(&b);
    cl_command_queue other = queue_with(0);
    for (int i = 0; i < 100; i++) {
        cl_event gate = user_event(), e2 = launch(other, second, 1, 1, &gate), e1 = launch(queue, first, 1, 0, NULL);
        CL(clSetEventCallback(e1, CL_COMPLETE, open_gate, gate));
        CL(clFlush(queue));
        CL(clFlush(other));
        CHECK(reaches(e2, CL_COMPLETE, SOON));
        CHECK(status_of(e1) == CL_COMPLETE);
        CL(clReleaseEvent(e1));
        CL(clReleaseEvent(e2));
        CL(clReleaseEvent(gate));
    }
    CHECK(read_int(a) == 100 && read_int(b) == 100);
    CL(clReleaseCommandQueue(other));
}

struct chain { cl_kernel kernel; cl_event last; _Atomic int left; };

static void CL_CALLBACK enqueue_next(cl_event e, cl_int status, void *user)
{
    struct chain *c = user;
    size_t one = 1;
    cl_event next;
    if (atomic_fetch_sub(&c->left, 1) <= 1)
        return;
    if (clEnqueueNDRangeKernel(queue, c->kernel, 1, NULL, &one, NULL, 0, NULL, &next) == CL_SUCCESS) {
        clSetEventCallback(next, CL_COMPLETE, enqueue_next, c);
        clFlush(queue);
        clReleaseEvent(next);
    }
}

static void callbacks_enqueue_more(void)
{
    static struct chain c;
    cl_mem m;
    c.kernel = counter(&m);
    atomic_store(&c.left, 50);
    cl_event e = launch(queue, c.kernel, 1, 0, NULL);
    CL(clSetEventCallback(e, CL_COMPLETE, enqueue_next, &c));
    CL(clFlush(queue));
    for (double end = now() + SOON; atomic_load(&c.left) > 0; usleep(500))
        CHECK(now() < end, "%d are left", atomic_load(&c.left));
    CL(clFinish(queue));
    CHECK(read_int(m) == 50);
}

/* ---- user events ---- */

static void gated(cl_command_queue q)
{
    cl_mem m;
    cl_kernel k = counter(&m);
    cl_event gate = user_event(), e = launch(q, k, 1, 1, &gate);
    CL(clFlush(q));
    CHECK(status_of(gate) == CL_SUBMITTED);
    pause_ms(30);
    CHECK(status_of(e) > CL_RUNNING, "%d", status_of(e));
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CHECK(status_of(gate) == CL_COMPLETE);
    CL(clWaitForEvents(1, &e));
    CHECK(status_of(e) == CL_COMPLETE);
    CHECK(read_int(m) == 1);
}

static void user_event_gates_in_order_queue(void) { gated(queue); }
static void user_event_gates_out_of_order_queue(void) { gated(queue_with(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)); }

static void later_commands_of_in_order_queue_wait_too(void)
{
    cl_mem a, b;
    cl_kernel first = counter(&a), second = counter(&b);
    cl_event gate = user_event(), e1 = launch(queue, first, 1, 1, &gate), e2 = launch(queue, second, 1, 0, NULL);
    CL(clFlush(queue));
    pause_ms(30);
    CHECK(status_of(e2) > CL_COMPLETE);
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clFinish(queue));
    CHECK(status_of(e1) == CL_COMPLETE && status_of(e2) == CL_COMPLETE);
}

static void out_of_order_commands_overtake(void)
{
    cl_command_queue q = queue_with(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_mem a, b;
    cl_kernel first = counter(&a), second = counter(&b);
    cl_event gate = user_event(), e1 = launch(q, first, 1, 1, &gate), e2 = launch(q, second, 1, 0, NULL);
    CL(clFlush(q));
    bool overtook = reaches(e2, CL_COMPLETE, 2);
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clFinish(q));
    CHECK(status_of(e1) == CL_COMPLETE);
    CHECK(overtook);
}

/* Everything that does not wait itself goes on: kernels, transfers of every kind, markers with a wait list, other queues' commands. */
static void out_of_order_all_kinds_overtake(void)
{
    cl_command_queue q = queue_with(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE), other = queue_with(0);
    cl_mem a, b, c = buffer_with(64, &(char[64]){ 1 });
    int x = 7, got = 0, pattern = 9;
    cl_kernel first = counter(&a), second = counter(&b);
    cl_event gate = user_event(), held = launch(q, first, 1, 1, &gate), e[6];
    e[0] = launch(q, second, 1, 0, NULL);
    e[1] = launch(other, second, 1, 1, &e[0]);
    e[2] = launch(q, second, 1, 1, &e[1]);
    CL(clEnqueueWriteBuffer(q, c, CL_FALSE, 0, sizeof x, &x, 0, NULL, &e[3]));
    CL(clEnqueueFillBuffer(q, c, &pattern, sizeof pattern, 32, 32, 1, &e[3], &e[4]));
    CL(clEnqueueMarkerWithWaitList(q, 1, &e[4], &e[5]));
    CL(clFlush(q));
    CL(clFlush(other));
    for (int i = 0; i < (on_share ? 6 : 5); i++)        /* PoCL's markers wait for everything, with a wait list too */
        CHECK(reaches(e[i], CL_COMPLETE, SOON), "command %d", i);
    if (!on_share)           /* PoCL's blocking calls wait for the whole queue */
        CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clEnqueueReadBuffer(q, c, CL_TRUE, 0, sizeof got, &got, 0, NULL, NULL));
    CHECK(got == 7);
    CL(clEnqueueReadBuffer(q, b, CL_TRUE, 0, sizeof got, &got, 1, &e[2], NULL));
    CHECK(got == 3);
    int *map = MAKE(clEnqueueMapBuffer(q, c, CL_TRUE, CL_MAP_READ, 32, 32, 0, NULL, NULL, &error_));
    CHECK(*map == 9);
    CL(clEnqueueUnmapMemObject(q, c, map, 0, NULL, NULL));
    if (on_share) {
        CHECK(status_of(held) > CL_COMPLETE);
        CL(clSetUserEventStatus(gate, CL_COMPLETE));
    }
    CL(clFinish(q));
    CHECK(status_of(held) == CL_COMPLETE && read_int(a) == 1);
    CL(clReleaseCommandQueue(q));
}

/* With a wait list a barrier waits for that alone, and holds up what comes behind it, but nothing in front of it. */
static void out_of_order_barrier_with_list(void)
{
    cl_command_queue q = queue_with(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_mem a, b, c;
    cl_event gates[2] = { user_event(), user_event() }, barrier, marker;
    cl_event before = launch(q, counter(&a), 1, 1, &gates[0]);
    CL(clEnqueueBarrierWithWaitList(q, 1, &gates[1], &barrier));
    cl_event behind = launch(q, counter(&b), 1, 0, NULL);
    CL(clFlush(q));
    pause_ms(30);
    CHECK(status_of(barrier) > CL_COMPLETE && status_of(behind) > CL_COMPLETE);
    CL(clSetUserEventStatus(gates[1], CL_COMPLETE));
    CHECK(reaches(behind, CL_COMPLETE, SOON) && status_of(barrier) == CL_COMPLETE && status_of(before) > CL_COMPLETE);
    CL(clEnqueueMarkerWithWaitList(q, 0, NULL, &marker));
    cl_event last = launch(q, counter(&c), 1, 0, NULL);
    CL(clFlush(q));
    CHECK(reaches(last, CL_COMPLETE, SOON), "a marker holds up nothing");
    CHECK(status_of(marker) > CL_COMPLETE, "it waits for all before it");
    CL(clSetUserEventStatus(gates[0], CL_COMPLETE));
    CL(clFinish(q));
    CHECK(status_of(marker) == CL_COMPLETE && read_int(a) == 1 && read_int(b) == 1 && read_int(c) == 1);
    CL(clReleaseCommandQueue(q));
}

/* Eight chains of commands that cross three queues at random, a tenth of them held by one of sixteen user events that are set meanwhile. */
static void chains_across_queues(void)
{
    enum { CHAINS = 8, GATES = 16, N = 1600 };
    cl_command_queue q[3] = { queue_with(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE), queue_with(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE), queue_with(0) };
    uint64_t random = 77;
    cl_mem m[CHAINS];
    cl_kernel k[CHAINS];
    cl_event last[CHAINS] = { 0 }, gates[GATES];
    uint32_t expected[CHAINS] = { 0 }, got;
    for (int i = 0; i < CHAINS; i++) {
        m[i] = buffer_with(4, &(int){ 0 });
        k[i] = kernel("triple");
        set_args(k[i], 1, ARG(m[i]));
    }
    for (int i = 0; i < GATES; i++)
        gates[i] = user_event();
    for (int i = 0; i < N; i++) {
        unsigned chain = (unsigned)random_below(&random, CHAINS), n = 0;
        cl_event wait[2];
        if (last[chain])
            wait[n++] = last[chain];
        if (random_below(&random, 10) == 0)
            wait[n++] = gates[random_below(&random, GATES)];
        cl_event e = launch(q[random_below(&random, 3)], k[chain], 1, n, n ? wait : NULL);
        if (last[chain])
            CL(clReleaseEvent(last[chain]));
        last[chain] = e;
        expected[chain] = 3 * expected[chain] + 1;
        if (i % (N / GATES) == N / GATES - 1)
            CL(clSetUserEventStatus(gates[i / (N / GATES)], CL_COMPLETE));
    }
    for (int i = 0; i < 3; i++)
        CL(clFlush(q[i]));
    for (int i = 0; i < CHAINS; i++) {
        CL(clEnqueueReadBuffer(q[0], m[i], CL_TRUE, 0, 4, &got, 1, &last[i], NULL));
        CHECK(got == expected[i], "chain %d", i);
    }
    for (int i = 0; i < 3; i++)
        CL(clReleaseCommandQueue(q[i]));
}

static void *set_later(void *arg)
{
    pause_ms(50);
    clSetUserEventStatus(arg, CL_COMPLETE);
    return NULL;
}

static void waiting_for_user_event_of_another_thread(void)
{
    pthread_t t;
    cl_mem m;
    cl_event gate = user_event();
    run_kernel(queue, counter(&m), 1);
    CHECK(pthread_create(&t, NULL, set_later, gate) == 0);
    CL(clWaitForEvents(1, &gate));
    CHECK(status_of(gate) == CL_COMPLETE);
    pthread_join(t, NULL);
    CL(clFinish(queue));
}

static void failed_user_event_stops_what_waits(void)
{
    cl_mem m;
    cl_kernel k = counter(&m);
    cl_command_queue q = queue_with(0);
    cl_event gate = user_event(), e1 = launch(q, k, 1, 1, &gate), e2 = launch(q, k, 1, 1, &e1);
    CL(clFlush(q));
    CL(clSetUserEventStatus(gate, -5));
    EXPECT(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, clWaitForEvents(1, &e1));
    EXPECT(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, clWaitForEvents(1, &e2));
    CHECK(status_of(gate) == -5);
    CHECK(status_of(e1) < 0 && status_of(e2) < 0, "%d %d", status_of(e1), status_of(e2));
    CL(clReleaseCommandQueue(q));
    CHECK(read_int(m) == 0);          /* neither ran */
    run_kernel(queue, k, 1);
    CHECK(read_int(m) == 1);          /* and other queues go on */
}

static void failed_event_calls_back_with_its_error(void)
{
    static struct seen seen;
    cl_mem m;
    cl_kernel k = counter(&m);
    cl_command_queue q = queue_with(0);
    cl_event gate = user_event(), e1 = launch(q, k, 1, 1, &gate), e2 = launch(q, k, 1, 1, &e1);
    memset(&seen, 0, sizeof seen);
    CL(clSetEventCallback(e2, CL_COMPLETE, note, &seen));
    CL(clFlush(q));
    CL(clSetUserEventStatus(gate, -5));
    CHECK(called(&seen, 1));
    CHECK(atomic_load(&seen.status) < 0);
}

static void failed_event_in_long_wait_list(void)
{
    cl_mem m;
    cl_kernel k = counter(&m);
    cl_command_queue q = queue_with(0);
    cl_event gates[40];
    for (int i = 0; i < 40; i++)
        gates[i] = user_event();
    cl_event e = launch(q, k, 1, 40, gates);
    CL(clFlush(q));
    for (int i = 0; i < 40; i++)
        CL(clSetUserEventStatus(gates[i], i == 17 ? -1 : CL_COMPLETE));
    EXPECT(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, clWaitForEvents(1, &e));
    CHECK(status_of(e) < 0);
    CHECK(read_int(m) == 0);
}

static void failed_transfers_leave_memory_alone(void)
{
    static uint8_t data[100000], back[100000];
    cl_mem m = buffer_with(sizeof data, back);
    cl_command_queue q = queue_with(0);
    cl_event gate = user_event(), w, r;
    memset(data, 1, sizeof data);
    CL(clEnqueueWriteBuffer(q, m, CL_FALSE, 0, sizeof data, data, 1, &gate, &w));
    memset(back, 2, sizeof back);
    CL(clEnqueueReadBuffer(q, m, CL_FALSE, 0, sizeof back, back, 1, &gate, &r));
    CL(clFlush(q));
    CL(clSetUserEventStatus(gate, -7));
    EXPECT(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, clWaitForEvents(1, &w));
    EXPECT(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, clWaitForEvents(1, &r));
    CHECK(back[0] == 2 && back[sizeof back - 1] == 2);
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, sizeof back, back, 0, NULL, NULL));
    CHECK(back[0] == 0 && back[sizeof back - 1] == 0);
}

static void user_event_is_set_once(void)
{
    cl_mem m;
    cl_event gate = user_event(), e = launch(queue, counter(&m), 1, 0, NULL);
    EXPECT(CL_INVALID_VALUE, clSetUserEventStatus(gate, CL_SUBMITTED));
    EXPECT(CL_INVALID_EVENT, clSetUserEventStatus(e, CL_COMPLETE));
    EXPECT(CL_INVALID_EVENT, clSetUserEventStatus(NULL, CL_COMPLETE));
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    EXPECT(CL_INVALID_OPERATION, clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clFinish(queue));
}

/* A user event that nobody ever sets, and that the program has let go of, must not use up the room for others. */
static void abandoned_user_event_blocks_nothing(void)
{
    cl_mem m;
    cl_kernel k = counter(&m);
    cl_event e;
    CL(clReleaseEvent(user_event()));
    for (int i = 0; i < 150000; i++) {
        CL(clEnqueueMarkerWithWaitList(queue, 0, NULL, &e));
        CL(clReleaseEvent(e));
        if (i % 1000 == 0)
            CL(clFinish(queue));
    }
    e = launch(queue, k, 1, 0, NULL);
    CL(clWaitForEvents(1, &e));
}

/* ---- wait lists, markers, barriers ---- */

static void two_queues_in_turn(void)
{
    cl_command_queue q[2] = { queue_with(0), queue_with(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) };
    cl_kernel k = kernel("triple");
    cl_mem m = buffer_with(4, &(int){ 0 });
    cl_event last = NULL;
    uint32_t expected = 0, got;
    set_args(k, 1, ARG(m));
    for (int i = 0; i < 300; i++) {
        cl_event e = launch(q[i % 2], k, 1, last ? 1 : 0, last ? &last : NULL);
        CL(clFlush(q[i % 2]));
        if (last)
            CL(clReleaseEvent(last));
        last = e;
        expected = 3 * expected + 1;
    }
    CL(clEnqueueReadBuffer(q[0], m, CL_TRUE, 0, 4, &got, 1, &last, NULL));
    CHECK(got == expected);
}

static void marker_waits_for_all_before_it(void)
{
    static const cl_command_queue_properties kinds[] = { 0, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE };
    for (int i = 0; i < 2; i++) {
        cl_command_queue q = queue_with(kinds[i]);
        cl_mem m;
        cl_event gate = user_event(), marker, barrier, listed, e = launch(q, counter(&m), 1, 1, &gate);
        CL(clEnqueueMarkerWithWaitList(q, 0, NULL, &marker));
        CL(clEnqueueBarrierWithWaitList(q, 0, NULL, &barrier));
        CL(clEnqueueMarkerWithWaitList(q, 1, &e, &listed));
        CL(clFlush(q));
        pause_ms(20);
        CHECK(status_of(marker) > CL_COMPLETE && status_of(barrier) > CL_COMPLETE && status_of(listed) > CL_COMPLETE);
        CL(clSetUserEventStatus(gate, CL_COMPLETE));
        cl_event all[3] = { listed, barrier, marker };
        CL(clWaitForEvents(3, all));
        CHECK(status_of(e) == CL_COMPLETE);
        CHECK(read_int(m) == 1);
        CL(clReleaseCommandQueue(q));
    }
}

static void barrier_orders_out_of_order_queue(void)
{
    cl_command_queue q = queue_with(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_kernel k = kernel("triple");
    cl_mem m = buffer_with(4, &(int){ 0 });
    uint32_t expected = 0, got;
    set_args(k, 1, ARG(m));
    for (int i = 0; i < 100; i++) {
        run_kernel(q, k, 1);
        CL(clEnqueueBarrierWithWaitList(q, 0, NULL, NULL));
        expected = 3 * expected + 1;
    }
    CL(clEnqueueReadBuffer(q, m, CL_TRUE, 0, 4, &got, 0, NULL, NULL));
    CHECK(got == expected);
    CL(clReleaseCommandQueue(q));
}

static void old_markers_and_barriers(void)
{
    cl_mem m;
    cl_event gate = user_event(), marker;
    cl_command_queue q = queue_with(0);
    if (on_share)            /* PoCL ends the program here: "unimplemented" */
        CL(clEnqueueWaitForEvents(q, 1, &gate));
    else
        CL(clEnqueueBarrierWithWaitList(q, 1, &gate, NULL));
    run_kernel(q, counter(&m), 1);
    CL(clEnqueueBarrier(q));
    CL(clEnqueueMarker(q, &marker));
    CL(clFlush(q));
    pause_ms(10);
    CHECK(status_of(marker) > CL_COMPLETE);
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clWaitForEvents(1, &marker));
    CHECK(read_int(m) == 1);
    CL(clReleaseCommandQueue(q));
}

/* ---- life and numbers ---- */

static void events_released_before_they_finish(void)
{
    cl_mem m;
    cl_kernel k = counter(&m);
    for (int i = 0; i < 5000; i++)
        CL(clReleaseEvent(launch(queue, k, 1, 0, NULL)));
    CL(clFinish(queue));
    CHECK(read_int(m) == 5000);
    cl_event gate = user_event();
    CL(clReleaseEvent(launch(queue, k, 1, 1, &gate)));
    CL(clFlush(queue));
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clReleaseEvent(gate));
    CL(clFinish(queue));
    CHECK(read_int(m) == 5001);
}

static void fifty_thousand_live_events(void)
{
    enum { N = 50000 };
    cl_mem m;
    cl_kernel k = counter(&m);
    cl_event *all = calloc(N, sizeof *all);
    for (int i = 0; i < N; i++)
        all[i] = launch(queue, k, 1, 0, NULL);
    CL(clWaitForEvents(1, &all[N - 1]));
    for (int i = 0; i < N; i++)
        CHECK(status_of(all[i]) == CL_COMPLETE, "event %d", i);
    CHECK(read_int(m) == N);
    for (int i = 0; i < N; i++)
        CL(clReleaseEvent(all[i]));
    free(all);
}

static void thousands_of_commands_behind_a_user_event(void)
{
    enum { N = 20000 };
    cl_mem m;
    cl_kernel k = counter(&m);
    cl_event gate = user_event();
    CL(clEnqueueMarkerWithWaitList(queue, 1, &gate, NULL));
    for (int i = 0; i < N; i++)
        run_kernel(queue, k, 1);
    CL(clFlush(queue));
    cl_mem other = buffer(1 << 20);       /* calls that need an answer are not held up */
    CL(clReleaseMemObject(other));
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clFinish(queue));
    CHECK(read_int(m) == N);
}

static void event_tells_of_itself(void)
{
    cl_mem m;
    cl_event e = launch(queue, counter(&m), 1, 0, NULL), u = user_event();
    cl_command_queue q = NULL;
    cl_context c = NULL;
    cl_command_type type = 0;
    cl_uint refs = 0;
    CL(clGetEventInfo(e, CL_EVENT_COMMAND_QUEUE, sizeof q, &q, NULL));
    CL(clGetEventInfo(e, CL_EVENT_CONTEXT, sizeof c, &c, NULL));
    CL(clGetEventInfo(e, CL_EVENT_COMMAND_TYPE, sizeof type, &type, NULL));
    CHECK(q == queue && c == context && type == CL_COMMAND_NDRANGE_KERNEL);
    CL(clGetEventInfo(u, CL_EVENT_COMMAND_QUEUE, sizeof q, &q, NULL));
    CL(clGetEventInfo(u, CL_EVENT_COMMAND_TYPE, sizeof type, &type, NULL));
    CHECK(!q && type == CL_COMMAND_USER);
    CL(clRetainEvent(u));
    CL(clGetEventInfo(u, CL_EVENT_REFERENCE_COUNT, sizeof refs, &refs, NULL));
    CHECK(refs == 2);
    CL(clReleaseEvent(u));
    CL(clSetUserEventStatus(u, CL_COMPLETE));
    CL(clReleaseEvent(u));
    CL(clFinish(queue));
}

static void command_types_are_told(void)
{
    static const struct { const char *name; cl_command_type type; } kinds[] = {
        { "read", CL_COMMAND_READ_BUFFER }, { "write", CL_COMMAND_WRITE_BUFFER }, { "copy", CL_COMMAND_COPY_BUFFER }, { "fill", CL_COMMAND_FILL_BUFFER },
        { "map", CL_COMMAND_MAP_BUFFER }, { "unmap", CL_COMMAND_UNMAP_MEM_OBJECT }, { "marker", CL_COMMAND_MARKER }, { "barrier", CL_COMMAND_BARRIER },
        { "migrate", CL_COMMAND_MIGRATE_MEM_OBJECTS }, { "task", CL_COMMAND_TASK },
    };
    char data[64] = "";
    cl_mem a = buffer_with(64, data), b = buffer_with(64, data), c;
    cl_event e[10];
    CL(clEnqueueReadBuffer(queue, a, CL_TRUE, 0, 64, data, 0, NULL, &e[0]));
    CL(clEnqueueWriteBuffer(queue, a, CL_TRUE, 0, 64, data, 0, NULL, &e[1]));
    CL(clEnqueueCopyBuffer(queue, a, b, 0, 0, 64, 0, NULL, &e[2]));
    CL(clEnqueueFillBuffer(queue, a, data, 4, 0, 64, 0, NULL, &e[3]));
    void *p = MAKE(clEnqueueMapBuffer(queue, a, CL_TRUE, CL_MAP_READ, 0, 64, 0, NULL, &e[4], &error_));
    CL(clEnqueueUnmapMemObject(queue, a, p, 0, NULL, &e[5]));
    CL(clEnqueueMarkerWithWaitList(queue, 0, NULL, &e[6]));
    CL(clEnqueueBarrierWithWaitList(queue, 0, NULL, &e[7]));
    CL(clEnqueueMigrateMemObjects(queue, 1, &a, 0, 0, NULL, &e[8]));
    CL(clEnqueueTask(queue, counter(&c), 0, NULL, &e[9]));
    CL(clWaitForEvents(10, e));
    for (int i = 0; i < 10; i++) {
        cl_command_type type = 0;
        CL(clGetEventInfo(e[i], CL_EVENT_COMMAND_TYPE, sizeof type, &type, NULL));
        CHECK(type == kinds[i].type || (i == 9 && type == CL_COMMAND_NDRANGE_KERNEL), "%s tells %x", kinds[i].name, type);
        CHECK(status_of(e[i]) == CL_COMPLETE);
    }
}

/* ---- profiling ---- */

static void times_of(cl_event e, cl_ulong t[4])
{
    static const cl_profiling_info names[4] = { CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT, CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_END };
    for (int i = 0; i < 4; i++)
        CL(clGetEventProfilingInfo(e, names[i], sizeof t[i], &t[i], NULL));
}

static void profiling_times_are_ordered_and_plausible(void)
{
    cl_ulong t[4], before = 0, after = 0, host;
    cl_kernel k = kernel("slow");
    cl_mem m = buffer_with(4, &(cl_uint){ 1 });
    cl_uint rounds = 20000000;
    cl_event warm, e;
    set_args(k, 2, ARG(m), ARG(rounds));
    warm = launch(queue, k, 1, 0, NULL);
    CL(clWaitForEvents(1, &warm));
    bool timer = clGetDeviceAndHostTimer(device, &before, &host) == CL_SUCCESS;
    double begun = now();
    e = launch(queue, k, 1, 0, NULL);
    CL(clWaitForEvents(1, &e));
    double took = now() - begun;
    if (timer)
        CL(clGetDeviceAndHostTimer(device, &after, &host));
    times_of(e, t);
    CHECK(t[0] && t[0] <= t[1] && t[1] <= t[2] && t[2] < t[3], "%lu %lu %lu %lu", t[0], t[1], t[2], t[3]);
    CHECK((double)(t[3] - t[0]) * 1e-9 <= took + 0.001, "%.6f of %.6f s", (double)(t[3] - t[0]) * 1e-9, took);
    CHECK((double)(t[3] - t[2]) * 1e-9 > 0.001, "20 million rounds take more than a millisecond");
    if (on_share) {       /* the device's timer and the profiling times are one clock; 2 ms for measuring their difference */
        CHECK(timer);
        CHECK(before < t[0] + 2000000 && t[3] < after + 2000000, "%lu [%lu %lu] %lu", before, t[0], t[3], after);
    }
}

static cl_ulong device_time(void)
{
    cl_ulong device_ns = 0, host_ns;
    CL(clGetDeviceAndHostTimer(device, &device_ns, &host_ns));
    return device_ns;
}

/* A command is queued when the program enqueues it, however long it waits then; a copy that waited lasts as long as the copy. */
static void profiling_tells_when_a_command_was_enqueued(void)
{
    static uint8_t data[64 << 20];
    cl_mem m, from = buffer_with(sizeof data, data);
    cl_kernel k = counter(&m);
    cl_ulong t[4], host;
    if (clGetDeviceAndHostTimer(device, t, &host) != CL_SUCCESS)
        return;
    for (int i = 0; i < 2; i++) {
        cl_event gate = user_event(), e = NULL;
        cl_ulong before = device_time(), after, released;
        if (i)
            CL(clEnqueueReadBuffer(queue, from, CL_FALSE, 0, sizeof data, data, 1, &gate, &e));
        else
            e = launch(queue, k, 1, 1, &gate);
        after = device_time();
        pause_ms(5);
        released = device_time();
        CL(clSetUserEventStatus(gate, CL_COMPLETE));
        CL(clWaitForEvents(1, &e));
        times_of(e, t);
        CHECK(before <= t[0] && t[0] <= after, "command %d was enqueued at %lu: %lu, %lu", i, before, t[0], after);
        CHECK(released < t[2] + 1000000 && t[2] < t[3] && t[3] < device_time() + 1000000, "command %d: %lu, %lu, %lu", i, released, t[2], t[3]);
        CHECK(!i || t[3] - t[2] > sizeof data / 200, "64 MiB in %lu ns", t[3] - t[2]);      /* 200 GB/s would be faster than any processor */
    }
}

static void profiling_of_transfers_and_markers(void)
{
    static uint8_t data[1 << 20];
    cl_mem m = buffer(sizeof data);
    cl_event e[4];
    cl_ulong t[4], last = 0;
    CL(clEnqueueWriteBuffer(queue, m, CL_FALSE, 0, sizeof data, data, 0, NULL, &e[0]));
    CL(clEnqueueFillBuffer(queue, m, data, 4, 0, sizeof data, 0, NULL, &e[1]));
    CL(clEnqueueReadBuffer(queue, m, CL_FALSE, 0, sizeof data, data, 0, NULL, &e[2]));
    CL(clEnqueueMarkerWithWaitList(queue, 0, NULL, &e[3]));
    CL(clFinish(queue));
    for (int i = 0; i < 4; i++) {
        times_of(e[i], t);
        CHECK(t[0] && t[0] <= t[1] && t[1] <= t[2] && t[2] <= t[3], "command %d: %lu %lu %lu %lu", i, t[0], t[1], t[2], t[3]);
        CHECK(t[3] >= last, "command %d ends before the one in front of it", i);
        last = t[3];
    }
}

static void profiling_is_not_there_too_early_or_unasked(void)
{
    cl_mem m;
    cl_kernel k = counter(&m);
    cl_command_queue plain = queue_with(0);
    cl_event gate = user_event(), e = launch(queue, k, 1, 1, &gate), unasked = launch(plain, k, 1, 0, NULL);
    cl_ulong t;
    EXPECT(CL_PROFILING_INFO_NOT_AVAILABLE, clGetEventProfilingInfo(e, CL_PROFILING_COMMAND_END, sizeof t, &t, NULL));
    EXPECT(CL_PROFILING_INFO_NOT_AVAILABLE, clGetEventProfilingInfo(gate, CL_PROFILING_COMMAND_END, sizeof t, &t, NULL));
    CL(clWaitForEvents(1, &unasked));
    EXPECT(CL_PROFILING_INFO_NOT_AVAILABLE, clGetEventProfilingInfo(unasked, CL_PROFILING_COMMAND_END, sizeof t, &t, NULL));
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clFinish(queue));
    EXPECT(CL_INVALID_VALUE, clGetEventProfilingInfo(e, 0x4242, sizeof t, &t, NULL));
    EXPECT(CL_INVALID_VALUE, clGetEventProfilingInfo(e, CL_PROFILING_COMMAND_END, 4, &t, NULL));
    CL(clReleaseCommandQueue(plain));
}

static const struct check list[] = {
    { "callbacks_for_every_status", callbacks_for_every_status },
    { "callback_on_finished_event", callback_on_finished_event },
    { "thousand_callbacks", thousand_callbacks },
    { "callback_lets_another_queue_go", callback_lets_another_queue_go },
    { "callbacks_enqueue_more", callbacks_enqueue_more },
    { "user_event_gates_in_order_queue", user_event_gates_in_order_queue },
    { "user_event_gates_out_of_order_queue", user_event_gates_out_of_order_queue },
    { "later_commands_of_in_order_queue_wait_too", later_commands_of_in_order_queue_wait_too },
    { "out_of_order_commands_overtake", out_of_order_commands_overtake },
    { "out_of_order_all_kinds_overtake", out_of_order_all_kinds_overtake },
    { "out_of_order_barrier_with_list", out_of_order_barrier_with_list },
    { "chains_across_queues", chains_across_queues },
    { "waiting_for_user_event_of_another_thread", waiting_for_user_event_of_another_thread },
    { "failed_user_event_stops_what_waits", failed_user_event_stops_what_waits },
    { "failed_event_calls_back_with_its_error", failed_event_calls_back_with_its_error },
    { "failed_event_in_long_wait_list", failed_event_in_long_wait_list },
    { "failed_transfers_leave_memory_alone", failed_transfers_leave_memory_alone },
    { "user_event_is_set_once", user_event_is_set_once },
    { "abandoned_user_event_blocks_nothing", abandoned_user_event_blocks_nothing },
    { "two_queues_in_turn", two_queues_in_turn },
    { "marker_waits_for_all_before_it", marker_waits_for_all_before_it },
    { "barrier_orders_out_of_order_queue", barrier_orders_out_of_order_queue },
    { "old_markers_and_barriers", old_markers_and_barriers },
    { "events_released_before_they_finish", events_released_before_they_finish },
    { "fifty_thousand_live_events", fifty_thousand_live_events },
    { "thousands_of_commands_behind_a_user_event", thousands_of_commands_behind_a_user_event },
    { "event_tells_of_itself", event_tells_of_itself },
    { "command_types_are_told", command_types_are_told },
    { "profiling_times_are_ordered_and_plausible", profiling_times_are_ordered_and_plausible },
    { "profiling_tells_when_a_command_was_enqueued", profiling_tells_when_a_command_was_enqueued },
    { "profiling_of_transfers_and_markers", profiling_of_transfers_and_markers },
    { "profiling_is_not_there_too_early_or_unasked", profiling_is_not_there_too_early_or_unasked },
};
GROUP(events, list);

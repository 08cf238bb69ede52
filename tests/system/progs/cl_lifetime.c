/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: thousands of objects that come and go, and go while they are in use. */
#include "cl_check.h"

static void two_thousand_queues(void)
{
    int got = 0;
    cl_mem m = buffer_with(4, &got);
    cl_kernel k = kernel("add_one");
    set_args(k, 1, ARG(m));
    for (int i = 0; i < 2000; i++) {
        cl_command_queue q = queue_with(i % 2 ? CL_QUEUE_PROFILING_ENABLE : 0);
        if (i % 4 == 0)
            run_kernel(q, k, 1);
        if (i % 8 == 0)
            CL(clFinish(q));
        CL(clReleaseCommandQueue(q));       /* with the kernel still in it, now and then: it runs nevertheless */
    }
    for (double end = now() + 20; now() < end; pause_ms(1)) {
        CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 4, &got, 0, NULL, NULL));
        if (got == 500)
            break;
    }
    CHECK(got == 500, "%d", got);
}

/* Releasing the last handle of a queue does not wait for what is in it: this thread itself lets it go afterwards. */
static void queue_released_with_gated_commands(void)
{
    int got = 0;
    cl_mem m = buffer_with(4, &got);
    cl_kernel k = kernel("add_one");
    set_args(k, 1, ARG(m));
    cl_event gate = user_event(), done;
    cl_command_queue q = queue_with(0);
    CL(clEnqueueMarkerWithWaitList(q, 1, &gate, NULL));
    run_kernel(q, k, 1);
    CL(clEnqueueMarkerWithWaitList(q, 0, NULL, &done));
    CL(clFlush(q));
    CL(clReleaseCommandQueue(q));
    for (int i = 0; i < 50; i++)
        CL(clReleaseCommandQueue(queue_with(0)));
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clWaitForEvents(1, &done));
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 4, &got, 0, NULL, NULL));
    CHECK(got == 1);
    CL(clReleaseEvent(done));
}

static void hundreds_of_queues_at_once(void)
{
    enum { N = 300 };
    static cl_command_queue q[N];
    int got = 0;
    cl_mem m = buffer_with(4, &got);
    cl_kernel k = kernel("add_one");
    set_args(k, 1, ARG(m));
    for (int i = 0; i < N; i++)
        q[i] = queue_with(0);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < N; i++)
            run_kernel(q[i], k, 1);
    for (int i = 0; i < N; i++) {
        CL(clFinish(q[i]));
        CL(clReleaseCommandQueue(q[i]));
    }
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 4, &got, 0, NULL, NULL));
    CHECK(got == 3 * N, "%d", got);
}

/* Each is used by a kernel and released at once; others take its place meanwhile. What the kernels wrote arrives where it was meant to. */
static void twenty_thousand_buffers(void)
{
    enum { N = 20000 };
    static cl_uint out[64];
    cl_mem sum = buffer_with(sizeof out, out);
    cl_kernel copy = kernel("copy");
    for (cl_uint i = 0; i < N; i++) {
        cl_uint value = i;
        cl_mem m = i % 2 ? buffer(4 + i % 5000 * 64) : buffer_with(4, &value);
        if (i % 2 == 0) {
            set_args(copy, 2, ARG(m), ARG(sum));
            run_kernel(queue, copy, 1);
        }
        CL(clReleaseMemObject(m));
    }
    CL(clEnqueueReadBuffer(queue, sum, CL_TRUE, 0, sizeof out, out, 0, NULL, NULL));
    CHECK(out[0] == N - 2, "%u", out[0]);
}

/* Commands that wait keep the memory of a released buffer from being given to another. */
static void released_memory_is_not_given_away_early(void)
{
    enum { N = 4096 };
    static cl_uint zeros[N], got[N];
    cl_kernel k = kernel("triple");
    cl_event gate = user_event();
    cl_mem others[40];
    CL(clEnqueueMarkerWithWaitList(queue, 1, &gate, NULL));
    for (int i = 0; i < 40; i++) {
        cl_mem m = buffer_with(sizeof zeros, zeros);
        set_args(k, 1, ARG(m));
        run_kernel(queue, k, N);
        CL(clReleaseMemObject(m));
    }
    for (int i = 0; i < 40; i++)
        others[i] = buffer_with(sizeof zeros, zeros);
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clFinish(queue));
    for (int i = 0; i < 40; i++) {
        CL(clEnqueueReadBuffer(queue, others[i], CL_TRUE, 0, sizeof got, got, 0, NULL, NULL));
        CHECK(memcmp(got, zeros, sizeof got) == 0, "buffer %d", i);
        CL(clReleaseMemObject(others[i]));
    }
}

/* Two thirds of what may be allocated, used and released again and again: each finds its room although the one before may be in use still. */
static void large_buffers_in_a_row(void)
{
    cl_ulong most = 0;
    CL(clGetDeviceInfo(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof most, &most, NULL));
    size_t n = (size_t)(most / 3 * 2) & ~(size_t)4095;
    cl_kernel k = kernel("add_one");
    for (int i = 0; i < 20; i++) {
        cl_mem m = buffer(n);
        set_args(k, 1, ARG(m));
        run_kernel(queue, k, 1);
        CL(clReleaseMemObject(m));
    }
    CL(clFinish(queue));
}

static void programs_and_kernels_come_and_go(void)
{
    const char *text = "kernel void k(global int *x) { x[0] = 1; }";
    for (int i = 0; i < 60; i++) {
        cl_program p = MAKE(clCreateProgramWithSource(context, 1, &text, NULL, &error_));
        CL(clBuildProgram(p, 1, &device, "", NULL, NULL));
        for (int j = 0; j < 20; j++) {
            cl_kernel k = MAKE(clCreateKernel(p, "k", &error_));
            CL(clReleaseKernel(k));
        }
        CL(clReleaseProgram(p));
    }
}

static void contexts_come_and_go(void)
{
    for (int i = 0; i < 200; i++) {
        cl_context c = MAKE(clCreateContext(NULL, 1, &device, NULL, NULL, &error_));
        cl_mem m = MAKE(clCreateBuffer(c, 0, 4096, NULL, &error_));
        cl_command_queue q = MAKE(clCreateCommandQueue(c, device, 0, &error_));
        CL(clReleaseContext(c));                 /* its queue and buffer hold it */
        CL(clEnqueueFillBuffer(q, m, "x", 1, 0, 4096, 0, NULL, NULL));
        CL(clReleaseMemObject(m));
        CL(clReleaseCommandQueue(q));
    }
}

/* Hundreds of thousands of events, none kept longer than a thousand others. */
static void events_go_round(void)
{
    enum { KEPT = 1000 };
    static cl_event kept[KEPT];
    for (int i = 0; i < 300000; i++) {
        if (kept[i % KEPT])
            CL(clReleaseEvent(kept[i % KEPT]));
        CL(clEnqueueMarkerWithWaitList(queue, 0, NULL, &kept[i % KEPT]));
    }
    CL(clFinish(queue));
    for (int i = 0; i < KEPT; i++) {
        CHECK(status_of(kept[i]) == CL_COMPLETE);
        CL(clReleaseEvent(kept[i]));
    }
}

static const struct check list[] = {
    { "two_thousand_queues", two_thousand_queues },
    { "queue_released_with_gated_commands", queue_released_with_gated_commands },
    { "hundreds_of_queues_at_once", hundreds_of_queues_at_once },
    { "twenty_thousand_buffers", twenty_thousand_buffers },
    { "released_memory_is_not_given_away_early", released_memory_is_not_given_away_early },
    { "large_buffers_in_a_row", large_buffers_in_a_row },
    { "programs_and_kernels_come_and_go", programs_and_kernels_come_and_go },
    { "contexts_come_and_go", contexts_come_and_go },
    { "events_go_round", events_go_round },
};
GROUP(lifetime, list);

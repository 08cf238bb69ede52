/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: many threads, many contexts. */
#include "cl_check.h"

#include <stdatomic.h>

static cl_uint worked(cl_uint v, cl_uint seed, cl_uint rounds)
{
    v ^= seed;
    while (rounds--)
        v = v * 1664525u + 1013904223u;
    return v;
}

enum { ITEMS = 64, LAUNCHES = 200 };

static void work_alone(void *arg, unsigned index)
{
    cl_uint expected[ITEMS], got[ITEMS];
    cl_command_queue q = queue_with(index % 2 ? CL_QUEUE_PROFILING_ENABLE : 0);
    cl_kernel k = kernel("work");
    for (cl_uint i = 0; i < ITEMS; i++)
        expected[i] = index * 1000 + i;
    cl_mem m = buffer_with(sizeof expected, expected);
    CL(clSetKernelArg(k, 0, sizeof m, &m));
    for (cl_uint n = 0; n < LAUNCHES; n++) {
        cl_uint seed = n * 7 + index, rounds = n % 50;
        CL(clSetKernelArg(k, 1, 4, &seed));
        CL(clSetKernelArg(k, 2, 4, &rounds));
        if (n % 3)
            run_kernel(q, k, ITEMS);
        else {
            cl_event e = launch(q, k, ITEMS, 0, NULL);
            if (n % 2)
                CL(clWaitForEvents(1, &e));
            CL(clReleaseEvent(e));
        }
        for (int i = 0; i < ITEMS; i++)
            expected[i] = worked(expected[i], seed, rounds);
        if (n % 20)
            continue;
        CL(clEnqueueReadBuffer(q, m, CL_TRUE, 0, sizeof got, got, 0, NULL, NULL));
        CHECK(memcmp(got, expected, sizeof got) == 0, "after %u launches", n + 1);
    }
    CL(clEnqueueReadBuffer(q, m, CL_TRUE, 0, sizeof got, got, 0, NULL, NULL));
    CHECK(memcmp(got, expected, sizeof got) == 0);
    CL(clReleaseKernel(k));
    CL(clReleaseMemObject(m));
    CL(clReleaseCommandQueue(q));
}

static void eight_threads_each_with_a_queue(void) { threads_run(8, work_alone, NULL); }

static void add_in_thread(void *arg, unsigned index)
{
    cl_mem m = arg;
    cl_kernel k = kernel("add_one");
    set_args(k, 1, ARG(m));
    for (int i = 0; i < 500; i++)
        run_kernel(queue, k, 1);
    CL(clFinish(queue));
    CL(clReleaseKernel(k));
}

static void eight_threads_share_a_queue(void)
{
    int got = 0;
    cl_mem m = buffer_with(4, &got);
    threads_run(8, add_in_thread, m);
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 4, &got, 0, NULL, NULL));
    CHECK(got == 8 * 500, "%d", got);
}

/* Each thread waits for the event of the one before it and passes on its own: a ring over four queues. */
struct ring { cl_command_queue q[4]; cl_mem mem; _Atomic(cl_event) baton[4]; };

static void pass_on(void *arg, unsigned index)
{
    struct ring *r = arg;
    cl_kernel k = kernel("triple");
    set_args(k, 1, ARG(r->mem));
    for (int round = 0; round < 50; round++) {
        cl_event mine;
        for (double end = now() + 30; !(mine = atomic_exchange(&r->baton[index], NULL));) {
            CHECK(now() < end, "the baton never came");
            pause_ms(0);
        }
        cl_event next = launch(r->q[index], k, 1, 1, &mine);
        CL(clFlush(r->q[index]));
        CL(clReleaseEvent(mine));
        atomic_store(&r->baton[(index + 1) % 4], next);
    }
}

static void events_pass_between_threads(void)
{
    static struct ring r;
    uint32_t expected = 1, got = 0;
    for (int i = 0; i < 4; i++)
        r.q[i] = queue_with(0);
    r.mem = buffer_with(4, &expected);
    cl_event first = user_event();
    CL(clSetUserEventStatus(first, CL_COMPLETE));
    atomic_store(&r.baton[0], first);
    threads_run(4, pass_on, &r);
    for (int i = 0; i < 200; i++)
        expected = 3 * expected + 1;
    CL(clEnqueueReadBuffer(r.q[0], r.mem, CL_TRUE, 0, 4, &got, 1, &(cl_event){ atomic_load(&r.baton[0]) }, NULL));
    CHECK(got == expected);
}

static void build_in_thread(void *arg, unsigned index)
{
    char text[256];
    const char *given = text;
    cl_uint got = 0;
    snprintf(text, sizeof text, "kernel void mine_%u(global uint *x) { x[0] = %u; }", index, index + 100);
    cl_program p = MAKE(clCreateProgramWithSource(context, 1, &given, NULL, &error_));
    CL(clBuildProgram(p, 1, &device, "", NULL, NULL));
    snprintf(text, sizeof text, "mine_%u", index);
    cl_kernel k = MAKE(clCreateKernel(p, text, &error_));
    cl_command_queue q = queue_with(0);
    cl_mem m = buffer(4);
    set_args(k, 1, ARG(m));
    run_kernel(q, k, 1);
    CL(clEnqueueReadBuffer(q, m, CL_TRUE, 0, 4, &got, 0, NULL, NULL));
    CHECK(got == index + 100);
}

static void threads_build_programs(void) { threads_run(4, build_in_thread, NULL); }

static void several_contexts(void)
{
    enum { N = 5 };
    cl_context c[N];
    cl_command_queue q[N];
    cl_mem m[N];
    cl_kernel k[N];
    for (int i = 0; i < N; i++) {
        c[i] = MAKE(clCreateContext(NULL, 1, &device, NULL, NULL, &error_));
        q[i] = MAKE(clCreateCommandQueue(c[i], device, 0, &error_));
        m[i] = MAKE(clCreateBuffer(c[i], CL_MEM_COPY_HOST_PTR, 4, &(uint32_t){ (uint32_t)i }, &error_));
        cl_program p = program_in(c[i]);
        k[i] = MAKE(clCreateKernel(p, "triple", &error_));
        CL(clReleaseProgram(p));
        CL(clSetKernelArg(k[i], 0, sizeof m[i], &m[i]));
    }
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < N; i++)
            run_kernel(q[i], k[i], 1);
    for (int i = 0; i < N; i++) {
        uint32_t expected = (uint32_t)i, got = 0;
        for (int round = 0; round < 10; round++)
            expected = 3 * expected + 1;
        CL(clEnqueueReadBuffer(q[i], m[i], CL_TRUE, 0, 4, &got, 0, NULL, NULL));
        CHECK(got == expected, "context %d", i);
        CL(clReleaseKernel(k[i]));
        CL(clReleaseMemObject(m[i]));
        CL(clReleaseCommandQueue(q[i]));
        CL(clReleaseContext(c[i]));
    }
}

static void create_in_thread(void *arg, unsigned index)
{
    for (int i = 0; i < 300; i++) {
        cl_command_queue q = queue_with(0);
        cl_mem m = buffer(64 + (size_t)i * 100);
        cl_event e = user_event();
        cl_uint got = 0, value = index * 1000 + (cl_uint)i;
        CL(clEnqueueWriteBuffer(q, m, CL_FALSE, 0, 4, &value, 0, NULL, NULL));
        CL(clEnqueueReadBuffer(q, m, CL_TRUE, 0, 4, &got, 0, NULL, NULL));
        CHECK(got == value);
        CL(clSetUserEventStatus(e, CL_COMPLETE));
        CL(clReleaseEvent(e));
        CL(clReleaseMemObject(m));
        CL(clReleaseCommandQueue(q));
    }
}

static void threads_create_and_release(void) { threads_run(6, create_in_thread, NULL); }

static const struct check list[] = {
    { "eight_threads_each_with_a_queue", eight_threads_each_with_a_queue },
    { "eight_threads_share_a_queue", eight_threads_share_a_queue },
    { "events_pass_between_threads", events_pass_between_threads },
    { "threads_build_programs", threads_build_programs },
    { "several_contexts", several_contexts },
    { "threads_create_and_release", threads_create_and_release },
};
GROUP(threads, list);

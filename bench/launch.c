/* SPDX-License-Identifier: Apache-2.0 */
/* launch and rate: what one launch costs when each is waited for, and when none is. */
#include "tests.h"

/* `tag` proves at the end that the launches ran, and in their order. */
static const char launch_source[] =
    "__kernel void noop(__global int *p, int v) { if (v == 123456789) p[0] = v; }\n"
    "__kernel void tag(__global int *p, int v) { p[0] = v; }\n";

struct launch_fixture {
    const struct target *t;
    cl_program program;
    cl_kernel noop, tag;
    cl_mem word;
};

static void fixture_open(struct launch_fixture *f, const struct target *t)
{
    cl_int v = 1;
    f->t = t;
    f->program = target_build(t, launch_source, "");
    f->noop = target_kernel(f->program, "noop");
    f->tag = target_kernel(f->program, "tag");
    f->word = target_buffer(t, CL_MEM_READ_WRITE, 4096);
    for (int i = 0; i < 2; i++) {
        cl_kernel kernel = i ? f->tag : f->noop;
        CL_CHECK(clSetKernelArg(kernel, 0, sizeof f->word, &f->word));
        CL_CHECK(clSetKernelArg(kernel, 1, sizeof v, &v));
        for (int warm = 0; warm < 100; warm++) {
            target_launch(t, kernel, 1, 1, NULL);
            target_finish(t);
        }
    }
}

static void fixture_done(struct launch_fixture *f)
{
    clReleaseMemObject(f->word);
    clReleaseKernel(f->noop);
    clReleaseKernel(f->tag);
    clReleaseProgram(f->program);
}
#define _cleanup_fixture_ _cleanup_(fixture_done)

static void finish_each(const struct launch_fixture *f, size_t n)
{
    _cleanup_samples_ struct samples s;
    samples_init(&s, n);
    for (size_t i = 0; i < n; i++) {
        double start = bench_now_us();
        target_launch(f->t, f->noop, 1, 1, NULL);
        target_finish(f->t);
        samples_add(&s, bench_now_us() - start);
    }
    report_samples("noop_finish", "us", BETTER_LOW, &s);
}

static void wait_each(const struct launch_fixture *f, size_t n)
{
    _cleanup_samples_ struct samples s;
    samples_init(&s, n);
    for (size_t i = 0; i < n; i++) {
        cl_event event;
        double start = bench_now_us();
        target_launch(f->t, f->noop, 1, 1, &event);
        CL_CHECK(clWaitForEvents(1, &event));
        samples_add(&s, bench_now_us() - start);
        clReleaseEvent(event);
    }
    report_samples("noop_wait", "us", BETTER_LOW, &s);
}

/* The idiom of most programs: set an argument, launch, read four bytes of the result. */
static void read_each(const struct launch_fixture *f, size_t n)
{
    _cleanup_samples_ struct samples s;
    samples_init(&s, n);
    for (size_t i = 0; i < n; i++) {
        cl_int v = (cl_int)i, got = -1;
        double start = bench_now_us();
        CL_CHECK(clSetKernelArg(f->tag, 1, sizeof v, &v));
        target_launch(f->t, f->tag, 1, 1, NULL);
        target_read(f->t, f->word, sizeof got, &got);
        samples_add(&s, bench_now_us() - start);
        if (got != v)
            bench_wrong_result("launch: read %d after a kernel that wrote %d", got, v);
    }
    report_samples("setarg_launch_read4", "us", BETTER_LOW, &s);
}

void test_launch(const struct target *t, const struct bench_options *o)
{
    _cleanup_fixture_ struct launch_fixture f;
    size_t n = bench_samples(o, 5000, 300);
    fixture_open(&f, t);
    finish_each(&f, n);
    wait_each(&f, n);
    read_each(&f, n);
}

/* `batch` launches and one finish; the cost of the enqueue calls alone beside it. */
static void measure_rate(const struct launch_fixture *f, const char *name, const char *enqueue_name, size_t batch, size_t n)
{
    _cleanup_samples_ struct samples rate, enqueue;
    samples_init(&rate, n);
    samples_init(&enqueue, n);
    for (size_t i = 0; i < n; i++) {
        double start = bench_now_us();
        for (size_t j = 0; j < batch; j++)
            target_launch(f->t, f->noop, 1, 1, NULL);
        double enqueued = bench_now_us();
        target_finish(f->t);
        samples_add(&rate, (double)batch / (bench_now_us() - start) * 1e6);
        samples_add(&enqueue, (enqueued - start) / (double)batch);
    }
    report_samples(name, "1/s", BETTER_HIGH, &rate);
    report_samples(enqueue_name, "us", BETTER_LOW, &enqueue);
}

static void measure_setarg_rate(const struct launch_fixture *f, size_t batch, size_t n)
{
    _cleanup_samples_ struct samples rate;
    cl_int got = -1;
    samples_init(&rate, n);
    for (size_t i = 0; i < n; i++) {
        double start = bench_now_us();
        for (size_t j = 0; j < batch; j++) {
            cl_int v = (cl_int)j;
            CL_CHECK(clSetKernelArg(f->tag, 0, sizeof f->word, &f->word));
            CL_CHECK(clSetKernelArg(f->tag, 1, sizeof v, &v));
            target_launch(f->t, f->tag, 1, 1, NULL);
        }
        target_finish(f->t);
        samples_add(&rate, (double)batch / (bench_now_us() - start) * 1e6);
    }
    target_read(f->t, f->word, sizeof got, &got);
    if (got != (cl_int)batch - 1)
        bench_wrong_result("rate: the last of %zu launches left %d", batch, got);
    report_samples("setarg_launch_x1000", "1/s", BETTER_HIGH, &rate);
}

void test_rate(const struct target *t, const struct bench_options *o)
{
    _cleanup_fixture_ struct launch_fixture f;
    fixture_open(&f, t);
    measure_rate(&f, "launch_x1000", "enqueue_x1000", 1000, bench_samples(o, 50, 5));
    measure_rate(&f, "launch_x10000", "enqueue_x10000", 10000, bench_samples(o, 10, 3));
    measure_setarg_rate(&f, 1000, bench_samples(o, 50, 5));
}

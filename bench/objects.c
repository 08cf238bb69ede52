/* SPDX-License-Identifier: Apache-2.0 */
/* objects: how fast the calls are that need nothing of the device: arguments, queries, creation and release of objects. The first
 * figure says how many calls of each were made, so that what they cost elsewhere (messages, system calls) can be divided by it. */
#include "tests.h"

#include "base/text.h"

struct objects_fixture {
    const struct target *t;
    cl_program program;
    cl_kernel kernel;
    cl_mem buffer;
};

static const char objects_source[] =
    "typedef struct { int v[16]; } wide;\n"
    "__kernel void f(__global int *p, int v, wide w) { p[0] = v + w.v[15]; }\n";

static void set_int(const struct objects_fixture *f)
{
    static const cl_int v = 7;
    CL_CHECK(clSetKernelArg(f->kernel, 1, sizeof v, &v));
}

static void set_buffer(const struct objects_fixture *f)
{
    CL_CHECK(clSetKernelArg(f->kernel, 0, sizeof f->buffer, &f->buffer));
}

static void set_struct(const struct objects_fixture *f)
{
    static const cl_int wide[16] = { 1 };
    CL_CHECK(clSetKernelArg(f->kernel, 2, sizeof wide, wide));
}

static void query_device(const struct objects_fixture *f)
{
    cl_ulong bytes;
    CL_CHECK(clGetDeviceInfo(f->t->device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof bytes, &bytes, NULL));
}

static void query_kernel(const struct objects_fixture *f)
{
    size_t n;
    CL_CHECK(clGetKernelWorkGroupInfo(f->kernel, f->t->device, CL_KERNEL_WORK_GROUP_SIZE, sizeof n, &n, NULL));
}

static void query_buffer(const struct objects_fixture *f)
{
    size_t n;
    CL_CHECK(clGetMemObjectInfo(f->buffer, CL_MEM_SIZE, sizeof n, &n, NULL));
}

static void query_queue(const struct objects_fixture *f)
{
    cl_context c;
    CL_CHECK(clGetCommandQueueInfo(f->t->queue, CL_QUEUE_CONTEXT, sizeof c, &c, NULL));
}

static void retain(const struct objects_fixture *f)
{
    CL_CHECK(clRetainMemObject(f->buffer));
    CL_CHECK(clReleaseMemObject(f->buffer));
}

static void finish(const struct objects_fixture *f)
{
    target_finish(f->t);
}

static void make_buffer(const struct objects_fixture *f)
{
    CL_CHECK(clReleaseMemObject(target_buffer(f->t, CL_MEM_READ_WRITE, 4096)));
}

static void make_subbuffer(const struct objects_fixture *f)
{
    const cl_buffer_region half = { 0, 2048 };
    cl_int e;
    cl_mem m = clCreateSubBuffer(f->buffer, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &half, &e);
    bench_check(e, "clCreateSubBuffer");
    CL_CHECK(clReleaseMemObject(m));
}

static void make_queue(const struct objects_fixture *f)
{
    cl_int e;
    cl_command_queue q = clCreateCommandQueue(f->t->context, f->t->device, 0, &e);
    bench_check(e, "clCreateCommandQueue");
    CL_CHECK(clReleaseCommandQueue(q));
}

static void make_event(const struct objects_fixture *f)
{
    cl_int e;
    cl_event event = clCreateUserEvent(f->t->context, &e);
    bench_check(e, "clCreateUserEvent");
    CL_CHECK(clSetUserEventStatus(event, CL_COMPLETE));
    CL_CHECK(clReleaseEvent(event));
}

static void make_program(const struct objects_fixture *f)
{
    const char *source = objects_source;
    cl_int e;
    cl_program p = clCreateProgramWithSource(f->t->context, 1, &source, NULL, &e);
    bench_check(e, "clCreateProgramWithSource");
    CL_CHECK(clReleaseProgram(p));
}

static void make_kernel(const struct objects_fixture *f)
{
    CL_CHECK(clReleaseKernel(target_kernel(f->program, "f")));
}

static void make_context(const struct objects_fixture *f)
{
    cl_int e;
    cl_context c = clCreateContext(NULL, 1, &f->t->device, NULL, NULL, &e);
    bench_check(e, "clCreateContext");
    CL_CHECK(clReleaseContext(c));
}

static const struct { const char *name; void (*call)(const struct objects_fixture *f); } operations[] = {
    { "set_int", set_int }, { "set_buffer", set_buffer }, { "set_64B", set_struct },
    { "query_device", query_device }, { "query_kernel", query_kernel }, { "query_buffer", query_buffer }, { "query_queue", query_queue },
    { "retain_release", retain }, { "finish_idle", finish },
    { "buffer", make_buffer }, { "subbuffer", make_subbuffer }, { "queue", make_queue }, { "event", make_event }, { "program", make_program },
    { "kernel", make_kernel }, { "context", make_context },
};

void test_objects(const struct target *t, const struct bench_options *o)
{
    enum { BATCH = 200 };
    size_t n = bench_samples(o, 50, 5);
    struct objects_fixture f = { .t = t };
    _cleanup_program_ cl_program program = f.program = target_build(t, objects_source, "");
    _cleanup_kernel_ cl_kernel kernel = f.kernel = target_kernel(program, "f");
    _cleanup_mem_ cl_mem buffer = f.buffer = target_buffer(t, CL_MEM_READ_WRITE, 4096);
    report_value("calls_of_each", "", (double)((n + 1) * BATCH));
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        _cleanup_samples_ struct samples rate;
        samples_init(&rate, n);
        for (size_t j = 0; j <= n; j++) {
            double start = bench_now_us();
            for (size_t k = 0; k < BATCH; k++)
                operations[i].call(&f);
            if (j)
                samples_add(&rate, BATCH / (bench_now_us() - start) * 1e6);
        }
        report_samples(operations[i].name, "1/s", BETTER_HIGH, &rate);
    }
    CL_CHECK(clSetKernelArg(kernel, 0, sizeof(cl_mem), NULL));     /* drops a driver's hold on the buffer, where it has one */
}

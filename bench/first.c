/* SPDX-License-Identifier: Apache-2.0 */
/* first: what a program waits for before its first result, a cached program given; then it holds still until --go-fd, so that what a
 * process that has used the device once takes in memory and processor time can be read from outside. */
#include "tests.h"

static const char first_source[] = "__kernel void first(__global uint *x, uint v) { x[get_global_id(0)] = v + (uint)get_global_id(0); }\n";

enum { ITEMS = 256, VALUE = 0x7214 };

static void run_first(const struct target *t)
{
    cl_uint value = VALUE, got[ITEMS] = { 0 };
    _cleanup_program_ cl_program program = target_build(t, first_source, "");
    _cleanup_kernel_ cl_kernel kernel = target_kernel(program, "first");
    _cleanup_mem_ cl_mem out = target_buffer(t, CL_MEM_READ_WRITE, sizeof got);
    CL_CHECK(clSetKernelArg(kernel, 0, sizeof out, &out));
    CL_CHECK(clSetKernelArg(kernel, 1, sizeof value, &value));
    target_launch(t, kernel, ITEMS, 64, NULL);
    target_read(t, out, sizeof got, got);
    for (cl_uint i = 0; i < ITEMS; i++)
        if (got[i] != VALUE + i)
            bench_wrong_result("first: item %u is %#x, not %#x", i, got[i], VALUE + i);
}

void test_first(const struct target *t, const struct bench_options *o)
{
    double opened = bench_now_us();
    run_first(t);
    double done = bench_now_us();
    bench_synchronise(o);
    report_value("open", "ms", (opened - o->started_us) / 1e3);
    report_value("result", "ms", (done - o->started_us) / 1e3);
}

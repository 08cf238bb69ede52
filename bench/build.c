/* SPDX-License-Identifier: Apache-2.0 */
/* build: from source text to the first result, for a source that nobody has seen, and for the same one again. Drivers compile
 * partly at the first launch, so the build call alone says little. */
#include "tests.h"

#include <stdio.h>
#include <time.h>

enum { ITEMS = 256 };

/* The nonce is a constant of the program and its result, so that no cache can answer and a stale one would be noticed. */
static void build_once(const struct target *t, unsigned nonce, struct samples *build_ms, struct samples *result_ms)
{
    char source[256];
    cl_uint got = 0;
    snprintf(source, sizeof source, "__kernel void f(__global uint *x) { x[get_global_id(0)] = %uu + (uint)get_global_id(0); }\n", nonce);
    double start = bench_now_us();
    _cleanup_program_ cl_program program = target_build(t, source, "");
    double built = bench_now_us();
    _cleanup_kernel_ cl_kernel kernel = target_kernel(program, "f");
    _cleanup_mem_ cl_mem out = target_buffer(t, CL_MEM_READ_WRITE, ITEMS * sizeof got);
    CL_CHECK(clSetKernelArg(kernel, 0, sizeof out, &out));
    target_launch(t, kernel, ITEMS, 64, NULL);
    target_read(t, out, sizeof got, &got);
    samples_add(result_ms, (bench_now_us() - start) / 1e3);
    samples_add(build_ms, (built - start) / 1e3);
    if (got != nonce)
        bench_wrong_result("build: the kernel gave %u, not %u", got, nonce);
}

void test_build(const struct target *t, const struct bench_options *o)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    unsigned nonce = (unsigned)now.tv_sec * 1000u ^ (unsigned)now.tv_nsec ^ (unsigned)getpid() << 12;
    size_t n = bench_samples(o, 10, 3);
    _cleanup_samples_ struct samples unseen_build, unseen_result, cached_build, cached_result;
    samples_init(&unseen_build, n);
    samples_init(&unseen_result, n);
    samples_init(&cached_build, n);
    samples_init(&cached_result, n);
    for (size_t i = 0; i < n; i++, nonce++) {
        build_once(t, nonce, &unseen_build, &unseen_result);
        build_once(t, nonce, &cached_build, &cached_result);
    }
    report_samples("unseen_build", "ms", BETTER_LOW, &unseen_build);
    report_samples("unseen_to_result", "ms", BETTER_LOW, &unseen_result);
    report_samples("cached_build", "ms", BETTER_LOW, &cached_build);
    report_samples("cached_to_result", "ms", BETTER_LOW, &cached_result);
}

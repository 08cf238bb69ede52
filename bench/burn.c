/* SPDX-License-Identifier: Apache-2.0 */
/* The calibrated kernel: see burn.h. */
#include "burn.h"

#include "tests.h"

#include <math.h>

#define BODY(place) \
    "__kernel void burn(__global uint *out, uint rounds) {\n" \
    "    uint at = (uint)(" place "), x = at * 2654435761u + 1u;\n" \
    "    for (uint i = 0; i < rounds; i++) { x ^= x << 13; x ^= x >> 17; x ^= x << 5; }\n" \
    "    out[at] = x;\n" \
    "}\n"
static const char burn_source[] = BODY("get_global_id(0)");
/* The same for a kernel that knows its place by its work-group's number: a part of the range is not the same kernel over fewer items. */
static const char burn_source_by_group[] = BODY("get_group_id(0) * get_local_size(0) + get_local_id(0)");

/* ITEMS_PER_UNIT fills a GPU's compute unit with threads; on a CPU it is 32 work-groups per core, which balance. */
enum { LOCAL = 64, ITEMS_PER_UNIT = 2048, FIRST_ROUNDS = 256, MAX_ROUNDS = 1 << 26 };

static uint32_t expected(uint32_t item, uint32_t rounds)
{
    uint32_t x = item * 2654435761u + 1u;
    for (uint32_t i = 0; i < rounds; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
    }
    return x;
}

void burn_launch(const struct burn *b, cl_event *ret_event)
{
    target_launch(b->target, b->kernel, b->items, LOCAL, ret_event);
}

/* One kernel's part of a short queue, the least of a few: the device's time, without launch latency and disturbances. */
static double measure_us(const struct burn *b)
{
    enum { BATCH = 8, TRIES = 6 };
    double least = 0;
    for (int i = 0; i < TRIES; i++) {
        double start = bench_now_us();
        for (int j = 0; j < BATCH; j++)
            burn_launch(b, NULL);
        target_finish(b->target);
        double took = (bench_now_us() - start) / BATCH;
        if (i == 0 || took < least)
            least = took;
    }
    return least;
}

static void set_rounds(struct burn *b, uint32_t rounds)
{
    b->rounds = rounds;
    CL_CHECK(clSetKernelArg(b->kernel, 1, sizeof b->rounds, &b->rounds));
}

/* The time is proportional to the rounds once the launch itself is small beside it; two steps from there are within a few percent. */
static void calibrate(struct burn *b, double wanted_us)
{
    double rounds = FIRST_ROUNDS, took;
    for (set_rounds(b, FIRST_ROUNDS); (took = measure_us(b)) < wanted_us / 4 && rounds < MAX_ROUNDS; rounds *= 2)
        set_rounds(b, (uint32_t)rounds * 2);
    for (int i = 0; i < 2; i++) {
        rounds *= wanted_us / took;
        rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : floor(rounds);
        set_rounds(b, (uint32_t)rounds);
        took = measure_us(b);
    }
}

void burn_open(struct burn *b, const struct target *t, uint32_t items, uint32_t rounds, uint64_t kernel_ns, bool by_group)
{
    *b = (struct burn){ .target = t, .items = items ? items : t->compute_units * ITEMS_PER_UNIT };
    b->items = (b->items + LOCAL - 1) / LOCAL * LOCAL;
    b->program = target_build(t, by_group ? burn_source_by_group : burn_source, "");
    b->kernel = target_kernel(b->program, "burn");
    b->out = target_buffer(t, CL_MEM_READ_WRITE, (size_t)b->items * sizeof(cl_uint));
    CL_CHECK(clSetKernelArg(b->kernel, 0, sizeof b->out, &b->out));
    if (items && rounds)
        set_rounds(b, rounds);
    else
        calibrate(b, (double)kernel_ns / 1e3);
    burn_launch(b, NULL);       /* warm: the driver compiles at the first launch */
    target_finish(t);
}

void burn_close(struct burn *b)
{
    clReleaseMemObject(b->out);
    clReleaseKernel(b->kernel);
    clReleaseProgram(b->program);
}

void burn_verify(const struct burn *b)
{
    const uint32_t probes[] = { 0, 1, b->items / 2, b->items - 1 };
    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        cl_uint got = 0, want = expected(probes[i], b->rounds);
        CL_CHECK(clEnqueueReadBuffer(b->target->queue, b->out, CL_TRUE, (size_t)probes[i] * sizeof got, sizeof got, &got, 0, NULL, NULL));
        if (got != want)
            bench_wrong_result("burn: item %u of %u is %#x, not %#x", probes[i], b->items, got, want);
    }
}

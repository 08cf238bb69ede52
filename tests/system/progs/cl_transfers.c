/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: reads and writes of every size, rectangles, copies and fills, against naive models in plain C. */
#include "cl_check.h"

#include <stdatomic.h>

#define MIB (1u << 20)

/* ---- linear ---- */

static void gated_transfers_of_every_size(void)
{
    static const size_t sizes[] = { 1, 7, 64, 4095, 4096, 32767, 32768, 32769, MIB - 1, MIB + 1, 5 * MIB + 3, 64 * MIB };
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        size_t n = sizes[i];
        uint8_t *data = malloc(n), *back = calloc(1, n);
        cl_mem m = buffer(n);
        cl_event gate = user_event(), written, all;
        random_fill(&random, data, n);
        CL(clEnqueueWriteBuffer(queue, m, CL_FALSE, 0, n, data, 1, &gate, &written));
        CL(clEnqueueReadBuffer(queue, m, CL_FALSE, 0, n, back, 1, &written, &all));
        CL(clFlush(queue));
        CHECK(status_of(all) > CL_COMPLETE);
        CL(clSetUserEventStatus(gate, CL_COMPLETE));
        CL(clWaitForEvents(1, &all));
        CHECK(memcmp(data, back, n) == 0, "%zu bytes", n);
        memset(back, 0, n);
        CL(clEnqueueReadBuffer(queue, m, CL_TRUE, n / 2, n - n / 2, back, 0, NULL, NULL));
        CHECK(memcmp(data + n / 2, back, n - n / 2) == 0, "the second half of %zu bytes", n);
        CL(clReleaseMemObject(m));
        free(data);
        free(back);
    }
}

static cl_event start_slow_kernel(cl_mem m, cl_uint rounds)
{
    cl_kernel k = kernel("slow");
    set_args(k, 2, ARG(m), ARG(rounds));
    return launch(queue, k, 1, 0, NULL);
}

static cl_uint slow_result(cl_uint v, cl_uint rounds)
{
    while (rounds--)
        v = v * 1664525u + 1013904223u;
    return v;
}

#define ROUNDS 30000000u

static void blocking_read_behind_running_kernel(void)
{
    cl_uint got = 0;
    cl_mem m = buffer_with(4, &(cl_uint){ 5 });
    CL(clReleaseEvent(start_slow_kernel(m, ROUNDS)));
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 4, &got, 0, NULL, NULL));
    CHECK(got == slow_result(5, ROUNDS));
}

static void blocking_write_behind_running_kernel(void)
{
    static cl_uint data[MIB], copy[MIB];
    cl_mem m = buffer_with(sizeof data, data), kept = buffer(4);
    static const size_t sizes[] = { 4, 32768, sizeof data };
    for (size_t i = 0; i < 3; i++) {
        cl_uint before = 17, got = 0;
        CL(clEnqueueWriteBuffer(queue, m, CL_TRUE, 0, 4, &before, 0, NULL, NULL));
        CL(clReleaseEvent(start_slow_kernel(m, ROUNDS)));
        CL(clEnqueueCopyBuffer(queue, m, kept, 0, 0, 4, 0, NULL, NULL));
        data[0] = 99;
        CL(clEnqueueWriteBuffer(queue, m, CL_TRUE, 0, sizes[i], data, 0, NULL, NULL));
        memset(copy, 0xff, sizes[i]);
        data[0] = 1;                      /* ours again: the write blocks until it has read it */
        CL(clEnqueueReadBuffer(queue, kept, CL_TRUE, 0, 4, &got, 0, NULL, NULL));
        CHECK(got == slow_result(17, ROUNDS), "the kernel saw what was written after it");
        CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 4, &got, 0, NULL, NULL));
        CHECK(got == 99, "%u", got);
    }
}

/* The memory of a non-blocking read is written when its turn comes and not before. */
static void unfinished_read_writes_nothing(void)
{
    static uint8_t back[MIB];
    cl_mem m = buffer_with(MIB, calloc(1, MIB));
    cl_event gate = user_event(), e;
    memset(back, 7, sizeof back);
    CL(clEnqueueReadBuffer(queue, m, CL_FALSE, 0, MIB, back, 1, &gate, &e));
    CL(clFlush(queue));
    pause_ms(20);
    CHECK(back[0] == 7 && back[MIB - 1] == 7);
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clWaitForEvents(1, &e));
    CHECK(back[0] == 0 && back[MIB - 1] == 0);
}

static void many_reads_at_once(void)
{
    enum { N = 64, EACH = 200000 };
    cl_command_queue q[2] = { queue_with(0), queue_with(0) };
    cl_event gate = user_event(), done[N];
    uint8_t *data = malloc((size_t)N * EACH), *back = calloc(N, EACH);
    random_fill(&(uint64_t){ 3 }, data, (size_t)N * EACH);
    cl_mem m = buffer_with((size_t)N * EACH, data);
    for (int i = 0; i < N; i++)
        CL(clEnqueueReadBuffer(q[i % 2], m, CL_FALSE, (size_t)i * EACH, EACH, back + (size_t)i * EACH, 1, &gate, &done[i]));
    CL(clFlush(q[0]));
    CL(clFlush(q[1]));
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clWaitForEvents(N, done));
    CHECK(memcmp(data, back, (size_t)N * EACH) == 0);
    free(data);
    free(back);
}

static void transfer_in_thread(void *arg, unsigned index)
{
    enum { EACH = 6 * MIB };
    uint64_t random = index + 1;
    cl_command_queue q = queue_with(0);
    cl_mem m = buffer(EACH);
    uint8_t *data = malloc(EACH), *back = malloc(EACH);
    for (int i = 0; i < 6; i++) {
        random_fill(&random, data, EACH);
        CL(clEnqueueWriteBuffer(q, m, i % 2, 0, EACH, data, 0, NULL, NULL));
        CL(clEnqueueReadBuffer(q, m, CL_TRUE, 0, EACH, back, 0, NULL, NULL));
        CHECK(memcmp(data, back, EACH) == 0, "round %d", i);
    }
    free(data);
    free(back);
    CL(clReleaseMemObject(m));
    CL(clReleaseCommandQueue(q));
}

static void eight_threads_transfer(void) { threads_run(8, transfer_in_thread, NULL); }

static void bounds_of_linear_transfers(void)
{
    uint8_t data[128];
    cl_mem m = buffer(100), wonly = MAKE(clCreateBuffer(context, CL_MEM_HOST_WRITE_ONLY, 64, NULL, &error_)),
           ronly = MAKE(clCreateBuffer(context, CL_MEM_HOST_READ_ONLY, 64, NULL, &error_)),
           none = MAKE(clCreateBuffer(context, CL_MEM_HOST_NO_ACCESS, 64, NULL, &error_));
    EXPECT(CL_INVALID_VALUE, clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 101, data, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueReadBuffer(queue, m, CL_TRUE, 100, 1, data, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueWriteBuffer(queue, m, CL_TRUE, 101, 1, data, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueWriteBuffer(queue, m, CL_TRUE, 0, 10, NULL, 0, NULL, NULL));
    EXPECT(CL_INVALID_OPERATION, clEnqueueReadBuffer(queue, wonly, CL_TRUE, 0, 1, data, 0, NULL, NULL));
    EXPECT(CL_INVALID_OPERATION, clEnqueueWriteBuffer(queue, ronly, CL_TRUE, 0, 1, data, 0, NULL, NULL));
    EXPECT(CL_INVALID_OPERATION, clEnqueueReadBuffer(queue, none, CL_TRUE, 0, 1, data, 0, NULL, NULL));
    EXPECT(CL_INVALID_OPERATION, clEnqueueWriteBuffer(queue, none, CL_TRUE, 0, 1, data, 0, NULL, NULL));
    if (on_share) {                /* PoCL adds before it compares: the sum wraps around */
        EXPECT(CL_INVALID_VALUE, clEnqueueReadBuffer(queue, m, CL_TRUE, SIZE_MAX, 2, data, 0, NULL, NULL));
        EXPECT(CL_INVALID_VALUE, clEnqueueReadBuffer(queue, m, CL_TRUE, 2, SIZE_MAX, data, 0, NULL, NULL));
    }
}

/* ---- rectangles ---- */

struct rect { size_t origin[3], row, slice, bytes; };

static size_t place(const struct rect *r, size_t x, size_t y, size_t z)
{
    return (r->origin[2] + z) * r->slice + (r->origin[1] + y) * r->row + r->origin[0] + x;
}

/* One side of a random shape: its pitches, its place, and a memory just large enough or a little larger. */
static struct rect random_rect(uint64_t *random, const size_t region[3])
{
    struct rect r;
    for (int i = 0; i < 3; i++)
        r.origin[i] = random_below(random, 5);
    r.row = region[0] + r.origin[0] + random_below(random, 9);
    r.slice = r.row * (region[1] + r.origin[1] + random_below(random, 3));
    r.bytes = place(&r, region[0] - 1, region[1] - 1, region[2] - 1) + 1 + random_below(random, 2) * random_below(random, 100);
    return r;
}

static void model_rect(uint8_t *to, const struct rect *t, const uint8_t *from, const struct rect *f, const size_t region[3])
{
    for (size_t z = 0; z < region[2]; z++)
        for (size_t y = 0; y < region[1]; y++)
            for (size_t x = 0; x < region[0]; x++)
                to[place(t, x, y, z)] = from[place(f, x, y, z)];
}

static void read_all(cl_mem m, uint8_t *to, size_t n) { CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, n, to, 0, NULL, NULL)); }

enum { BIG = 1 << 16 };

static void random_rectangles(void)
{
    static uint8_t host[BIG], device_side[BIG], model[BIG], other[BIG];
    uint64_t random = 8;
    for (int round = 0; round < 150; round++) {
        size_t region[3] = { 1 + random_below(&random, 40), 1 + random_below(&random, 12), round % 3 ? 1 : 1 + random_below(&random, 6) };
        struct rect a = random_rect(&random, region), b = random_rect(&random, region);
        random_fill(&random, host, b.bytes);
        random_fill(&random, device_side, a.bytes);
        cl_mem m = buffer_with(a.bytes, device_side), n = buffer_with(b.bytes, host);
        cl_bool blocking = round % 2;
        memcpy(model, device_side, a.bytes);
        model_rect(model, &a, host, &b, region);
        CL(clEnqueueWriteBufferRect(queue, m, blocking, a.origin, b.origin, region, a.row, a.slice, b.row, b.slice, host, 0, NULL, NULL));
        read_all(m, other, a.bytes);
        CHECK(memcmp(other, model, a.bytes) == 0, "write, round %d", round);
        random_fill(&random, other, b.bytes);
        memcpy(host, other, b.bytes);
        model_rect(host, &b, model, &a, region);
        CL(clEnqueueReadBufferRect(queue, m, blocking, a.origin, b.origin, region, a.row, a.slice, b.row, b.slice, other, 0, NULL, NULL));
        CL(clFinish(queue));
        CHECK(memcmp(other, host, b.bytes) == 0, "read, round %d", round);
        read_all(n, other, b.bytes);
        memcpy(host, other, b.bytes);
        model_rect(host, &b, model, &a, region);
        CL(clEnqueueCopyBufferRect(queue, m, n, a.origin, b.origin, region, a.row, a.slice, b.row, b.slice, 0, NULL, NULL));
        read_all(n, other, b.bytes);
        CHECK(memcmp(other, host, b.bytes) == 0, "copy, round %d", round);
        CL(clReleaseMemObject(m));
        CL(clReleaseMemObject(n));
    }
}

static void gated_rectangles(void)
{
    static uint8_t host[BIG], back[BIG], model[BIG];
    size_t region[3] = { 100, 20, 7 }, zero[3] = { 0, 0, 0 };
    struct rect packed = { { 0, 0, 0 }, 100, 2000, 14000 }, wide = { { 3, 2, 1 }, 128, 128 * 30, BIG };
    cl_mem m = buffer_with(BIG, back);
    cl_event gate = user_event(), w, r;
    random_fill(&(uint64_t){ 5 }, host, sizeof host);
    model_rect(model, &packed, host, &wide, region);
    CL(clEnqueueWriteBufferRect(queue, m, CL_FALSE, zero, wide.origin, region, 0, 0, wide.row, wide.slice, host, 1, &gate, &w));
    CL(clEnqueueReadBufferRect(queue, m, CL_FALSE, zero, zero, region, 0, 0, 0, 0, back, 1, &w, &r));
    CL(clFlush(queue));
    pause_ms(5);
    CHECK(back[0] == 0 && back[13999] == 0);
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clWaitForEvents(1, &r));
    CHECK(memcmp(back, model, packed.bytes) == 0);
}

static void rectangles_that_make_no_sense(void)
{
    static uint8_t host[BIG];
    cl_mem m = buffer(1000);
    size_t o[3] = { 0, 0, 0 }, at[3] = { 90, 9, 0 }, region[3] = { 10, 10, 1 }, flat[3] = { 10, 0, 1 };
    EXPECT(CL_INVALID_VALUE, clEnqueueReadBufferRect(queue, m, CL_TRUE, at, o, region, 100, 0, 100, 0, host, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueReadBufferRect(queue, m, CL_TRUE, o, o, flat, 100, 0, 100, 0, host, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueReadBufferRect(queue, m, CL_TRUE, o, o, region, 9, 0, 100, 0, host, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueReadBufferRect(queue, m, CL_TRUE, o, o, region, 0, 0, 9, 0, host, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueReadBufferRect(queue, m, CL_TRUE, o, o, region, 10, 99, 0, 0, host, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueWriteBufferRect(queue, m, CL_TRUE, o, o, region, 0, 0, 0, 0, NULL, 0, NULL, NULL));
    if (on_share) {                /* overflows; PoCL's arithmetic takes some of them */
        size_t huge[3] = { SIZE_MAX - 3, 1, 1 }, deep[3] = { 8, SIZE_MAX / 4, 8 };
        EXPECT(CL_INVALID_VALUE, clEnqueueReadBufferRect(queue, m, CL_TRUE, huge, o, region, 0, 0, 0, 0, host, 0, NULL, NULL));
        EXPECT(CL_INVALID_VALUE, clEnqueueReadBufferRect(queue, m, CL_TRUE, o, o, deep, 0, 0, 0, 0, host, 0, NULL, NULL));
        EXPECT(CL_INVALID_VALUE, clEnqueueReadBufferRect(queue, m, CL_TRUE, o, o, region, SIZE_MAX / 2, 0, 0, 0, host, 0, NULL, NULL));
        EXPECT(CL_INVALID_VALUE, clEnqueueCopyBufferRect(queue, m, m, huge, o, region, 0, 0, 0, 0, 0, NULL, NULL));
    }
}

/* ---- overlap ---- */

static void overlapping_copies_are_refused(void)
{
    cl_mem m = buffer(4096), other = buffer(4096);
    cl_buffer_region left = { 0, 2048 }, right = { 1024, 2048 };
    cl_mem a = MAKE(clCreateSubBuffer(m, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &left, &error_)),
           b = MAKE(clCreateSubBuffer(m, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &right, &error_));
    EXPECT(CL_MEM_COPY_OVERLAP, clEnqueueCopyBuffer(queue, m, m, 0, 99, 100, 0, NULL, NULL));
    EXPECT(CL_MEM_COPY_OVERLAP, clEnqueueCopyBuffer(queue, m, m, 99, 0, 100, 0, NULL, NULL));
    EXPECT(CL_MEM_COPY_OVERLAP, clEnqueueCopyBuffer(queue, m, m, 5, 5, 1, 0, NULL, NULL));
    CL(clEnqueueCopyBuffer(queue, m, m, 0, 100, 100, 0, NULL, NULL));
    CL(clEnqueueCopyBuffer(queue, m, m, 100, 0, 100, 0, NULL, NULL));
    CL(clEnqueueCopyBuffer(queue, m, other, 0, 0, 4096, 0, NULL, NULL));
    CL(clEnqueueCopyBuffer(queue, a, b, 0, 1024, 1024, 0, NULL, NULL));
    if (on_share)                  /* PoCL does not look at sub-buffers of one buffer */
        EXPECT(CL_MEM_COPY_OVERLAP, clEnqueueCopyBuffer(queue, a, b, 1024, 0, 1024, 0, NULL, NULL));
    CL(clFinish(queue));
}

/* Small rectangles in one buffer: refused exactly where a byte is in both. */
static void overlapping_rectangles_are_refused(void)
{
    uint64_t random = 77;
    int refused = 0, missed = 0, needless = 0;
    cl_mem m = buffer(4096);
    for (int round = 0; round < 3000; round++) {
        size_t region[3] = { 1 + random_below(&random, 4), 1 + random_below(&random, 4), 1 + random_below(&random, 3) }, row = 8, slice = 64;
        struct rect a = { { random_below(&random, 5), random_below(&random, 5), random_below(&random, 4) }, row, slice, 0 }, b = a;
        for (int i = 0; i < 3; i++)
            b.origin[i] = random_below(&random, 5 - (i == 2));
        bool used[1024] = { false }, overlap = false;
        for (size_t i = 0; i < region[0] * region[1] * region[2]; i++)
            used[place(&a, i % region[0], i / region[0] % region[1], i / region[0] / region[1])] = true;
        for (size_t i = 0; i < region[0] * region[1] * region[2]; i++)
            overlap = overlap || used[place(&b, i % region[0], i / region[0] % region[1], i / region[0] / region[1])];
        cl_int e = clEnqueueCopyBufferRect(queue, m, m, a.origin, b.origin, region, row, slice, row, slice, 0, NULL, NULL);
        CHECK(e == CL_SUCCESS || e == CL_MEM_COPY_OVERLAP, "%s", error_name(e));
        refused += e != CL_SUCCESS;
        missed += e == CL_SUCCESS && overlap;
        needless += e != CL_SUCCESS && !overlap;
    }
    CL(clFinish(queue));
    CHECK(refused > 100);
    CHECK(missed == 0, "%d", missed);
    CHECK(needless == 0, "%d", needless);
}

/* ---- fills ---- */

static void fills_of_every_pattern(void)
{
    static uint8_t model[4096], back[4096];
    uint64_t random = 21;
    cl_mem m = buffer_with(sizeof model, model);
    for (size_t size = 1; size <= 128; size *= 2)
        for (int i = 0; i < 8; i++) {
            uint8_t pattern[128];
            size_t offset = size * random_below(&random, 16), n = size * (1 + random_below(&random, 12));
            random_fill(&random, pattern, size);
            for (size_t at = 0; at < n; at++)
                model[offset + at] = pattern[at % size];
            CL(clEnqueueFillBuffer(queue, m, pattern, size, offset, n, 0, NULL, NULL));
        }
    read_all(m, back, sizeof back);
    CHECK(memcmp(model, back, sizeof model) == 0);
    EXPECT(CL_INVALID_VALUE, clEnqueueFillBuffer(queue, m, model, 3, 0, 30, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueFillBuffer(queue, m, model, 256, 0, 256, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueFillBuffer(queue, m, model, 4, 2, 8, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueFillBuffer(queue, m, model, 4, 0, 6, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueFillBuffer(queue, m, model, 4, 4096, 4, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueFillBuffer(queue, m, NULL, 4, 0, 4, 0, NULL, NULL));
}

/* ---- all together ---- */

enum { SPACE = 60 * 1024 };
struct world { cl_mem mem[3]; uint8_t *model[3], *scratch[600]; unsigned nscratch; uint64_t random; };

static uint8_t *scratch(struct world *w, size_t n)
{
    uint8_t *p = malloc(n + 1);
    random_fill(&w->random, p, n);
    w->scratch[w->nscratch++] = p;       /* lives until everything is done: writes are not blocking */
    return p;
}

static void random_step(struct world *w)
{
    unsigned a = (unsigned)random_below(&w->random, 3), b = (a + 1 + (unsigned)random_below(&w->random, 2)) % 3;
    size_t n = 1 + random_below(&w->random, random_below(&w->random, 3) ? 500 : SPACE / 2), at = random_below(&w->random, SPACE - n),
           to = random_below(&w->random, SPACE - n);
    switch (random_below(&w->random, 5)) {
    case 0: {
        uint8_t *data = scratch(w, n);
        CL(clEnqueueWriteBuffer(queue, w->mem[a], CL_FALSE, at, n, data, 0, NULL, NULL));
        memcpy(w->model[a] + at, data, n);
        break;
    }
    case 1:
        CL(clEnqueueCopyBuffer(queue, w->mem[a], w->mem[b], at, to, n, 0, NULL, NULL));
        memcpy(w->model[b] + to, w->model[a] + at, n);
        break;
    case 2: {
        uint8_t value = (uint8_t)random_next(&w->random);
        CL(clEnqueueFillBuffer(queue, w->mem[a], &value, 1, at, n, 0, NULL, NULL));
        memset(w->model[a] + at, value, n);
        break;
    }
    case 3: {
        size_t region[3] = { 1 + n % 50, 1 + n % 20, 1 }, from[3] = { at % 40, at % 70, 0 }, into[3] = { to % 40, to % 70, 0 };
        struct rect f = { { from[0], from[1], 0 }, 100, 0, 0 }, t = { { into[0], into[1], 0 }, 100, 0, 0 };
        CL(clEnqueueCopyBufferRect(queue, w->mem[a], w->mem[b], from, into, region, 100, 0, 100, 0, 0, NULL, NULL));
        model_rect(w->model[b], &t, w->model[a], &f, region);
        break;
    }
    default: {
        size_t items = n % 2 ? 1 : 16;
        cl_buffer_region r = { at / 1024 * 1024, 1024 };
        cl_mem sub = MAKE(clCreateSubBuffer(w->mem[a], CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &r, &error_));
        static cl_kernel k;
        k = k ? k : kernel("triple");
        set_args(k, 1, ARG(sub));
        run_kernel(queue, k, items);
        CL(clReleaseMemObject(sub));
        for (size_t i = 0; i < items; i++) {
            uint32_t v;
            memcpy(&v, w->model[a] + r.origin + 4 * i, 4);
            v = 3 * v + 1;
            memcpy(w->model[a] + r.origin + 4 * i, &v, 4);
        }
    }
    }
}

/* Hundreds of random commands on three buffers, none waited for, against the same in plain C. */
static void random_commands_agree_with_a_model(void)
{
    static uint8_t back[SPACE];
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct world w = { .random = seed * 7919 };
        for (int i = 0; i < 3; i++) {
            w.model[i] = calloc(1, SPACE);
            w.mem[i] = buffer_with(SPACE, w.model[i]);
        }
        for (int i = 0; i < 500; i++)
            random_step(&w);
        for (int i = 0; i < 3; i++) {
            read_all(w.mem[i], back, SPACE);
            CHECK(memcmp(back, w.model[i], SPACE) == 0, "buffer %d of seed %d", i, (int)seed);
            CL(clReleaseMemObject(w.mem[i]));
            free(w.model[i]);
        }
        while (w.nscratch)
            free(w.scratch[--w.nscratch]);
    }
}

static const struct check list[] = {
    { "gated_transfers_of_every_size", gated_transfers_of_every_size },
    { "blocking_read_behind_running_kernel", blocking_read_behind_running_kernel },
    { "blocking_write_behind_running_kernel", blocking_write_behind_running_kernel },
    { "unfinished_read_writes_nothing", unfinished_read_writes_nothing },
    { "many_reads_at_once", many_reads_at_once },
    { "eight_threads_transfer", eight_threads_transfer },
    { "bounds_of_linear_transfers", bounds_of_linear_transfers },
    { "random_rectangles", random_rectangles },
    { "gated_rectangles", gated_rectangles },
    { "rectangles_that_make_no_sense", rectangles_that_make_no_sense },
    { "overlapping_copies_are_refused", overlapping_copies_are_refused },
    { "overlapping_rectangles_are_refused", overlapping_rectangles_are_refused },
    { "fills_of_every_pattern", fills_of_every_pattern },
    { "random_commands_agree_with_a_model", random_commands_agree_with_a_model },
};
GROUP(transfers, list);

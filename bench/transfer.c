/* SPDX-License-Identifier: Apache-2.0 */
/* xfer, map and buffers: how data and memory objects travel. */
#include "tests.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static const size_t xfer_sizes[] = { 4, 1024, 4096, 65536, 1 << 20, 16 << 20, 64 << 20, 256 << 20 };
static const size_t map_sizes[] = { 4096, 1 << 20, 64 << 20 };

static const char *metric_name(const char *what, size_t bytes, char *buf, size_t size)
{
    char text[32];
    snprintf(buf, size, "%s_%s", what, text_format_size(bytes, text, sizeof text));
    for (char *space = strchr(buf, ' '); space; space = NULL)
        memmove(space, space + 1, strlen(space));
    return buf;
}

/* Enough for a p99 at small sizes, a bounded number of bytes at large ones. */
static size_t samples_for(const struct bench_options *o, size_t bytes)
{
    size_t n = ((size_t)4 << 30) / (bytes + 4096);
    return bench_samples(o, n < 15 ? 15 : n > 3000 ? 3000 : n, 7);
}

static void *host_memory(size_t bytes)
{
    void *p = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (!p)
        bench_fail("out of memory for %zu bytes on the host", bytes);
    return p;
}

static void fill_pattern(unsigned char *p, size_t bytes, unsigned char salt)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (unsigned char)(i * 131u + (i >> 8) * 7u + salt);
}

static void report_transfer(const char *what, size_t bytes, struct samples *us)
{
    char name[64];
    if (bytes < 65536) {
        report_samples(metric_name(what, bytes, name, sizeof name), "us", BETTER_LOW, us);
        return;
    }
    for (size_t i = 0; i < us->n; i++)
        us->v[i] = (double)bytes / us->v[i] * 1e-3;
    report_samples(metric_name(what, bytes, name, sizeof name), "GB/s", BETTER_HIGH, us);
}

/* What was written last must come back, into memory that did not hold it. */
static void verify_transfer(const struct target *t, cl_mem buffer, unsigned char *host, size_t bytes)
{
    _cleanup_free_ unsigned char *back = calloc(1, bytes);
    if (!back)
        bench_fail("out of memory for %zu bytes on the host", bytes);
    fill_pattern(host, bytes, 42);
    target_write(t, buffer, bytes, host);
    target_read(t, buffer, bytes, back);
    if (memcmp(host, back, bytes) != 0)
        bench_wrong_result("xfer: %zu bytes came back changed", bytes);
}

static void measure_transfer(const struct target *t, const struct bench_options *o, size_t bytes)
{
    enum { WARM = 3 };
    size_t n = samples_for(o, bytes);
    _cleanup_samples_ struct samples writes, reads;
    _cleanup_free_ unsigned char *host = host_memory(bytes);
    _cleanup_mem_ cl_mem buffer = target_buffer(t, CL_MEM_READ_WRITE, bytes);
    samples_init(&writes, n);
    samples_init(&reads, n);
    fill_pattern(host, bytes, 1);
    for (size_t i = 0; i < n + WARM; i++) {
        double start = bench_now_us();
        target_write(t, buffer, bytes, host);
        double written = bench_now_us();
        target_read(t, buffer, bytes, host);
        if (i < WARM)
            continue;
        samples_add(&writes, written - start);
        samples_add(&reads, bench_now_us() - written);
    }
    verify_transfer(t, buffer, host, bytes);
    report_transfer("write", bytes, &writes);
    report_transfer("read", bytes, &reads);
}

/* The sizes asked for, else `all` of them up to --max-size; those beyond what the device takes are left out. */
static size_t choose_sizes(const struct target *t, const struct bench_options *o, const size_t *all, size_t n, size_t ret[16])
{
    size_t chosen = 0;
    const size_t *from = o->nsizes ? o->sizes : all;
    for (size_t i = 0; i < (o->nsizes ? o->nsizes : n); i++)
        if (from[i] <= t->max_alloc_bytes && (o->nsizes || from[i] <= o->max_size))
            ret[chosen++] = from[i];
    return chosen;
}

void test_xfer(const struct target *t, const struct bench_options *o)
{
    size_t sizes[16], n = choose_sizes(t, o, xfer_sizes, ARRAY_LEN(xfer_sizes), sizes);
    for (size_t i = 0; i < n; i++)
        measure_transfer(t, o, sizes[i]);
}

/* One byte of each page, so that the map is worth something. */
static void touch_map(volatile unsigned char *p, size_t bytes, cl_map_flags how, unsigned char value)
{
    unsigned char sum = 0;
    for (size_t at = 0; at < bytes; at += 4096) {
        if (how & CL_MAP_READ)
            sum ^= p[at];
        else
            p[at] = value;
    }
}

/* A blocking map, a touch that is not timed, and the unmap with a finish. A written mark must be there at the next map. */
static void measure_map(const struct target *t, const struct bench_options *o, const char *what, cl_map_flags how, size_t bytes)
{
    size_t n = samples_for(o, 2 * bytes);
    char name[64], unmap[32];
    _cleanup_samples_ struct samples maps, unmaps;
    _cleanup_mem_ cl_mem buffer = target_buffer(t, CL_MEM_READ_WRITE, bytes);
    unsigned char mark = 0;
    samples_init(&maps, n);
    samples_init(&unmaps, n);
    target_write(t, buffer, 1, &mark);
    for (size_t i = 0; i < n + 3; i++) {
        cl_int e;
        double start = bench_now_us();
        unsigned char *p = clEnqueueMapBuffer(t->queue, buffer, CL_TRUE, how, 0, bytes, 0, NULL, NULL, &e);
        double mapped = bench_now_us();
        bench_check(e, "clEnqueueMapBuffer");
        if (!(how & CL_MAP_WRITE_INVALIDATE_REGION) && p[0] != mark)
            bench_wrong_result("map: the byte written before is %u, not %u", p[0], mark);
        mark = how & CL_MAP_READ ? mark : (unsigned char)i;
        touch_map(p, bytes, how, mark);
        double touched = bench_now_us();
        CL_CHECK(clEnqueueUnmapMemObject(t->queue, buffer, p, 0, NULL, NULL));
        target_finish(t);
        if (i < 3)
            continue;
        samples_add(&maps, mapped - start);
        samples_add(&unmaps, bench_now_us() - touched);
    }
    report_samples(metric_name(what, bytes, name, sizeof name), "us", BETTER_LOW, &maps);
    snprintf(unmap, sizeof unmap, "%s_unmap", what);
    report_samples(metric_name(unmap, bytes, name, sizeof name), "us", BETTER_LOW, &unmaps);
}

void test_map(const struct target *t, const struct bench_options *o)
{
    size_t sizes[16], n = choose_sizes(t, o, map_sizes, ARRAY_LEN(map_sizes), sizes);
    for (size_t i = 0; i < n; i++) {
        measure_map(t, o, "read", CL_MAP_READ, sizes[i]);
        measure_map(t, o, "write", CL_MAP_WRITE, sizes[i]);
        measure_map(t, o, "overwrite", CL_MAP_WRITE_INVALIDATE_REGION, sizes[i]);
    }
}

/* Creation and release; with a first write too, because drivers that allocate late do nothing without one. */
static void measure_buffers(const struct target *t, const struct bench_options *o, const char *what, size_t bytes, bool touch)
{
    size_t n = bench_samples(o, 50, 5), batch = touch ? 20 : 200;
    char name[64];
    cl_int zero = 0;
    _cleanup_samples_ struct samples s;
    samples_init(&s, n);
    for (size_t i = 0; i < n; i++) {
        double start = bench_now_us();
        for (size_t j = 0; j < batch; j++) {
            cl_mem buffer = target_buffer(t, CL_MEM_READ_WRITE, bytes);
            if (touch)
                target_write(t, buffer, sizeof zero, &zero);
            CL_CHECK(clReleaseMemObject(buffer));
        }
        samples_add(&s, (double)batch / (bench_now_us() - start) * 1e6);
    }
    report_samples(metric_name(what, bytes, name, sizeof name), "1/s", BETTER_HIGH, &s);
}

void test_buffers(const struct target *t, const struct bench_options *o)
{
    size_t sizes[16], n = choose_sizes(t, o, map_sizes, ARRAY_LEN(map_sizes), sizes);
    for (size_t i = 0; i < n; i++) {
        measure_buffers(t, o, "create", sizes[i], false);
        measure_buffers(t, o, "create_write", sizes[i], true);
    }
}

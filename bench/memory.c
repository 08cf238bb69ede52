/* SPDX-License-Identifier: Apache-2.0 */
/* memory: the size that the device tells, whether that much can be had, and what happens one byte beyond. */
#include "tests.h"

#include <string.h>

/* Three marks in each piece prove that it exists and is nobody else's. More would make a large device's memory resident on a
 * machine whose pages are 2 MiB. */
enum { MARKS = 3, MAX_PIECE = 256 << 20 };

struct piece { cl_mem mem; size_t bytes; };
struct pieces { struct piece *v; size_t n, cap; uint64_t bytes; };

static void pieces_done(struct pieces *p)
{
    for (size_t i = 0; i < p->n; i++)
        clReleaseMemObject(p->v[i].mem);
    free(p->v);
    *p = (struct pieces){ 0 };
}
#define _cleanup_pieces_ _cleanup_(pieces_done)

static size_t mark_offset(size_t bytes, int mark)
{
    return mark == 0 ? 0 : mark == 1 ? bytes / 2 : bytes - 1;
}

static unsigned char mark_value(size_t piece, int mark)
{
    return (unsigned char)(piece * 7 + (size_t)mark * 85 + 1);
}

/* A piece that exists on paper only is not counted: it must take the marks. */
static cl_int piece_create(const struct target *t, size_t index, size_t bytes, cl_mem *ret)
{
    cl_int e;
    _cleanup_mem_ cl_mem mem = clCreateBuffer(t->context, CL_MEM_READ_WRITE, bytes, NULL, &e);
    for (int mark = 0; e == CL_SUCCESS && mark < MARKS && (size_t)mark < bytes; mark++) {
        unsigned char value = mark_value(index, mark);
        e = clEnqueueWriteBuffer(t->queue, mem, CL_TRUE, mark_offset(bytes, mark), 1, &value, 0, NULL, NULL);
    }
    if (e == CL_SUCCESS)
        *ret = steal(mem);
    return e;
}

static cl_int pieces_add(struct pieces *p, const struct target *t, size_t bytes)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 64;
        struct piece *grown = realloc(p->v, cap * sizeof *p->v);
        if (!grown)
            bench_fail("out of memory for %zu pieces", cap);
        p->v = grown;
        p->cap = cap;
    }
    cl_mem mem = NULL;
    cl_int e = piece_create(t, p->n, bytes, &mem);
    if (e != CL_SUCCESS)
        return e;
    p->v[p->n++] = (struct piece){ mem, bytes };
    p->bytes += bytes;
    return CL_SUCCESS;
}

/* Up to `wanted` bytes in pieces, halved whenever one is refused, so that what is accepted is known to the byte. */
static cl_int pieces_fill(struct pieces *p, const struct target *t, uint64_t wanted)
{
    cl_int refusal = CL_SUCCESS;
    size_t piece = (size_t)MIN(t->max_alloc_bytes, (cl_ulong)MAX_PIECE);
    while (piece && p->bytes < wanted) {
        piece = (size_t)MIN((uint64_t)piece, wanted - p->bytes);
        cl_int e = pieces_add(p, t, piece);
        if (e == CL_SUCCESS)
            continue;
        refusal = refusal ? refusal : e;
        piece /= 2;
    }
    return refusal;
}

static void pieces_verify(const struct pieces *p, const struct target *t)
{
    for (size_t i = 0; i < p->n; i++) {
        for (int mark = 0; mark < MARKS && (size_t)mark < p->v[i].bytes; mark++) {
            unsigned char got = 0;
            size_t at = mark_offset(p->v[i].bytes, mark);
            CL_CHECK(clEnqueueReadBuffer(t->queue, p->v[i].mem, CL_TRUE, at, 1, &got, 0, NULL, NULL));
            if (got != mark_value(i, mark))
                bench_wrong_result("memory: byte %zu of piece %zu holds %u, not %u", at, i, got, mark_value(i, mark));
        }
    }
}

void test_memory(const struct target *t, const struct bench_options *o)
{
    _cleanup_pieces_ struct pieces p = { 0 };
    cl_int early = pieces_fill(&p, t, t->memory_bytes);
    uint64_t accepted = p.bytes;
    cl_int beyond = pieces_add(&p, t, 1);
    pieces_verify(&p, t);
    report_value("seen", "B", (double)t->memory_bytes);
    report_value("accepted", "B", (double)accepted);
    report_value("pieces", "", (double)p.n);
    if (early)
        report_text("refused_before", bench_cl_error(early));
    report_value("refused", "", beyond != CL_SUCCESS);
    report_text("one_byte_more", bench_cl_error(beyond));
}

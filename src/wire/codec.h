/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded encoding and decoding with one sticky flag: after the first short or oversized item everything reads as zero and
 * `bad` stays set, so a decoder checks once at its end. Little-endian, unaligned, no padding. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A frame's payload: sources and binaries of programs are the largest things that travel. */
#define WIRE_FRAME_MAX (UINT32_C(64) << 20)

struct wire_blob { const void *data; uint32_t size; };

struct wire_out {
    uint8_t *buf;
    size_t len, cap;
    bool bad, heap;      /* out of memory or too long; buf came from malloc */
};

struct wire_in {
    const uint8_t *buf;
    size_t len, pos;
    bool bad;
};

bool wire_out_grow(struct wire_out *out, size_t n);
static inline void wire_out_done(struct wire_out *out)
{
    if (out->heap)
        free(out->buf);
}

static inline void *wire_put_space(struct wire_out *out, size_t n)
{
    if (out->bad || (n > out->cap - out->len && !wire_out_grow(out, n)))
        return NULL;
    void *p = out->buf + out->len;
    out->len += n;
    return p;
}

static inline void wire_put_bytes(struct wire_out *out, const void *data, size_t n)
{
    void *p = wire_put_space(out, n);
    if (p && n)
        memcpy(p, data, n);
}

static inline const void *wire_get_bytes(struct wire_in *in, size_t n)
{
    if (in->bad || n > in->len - in->pos) {
        in->bad = true;
        return NULL;
    }
    const void *p = in->buf + in->pos;
    in->pos += n;
    return p;
}

#define WIRE_SCALAR(name, type) \
    static inline void wire_put_##name(struct wire_out *out, type v) { wire_put_bytes(out, &v, sizeof v); } \
    static inline void wire_get_##name(struct wire_in *in, type *v) \
    { \
        const void *p = wire_get_bytes(in, sizeof *v); \
        if (p) \
            memcpy(v, p, sizeof *v); \
        else \
            *v = 0; \
    }
WIRE_SCALAR(u32, uint32_t)
WIRE_SCALAR(i32, int32_t)
WIRE_SCALAR(u64, uint64_t)

static inline void wire_put_x3(struct wire_out *out, const uint64_t v[3]) { wire_put_bytes(out, v, 24); }
static inline void wire_get_x3(struct wire_in *in, uint64_t v[3])
{
    const void *p = wire_get_bytes(in, 24);
    if (p)
        memcpy(v, p, 24);
    else
        memset(v, 0, 24);
}

static inline void wire_put_blob(struct wire_out *out, const struct wire_blob *b)
{
    wire_put_u32(out, b->size);
    wire_put_bytes(out, b->data, b->size);
}
/* The blob points into the frame that is being read. */
static inline void wire_get_blob(struct wire_in *in, struct wire_blob *b)
{
    wire_get_u32(in, &b->size);
    b->data = wire_get_bytes(in, b->size);
    if (!b->data)
        b->size = 0;
}
static inline void wire_put_str(struct wire_out *out, const struct wire_blob *b) { wire_put_blob(out, b); }
static inline void wire_get_str(struct wire_in *in, struct wire_blob *b) { wire_get_blob(in, b); }

static inline struct wire_blob wire_blob_text(const char *s) { return (struct wire_blob){ s, s ? (uint32_t)strlen(s) : 0 }; }

/* SPDX-License-Identifier: Apache-2.0 */
/* Growing an encoder's buffer: see codec.h. */
#include "wire/codec.h"

bool wire_out_grow(struct wire_out *out, size_t n)
{
    size_t need = out->len + n;
    if (n > WIRE_FRAME_MAX || need > WIRE_FRAME_MAX) {
        out->bad = true;
        return false;
    }
    size_t cap = need * 2 < 4096 ? 4096 : need * 2 < WIRE_FRAME_MAX ? need * 2 : WIRE_FRAME_MAX;
    uint8_t *p = out->heap ? realloc(out->buf, cap) : malloc(cap);
    if (!p) {
        out->bad = true;
        return false;
    }
    if (!out->heap && out->len)
        memcpy(p, out->buf, out->len);
    out->buf = p;
    out->cap = cap;
    out->heap = true;
    return true;
}

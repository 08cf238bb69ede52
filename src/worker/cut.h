/* SPDX-License-Identifier: Apache-2.0 */
/* Long NDRanges run in pieces while the GPU is shared, so that a neighbour waits for a piece and not for a kernel.
 *
 * A piece is the same launch with a larger offset and a smaller range. That is the same computation only for kernels that know their
 * place by get_global_id and get_local_id alone: group ids, counts, sizes and the offset of the whole range would differ. Whether a
 * program asks for those is read off its source, and anything unclear means no. */
#pragma once

#include "wire/messages.h"

#include <stdbool.h>

enum cut {
    CUT_NEVER,
    CUT_WITH_LOCAL_SIZE,   /* only launches that give their local size: the kernel looks at its work-group */
    CUT_ALWAYS,
};

/* Reads a program's text, source or build options. A program may be cut as the strictest of its texts allows. */
enum cut cut_from_text(const char *text, size_t n);

/* Takes a piece of about piece_ns off the front of *m, at least min_groups work-groups. ns_per_item 0: not known yet, the piece is
 * a small part of the range. False: what is left is not worth cutting, or cannot be. */
bool cut_take(struct wire_ndrange *m, enum cut cut, double ns_per_item, uint64_t piece_ns, uint64_t min_groups, struct wire_ndrange *ret_piece);

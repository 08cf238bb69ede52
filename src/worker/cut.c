/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernels may run in pieces, and where to cut: see cut.h. */
#include "worker/cut.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <string.h>

#define FREE_GRAIN 64          /* items along a dimension that is cut without a local size: keeps the driver's choice of one free */
#define FIRST_PART 64          /* of a kernel that was never timed, this part runs first */

/* Words that make a piece differ from a part of the whole, or hide such words. */
static const char *const never_words[] = {
    "get_group_id", "get_num_groups", "get_global_size", "get_global_offset", "get_global_linear_id", "get_enqueued_num_sub_groups", "enqueue_kernel",
    "include", "printf",
};
/* Words that look at the work-group: its size must be the application's own. */
static const char *const group_words[] = {
    "get_local_id", "get_local_size", "get_enqueued_local_size", "get_local_linear_id", "local", "__local", "barrier", "work_group_barrier",
};

static bool listed(const char *word, size_t n, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(list[i]) == n && memcmp(list[i], word, n) == 0)
            return true;
    return false;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

enum cut cut_from_text(const char *text, size_t n)
{
    enum cut cut = CUT_ALWAYS;
    for (size_t i = 0; i < n;) {
        if (text[i] == '#' && i + 1 < n && text[i + 1] == '#')
            return CUT_NEVER;                       /* pasted words cannot be seen */
        if (text[i] == '\\' || !text[i])
            return CUT_NEVER;                       /* nor words that go on in the next line */
        if (!is_word(text[i])) {
            i++;
            continue;
        }
        size_t start = i;
        while (i < n && is_word(text[i]))
            i++;
        if (listed(text + start, i - start, never_words, ARRAY_LEN(never_words)) || (i - start > 10 && memcmp(text + start, "work_group", 10) == 0 &&
            !listed(text + start, i - start, group_words, ARRAY_LEN(group_words))))
            return CUT_NEVER;
        if (listed(text + start, i - start, group_words, ARRAY_LEN(group_words)))
            cut = CUT_WITH_LOCAL_SIZE;
    }
    return cut;
}

/* The smallest step along dimension d, 0 when it cannot be cut there. */
static uint64_t grain(const struct wire_ndrange *m, uint32_t d)
{
    bool given = m->flags & 1;
    uint64_t g = given ? m->local[d] : d == 0 ? FREE_GRAIN : 1;
    return g && m->global[d] % g == 0 ? g : 0;
}

static int longest_dimension(const struct wire_ndrange *m, uint64_t *ret_groups)
{
    int best = -1;
    *ret_groups = 1;
    for (uint32_t d = 0; d < m->dimensions && d < 3; d++) {
        uint64_t g = grain(m, d), groups = g ? m->global[d] / g : 0;
        if (groups > *ret_groups) {
            best = (int)d;
            *ret_groups = groups;
        }
    }
    return best;
}

bool cut_take(struct wire_ndrange *m, enum cut cut, double ns_per_item, uint64_t piece_ns, uint64_t min_groups, struct wire_ndrange *ret_piece)
{
    uint64_t groups;
    if (cut == CUT_NEVER || (cut == CUT_WITH_LOCAL_SIZE && !(m->flags & 1)))
        return false;
    int d = longest_dimension(m, &groups);
    if (d < 0)
        return false;
    double items = 1, groups_per_step = 1;
    for (uint32_t i = 0; i < m->dimensions && i < 3; i++) {
        uint64_t g = grain(m, i);
        items *= (double)m->global[i];
        if ((int)i != d && g)
            groups_per_step *= (double)(m->global[i] / g);
    }
    double step_ns = ns_per_item * items / (double)groups;
    double wanted = ns_per_item > 0 ? (double)piece_ns / step_ns : (double)groups / FIRST_PART;
    uint64_t least = (uint64_t)((double)min_groups / groups_per_step), steps = wanted < (double)groups ? (uint64_t)wanted : groups;
    if ((double)least * groups_per_step < (double)min_groups)
        least++;
    steps = MAX(steps, least);
    if (steps + steps / 2 >= groups)
        return false;
    uint64_t taken = steps * grain(m, (uint32_t)d);
    *ret_piece = *m;
    ret_piece->global[d] = taken;
    m->offset[d] += taken;
    m->global[d] -= taken;
    return true;
}

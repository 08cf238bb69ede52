/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting NDRanges: which texts allow it, and that the pieces make up the whole. */
#include "worker/cut.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void texts_decide(void **state)
{
    static const struct { const char *text; enum cut cut; } cases[] = {
        { "kernel void k(global int *p) { p[get_global_id(0)] = 1; }", CUT_ALWAYS },
        { "kernel void k(global int *p) { p[get_global_id(0)] = get_local_id(0); }", CUT_WITH_LOCAL_SIZE },
        { "kernel void k(local int *p) { p[0] = 1; }", CUT_WITH_LOCAL_SIZE },
        { "kernel void k(global int *p) { barrier(CLK_GLOBAL_MEM_FENCE); }", CUT_WITH_LOCAL_SIZE },
        { "kernel void k(global int *p) { p[get_group_id(0)] = 1; }", CUT_NEVER },
        { "kernel void k(global int *p) { p[0] = get_num_groups(0); }", CUT_NEVER },
        { "kernel void k(global int *p) { p[0] = get_global_size(0); }", CUT_NEVER },
        { "kernel void k(global int *p) { p[0] = get_global_offset(0); }", CUT_NEVER },
        { "kernel void k(global int *p) { p[get_global_linear_id()] = 1; }", CUT_NEVER },
        { "#include <ids.h>\nkernel void k(global int *p) { p[0] = 1; }", CUT_NEVER },
        { "#define ID(x) get_##x\nkernel void k(global int *p) { p[0] = ID(group_id)(0); }", CUT_NEVER },
        { "kernel void k(global int *p) { p[0] = get_gr\\\noup_id(0); }", CUT_NEVER },
        { "-D MINE=get_group_id", CUT_NEVER },
        { "-D WIDTH=16 -cl-fast-relaxed-math", CUT_ALWAYS },
        { "int my_get_group_id_of(int x); kernel void k(global int *p) { p[get_global_id(0)] = 1; }", CUT_ALWAYS },
        { "", CUT_ALWAYS },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (cut_from_text(cases[i].text, strlen(cases[i].text)) != cases[i].cut)
            fail_msg("wrong for: %s", cases[i].text);
}

static uint64_t pick(unsigned *seed, uint64_t n) { return (uint64_t)rand_r(seed) % n; }

/* Marks every item of a small range and sees each marked once, whatever the shape, the offset and the estimates. */
static void pieces_are_the_whole(void **state)
{
    enum { SIDE = 96 };
    static uint8_t seen[SIDE * 2][SIDE * 2][16];
    unsigned seed = 7;
    unsigned cuts = 0;
    for (int round = 0; round < 3000; round++) {
        struct wire_ndrange m = { .dimensions = 1 + (uint32_t)pick(&seed, 3), .flags = pick(&seed, 3) > 0, .global = { 1, 1, 1 }, .local = { 1, 1, 1 } };
        static const uint64_t locals[] = { 1, 2, 3, 8 };
        memset(seen, 0, sizeof seen);
        for (uint32_t d = 0; d < m.dimensions; d++) {
            m.local[d] = d == 2 ? 1 : locals[pick(&seed, 4)];
            m.global[d] = m.local[d] * (1 + pick(&seed, d == 2 ? 8 : SIDE / 8));
            m.offset[d] = pick(&seed, 4);
        }
        struct wire_ndrange whole = m, piece;
        double ns = pick(&seed, 4) ? (double)(1 + pick(&seed, 1000)) : 0;
        uint64_t min_groups = 1 + pick(&seed, 4), n = 0;
        bool more;
        do {
            more = cut_take(&m, CUT_WITH_LOCAL_SIZE, ns, 20000, min_groups, &piece);
            if (!more)
                piece = m;
            uint64_t groups = 1;
            for (uint32_t d = 0; d < m.dimensions; d++) {
                assert_int_equal(piece.global[d] % (piece.flags & 1 ? piece.local[d] : 1), 0);
                assert_true(piece.global[d] > 0);
                groups *= piece.global[d] / piece.local[d];
            }
            if (more && piece.flags & 1)
                assert_true(groups >= min_groups);
            for (uint64_t x = 0; x < piece.global[0]; x++)
                for (uint64_t y = 0; y < piece.global[1]; y++)
                    for (uint64_t z = 0; z < piece.global[2]; z++)
                        assert_int_equal(seen[piece.offset[0] + x][piece.offset[1] + y][piece.offset[2] + z]++, 0);
            n += piece.global[0] * piece.global[1] * piece.global[2];
            cuts += more;
        } while (more);
        assert_int_equal(n, whole.global[0] * whole.global[1] * whole.global[2]);
    }
    assert_true(cuts > 1000);
}

static void some_are_not_cut(void **state)
{
    struct wire_ndrange m = { .dimensions = 1, .global = { 1 << 20, 1, 1 } }, piece;
    assert_false(cut_take(&m, CUT_NEVER, 1000, 1000000, 2, &piece));
    assert_false(cut_take(&m, CUT_WITH_LOCAL_SIZE, 1000, 1000000, 2, &piece));       /* no local size given */
    assert_false(cut_take(&m, CUT_ALWAYS, 0.1, 1000000, 2, &piece));                 /* short */
    assert_true(cut_take(&m, CUT_ALWAYS, 1000, 1000000, 2, &piece));
    assert_int_equal(piece.global[0] % 64, 0);
    assert_in_range(piece.global[0], 512, 1024);
    m = (struct wire_ndrange){ .dimensions = 1, .global = { 1000003, 1, 1 } };
    assert_false(cut_take(&m, CUT_ALWAYS, 1000, 1000000, 2, &piece));                /* a prime: nowhere to cut */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(texts_decide), cmocka_unit_test(pieces_are_the_whole), cmocka_unit_test(some_are_not_cut) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The arena against a naive map of its grains: nothing overlaps, nothing is refused that fits, all of it comes back as one piece. */
#include "base/cleanup.h"
#include "worker/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define GRAIN 128u
#define FIRST (UINT64_C(3) << 20)
#define SIZE (UINT64_C(24) << 20)
#define GRAINS (SIZE / GRAIN)
#define MOST 512

struct held { uint64_t offset, size; uint8_t mark; };

struct model {
    struct arena *arena;
    uint8_t *base;
    bool taken[GRAINS];
    struct held held[MOST];
    unsigned nheld;
    uint64_t random;
};

static uint64_t below(struct model *m, uint64_t n)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (m->random >> 8) % n;
}

static void model_open(struct model *m)
{
    memset(m, 0, sizeof *m);
    m->random = 4711;
    m->base = mmap(NULL, FIRST + SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(m->base != MAP_FAILED);
    m->arena = arena_new(m->base, FIRST, SIZE);
    assert_non_null(m->arena);
}

static void model_close(struct model *m)
{
    arena_free(m->arena);
    munmap(m->base, FIRST + SIZE);
    test_free(m);
}

static uint64_t grains(uint64_t n) { return (n + GRAIN - 1) / GRAIN; }

/* Whether n grains with this alignment are free anywhere. */
static bool model_fits(const struct model *m, uint64_t n, uint64_t align)
{
    uint64_t run = 0;
    for (uint64_t i = GRAINS; i-- > 0;) {
        run = m->taken[i] ? 0 : run + 1;
        if (run >= n && (FIRST + i * GRAIN) % align == 0)
            return true;
    }
    return false;
}

static void touch_ends(const struct model *m, const struct held *h)
{
    m->base[h->offset] = h->mark;
    m->base[h->offset + h->size / 2] = h->mark;
    m->base[h->offset + h->size - 1] = h->mark;
}

static void check_ends(const struct model *m, const struct held *h)
{
    assert_int_equal(m->base[h->offset], h->mark);
    assert_int_equal(m->base[h->offset + h->size / 2], h->mark);
    assert_int_equal(m->base[h->offset + h->size - 1], h->mark);
}

static void take(struct model *m, uint64_t size, uint64_t align)
{
    uint64_t offset = arena_take(m->arena, size, align), n = grains(size);
    if (offset == UINT64_MAX) {
        if (model_fits(m, n, align))
            fail_msg("%d bytes aligned to %d were refused although there is room", (int)size, (int)align);
        return;
    }
    assert_int_equal(offset % align, 0);
    assert_true(offset >= FIRST && offset + size <= FIRST + SIZE);
    for (uint64_t i = 0, at = (offset - FIRST) / GRAIN; i < n; i++) {
        assert_false(m->taken[at + i]);
        m->taken[at + i] = true;
    }
    struct held *h = &m->held[m->nheld++];
    *h = (struct held){ offset, size, (uint8_t)(1 + below(m, 255)) };
    touch_ends(m, h);
}

static void give(struct model *m, unsigned i)
{
    struct held h = m->held[i];
    check_ends(m, &h);
    memset(m->taken + (h.offset - FIRST) / GRAIN, 0, grains(h.size) * sizeof *m->taken);
    m->held[i] = m->held[--m->nheld];
    arena_give(m->arena, h.offset, h.size);
}

static uint64_t some_size(struct model *m)
{
    switch (below(m, 8)) {
    case 0: return 1 + below(m, 4);
    case 1: return 4096 * (1 + below(m, 16));
    case 2: return 1 + below(m, 2 << 20);                    /* returns its pages */
    case 3: return (256 << 10) + below(m, 3) - 1;
    case 4: return 1 + below(m, 8 << 20);
    default: return 1 + below(m, 30000);
    }
}

static void random_use_agrees_with_a_naive_map(void **state)
{
    struct model *m = test_malloc(sizeof *m);
    model_open(m);
    for (int round = 0; round < 30000; round++) {
        bool full = m->nheld == MOST, growing = round / 3000 % 2 == 0;
        if (m->nheld && (full || below(m, 5) < (growing ? 2 : 3)))
            give(m, (unsigned)below(m, m->nheld));
        else
            take(m, some_size(m), UINT64_C(128) << below(m, 6));
    }
    assert_true(m->nheld > 0);
    for (unsigned i = 0; i < m->nheld; i++)
        check_ends(m, &m->held[i]);
    while (m->nheld)
        give(m, (unsigned)below(m, m->nheld));
    take(m, SIZE, 128);
    assert_int_equal(m->nheld, 1);           /* one piece again */
    assert_int_equal(arena_take(m->arena, 1, 128), UINT64_MAX);
    give(m, 0);
    model_close(m);
}

static void sizes_beyond_the_arena_are_refused(void **state)
{
    static const uint64_t sizes[] = { SIZE + 1, UINT64_MAX / 2, UINT64_MAX - GRAIN, UINT64_MAX - 1, UINT64_MAX };
    struct model *m = test_malloc(sizeof *m);
    model_open(m);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        assert_int_equal(arena_take(m->arena, sizes[i], 128), UINT64_MAX);
    take(m, SIZE, 4096);
    assert_int_equal(m->nheld, 1);
    model_close(m);
}

static void given_pages_go_back_to_the_system(void **state)
{
    struct model *m = test_malloc(sizeof *m);
    unsigned char here[1];
    model_open(m);
    uint64_t before = arena_take(m->arena, 4096, 4096), big = arena_take(m->arena, 4 << 20, 4096), after = arena_take(m->arena, 4096, 4096);
    memset(m->base + before, 1, 4096);
    memset(m->base + big, 2, 4 << 20);
    memset(m->base + after, 3, 4096);
    arena_give(m->arena, big, 4 << 20);
    for (uint64_t at = 0; at < 4 << 20; at += 4096) {
        assert_int_equal(mincore(m->base + big + at, 4096, here), 0);
        assert_int_equal(here[0] & 1, 0);
    }
    for (int i = 0; i < 4096; i++) {
        assert_int_equal(m->base[before + i], 1);
        assert_int_equal(m->base[after + i], 3);
    }
    assert_int_equal(m->base[big], 0);       /* and a next tenant of the place finds zeros */
    model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_use_agrees_with_a_naive_map),
        cmocka_unit_test(sizes_beyond_the_arena_are_refused),
        cmocka_unit_test(given_pages_go_back_to_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler's core on a virtual clock: fairness, caps, steals, overruns, memory; and random actions beside a naive model. */
#include "sched_sim.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define US NS_PER_US
#define MS NS_PER_MS
#define SEC NS_PER_S

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);   /* sched_fuzz.c */

static struct sim sim;

static void assert_percent(const struct sim_tenant *tenant, double expected, double tolerance)
{
    double got = sim_percent(&sim, tenant);
    if (got < expected - tolerance || got > expected + tolerance)
        fail_msg("tenant %u got %.2f %% of the device, expected %.2f +- %.2f", tenant->slot, got, expected, tolerance);
}

/* Ten seconds, measured after a warm-up of half a second. */
static void run_10s(void)
{
    sim.measure_from_ns = sim.now_ns + SEC / 2;
    sim_run(&sim, sim.measure_from_ns + 10 * SEC);
}

/* Fairness */

static void two_equal_tenants_get_half_each(void **state)
{
    const uint64_t kernels[][2] = {
        { 500 * US, 500 * US }, { 100 * US, 3 * MS }, { 30 * MS, 700 * US }, { 200 * MS, 1 * MS }, { 50 * US, 50 * US },
    };
    for (size_t i = 0; i < sizeof(kernels) / sizeof(*kernels); i++) {
        sim_init(&sim, SCHED_BEST_EFFORT);
        struct sim_tenant *a = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, kernels[i][0], 0);
        struct sim_tenant *b = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, kernels[i][1], 0);
        run_10s();
        assert_percent(a, 49.5, 1.5);
        assert_percent(b, 49.5, 1.5);
    }
}

static void weights_divide_the_device(void **state)
{
    const enum sim_kind kinds[][2] = { { SIM_ASYNC, SIM_ASYNC }, { SIM_SYNC, SIM_ASYNC }, { SIM_ASYNC, SIM_SYNC } };
    const uint32_t scales[] = { 1, 1000, 250000 };
    for (size_t i = 0; i < 9; i++) {
        uint32_t scale = scales[i / 3];
        sim_init(&sim, SCHED_BEST_EFFORT);
        struct sim_tenant *a = sim_tenant(&sim, sim_share(&sim, 3 * scale, 0), kinds[i % 3][0], 700 * US, 20 * US);
        struct sim_tenant *b = sim_tenant(&sim, sim_share(&sim, 1 * scale, 0), kinds[i % 3][1], 400 * US, 20 * US);
        run_10s();
        double sum = sim_percent(&sim, a) + sim_percent(&sim, b);
        assert_true(sum > 95);
        assert_percent(a, 74, 2.5);
        assert_percent(b, 24.5, 1.5);
    }
}

/* A charge of 1 us at weight 700000 is 1.46 units of virtual time: what is cut off must not be lost, launch after launch. */
static void heavy_weights_lose_nothing_to_rounding(void **state)
{
    sim_init(&sim, SCHED_BEST_EFFORT);
    sim.wake_latency_ns = 0;
    struct sim_tenant *a = sim_tenant(&sim, sim_share(&sim, 700000, 0), SIM_SYNC, 999, 1);
    struct sim_tenant *b = sim_tenant(&sim, sim_share(&sim, 700000, 0), SIM_ASYNC, 500 * US, 0);
    sim.measure_from_ns = sim.now_ns;
    sim_run(&sim, sim.now_ns + 2 * SEC);
    assert_percent(a, 50, 1);
    assert_percent(b, 50, 1);
}

static void three_tenants_share_by_weight(void **state)
{
    const uint32_t weights[][3] = { { 1, 1, 1 }, { 5, 3, 2 }, { 600000, 300000, 100000 } };
    for (size_t i = 0; i < 3; i++) {
        sim_init(&sim, SCHED_BEST_EFFORT);
        struct sim_tenant *t[3];
        double sum = 0;
        for (int k = 0; k < 3; k++) {
            sum += weights[i][k];
            t[k] = sim_tenant(&sim, sim_share(&sim, weights[i][k], 0), SIM_ASYNC, (uint64_t)(300 + 400 * k) * US, 0);
        }
        run_10s();
        for (int k = 0; k < 3; k++)
            assert_percent(t[k], 98.8 * weights[i][k] / sum, 1.3);
    }
}

/* The tenant that waits for each result must get its half although it never has a second batch in the queue: linger. */
static void synchronous_tenant_gets_its_half(void **state)
{
    sim_init(&sim, SCHED_BEST_EFFORT);
    struct sim_tenant *sync = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_SYNC, 1 * MS, 50 * US);
    struct sim_tenant *async = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, 500 * US, 0);
    run_10s();
    /* Its gaps are charged to it: 5 % of its own half of the time. Of what the device did, each has its half. */
    double used = sim_percent(&sim, sync) + sim_percent(&sim, async), part = 100 * sim_percent(&sim, sync) / used;
    assert_true(used > 97);
    assert_true(part > 48 && part < 52);
    assert_percent(async, 50, 1);
    assert_true(sync->worst_wait_ns < 6 * MS);
}

/* And the test of that test: without linger it is robbed. */
static void without_linger_it_would_not(void **state)
{
    sim_init(&sim, SCHED_BEST_EFFORT);
    sim.core.linger_ns = 0;
    struct sim_tenant *sync = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_SYNC, 1 * MS, 50 * US);
    sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, 500 * US, 0);
    run_10s();
    assert_true(sim_percent(&sim, sync) < 40);
}

static void two_synchronous_tenants_are_equal(void **state)
{
    sim_init(&sim, SCHED_BEST_EFFORT);
    struct sim_tenant *a = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_SYNC, 900 * US, 60 * US);
    struct sim_tenant *b = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_SYNC, 3 * MS, 60 * US);
    run_10s();
    assert_percent(a, 48.5, 2.5);
    assert_percent(b, 48.5, 2.5);
}

static void clients_of_a_share_divide_what_the_share_gets(void **state)
{
    sim_init(&sim, SCHED_BEST_EFFORT);
    uint32_t both = sim_share(&sim, 1, 0), alone = sim_share(&sim, 1, 0);
    struct sim_tenant *a1 = sim_tenant(&sim, both, SIM_ASYNC, 500 * US, 0);
    struct sim_tenant *a2 = sim_tenant(&sim, both, SIM_ASYNC, 500 * US, 0);
    struct sim_tenant *b = sim_tenant(&sim, alone, SIM_ASYNC, 500 * US, 0);
    run_10s();
    assert_percent(a1, 24.7, 1);
    assert_percent(a2, 24.7, 1);
    assert_percent(b, 49.4, 1.3);
}

static void idle_neighbour_costs_nothing(void **state)
{
    const enum sim_kind kinds[] = { SIM_ASYNC, SIM_SYNC };
    for (int i = 0; i < 2; i++) {
        sim_init(&sim, SCHED_BEST_EFFORT);
        struct sim_tenant *a = sim_tenant(&sim, sim_share(&sim, 1, 0), kinds[i], 500 * US, 0);
        sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_IDLE, 0, 0);
        run_10s();
        assert_percent(a, 100, 0.01);
        assert_int_equal(sim.wakes, 0);
        assert_int_equal(a->lost, 0);
    }
}

static void idling_banks_no_credit(void **state)
{
    sim_init(&sim, SCHED_BEST_EFFORT);
    struct sim_tenant *a = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, 500 * US, 0);
    struct sim_tenant *late = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, 500 * US, 0);
    late->from_ns = sim.now_ns + 5 * SEC;
    sim.measure_from_ns = late->from_ns;
    sim_run(&sim, late->from_ns + SEC / 5);
    assert_percent(a, 50, 3);
    assert_percent(late, 50, 3);
}

/* Also when the one that used the GPU all the time is not active at the moment the other comes. */
static void idling_banks_no_credit_against_a_pausing_share(void **state)
{
    sim_init(&sim, SCHED_BEST_EFFORT);
    uint32_t a = sim_share(&sim, 1, 0), b = sim_share(&sim, 1, 0);
    struct sched_wake wake;
    sched_core_join(&sim.core, 0, a, 1, SEC);
    sched_core_join(&sim.core, 1, b, 1, SEC);
    sched_core_request(&sim.core, 0, SEC);
    assert_true(sched_core_begin(&sim.core, 0, SEC, &wake));
    sched_core_end(&sim.core, 0, 100 * SEC);
    sched_core_release(&sim.core, 0, 100 * SEC);
    sched_core_request(&sim.core, 1, 101 * SEC);
    assert_true(sched_core_begin(&sim.core, 1, 101 * SEC, &wake));
    sched_core_request(&sim.core, 0, 101 * SEC);
    assert_false(sched_core_must_yield(&sim.core, 1, 101 * SEC + 1 * MS));
    assert_true(sched_core_must_yield(&sim.core, 1, 101 * SEC + 2 * MS));
}

static void short_requests_wait_about_a_quantum(void **state)
{
    sim_init(&sim, SCHED_BEST_EFFORT);
    sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, 500 * US, 0);
    struct sim_tenant *rare = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_SYNC, 100 * US, 7300 * US);
    run_10s();
    assert_true(rare->launches > 1000);
    assert_true(rare->worst_wait_ns < 3 * MS);
}

struct pair { uint32_t a, b; uint64_t now; };

/* Two shares with one client each, client 0 holding and working, client 1 not yet asking. */
static struct pair pair_init(enum sched_policy policy)
{
    struct sched_wake wake;
    sim_init(&sim, policy);
    struct pair p = { sim_share(&sim, 1, 500000), sim_share(&sim, 1, 500000), 10 * SEC };
    sched_core_join(&sim.core, 0, p.a, 1, p.now);
    sched_core_join(&sim.core, 1, p.b, 1, p.now);
    sched_core_request(&sim.core, 0, p.now);
    assert_true(sched_core_begin(&sim.core, 0, p.now, &wake));
    return p;
}

/* The latency class */

static void set_class(uint32_t share, enum sched_class class)
{
    struct sched_core_share *s = &sim.core.shares[share];
    struct sched_share_config config = { .weight = s->weight, .time_ppm = s->time_ppm, .quota_bytes = s->quota_bytes, .class = class };
    memcpy(config.name, s->name, sizeof(config.name));
    assert_int_equal(sched_core_share_add(&sim.core, &config, sim.now_ns, NULL), 0);
}

/* A request of 3 ms now and then among three that saturate in batches of 300 us; returns its longest wait. */
static uint64_t worst_wait_at(enum sched_policy policy, enum sched_class class, uint64_t gap_ns)
{
    sim_init(&sim, policy);
    uint32_t share = sim_share(&sim, 1, 250000);
    set_class(share, class);
    struct sim_tenant *rare = sim_tenant(&sim, share, SIM_SYNC, 3 * MS, gap_ns);
    for (int i = 0; i < 3; i++)
        sim_tenant(&sim, sim_share(&sim, 1, 250000), SIM_ASYNC, 300 * US, 0);
    run_10s();
    assert_true(rare->launches > 400);
    return rare->worst_wait_ns;
}

/* At different places of the others' turns: what comes at fixed times would see only one. */
static uint64_t worst_wait(enum sched_policy policy, enum sched_class class)
{
    uint64_t worst = 0;
    for (uint64_t gap = 17 * MS; gap < 20 * MS; gap += 310 * US) {
        uint64_t wait = worst_wait_at(policy, class, gap);
        worst = wait > worst ? wait : worst;
    }
    return worst;
}

static void latency_class_goes_next(void **state)
{
    const enum sched_policy policies[] = { SCHED_BEST_EFFORT, SCHED_EQUAL_SHARE, SCHED_FIXED_SHARE };
    for (int i = 0; i < 3; i++) {
        uint64_t normal = worst_wait(policies[i], SCHED_CLASS_NORMAL), latency = worst_wait(policies[i], SCHED_CLASS_LATENCY);
        print_message("%s: longest wait %.2f ms, in the latency class %.2f ms\n", sched_policy_to_string(policies[i]), (double)normal / 1e6,
                      (double)latency / 1e6);
        assert_true(latency <= 300 * US + 2 * sim.wake_latency_ns);    /* what is on the device, and waking up */
        assert_true(normal > 3 * latency);
    }
}

/* A share of the latency class that never stops gets its part and no more, and the others theirs. */
static void latency_class_is_no_larger_share(void **state)
{
    const enum sched_policy policies[] = { SCHED_BEST_EFFORT, SCHED_EQUAL_SHARE, SCHED_FIXED_SHARE };
    for (int i = 0; i < 6; i++) {
        sim_init(&sim, policies[i % 3]);
        uint32_t greedy = sim_share(&sim, 1, 250000);
        set_class(greedy, SCHED_CLASS_LATENCY);
        struct sim_tenant *a = sim_tenant(&sim, greedy, i < 3 ? SIM_ASYNC : SIM_SYNC, 700 * US, 20 * US);
        struct sim_tenant *b = sim_tenant(&sim, sim_share(&sim, 3, 750000), SIM_ASYNC, 500 * US, 0);
        run_10s();
        assert_percent(a, 25, 1);
        assert_percent(b, 75, 2);
    }
}

/* To the nanosecond: goes first while what it used, over its part, is not ahead of the time; then it queues as any other. */
static void latency_class_ends_with_its_part(void **state)
{
    struct sched_wake wake;
    sim_init(&sim, SCHED_BEST_EFFORT);
    uint32_t first = sim_share(&sim, 1, 0), other = sim_share(&sim, 3, 0);
    set_class(first, SCHED_CLASS_LATENCY);
    uint64_t now = 10 * SEC;
    sched_core_join(&sim.core, 0, first, 1, now);
    sched_core_join(&sim.core, 1, other, 1, now);
    sched_core_request(&sim.core, 0, now);
    assert_true(sched_core_begin(&sim.core, 0, now, &wake));
    sched_core_end(&sim.core, 0, now + 7 * MS);                    /* a quarter is its part: 28 ms of time, of which 20 lie behind */
    sched_core_release(&sim.core, 0, now + 7 * MS);
    uint64_t due = now + 8 * MS;
    assert_int_equal(sim.core.shares[first].ahead_ns, due);
    assert_int_equal(sched_core_request(&sim.core, 1, now + 7 * MS).granted, 1);
    assert_true(sched_core_begin(&sim.core, 1, now + 7 * MS, &wake));
    sched_core_request(&sim.core, 0, due - 1);
    assert_false(sched_core_must_yield(&sim.core, 1, due - 1));    /* as any other: the turn goes on */
    sched_core_request(&sim.core, 0, due);
    assert_true(sched_core_must_yield(&sim.core, 1, due));
    assert_int_equal(sched_core_end(&sim.core, 1, due + 100 * US).granted, 0);
}

/* Nothing is managed */

static void unmanaged_clients_work_at_once_and_are_charged(void **state)
{
    struct pair p = pair_init(SCHED_UNMANAGED);
    struct sched_wake wake;
    assert_int_equal(sim.core.holder, SCHED_NONE);
    sched_core_request(&sim.core, 1, p.now);
    assert_true(sched_core_may_begin(&sim.core, 1));
    assert_true(sched_core_begin(&sim.core, 1, p.now, &wake));
    assert_false(sched_core_must_yield(&sim.core, 0, p.now + SEC));
    assert_false(sched_core_is_shared(&sim.core, 0));
    sched_core_end(&sim.core, 0, p.now + SEC);
    sched_core_release(&sim.core, 0, p.now + SEC);
    sched_core_end(&sim.core, 1, p.now + 2 * SEC);
    struct sched_share_stat stat;
    sched_core_share_stat(&sim.core, p.a, p.now + 3 * SEC, &stat);
    assert_int_equal(stat.granted_ns, SEC);
    assert_int_equal(stat.overruns, 0);
    assert_int_equal(stat.turns, 1);
    sched_core_share_stat(&sim.core, p.b, p.now + 3 * SEC, &stat);
    assert_int_equal(stat.granted_ns, 2 * SEC);
    assert_int_equal(sim.core.overrunning, 0);
}

/* The policy of a page may change under its clients: who worked beside others loses that, who waited need not wait. */
static void managing_begins_and_ends_under_way(void **state)
{
    struct pair p = pair_init(SCHED_UNMANAGED);
    struct sched_config managed = SCHED_CONFIG_DEFAULT, none = SCHED_CONFIG_DEFAULT;
    struct sched_wake wake;
    none.policy = SCHED_UNMANAGED;
    sched_core_configure(&sim.core, &managed, p.now + MS);
    assert_true(sched_core_must_yield(&sim.core, 0, p.now + MS));
    sched_core_end(&sim.core, 0, p.now + 2 * MS);
    assert_false(sched_core_begin(&sim.core, 0, p.now + 2 * MS, &wake));
    assert_int_equal(sched_core_request(&sim.core, 0, p.now + 2 * MS).granted, 0);
    assert_true(sched_core_begin(&sim.core, 0, p.now + 2 * MS, &wake));
    sched_core_request(&sim.core, 1, p.now + 2 * MS);
    assert_false(sched_core_may_begin(&sim.core, 1));
    sched_core_configure(&sim.core, &none, p.now + 3 * MS);
    assert_true(sched_core_may_begin(&sim.core, 1));
    assert_true(sched_core_begin(&sim.core, 1, p.now + 3 * MS, &wake));
    assert_int_equal(sim.core.waiting, 0);
    sched_core_end(&sim.core, 0, p.now + 4 * MS);
    sched_core_release(&sim.core, 0, p.now + 4 * MS);
    assert_true(sched_core_begin(&sim.core, 0, p.now + 4 * MS, &wake));
}

/* Caps */

static void fixed_share_holds_while_others_idle(void **state)
{
    const uint64_t kernels[] = { 20 * US, 500 * US, 1 * MS, 7 * MS, 60 * MS };
    const uint32_t caps[] = { 250000, 62500, 500000, 900000 };
    for (int i = 0; i < 40; i++) {
        sim_init(&sim, SCHED_FIXED_SHARE);
        uint32_t cap = caps[i / 10];
        struct sim_tenant *a = sim_tenant(&sim, sim_share(&sim, cap, cap), i & 1 ? SIM_SYNC : SIM_ASYNC, kernels[i / 2 % 5], 5 * US);
        sim_tenant(&sim, sim_share(&sim, 1000000 - cap, 1000000 - cap), SIM_IDLE, 0, 0);
        run_10s();
        double possible = i & 1 ? 100.0 * (double)a->kernel_ns / (double)(a->kernel_ns + 5 * US) : 100;
        double expected = cap / 1e4 < possible ? cap / 1e4 : possible;
        assert_percent(a, expected, a->kernel_ns > 10 * MS ? 1.0 : 0.5);
    }
}

static void fixed_share_holds_under_load(void **state)
{
    const uint64_t kernels[][3] = { { 500 * US, 500 * US, 500 * US }, { 100 * US, 700 * US, 3 * MS }, { 500 * US, 400 * US, 30 * MS } };
    for (int i = 0; i < 3; i++) {
        sim_init(&sim, SCHED_FIXED_SHARE);
        struct sim_tenant *a = sim_tenant(&sim, sim_share(&sim, 250000, 250000), SIM_ASYNC, kernels[i][0], 0);
        struct sim_tenant *b = sim_tenant(&sim, sim_share(&sim, 250000, 250000), SIM_ASYNC, kernels[i][1], 0);
        struct sim_tenant *c = sim_tenant(&sim, sim_share(&sim, 500000, 500000), SIM_ASYNC, kernels[i][2], 0);
        run_10s();
        assert_percent(a, 25, 1);
        assert_percent(b, 25, 1);
        assert_percent(c, 50, 1.5);
    }
}

static void equal_share_counts_connected_shares(void **state)
{
    const uint32_t weights[][2] = { { 1, 1 }, { 3, 1 }, { 1, 3 } };
    for (int i = 0; i < 6; i++) {
        sim_init(&sim, SCHED_EQUAL_SHARE);
        bool both = i >= 3;
        const uint32_t *w = weights[i % 3];
        struct sim_tenant *a = sim_tenant(&sim, sim_share(&sim, w[0], 0), SIM_ASYNC, 500 * US, 0);
        struct sim_tenant *b = sim_tenant(&sim, sim_share(&sim, w[1], 0), both ? SIM_ASYNC : SIM_IDLE, 700 * US, 0);
        sim_share(&sim, 7, 0);   /* nobody connected: counts nothing */
        run_10s();
        double part = 100.0 * w[0] / (w[0] + w[1]);
        assert_percent(a, part - (both ? 0.6 : 0), 1);
        assert_percent(b, both ? 100 - part - 0.6 : 0, 1);
    }
}

static void equal_share_follows_joins_and_leaves(void **state)
{
    sim_init(&sim, SCHED_EQUAL_SHARE);
    uint64_t t0 = sim.now_ns;
    struct sim_tenant *a = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, 500 * US, 0);
    struct sim_tenant *b = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, 500 * US, 0);
    struct sim_tenant *c = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_IDLE, 0, 0);
    c->from_ns = t0 + 4 * SEC;
    c->to_ns = t0 + 8 * SEC;
    b->to_ns = t0 + 12 * SEC;
    const double expected[][2] = { { 49.5, 49.5 }, { 33.3, 33.3 }, { 49.5, 49.5 }, { 100, 0 } };
    for (uint64_t phase = 0; phase < 4; phase++) {
        sim.measure_from_ns = t0 + phase * 4 * SEC + SEC;
        sim_run(&sim, sim.measure_from_ns);
        a->busy_ns = b->busy_ns = 0;
        sim_run(&sim, sim.measure_from_ns + 3 * SEC - 1);
        assert_percent(a, expected[phase][0], 1);
        assert_percent(b, expected[phase][1], 1);
    }
}

static void cap_pauses_even_alone(void **state)
{
    sim_init(&sim, SCHED_FIXED_SHARE);
    uint32_t share = sim_share(&sim, 1, 250000);
    struct sched_wake wake;
    uint64_t now = 10 * SEC;
    sched_core_join(&sim.core, 0, share, 1, now);
    assert_int_equal(sched_core_request(&sim.core, 0, now).granted, 0);
    assert_true(sched_core_begin(&sim.core, 0, now, &wake));
    assert_false(sched_core_must_yield(&sim.core, 0, now + 1 * MS));
    assert_true(sched_core_must_yield(&sim.core, 0, now + 50 * MS));
    sched_core_end(&sim.core, 0, now + 50 * MS);
    assert_int_equal(sim.core.holder, SCHED_NONE);
    assert_false(sched_core_begin(&sim.core, 0, now + 50 * MS, &wake));
    assert_int_equal(sched_core_request(&sim.core, 0, now + 50 * MS).granted, SCHED_NONE);
    uint64_t due = sim.core.shares[share].next_ns;      /* 50 ms used: 200 ms after the start, less 20 ms of credit */
    assert_int_equal(due, now + 180 * MS);
    assert_int_equal(sched_core_request(&sim.core, 0, due - 1).granted, SCHED_NONE);
    assert_int_equal(sched_core_sleep(&sim.core, 0, due - 1 * MS), due);
    assert_int_equal(sched_core_request(&sim.core, 0, due).granted, 0);
}

/* To the nanosecond: a turn that begins without credit is one quantum of work, in one piece or in several. */
static void allowance_counts_work_not_time(void **state)
{
    sim_init(&sim, SCHED_FIXED_SHARE);
    uint32_t share = sim_share(&sim, 1, 250000);
    struct sched_wake wake;
    uint64_t now = 10 * SEC;
    sched_core_join(&sim.core, 0, share, 1, now);
    sim.core.shares[share].next_ns = now;
    sched_core_request(&sim.core, 0, now);
    sched_core_begin(&sim.core, 0, now, &wake);
    assert_false(sched_core_must_yield(&sim.core, 0, now + 2 * MS - 1));
    assert_true(sched_core_must_yield(&sim.core, 0, now + 2 * MS));
    sched_core_end(&sim.core, 0, now + 1 * MS);
    assert_false(sched_core_must_yield(&sim.core, 0, now + 3 * MS));
    assert_true(sched_core_begin(&sim.core, 0, now + 1500 * US, &wake));   /* 1 ms used, and 500 us of rest bring back a third of that */
    uint64_t due = now + 1500 * US + 1 * MS + 500 * US / 3 + 1;
    assert_false(sched_core_must_yield(&sim.core, 0, due - 1));
    assert_true(sched_core_must_yield(&sim.core, 0, due));
    sched_core_end(&sim.core, 0, due + 1);
    assert_int_equal(sim.core.holder, SCHED_NONE);
}

static void debts_follow_the_fraction(void **state)
{
    sim_init(&sim, SCHED_FIXED_SHARE);
    uint32_t share = sim_share(&sim, 1, 100000);
    struct sched_wake wake;
    uint64_t now = 10 * SEC;
    sched_core_join(&sim.core, 0, share, 1, now);
    sched_core_request(&sim.core, 0, now);
    sched_core_begin(&sim.core, 0, now, &wake);
    now += 100 * MS;
    sched_core_release(&sim.core, 0, now);
    uint64_t pause = sim.core.shares[share].next_ns - now;
    assert_true(pause > 800 * MS);
    struct sched_share_config config = { .name = "share0", .weight = 1, .time_ppm = 500000 };
    assert_int_equal(sched_core_share_add(&sim.core, &config, now, NULL), 0);
    assert_int_equal(sim.core.shares[share].next_ns - now, pause / 5);
    struct sched_config best = SCHED_CONFIG_DEFAULT;
    sched_core_request(&sim.core, 0, now);
    assert_int_equal(sched_core_configure(&sim.core, &best, now).granted, 0);
}

/* Steals, lingering, overruns */

static void lingering_holder_is_stolen_after_linger(void **state)
{
    struct pair p = pair_init(SCHED_BEST_EFFORT);
    struct sched_wake wake;
    assert_int_equal(sched_core_request(&sim.core, 1, p.now + 100 * US).granted, SCHED_NONE);
    wake = sched_core_end(&sim.core, 0, p.now + 300 * US);
    assert_int_equal(wake.granted, SCHED_NONE);
    assert_int_equal(wake.watch, 1);                               /* somebody must set an alarm for the linger time */
    assert_int_equal(sched_core_request(&sim.core, 1, p.now + 499 * US).granted, SCHED_NONE);
    assert_int_equal(sched_core_sleep(&sim.core, 1, p.now + 499 * US), p.now + 500 * US);
    assert_int_equal(sched_core_request(&sim.core, 1, p.now + 500 * US).granted, 1);
    assert_false(sched_core_begin(&sim.core, 0, p.now + 510 * US, &wake));
    assert_true(sched_core_must_yield(&sim.core, 0, p.now + 510 * US));
    struct sched_share_stat stat;
    sched_core_share_stat(&sim.core, p.a, p.now + 510 * US, &stat);
    assert_int_equal(stat.granted_ns, 500 * US);                   /* the lingering kept somebody waiting: charged */
    assert_int_equal(stat.turns, 1);
}

static void begin_in_time_keeps_the_turn(void **state)
{
    struct pair p = pair_init(SCHED_BEST_EFFORT);
    struct sched_wake wake;
    sched_core_request(&sim.core, 1, p.now + 100 * US);
    sched_core_end(&sim.core, 0, p.now + 300 * US);
    assert_true(sched_core_begin(&sim.core, 0, p.now + 450 * US, &wake));
    assert_int_equal(sched_core_request(&sim.core, 1, p.now + 1900 * US).granted, SCHED_NONE);
    assert_false(sched_core_must_yield(&sim.core, 0, p.now + 1900 * US));
    assert_true(sched_core_must_yield(&sim.core, 0, p.now + 2000 * US));
    assert_int_equal(sched_core_end(&sim.core, 0, p.now + 2100 * US).granted, 1);   /* quantum used up: handed over at once */
}

static void idle_turn_is_free_until_somebody_asks(void **state)
{
    const enum sched_policy policies[] = { SCHED_BEST_EFFORT, SCHED_FIXED_SHARE, SCHED_EQUAL_SHARE };
    for (int i = 0; i < 3; i++) {
        struct pair p = pair_init(policies[i]);
        sched_core_end(&sim.core, 0, p.now + 100 * US);
        uint64_t next = sim.core.shares[p.a].next_ns;
        assert_int_equal(sched_core_request(&sim.core, 1, p.now + 5 * SEC).granted, 1);
        struct sched_share_stat stat;
        sched_core_share_stat(&sim.core, p.a, p.now + 5 * SEC, &stat);
        assert_int_equal(stat.granted_ns, 100 * US);
        assert_int_equal(sim.core.shares[p.a].next_ns, next);
        sched_core_share_stat(&sim.core, p.b, p.now + 5 * SEC, &stat);
        assert_true(stat.holding);
        assert_int_equal(stat.waited_ns, 0);
    }
}

static void overrunner_does_not_stop_the_others(void **state)
{
    struct pair p = pair_init(SCHED_BEST_EFFORT);
    struct sched_wake wake;
    struct sched_share_stat stat;
    uint64_t asked = p.now + 1 * MS, due = p.now + 252 * MS;
    sched_core_request(&sim.core, 1, asked);
    assert_int_equal(sched_core_request(&sim.core, 1, due - 1).granted, SCHED_NONE);
    assert_int_equal(sched_core_request(&sim.core, 1, due).granted, 1);
    assert_true(sched_core_begin(&sim.core, 1, due, &wake));
    assert_false(sched_core_begin(&sim.core, 0, due, &wake));
    assert_true(sched_core_must_yield(&sim.core, 0, due));
    sched_core_share_stat(&sim.core, p.a, p.now + SEC, &stat);
    assert_int_equal(stat.overruns, 1);
    assert_int_equal(stat.granted_ns, SEC);                        /* it works on, so it is charged on */
    sched_core_end(&sim.core, 0, p.now + 2 * SEC);
    sched_core_share_stat(&sim.core, p.a, p.now + 3 * SEC, &stat);
    assert_int_equal(stat.granted_ns, 2 * SEC);
    assert_int_equal(sim.core.clients[0].busy_since_ns, 0);
    assert_int_equal(sched_core_request(&sim.core, 0, p.now + 3 * SEC).granted, SCHED_NONE);   /* like everybody */
    assert_int_equal(sim.core.holder, 1);
}

static void patience_counts_from_when_somebody_waits(void **state)
{
    struct pair p = pair_init(SCHED_BEST_EFFORT);
    uint64_t asked = p.now + 10 * SEC;                             /* alone until then: nobody was kept waiting */
    assert_int_equal(sched_core_request(&sim.core, 1, asked).granted, SCHED_NONE);
    assert_true(sched_core_must_yield(&sim.core, 0, asked));
    assert_int_equal(sched_core_request(&sim.core, 1, asked + 249 * MS).granted, SCHED_NONE);
    assert_int_equal(sched_core_request(&sim.core, 1, asked + 250 * MS).granted, 1);
}

static void stuck_tenant_delays_others_once(void **state)
{
    sim_init(&sim, SCHED_BEST_EFFORT);
    struct sim_tenant *stuck = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, 500 * US, 0);
    struct sim_tenant *b = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, 500 * US, 0);
    struct sim_tenant *c = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_SYNC, 500 * US, 50 * US);
    stuck->stuck_ns = 6 * SEC;
    sim.measure_from_ns = sim.now_ns;
    sim_run(&sim, sim.now_ns + 5 * SEC);
    assert_percent(b, 47, 2);
    assert_percent(c, 46, 3);
    assert_true(b->worst_wait_ns <= 256 * MS && c->worst_wait_ns <= 260 * MS);
    assert_int_equal(sim.core.shares[0].overruns, 1);
    sim_run(&sim, sim.now_ns + 10 * SEC);
    assert_true(stuck->launches > 1);                              /* it came back, with a debt */
}

/* A waiter that was chosen but is stopped, or wakes late, costs the others a quantum and a grace, and keeps no turn. */
static void chosen_client_that_does_not_begin_is_passed_over(void **state)
{
    struct pair p = pair_init(SCHED_BEST_EFFORT);
    uint32_t c = sim_share(&sim, 1, 0);
    sched_core_join(&sim.core, 2, c, 1, p.now);
    sched_core_request(&sim.core, 1, p.now);
    sched_core_request(&sim.core, 2, p.now);
    uint64_t at = p.now + 3 * MS, due = at + 2 * MS + SCHED_GRACE_NS;
    assert_int_equal(sched_core_release(&sim.core, 0, at).granted, 1);
    assert_int_equal(sched_core_request(&sim.core, 2, due - 1).granted, SCHED_NONE);
    assert_int_equal(sched_core_request(&sim.core, 2, due).granted, 2);
    assert_int_equal(sim.core.shares[p.b].overruns, 0);
    assert_int_equal(sched_core_request(&sim.core, 1, due + 1).granted, SCHED_NONE);
    assert_int_equal(sim.core.clients[1].phase, SCHED_WAITING);
}

static void leaving_hands_the_turn_over(void **state)
{
    struct pair p = pair_init(SCHED_BEST_EFFORT);
    sched_core_request(&sim.core, 1, p.now + 1);
    assert_int_equal(sched_core_leave(&sim.core, 0, p.now + 2).granted, 1);
    assert_int_equal(sched_core_leave(&sim.core, 1, p.now + 3).granted, SCHED_NONE);
    assert_int_equal(sim.core.holder, SCHED_NONE);
    assert_int_equal(sim.core.clients_end, 0);
    assert_int_equal(sim.core.waiting, 0);
}

static void cancel_takes_the_wait_back(void **state)
{
    struct pair p = pair_init(SCHED_BEST_EFFORT);
    sched_core_request(&sim.core, 1, p.now);
    assert_true(sched_core_must_yield(&sim.core, 0, p.now + 2 * MS));
    sched_core_cancel(&sim.core, 1, p.now + 2 * MS);
    assert_false(sched_core_must_yield(&sim.core, 0, p.now + 3 * MS));
    assert_int_equal(sim.core.shares[p.b].waited_ns, 2 * MS);
    assert_int_equal(sched_core_release(&sim.core, 0, p.now + 3 * MS).granted, SCHED_NONE);
}

/* Only the waiter on watch keeps setting short alarms. */
static void waiters_do_not_wake_all_at_once(void **state)
{
    sim_init(&sim, SCHED_BEST_EFFORT);
    struct sim_tenant *holder = sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, 500 * US, 0);
    holder->stuck_ns = 240 * MS;
    for (int i = 0; i < 12; i++)
        sim_tenant(&sim, sim_share(&sim, 1, 0), SIM_ASYNC, 500 * US, 0);
    sim_run(&sim, sim.now_ns + 200 * MS);
    assert_true(sim.wakes <= 10 + 12 * 4);
    assert_true(sim.wakes >= 10);
}

/* Memory */

static void quota_is_exact_over_the_clients_of_a_share(void **state)
{
    struct pair p = pair_init(SCHED_BEST_EFFORT);
    struct sched_share_stat stat;
    sched_core_join(&sim.core, 5, p.a, 1, p.now);
    uint64_t quota = 1 << 20;
    assert_int_equal(sched_core_reserve(&sim.core, 0, quota - 100), 0);
    assert_int_equal(sched_core_available(&sim.core, 5), 100);
    assert_int_equal(sched_core_reserve(&sim.core, 5, 101), -EDQUOT);
    assert_int_equal(sched_core_reserve(&sim.core, 5, UINT64_MAX), -EDQUOT);
    assert_int_equal(sched_core_reserve(&sim.core, 5, UINT64_MAX - quota + 101), -EDQUOT);
    assert_int_equal(sched_core_reserve(&sim.core, 5, 100), 0);
    assert_int_equal(sched_core_reserve(&sim.core, 0, 1), -EDQUOT);
    assert_int_equal(sched_core_reserve(&sim.core, 0, 0), 0);
    assert_int_equal(sched_core_reserve(&sim.core, 1, quota), 0);                     /* another share's */
    sched_core_leave(&sim.core, 0, p.now);
    sched_core_share_stat(&sim.core, p.a, p.now, &stat);
    assert_int_equal(stat.used_bytes, 100);
    assert_int_equal(stat.peak_bytes, quota);
    assert_int_equal(stat.refused, 4);
    sched_core_unreserve(&sim.core, 5, 1000);                                          /* more than it has */
    assert_int_equal(sched_core_available(&sim.core, 5), quota);
    assert_int_equal(sched_core_reserve(&sim.core, 0, 1), -EDQUOT);                   /* not a client any more */
}

static void a_smaller_quota_refuses_but_takes_nothing(void **state)
{
    struct pair p = pair_init(SCHED_BEST_EFFORT);
    assert_int_equal(sched_core_reserve(&sim.core, 0, 5000), 0);
    struct sched_share_config config = { .name = "share0", .weight = 1, .quota_bytes = 4000 };
    assert_int_equal(sched_core_share_add(&sim.core, &config, p.now, NULL), 0);
    assert_int_equal(sched_core_available(&sim.core, 0), 0);
    assert_int_equal(sched_core_reserve(&sim.core, 0, 1), -EDQUOT);
    sched_core_unreserve(&sim.core, 0, 2000);
    assert_int_equal(sched_core_reserve(&sim.core, 0, 1000), 0);
    assert_int_equal(sched_core_reserve(&sim.core, 0, 1), -EDQUOT);
}

/* Shares */

static void shares_are_added_changed_and_removed(void **state)
{
    struct pair p = pair_init(SCHED_BEST_EFFORT);
    struct error err = { 0 };
    assert_int_equal(sched_core_share_remove(&sim.core, "share0", p.now, &err), -EBUSY);
    assert_non_null(strstr(err.text, "share0"));
    assert_int_equal(sched_core_share_remove(&sim.core, "nobody", p.now, &err), -ENOENT);
    sched_core_leave(&sim.core, 0, p.now);
    assert_int_equal(sched_core_share_remove(&sim.core, "share0", p.now, &err), 0);
    assert_int_equal(sched_core_share_find(&sim.core, "share0"), SCHED_NONE);
    struct sched_share_config bad[] = {
        { .name = "", .weight = 1 }, { .name = "x", .weight = 0 }, { .name = "x", .weight = 1000001 },
        { .name = "x", .weight = 1, .time_ppm = 1000001 },
    };
    for (int i = 0; i < 4; i++)
        assert_int_equal(sched_core_share_add(&sim.core, &bad[i], p.now, &err), -EINVAL);
    for (int i = 0; i < SCHED_MAX_SHARES - 1; i++)
        sim_share(&sim, 1, 0);
    struct sched_share_config more = { .name = "more", .weight = 1 };
    assert_int_equal(sched_core_share_add(&sim.core, &more, p.now, &err), -ENOSPC);
}

static void policies_have_names(void **state)
{
    enum sched_policy policy;
    for (int i = SCHED_BEST_EFFORT; i <= SCHED_FIXED_SHARE; i++) {
        assert_int_equal(sched_policy_from_string(sched_policy_to_string((enum sched_policy)i), &policy, NULL), 0);
        assert_int_equal(policy, i);
    }
    struct error err = { 0 };
    assert_int_equal(sched_policy_from_string("best", &policy, &err), -EINVAL);
    assert_non_null(strstr(err.hint, "best-effort"));
}

static void months_of_time_do_not_overflow(void **state)
{
    struct pair p = pair_init(SCHED_BEST_EFFORT);
    sim.core.vclock = (UINT64_C(1) << 62) + 12345;
    sim.core.shares[p.a].vtime = (UINT64_C(1) << 62) + 99999999;
    sched_core_request(&sim.core, 1, p.now + 1);
    assert_true(sim.core.vclock < UINT64_C(1) << 40);
    assert_true(sim.core.shares[p.a].vtime < UINT64_C(1) << 40);
    assert_true(sched_core_must_yield(&sim.core, 0, p.now + 3 * MS));
    assert_int_equal(sched_core_end(&sim.core, 0, p.now + 3 * MS).granted, 1);
}

/* Nonsense in the page */

static uint64_t random_state = 88172645463325252u;

static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static void scribble(void *at, size_t n, int every)
{
    uint8_t *p = at;
    for (size_t i = 0; i < n; i++) {
        if (every == 1 || random_u64() % (uint64_t)every == 0)
            p[i] = (uint8_t)random_u64();
    }
}

static void call_everything(struct sched_core *core, uint64_t now)
{
    struct sched_wake wake;
    struct sched_share_stat stat;
    struct sched_share_config config = { .name = "s", .weight = 7, .time_ppm = 300000, .quota_bytes = 1000 };
    uint32_t slot = (uint32_t)(random_u64() % (SCHED_MAX_CLIENTS + 2));
    sched_core_request(core, slot, now);
    sched_core_begin(core, slot, now, &wake);
    sched_core_end(core, slot, now + 5);
    sched_core_progress(core, slot, now);
    sched_core_must_yield(core, slot, now);
    sched_core_release(core, slot, now);
    sched_core_sleep(core, slot, now);
    sched_core_cancel(core, slot, now);
    sched_core_reserve(core, slot, 10);
    sched_core_unreserve(core, slot, 10);
    sched_core_join(core, slot, (uint32_t)(random_u64() % SCHED_MAX_SHARES), 1, now);
    sched_core_share_add(core, &config, now, NULL);
    sched_core_share_stat(core, (uint32_t)(random_u64() % SCHED_MAX_SHARES), now, &stat);
    sched_core_share_remove(core, "s", now, NULL);
    sched_core_leave(core, slot, now);
    struct sched_config any = sched_core_config(core);
    sched_core_configure(core, &any, now);
}

/* A worker that was taken over can write anything: it may spoil the turns, but tranched must come through, and repair the page. */
static void nonsense_in_the_page_does_no_harm(void **state)
{
    for (int round = 0; round < 400; round++) {
        struct pair p = pair_init((enum sched_policy)(round % 4));
        scribble(&sim.core, sizeof(sim.core), round % 2 ? 1 : 1 << (round % 12));
        for (int i = 0; i < 20; i++)
            call_everything(&sim.core, p.now + (uint64_t)i * MS);
        sched_core_repair(&sim.core, p.now + SEC);
        assert_true(sim.core.holder == SCHED_NONE || sim.core.holder < SCHED_MAX_CLIENTS);
        assert_true(sim.core.policy <= SCHED_UNMANAGED);
        for (int i = 0; i < SCHED_MAX_CLIENTS; i++)
            assert_true(!sim.core.clients[i].phase
                        || (sim.core.clients[i].phase <= SCHED_OVERRUN && sim.core.clients[i].share < SCHED_MAX_SHARES));
    }
}

/* The owner of the lock died between two writes: whatever the derived fields say, nobody may be forgotten. */
static void repair_rebuilds_what_follows_from_the_slots(void **state)
{
    struct pair p = pair_init(SCHED_EQUAL_SHARE);
    sched_core_request(&sim.core, 1, p.now);
    sched_core_reserve(&sim.core, 1, 77);
    sim.core.waiting = 9;
    sim.core.clients_end = 0;
    sim.core.shares[p.b].waiting = sim.core.shares[p.b].clients = 0;
    sim.core.overrunning = 4;
    sim.core.holder = 300;
    struct sched_wake wake = sched_core_repair(&sim.core, p.now + 1);
    assert_int_equal(wake.granted, 1);
    assert_int_equal(sim.core.waiting, 0);
    assert_int_equal(sim.core.clients_end, 2);
    assert_int_equal(sim.core.overrunning, 0);
    assert_int_equal(sim.core.shares[p.b].clients, 1);
    assert_int_equal(sim.core.shares[p.b].fraction_ppm, 500000);
    assert_int_equal(sched_core_used(&sim.core, p.b), 77);
}

static void repair_completes_a_grant(void **state)
{
    struct pair p = pair_init(SCHED_BEST_EFFORT);
    sched_core_end(&sim.core, 0, p.now);
    sched_core_release(&sim.core, 0, p.now);
    sim.core.holder = 1;                                           /* died after this … */
    sim.core.clients[1].phase = SCHED_WAITING;                     /* … and before this was cleared */
    sim.core.waiting = sim.core.shares[p.b].waiting = 1;
    sched_core_repair(&sim.core, p.now + 1);
    assert_int_equal(sim.core.holder, 1);
    assert_int_equal(sim.core.clients[1].phase, SCHED_IDLE);
    assert_int_equal(sim.core.waiting, 0);
    assert_int_equal(sched_core_request(&sim.core, 0, p.now + 2).granted, SCHED_NONE);
    assert_int_equal(sched_core_request(&sim.core, 0, p.now + SEC).granted, 0);
}

static void random_actions_keep_the_rules(void **state)
{
    uint8_t actions[1500];
    for (int round = 0; round < 1000; round++) {
        scribble(actions, sizeof(actions), 1);
        LLVMFuzzerTestOneInput(actions, sizeof(actions));
    }
}

/* Random tenants: however they work, the device is never idle while somebody asks for it, and shares get their weight. */
static void random_tenants_are_treated_fairly(void **state)
{
    for (int round = 0; round < 60; round++) {
        sim_init(&sim, SCHED_BEST_EFFORT);
        int n = 2 + (int)(random_u64() % 4);
        double weights = 0, got = 0;
        for (int i = 0; i < n; i++) {
            uint32_t weight = 1 + (uint32_t)(random_u64() % 5);
            bool sync = random_u64() % 3 == 0;
            weights += weight;
            uint64_t kernel = sync ? MS : 50 * US + random_u64() % (4 * MS);
            sim_tenant(&sim, sim_share(&sim, weight, 0), sync ? SIM_SYNC : SIM_ASYNC, kernel, 20 * US);
        }
        run_10s();
        for (int i = 0; i < n; i++)
            got += sim_percent(&sim, &sim.tenants[i]);
        assert_true(got > 95);
        for (int i = 0; i < n; i++)
            assert_percent(&sim.tenants[i], 97.5 * sim.core.shares[i].weight / weights, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_equal_tenants_get_half_each),
        cmocka_unit_test(weights_divide_the_device),
        cmocka_unit_test(heavy_weights_lose_nothing_to_rounding),
        cmocka_unit_test(three_tenants_share_by_weight),
        cmocka_unit_test(synchronous_tenant_gets_its_half),
        cmocka_unit_test(without_linger_it_would_not),
        cmocka_unit_test(two_synchronous_tenants_are_equal),
        cmocka_unit_test(clients_of_a_share_divide_what_the_share_gets),
        cmocka_unit_test(idle_neighbour_costs_nothing),
        cmocka_unit_test(idling_banks_no_credit),
        cmocka_unit_test(idling_banks_no_credit_against_a_pausing_share),
        cmocka_unit_test(short_requests_wait_about_a_quantum),
        cmocka_unit_test(latency_class_goes_next),
        cmocka_unit_test(latency_class_is_no_larger_share),
        cmocka_unit_test(latency_class_ends_with_its_part),
        cmocka_unit_test(unmanaged_clients_work_at_once_and_are_charged),
        cmocka_unit_test(managing_begins_and_ends_under_way),
        cmocka_unit_test(fixed_share_holds_while_others_idle),
        cmocka_unit_test(fixed_share_holds_under_load),
        cmocka_unit_test(equal_share_counts_connected_shares),
        cmocka_unit_test(equal_share_follows_joins_and_leaves),
        cmocka_unit_test(cap_pauses_even_alone),
        cmocka_unit_test(allowance_counts_work_not_time),
        cmocka_unit_test(debts_follow_the_fraction),
        cmocka_unit_test(lingering_holder_is_stolen_after_linger),
        cmocka_unit_test(begin_in_time_keeps_the_turn),
        cmocka_unit_test(idle_turn_is_free_until_somebody_asks),
        cmocka_unit_test(overrunner_does_not_stop_the_others),
        cmocka_unit_test(patience_counts_from_when_somebody_waits),
        cmocka_unit_test(stuck_tenant_delays_others_once),
        cmocka_unit_test(chosen_client_that_does_not_begin_is_passed_over),
        cmocka_unit_test(leaving_hands_the_turn_over),
        cmocka_unit_test(cancel_takes_the_wait_back),
        cmocka_unit_test(waiters_do_not_wake_all_at_once),
        cmocka_unit_test(quota_is_exact_over_the_clients_of_a_share),
        cmocka_unit_test(a_smaller_quota_refuses_but_takes_nothing),
        cmocka_unit_test(shares_are_added_changed_and_removed),
        cmocka_unit_test(policies_have_names),
        cmocka_unit_test(months_of_time_do_not_overflow),
        cmocka_unit_test(nonsense_in_the_page_does_no_harm),
        cmocka_unit_test(repair_rebuilds_what_follows_from_the_slots),
        cmocka_unit_test(repair_completes_a_grant),
        cmocka_unit_test(random_actions_keep_the_rules),
        cmocka_unit_test(random_tenants_are_treated_fairly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

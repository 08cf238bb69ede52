/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator of tenants: see sched_sim.h. */
#include "sched_sim.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ABSENT, THINKING, WAITING, WORKING, GONE };

void sim_init(struct sim *sim, enum sched_policy policy)
{
    struct sched_config config = SCHED_CONFIG_DEFAULT;
    config.policy = policy;
    memset(sim, 0, sizeof(*sim));
    sched_core_init(&sim->core, &config);
    sim->now_ns = NS_PER_S;
    sim->wake_latency_ns = 30 * NS_PER_US;
}

uint32_t sim_share(struct sim *sim, uint32_t weight, uint32_t time_ppm)
{
    struct sched_share_config config = { .weight = weight, .time_ppm = time_ppm, .quota_bytes = 1 << 20 };
    for (int i = 0; ; i++) {
        snprintf(config.name, sizeof(config.name), "share%d", i);
        if (sched_core_share_find(&sim->core, config.name) == SCHED_NONE)
            break;
    }
    assert_int_equal(sched_core_share_add(&sim->core, &config, sim->now_ns, NULL), 0);
    return sched_core_share_find(&sim->core, config.name);
}

struct sim_tenant *sim_tenant(struct sim *sim, uint32_t share, enum sim_kind kind, uint64_t kernel_ns, uint64_t gap_ns)
{
    assert_true(sim->n < SIM_MAX);
    struct sim_tenant *tenant = &sim->tenants[sim->n];
    *tenant = (struct sim_tenant){ .kind = kind, .kernel_ns = kernel_ns, .gap_ns = gap_ns, .share = share, .slot = (uint32_t)sim->n };
    tenant->next_ns = sim->now_ns;
    sim->n++;
    return tenant;
}

static void wake(struct sim *sim, struct sched_wake who)
{
    const uint32_t slots[] = { who.granted, who.watch };
    for (int i = 0; i < 2; i++) {
        struct sim_tenant *tenant = slots[i] < (uint32_t)sim->n ? &sim->tenants[slots[i]] : NULL;
        if (tenant && tenant->state == WAITING && tenant->next_ns > sim->now_ns + sim->wake_latency_ns)
            tenant->next_ns = sim->now_ns + sim->wake_latency_ns;
    }
}

static void count_busy(const struct sim *sim, struct sim_tenant *tenant)
{
    uint64_t from = tenant->busy_from_ns > sim->measure_from_ns ? tenant->busy_from_ns : sim->measure_from_ns;
    if (sim->now_ns > from)
        tenant->busy_ns += sim->now_ns - from;
    tenant->busy_from_ns = sim->now_ns;
}

static bool start(struct sim *sim, struct sim_tenant *tenant)
{
    struct sched_wake who;
    bool holds = sched_core_begin(&sim->core, tenant->slot, sim->now_ns, &who);
    wake(sim, who);
    if (!holds)
        return false;
    uint64_t waited = sim->now_ns - tenant->asked_ns;
    if (tenant->asked_ns && sim->now_ns >= sim->measure_from_ns && waited > tenant->worst_wait_ns)
        tenant->worst_wait_ns = waited;
    tenant->asked_ns = 0;
    tenant->state = WORKING;
    tenant->busy_from_ns = sim->now_ns;
    tenant->next_ns = sim->now_ns + (tenant->stuck_ns ? tenant->stuck_ns : tenant->kernel_ns);
    tenant->stuck_ns = 0;
    return true;
}

static void ask(struct sim *sim, struct sim_tenant *tenant)
{
    if (!tenant->asked_ns)
        tenant->asked_ns = sim->now_ns;
    wake(sim, sched_core_request(&sim->core, tenant->slot, sim->now_ns));
    if (sim->core.holder == tenant->slot && start(sim, tenant))
        return;
    tenant->state = WAITING;
    tenant->next_ns = sched_core_sleep(&sim->core, tenant->slot, sim->now_ns);
}

static void launch(struct sim *sim, struct sim_tenant *tenant)
{
    if (start(sim, tenant))
        return;
    tenant->lost += tenant->launches > 0;
    ask(sim, tenant);
}

static void finish(struct sim *sim, struct sim_tenant *tenant)
{
    count_busy(sim, tenant);
    tenant->launches++;
    bool yields = sched_core_must_yield(&sim->core, tenant->slot, sim->now_ns);
    if (tenant->kind == SIM_ASYNC && !yields) {
        tenant->asked_ns = 0;
        assert_true(start(sim, tenant));
        return;
    }
    wake(sim, sched_core_end(&sim->core, tenant->slot, sim->now_ns));
    if (sched_core_must_yield(&sim->core, tenant->slot, sim->now_ns))
        wake(sim, sched_core_release(&sim->core, tenant->slot, sim->now_ns));
    tenant->state = THINKING;
    tenant->next_ns = sim->now_ns + (tenant->kind == SIM_SYNC ? tenant->gap_ns : NS_PER_US);
}

static void leave(struct sim *sim, struct sim_tenant *tenant)
{
    if (tenant->state == WORKING)
        count_busy(sim, tenant);
    wake(sim, sched_core_leave(&sim->core, tenant->slot, sim->now_ns));
    tenant->state = GONE;
    tenant->next_ns = SCHED_NEVER;
}

static void join(struct sim *sim, struct sim_tenant *tenant)
{
    wake(sim, sched_core_join(&sim->core, tenant->slot, tenant->share, 1, sim->now_ns));
    tenant->state = THINKING;
    tenant->next_ns = tenant->kind == SIM_IDLE ? SCHED_NEVER : sim->now_ns;
}

static void step(struct sim *sim, struct sim_tenant *tenant)
{
    if (tenant->to_ns && sim->now_ns >= tenant->to_ns && tenant->state != GONE && tenant->state != ABSENT) {
        leave(sim, tenant);
        return;
    }
    switch (tenant->state) {
    case ABSENT: join(sim, tenant); break;
    case THINKING: launch(sim, tenant); break;
    case WAITING: sim->wakes++; ask(sim, tenant); break;
    case WORKING: finish(sim, tenant); break;
    }
}

static void check(struct sim *sim)
{
    int inside = 0;
    for (int i = 0; i < sim->n; i++) {
        const struct sim_tenant *tenant = &sim->tenants[i];
        if (tenant->state != WORKING || sim->core.clients[i].phase == SCHED_OVERRUN)
            continue;
        inside++;
        assert_int_equal(sim->core.holder, tenant->slot);
    }
    assert_true(inside <= 1);
}

/* A tenant leaves on time even in the middle of a wait. */
static uint64_t next_event(const struct sim_tenant *tenant)
{
    if (tenant->state == ABSENT && tenant->from_ns > tenant->next_ns)
        return tenant->from_ns;
    if (tenant->to_ns && tenant->to_ns < tenant->next_ns && tenant->state != GONE)
        return tenant->to_ns;
    return tenant->next_ns;
}

void sim_run(struct sim *sim, uint64_t until_ns)
{
    for (;;) {
        struct sim_tenant *first = NULL;
        for (int i = 0; i < sim->n; i++) {
            if (!first || next_event(&sim->tenants[i]) < next_event(first))
                first = &sim->tenants[i];
        }
        if (!first || next_event(first) > until_ns)
            break;
        if (next_event(first) > sim->now_ns)
            sim->now_ns = next_event(first);
        step(sim, first);
        check(sim);
    }
    sim->now_ns = until_ns;
    for (int i = 0; i < sim->n; i++) {
        if (sim->tenants[i].state == WORKING)
            count_busy(sim, &sim->tenants[i]);
    }
}

double sim_percent(const struct sim *sim, const struct sim_tenant *tenant)
{
    return 100.0 * (double)tenant->busy_ns / (double)(sim->now_ns - sim->measure_from_ns);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Tenants on a virtual clock: drives the scheduler's core as workers do, and measures what each got of the device itself. */
#pragma once

#include "sched/sched_core.h"

#define SIM_MAX 16

enum sim_kind {
    SIM_ASYNC,     /* always has the next batch in the queue, looks at must_yield between two */
    SIM_SYNC,      /* launch, wait, think for gap_ns, launch … */
    SIM_IDLE,      /* connected, never asks */
};

struct sim_tenant {
    enum sim_kind kind;
    uint64_t kernel_ns, gap_ns;
    uint64_t from_ns, to_ns;    /* connected between; to_ns 0: to the end */
    uint64_t stuck_ns;          /* its first kernel takes so long instead */
    /* results */
    uint64_t busy_ns;           /* device time within the measured window */
    uint64_t worst_wait_ns;     /* longest from asking to beginning */
    uint64_t launches, lost;    /* kernels done; turns lost before they began */
    /* the simulator's own */
    uint32_t share, slot;
    int state;
    uint64_t next_ns, busy_from_ns, asked_ns;
};

struct sim {
    struct sched_core core;
    struct sim_tenant tenants[SIM_MAX];
    int n;
    uint64_t now_ns, measure_from_ns;
    uint64_t wake_latency_ns;
    uint64_t wakes;             /* how often a waiter woke, by alarm or by being woken */
};

void sim_init(struct sim *sim, enum sched_policy policy);
/* A share with that weight and cap; returns its index. */
uint32_t sim_share(struct sim *sim, uint32_t weight, uint32_t time_ppm);
/* A tenant as a client of the share; returns it, to set from_ns and the like. */
struct sim_tenant *sim_tenant(struct sim *sim, uint32_t share, enum sim_kind kind, uint64_t kernel_ns, uint64_t gap_ns);
/* Runs to until_ns, checking after each step that one tenant at most works inside a turn, and that no turn lies unused. */
void sim_run(struct sim *sim, uint64_t until_ns);
/* Device time of a tenant in the measured window, in percent of it. */
double sim_percent(const struct sim *sim, const struct sim_tenant *tenant);

/* SPDX-License-Identifier: Apache-2.0 */
/* Reads bytes as actions of clients on the scheduler's core, beside a naive model; aborts when a rule is broken.
 *
 * With clang: -fsanitize=fuzzer,address over this file and src/sched/sched_{cap,class,core,turn}.c, src/base/error.c. Without it,
 * test_sched.c feeds it random bytes. The rules: one holder at most, and never one that waits; whoever may run is not left waiting
 * while the GPU is free; the counts are those of the slots; memory is what the model says and within the quota; everybody
 * who waits gets the GPU within a bound, whatever the others do. */
#include "sched/sched_core.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARES 3
#define SLOTS 6
#define QUOTA 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct model {
    struct sched_core core;
    uint64_t now_ns;
    uint32_t share[SLOTS];       /* SCHED_NONE: not joined */
    uint64_t used[SLOTS];
    bool asks[SLOTS];
    uint64_t charged;            /* granted_ns of all shares so far: never shrinks */
};

#define RULE(condition) do { if (!(condition)) broken(__LINE__, #condition); } while (0)

static void broken(int line, const char *rule)
{
    fprintf(stderr, "sched_fuzz.c:%d: broken rule: %s\n", line, rule);
    abort();
}

static void add_shares(struct model *m)
{
    for (uint32_t i = 0; i < SHARES; i++) {
        struct sched_share_config config = { .weight = 1 + i, .time_ppm = 200000 * (i + 1), .quota_bytes = QUOTA, .class = i % 2 };
        snprintf(config.name, sizeof(config.name), "s%u", i);
        RULE(sched_core_share_add(&m->core, &config, m->now_ns, NULL) == 0);
    }
}

static uint64_t model_used(const struct model *m, uint32_t share)
{
    uint64_t sum = 0;
    for (int i = 0; i < SLOTS; i++)
        sum += m->share[i] == share ? m->used[i] : 0;
    return sum;
}

static void check_counts(const struct model *m)
{
    const struct sched_core *core = &m->core;
    uint32_t waiting = 0, overrunning = 0, end = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        RULE((core->clients[i].phase != SCHED_FREE) == (m->share[i] != SCHED_NONE));
        waiting += core->clients[i].phase == SCHED_WAITING;
        overrunning += core->clients[i].phase == SCHED_OVERRUN;
        if (core->clients[i].phase != SCHED_FREE)
            end = i + 1;
        if (core->clients[i].phase == SCHED_WAITING)
            RULE(m->asks[i]);
        if (core->clients[i].phase == SCHED_IDLE && core->holder != i)
            RULE(!core->clients[i].busy_since_ns);
    }
    RULE(core->waiting == waiting && core->overrunning == overrunning && core->clients_end == end);
}

/* Time alone moves nothing: the rule holds after a call that looks. */
static void check_turn(const struct model *m)
{
    const struct sched_core *core = &m->core;
    if (core->holder != SCHED_NONE) {
        RULE(core->holder < SLOTS);
        RULE(core->clients[core->holder].phase == SCHED_IDLE);
        return;
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        const struct sched_core_share *share = &core->shares[core->clients[i].share];
        bool capped = share->fraction_ppm < SCHED_WHOLE_PPM && share->next_ns > m->now_ns;
        RULE(core->clients[i].phase != SCHED_WAITING || capped || core->policy == SCHED_UNMANAGED);
    }
}

static void check_memory(struct model *m)
{
    uint64_t charged = 0;
    for (uint32_t i = 0; i < SHARES; i++) {
        RULE(sched_core_used(&m->core, i) == model_used(m, i));
        RULE(sched_core_used(&m->core, i) <= QUOTA);
        RULE(m->core.shares[i].peak_bytes <= QUOTA);
        charged += m->core.shares[i].granted_ns;
    }
    RULE(charged >= m->charged);
    RULE(charged <= m->now_ns * SLOTS);
    m->charged = charged;
}

static void reserve(struct model *m, uint32_t slot, uint64_t bytes)
{
    bool fits = m->share[slot] != SCHED_NONE && model_used(m, m->share[slot]) + bytes <= QUOTA;
    RULE((sched_core_reserve(&m->core, slot, bytes) == 0) == fits);
    if (fits)
        m->used[slot] += bytes;
}

static void unreserve(struct model *m, uint32_t slot, uint64_t bytes)
{
    sched_core_unreserve(&m->core, slot, bytes);
    m->used[slot] -= bytes < m->used[slot] ? bytes : m->used[slot];
}

static void join_or_leave(struct model *m, uint32_t slot, uint32_t share)
{
    if (m->share[slot] != SCHED_NONE) {
        sched_core_leave(&m->core, slot, m->now_ns);
        m->share[slot] = SCHED_NONE;
    } else {
        sched_core_join(&m->core, slot, share, 1, m->now_ns);
        m->share[slot] = share;
    }
    m->used[slot] = 0;
    m->asks[slot] = false;
}

static void configure(struct model *m, uint8_t policy)
{
    struct sched_config config = SCHED_CONFIG_DEFAULT;
    config.policy = (enum sched_policy)(policy % 4);
    sched_core_configure(&m->core, &config, m->now_ns);
}

static void request(struct model *m, uint32_t slot)
{
    m->asks[slot] = m->share[slot] != SCHED_NONE;
    sched_core_request(&m->core, slot, m->now_ns);
    if (m->share[slot] == SCHED_NONE)
        return;
    RULE(m->core.holder == slot || m->core.clients[slot].phase == SCHED_WAITING || m->core.policy == SCHED_UNMANAGED);
    check_turn(m);
}

static void begin(struct model *m, uint32_t slot)
{
    struct sched_wake wake;
    bool held = m->core.holder == slot || (m->core.policy == SCHED_UNMANAGED && m->share[slot] != SCHED_NONE);
    bool began = sched_core_begin(&m->core, slot, m->now_ns, &wake);
    RULE(!began || held);
    RULE(!began || m->core.clients[slot].busy_since_ns);
    RULE(began || wake.granted == SCHED_NONE || m->core.holder == wake.granted);
}

static void act(struct model *m, uint8_t action, uint8_t argument)
{
    uint32_t slot = argument % SLOTS;
    switch (action % 16) {
    case 0: join_or_leave(m, slot, (uint32_t)argument / SLOTS % SHARES); break;
    case 1: reserve(m, slot, (uint64_t)argument * 5); break;
    case 2: unreserve(m, slot, (uint64_t)argument * 3); break;
    case 3: sched_core_release(&m->core, slot, m->now_ns); break;
    case 4: sched_core_cancel(&m->core, slot, m->now_ns); m->asks[slot] = false; break;
    case 5: m->now_ns += (uint64_t)argument * NS_PER_MS; break;
    case 6: case 7: m->now_ns += (uint64_t)argument * 10 * NS_PER_US; break;
    case 8: sched_core_progress(&m->core, slot, m->now_ns); break;
    case 9: if (argument > 250) configure(m, argument); else sched_core_repair(&m->core, m->now_ns); break;
    case 10: case 11: sched_core_end(&m->core, slot, m->now_ns); break;
    case 12: case 13: begin(m, slot); break;
    default: request(m, slot); break;
    }
}

/* Under a cap, a share whose own client works on and on has no time left for its others. */
static bool eats_its_cap(const struct sched_core *core, uint32_t share)
{
    bool busy = false;
    for (int i = 0; i < SLOTS; i++)
        busy |= core->clients[i].phase != SCHED_FREE && core->clients[i].share == share && core->clients[i].busy_since_ns;
    return busy && core->shares[share].fraction_ppm < SCHED_WHOLE_PPM;
}

/* The others do nothing from here on, whatever they hold: the waiter's own alarms must get it the GPU. */
static void check_waiters_get_through(struct model *m)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (m->core.clients[slot].phase != SCHED_WAITING || eats_its_cap(&m->core, m->core.clients[slot].share))
            continue;
        sched_core_request(&m->core, slot, m->now_ns);      /* so that what is due so far is charged */
        const struct sched_core_share *share = &m->core.shares[m->core.clients[slot].share];
        uint64_t cap = share->next_ns > m->now_ns ? share->next_ns - m->now_ns : 0;
        uint64_t limit = m->now_ns + cap + SLOTS * (m->core.patience_ns + m->core.quantum_ns + 2 * SCHED_GRACE_NS) + NS_PER_S;
        for (int i = 0; !sched_core_may_begin(&m->core, slot); i++) {
            RULE(i < 20000);
            m->now_ns = sched_core_sleep(&m->core, slot, m->now_ns);
            sched_core_request(&m->core, slot, m->now_ns);
            RULE(m->now_ns < limit);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model m;
    memset(&m, 0, sizeof(m));
    struct sched_config config = SCHED_CONFIG_DEFAULT;
    if (size)
        config.policy = (enum sched_policy)(data[0] % 4);
    sched_core_init(&m.core, &config);
    m.now_ns = NS_PER_S;
    for (int i = 0; i < SLOTS; i++)
        m.share[i] = SCHED_NONE;
    add_shares(&m);
    for (size_t i = 1; i + 1 < size; i += 2) {
        act(&m, data[i], data[i + 1]);
        check_counts(&m);
        check_memory(&m);
    }
    check_waiters_get_through(&m);
    return 0;
}

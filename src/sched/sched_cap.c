/* SPDX-License-Identifier: Apache-2.0 */
/* Caps: a share that may use the fraction f of the GPU is not eligible before `next`, which each charge of c ns moves on by c/f.
 *
 * `next` may lie behind `now` by a credit: ten quanta for a share that idled, more for one that had to wait, so that queueing
 * behind others does not cost it its fraction. A turn that begins at next == now lasts one quantum q: then next is ahead of now by
 * q/f - q, the allowance, and the share pauses until now has caught up. */
#include "sched/sched_turn.h"

#include "base/cleanup.h"
#include "base/clock.h"

#define CREDIT_IDLE_QUANTA 10
#define CREDIT_IDLE_MAX_NS (50 * NS_PER_MS)
#define CREDIT_WAIT_MAX_NS (250 * NS_PER_MS)

static uint64_t scale(uint64_t value, uint64_t num, uint64_t den)
{
    unsigned __int128 product = (unsigned __int128)value * num / (den ? den : 1);
    return product > UINT64_MAX ? UINT64_MAX : (uint64_t)product;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t subtract(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint32_t fraction_of(const struct sched_core_share *share)
{
    uint32_t ppm = sched_get(share->fraction_ppm);
    return ppm >= 1 && ppm < SCHED_WHOLE_PPM ? ppm : SCHED_WHOLE_PPM;
}

bool sched_cap_applies(const struct sched_core_share *share)
{
    return fraction_of(share) < SCHED_WHOLE_PPM;
}

bool sched_cap_is_eligible(const struct sched_core_share *share, uint64_t now_ns)
{
    return !sched_cap_applies(share) || share->next_ns <= now_ns;
}

static uint64_t credit_idle(const struct sched_core *core)
{
    return MIN(CREDIT_IDLE_QUANTA * core->quantum_ns, CREDIT_IDLE_MAX_NS);
}

static uint64_t credit_wait(const struct sched_core *core)
{
    return credit_idle(core) + MIN(core->patience_ns, CREDIT_WAIT_MAX_NS);
}

void sched_cap_rested(const struct sched_core *core, struct sched_core_share *share, uint64_t since_ns, uint64_t now_ns)
{
    uint64_t moved = add(share->next_ns, subtract(now_ns, since_ns)), floor = subtract(now_ns, credit_idle(core));
    moved = MIN(moved, floor);
    share->next_ns = MAX(share->next_ns, moved);
}

void sched_cap_charge(const struct sched_core *core, struct sched_core_share *share, uint64_t from_ns, uint64_t amount_ns)
{
    uint64_t base = MAX(share->next_ns, subtract(from_ns, credit_wait(core)));
    share->next_ns = add(base, scale(amount_ns, SCHED_WHOLE_PPM, fraction_of(share)));
}

bool sched_cap_is_exhausted(const struct sched_core *core, const struct sched_core_share *share, uint64_t now_ns)
{
    if (!sched_cap_applies(share))
        return false;
    uint32_t ppm = fraction_of(share);
    return share->next_ns >= add(now_ns, scale(core->quantum_ns, SCHED_WHOLE_PPM - ppm, ppm));
}

uint64_t sched_cap_end(const struct sched_core *core, const struct sched_core_share *share, uint64_t now_ns)
{
    if (!sched_cap_applies(share))
        return SCHED_NEVER;
    uint32_t ppm = fraction_of(share);
    uint64_t next = MAX(share->next_ns, subtract(now_ns, credit_wait(core)));
    uint64_t full = add(now_ns, core->quantum_ns);
    if (next <= now_ns)
        return add(full, scale(now_ns - next, ppm, SCHED_WHOLE_PPM - ppm));
    return subtract(full, scale(next - now_ns, ppm, SCHED_WHOLE_PPM - ppm));
}

static uint64_t connected_weight(const struct sched_core *core)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < SCHED_MAX_SHARES; i++)
        sum += core->shares[i].in_use && core->shares[i].clients ? core->shares[i].weight : 0;
    return sum;
}

static uint32_t fraction_for(const struct sched_core *core, const struct sched_core_share *share, uint64_t connected)
{
    uint64_t ppm = SCHED_WHOLE_PPM;
    if (core->policy == SCHED_FIXED_SHARE)
        ppm = share->time_ppm;
    else if (core->policy == SCHED_EQUAL_SHARE && share->clients && connected)
        ppm = (uint64_t)share->weight * SCHED_WHOLE_PPM / connected;
    return ppm < 1 ? 1 : (uint32_t)MIN(ppm, (uint64_t)SCHED_WHOLE_PPM);
}

/* A debt is GPU time, so the pause that it costs is longer or shorter when the fraction changes. */
static void fraction_set(struct sched_core_share *share, uint32_t ppm, uint64_t now_ns)
{
    uint32_t old = fraction_of(share);
    if (share->next_ns > now_ns && ppm == SCHED_WHOLE_PPM)
        share->next_ns = now_ns;
    else if (share->next_ns > now_ns && old != ppm)
        share->next_ns = add(now_ns, scale(share->next_ns - now_ns, old, ppm));
    share->fraction_ppm = ppm;
}

void sched_cap_refresh(struct sched_core *core, uint64_t now_ns)
{
    uint64_t connected = core->policy == SCHED_EQUAL_SHARE ? connected_weight(core) : 0;
    for (unsigned i = 0; i < SCHED_MAX_SHARES; i++) {
        struct sched_core_share *share = &core->shares[i];
        if (share->in_use)
            fraction_set(share, fraction_for(core, share, connected), now_ns);
    }
}

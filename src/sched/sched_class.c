/* SPDX-License-Identifier: Apache-2.0 */
/* The latency class: a share that goes next when it has work, as long as what it used stays within its own part of the time.
 *
 * The same reckoning as under a cap (sched_cap.c): a charge of c ns moves `ahead` on by c/f, where f is the share's part, and the
 * share goes next while `ahead` is not later than now. `ahead` may lie behind now by the averaging window, so that in any time t
 * it goes first for no more than f times (t + window), and one turn. Beyond that it waits for its turn like any other. */
#include "sched/sched_turn.h"

#include "base/cleanup.h"

#define WINDOW_QUANTA 10        /* 20 ms by default: an interactive program's work for one picture */

static uint64_t connected_weight(const struct sched_core *core)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < SCHED_MAX_SHARES; i++)
        sum += core->shares[i].in_use && core->shares[i].clients ? core->shares[i].weight : 0;
    return sum;
}

/* Its part of the time while all that are connected want some. */
static uint64_t part_ppm(const struct sched_core *core, const struct sched_core_share *share)
{
    uint64_t connected = connected_weight(core), ppm = share->time_ppm;
    if (core->policy != SCHED_FIXED_SHARE)
        ppm = connected ? (uint64_t)share->weight * SCHED_WHOLE_PPM / connected : SCHED_WHOLE_PPM;
    return ppm < 1 ? 1 : MIN(ppm, (uint64_t)SCHED_WHOLE_PPM);
}

bool sched_class_goes_next(const struct sched_core_share *share, uint64_t now_ns)
{
    return share->class == SCHED_CLASS_LATENCY && share->ahead_ns <= now_ns;
}

void sched_class_charge(const struct sched_core *core, struct sched_core_share *share, uint64_t from_ns, uint64_t amount_ns)
{
    uint64_t window = WINDOW_QUANTA * core->quantum_ns, least = from_ns > window ? from_ns - window : 0;
    if (share->class != SCHED_CLASS_LATENCY)
        return;
    unsigned __int128 moved = (unsigned __int128)amount_ns * SCHED_WHOLE_PPM / part_ppm(core, share) + MAX(share->ahead_ns, least);
    share->ahead_ns = moved > UINT64_MAX ? UINT64_MAX : (uint64_t)moved;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the core share among themselves: the caps and the latency class, seen from the turns. Not for other rooms. */
#pragma once

#include "sched/sched_core.h"

/* A share of the latency class that is within its part of the time. */
bool sched_class_goes_next(const struct sched_core_share *share, uint64_t now_ns);
/* amount_ns of GPU time was used from from_ns on. */
void sched_class_charge(const struct sched_core *core, struct sched_core_share *share, uint64_t from_ns, uint64_t amount_ns);

bool sched_cap_applies(const struct sched_core_share *share);
bool sched_cap_is_eligible(const struct sched_core_share *share, uint64_t now_ns);
/* The share neither waited nor worked since since_ns: that adds nothing to a credit beyond the small one that idling may build up. */
void sched_cap_rested(const struct sched_core *core, struct sched_core_share *share, uint64_t since_ns, uint64_t now_ns);
/* amount_ns of GPU time was used from from_ns on. */
void sched_cap_charge(const struct sched_core *core, struct sched_core_share *share, uint64_t from_ns, uint64_t amount_ns);
/* The allowance is used up: the share must pause. */
bool sched_cap_is_exhausted(const struct sched_core *core, const struct sched_core_share *share, uint64_t now_ns);
/* When it will be (or was), if the share works on without a break from now_ns; SCHED_NEVER without a cap. */
uint64_t sched_cap_end(const struct sched_core *core, const struct sched_core_share *share, uint64_t now_ns);

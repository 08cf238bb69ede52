/* SPDX-License-Identifier: Apache-2.0 */
/* Turns: who holds the GPU, what it is charged, when its turn is over, who is next.
 *
 * A client that gives the GPU back is not waiting at that moment, so choosing the least vtime among those who wait is not enough
 * for weights: it would alternate. Therefore a holder that is still behind the best waiter keeps its turn until it has caught up
 * (turn_limit_ns), which is what choosing it again and again would come to. */
#include "sched/sched_turn.h"

#include "base/cleanup.h"

#include <string.h>

#define VTIME_SHIFT 10                             /* vtime counts 1/1024 ns at weight 1, so that heavy weights lose little */
#define CHARGE_MAX_NS (UINT64_C(1) << 50)          /* 13 days in one charge: more can only be nonsense */
#define VCLOCK_REBASE (UINT64_C(1) << 62)
#define LAG_QUANTA 10                              /* a share that ran dry for less than this many quanta may catch up, by as much */
#define OVERDUE_NS UINT64_C(1000000)               /* a waiter whose alarm is overdue by more cannot be counted on */

static struct sched_core_client *holder_of(struct sched_core *core)
{
    return sched_core_client_at(core, sched_get(core->holder));
}

static struct sched_core_share *share_of(struct sched_core *core, const struct sched_core_client *client)
{
    return sched_core_share_at(core, sched_get(client->share));
}

static uint32_t weight_of(const struct sched_core_share *share)
{
    uint32_t weight = sched_get(share->weight);
    return weight ? weight : 1;
}

static void decrement(uint32_t *count)
{
    if (*count)
        --*count;
}

/* Active shares and the virtual clock */

static bool is_active(struct sched_core *core, const struct sched_core_share *share)
{
    const struct sched_core_client *holder = holder_of(core);
    return share->waiting || share->overrunning || (holder && share_of(core, holder) == share);
}

/* Called before the set of active shares changes; in between the least vtime among them can only grow. */
static void advance_clock(struct sched_core *core)
{
    uint64_t least = UINT64_MAX;
    uint32_t end = MIN(core->shares_end, (uint32_t)SCHED_MAX_SHARES);
    for (uint32_t i = 0; i < end; i++) {
        const struct sched_core_share *share = &core->shares[i];
        if (share->in_use && share->vtime < least && is_active(core, share))
            least = share->vtime;
    }
    if (least != UINT64_MAX && least > core->vclock)
        core->vclock = least;
}

/* After months of GPU time at a small weight: only differences matter, so take the common part off. */
static void rebase_clock(struct sched_core *core)
{
    for (unsigned i = 0; i < SCHED_MAX_SHARES; i++) {
        struct sched_core_share *share = &core->shares[i];
        share->vtime = share->vtime > core->vclock ? share->vtime - core->vclock : 0;
    }
    core->vclock = 0;
}

/* Idling banks no credit. Running dry for a moment, because the tenant's own threads had to wait for a processor, costs none either. */
static uint64_t lag_allowed(const struct sched_core *core, const struct sched_core_share *share, uint64_t now_ns)
{
    uint64_t most_ns = LAG_QUANTA * core->quantum_ns;
    if (!share->idle_since_ns || share->idle_since_ns > now_ns || now_ns - share->idle_since_ns > most_ns)
        return 0;
    return (most_ns << VTIME_SHIFT) / weight_of(share);
}

static void activate(struct sched_core *core, struct sched_core_share *share, uint64_t now_ns)
{
    advance_clock(core);
    if (is_active(core, share))
        return;
    uint64_t lag = MIN(lag_allowed(core, share, now_ns), core->vclock);
    share->vtime = MAX(share->vtime, core->vclock - lag);
    sched_cap_rested(core, share, share->idle_since_ns, now_ns);
    if (core->vclock >= VCLOCK_REBASE)
        rebase_clock(core);
}

/* Charging */

static void charge_share(struct sched_core *core, struct sched_core_share *share, uint64_t from_ns, uint64_t amount_ns)
{
    uint64_t units = (amount_ns << VTIME_SHIFT) + share->vtime_rest;
    uint32_t weight = weight_of(share);
    share->vtime += units / weight;
    share->vtime_rest = units % weight;
    share->granted_ns += amount_ns;
    sched_cap_charge(core, share, from_ns, amount_ns);
    sched_class_charge(core, share, from_ns, amount_ns);
}

/* Work on the device costs; holding an idle GPU costs only while it keeps somebody waiting. */
static uint64_t charge_due(const struct sched_core *core, const struct sched_core_client *client, uint64_t now_ns)
{
    uint64_t from = client->charged_to_ns;
    if (!client->busy_since_ns) {
        if (!core->contended_ns)
            return 0;
        from = MAX(from, core->contended_ns);
    }
    return from < now_ns ? MIN(now_ns - from, CHARGE_MAX_NS) : 0;
}

static void charge_client(struct sched_core *core, struct sched_core_client *client, uint64_t now_ns)
{
    uint64_t amount = charge_due(core, client, now_ns);
    client->charged_to_ns = MAX(client->charged_to_ns, now_ns);
    if (!amount)
        return;
    client->granted_ns += amount;
    if (client == holder_of(core))
        core->turn_used_ns += amount;
    struct sched_core_share *share = share_of(core, client);
    if (share)
        charge_share(core, share, now_ns - amount, amount);
}

void sched_turn_charge(struct sched_core *core, uint64_t now_ns)
{
    struct sched_core_client *holder = holder_of(core);
    if (holder)
        charge_client(core, holder, now_ns);
    for (uint32_t i = 0; core->overrunning && i < sched_core_clients_end(core); i++) {
        if (core->clients[i].phase == SCHED_OVERRUN)
            charge_client(core, &core->clients[i], now_ns);
    }
}

/* Choosing */

static bool goes_before(const struct sched_core_client *a, const struct sched_core_share *share_a,
                        const struct sched_core_client *b, const struct sched_core_share *share_b, uint64_t now_ns)
{
    bool a_next = sched_class_goes_next(share_a, now_ns);
    if (a_next != sched_class_goes_next(share_b, now_ns))
        return a_next;
    if (share_a->vtime != share_b->vtime)
        return share_a->vtime < share_b->vtime;
    if (share_a != share_b)
        return share_a->last_turn < share_b->last_turn;
    return a->last_turn < b->last_turn;
}

/* The waiting share that is to go next by its class, or that with the least vtime, in it the client served longest ago. */
static uint32_t pick(struct sched_core *core, uint64_t now_ns)
{
    uint32_t best = SCHED_NONE;
    const struct sched_core_client *best_client = NULL;
    const struct sched_core_share *best_share = NULL;
    for (uint32_t i = 0; core->waiting && i < sched_core_clients_end(core); i++) {
        const struct sched_core_client *client = &core->clients[i];
        const struct sched_core_share *share = client->phase == SCHED_WAITING ? share_of(core, client) : NULL;
        if (!share || !sched_cap_is_eligible(share, now_ns))
            continue;
        if (best_client && !goes_before(client, share, best_client, best_share, now_ns))
            continue;
        best = i;
        best_client = client;
        best_share = share;
    }
    return best;
}

/* Beginning and ending turns */

static void start_waiting(struct sched_core *core, struct sched_core_client *client, struct sched_core_share *share, uint64_t now_ns)
{
    activate(core, share, now_ns);
    client->wait_since_ns = now_ns;
    client->wake_at_ns = 0;
    client->phase = SCHED_WAITING;
    core->waiting++;
    share->waiting++;
}

static void stop_waiting(struct sched_core *core, struct sched_core_client *client, uint64_t now_ns)
{
    if (client->phase != SCHED_WAITING)
        return;
    uint64_t waited = client->wait_since_ns < now_ns ? now_ns - client->wait_since_ns : 0;
    struct sched_core_share *share = share_of(core, client);
    client->phase = SCHED_IDLE;
    client->waited_ns += waited;
    decrement(&core->waiting);
    if (share) {
        share->idle_since_ns = now_ns;
        share->waited_ns += waited;
        decrement(&share->waiting);
    }
}

static void grant(struct sched_core *core, uint32_t slot, uint64_t now_ns)
{
    struct sched_core_client *client = &core->clients[slot];
    struct sched_core_share *share = share_of(core, client);
    core->turn_seq++;
    core->turn_since_ns = core->drained_ns = now_ns;
    core->turn_used_ns = 0;
    core->turn_limit_ns = core->quantum_ns;
    core->contended_ns = 0;
    core->began = 0;
    sched_put(client->busy_since_ns, 0);
    client->charged_to_ns = client->seen_ns = now_ns;
    client->last_turn = core->turn_seq;
    if (share) {
        share->last_turn = core->turn_seq;
        share->turns++;
    }
    sched_put(core->holder, slot);
    stop_waiting(core, client, now_ns);
}

static void drop_holder(struct sched_core *core, const struct sched_core_client *holder, uint64_t now_ns)
{
    struct sched_core_share *share = share_of(core, holder);
    advance_clock(core);
    if (share)
        share->idle_since_ns = now_ns;
    sched_put(core->holder, SCHED_NONE);
    sched_put(core->yield_at_ns, SCHED_NEVER);
    core->contended_ns = 0;
}

static void work_beside(struct sched_core *core, struct sched_core_client *client)
{
    struct sched_core_share *share = share_of(core, client);
    client->phase = SCHED_OVERRUN;
    core->overrunning++;
    if (share)
        share->overrunning++;
}

/* The holder works on beyond all patience: it stays charged, but no longer keeps the others from their turns. */
static void mark_overrun(struct sched_core *core, struct sched_core_client *client)
{
    struct sched_core_share *share = share_of(core, client);
    work_beside(core, client);
    if (share)
        share->overruns++;
}

static void end_overrun(struct sched_core *core, struct sched_core_client *client, uint64_t now_ns)
{
    advance_clock(core);
    struct sched_core_share *share = share_of(core, client);
    client->phase = SCHED_IDLE;
    sched_put(client->busy_since_ns, 0);
    decrement(&core->overrunning);
    if (share) {
        share->idle_since_ns = now_ns;
        decrement(&share->overrunning);
    }
}

/* How much of the GPU the holder may use in this turn while `next` waits. */
static uint64_t turn_limit(struct sched_core *core, const struct sched_core_client *holder, uint32_t next, uint64_t now_ns)
{
    const struct sched_core_share *mine = share_of(core, holder), *other = share_of(core, &core->clients[next]);
    if (mine && other && sched_class_goes_next(other, now_ns) && !sched_class_goes_next(mine, now_ns))
        return 0;
    if (!mine || !other || mine == other || other->vtime <= mine->vtime)
        return core->quantum_ns;
    unsigned __int128 behind = ((unsigned __int128)(other->vtime - mine->vtime) * weight_of(mine)) >> VTIME_SHIFT;
    if (behind > CHARGE_MAX_NS)
        behind = CHARGE_MAX_NS;
    return MAX(core->quantum_ns, core->turn_used_ns + (uint64_t)behind);
}

/* When the limit is, or was, reached: in the past for a holder that went over it, so that patience runs from there. */
static uint64_t turn_end(const struct sched_core *core, uint64_t now_ns)
{
    if (core->turn_used_ns < core->turn_limit_ns)
        return now_ns + (core->turn_limit_ns - core->turn_used_ns);
    uint64_t over = core->turn_used_ns - core->turn_limit_ns;
    return MAX(core->contended_ns, now_ns > over ? now_ns - over : 0);
}

/* Brings the terms of the present turn up to date with `next`, the best waiter (or SCHED_NONE). All is charged up to now. */
static void refresh_terms(struct sched_core *core, uint32_t next, uint64_t now_ns)
{
    const struct sched_core_client *holder = holder_of(core);
    uint64_t yield_at = SCHED_NEVER;
    if (holder && next == SCHED_NONE)
        core->contended_ns = 0;
    if (holder && next != SCHED_NONE) {
        if (!core->contended_ns)
            core->contended_ns = now_ns;
        core->turn_limit_ns = turn_limit(core, holder, next, now_ns);
        yield_at = turn_end(core, now_ns);
    }
    const struct sched_core_share *share = holder ? share_of(core, holder) : NULL;
    if (share && (holder->busy_since_ns || core->contended_ns)) {
        uint64_t cap_end = sched_cap_end(core, share, now_ns);
        yield_at = MIN(yield_at, cap_end);
    }
    sched_put(core->yield_at_ns, yield_at);
}

/* From when on the holder's turn may be taken by somebody who waits. */
static uint64_t take_at(const struct sched_core *core, const struct sched_core_client *holder)
{
    if (holder->busy_since_ns) {
        uint64_t silent = sched_get(holder->seen_ns) + core->quantum_ns, over = MIN(core->yield_at_ns, silent);
        return MAX(core->contended_ns, over) + core->patience_ns;
    }
    if (!core->began)
        return core->turn_since_ns + core->quantum_ns + SCHED_GRACE_NS;
    return MIN(core->yield_at_ns, core->drained_ns + core->linger_ns);
}

static bool turn_is_over(struct sched_core *core, const struct sched_core_client *holder, uint32_t next, uint64_t now_ns)
{
    const struct sched_core_share *share = share_of(core, holder);
    if (!holder->busy_since_ns && share && sched_cap_is_exhausted(core, share, now_ns))
        return true;
    return next != SCHED_NONE && now_ns >= take_at(core, holder);
}

struct sched_wake sched_turn_dispatch(struct sched_core *core, uint64_t now_ns)
{
    struct sched_wake wake = SCHED_WAKE_NONE;
    struct sched_core_client *holder = holder_of(core);
    uint32_t next = pick(core, now_ns);
    if (holder) {
        refresh_terms(core, next, now_ns);
        if (!turn_is_over(core, holder, next, now_ns))
            return wake;
        drop_holder(core, holder, now_ns);
        if (holder->busy_since_ns)
            mark_overrun(core, holder);
    }
    if (next == SCHED_NONE)
        return wake;
    grant(core, next, now_ns);
    refresh_terms(core, pick(core, now_ns), now_ns);
    wake.granted = next;
    return wake;
}

void sched_turn_forget(struct sched_core *core, uint32_t slot, uint64_t now_ns)
{
    struct sched_core_client *client = &core->clients[slot];
    advance_clock(core);
    if (core->holder == slot)
        drop_holder(core, client, now_ns);
    if (client->phase == SCHED_OVERRUN)
        end_overrun(core, client, now_ns);
    stop_waiting(core, client, now_ns);
}

/* The calls of clients */

struct sched_wake sched_core_request(struct sched_core *core, uint32_t slot, uint64_t now_ns)
{
    struct sched_core_client *client = sched_core_client_at(core, slot);
    struct sched_core_share *share = client ? share_of(core, client) : NULL;
    if (!share || (core->holder == slot && client->busy_since_ns))
        return SCHED_WAKE_NONE;
    sched_turn_charge(core, now_ns);
    if (client->phase == SCHED_OVERRUN)
        end_overrun(core, client, now_ns);
    struct sched_wake wake = sched_turn_dispatch(core, now_ns);
    if (client->phase != SCHED_IDLE || sched_core_may_begin(core, slot))
        return wake;
    start_waiting(core, client, share, now_ns);
    struct sched_wake after = sched_turn_dispatch(core, now_ns);
    return after.granted == SCHED_NONE ? wake : after;
}

struct sched_wake sched_core_cancel(struct sched_core *core, uint32_t slot, uint64_t now_ns)
{
    struct sched_core_client *client = sched_core_client_at(core, slot);
    if (!client || client->phase != SCHED_WAITING)
        return SCHED_WAKE_NONE;
    sched_turn_charge(core, now_ns);
    advance_clock(core);
    stop_waiting(core, client, now_ns);
    return sched_turn_dispatch(core, now_ns);
}

static void begin_work(struct sched_core *core, struct sched_core_client *client, uint64_t now_ns)
{
    struct sched_core_share *share = share_of(core, client);
    if (share && core->began)
        sched_cap_rested(core, share, core->drained_ns, now_ns);
    sched_put(client->busy_since_ns, MAX(now_ns, UINT64_C(1)));
    core->began = 1;
    if (core->waiting || (share && sched_cap_applies(share)))
        refresh_terms(core, pick(core, now_ns), now_ns);
}

bool sched_core_may_begin(const struct sched_core *core, uint32_t slot)
{
    return core->policy == SCHED_UNMANAGED || sched_get(core->holder) == slot;
}

/* Nothing is managed: works, beside whoever else does. */
static void begin_beside(struct sched_core *core, struct sched_core_client *client, uint64_t now_ns)
{
    struct sched_core_share *share = share_of(core, client);
    stop_waiting(core, client, now_ns);
    if (client->phase == SCHED_IDLE && share) {
        activate(core, share, now_ns);
        share->turns++;
        work_beside(core, client);
    }
    client->charged_to_ns = now_ns;
    sched_put(client->busy_since_ns, MAX(now_ns, UINT64_C(1)));
}

bool sched_core_begin(struct sched_core *core, uint32_t slot, uint64_t now_ns, struct sched_wake *ret_wake)
{
    *ret_wake = SCHED_WAKE_NONE;
    struct sched_core_client *client = sched_core_client_at(core, slot);
    if (!client || !sched_core_may_begin(core, slot))
        return false;
    if (!client->busy_since_ns && core->holder != slot) {
        sched_turn_charge(core, now_ns);
        begin_beside(core, client, now_ns);
    } else if (!client->busy_since_ns) {
        sched_turn_charge(core, now_ns);
        if (now_ns >= core->yield_at_ns)
            *ret_wake = sched_turn_dispatch(core, now_ns);
        if (core->holder != slot)
            return false;
        begin_work(core, client, now_ns);
    }
    sched_put(client->seen_ns, now_ns);
    return true;
}

/* Some waiter's alarm rings by `at_ns`, and it is not late itself. */
static bool somebody_watches(const struct sched_core *core, uint32_t but, uint64_t at_ns, uint64_t now_ns)
{
    for (uint32_t i = 0; i < sched_core_clients_end(core); i++) {
        const struct sched_core_client *client = &core->clients[i];
        if (i != but && client->phase == SCHED_WAITING && client->wake_at_ns && client->wake_at_ns <= at_ns
            && client->wake_at_ns + OVERDUE_NS > now_ns)
            return true;
    }
    return false;
}

struct sched_wake sched_core_end(struct sched_core *core, uint32_t slot, uint64_t now_ns)
{
    struct sched_core_client *client = sched_core_client_at(core, slot);
    if (!client || !client->busy_since_ns)
        return SCHED_WAKE_NONE;
    sched_turn_charge(core, now_ns);
    if (client->phase == SCHED_OVERRUN)
        end_overrun(core, client, now_ns);
    sched_put(client->busy_since_ns, 0);
    if (core->holder != slot)
        return SCHED_WAKE_NONE;
    client->seen_ns = core->drained_ns = now_ns;
    struct sched_wake wake = sched_turn_dispatch(core, now_ns);
    if (core->holder == slot && core->contended_ns && !somebody_watches(core, slot, take_at(core, client), now_ns))
        wake.watch = pick(core, now_ns);
    return wake;
}

struct sched_wake sched_core_release(struct sched_core *core, uint32_t slot, uint64_t now_ns)
{
    struct sched_core_client *client = sched_core_client_at(core, slot);
    if (!client || (core->holder != slot && client->phase != SCHED_OVERRUN))
        return SCHED_WAKE_NONE;
    sched_turn_charge(core, now_ns);
    if (client->phase == SCHED_OVERRUN)
        end_overrun(core, client, now_ns);
    sched_put(client->busy_since_ns, 0);
    if (core->holder == slot)
        drop_holder(core, client, now_ns);
    return sched_turn_dispatch(core, now_ns);
}

/* May run beside the client's own end(), which must win: idle is never turned into busy. */
void sched_core_progress(struct sched_core *core, uint32_t slot, uint64_t now_ns)
{
    struct sched_core_client *client = sched_core_client_at(core, slot);
    uint64_t since = client ? sched_get(client->busy_since_ns) : 0;
    if (!since)
        return;
    sched_put(client->seen_ns, now_ns);
    __atomic_compare_exchange_n(&client->busy_since_ns, &since, MAX(now_ns, UINT64_C(1)), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

bool sched_core_must_yield(const struct sched_core *core, uint32_t slot, uint64_t now_ns)
{
    return !sched_core_may_begin(core, slot) || (sched_get(core->holder) == slot && now_ns >= sched_get(core->yield_at_ns));
}

uint64_t sched_core_sleep(struct sched_core *core, uint32_t slot, uint64_t now_ns)
{
    struct sched_core_client *client = sched_core_client_at(core, slot);
    const struct sched_core_share *share = client ? share_of(core, client) : NULL;
    const struct sched_core_client *holder = holder_of(core);
    uint64_t until = now_ns + SCHED_CHECK_NS;
    if (share && !sched_cap_is_eligible(share, now_ns)) {
        until = MIN(share->next_ns, now_ns + SCHED_CHECK_FAR_NS);
    } else {
        if (holder)
            until = MIN(until, take_at(core, holder));
        if (somebody_watches(core, slot, until, now_ns))
            until = now_ns + SCHED_CHECK_FAR_NS;
    }
    until = MAX(until, now_ns + 1000);
    if (client)
        client->wake_at_ns = until;
    return until;
}

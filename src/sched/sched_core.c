/* SPDX-License-Identifier: Apache-2.0 */
/* Shares, clients and memory of the scheduler's state; turns are in sched_turn.c. */
#include "sched/sched_core.h"
#include "sched/sched_turn.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>

static const char *const policy_names[] = { "best-effort", "equal-share", "fixed-share", "none" };
static const char *const class_names[] = { "normal", "latency" };

const char *sched_policy_to_string(enum sched_policy policy)
{
    return (unsigned)policy < ARRAY_LEN(policy_names) ? policy_names[policy] : "unknown";
}

int sched_policy_from_string(const char *text, enum sched_policy *ret, struct error *err)
{
    for (unsigned i = 0; text && i < ARRAY_LEN(policy_names); i++) {
        if (strcmp(text, policy_names[i]) == 0) {
            *ret = (enum sched_policy)i;
            return 0;
        }
    }
    error_set(err, -EINVAL, "'%s' is not a policy", text ? text : "");
    error_hint(err, "choose best-effort, equal-share or fixed-share; none switches time slices off");
    return -EINVAL;
}

const char *sched_class_to_string(enum sched_class class)
{
    return (unsigned)class < ARRAY_LEN(class_names) ? class_names[class] : "unknown";
}

int sched_class_from_string(const char *text, enum sched_class *ret, struct error *err)
{
    for (unsigned i = 0; text && i < ARRAY_LEN(class_names); i++) {
        if (strcmp(text, class_names[i]) == 0) {
            *ret = (enum sched_class)i;
            return 0;
        }
    }
    error_set(err, -EINVAL, "'%s' is not a class", text ? text : "");
    error_hint(err, "choose normal or latency");
    return -EINVAL;
}

struct sched_core_share *sched_core_share_at(struct sched_core *core, uint32_t share)
{
    return share < SCHED_MAX_SHARES && core->shares[share].in_use ? &core->shares[share] : NULL;
}

struct sched_core_client *sched_core_client_at(struct sched_core *core, uint32_t slot)
{
    return sched_core_has_client(core, slot) ? &core->clients[slot] : NULL;
}

bool sched_core_has_client(const struct sched_core *core, uint32_t slot)
{
    return slot < SCHED_MAX_CLIENTS && core->clients[slot].phase != SCHED_FREE;
}

uint32_t sched_core_clients_end(const struct sched_core *core)
{
    uint32_t end = sched_get(core->clients_end);
    return MIN(end, (uint32_t)SCHED_MAX_CLIENTS);
}

uint64_t sched_core_waited(const struct sched_core *core, uint32_t slot, uint64_t now_ns)
{
    const struct sched_core_client *client = &core->clients[slot];
    bool waits = client->phase == SCHED_WAITING && client->wait_since_ns < now_ns;
    return waits ? now_ns - client->wait_since_ns : 0;
}

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static struct sched_config config_bound(const struct sched_config *config)
{
    struct sched_config bound = *config;
    if ((unsigned)config->policy >= ARRAY_LEN(policy_names))
        bound.policy = SCHED_BEST_EFFORT;
    bound.quantum_ns = clamp(config->quantum_ns, NS_PER_MS, 30 * NS_PER_MS);
    bound.linger_ns = clamp(config->linger_ns, 0, 30 * NS_PER_MS);
    bound.patience_ns = clamp(config->patience_ns, NS_PER_MS, 60 * NS_PER_S);
    return bound;
}

static void config_set(struct sched_core *core, const struct sched_config *config)
{
    const struct sched_config bound = config_bound(config);
    core->policy = bound.policy;
    core->quantum_ns = bound.quantum_ns;
    core->linger_ns = bound.linger_ns;
    core->patience_ns = bound.patience_ns;
}

void sched_core_init(struct sched_core *core, const struct sched_config *config)
{
    memset(core, 0, sizeof(*core));
    config_set(core, config);
    core->holder = SCHED_NONE;
    core->yield_at_ns = SCHED_NEVER;
}

/* Bounded once more, so that a reader never gets a value out of range, whatever was written into the page. */
struct sched_config sched_core_config(const struct sched_core *core)
{
    const struct sched_config raw = { (enum sched_policy)core->policy, core->quantum_ns, core->linger_ns, core->patience_ns };
    return config_bound(&raw);
}

struct sched_wake sched_core_configure(struct sched_core *core, const struct sched_config *config, uint64_t now_ns)
{
    sched_turn_charge(core, now_ns);
    config_set(core, config);
    sched_cap_refresh(core, now_ns);
    return sched_turn_dispatch(core, now_ns);
}

static bool share_is_sane(const struct sched_core_share *share)
{
    return share->in_use == 0
        || (share->in_use == 1 && share->weight >= 1 && share->weight <= 1000000 && share->time_ppm >= 1
            && share->time_ppm <= SCHED_WHOLE_PPM && share->class <= SCHED_CLASS_LATENCY && share->name[0] && memchr(share->name, '\0', SCHED_NAME_MAX));
}

static bool client_is_sane(const struct sched_core *core, const struct sched_core_client *client)
{
    return client->phase == SCHED_FREE
        || (client->phase <= SCHED_OVERRUN && client->share < SCHED_MAX_SHARES && core->shares[client->share].in_use);
}

static void recount_client(struct sched_core *core, uint32_t slot)
{
    struct sched_core_client *client = &core->clients[slot];
    if (!client_is_sane(core, client)) {
        memset(client, 0, sizeof(*client));
        return;
    }
    if (client->phase == SCHED_FREE)
        return;
    if (slot == core->holder)
        client->phase = SCHED_IDLE;   /* the lock's owner died between the two writes of a grant */
    struct sched_core_share *share = &core->shares[client->share];
    core->clients_end = slot + 1;
    share->clients++;
    share->waiting += client->phase == SCHED_WAITING;
    share->overrunning += client->phase == SCHED_OVERRUN;
    core->waiting += client->phase == SCHED_WAITING;
    core->overrunning += client->phase == SCHED_OVERRUN;
}

static void recount(struct sched_core *core)
{
    core->shares_end = core->clients_end = core->waiting = core->overrunning = 0;
    for (uint32_t i = 0; i < SCHED_MAX_SHARES; i++) {
        struct sched_core_share *share = &core->shares[i];
        share->clients = share->waiting = share->overrunning = 0;
        if (!share_is_sane(share))
            memset(share, 0, sizeof(*share));
        if (share->in_use)
            core->shares_end = i + 1;
    }
    for (uint32_t i = 0; i < SCHED_MAX_CLIENTS; i++)
        recount_client(core, i);
    if (!sched_core_has_client(core, core->holder))
        sched_put(core->holder, SCHED_NONE);
}

struct sched_wake sched_core_repair(struct sched_core *core, uint64_t now_ns)
{
    const struct sched_config config = sched_core_config(core);
    config_set(core, &config);
    recount(core);
    sched_turn_charge(core, now_ns);
    sched_cap_refresh(core, now_ns);
    return sched_turn_dispatch(core, now_ns);
}

void sched_core_forget_times(struct sched_core *core)
{
    for (unsigned i = 0; i < SCHED_MAX_SHARES; i++)
        core->shares[i].next_ns = core->shares[i].ahead_ns = 0;
}

uint32_t sched_core_share_find(const struct sched_core *core, const char *name)
{
    for (uint32_t i = 0; i < SCHED_MAX_SHARES; i++) {
        if (core->shares[i].in_use && strncmp(core->shares[i].name, name, SCHED_NAME_MAX) == 0)
            return i;
    }
    return SCHED_NONE;
}

static int share_config_check(const struct sched_share_config *config, struct error *err)
{
    if (!config->name[0] || !memchr(config->name, '\0', SCHED_NAME_MAX))
        return error_set(err, -EINVAL, "the name of a share must have 1 to %d characters", SCHED_NAME_MAX - 1);
    if (config->weight < 1 || config->weight > 1000000)
        return error_set(err, -EINVAL, "weight %u of share %s is not within 1..1000000", config->weight, config->name);
    if (config->time_ppm > SCHED_WHOLE_PPM)
        return error_set(err, -EINVAL, "time of share %s is more than the whole GPU: %u ppm", config->name, config->time_ppm);
    if ((unsigned)config->class >= ARRAY_LEN(class_names))
        return error_set(err, -EINVAL, "share %s is of no class that there is", config->name);
    return 0;
}

static uint32_t share_free_slot(const struct sched_core *core)
{
    for (uint32_t i = 0; i < SCHED_MAX_SHARES; i++) {
        if (!core->shares[i].in_use)
            return i;
    }
    return SCHED_NONE;
}

int sched_core_share_add(struct sched_core *core, const struct sched_share_config *config, uint64_t now_ns, struct error *err)
{
    int r = share_config_check(config, err);
    if (r < 0)
        return r;
    uint32_t index = sched_core_share_find(core, config->name);
    bool adopted = index != SCHED_NONE;
    if (!adopted)
        index = share_free_slot(core);
    if (index == SCHED_NONE)
        return error_set(err, -ENOSPC, "the GPU has %d shares already, the most there can be", SCHED_MAX_SHARES);

    sched_turn_charge(core, now_ns);
    struct sched_core_share *share = &core->shares[index];
    if (!adopted) {
        memset(share, 0, sizeof(*share));
        memcpy(share->name, config->name, SCHED_NAME_MAX);
        share->fraction_ppm = SCHED_WHOLE_PPM;
    }
    share->weight = config->weight;
    share->time_ppm = config->time_ppm ? config->time_ppm : SCHED_WHOLE_PPM;
    share->quota_bytes = config->quota_bytes;
    share->class = config->class;
    share->in_use = 1;
    core->shares_end = MAX(core->shares_end, index + 1);
    sched_cap_refresh(core, now_ns);
    return 0;
}

static uint32_t share_count_clients(const struct sched_core *core, uint32_t share)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < sched_core_clients_end(core); i++)
        n += core->clients[i].phase != SCHED_FREE && core->clients[i].share == share;
    return n;
}

int sched_core_share_remove(struct sched_core *core, const char *name, uint64_t now_ns, struct error *err)
{
    uint32_t index = sched_core_share_find(core, name);
    if (index == SCHED_NONE)
        return error_set(err, -ENOENT, "there is no share %s on this GPU", name);
    uint32_t clients = share_count_clients(core, index);
    if (clients) {
        error_set(err, -EBUSY, "share %s is in use by %u client%s", name, clients, clients == 1 ? "" : "s");
        error_hint(err, "end its tenants first, or use --force");
        return -EBUSY;
    }
    core->shares[index].in_use = 0;
    sched_cap_refresh(core, now_ns);
    return 0;
}

void sched_core_share_stat(struct sched_core *core, uint32_t index, uint64_t now_ns, struct sched_share_stat *ret)
{
    *ret = (struct sched_share_stat){ 0 };
    const struct sched_core_share *share = sched_core_share_at(core, index);
    if (!share)
        return;
    sched_turn_charge(core, now_ns);
    memcpy(ret->config.name, share->name, SCHED_NAME_MAX - 1);
    ret->config.weight = share->weight;
    ret->config.time_ppm = share->time_ppm;
    ret->config.quota_bytes = share->quota_bytes;
    ret->config.class = share->class == SCHED_CLASS_LATENCY ? SCHED_CLASS_LATENCY : SCHED_CLASS_NORMAL;
    ret->used_bytes = sched_core_used(core, index);
    ret->peak_bytes = share->peak_bytes;
    ret->refused = share->refused;
    ret->granted_ns = share->granted_ns;
    ret->waited_ns = share->waited_ns;
    ret->turns = share->turns;
    ret->overruns = share->overruns;
    ret->clients = share_count_clients(core, index);
    ret->waiting = share->waiting;
    for (uint32_t i = 0; i < sched_core_clients_end(core); i++)
        ret->waited_ns += core->clients[i].share == index ? sched_core_waited(core, i, now_ns) : 0;
    const struct sched_core_client *holder = sched_core_client_at(core, core->holder);
    ret->holding = holder && holder->share == index;
}

struct sched_wake sched_core_join(struct sched_core *core, uint32_t slot, uint32_t share, int32_t pid, uint64_t now_ns)
{
    struct sched_core_share *s = sched_core_share_at(core, share);
    if (!s || slot >= SCHED_MAX_CLIENTS || core->clients[slot].phase != SCHED_FREE)
        return SCHED_WAKE_NONE;
    sched_turn_charge(core, now_ns);
    struct sched_core_client *client = &core->clients[slot];
    memset(client, 0, sizeof(*client));
    client->share = share;
    client->pid = pid;
    client->phase = SCHED_IDLE;
    core->clients_end = MAX(core->clients_end, slot + 1);
    s->clients++;
    sched_cap_refresh(core, now_ns);
    return sched_turn_dispatch(core, now_ns);
}

struct sched_wake sched_core_leave(struct sched_core *core, uint32_t slot, uint64_t now_ns)
{
    struct sched_core_client *client = sched_core_client_at(core, slot);
    if (!client)
        return SCHED_WAKE_NONE;
    sched_turn_charge(core, now_ns);
    sched_turn_forget(core, slot, now_ns);
    struct sched_core_share *share = sched_core_share_at(core, sched_get(client->share));
    if (share && share->clients)
        share->clients--;
    memset(client, 0, sizeof(*client));
    while (core->clients_end > 0 && core->clients_end <= SCHED_MAX_CLIENTS && !core->clients[core->clients_end - 1].phase)
        core->clients_end--;
    sched_cap_refresh(core, now_ns);
    return sched_turn_dispatch(core, now_ns);
}

uint64_t sched_core_used(const struct sched_core *core, uint32_t share)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < sched_core_clients_end(core); i++) {
        const struct sched_core_client *client = &core->clients[i];
        if (client->phase != SCHED_FREE && client->share == share && __builtin_add_overflow(sum, client->used_bytes, &sum))
            return UINT64_MAX;
    }
    return sum;
}

uint64_t sched_core_available(const struct sched_core *core, uint32_t slot)
{
    if (!sched_core_has_client(core, slot))
        return 0;
    uint32_t share = sched_get(core->clients[slot].share);
    if (share >= SCHED_MAX_SHARES)
        return 0;
    uint64_t used = sched_core_used(core, share), quota = core->shares[share].quota_bytes;
    return used < quota ? quota - used : 0;
}

int sched_core_reserve(struct sched_core *core, uint32_t slot, uint64_t bytes)
{
    struct sched_core_client *client = sched_core_client_at(core, slot);
    struct sched_core_share *share = client ? sched_core_share_at(core, sched_get(client->share)) : NULL;
    if (!share)
        return -EDQUOT;
    uint64_t available = sched_core_available(core, slot);
    if (bytes > available) {
        share->refused++;
        return -EDQUOT;
    }
    share->peak_bytes = MAX(share->peak_bytes, share->quota_bytes - available + bytes);
    client->used_bytes += bytes;
    return 0;
}

void sched_core_unreserve(struct sched_core *core, uint32_t slot, uint64_t bytes)
{
    struct sched_core_client *client = sched_core_client_at(core, slot);
    if (client)
        client->used_bytes -= MIN(bytes, client->used_bytes);
}

bool sched_core_is_shared(const struct sched_core *core, uint32_t slot)
{
    uint32_t share = slot < SCHED_MAX_CLIENTS ? sched_get(core->clients[slot].share) : SCHED_NONE;
    if (share >= SCHED_MAX_SHARES || core->policy == SCHED_UNMANAGED)
        return false;
    if (sched_cap_applies(&core->shares[share]))
        return true;
    for (uint32_t i = 0; i < sched_core_clients_end(core); i++)
        if (sched_get(core->clients[i].phase) != SCHED_FREE && sched_get(core->clients[i].share) != share)
            return true;
    return false;
}

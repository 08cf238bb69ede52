/* SPDX-License-Identifier: Apache-2.0 */
/* GPUs and shares as JSON: see describe.h. */
#include "daemon/describe.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "daemon/handover.h"
#include "inventory/label.h"
#include "models/describe.h"

#include <string.h>

static void set(json_t *o, const char *key, json_t *value)
{
    json_object_set_new(o, key, value ? value : json_null());
}

static json_t *text_or_null(const char *text)
{
    return text[0] ? json_string(text) : json_null();
}

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)MIN(v, (uint64_t)INT64_MAX));
}

static void describe_gpu_shares(struct daemon *d, const struct gpu *gpu, json_t *o)
{
    const struct share *first = NULL;
    json_t *names = json_array();
    for (const struct share *s = d->shares; s; s = s->next) {
        if (strcmp(s->wanted.gpu_identity, gpu_identity(gpu)) != 0)
            continue;
        first = first ? first : s;
        json_array_append_new(names, json_string(s->wanted.share.name));
    }
    set(o, "model", json_string(first ? model_get(first->wanted.share.model)->name : "host"));
    set(o, "policy", first && first->wanted.share.model == MODEL_VGPU ? json_string(first->wanted.share.policy) : NULL);
    set(o, "shares", names);
}

json_t *describe_gpu(struct daemon *d, const struct gpu *gpu)
{
    json_t *o = model_describe_gpu(gpu);
    describe_gpu_shares(d, gpu, o);
    return o;
}

static json_t *describe_client(const struct worker *w, const struct sched_client_stat *stats, int n)
{
    struct sched_client_stat stat = { 0 };
    char raw[64], command[64];
    for (int i = 0; i < n; i++)
        if (stats[i].pid == w->pid)
            stat = stats[i];
    worker_command(w->client_pid, raw, sizeof raw);
    label_set(command, sizeof command, raw);
    return json_pack("{s:o, s:i, s:s, s:o, s:o, s:o}", "pid", w->client_pid ? json_integer(w->client_pid) : json_null(),
                     "worker_pid", (int)w->pid, "command", command, "used_bytes", number(stat.used_bytes),
                     "granted_ns", number(stat.granted_ns), "waited_ns", number(stat.waited_ns));
}

static json_t *describe_clients(const struct share *share)
{
    json_t *list = json_array();
    _cleanup_free_ struct sched_client_stat *stats = share->workers ? calloc(SCHED_MAX_CLIENTS, sizeof *stats) : NULL;
    int n = stats ? sched_share_clients(share->engine->page, share->wanted.share.name, stats, SCHED_MAX_CLIENTS) : 0;
    for (const struct worker *w = share->workers; w; w = w->next) {
        json_t *client = describe_client(w, stats, MIN(n, SCHED_MAX_CLIENTS));
        if (client)
            json_array_append_new(list, client);
    }
    return list;
}

static void describe_use(const struct share *share, json_t *o)
{
    struct sched_share_stat stat = { 0 };
    if (share->engine)
        sched_share_stat(share->engine->page, share->wanted.share.name, &stat, NULL);
    set(o, "used_bytes", number(stat.used_bytes));
    set(o, "peak_bytes", number(stat.peak_bytes));
    set(o, "refused", number(stat.refused));
    set(o, "granted_ns", number(stat.granted_ns));
    set(o, "waited_ns", number(stat.waited_ns));
    set(o, "turns", number(stat.turns));
    set(o, "overruns", number(stat.overruns));
}

static json_t *describe_cores(const struct model_share *m)
{
    if (!m->cores)
        return NULL;
    json_t *list = json_array();
    for (unsigned i = 0; i < m->cores; i++)
        json_array_append_new(list, json_integer(m->first_core + i));
    return list;
}

static const char *state_of(const struct share *share)
{
    const char *hand = handover_state(share);
    if (share->problem[0])
        return "failed";
    if (hand && strcmp(hand, "held") != 0)
        return hand;
    return share->workers ? "in use" : "ready";
}

json_t *describe_share(struct share *share)
{
    const struct model_share *m = &share->wanted.share;
    const struct gpu *gpu = share_gpu(share);
    char created[32];
    json_t *o = json_object();
    set(o, "name", json_string(m->name));
    set(o, "gpu", json_string(gpu ? gpu->name : share->wanted.gpu));
    set(o, "model", json_string(model_get(m->model)->name));
    set(o, "profile", json_string(m->profile));
    set(o, "stand_in", json_boolean(gpu ? gpu->stand_in : strncmp(share->wanted.gpu, "cpu", 3) == 0));
    set(o, "state", json_string(state_of(share)));
    set(o, "problem", text_or_null(share->problem));
    set(o, "memory_bytes", number(m->memory_bytes));
    set(o, "time_ppm", json_integer(m->time_ppm));
    set(o, "weight", json_integer(m->weight));
    set(o, "policy", json_string(m->policy));
    set(o, "class", json_string(m->class));
    set(o, "quantum_ns", number(m->quantum_ns));
    set(o, "watchdog_ns", number(m->watchdog_ns));
    set(o, "owner_uid", json_integer(share->wanted.owner));
    set(o, "created", json_string(store_format_time(share->wanted.created, created, sizeof created)));
    set(o, "socket", text_or_null(share->socket_path));
    set(o, "icd", m->model == MODEL_PASSTHROUGH ? NULL : text_or_null(share->daemon->icd_path));
    set(o, "cores", describe_cores(m));
    describe_use(share, o);
    handover_describe(share, o);
    set(o, "clients", describe_clients(share));
    return o;
}

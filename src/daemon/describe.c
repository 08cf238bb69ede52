/* SPDX-License-Identifier: Apache-2.0 */
/* GPUs and shares as JSON: see describe.h. */
#include "daemon/describe.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "daemon/handover.h"
#include "inventory/label.h"
#include "models/describe.h"

#include <string.h>

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
    describe_set(o, "model", json_string(first ? model_get(first->wanted.share.model)->name : "host"));
    describe_set(o, "policy", first && first->wanted.share.model == MODEL_VGPU ? json_string(first->wanted.share.policy) : NULL);
    describe_set(o, "shares", names);
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
                     "worker_pid", (int)w->pid, "command", command, "used_bytes", describe_number(stat.used_bytes),
                     "granted_ns", describe_number(stat.granted_ns), "waited_ns", describe_number(stat.waited_ns));
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
    describe_set(o, "used_bytes", describe_number(stat.used_bytes));
    describe_set(o, "peak_bytes", describe_number(stat.peak_bytes));
    describe_set(o, "refused", describe_number(stat.refused));
    describe_set(o, "granted_ns", describe_number(stat.granted_ns));
    describe_set(o, "waited_ns", describe_number(stat.waited_ns));
    describe_set(o, "turns", describe_number(stat.turns));
    describe_set(o, "overruns", describe_number(stat.overruns));
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
    describe_set(o, "name", json_string(m->name));
    describe_set(o, "gpu", json_string(gpu ? gpu->name : share->wanted.gpu));
    describe_set(o, "model", json_string(model_get(m->model)->name));
    describe_set(o, "profile", json_string(m->profile));
    describe_set(o, "stand_in", json_boolean(gpu ? gpu->stand_in : strncmp(share->wanted.gpu, "cpu", 3) == 0));
    describe_set(o, "state", json_string(state_of(share)));
    describe_set(o, "problem", describe_text(share->problem));
    describe_set(o, "memory_bytes", describe_number(m->memory_bytes));
    describe_set(o, "time_ppm", json_integer(m->time_ppm));
    describe_set(o, "weight", json_integer(m->weight));
    describe_set(o, "policy", json_string(m->policy));
    describe_set(o, "class", json_string(m->class));
    describe_set(o, "quantum_ns", describe_number(m->quantum_ns));
    describe_set(o, "watchdog_ns", describe_number(m->watchdog_ns));
    describe_set(o, "owner_uid", json_integer(share->wanted.owner));
    describe_set(o, "created", json_string(store_format_time(share->wanted.created, created, sizeof created)));
    describe_set(o, "socket", describe_text(share->socket_path));
    describe_set(o, "icd", m->model == MODEL_PASSTHROUGH ? NULL : describe_text(share->daemon->icd_path));
    describe_set(o, "cores", describe_cores(m));
    describe_use(share, o);
    handover_describe(share, o);
    describe_set(o, "clients", describe_clients(share));
    return o;
}

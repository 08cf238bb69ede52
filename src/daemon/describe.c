/* SPDX-License-Identifier: Apache-2.0 */
/* GPUs and shares as JSON: see describe.h. */
#include "daemon/describe.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "inventory/label.h"

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

static json_t *describe_opencl(const struct gpu *gpu)
{
    const struct opencl_device *cl = &gpu->opencl;
    if (!gpu->has_opencl)
        return json_null();
    return json_pack("{s:s, s:s, s:s, s:i, s:s, s:I, s:b, s:i}", "platform", cl->platform, "platform_version", cl->platform_version,
                     "device", cl->name, "index", (int)cl->index, "driver_version", cl->driver_version,
                     "max_alloc_bytes", (json_int_t)cl->max_alloc_bytes, "unified", (int)cl->unified,
                     "max_sub_devices", (int)cl->max_sub_devices);
}

static json_t *describe_nvml(const struct gpu *gpu)
{
    const struct nvml_gpu *n = &gpu->nvml;
    static const char *const modes[] = { "not supported", "off", "on" };
    char compute[24] = "";
    if (!gpu->has_nvml)
        return json_null();
    if (n->compute_major)
        snprintf(compute, sizeof compute, "%d.%d", n->compute_major, n->compute_minor);
    return json_pack("{s:s, s:s, s:s, s:I, s:o, s:s, s:s}", "name", n->name, "uuid", n->uuid, "driver_version", n->driver_version,
                     "memory_bytes", (json_int_t)n->memory_bytes, "compute_capability", text_or_null(compute),
                     "mig_current", modes[n->mig_current + 1], "mig_pending", modes[n->mig_pending + 1]);
}

static json_t *describe_pci(const struct gpu *gpu)
{
    const struct pci_gpu *p = &gpu->pci;
    char class_code[8], vendor[8], device[8];
    if (!gpu->has_pci)
        return json_null();
    snprintf(class_code, sizeof class_code, "%06x", p->class_code & 0xffffff);
    snprintf(vendor, sizeof vendor, "%04x", p->vendor_id);
    snprintf(device, sizeof device, "%04x", p->device_id);
    json_t *companions = json_array();
    for (unsigned i = 0; i < MIN(p->companions_n, PCI_MAX_COMPANIONS); i++)
        json_array_append_new(companions, json_string(p->companions[i]));
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:i, s:i, s:i}", "class", class_code, "vendor_id", vendor, "device_id", device,
                     "iommu_group", p->iommu_group < 0 ? json_null() : json_integer(p->iommu_group), "companions", companions,
                     "companions_count", (int)p->companions_n, "sriov_total", (int)p->sriov_total, "sriov_enabled", (int)p->sriov_enabled);
}

static void describe_models(const struct gpu *gpu, json_t *o)
{
    json_t *models = json_object(), *profiles = json_object();
    for (int i = 0; i < MODEL_COUNT; i++) {
        const struct model *m = model_get((enum model_id)i);
        char reason[512], names[MODEL_MAX_PROFILES][MODEL_PROFILE_MAX];
        bool possible = m->possible(gpu, reason, sizeof reason);
        json_t *list = json_array();
        size_t n = m->profiles(gpu, names, MODEL_MAX_PROFILES);
        for (size_t k = 0; k < n; k++)
            json_array_append_new(list, json_string(names[k]));
        set(models, m->name, json_pack("{s:b, s:s}", "possible", (int)possible, "reason", reason));
        json_object_set_new(profiles, m->name, list);
    }
    set(o, "models", models);
    set(o, "profiles", profiles);
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
    json_t *o = json_object();
    set(o, "name", json_string(gpu->name));
    set(o, "kind", json_string(gpu->stand_in ? "stand-in" : "gpu"));
    set(o, "stand_in", json_boolean(gpu->stand_in));
    set(o, "vendor", json_string(gpu->vendor));
    set(o, "product", json_string(gpu->product));
    set(o, "pci_address", gpu->has_pci ? json_string(gpu->pci.address) : NULL);
    set(o, "uuid", gpu->has_nvml ? text_or_null(gpu->nvml.uuid) : NULL);
    set(o, "numa_node", gpu->has_pci && gpu->pci.numa_node >= 0 ? json_integer(gpu->pci.numa_node) : NULL);
    set(o, "driver", gpu->has_pci ? text_or_null(gpu->pci.driver) : NULL);
    set(o, "memory_bytes", number(gpu->memory_bytes));
    set(o, "compute_units", json_integer(gpu->compute_units));
    set(o, "pci", describe_pci(gpu));
    set(o, "opencl", describe_opencl(gpu));
    set(o, "nvml", describe_nvml(gpu));
    describe_models(gpu, o);
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
    set(o, "state", json_string(share->problem[0] ? "failed" : share->workers ? "in use" : "ready"));
    set(o, "problem", text_or_null(share->problem));
    set(o, "memory_bytes", number(m->memory_bytes));
    set(o, "time_ppm", json_integer(m->time_ppm));
    set(o, "weight", json_integer(m->weight));
    set(o, "policy", json_string(m->policy));
    set(o, "quantum_ns", number(m->quantum_ns));
    set(o, "watchdog_ns", number(m->watchdog_ns));
    set(o, "owner_uid", json_integer(share->wanted.owner));
    set(o, "created", json_string(store_format_time(share->wanted.created, created, sizeof created)));
    set(o, "socket", text_or_null(share->socket_path));
    set(o, "icd", m->model == MODEL_PASSTHROUGH ? NULL : text_or_null(share->daemon->icd_path));
    set(o, "cores", describe_cores(m));
    describe_use(share, o);
    set(o, "clients", describe_clients(share));
    return o;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A GPU as JSON: see describe.h. */
#include "models/describe.h"

#include "base/cleanup.h"
#include "models/model.h"

#include <stdio.h>

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
                     "memory_bytes", (json_int_t)n->memory_bytes, "compute_capability", describe_text(compute),
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
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:i, s:o, s:i, s:i}", "class", class_code, "vendor_id", vendor, "device_id", device,
                     "iommu_group", p->iommu_group < 0 ? json_null() : json_integer(p->iommu_group), "companions", companions,
                     "companions_count", (int)p->companions_n, "physfn", describe_text(p->physfn), "sriov_total", (int)p->sriov_total, "sriov_enabled", (int)p->sriov_enabled);
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
        describe_set(models, m->name, json_pack("{s:b, s:s}", "possible", (int)possible, "reason", reason));
        json_object_set_new(profiles, m->name, list);
    }
    describe_set(o, "models", models);
    describe_set(o, "profiles", profiles);
}

json_t *model_describe_gpu(const struct gpu *gpu)
{
    json_t *o = json_object();
    describe_set(o, "name", json_string(gpu->name));
    describe_set(o, "kind", json_string(gpu->stand_in ? "stand-in" : "gpu"));
    describe_set(o, "stand_in", json_boolean(gpu->stand_in));
    describe_set(o, "vendor", json_string(gpu->vendor));
    describe_set(o, "product", json_string(gpu->product));
    describe_set(o, "pci_address", gpu->has_pci ? json_string(gpu->pci.address) : NULL);
    describe_set(o, "uuid", gpu->has_nvml ? describe_text(gpu->nvml.uuid) : NULL);
    describe_set(o, "numa_node", gpu->has_pci && gpu->pci.numa_node >= 0 ? json_integer(gpu->pci.numa_node) : NULL);
    describe_set(o, "driver", gpu->has_pci ? describe_text(gpu->pci.driver) : NULL);
    describe_set(o, "memory_bytes", describe_number(gpu->memory_bytes));
    describe_set(o, "compute_units", json_integer(gpu->compute_units));
    describe_set(o, "pci", describe_pci(gpu));
    describe_set(o, "opencl", describe_opencl(gpu));
    describe_set(o, "nvml", describe_nvml(gpu));
    describe_models(gpu, o);
    return o;
}

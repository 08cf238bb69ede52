/* SPDX-License-Identifier: Apache-2.0 */
/* passthrough: the whole GPU to one tenant: to a VM by VFIO (profile vfio), or to programs of this host by its own driver (whole).
 * What stands between a GPU and a VM in detail, the plan of handing over says (ops/handover.h); here is only what rules it out. */
#include "models/model.h"

#include "base/text.h"
#include "inventory/function.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool can_go_to_vm(const struct gpu *gpu)
{
    return gpu->has_pci && gpu->pci.iommu_group >= 0;
}

static bool can_serve_host(const struct gpu *gpu)
{
    return gpu->has_opencl && !(gpu->has_pci && pci_driver_is_vfio(gpu->pci.driver));
}

static void describe_vm(const struct gpu *gpu, char *buf, size_t size)
{
    if (!gpu->has_pci)
        snprintf(buf, size, "not to a VM: it is no PCI device");
    else if (gpu->pci.iommu_group < 0)
        snprintf(buf, size, "not to a VM: the IOMMU is off");
    else if (gpu->pci.companions_n)
        snprintf(buf, size, "to a VM (IOMMU group %d, with %u other device%s)", gpu->pci.iommu_group, gpu->pci.companions_n,
                 gpu->pci.companions_n == 1 ? "" : "s");
    else
        snprintf(buf, size, "to a VM (IOMMU group %d, alone)", gpu->pci.iommu_group);
}

static void describe_host(const struct gpu *gpu, char *buf, size_t size)
{
    if (can_serve_host(gpu))
        snprintf(buf, size, "whole device with its own driver (%s) for one tenant of this host", gpu->opencl.platform);
    else if (gpu->has_opencl)
        snprintf(buf, size, "not to programs of this host: it is bound to %s", gpu->pci.driver);
    else
        snprintf(buf, size, "not to programs of this host: %s", gpu->opencl_missing);
}

static bool passthrough_possible(const struct gpu *gpu, char *ret_reason, size_t size)
{
    char vm[160], host[320];
    describe_vm(gpu, vm, sizeof vm);
    describe_host(gpu, host, sizeof host);
    if (gpu->has_pci)
        snprintf(ret_reason, size, "%s; %s", can_go_to_vm(gpu) ? vm : host, can_go_to_vm(gpu) ? host : vm);
    else
        snprintf(ret_reason, size, "%s", host);
    return can_go_to_vm(gpu) || can_serve_host(gpu);
}

static size_t passthrough_profiles(const struct gpu *gpu, char (*ret)[MODEL_PROFILE_MAX], size_t max)
{
    size_t n = 0;
    if (n < max && can_go_to_vm(gpu))
        strcpy(ret[n++], MODEL_PROFILE_VFIO);
    if (n < max && can_serve_host(gpu))
        strcpy(ret[n++], MODEL_PROFILE_WHOLE);
    return n;
}

static int choose_profile(const struct gpu *gpu, const char *wanted, char ret[MODEL_PROFILE_MAX], struct error *err)
{
    char why[320];
    /* Without a wish: what passthrough means for a PCI device, or else all there is. */
    if (!wanted)
        wanted = can_go_to_vm(gpu) ? MODEL_PROFILE_VFIO : MODEL_PROFILE_WHOLE;
    bool vm = strcmp(wanted, MODEL_PROFILE_VFIO) == 0;
    if (!vm && strcmp(wanted, MODEL_PROFILE_WHOLE) != 0) {
        error_set(err, -EINVAL, "passthrough gives the whole of %s; it has no profile '%.40s'", gpu->name, wanted);
        error_hint(err, "--profile vfio hands it to a VM, --profile whole to programs of this host");
        return -EINVAL;
    }
    if (vm ? can_go_to_vm(gpu) : can_serve_host(gpu)) {
        strcpy(ret, wanted);
        return 0;
    }
    (vm ? describe_vm : describe_host)(gpu, why, sizeof why);
    error_set(err, -EOPNOTSUPP, "%s cannot be passed through so: %s", gpu->name, why);
    error_hint(err, "tranche doctor %s says what is missing", gpu->name);
    return -EOPNOTSUPP;
}

static int passthrough_place(const struct gpu *gpu, const struct model_share *held, size_t held_n, const struct model_request *request,
                             struct model_share *share, struct error *err)
{
    if (request->memory_bytes || request->time_ppm || request->weight) {
        error_set(err, -EINVAL, "passthrough gives the whole of %s; it has no sizes", gpu->name);
        error_hint(err, "leave --memory, --time and --weight out, or use --model vgpu");
        return -EINVAL;
    }
    if (held_n) {
        error_set(err, -EBUSY, "%s is given away whole to %s", gpu->name, held[0].name);
        error_hint(err, "tranche rm %s frees it", held[0].name);
        return -EBUSY;
    }
    share->memory_bytes = gpu->memory_bytes;
    share->time_ppm = share->weight = MODEL_PPM;
    return choose_profile(gpu, request->profile, share->profile, err);
}

const struct model model_passthrough = {
    "passthrough", "the whole device, nobody else on it",
    passthrough_possible, passthrough_profiles, passthrough_place,
};

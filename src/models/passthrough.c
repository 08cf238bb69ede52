/* SPDX-License-Identifier: Apache-2.0 */
/* passthrough: the whole GPU to one tenant, by the native driver. */
#include "models/model.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What stands between this PCI GPU and a VM, for the operator who wants to know. */
static void describe_vm(const struct gpu *gpu, char *buf, size_t size)
{
    if (gpu->pci.iommu_group < 0)
        snprintf(buf, size, "this version hands no devices to VMs yet, and the IOMMU is off");
    else if (gpu->pci.companions_n)
        snprintf(buf, size, "this version hands no devices to VMs yet (IOMMU group %d, shared with %u other device%s)",
                 gpu->pci.iommu_group, gpu->pci.companions_n, gpu->pci.companions_n == 1 ? "" : "s");
    else
        snprintf(buf, size, "this version hands no devices to VMs yet (IOMMU group %d, alone)", gpu->pci.iommu_group);
}

static bool passthrough_possible(const struct gpu *gpu, char *ret_reason, size_t size)
{
    char vm[160] = "";
    if (gpu->has_pci)
        describe_vm(gpu, vm, sizeof vm);
    if (gpu->has_pci && strcmp(gpu->pci.driver, "vfio-pci") == 0) {
        snprintf(ret_reason, size, "it is bound to vfio-pci for a VM, so programs of this host cannot use it; %s", vm);
        return false;
    }
    if (!gpu->has_opencl) {
        snprintf(ret_reason, size, "%s%s%s", gpu->opencl_missing, *vm ? "; " : "", vm);
        return false;
    }
    snprintf(ret_reason, size, "whole device with its own driver (%s) for one tenant of this host%s%s", gpu->opencl.platform,
             *vm ? "; " : "", vm);
    return true;
}

static size_t passthrough_profiles(const struct gpu *gpu, char (*ret)[MODEL_PROFILE_MAX], size_t max)
{
    if (max == 0 || !gpu->has_opencl)
        return 0;
    strcpy(ret[0], "whole");
    return 1;
}

static int passthrough_place(const struct gpu *gpu, const struct model_share *held, size_t held_n, const struct model_request *request,
                             struct model_share *share, struct error *err)
{
    if (request->memory_bytes || request->time_ppm || request->weight || (request->profile && !text_equal(request->profile, "whole"))) {
        error_set(err, -EINVAL, "passthrough gives the whole of %s; it has no sizes", gpu->name);
        error_hint(err, "leave --profile, --memory, --time and --weight out, or use --model vgpu");
        return -EINVAL;
    }
    if (held_n) {
        error_set(err, -EBUSY, "%s is given away whole to %s", gpu->name, held[0].name);
        error_hint(err, "tranche rm %s frees it", held[0].name);
        return -EBUSY;
    }
    strcpy(share->profile, "whole");
    share->memory_bytes = gpu->memory_bytes;
    share->time_ppm = share->weight = MODEL_PPM;
    return 0;
}

const struct model model_passthrough = {
    "passthrough", "the whole device with its native driver, nobody else on it",
    passthrough_possible, passthrough_profiles, passthrough_place,
};

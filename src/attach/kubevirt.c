/* SPDX-License-Identifier: Apache-2.0 */
/* KubeVirt: what the cluster permits, and what the VM asks for. Source: KubeVirt user guide, "Host Devices Assignment". */
#include "attach/output.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Resource names are [A-Za-z0-9._-]; pci.ids gives "AD102 [GeForce RTX 4090]". */
static void resource_name(const struct attach_request *q, const struct pci_function *f, char *ret, size_t size)
{
    bool gpu = pci_function_is_gpu(f);
    const char *vendor = f->vendor_id == 0x10de ? "nvidia.com" : f->vendor_id == 0x1002 ? "amd.com" : f->vendor_id == 0x8086 ? "intel.com" : "devices.kubevirt.io";
    size_t used = (size_t)snprintf(ret, size, "%s/", vendor), begin = used;
    for (const char *p = gpu ? q->product : ""; *p && used + 1 < size && used < begin + 50; p++) {
        if (isalnum((unsigned char)*p))
            ret[used++] = (char)toupper((unsigned char)*p);
        else if (used > begin && ret[used - 1] != '_')
            ret[used++] = '_';
    }
    while (used > begin && ret[used - 1] == '_')
        used--;
    ret[used] = '\0';
    if (used == begin)
        snprintf(ret + used, size - used, "PCI_%04X_%04X", f->vendor_id, f->device_id);
}

/* Several functions of one kind are one line in what is permitted. */
static bool seen_before(const struct attach_request *q, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (q->functions[k].vendor_id == q->functions[i].vendor_id && q->functions[k].device_id == q->functions[i].device_id)
            return true;
    return false;
}

static void add_devices(const struct attach_request *q, struct attach_list *vm, bool gpus)
{
    bool titled = false;
    for (size_t i = 0; i < q->n; i++) {
        const struct pci_function *f = &q->functions[i];
        char resource[128];
        if (pci_function_is_gpu(f) != gpus)
            continue;
        if (!titled)
            output_add(vm, "          %s:", gpus ? "gpus" : "hostDevices");
        titled = true;
        resource_name(q, f, resource, sizeof resource);
        output_add(vm, "          - name: %s%zu", gpus ? "gpu" : "function", i);
        output_add(vm, "            deviceName: %s", resource);
    }
}

int kubevirt_build(const struct attach_request *q, const struct attach_place *places, struct attach_output *ret, struct error *err)
{
    struct attach_list *cluster = output_section(ret, "kubevirt", true);
    if (q->primary || q->rom) {
        error_set(err, -EOPNOTSUPP, "KubeVirt has no field for %s", q->primary ? "a primary display" : "a ROM");
        error_hint(err, "leave %s out", q->primary ? "--primary" : "--rom");
        return -EOPNOTSUPP;
    }
    output_add(cluster, "spec:");
    output_add(cluster, "  configuration:");
    output_add(cluster, "    permittedHostDevices:");
    output_add(cluster, "      pciHostDevices:");
    for (size_t i = 0; i < q->n; i++) {
        char resource[128];
        if (seen_before(q, i))
            continue;
        resource_name(q, &q->functions[i], resource, sizeof resource);
        output_add(cluster, "      - pciVendorSelector: \"%04X:%04X\"", q->functions[i].vendor_id, q->functions[i].device_id);
        output_add(cluster, "        resourceName: %s", resource);
    }
    struct attach_list *vm = output_section(ret, "virtual_machine", true);
    output_add(vm, "spec:");
    output_add(vm, "  template:");
    output_add(vm, "    spec:");
    output_add(vm, "      domain:");
    output_add(vm, "        devices:");
    add_devices(q, vm, true);
    add_devices(q, vm, false);
    output_add(&ret->notes, "the first part belongs into the KubeVirt resource, the second into the VirtualMachine; any device with these "
               "ids on any node may be taken, "
               "as KubeVirt selects by ids");
    output_add(&ret->notes, "on the node the functions must be bound to VFIO, and no device plugin may offer the GPU to containers");
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments for QEMU, machine q35. Source: QEMU's -device vfio-pci,help and pcie-root-port,help; docs/pcie.txt; OVMF's X-PciMmio64Mb. */
#include "attach/output.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

#define CLASS_VGA 0x0300
#define CHASSIS_FIRST 200    /* root ports of the user's own have small numbers; the pair must be unique */

/* A comma in a value is written twice. */
static int set_rom(const char *rom, char *ret, size_t size, struct error *err)
{
    size_t used = (size_t)snprintf(ret, size, rom ? *rom ? ",romfile=" : ",rombar=0" : "");
    for (const char *p = rom ? rom : ""; *p; p++) {
        if (used + 3 > size)
            return error_set(err, -ENAMETOOLONG, "the path of the ROM is too long");
        ret[used++] = *p;
        if (*p == ',')
            ret[used++] = ',';
    }
    ret[used] = '\0';
    return 0;
}

int qemu_build(const struct attach_request *q, const struct attach_place *places, struct attach_output *ret, struct error *err)
{
    struct attach_list *a = output_section(ret, "arguments", false);
    char rom[4200];
    int r = set_rom(q->rom, rom, sizeof rom, err), numa = -1;
    if (r < 0)
        return r;
    if (q->iommufd) {
        output_add(a, "-object");
        output_add(a, "iommufd,id=tranche-iommufd");
    }
    for (size_t i = 0; i < q->n; i++) {
        const struct pci_function *f = &q->functions[i];
        const struct attach_place *p = &places[i];
        bool gpu = pci_function_is_gpu(f);
        if (i == 0 || places[i - 1].slot != p->slot) {
            output_add(a, "-device");
            output_add(a, "pcie-root-port,id=tranche-rp%u,bus=pcie.0,chassis=%u,slot=%u", p->slot, CHASSIS_FIRST + p->slot,
                       CHASSIS_FIRST + p->slot);
        }
        output_add(a, "-device");
        output_add(a, "vfio-pci,host=%s,id=tranche-%u-%u,bus=tranche-rp%u,addr=00.%u%s%s%s%s", f->address, p->slot, p->function, p->slot,
                   p->function,
                   p->multifunction ? ",multifunction=on" : "", q->iommufd ? ",iommufd=tranche-iommufd" : "",
                   q->primary && f->class_code >> 8 == CLASS_VGA ? ",x-vga=on" : "", gpu ? rom : "");
        if (gpu && f->numa_node >= 0)
            numa = f->numa_node;
    }
    uint64_t window = attach_window_bytes(q);
    if (window > ATTACH_WINDOW_DEFAULT) {
        output_add(a, "-fw_cfg");
        output_add(a, "name=opt/ovmf/X-PciMmio64Mb,string=%llu", (unsigned long long)(window >> 20));
    }
    output_add(&ret->notes, "the machine must be q35 (-machine q35); all memory of the VM gets locked (ulimit -l)");
    if (window > ATTACH_WINDOW_DEFAULT)
        output_add(&ret->notes, "the GPU needs %llu GiB of 64-bit window: the guest's firmware must be OVMF, and -cpu "
                   "host,host-phys-bits=on", (unsigned long long)(window >> 30));
    if (numa >= 0)
        output_add(&ret->notes, "the GPU is on NUMA node %d: -object memory-backend-ram,id=ram0,size=SIZE,host-nodes=%d,policy=bind "
                   "-machine memory-backend=ram0, "
                   "and processors by numactl --cpunodebind=%d", numa, numa, numa);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Commands for Proxmox VE. Source: qm(1), hostpci[n]: host, pcie, rombar, romfile, x-vga. */
#include "attach/output.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

/* Without a function number Proxmox passes all functions of the slot through as one card. */
static void name_slot(const struct attach_request *q, size_t first, size_t end, char *ret, size_t size)
{
    size_t used = 0;
    ret[0] = '\0';
    if (end - first > 1) {
        text_format(ret, size, "%.*s", (int)(strrchr(q->functions[first].address, '.') - q->functions[first].address),
                    q->functions[first].address);
        return;
    }
    for (size_t i = first; i < end && used < size; i++)
        used += (size_t)snprintf(ret + used, size - used, "%s%s", i > first ? ";" : "", q->functions[i].address);
}

int proxmox_build(const struct attach_request *q, const struct attach_place *places, struct attach_output *ret, struct error *err)
{
    struct attach_list *commands = output_section(ret, "commands", false);
    _cleanup_free_ char *vm = output_quote(q->vm ? q->vm : "VMID");
    const char *file = q->rom && strrchr(q->rom, '/') ? strrchr(q->rom, '/') + 1 : q->rom;
    unsigned index = 0;
    if (!vm)
        return error_set(err, -ENOMEM, "no memory for the text");
    output_add(commands, "qm set %s -machine q35", vm);
    for (size_t first = 0, end; first < q->n; first = end) {
        char host[64], value[512];
        bool vga = false, gpu = false;
        for (end = first; end < q->n && places[end].slot == places[first].slot; end++) {
            vga |= q->functions[end].class_code >> 8 == 0x0300;
            gpu |= pci_function_is_gpu(&q->functions[end]);
        }
        name_slot(q, first, end, host, sizeof host);
        if (file && strpbrk(file, ",;"))
            return error_set(err, -EINVAL, "Proxmox takes no ROM file with a comma or semicolon in its name: %s", file);
        if (text_format(value, sizeof value, "%s,pcie=1%s%s%s", host, q->primary && vga ? ",x-vga=1" : "", gpu && file ? *file ?
                        ",romfile=" : ",rombar=0" : "",
                        gpu && file ? file : "") < 0)
            return error_set(err, -ENAMETOOLONG, "the name of the ROM file is too long");
        _cleanup_free_ char *quoted = output_quote(value);
        output_add(commands, "qm set %s -hostpci%u %s", vm, index++, quoted ? quoted : "");
    }
    if (file && *file)
        output_add(&ret->notes, "the ROM file must lie in /usr/share/kvm on the Proxmox host");
    for (size_t i = 0; i < q->n; i++)
        if (pci_function_is_gpu(&q->functions[i]) && q->functions[i].numa_node >= 0)
            output_add(&ret->notes, "the GPU is on NUMA node %d: qm set %s -numa 1, and -affinity with that node's processors",
                       q->functions[i].numa_node, vm);
    return 0;
}

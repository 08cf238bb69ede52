/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and VMX keys for ESXi (DirectPath I/O). ESXi runs on the machine itself, in place of this kernel: the PCI addresses are the same.
 * Sources: Broadcom's knowledge base, "Configuring VMDirectPath I/O" (all memory reserved) and the articles on 64-bit MMIO;
 * pciPassthruN.id is decimal, domain:bus:slot.function with 5, 3, 2 and 1 digits, as ESXi writes it. */
#include "attach/output.h"

#include <stdio.h>

/* The window in GiB for the key: the sum of what the GPUs want, rounded up to the next power of two that is larger. */
static unsigned long long window_gib(const struct attach_request *q)
{
    uint64_t window = attach_window_bytes(q) >> 30;
    return window < 2 ? 2 : (unsigned long long)window;
}

int vmware_build(const struct attach_request *q, const struct attach_place *places, struct attach_output *ret, struct error *err)
{
    struct attach_list *commands = output_section(ret, "esxcli", false), *vmx = output_section(ret, "vmx", false);
    for (size_t i = 0; i < q->n; i++)
        output_add(commands, "esxcli hardware pci pcipassthru set -d %s -e true -a", q->functions[i].address);
    for (size_t i = 0; i < q->n; i++) {
        const struct pci_function *f = &q->functions[i];
        unsigned domain = 0, bus = 0, slot = 0, function = 0;
        sscanf(f->address, "%x:%x:%x.%x", &domain, &bus, &slot, &function);
        output_add(vmx, "pciPassthru%zu.present = \"TRUE\"", i);
        output_add(vmx, "pciPassthru%zu.id = \"%05u:%03u:%02u.%u\"", i, domain, bus, slot, function);
        output_add(vmx, "pciPassthru%zu.vendorId = \"0x%04x\"", i, f->vendor_id);
        output_add(vmx, "pciPassthru%zu.deviceId = \"0x%04x\"", i, f->device_id);
        output_add(vmx, "pciPassthru%zu.systemId = \"SYSTEM-UUID\"", i);
    }
    output_add(vmx, "pciPassthru.use64bitMMIO = \"TRUE\"");
    output_add(vmx, "pciPassthru.64bitMMIOSizeGB = \"%llu\"", window_gib(q));
    output_add(vmx, "sched.mem.pin = \"TRUE\"");
    output_add(vmx, "sched.mem.min = \"MEMORY-MB\"");
    if (q->primary)
        output_add(vmx, "svga.present = \"FALSE\"");
    output_add(&ret->notes, "SYSTEM-UUID is what esxcli system uuid get prints; MEMORY-MB is all memory of the VM, which must be "
               "reserved; the firmware must be EFI");
    if (q->rom)
        output_add(&ret->notes, "ESXi has no key for a ROM file; --rom is left out");
    return 0;
}

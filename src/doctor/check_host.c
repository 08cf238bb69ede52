/* SPDX-License-Identifier: Apache-2.0 */
/* What concerns every GPU of the machine: IOMMU, VFIO, isolation, memory, the worker's sandbox.
 * Sources: the kernel's admin-guide/kernel-parameters.txt, driver-api/vfio.rst, userspace-api/iommufd.rst. */
#include "doctor/report.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

static const char *iommu_parameter(enum doctor_cpu cpu)
{
    return cpu == CPU_INTEL ? "intel_iommu=on iommu=pt" : cpu == CPU_AMD ? "amd_iommu=on iommu=pt" : "iommu.passthrough=1";
}

static const char *iommu_switch(enum doctor_cpu cpu)
{
    return cpu == CPU_INTEL ? "Intel VT-d" : cpu == CPU_AMD ? "AMD-Vi (often called IOMMU)" : "the SMMU";
}

/* A parameter that turns the IOMMU off, or NULL. */
static const char *turned_off(const struct doctor_host *h)
{
    static const char *const parameters[] = { "iommu", "intel_iommu", "amd_iommu" };
    static const char *const names[] = { "iommu=off", "intel_iommu=off", "amd_iommu=off" };
    char value[64];
    for (size_t i = 0; i < 3; i++)
        if (cmdline_has(h, parameters[i], value, sizeof value) && strncmp(value, "off", 3) == 0)
            return names[i];
    return NULL;
}

static void check_iommu(const struct doctor_host *h, struct doctor_report *report)
{
    bool on = h->iommu_groups > 0;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "iommu", "IOMMU", on ? DOCTOR_OK : DOCTOR_BLOCKS);
    const char *off = turned_off(h);
    if (on) {
        check_found(c, "on: %s, %u unit%s, %u groups", h->iommu_kind[0] ? h->iommu_kind : "kind not told", h->iommu_units,
                    h->iommu_units == 1 ? "" : "s",
                    h->iommu_groups);
    } else if (off) {
        check_found(c, "off: the kernel was started with %s", off);
        check_remedy(c, "take %s off the kernel command line, add %s, and restart", off, iommu_parameter(h->cpu));
    } else if (h->iommu_table || h->iommu_units) {
        check_found(c, "off: the firmware describes one, the kernel does not use it");
        check_remedy(c, "add %s to the kernel command line (Debian: GRUB_CMDLINE_LINUX in /etc/default/grub, update-grub) and restart",
                     iommu_parameter(h->cpu));
    } else {
        check_found(c, "off: neither the kernel nor the firmware's tables show one");
        check_remedy(c, "switch %s on in the firmware setup, add %s to the kernel command line, and restart", iommu_switch(h->cpu),
                     iommu_parameter(h->cpu));
    }
}

/* Groups, and with them everything said of companions, are only as true as this. */
static void check_isolation(const struct doctor_host *h, struct doctor_report *report)
{
    char value[64];
    bool forged = cmdline_has(h, "pcie_acs_override", value, sizeof value);
    if (!h->iommu_groups)    /* then there is nothing to keep apart */
        return;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "acs-override", "isolation of groups", forged ? DOCTOR_WARNING :
                                        DOCTOR_OK);
    c->danger = forged;
    check_found(c, forged ? "FORGED: pcie_acs_override=%s makes the kernel believe in groups that the hardware does not keep apart" :
                "as the hardware says%s",
                forged ? value : "");
    if (forged)
        check_remedy(c, "a VM can reach the memory of the host and of other VMs through its neighbours: give such groups to one trusted "
                     "VM only, "
                     "or take pcie_acs_override off the kernel command line and restart");
    bool unsafe = h->unsafe_interrupts == 1 || (cmdline_has(h, "vfio_iommu_type1.allow_unsafe_interrupts", value, sizeof value) &&
                                                (value[0] == '1' || value[0] == 'Y' || value[0] == 'y'));
    bool missing = h->interrupt_remapping == 0;
    c = report_add(report, DOCTOR_PASSTHROUGH, "interrupts", "interrupt remapping",
                   unsafe ? DOCTOR_WARNING : missing ? DOCTOR_BLOCKS : h->interrupt_remapping < 0 && h->cpu == CPU_INTEL ? DOCTOR_UNKNOWN : DOCTOR_OK);
    c->danger = unsafe;
    check_found(c, unsafe ? "FORGED: allow_unsafe_interrupts is on" : missing ? "the IOMMU has none" : c->verdict == DOCTOR_UNKNOWN ?
                "not told by sysfs" : "safe");
    if (unsafe)
        check_remedy(c, "a VM can send any interrupt to the host; take vfio_iommu_type1.allow_unsafe_interrupts out of /etc/modprobe.d "
                     "and the kernel command line");
    else if (missing)
        check_remedy(c, "switch interrupt remapping (x2APIC) on in the firmware setup; without it VFIO refuses devices");
}

static void check_noiommu(const struct doctor_host *h, struct doctor_report *report)
{
    if (h->noiommu != 1)
        return;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "noiommu", "VFIO without IOMMU", DOCTOR_WARNING);
    c->danger = true;
    check_found(c, "FORGED: enable_unsafe_noiommu_mode is on");
    check_remedy(c, "a device handed out so can write all memory of the host: set it to N");
}

static void check_module(const struct doctor_host *h, enum doctor_module state, const char *id, const char *title, const char *module,
                         struct doctor_report *report)
{
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, id, title, state == MODULE_ABSENT ? DOCTOR_BLOCKS :
                                        state == MODULE_UNKNOWN ? DOCTOR_UNKNOWN : DOCTOR_OK);
    if (state == MODULE_PRESENT)
        check_found(c, "%s is in the kernel", module);
    else if (state == MODULE_AVAILABLE)
        check_found(c, "%s can be loaded", module);
    else if (state == MODULE_ABSENT)
        check_found(c, "kernel %s has no %s", h->kernel, module);
    else
        check_found(c, "neither loaded nor found: no list of modules for kernel %s", h->kernel[0] ? h->kernel : "(unknown)");
    if (state == MODULE_ABSENT)
        check_remedy(c, "start a kernel that has it (CONFIG_VFIO_PCI; Debian: linux-image-amd64), or install the package with its extra "
                     "modules");
    else if (state == MODULE_UNKNOWN)
        check_remedy(c, "modprobe %s says whether it is there", module);
}

static void check_vfio(const struct doctor_host *h, struct doctor_report *report)
{
    check_module(h, h->vfio_pci, "vfio", "VFIO driver", "vfio-pci", report);
    if (h->iommufd != MODULE_PRESENT)
        check_module(h, h->vfio_type1, "vfio-type1", "VFIO container", "vfio_iommu_type1", report);
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "iommufd", "iommufd", DOCTOR_OK);
    if (h->iommufd == MODULE_PRESENT)
        check_found(c, h->node_iommu ? "/dev/iommu is there" : "in the kernel");
    else if (h->iommufd == MODULE_AVAILABLE)
        check_found(c, "can be loaded");
    else
        check_found(c, "%s; VMs use the VFIO container instead", h->iommufd == MODULE_ABSENT ? "not in this kernel" : "not found");
    c = report_add(report, DOCTOR_PASSTHROUGH, "kvm", "KVM", h->node_kvm ? DOCTOR_OK : DOCTOR_WARNING);
    check_found(c, h->node_kvm ? "/dev/kvm is there" : h->cpu_virtualizes ? "the processor can, /dev/kvm is not there" :
                "no /dev/kvm, and the processor shows no virtualization");
    if (!h->node_kvm)
        check_remedy(c, "switch virtualization (%s) on in the firmware setup and modprobe %s; without it a VM is emulated, many times "
                     "slower",
                     h->cpu == CPU_AMD ? "SVM" : "VT-x", h->cpu == CPU_AMD ? "kvm_amd" : h->cpu == CPU_INTEL ? "kvm_intel" : "kvm");
}

static void check_memory(const struct doctor_host *h, struct doctor_report *report)
{
    char limit[32], ram[32], free[32], all[32];
    text_format_size(h->memlock_bytes, limit, sizeof limit);
    text_format_size(h->ram_bytes, ram, sizeof ram);
    bool unlimited = h->memlock_bytes == UINT64_MAX, enough = unlimited || h->privileged || h->memlock_bytes >= h->ram_bytes;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "memlock", "locked memory", !h->memlock_bytes ? DOCTOR_UNKNOWN :
                                        enough ? DOCTOR_OK : DOCTOR_WARNING);
    if (!h->memlock_bytes)
        check_found(c, "the limit is not told");
    else if (unlimited)
        check_found(c, "no limit");
    else if (h->privileged)
        check_found(c, "%s, which does not bind root", limit);
    else
        check_found(c, "%s, of %s of memory: VFIO locks all memory of a VM", limit, ram);
    if (c->verdict == DOCTOR_WARNING)
        check_remedy(c, "libvirt raises it by itself; for QEMU by hand: ulimit -l unlimited as root, LimitMEMLOCK=infinity in its unit, "
                     "or memlock in "
                     "/etc/security/limits.conf");
    c = report_add(report, DOCTOR_PASSTHROUGH, "hugepages", "huge pages", DOCTOR_OK);
    if (h->hugepages_bytes)
        check_found(c, "%s of %s free", text_format_size(h->hugepages_free_bytes, free, sizeof free),
                    text_format_size(h->hugepages_bytes, all, sizeof all));
    else
        check_found(c, "none reserved; VMs work without, and start faster with");
}

static void check_sandbox(const struct doctor_host *h, struct doctor_report *report)
{
    bool good = h->seccomp == 1 && h->landlock == 1, known = h->seccomp >= 0 && h->landlock >= 0;
    struct doctor_check *c = report_add(report, DOCTOR_VGPU, "sandbox", "worker's sandbox", good ? DOCTOR_OK : !known && h->seccomp &&
                                        h->landlock ? DOCTOR_UNKNOWN : DOCTOR_WARNING);
    static const char *const words[] = { "not told", "missing", "there" };
    check_found(c, "system call filter: %s, Landlock: %s", words[h->seccomp + 1], words[h->landlock + 1]);
    if (c->verdict == DOCTOR_WARNING)
        check_remedy(c, "a worker gives up fewer rights; use a kernel with CONFIG_SECCOMP_FILTER and CONFIG_SECURITY_LANDLOCK, and "
                     "landlock in its lsm= list");
}

void doctor_check_host(const struct doctor_host *host, struct doctor_report *report)
{
    check_iommu(host, report);
    check_isolation(host, report);
    check_noiommu(host, report);
    check_vfio(host, report);
    check_memory(host, report);
    check_sandbox(host, report);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The IOMMU group of a GPU and each companion in it: who would have to go along, and who must not. */
#include "doctor/report.h"

#include <string.h>

#define COMPANIONS_LISTED 48u

static const char *class_name(uint32_t class_code)
{
    static const struct { uint32_t code; const char *name; } classes[] = {
        { 0x0300, "VGA" }, { 0x0302, "3D controller" }, { 0x0403, "audio" }, { 0x0c03, "USB controller" }, { 0x0c80, "USB-C controller" },
        { 0x0108, "NVMe disk" }, { 0x0106, "SATA controller" }, { 0x0107, "SAS controller" }, { 0x0104, "RAID controller" },
        { 0x0200, "network" }, { 0x0207, "InfiniBand" }, { 0x0601, "ISA bridge" }, { 0x0600, "host bridge" }, { 0x0604, "PCI bridge" },
        { 0x0c05, "SMBus" }, { 0x0680, "bridge" }, { 0x1200, "accelerator" },
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (class_code >> 8 == classes[i].code)
            return classes[i].name;
    return "device";
}

static bool same_slot(const struct pci_function *a, const struct pci_function *b)
{
    size_t n = (size_t)(strrchr(a->address, '.') - a->address);
    return strncmp(a->address, b->address, n + 1) == 0 && !a->is_vf && !b->is_vf;
}

static void check_companion(const struct doctor_gpu *gpu, const struct pci_function *f, struct doctor_report *report)
{
    bool own = same_slot(&gpu->function, f), holds = pci_function_holds_group(f);
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "companion", "companion", own || !holds ? DOCTOR_OK : DOCTOR_BLOCKS);
    const char *driver = f->driver[0] ? f->driver : "no driver";
    if (own) {
        check_found(c, "%s %s (%s): a function of the same card, goes along", f->address, class_name(f->class_code), driver);
    } else if (!holds) {
        check_found(c, "%s %s (%s): nobody uses it, goes along or stays unused", f->address, class_name(f->class_code), driver);
    } else {
        check_found(c, "%s %s: this machine uses it (%s)", f->address, class_name(f->class_code), driver);
        check_remedy(c, "put the GPU or this device into another slot, best one of the processor's own with ACS, or switch ACS on in the "
                     "firmware setup; "
                     "if the machine can do without it, unbind it from %s. pcie_acs_override would only pretend", driver);
    }
}

/* Those that block come first, as a group can be a whole bus. */
static void check_companions(const struct doctor_gpu *gpu, struct doctor_report *report)
{
    unsigned listed = 0, left = 0;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < gpu->group_n; i++) {
            const struct pci_function *f = &gpu->group[i];
            bool blocks = pci_function_holds_group(f) && !same_slot(&gpu->function, f);
            if (f->port || strcmp(f->address, gpu->function.address) == 0 || blocks != (round == 0))
                continue;
            if (listed < COMPANIONS_LISTED)
                check_companion(gpu, f, report);
            listed < COMPANIONS_LISTED ? listed++ : left++;
        }
    if (!left)
        return;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "companions", "companions", DOCTOR_UNKNOWN);
    check_found(c, "%u more are not listed", left);
}

void check_group(const struct doctor_host *host, const struct doctor_gpu *gpu, struct doctor_report *report)
{
    const struct pci_function *self = &gpu->function;
    unsigned others = 0;
    for (size_t i = 0; i < gpu->group_n; i++)
        others += strcmp(gpu->group[i].address, self->address) != 0 && !gpu->group[i].port;
    enum doctor_verdict verdict = self->iommu_group < 0 ? DOCTOR_BLOCKS : gpu->group ? DOCTOR_OK : DOCTOR_UNKNOWN;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "iommu-group", "IOMMU group", verdict);
    if (self->iommu_group < 0)
        check_found(c, "none");
    else if (!gpu->group)
        check_found(c, "%d, of which not all members can be read: %.160s", self->iommu_group, gpu->group_error.text);
    else if (!others)
        check_found(c, "%d, alone", self->iommu_group);
    else
        check_found(c, "%d, with %u other function%s", self->iommu_group, others, others == 1 ? "" : "s");
    if (verdict == DOCTOR_BLOCKS)
        check_remedy(c, host->iommu_groups ? "the IOMMU does not cover this device: look for its root port in the firmware setup" :
                     "switch the IOMMU on, see above");
    check_companions(gpu, report);
}

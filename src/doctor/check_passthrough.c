/* SPDX-License-Identifier: Apache-2.0 */
/* What this GPU brings along or lacks for going to a VM whole.
 * Sources: Documentation/ABI/testing/sysfs-bus-pci and sysfs-bus-pci-drivers; NVIDIA's MIG and Fabric Manager guides. */
#include "doctor/report.h"

#include "base/text.h"

#include <string.h>

#define WINDOW_DEFAULT (UINT64_C(32) << 30)    /* OVMF's 64-bit window unless told otherwise */

static void check_driver(const struct doctor_gpu *gpu, struct doctor_report *report)
{
    const struct pci_function *f = &gpu->function;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "driver", "driver", DOCTOR_OK);
    if (!f->driver[0])
        check_found(c, "none%s%s", f->override[0] ? "; reserved for " : "", f->override);
    else if (f->is_vf && strcmp(f->driver, "nvidia") == 0)
        check_found(c, "nvidia: a vendor's vGPU stays with it, and goes to a VM as it is");
    else if (pci_driver_is_vfio(f->driver))
        check_found(c, "%s: ready for a VM, or in one%s%s", f->driver, f->vfio_device[0] ? ", /dev/vfio/devices/" : "", f->vfio_device);
    else
        check_found(c, "%s: lets go when nobody uses the GPU (tranche holders %s)", f->driver, gpu->gpu->name);
}

static void check_boot_vga(const struct doctor_host *host, const struct doctor_gpu *gpu, struct doctor_report *report)
{
    bool boot = gpu->function.boot_vga, only = host->displays <= 1;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "boot-vga", "boot display", !boot ? DOCTOR_OK : only ? DOCTOR_BLOCKS :
                                        DOCTOR_WARNING);
    if (!boot)
        check_found(c, "not this GPU");
    else if (only)
        check_found(c, "this is the machine's only display: without it there is no console");
    else
        check_found(c, "the firmware chose this GPU, though there %s", host->displays == 2 ? "is another" : "are others");
    if (boot)
        check_remedy(c, only ? "make sure that you reach the machine over the network or a serial line, then force it" :
                     "choose another primary display in the firmware setup; the VM may else need the GPU's ROM from a file");
}

static void check_framebuffer(const struct doctor_host *host, const struct doctor_gpu *gpu, struct doctor_report *report)
{
    bool firmware = gpu->function.boot_vga && host->firmware_driver[0], own = gpu->framebuffer;
    bool likely = gpu->function.boot_vga && host->framebuffers[0] && !own && !firmware;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "framebuffer", "framebuffer", firmware || own || likely ?
                                        DOCTOR_WARNING : DOCTOR_OK);
    if (firmware) {
        check_found(c, "%s drives the firmware's framebuffer in the GPU's memory%s%s", host->firmware_driver, host->console[0] ?
                    ", the console on it is " : "", host->console);
        check_remedy(c, "it is released with the GPU when that is forced: echo %s > /sys/bus/platform/drivers/%s/unbind, or start the "
                     "kernel with video=%s:off",
                     host->firmware_device, host->firmware_driver, strcmp(host->firmware_driver, "efi-framebuffer") == 0 ? "efifb" :
                     strcmp(host->firmware_driver, "vesa-framebuffer") == 0 ? "vesafb" : "simplefb");
    } else if (own || likely) {
        check_found(c, "%s%s%s", host->framebuffers[0] ? host->framebuffers : "a framebuffer is on it", host->console[0] ?
                    ", the console on it is " : "", host->console);
        if (host->console[0])
            check_remedy(c, "echo 0 > /sys/class/vtconsole/%s/bind takes the console off it", host->console);
        else
            check_remedy(c, "it goes with its driver; stop what shows on it first (tranche holders %s)", gpu->gpu->name);
    } else {
        check_found(c, "none on this GPU");
    }
}

static void check_reset(const struct doctor_gpu *gpu, struct doctor_report *report)
{
    const struct pci_function *f = &gpu->function;
    bool weak = strcmp(f->reset_methods, "pm") == 0;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "reset", "reset", !f->has_reset || weak ? DOCTOR_WARNING : DOCTOR_OK);
    if (f->reset_methods[0])
        check_found(c, "by %s", f->reset_methods);
    else
        check_found(c, f->has_reset ? "possible, the kernel does not tell how" : "the kernel knows no way");
    if (!f->has_reset)
        check_remedy(c, "after a VM that ended badly the GPU may need a restart of the machine");
    else if (weak)
        check_remedy(c, "changing the power state does not clear every GPU: try VM start, stop and start again before relying on it");
}

static uint64_t largest_possible(const struct pci_bar *bar)
{
    for (int bit = 43; bit >= 0; bit--)
        if (bar->resize_mask >> bit & 1)
            return UINT64_C(1) << (bit + 20);
    return bar->size;
}

static void check_windows(const struct doctor_gpu *gpu, struct doctor_report *report)
{
    uint64_t total = 0, largest = 0, possible = 0;
    bool unplaced = false;
    char now[32], most[32];
    for (int i = 0; i < PCI_BARS; i++) {
        const struct pci_bar *bar = &gpu->function.bars[i];
        if (!bar->size || !(bar->flags & PCI_BAR_MEMORY))
            continue;
        unplaced |= bar->start == 0;
        total += bar->flags & PCI_BAR_64BIT ? bar->size : 0;
        if (bar->size > largest) {
            largest = bar->size;
            possible = largest_possible(bar);
        }
    }
    enum doctor_verdict verdict = unplaced ? DOCTOR_BLOCKS : !largest ? DOCTOR_UNKNOWN : DOCTOR_OK;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "bars", "memory windows", verdict);
    text_format_size(largest, now, sizeof now);
    text_format_size(possible, most, sizeof most);
    if (unplaced) {
        check_found(c, "the firmware found no room for a window of %s", now);
        check_remedy(c, "switch Above 4G Decoding on in the firmware setup, or add pci=realloc to the kernel command line");
    } else if (!largest) {
        check_found(c, "not told by sysfs");
    } else {
        check_found(c, "largest %s%s%s%s%s", now, possible > largest ? ", resizable up to " : "", possible > largest ? most : "",
                    total > WINDOW_DEFAULT ? "; the VM's firmware needs a wider 64-bit window: " : "", total > WINDOW_DEFAULT ? "see tranche attach" : "");
    }
}

static void check_vfs(const struct doctor_gpu *gpu, struct doctor_report *report)
{
    const struct pci_function *f = &gpu->function;
    if (!f->sriov_total)
        return;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "sriov", "virtual functions", f->sriov_enabled ? DOCTOR_BLOCKS :
                                        DOCTOR_OK);
    check_found(c, "%u of %u are on%s", f->sriov_enabled, f->sriov_total, f->sriov_enabled ? ": the whole GPU cannot go" : "");
    if (f->sriov_enabled)
        check_remedy(c, "hand out virtual functions instead (tranche vfs lists them), or end what uses them and echo 0 > /sys/bus/pci/devices/%s/sriov_numvfs",
                     f->address);
}

static void check_mig_instances(const struct doctor_gpu *gpu, struct doctor_report *report)
{
    int n = gpu->has_nvidia ? gpu->nvidia.mig_instances : -1;
    if (n < 0)
        return;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "mig-instances", "MIG instances", n ? DOCTOR_BLOCKS : DOCTOR_OK);
    check_found(c, "%d%s", n, n ? ": the whole GPU cannot go" : "");
    if (n)
        check_remedy(c, "end the jobs on them, then nvidia-smi mig -i %s -dci and -dgi", gpu->function.address);
}

static void check_fabric(const struct doctor_host *host, const struct doctor_gpu *gpu, struct doctor_report *report)
{
    if (!host->nvswitches || gpu->function.vendor_id != NVIDIA_VENDOR)
        return;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "fabric", "NVSwitch", DOCTOR_WARNING);
    check_found(c, "%u NVSwitches, Fabric Manager %s", host->nvswitches, host->fabric_manager ? "runs" : "does not run");
    check_remedy(c, "a GPU that leaves takes its NVLinks out of the fabric: hand out whole fabric partitions (Fabric Manager's shared "
                 "NVSwitch model), "
                 "or all GPUs and switches to one VM");
}

static void check_place(const struct doctor_host *host, const struct doctor_gpu *gpu, struct doctor_report *report)
{
    const struct pci_function *f = &gpu->function;
    enum doctor_verdict verdict = f->numa_node < 0 && host->numa_nodes > 1 ? DOCTOR_UNKNOWN : DOCTOR_OK;
    struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "numa", "NUMA node", verdict);
    if (f->numa_node >= 0)
        check_found(c, "%d: a VM's memory and processors are best on it", f->numa_node);
    else
        check_found(c, host->numa_nodes > 1 ? "the firmware does not tell" : "the machine has one");
    bool asleep = strcmp(f->power_state, "D3cold") == 0;
    if (!asleep)
        return;
    c = report_add(report, DOCTOR_PASSTHROUGH, "power", "power", DOCTOR_WARNING);
    check_found(c, "switched off (D3cold)%s", f->d3cold_allowed == 1 ? ", which the kernel may do at any time" : "");
    check_remedy(c, "some GPUs do not wake for a VM: echo 0 > /sys/bus/pci/devices/%s/d3cold_allowed", f->address);
}

void check_passthrough(const struct doctor_host *host, const struct doctor_gpu *gpu, struct doctor_report *report)
{
    check_group(host, gpu, report);
    check_driver(gpu, report);
    check_boot_vga(host, gpu, report);
    check_framebuffer(host, gpu, report);
    check_reset(gpu, report);
    check_windows(gpu, report);
    check_vfs(gpu, report);
    check_mig_instances(gpu, report);
    check_fabric(host, gpu, report);
    check_place(host, gpu, report);
}

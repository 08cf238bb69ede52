/* SPDX-License-Identifier: Apache-2.0 */
/* One GPU under each model: see doctor.h. */
#include "doctor/report.h"

#include "base/text.h"

static void check_opencl(const struct doctor_host *host, const struct doctor_gpu *g, struct doctor_report *report)
{
    const struct gpu *gpu = g->gpu;
    bool gone = gpu->has_pci && pci_driver_is_vfio(g->function.driver);
    enum doctor_verdict verdict = gone ? DOCTOR_BLOCKS : gpu->has_opencl ? DOCTOR_OK : host->asked ? DOCTOR_BLOCKS : host->icds[0] ? DOCTOR_UNKNOWN : DOCTOR_BLOCKS;
    struct doctor_check *c = report_add(report, DOCTOR_VGPU, "opencl", "OpenCL driver", verdict);
    if (gone) {
        check_found(c, "the GPU is with %s, for a VM", g->function.driver);
        check_remedy(c, "give it back to its driver first");
    } else if (gpu->has_opencl) {
        check_found(c, "%s, %s", gpu->opencl.platform, gpu->opencl.platform_version);
    } else if (host->asked) {
        check_found(c, "%s", gpu->opencl_missing);
        check_remedy(c, "install the OpenCL driver for it (clinfo -l lists what there is), then tranche gpus --refresh");
    } else if (host->icds[0]) {
        check_found(c, "installed: %s; none was asked", host->icds);
        check_remedy(c, host->here ? "install tranche-worker beside tranche: it asks them" :
                     "run tranche doctor on that machine to know whether one serves this GPU");
    } else {
        check_found(c, "none is installed");
        check_remedy(c, "install the OpenCL driver of the GPU's vendor");
    }
}

static void check_memory_known(const struct doctor_gpu *g, struct doctor_report *report)
{
    char text[32];
    if (!g->gpu->has_opencl)
        return;
    struct doctor_check *c = report_add(report, DOCTOR_VGPU, "memory", "memory", g->gpu->memory_bytes ? DOCTOR_OK : DOCTOR_WARNING);
    check_found(c, "%s to share", text_format_size(g->gpu->memory_bytes, text, sizeof text));
}

/* Partitions of processor cores, on the stand-in GPU. */
static void check_device_partition(const struct doctor_gpu *g, struct doctor_report *report)
{
    const struct opencl_device *cl = &g->gpu->opencl;
    bool can = g->gpu->has_opencl && cl->partition_by_counts && cl->max_sub_devices;
    struct doctor_check *c = report_add(report, DOCTOR_MIG, "partition", "device partition", can ? DOCTOR_OK : DOCTOR_BLOCKS);
    if (can)
        check_found(c, "%u dedicated cores", cl->compute_units);
    else
        check_found(c, "%s", g->gpu->has_opencl ? "its OpenCL driver does not partition the device" : g->gpu->opencl_missing);
    if (!can)
        check_remedy(c, "install pocl-opencl-icd");
}

static void check_mig_mode(const struct doctor_gpu *g, struct doctor_report *report)
{
    int mode = g->gpu->has_nvml ? g->gpu->nvml.mig_current : -1, pending = g->gpu->has_nvml ? g->gpu->nvml.mig_pending : -1;
    bool files = !g->gpu->has_nvml && g->has_nvidia && g->nvidia.mig_instances >= 0;
    struct doctor_check *c = report_add(report, DOCTOR_MIG, "mig-mode", "MIG mode", mode >= 0 ? DOCTOR_OK : files ? DOCTOR_UNKNOWN :
                                        DOCTOR_BLOCKS);
    if (mode >= 0)
        check_found(c, "%s%s", mode ? "on" : "off", pending >= 0 && pending != mode ? pending ? ", on after the next reset" :
                    ", off after the next reset" : "");
    else if (files)
        check_found(c, g->nvidia.mig_instances ? "%d GPU instance%s exist" : "no GPU instances", g->nvidia.mig_instances,
                    g->nvidia.mig_instances == 1 ? "" : "s");
    else
        check_found(c, "the GPU has no MIG");
    if (mode == 0)
        check_remedy(c, "nvidia-smi -i %s -mig 1 switches it on, when nobody uses the GPU", g->function.address);
    if (mode < 0 && !files)
        return;
    c = report_add(report, DOCTOR_MIG, "support", "this version", DOCTOR_BLOCKS);
    check_found(c, "does not partition NVIDIA GPUs yet");
    check_remedy(c, "nvidia-smi mig does; use the instances by their UUIDs");
}

static void check_mig(const struct doctor_host *host, const struct doctor_gpu *g, struct doctor_report *report)
{
    if (g->gpu->stand_in) {
        check_device_partition(g, report);
        return;
    }
    if (g->gpu->has_pci && g->function.vendor_id != NVIDIA_VENDOR) {
        struct doctor_check *c = report_add(report, DOCTOR_MIG, "mig-mode", "MIG mode", DOCTOR_BLOCKS);
        check_found(c, "MIG is NVIDIA's, and this GPU is not");
        return;
    }
    if (g->gpu->has_nvml || g->has_nvidia) {
        struct doctor_check *c = report_add(report, DOCTOR_MIG, "nvml", "NVML", g->gpu->has_nvml ? DOCTOR_OK : DOCTOR_UNKNOWN);
        check_found(c, g->gpu->has_nvml ? "driver %s" : "not asked", g->gpu->nvml.driver_version);
        check_mig_mode(g, report);
        return;
    }
    struct doctor_check *c = report_add(report, DOCTOR_MIG, "nvml", "NVML", DOCTOR_BLOCKS);
    check_found(c, "NVIDIA's driver does not drive this GPU%s%s", g->function.driver[0] ? ", but " : "", g->function.driver);
    check_remedy(c, "MIG needs NVIDIA's driver (Debian: nvidia-driver, non-free)");
}

void doctor_check_gpu(const struct doctor_host *host, const struct doctor_gpu *gpu, struct doctor_report *report)
{
    if (gpu->gpu->has_pci) {
        check_passthrough(host, gpu, report);
    } else {
        struct doctor_check *c = report_add(report, DOCTOR_PASSTHROUGH, "device", "device", gpu->gpu->stand_in ? DOCTOR_BLOCKS :
                                            DOCTOR_UNKNOWN);
        check_found(c, gpu->gpu->stand_in ? "no PCI device: the processor cannot be given to a VM" : "not on the PCI bus of this machine");
    }
    check_opencl(host, gpu, report);
    check_memory_known(gpu, report);
    check_mig(host, gpu, report);
}

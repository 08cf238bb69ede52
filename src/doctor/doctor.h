/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: what stands between a GPU and each model: every precondition with what was found, a verdict, and what to do about it.
 *
 * Two steps. Collecting (facts.c) reads files below a sysroot, changes nothing and asks no driver. Checking (check_….c) is pure: facts in,
 * checks out. Called by the CLI in the operator's process with the operator's rights, and by whoever wants to know before a change.
 * Must never happen here: a change to the machine; "ok" for what could not be read (that is "unknown"). */
#pragma once

#include "base/error.h"
#include "inventory/function.h"
#include "inventory/inventory.h"
#include "inventory/nvidia.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOCTOR_MAX_CHECKS 96u    /* of one subject, of which at most 48 are companions */

enum doctor_verdict { DOCTOR_OK, DOCTOR_UNKNOWN, DOCTOR_WARNING, DOCTOR_BLOCKS };    /* in order of weight */
enum doctor_model { DOCTOR_PASSTHROUGH, DOCTOR_VGPU, DOCTOR_MIG, DOCTOR_MODELS };

struct doctor_check {
    enum doctor_model model;
    enum doctor_verdict verdict;
    bool danger;                          /* a warning that the isolation of VMs is only pretended */
    const char *id, *title;               /* "iommu-group", for programs; "IOMMU group", for people */
    char found[240];
    char remedy[360];                     /* the next step; empty where there is none */
};

struct doctor_report {
    struct doctor_check checks[DOCTOR_MAX_CHECKS];
    size_t n;
};

/* A kernel module: in the kernel, loaded, or there to be loaded. */
enum doctor_module { MODULE_UNKNOWN, MODULE_ABSENT, MODULE_AVAILABLE, MODULE_PRESENT };
enum doctor_cpu { CPU_OTHER, CPU_INTEL, CPU_AMD, CPU_ARM };

/* Facts of the machine. Integers that stand for yes and no are -1 where nothing tells. */
struct doctor_host {
    enum doctor_cpu cpu;
    char cmdline[2048];
    unsigned iommu_groups, iommu_units;
    char iommu_kind[16];                  /* "VT-d", "AMD-Vi", "SMMU", "virtio"; empty without units */
    bool iommu_table;                     /* firmware describes an IOMMU (DMAR, IVRS, IORT) */
    int interrupt_remapping, unsafe_interrupts, noiommu;
    enum doctor_module vfio_pci, vfio_type1, iommufd;
    char kernel[96];
    bool node_vfio, node_iommu, node_kvm;
    bool cpu_virtualizes;
    uint64_t ram_bytes, hugepages_bytes, hugepages_free_bytes;
    uint64_t memlock_bytes;               /* UINT64_MAX: unlimited; 0: unknown */
    bool privileged;                      /* whoever asks may lock any amount of memory */
    unsigned numa_nodes;
    char framebuffers[200];               /* names of /proc/fb, "EFI VGA, nvidia-drmdrmfb" */
    char firmware_driver[32];             /* of the framebuffer that the firmware left, "efi-framebuffer"; empty when none */
    char firmware_device[40];             /* "efi-framebuffer.0" */
    char console[16];                     /* "vtcon1" that is bound to a framebuffer; empty when none */
    unsigned nvswitches, displays;        /* displays: PCI functions of class 03 */
    bool fabric_manager;
    int seccomp, landlock;
    char icds[160];                       /* OpenCL drivers that are installed, "nvidia.icd, pocl.icd" */
    bool here;                            /* this machine, not the files of another */
    bool asked;                           /* OpenCL drivers were asked; set by the caller, who takes the inventory */
};

struct doctor_gpu {
    const struct gpu *gpu;                /* borrowed */
    struct pci_function function;         /* valid when gpu->has_pci */
    struct pci_function *group;           /* all members; NULL without IOMMU group, or with group_error */
    size_t group_n;
    struct error group_error;
    bool has_nvidia;
    struct nvidia_gpu nvidia;
    bool framebuffer;                     /* a framebuffer's device is this GPU */
};

int doctor_read_host(const char *sysroot, struct doctor_host *ret, struct error *err);
int doctor_read_gpu(const char *sysroot, const struct gpu *gpu, struct doctor_gpu *ret, struct error *err);
void doctor_gpu_done(struct doctor_gpu *gpu);

/* Append to the report. What concerns all GPUs is in check_host, what concerns this one in check_gpu. */
void doctor_check_host(const struct doctor_host *host, struct doctor_report *report);
void doctor_check_gpu(const struct doctor_host *host, const struct doctor_gpu *gpu, struct doctor_report *report);

/* The heaviest verdict of a model; DOCTOR_OK where there is no check. */
enum doctor_verdict doctor_worst(const struct doctor_report *report, enum doctor_model model);
const char *doctor_verdict_to_string(enum doctor_verdict verdict);   /* "ok", "unknown", "warning", "blocks" */
const char *doctor_model_to_string(enum doctor_model model);         /* "passthrough", "vgpu", "mig" */

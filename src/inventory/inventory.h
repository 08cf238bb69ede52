/* SPDX-License-Identifier: Apache-2.0 */
/* inventory: what GPUs this host has. Puts together what PCI (sysfs), NVML and the OpenCL loader say, and names the GPUs.
 *
 * Called by tranched, and by the commands that only look at a machine; changes nothing on it. Drivers are asked in child processes with a deadline, so nothing here
 * hangs with them. Must never happen here: opening a driver in the caller's process; trusting a size or text of what was read.
 *
 * Names: PCI GPUs are gpu0, gpu1, … in address order, their virtual functions gpu0vf0, gpu0vf1, …, then OpenCL GPUs without a PCI address (systems on a chip). cpu0 is the CPU as a
 * stand-in GPU: there when no driver serves any GPU of the host, or when asked for. */
#pragma once

#include "base/error.h"
#include "inventory/child.h"
#include "inventory/nvml.h"
#include "inventory/opencl.h"
#include "inventory/pci.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gpu {
    char name[16];
    bool stand_in;
    char vendor[64], product[160];
    uint64_t memory_bytes;
    uint32_t compute_units;               /* 0 when unknown */
    bool has_pci, has_nvml, has_opencl;
    struct pci_gpu pci;
    struct nvml_gpu nvml;
    struct opencl_device opencl;
    char opencl_missing[192];             /* why there is no OpenCL device, as far as known; empty else */
};

struct inventory {
    struct gpu *gpus;
    size_t n;
};

/* Where to look. Strings must outlive the probe. */
struct inventory_sources {
    const char *sysfs_root;               /* "/sys" */
    const char *cpuinfo, *meminfo;        /* "/proc/cpuinfo", "/proc/meminfo" */
    const char *pci_ids;                  /* "/usr/share/misc/pci.ids" */
    const char *nvml_library;             /* NVML_LIBRARY; NULL: not asked */
    const char *worker;                   /* path of tranche-worker; NULL: no OpenCL driver is asked, and no stand-in offered */
    bool stand_in;                        /* offer cpu0 also beside a real GPU */
    const char (*devices)[PCI_ADDRESS_MAX];   /* PCI functions to offer although their class is of no GPU */
    unsigned devices_n;
    uint64_t timeout_ns;                  /* for the children; loading every OpenCL driver of a host takes up to seconds */
};
#define INVENTORY_SOURCES_DEFAULT { "/sys", "/proc/cpuinfo", "/proc/meminfo", "/usr/share/misc/pci.ids", NVML_LIBRARY, NULL, false, NULL, 0, 15000000000 }

/* Looks at the files of one machine and asks no driver: quick, and also for a machine that is not this one. sysroot as in sysroot.h.
 * The inventory is to be freed. */
int inventory_take_files(const char *sysroot, struct inventory **ret, struct error *err);

/* An inventory being taken. begin starts the children; then either wait for the descriptors of children that are not done (out >= 0)
 * to be readable, or the deadline, and call pump until it says true; or call end at once, which blocks until the deadline. */
struct inventory_probe {
    struct inventory_sources sources;
    struct child nvml, opencl;
    struct error nvml_error, opencl_error;   /* what did not work; the inventory is complete without. code 0 when fine */
};
void inventory_begin(struct inventory_probe *probe, const struct inventory_sources *sources);
bool inventory_pump(struct inventory_probe *probe);
/* Returns the inventory, to be freed, and releases the children. -ENOMEM or a sysfs that cannot be read are the only errors. */
int inventory_end(struct inventory_probe *probe, struct inventory **ret, struct error *err);
void inventory_abort(struct inventory_probe *probe);
void inventory_free(struct inventory *inventory);

/* By name, PCI address ("0000:01:00.0", "01:00.0") or vendor UUID. NULL when there is none. */
const struct gpu *inventory_find(const struct inventory *inventory, const char *text);
/* What stays the same over reboots and name changes: PCI address, or the name where there is none. */
const char *gpu_identity(const struct gpu *gpu);

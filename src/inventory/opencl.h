/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenCL devices of this machine, as `tranche-worker --probe` lists them (src/worker/probe.h has the format). The drivers run in
 * that child only; its answer is checked as foreign input. */
#pragma once

#include "base/error.h"
#include "inventory/child.h"
#include "inventory/pci.h"

#include <stdbool.h>
#include <stdint.h>

#define OPENCL_MAX_DEVICES 128
#define OPENCL_MAX_COMPUTE_UNITS 65536    /* largest GPUs have some hundred; a bound for arithmetic */

enum opencl_type { OPENCL_CPU, OPENCL_GPU, OPENCL_OTHER };

struct opencl_device {
    char platform[128];                   /* exact, so that the worker finds the platform again */
    char platform_version[128];
    unsigned index;                       /* within its platform */
    char name[128], vendor[64], version[128], driver_version[64];
    uint32_t vendor_id;
    enum opencl_type type;                /* accelerators count as GPUs */
    uint32_t compute_units;
    uint64_t memory_bytes, max_alloc_bytes;
    bool unified, partition_by_counts;
    uint32_t max_sub_devices;
    char pci_address[PCI_ADDRESS_MAX], pci_address_alternative[PCI_ADDRESS_MAX];   /* empty when not told */
};

/* Starts `worker --probe` with the native drivers: the loader's variables that a tenant would have set are taken out.
 * The string must live until the child is done. */
int opencl_start(struct child *child, const char *worker, uint64_t timeout_ns, struct error *err);
/* The answer of a finished child; broken entries are left out. Returns how many were filled in, or a negative errno. */
int opencl_collect(struct child *child, struct opencl_device *ret, int max, struct error *err);

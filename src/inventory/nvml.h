/* SPDX-License-Identifier: Apache-2.0 */
/* What NVIDIA's management library says of its GPUs; read only. The library is loaded by name when it is there, in a child process
 * (child.h), and everything it lacks is tolerated: old drivers miss functions, some GPUs miss features.
 * Source of the calls and structures: NVML API reference guide, nvml.h API version 12. */
#pragma once

#include "base/error.h"
#include "inventory/child.h"
#include "inventory/pci.h"

#include <stdbool.h>
#include <stdint.h>

#define NVML_MAX_GPUS 64
#define NVML_LIBRARY "libnvidia-ml.so.1"

struct nvml_gpu {
    char pci_address[PCI_ADDRESS_MAX];
    char name[96], uuid[96], driver_version[80];
    uint64_t memory_bytes;
    int compute_major, compute_minor;     /* 0.0 when unknown */
    int mig_current, mig_pending;         /* 0 off, 1 on, -1 not a MIG GPU */
    int persistence;                      /* persistence mode: 0 off, 1 on, -1 unknown */
};

/* Starts the question; library is NVML_LIBRARY, or a path in tests. The string must live until the child is done. */
int nvml_start(struct child *child, const char *library, uint64_t timeout_ns, struct error *err);
/* The answer of a finished child. No library gives no GPUs and no error. Returns how many were filled in, or a negative errno:
 * the driver is there but does not work, with the reason. */
int nvml_collect(struct child *child, struct nvml_gpu *ret, int max, struct error *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* The probe: lists the OpenCL devices of this machine as JSON, in a process of its own, since a driver may hang or crash.
 *
 * Output: {"devices": [{"platform", "platform_version", "index", "name", "vendor", "vendor_id", "version",
 * "driver_version", "type": "cpu"|"gpu"|"accelerator"|"custom", "compute_units", "global_mem_bytes", "max_alloc_bytes",
 * "host_unified_memory", "max_sub_devices", "partition_by_counts", "pci_address": "0000:01:00.0"|null,
 * "pci_address_alternative": …|null}]}. `index` counts within the platform. Platforms of tranche itself are left out. */
#pragma once

/* Prints the list to stdout. Returns the process's exit code: 0, also when there is no device; 1 when stdout cannot be written. */
int probe_run(void);

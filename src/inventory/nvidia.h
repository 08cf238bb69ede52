/* SPDX-License-Identifier: Apache-2.0 */
/* What the NVIDIA kernel driver says in /proc, without its library: which device files are a GPU's, and which MIG instances it has.
 * Source: the driver's README, "procfs interface", and the MIG user guide, "Device nodes and capabilities". */
#pragma once

#include <stdbool.h>

#define NVIDIA_VENDOR 0x10de
#define NVIDIA_MAJOR 195u                 /* /dev/nvidia0, …; assigned to it in the kernel's list of devices */

struct nvidia_gpu {
    int minor;                            /* N of /dev/nvidiaN; -1 unknown */
    char uuid[64];                        /* "GPU-…"; empty when unknown */
    int mig_instances;                    /* GPU instances that exist; -1 when the driver does not tell (no MIG GPU, or before R450) */
};

/* False when this driver does not drive the GPU. sysroot as in sysroot.h. */
bool nvidia_read_gpu(const char *sysroot, const char *address, struct nvidia_gpu *ret);

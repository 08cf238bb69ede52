/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the host itself uses a PCI function so that taking it away would lose data or cut the host off: a mounted disk, swap,
 * a disk below another (RAID, LVM, dm-crypt), a network interface that is up. Reads only. */
#pragma once

#include "base/error.h"

#include <stddef.h>

/* "disk nvme0n1p2 is mounted", "network interface eth0 is up"; empty when nothing was found. Roots are "/sys" and "/proc".
 * 0, or a negative errno when the machine cannot be read: then nothing may be assumed. */
int use_by_host(const char *sysfs_root, const char *proc_root, const char *address, char *ret, size_t size, struct error *err);

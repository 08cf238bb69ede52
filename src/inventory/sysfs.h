/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of sysfs, read with suspicion: what is missing, too long or of another form is "unknown", never a value. `dir` is a
 * directory descriptor or AT_FDCWD, `name` a path below it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A number, "0x030000", "16" or "-1". False when it is missing, outside [min, max] or anything else stands there. */
bool sysfs_read_number(int dir, const char *name, long min, long max, long *ret);
/* A hexadecimal number without "0x", as some attributes are printed. */
bool sysfs_read_hex(int dir, const char *name, uint64_t *ret);
/* The text as label_set() makes it. False and "" when there is none, or more than a page. */
bool sysfs_read_label(int dir, const char *name, char *ret, size_t size);
/* The last part of where a link points, "vfio-pci". Empty when there is no such link. */
void sysfs_read_link_name(int dir, const char *name, char *ret, size_t size);
/* The number that a link's target is called, "../../kernel/iommu_groups/12": 12. -1 when it is none. */
int sysfs_read_link_number(int dir, const char *name);

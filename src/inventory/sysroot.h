/* SPDX-License-Identifier: Apache-2.0 */
/* Where a machine's files lie. "" is this machine; any other directory holds the sys, proc, dev, etc, … of one: a copy that somebody
 * took, or a fixture. What is read from there is only ever read, and is trusted no more than sysfs. */
#pragma once

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>

/* SYSROOT/path; `path` without a leading slash. -ENAMETOOLONG. */
int sysroot_path(const char *sysroot, const char *path, char ret[PATH_MAX], struct error *err);
/* -ENOENT or -ENOTDIR with the next step when the directory does not look like the root of a machine. */
int sysroot_check(const char *sysroot, struct error *err);
static inline bool sysroot_is_here(const char *sysroot) { return !*sysroot; }

/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that look at a machine without the daemon: this one, or with --sysroot the files of another. */
#pragma once

#include "cli/cli.h"
#include "inventory/function.h"
#include "inventory/inventory.h"
#include "inventory/sysroot.h"

/* What --sysroot says ("" without it), checked. The verb's row must have the option. */
int machine_sysroot(const struct cli *cli, const char **ret, struct error *err);

/* One GPU, or a virtual function of one, as the user named it: "gpu0", a PCI address or a vendor UUID. */
struct machine_gpu {
    char name[16];                        /* "gpu0", of a virtual function "gpu0vf1" */
    char product[160];
    struct pci_function function;
};
/* -ENOENT: there is none of that name (the hint lists those there are); -EINVAL: the function at that address is no GPU. */
int machine_find_gpu(const char *sysroot, const char *text, struct machine_gpu *ret, struct error *err);

static inline void cleanup_inventory(struct inventory **i) { inventory_free(*i); }
#define _cleanup_inventory_ __attribute__((cleanup(cleanup_inventory)))

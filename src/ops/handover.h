/* SPDX-License-Identifier: Apache-2.0 */
/* What handing a GPU over to VMs comes to: the functions that go together, and the operations in their order. Reads sysfs and changes
 * nothing; carried out by tranched with tranche-priv, given back by the same operations undone in reverse.
 *
 * The order: framebuffers and console off the GPU, persistence mode off, no sleep without power; then for each function: unbind its
 * driver, let only vfio-pci bind it (driver_override, not new_id: that would take every device of the same model), bind it. Undone in
 * reverse, the override is gone before the old driver is bound again. Documentation/driver-api/vfio.rst, sysfs-bus-pci. */
#pragma once

#include "base/error.h"
#include "inventory/function.h"
#include "ops/op.h"

#define HANDOVER_MAX_FUNCTIONS 32u
#define HANDOVER_MAX_OPS 128u

struct handover_wish {
    const char *sysfs_root, *proc_root;
    const char *address;        /* the GPU, in the kernel's form */
    bool force;                 /* also when it is the host's only display */
    bool with_group;            /* also the other devices of its IOMMU group that the host does not use */
    int persistence;            /* NVIDIA's persistence mode now: 1 on, 0 off, -1 unknown */
};

struct handover {
    struct op ops[HANDOVER_MAX_OPS];
    unsigned n;
    char functions[HANDOVER_MAX_FUNCTIONS][PCI_ADDRESS_MAX];    /* that go to the VM, the GPU first */
    unsigned functions_n;
};

/* -EOPNOTSUPP: no IOMMU. -EBUSY: the only display without force; virtual functions are enabled; another device of the group keeps it
 * here, named with its driver and use. -ENOENT: no such device. */
int handover_plan(const struct handover_wish *wish, struct handover *ret, struct error *err);
/* Setting the number of virtual functions: new ones get no driver. -EOPNOTSUPP: the GPU has none; -EINVAL: more than it can have. */
int handover_plan_vfs(const char *sysfs_root, const char *address, unsigned count, struct handover *ret, struct error *err);

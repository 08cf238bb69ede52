/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices tranche-priv touches at all: GPUs (display controllers and processing accelerators), what shares a slot or an IOMMU group
 * with one, their virtual functions, and what the administrator named on the command line. Never a bridge.
 *
 * The one who asks may be anybody who got hold of tranched; so this looks at the machine, not at what is asked. */
#pragma once

#include "base/error.h"
#include "inventory/pci.h"
#include "ops/op.h"

#define ALLOW_MAX_NAMED 32

struct allow {
    char named[ALLOW_MAX_NAMED][PCI_ADDRESS_MAX];
    unsigned named_n;
};

/* -EPERM with the reason when this operation is not for tranche-priv to do. */
int allow_op(const char *sysfs_root, const struct allow *allow, const struct op *op, struct error *err);

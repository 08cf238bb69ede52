/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices may be touched: see allow.h. */
#include "priv/allow.h"

#include "base/cleanup.h"
#include "inventory/function.h"

#include <errno.h>
#include <string.h>

static bool is_main(const struct allow *allow, const struct pci_function *f)
{
    for (unsigned i = 0; i < allow->named_n; i++)
        if (strcmp(allow->named[i], f->address) == 0)
            return !f->bridge;
    return pci_function_is_gpu(f);
}

static bool has_main(const struct allow *allow, const struct pci_function *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_main(allow, &list[i]))
            return true;
    return false;
}

/* Lists that cannot be read hold no GPU. */
static bool goes_with_main(const char *sysfs_root, const struct allow *allow, const struct pci_function *f)
{
    _cleanup_free_ struct pci_function *group = NULL, *slot = NULL;
    struct pci_function physical;
    size_t n;
    if (f->is_vf && pci_read_function(sysfs_root, f->physfn, &physical, NULL) == 0 && is_main(allow, &physical))
        return true;
    if (f->iommu_group >= 0 && pci_list_group(sysfs_root, f->iommu_group, &group, &n, NULL) == 0 && has_main(allow, group, n))
        return true;
    return pci_list_slot(sysfs_root, f->address, &slot, &n, NULL) == 0 && has_main(allow, slot, n);
}

static int check_pci(const char *sysfs_root, const struct allow *allow, const char *address, struct error *err)
{
    struct pci_function f;
    int r = pci_read_function(sysfs_root, address, &f, err);
    if (r == -ENOENT)    /* gone: what is being given back need not be any more */
        return error_set(err, -ENODEV, "there is no PCI device %s", address);
    if (r < 0)
        return r;
    if (f.bridge)
        return error_set(err, -EPERM, "%s is a bridge; tranche leaves bridges alone", address);
    if (is_main(allow, &f) || goes_with_main(sysfs_root, allow, &f))
        return 0;
    error_set(err, -EPERM, "%s is no GPU and shares no slot and no IOMMU group with one", address);
    error_hint(err, "tranche-priv --device %s allows it", address);
    return -EPERM;
}

int allow_op(const char *sysfs_root, const struct allow *allow, const struct op *op, struct error *err)
{
    int r = op_check(op, err);
    if (r < 0)
        return r;
    if (op->kind == OP_MODULE || op->kind == OP_CONSOLE || op->kind == OP_FRAMEBUFFER)
        return 0;
    return check_pci(sysfs_root, allow, op->device, err);
}

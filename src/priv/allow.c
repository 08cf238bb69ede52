/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices may be touched: see allow.h. */
#include "priv/allow.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* PCI base classes: PCI Code and ID Assignment Specification. */
#define CLASS_DISPLAY 0x03
#define CLASS_BRIDGE 0x06
#define CLASS_ACCELERATOR 0x12

/* -1 when it cannot be told. */
static int base_class(const char *sysfs_root, const char *address)
{
    char path[PATH_MAX], text[32], *end;
    if (text_format(path, sizeof path, "%s/bus/pci/devices/%s/class", sysfs_root, address) < 0 || io_read_text(AT_FDCWD, path, text, sizeof text) <= 0)
        return -1;
    long v = strtol(text, &end, 16);
    return *end || v < 0 || v > 0xffffff ? -1 : (int)(v >> 16);
}

static bool is_main(const char *sysfs_root, const struct allow *allow, const char *address)
{
    int class_code = base_class(sysfs_root, address);
    for (unsigned i = 0; i < allow->named_n; i++)
        if (strcmp(allow->named[i], address) == 0)
            return class_code != CLASS_BRIDGE;
    return class_code == CLASS_DISPLAY || class_code == CLASS_ACCELERATOR;
}

static bool physical_function(const char *sysfs_root, const char *address, char ret[PCI_ADDRESS_MAX])
{
    char path[PATH_MAX], target[PATH_MAX];
    if (text_format(path, sizeof path, "%s/bus/pci/devices/%s/physfn", sysfs_root, address) < 0)
        return false;
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0)
        return false;
    target[n] = '\0';
    const char *slash = strrchr(target, '/');
    return pci_parse_address(slash ? slash + 1 : target, ret);
}

static bool has_main_in_group(const char *sysfs_root, const struct allow *allow, const char *address)
{
    char path[PATH_MAX];
    if (text_format(path, sizeof path, "%s/bus/pci/devices/%s/iommu_group/devices", sysfs_root, address) < 0)
        return false;
    _cleanup_closedir_ DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char member[PCI_ADDRESS_MAX];
        if (pci_parse_address(e->d_name, member) && is_main(sysfs_root, allow, member))
            return true;
    }
    return false;
}

static bool has_main_in_slot(const char *sysfs_root, const struct allow *allow, const char *address)
{
    char other[PCI_ADDRESS_MAX];
    strcpy(other, address);
    for (char f = '0'; f <= '7'; f++) {
        other[strlen(other) - 1] = f;
        if (is_main(sysfs_root, allow, other))
            return true;
    }
    return false;
}

static int check_pci(const char *sysfs_root, const struct allow *allow, const char *address, struct error *err)
{
    char physical[PCI_ADDRESS_MAX];
    int class_code = base_class(sysfs_root, address);
    if (class_code < 0)
        return error_set(err, -ENODEV, "there is no PCI device %s", address);
    if (class_code == CLASS_BRIDGE)
        return error_set(err, -EPERM, "%s is a bridge; tranche leaves bridges alone", address);
    if (is_main(sysfs_root, allow, address) || has_main_in_group(sysfs_root, allow, address) || has_main_in_slot(sysfs_root, allow, address) ||
        (physical_function(sysfs_root, address, physical) && is_main(sysfs_root, allow, physical)))
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

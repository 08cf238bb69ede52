/* SPDX-License-Identifier: Apache-2.0 */
/* What of the host stands on a PCI function: see use.h. */
#include "ops/use.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define IFF_UP_BIT 1L    /* IFF_UP of if.h, as the attribute `flags` shows it */

/* Class devices are links into the device tree: /sys/devices/pci0000:00/0000:00:04.0/0000:01:00.0/nvme/nvme0/nvme0n1. */
static bool stands_on(const char *sysfs_root, const char *class_name, const char *name, const char *address)
{
    char path[PATH_MAX], target[PATH_MAX], part[64];
    if (text_format(path, sizeof path, "%s/class/%s/%s", sysfs_root, class_name, name) < 0)
        return false;
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0)
        return false;
    target[n] = '\0';
    snprintf(part, sizeof part, "/%s/", address);
    return strstr(target, part);
}

static bool has_holders(const char *sysfs_root, const char *disk)
{
    char path[PATH_MAX];
    if (text_format(path, sizeof path, "%s/class/block/%s/holders", sysfs_root, disk) < 0)
        return false;
    _cleanup_closedir_ DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            return true;
    return false;
}

/* Mounts by device number, which also finds /dev/root and bind mounts. Field 3 of mountinfo is MAJOR:MINOR (proc(5)). */
static bool is_mounted(const char *proc_root, const char *number)
{
    char path[PATH_MAX], line[4096], device[32];
    if (text_format(path, sizeof path, "%s/self/mountinfo", proc_root) < 0)
        return false;
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%*d %*d %31s", device) == 1 && strcmp(device, number) == 0)
            return true;
    return false;
}

/* Several file systems (btrfs, overlay) mount under a device number of their own: the source names the disk then. */
static bool is_named(const char *proc_root, const char *file, const char *disk)
{
    char path[PATH_MAX], line[4096], name[80];
    if (text_format(path, sizeof path, "%s/%s", proc_root, file) < 0 || text_format(name, sizeof name, "/dev/%s ", disk) < 0)
        return false;
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        for (char *c = line; *c; c++)
            *c = *c == '\t' ? ' ' : *c;
        if (strncmp(line, name, strlen(name)) == 0)
            return true;
    }
    return false;
}

static bool check_disk(const char *sysfs_root, const char *proc_root, const char *disk, char *ret, size_t size)
{
    char path[PATH_MAX], number[32] = "";
    if (text_format(path, sizeof path, "%s/class/block/%s/dev", sysfs_root, disk) == 0)
        io_read_text(AT_FDCWD, path, number, sizeof number);
    if ((number[0] && is_mounted(proc_root, number)) || is_named(proc_root, "self/mounts", disk))
        snprintf(ret, size, "disk %s is mounted", disk);
    else if (is_named(proc_root, "swaps", disk))
        snprintf(ret, size, "disk %s is swap space", disk);
    else if (has_holders(sysfs_root, disk))
        snprintf(ret, size, "disk %s is part of another one", disk);
    return ret[0];
}

static bool check_interface(const char *sysfs_root, const char *proc_root, const char *name, char *ret, size_t size)
{
    char path[PATH_MAX], flags[32] = "";
    if (text_format(path, sizeof path, "%s/class/net/%s/flags", sysfs_root, name) == 0)
        io_read_text(AT_FDCWD, path, flags, sizeof flags);
    if (strtol(flags, NULL, 16) & IFF_UP_BIT)
        snprintf(ret, size, "network interface %s is up", name);
    return ret[0];
}

static int check_class(const char *sysfs_root, const char *proc_root, const char *class_name, const char *address,
                       bool (*check)(const char *, const char *, const char *, char *, size_t), char *ret, size_t size, struct error *err)
{
    char path[PATH_MAX];
    if (text_format(path, sizeof path, "%s/class/%s", sysfs_root, class_name) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", sysfs_root);
    _cleanup_closedir_ DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? 0 : error_set(err, -errno, "read %s: %s", path, strerror(errno));
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.' && stands_on(sysfs_root, class_name, e->d_name, address) && check(sysfs_root, proc_root, e->d_name, ret, size))
            break;
    return 0;
}

int use_by_host(const char *sysfs_root, const char *proc_root, const char *address, char *ret, size_t size, struct error *err)
{
    ret[0] = '\0';
    int r = check_class(sysfs_root, proc_root, "block", address, check_disk, ret, size, err);
    if (r == 0 && !ret[0])
        r = check_class(sysfs_root, proc_root, "net", address, check_interface, ret, size, err);
    return r;
}

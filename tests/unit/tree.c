/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that look like a host: see tree.h. */
#include "tree.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char top[64];

const char *tree_at(const char *path)
{
    static char buf[8][PATH_MAX];
    static unsigned next;
    char *ret = buf[next++ % 8];
    snprintf(ret, PATH_MAX, "%s/%s", top, path);
    return ret;
}

void tree_make_dirs(const char *path)
{
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "mkdir -p '%s'", tree_at(path));
    assert_int_equal(system(command), 0);
}

static void make_parent(const char *path)
{
    char parent[1024];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (!slash)
        return;
    *slash = '\0';
    if (access(tree_at(parent), F_OK) < 0)
        tree_make_dirs(parent);
}

void tree_put(const char *path, const char *text)
{
    make_parent(path);
    FILE *f = fopen(tree_at(path), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

void tree_put_link(const char *target, const char *path)
{
    make_parent(path);
    assert_int_equal(symlink(target, tree_at(path)), 0);
}

void tree_put_pci(const char *address, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "sys/bus/pci/devices/%s/%s", address, name);
    tree_put(path, text);
}

void tree_add_pci(const char *address, const char *class_code, const char *vendor, const char *device)
{
    tree_put_pci(address, "class", class_code);
    tree_put_pci(address, "vendor", vendor);
    tree_put_pci(address, "device", device);
}

void tree_add_to_group(const char *group, const char *address)
{
    char path[256], target[256];
    snprintf(path, sizeof path, "sys/kernel/iommu_groups/%s/devices/%s", group, address);
    tree_make_dirs(path);
    snprintf(path, sizeof path, "sys/bus/pci/devices/%s/iommu_group", address);
    snprintf(target, sizeof target, "../../../../kernel/iommu_groups/%s", group);
    tree_put_link(target, path);
}

int tree_setup(void **state)
{
    strcpy(top, "/tmp/tranche-tree.XXXXXX");
    assert_non_null(mkdtemp(top));
    tree_make_dirs("sys/bus/pci/devices");
    return 0;
}

int tree_teardown(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", top);
    return system(command);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The device files of a GPU: see holders.h.
 * Sources: the kernel's admin-guide/devices.txt, driver-api/vfio.rst; NVIDIA's MIG user guide, "/dev based nvidia-capabilities". */
#include "inventory/holders.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "inventory/nvidia.h"
#include "inventory/sysfs.h"
#include "inventory/sysroot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define VENDOR_AMD 0x1002

static void add_node(struct holders *h, unsigned major, unsigned minor, const char *directory, const char *name)
{
    struct holder_node node = { .major = major, .minor = minor };
    if (h->nodes_n < HOLDERS_MAX_NODES && text_format(node.path, sizeof node.path, "%s%s", directory, name) == 0)
        h->nodes[h->nodes_n++] = node;
}

/* "226:128" in this attribute. */
static void add_from_attribute(struct holders *h, int dir, const char *attribute, const char *directory, const char *name)
{
    char text[32];
    unsigned major, minor;
    int n = 0;
    if (sysfs_read_label(dir, attribute, text, sizeof text) && sscanf(text, "%u:%u%n", &major, &minor, &n) == 2 && !text[n])
        add_node(h, major, minor, directory, name);
}

/* Each ENTRY/dev in this directory; `below` goes one level deeper (sound/card1/pcmC1D0p/dev). */
static void add_directory(struct holders *h, const char *path, const char *directory, bool below)
{
    _cleanup_closedir_ DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char attribute[300], deeper[PATH_MAX];
        if (e->d_name[0] == '.' || strncmp(e->d_name, "controlD", 8) == 0)    /* an old name of card0, as a link */
            continue;
        if (below && text_format(deeper, sizeof deeper, "%s/%s", path, e->d_name) == 0)
            add_directory(h, deeper, directory, false);
        text_format(attribute, sizeof attribute, "%s/dev", e->d_name);
        add_from_attribute(h, dirfd(dir), attribute, directory, e->d_name);
    }
}

static void add_function(struct holders *h, const char *sys, const char *address)
{
    static const struct { const char *sub, *directory; bool below; } places[] = {
        { "drm", "/dev/dri/", false }, { "graphics", "/dev/", false }, { "vfio-dev", "/dev/vfio/devices/", false }, { "sound",
                                                                                                                      "/dev/snd/", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char path[PATH_MAX];
        if (text_format(path, sizeof path, "%s/bus/pci/devices/%s/%s", sys, address, places[i].sub) == 0)
            add_directory(h, path, places[i].directory, places[i].below);
    }
}

/* The number behind a name in /proc/devices; -1 when there is none. */
static int major_of(const char *sysroot, const char *name)
{
    char path[PATH_MAX], line[128], found[64];
    int major;
    if (sysroot_path(sysroot, "proc/devices", path, NULL) < 0)
        return -1;
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%d %63s", &major, found) == 2 && strcmp(found, name) == 0)
            return major;
    return -1;
}

/* Lines "gpu0/gi1/access 12" and "gpu0/gi1/ci0/access 13": one device file for each possible instance. */
static void add_mig(struct holders *h, const char *sysroot, int gpu)
{
    char path[PATH_MAX], line[128];
    int major = major_of(sysroot, "nvidia-caps"), number;
    unsigned minor;
    if (major < 0 || sysroot_path(sysroot, "proc/driver/nvidia-caps/mig-minors", path, NULL) < 0)
        return;
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        char name[32];
        if (sscanf(line, "gpu%d/%*s %u", &number, &minor) != 2 || number != gpu)
            continue;
        text_format(name, sizeof name, "nvidia-cap%u", minor);
        add_node(h, (unsigned)major, minor, "/dev/nvidia-caps/", name);
    }
}

static void add_nvidia(struct holders *h, const char *sysroot, const char *address)
{
    struct nvidia_gpu nvidia;
    char name[16];
    if (!nvidia_read_gpu(sysroot, address, &nvidia) || nvidia.minor < 0)
        return;
    text_format(name, sizeof name, "nvidia%d", nvidia.minor);
    add_node(h, NVIDIA_MAJOR, (unsigned)nvidia.minor, "/dev/", name);
    add_mig(h, sysroot, nvidia.minor);
}

static void add_class(struct holders *h, const char *sys, const char *class, const char *name, const char *directory)
{
    char attribute[PATH_MAX];
    if (text_format(attribute, sizeof attribute, "%s/class/%s/%s/dev", sys, class, name) == 0)
        add_from_attribute(h, AT_FDCWD, attribute, directory, name);
}

int holders_list_nodes(const char *sysroot, const struct pci_function *function, struct holders *holders, struct error *err)
{
    _cleanup_free_ struct pci_function *slot = NULL;
    char sys[PATH_MAX], group[16];
    size_t n = 0;
    int r = sysroot_path(sysroot, "sys", sys, err);
    if (r == 0)
        r = pci_list_slot(sys, function->address, &slot, &n, err);
    if (r < 0)
        return r;
    holders->nodes = calloc(HOLDERS_MAX_NODES, sizeof *holders->nodes);
    if (!holders->nodes)
        return error_set(err, -ENOMEM, "no memory for a list of device files");
    add_nvidia(holders, sysroot, function->address);
    for (size_t i = 0; i < n; i++)
        add_function(holders, sys, slot[i].address);
    if (function->iommu_group >= 0) {
        text_format(group, sizeof group, "%d", function->iommu_group);
        add_class(holders, sys, "vfio", group, "/dev/vfio/");
    }
    if (function->vendor_id == VENDOR_AMD)    /* one file for all AMD GPUs: whoever has it open may use this one */
        add_class(holders, sys, "kfd", "kfd", "/dev/");
    return 0;
}

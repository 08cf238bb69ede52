/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of a machine and of one GPU, from files: see doctor.h. Anything that is missing stays unknown. */
#include "doctor/doctor.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "inventory/label.h"
#include "inventory/sysfs.h"
#include "inventory/sysroot.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/syscall.h>

#define CLASS_BRIDGE_OTHER 0x068000       /* NVSwitches */
#define ECAP_INTERRUPT_REMAPPING 3        /* bit of VT-d's extended capability register (VT-d specification, 11.4.3) */

struct root {
    const char *sysroot;
    int fd;
};

static bool exists(const struct root *root, const char *path)
{
    return faccessat(root->fd, path, F_OK, 0) == 0;
}

static DIR *open_dir(const struct root *root, const char *path)
{
    int fd = openat(root->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fdopendir(fd) : NULL;
}

static bool is_entry(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void append(char *list, size_t size, const char *name)
{
    size_t used = strlen(list);
    if (used < size)
        snprintf(list + used, size - used, "%s%s", used ? ", " : "", name);
}

/* "Y", "N", "1" or "0". */
static int read_switch(const struct root *root, const char *path)
{
    char text[8];
    if (!sysfs_read_label(root->fd, path, text, sizeof text))
        return -1;
    return text[0] == 'Y' || text[0] == '1' ? 1 : text[0] == 'N' || text[0] == '0' ? 0 : -1;
}

/* Does a line of the file hold this text? -1 when there is no such file. */
static int file_has(const struct root *root, const char *path, const char *what, char *ret_line, size_t size)
{
    int fd = openat(root->fd, path, O_RDONLY | O_CLOEXEC);
    _cleanup_fclose_ FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    char line[1024];
    while (f && fgets(line, sizeof line, f)) {
        if (!strstr(line, what))
            continue;
        if (ret_line)
            label_set(ret_line, size, line);
        return 1;
    }
    return f ? 0 : -1;
}

static void read_cpu(const struct root *root, struct doctor_host *h)
{
    char line[1024];
    h->cpu = file_has(root, "proc/cpuinfo", "GenuineIntel", NULL, 0) == 1 ? CPU_INTEL :
             file_has(root, "proc/cpuinfo", "AuthenticAMD", NULL, 0) == 1 ? CPU_AMD :
             file_has(root, "proc/cpuinfo", "CPU implementer", NULL, 0) == 1 ? CPU_ARM : CPU_OTHER;
    h->cpu_virtualizes = h->cpu == CPU_ARM || (file_has(root, "proc/cpuinfo", "flags", line, sizeof line) == 1 &&
                                               (strstr(line, " vmx") || strstr(line, " svm")));
    if (!sysfs_read_label(root->fd, "proc/cmdline", h->cmdline, sizeof h->cmdline))
        h->cmdline[0] = '\0';
}

/* Units are called dmar0 (VT-d), ivhd0 (AMD-Vi), smmu3.0x… (SMMU), virtio-… */
static void take_unit(struct doctor_host *h, const char *name)
{
    static const struct { const char *begin, *kind; } kinds[] = { { "dmar", "VT-d" }, { "ivhd", "AMD-Vi" }, { "smmu", "SMMU" },
                                                                  { "arm-smmu", "SMMU" }, { "virtio", "virtio" } };
    h->iommu_units++;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strncmp(name, kinds[i].begin, strlen(kinds[i].begin)) == 0)
            strcpy(h->iommu_kind, kinds[i].kind);
}

static void read_iommu(const struct root *root, struct doctor_host *h)
{
    static const char *const tables[] = { "DMAR", "IVRS", "IORT" };
    char path[64];
    uint64_t ecap;
    _cleanup_closedir_ DIR *units = open_dir(root, "sys/class/iommu"), *groups = open_dir(root, "sys/kernel/iommu_groups");
    for (struct dirent *e; units && (e = readdir(units));)
        if (is_entry(e))
            take_unit(h, e->d_name);
    for (struct dirent *e; groups && (e = readdir(groups));)
        h->iommu_groups += is_entry(e);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        text_format(path, sizeof path, "sys/firmware/acpi/tables/%s", tables[i]);
        h->iommu_table |= exists(root, path);
    }
    h->interrupt_remapping = -1;
    if (strcmp(h->iommu_kind, "VT-d") == 0 && sysfs_read_hex(root->fd, "sys/class/iommu/dmar0/intel-iommu/ecap", &ecap))
        h->interrupt_remapping = ecap >> ECAP_INTERRUPT_REMAPPING & 1;
    h->unsafe_interrupts = read_switch(root, "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
    h->noiommu = read_switch(root, "sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
}

/* In the lists of modules a name may have - for _ or the other way round, and the file may be compressed. */
static enum doctor_module find_module(const struct root *root, const struct doctor_host *h, const char *name)
{
    char path[192], file[64];
    text_format(path, sizeof path, "sys/module/%s", name);
    if (exists(root, path))
        return MODULE_PRESENT;
    int known = -1;
    for (int style = 0; style < 2; style++) {
        text_format(file, sizeof file, "/%s.ko", name);
        for (char *p = file; style && (p = strchr(p, '_'));)
            *p = '-';
        text_format(path, sizeof path, "lib/modules/%s/modules.builtin", h->kernel);
        int built_in = file_has(root, path, file, NULL, 0);
        text_format(path, sizeof path, "lib/modules/%s/modules.dep", h->kernel);
        int loadable = file_has(root, path, file, NULL, 0);
        if (built_in == 1 || loadable == 1)
            return built_in == 1 ? MODULE_PRESENT : MODULE_AVAILABLE;
        known = MAX(known, built_in);
        known = MAX(known, loadable);
    }
    return known < 0 ? MODULE_UNKNOWN : MODULE_ABSENT;
}

static void read_vfio(const struct root *root, struct doctor_host *h)
{
    sysfs_read_label(root->fd, "proc/sys/kernel/osrelease", h->kernel, sizeof h->kernel);
    h->vfio_pci = find_module(root, h, "vfio_pci");
    h->vfio_type1 = find_module(root, h, "vfio_iommu_type1");
    h->iommufd = find_module(root, h, "iommufd");
    h->node_vfio = exists(root, "dev/vfio/vfio");
    h->node_iommu = exists(root, "dev/iommu");
    h->node_kvm = exists(root, "dev/kvm");
}

static void read_hugepages(const struct root *root, struct doctor_host *h)
{
    static const char *const sizes[] = { "2048", "1048576", "524288", "32768", "64" };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char path[96];
        long all = 0, free = 0;
        uint64_t page = strtoull(sizes[i], NULL, 10) * 1024;
        text_format(path, sizeof path, "sys/kernel/mm/hugepages/hugepages-%skB/nr_hugepages", sizes[i]);
        if (!sysfs_read_number(root->fd, path, 0, INT32_MAX, &all))
            continue;
        text_format(path, sizeof path, "sys/kernel/mm/hugepages/hugepages-%skB/free_hugepages", sizes[i]);
        sysfs_read_number(root->fd, path, 0, INT32_MAX, &free);
        h->hugepages_bytes += page * (uint64_t)all;
        h->hugepages_free_bytes += page * (uint64_t)free;
    }
}

static void read_memory(const struct root *root, struct doctor_host *h)
{
    char line[256], soft[32];
    if (file_has(root, "proc/meminfo", "MemTotal:", line, sizeof line) == 1)
        h->ram_bytes = strtoull(line + strlen("MemTotal:"), NULL, 10) * 1024;
    if (file_has(root, "proc/self/limits", "Max locked memory", line, sizeof line) == 1 &&
        sscanf(line, "Max locked memory %31s", soft) == 1)
        h->memlock_bytes = strcmp(soft, "unlimited") == 0 ? UINT64_MAX : strtoull(soft, NULL, 10);
    h->privileged = h->here && geteuid() == 0;
    read_hugepages(root, h);
    _cleanup_closedir_ DIR *nodes = open_dir(root, "sys/devices/system/node");
    for (struct dirent *e; nodes && (e = readdir(nodes));)
        h->numa_nodes += strncmp(e->d_name, "node", 4) == 0 && isdigit((unsigned char)e->d_name[4]);
}

/* The platform device that the firmware's framebuffer is driven through. */
static void read_firmware_framebuffer(const struct root *root, struct doctor_host *h)
{
    static const char *const drivers[] = { "efi-framebuffer", "simple-framebuffer", "vesa-framebuffer" };
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
        char path[96];
        text_format(path, sizeof path, "sys/bus/platform/drivers/%s", drivers[i]);
        _cleanup_closedir_ DIR *bound = open_dir(root, path);
        for (struct dirent *e; bound && (e = readdir(bound));) {
            if (strncmp(e->d_name, drivers[i], strlen(drivers[i])) != 0)
                continue;
            strcpy(h->firmware_driver, drivers[i]);
            label_set(h->firmware_device, sizeof h->firmware_device, e->d_name);
        }
    }
}

static void read_console(const struct root *root, struct doctor_host *h)
{
    char text[2048], *save = NULL;
    if (io_read_text(root->fd, "proc/fb", text, sizeof text) > 0)
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            char name[64];
            label_set(name, sizeof name, line + strcspn(line, " "));
            append(h->framebuffers, sizeof h->framebuffers, name + strspn(name, " "));
        }
    read_firmware_framebuffer(root, h);
    for (int i = 0; i < 8 && !h->console[0]; i++) {
        char path[64], name[64];
        text_format(path, sizeof path, "sys/class/vtconsole/vtcon%d/name", i);
        if (!sysfs_read_label(root->fd, path, name, sizeof name) || !strstr(name, "frame buffer"))
            continue;
        text_format(path, sizeof path, "sys/class/vtconsole/vtcon%d/bind", i);
        if (read_switch(root, path) == 1)
            text_format(h->console, sizeof h->console, "vtcon%d", i);
    }
}

static void read_bus(const struct root *root, struct doctor_host *h)
{
    _cleanup_closedir_ DIR *devices = open_dir(root, "sys/bus/pci/devices"), *processes = open_dir(root, "proc");
    for (struct dirent *e; devices && (e = readdir(devices));) {
        char path[320];
        long class_code = 0, vendor = 0;
        text_format(path, sizeof path, "%s/class", e->d_name);
        if (!is_entry(e) || !sysfs_read_number(dirfd(devices), path, 0, 0xffffff, &class_code))
            continue;
        text_format(path, sizeof path, "%s/vendor", e->d_name);
        sysfs_read_number(dirfd(devices), path, 0, 0xffff, &vendor);
        text_format(path, sizeof path, "%s/physfn", e->d_name);
        h->displays += class_code >> 16 == 0x03 && faccessat(dirfd(devices), path, F_OK, 0) < 0;
        h->nvswitches += class_code == CLASS_BRIDGE_OTHER && vendor == NVIDIA_VENDOR;
    }
    for (struct dirent *e; processes && h->nvswitches && (e = readdir(processes));) {
        char path[320], command[32];
        text_format(path, sizeof path, "%s/comm", e->d_name);
        if (isdigit((unsigned char)e->d_name[0]) && sysfs_read_label(dirfd(processes), path, command, sizeof command))
            h->fabric_manager |= strcmp(command, "nv-fabricmanage") == 0;    /* the kernel keeps 15 characters */
    }
}

static void read_sandbox(const struct root *root, struct doctor_host *h)
{
    char text[512];
    h->seccomp = sysfs_read_label(root->fd, "proc/sys/kernel/seccomp/actions_avail", text, sizeof text) ? strstr(text, "errno") != NULL :
                 exists(root, "proc/sys/kernel") ? 0 : -1;
    h->landlock = sysfs_read_label(root->fd, "sys/kernel/security/lsm", text, sizeof text) ? strstr(text, "landlock") != NULL : -1;
    if (h->here)
        h->landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
    _cleanup_closedir_ DIR *vendors = open_dir(root, "etc/OpenCL/vendors");
    for (struct dirent *e; vendors && (e = readdir(vendors));) {
        char name[64];
        label_set(name, sizeof name, e->d_name);
        if (is_entry(e))
            append(h->icds, sizeof h->icds, name);
    }
}

int doctor_read_host(const char *sysroot, struct doctor_host *ret, struct error *err)
{
    struct root root = { sysroot, open(*sysroot ? sysroot : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    _cleanup_close_ int fd = root.fd;
    if (fd < 0)
        return error_set(err, -errno, "read %s: %s", sysroot, strerror(errno));
    *ret = (struct doctor_host){ .here = sysroot_is_here(sysroot) };
    read_cpu(&root, ret);
    read_iommu(&root, ret);
    read_vfio(&root, ret);
    read_memory(&root, ret);
    read_console(&root, ret);
    read_bus(&root, ret);
    read_sandbox(&root, ret);
    return 0;
}

/* /sys/class/graphics/fbN/device is a link to the framebuffer's device. */
static bool has_framebuffer(const char *sysroot, const char *address)
{
    for (int i = 0; i < 32; i++) {
        char relative[64], path[PATH_MAX], name[64];
        text_format(relative, sizeof relative, "sys/class/graphics/fb%d/device", i);
        if (sysroot_path(sysroot, relative, path, NULL) < 0)
            return false;
        sysfs_read_link_name(AT_FDCWD, path, name, sizeof name);
        if (strcmp(name, address) == 0)
            return true;
    }
    return false;
}

int doctor_read_gpu(const char *sysroot, const struct gpu *gpu, struct doctor_gpu *ret, struct error *err)
{
    struct doctor_gpu g = { .gpu = gpu };
    char sys[PATH_MAX];
    int r = sysroot_path(sysroot, "sys", sys, err);
    if (r == 0 && gpu->has_pci) {
        r = pci_read_function(sys, gpu->pci.address, &g.function, err);
        if (r == 0 && g.function.iommu_group >= 0)
            pci_list_group(sys, g.function.iommu_group, &g.group, &g.group_n, &g.group_error);
        g.has_nvidia = r == 0 && nvidia_read_gpu(sysroot, gpu->pci.address, &g.nvidia);
        g.framebuffer = r == 0 && has_framebuffer(sysroot, gpu->pci.address);
    }
    if (r == 0)
        *ret = g;
    return r;
}

void doctor_gpu_done(struct doctor_gpu *gpu)
{
    free(gpu->group);
    gpu->group = NULL;
}

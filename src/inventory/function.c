/* SPDX-License-Identifier: Apache-2.0 */
/* PCI functions in detail: see function.h. */
#include "inventory/function.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "inventory/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define BASE_CLASS_DISPLAY 0x03
#define BASE_CLASS_ACCELERATOR 0x12
#define BASE_CLASS_BRIDGE 0x06
#define CLASS_PCI_BRIDGE 0x0604                 /* PCI-to-PCI, also PCIe ports and switches */
#define CLASS_SEMITRANSPARENT_BRIDGE 0x0609
#define RESOURCE_ROM 6                          /* line of the expansion ROM in `resource`, after the BARs */

/* Opens ROOT/bus/pci/devices. */
static int open_devices(const char *sysfs_root, struct error *err)
{
    char path[PATH_MAX];
    if (text_format(path, sizeof path, "%s/bus/pci/devices", sysfs_root) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", sysfs_root);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    if (errno == ENOENT)
        return error_set(err, -ENOENT, "this machine shows no PCI bus (%s)", path);
    return error_set(err, -errno, "read %s: %s", path, strerror(errno));
}

/* "0x0000000060000000 0x000000006fffffff 0x000000000014220c" per line: first and last byte, flags; zeros where there is none. */
static bool parse_window(const char *line, struct pci_bar *ret)
{
    uint64_t start, end, flags;
    if (sscanf(line, "0x%" SCNx64 " 0x%" SCNx64 " 0x%" SCNx64, &start, &end, &flags) != 3 || end < start || (!end && !flags) ||
        end == UINT64_MAX)
        return false;
    *ret = (struct pci_bar){ .start = start, .size = end - start + 1, .flags = flags };
    return true;
}

static void read_windows(int dir, struct pci_function *f)
{
    char text[4097], name[24], *save = NULL;
    if (io_read_text(dir, "resource", text, sizeof text) < 0)
        return;
    int i = 0;
    for (char *line = strtok_r(text, "\n", &save); line && i <= RESOURCE_ROM; line = strtok_r(NULL, "\n", &save), i++) {
        struct pci_bar bar;
        if (!parse_window(line, &bar))
            continue;
        if (i == RESOURCE_ROM)
            f->rom_size = bar.size;
        else
            f->bars[i] = bar;
    }
    for (i = 0; i < PCI_BARS; i++) {
        text_format(name, sizeof name, "resource%d_resize", i);
        if (f->bars[i].size && !sysfs_read_hex(dir, name, &f->bars[i].resize_mask))
            f->bars[i].resize_mask = 0;
    }
}

static long number_or(int dir, const char *name, long min, long max, long otherwise)
{
    long v;
    return sysfs_read_number(dir, name, min, max, &v) ? v : otherwise;
}

static bool read_identity(int dir, struct pci_function *f)
{
    long class_code, vendor, device;
    if (!sysfs_read_number(dir, "class", 0, 0xffffff, &class_code) || !sysfs_read_number(dir, "vendor", 0, 0xffff, &vendor) ||
        !sysfs_read_number(dir, "device", 0, 0xffff, &device))
        return false;
    f->class_code = (uint32_t)class_code;
    f->vendor_id = (uint16_t)vendor;
    f->device_id = (uint16_t)device;
    f->subsystem_vendor = (uint16_t)number_or(dir, "subsystem_vendor", 0, 0xffff, 0);
    f->subsystem_device = (uint16_t)number_or(dir, "subsystem_device", 0, 0xffff, 0);
    f->revision = (uint8_t)number_or(dir, "revision", 0, 0xff, 0);
    f->bridge = class_code >> 16 == BASE_CLASS_BRIDGE;
    f->port = class_code >> 8 == CLASS_PCI_BRIDGE || class_code >> 8 == CLASS_SEMITRANSPARENT_BRIDGE;
    return true;
}

static void read_driver(int dir, struct pci_function *f)
{
    sysfs_read_link_name(dir, "driver", f->driver, sizeof f->driver);
    sysfs_read_label(dir, "driver_override", f->override, sizeof f->override);
    if (strcmp(f->override, "(null)") == 0)
        f->override[0] = '\0';
}

static void read_virtual(int dir, struct pci_function *f)
{
    char physfn[PCI_ADDRESS_MAX * 2];
    sysfs_read_link_name(dir, "physfn", physfn, sizeof physfn);
    f->is_vf = physfn[0];
    if (!pci_parse_address(physfn, f->physfn))
        f->physfn[0] = '\0';
    f->sriov_total = (unsigned)number_or(dir, "sriov_totalvfs", 0, 0xffff, 0);
    f->sriov_enabled = (unsigned)number_or(dir, "sriov_numvfs", 0, 0xffff, 0);
    f->sriov_autoprobe = (int)number_or(dir, "sriov_drivers_autoprobe", 0, 1, -1);
}

static void read_power_and_reset(int dir, struct pci_function *f)
{
    f->has_reset = faccessat(dir, "reset", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (sysfs_read_label(dir, "reset_method", f->reset_methods, sizeof f->reset_methods) && f->reset_methods[0])
        f->has_reset = true;
    f->d3cold_allowed = (int)number_or(dir, "d3cold_allowed", 0, 1, -1);
    sysfs_read_label(dir, "power_state", f->power_state, sizeof f->power_state);
    sysfs_read_label(dir, "power/runtime_status", f->runtime_status, sizeof f->runtime_status);
}

/* Where the link of the bus points: "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0"; the part before the last. */
static void read_parent(int devices, const char *address, char ret[PCI_ADDRESS_MAX])
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(devices, address, target, sizeof target - 1);
    target[MAX(n, 0)] = '\0';
    char *last = strrchr(target, '/');
    if (last)
        *last = '\0';
    char *before = strrchr(target, '/');
    if (!before || !pci_parse_address(before + 1, ret))
        ret[0] = '\0';
}

/* The entry of vfio-dev/, "vfio3". Kernels before 6.6, and those without CONFIG_VFIO_DEVICE_CDEV, have the entry and no file for it. */
static void read_vfio_device(int dir, struct pci_function *f)
{
    int fd = openat(dir, "vfio-dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *e; entries && (e = readdir(entries));) {
        char number[32];
        if (strncmp(e->d_name, "vfio", 4) != 0 || !e->d_name[4] || e->d_name[4 + strspn(e->d_name + 4, "0123456789")] != '\0' ||
            text_format(number, sizeof number, "%.20s/dev", e->d_name) < 0 || faccessat(fd, number, F_OK, 0) < 0)
            continue;
        if (text_format(f->vfio_device, sizeof f->vfio_device, "%s", e->d_name) == 0)
            return;
    }
    f->vfio_device[0] = '\0';
}

static int read_function(int devices, const char *text, struct pci_function *ret, struct error *err)
{
    struct pci_function f = { 0 };
    if (!pci_parse_address(text, f.address)) {
        error_set(err, -EINVAL, "'%.40s' is no PCI address", text ? text : "");
        error_hint(err, "write for example 0000:01:00.0; lspci -D lists them");
        return -EINVAL;
    }
    _cleanup_close_ int dir = openat(devices, f.address, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 && errno == ENOENT) {
        error_set(err, -ENOENT, "there is no PCI function %s on this machine", f.address);
        error_hint(err, "lspci -D lists those there are, tranche gpus the GPUs");
        return -ENOENT;
    }
    if (dir < 0)
        return error_set(err, -errno, "read PCI function %s: %s", f.address, strerror(errno));
    if (!read_identity(dir, &f))
        return error_set(err, -EIO, "PCI function %s does not tell class, vendor and device", f.address);
    f.iommu_group = sysfs_read_link_number(dir, "iommu_group");
    f.numa_node = (int)number_or(dir, "numa_node", 0, 4095, -1);
    f.boot_vga = number_or(dir, "boot_vga", 0, 1, 0) == 1;
    read_driver(dir, &f);
    read_virtual(dir, &f);
    read_power_and_reset(dir, &f);
    read_windows(dir, &f);
    read_vfio_device(dir, &f);
    read_parent(devices, f.address, f.parent);
    *ret = f;
    return 0;
}

int pci_read_function(const char *sysfs_root, const char *address, struct pci_function *ret, struct error *err)
{
    _cleanup_close_ int devices = open_devices(sysfs_root, err);
    return devices < 0 ? devices : read_function(devices, address, ret, err);
}

/* A list that grows, and what each new member is read from. */
struct list {
    int devices;
    struct pci_function *functions;
    size_t n, room;
};

static void list_done(struct list *list)
{
    if (list->devices >= 0)
        close(list->devices);
    free(list->functions);
}
#define _cleanup_list_ _cleanup_(list_done)

static int list_add(struct list *list, const char *address, struct error *err)
{
    if (list->n == PCI_MAX_FUNCTIONS)
        return error_set(err, -E2BIG, "more than %d PCI functions belong together", PCI_MAX_FUNCTIONS);
    if (list->n == list->room) {
        size_t room = list->room ? list->room * 2 : 8;
        struct pci_function *grown = reallocarray(list->functions, room, sizeof *grown);
        if (!grown)
            return error_set(err, -ENOMEM, "no memory for a list of PCI functions");
        list->functions = grown;
        list->room = room;
    }
    int r = read_function(list->devices, address, &list->functions[list->n], err);
    if (r == 0)
        list->n++;
    return r;
}

static int compare_functions(const void *a, const void *b)
{
    return pci_compare_addresses(((const struct pci_function *)a)->address, ((const struct pci_function *)b)->address);
}

static int list_give(struct list *list, struct pci_function **ret, size_t *ret_n)
{
    if (list->n)
        qsort(list->functions, list->n, sizeof *list->functions, compare_functions);
    *ret = steal(list->functions);
    *ret_n = list->n;
    return 0;
}

static int add_member(struct list *list, int group, const char *name, struct error *err)
{
    char address[PCI_ADDRESS_MAX];
    if (pci_parse_address(name, address))
        return list_add(list, address, err);
    return error_set(err, -EOPNOTSUPP, "IOMMU group %d has a member that is no PCI function: %.60s", group, name);
}

int pci_list_group(const char *sysfs_root, int group, struct pci_function **ret, size_t *ret_n, struct error *err)
{
    char path[PATH_MAX];
    _cleanup_list_ struct list list = { .devices = open_devices(sysfs_root, err) };
    if (list.devices < 0)
        return list.devices;
    if (text_format(path, sizeof path, "%s/kernel/iommu_groups/%d/devices", sysfs_root, group) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", sysfs_root);
    _cleanup_closedir_ DIR *members = group >= 0 ? opendir(path) : NULL;
    if (!members && (group < 0 || errno == ENOENT))
        return error_set(err, -ENOENT, "there is no IOMMU group %d on this machine", group);
    if (!members)
        return error_set(err, -errno, "read %s: %s", path, strerror(errno));
    for (struct dirent *e; (e = readdir(members));) {
        int r = e->d_name[0] == '.' ? 0 : add_member(&list, group, e->d_name, err);
        if (r < 0)
            return r;
    }
    if (!list.n)
        return error_set(err, -ENOENT, "IOMMU group %d is empty", group);
    return list_give(&list, ret, ret_n);
}

int pci_list_slot(const char *sysfs_root, const char *address, struct pci_function **ret, size_t *ret_n, struct error *err)
{
    struct pci_function self;
    _cleanup_list_ struct list list = { .devices = open_devices(sysfs_root, err) };
    int r = list.devices < 0 ? list.devices : read_function(list.devices, address, &self, err);
    size_t slot = r == 0 ? (size_t)(strrchr(self.address, '.') - self.address) : 0;
    for (char digit = '0'; r == 0 && digit <= '7'; digit++) {
        char other[PCI_ADDRESS_MAX];
        text_format(other, sizeof other, "%.*s.%c", (int)slot, self.address, digit);
        if (self.is_vf && strcmp(other, self.address) != 0)
            continue;
        if (faccessat(list.devices, other, F_OK, 0) < 0)
            continue;
        r = list_add(&list, other, err);
        if (r == 0 && list.functions[list.n - 1].is_vf != self.is_vf)
            list.n--;
    }
    return r < 0 ? r : list_give(&list, ret, ret_n);
}

int pci_list_vfs(const char *sysfs_root, const char *physfn, struct pci_function **ret, size_t *ret_n, struct error *err)
{
    struct pci_function self;
    _cleanup_list_ struct list list = { .devices = open_devices(sysfs_root, err) };
    int r = list.devices < 0 ? list.devices : read_function(list.devices, physfn, &self, err);
    if (r < 0)
        return r;
    int fd = openat(list.devices, self.address, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *links = fd >= 0 ? fdopendir(fd) : NULL;
    if (!links)
        return error_set(err, -errno, "read PCI function %s: %s", self.address, strerror(errno));
    for (struct dirent *e; r == 0 && (e = readdir(links));) {
        char target[32];
        if (strncmp(e->d_name, "virtfn", 6) != 0)
            continue;
        sysfs_read_link_name(dirfd(links), e->d_name, target, sizeof target);
        r = list_add(&list, target, err);
    }
    return r < 0 ? error_wrap(err, "virtual functions of %s", self.address) : list_give(&list, ret, ret_n);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

bool pci_driver_is_vfio(const char *driver)
{
    return ends_with(driver, "vfio-pci") || ends_with(driver, "vfio_pci");
}

bool pci_function_holds_group(const struct pci_function *function)
{
    return function->driver[0] && !function->port && !pci_driver_is_vfio(function->driver) && strcmp(function->driver, "pci-stub") != 0;
}

bool pci_function_is_gpu(const struct pci_function *function)
{
    return function->class_code >> 16 == BASE_CLASS_DISPLAY || function->class_code >> 16 == BASE_CLASS_ACCELERATOR;
}

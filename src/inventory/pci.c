/* SPDX-License-Identifier: Apache-2.0 */
/* GPUs in sysfs: see pci.h. */
#include "inventory/pci.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "inventory/label.h"
#include "inventory/sysfs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define PCI_BASE_CLASS_DISPLAY 0x03
#define PCI_BASE_CLASS_BRIDGE 0x06
#define PCI_BASE_CLASS_ACCELERATOR 0x12

bool pci_parse_address(const char *text, char ret[PCI_ADDRESS_MAX])
{
    unsigned domain = 0, bus, device, function;
    int n = 0;
    if (!text || strlen(text) >= PCI_ADDRESS_MAX)
        return false;
    for (const char *p = text; *p; p++)
        if (!isxdigit((unsigned char)*p) && *p != ':' && *p != '.')
            return false;
    if (sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &n) != 4 || text[n]) {
        domain = 0;
        n = 0;
        if (sscanf(text, "%2x:%2x.%1x%n", &bus, &device, &function, &n) != 3 || text[n])
            return false;
    }
    if (device > 0x1f || function > 7)
        return false;
    return text_format(ret, PCI_ADDRESS_MAX, "%04x:%02x:%02x.%x", domain, bus, device, function) == 0;
}

static long read_class(int devices, const char *address)
{
    char path[64];
    long class_code;
    return text_format(path, sizeof path, "%s/class", address) == 0 && sysfs_read_number(devices, path, 0, 0xffffff, &class_code) ? class_code : -1;
}

static bool is_bridge(int devices, const char *address)
{
    return read_class(devices, address) >> 16 == PCI_BASE_CLASS_BRIDGE;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Bridges in a group need no driver change when its devices go to a VM, so they are no companions. */
static void read_companions(int devices, int dir, struct pci_gpu *gpu)
{
    if (gpu->iommu_group < 0)
        return;
    int fd = openat(dir, "iommu_group/devices", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *group = fd >= 0 ? fdopendir(fd) : NULL;
    if (!group)
        return;
    for (struct dirent *e; (e = readdir(group));) {
        char address[PCI_ADDRESS_MAX];
        if (!pci_parse_address(e->d_name, address) || strcmp(address, gpu->address) == 0 || is_bridge(devices, address))
            continue;
        if (gpu->companions_n < PCI_MAX_COMPANIONS)
            memcpy(gpu->companions[gpu->companions_n], address, sizeof address);
        gpu->companions_n++;
    }
    qsort(gpu->companions, MIN(gpu->companions_n, PCI_MAX_COMPANIONS), PCI_ADDRESS_MAX, compare_text);
}

static bool is_gpu(int devices, const char *address, const struct pci_filter *filter)
{
    long base = read_class(devices, address) >> 16;
    for (unsigned i = 0; i < filter->also_n; i++)
        if (strcmp(filter->also[i], address) == 0)
            return base != PCI_BASE_CLASS_BRIDGE;
    return base == PCI_BASE_CLASS_DISPLAY || base == PCI_BASE_CLASS_ACCELERATOR;
}

static bool is_wanted(int devices, const struct pci_gpu *gpu, const struct pci_filter *filter)
{
    if (gpu->physfn[0])
        return filter->virtual_functions && is_gpu(devices, gpu->physfn, filter);
    return is_gpu(devices, gpu->address, filter);
}

static bool read_gpu(int devices, const char *name, const struct pci_filter *filter, struct pci_gpu *ret)
{
    struct pci_gpu gpu = { .iommu_group = -1, .numa_node = -1 };
    _cleanup_close_ int dir = openat(devices, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long class_code, vendor, device, v;
    char physfn[PCI_ADDRESS_MAX];
    if (dir < 0 || !pci_parse_address(name, gpu.address) || !sysfs_read_number(dir, "class", 0, 0xffffff, &class_code) ||
        !sysfs_read_number(dir, "vendor", 0, 0xffff, &vendor) || !sysfs_read_number(dir, "device", 0, 0xffff, &device))
        return false;
    sysfs_read_link_name(dir, "physfn", physfn, sizeof physfn);
    if ((physfn[0] && !pci_parse_address(physfn, gpu.physfn)) || !is_wanted(devices, &gpu, filter))
        return false;
    gpu.class_code = (uint32_t)class_code;
    gpu.vendor_id = (uint16_t)vendor;
    gpu.device_id = (uint16_t)device;
    sysfs_read_link_name(dir, "driver", gpu.driver, sizeof gpu.driver);
    gpu.iommu_group = sysfs_read_link_number(dir, "iommu_group");
    read_companions(devices, dir, &gpu);
    gpu.numa_node = sysfs_read_number(dir, "numa_node", 0, 4095, &v) ? (int)v : -1;
    gpu.sriov_total = sysfs_read_number(dir, "sriov_totalvfs", 0, 0xffff, &v) ? (unsigned)v : 0;
    gpu.sriov_enabled = sysfs_read_number(dir, "sriov_numvfs", 0, 0xffff, &v) ? (unsigned)v : 0;
    *ret = gpu;
    return true;
}

/* "10de  NVIDIA Corporation" or "\t2330  GH100 [H100 SXM5 80GB]": the name after the id, NULL when the line is of another kind. */
static const char *ids_entry(const char *line, unsigned *ret_id)
{
    char *end;
    unsigned long id = strtoul(line, &end, 16);
    if (end - line != 4 || end[0] != ' ' || end[1] != ' ')
        return NULL;
    *ret_id = (unsigned)id;
    return end + 2;
}

/* One pass over the file per device; it has about 40 000 lines and is read at start and on refresh only. */
void pci_name_device(const char *pci_ids, uint16_t vendor_id, uint16_t device_id, char *ret_vendor, size_t vendor_size, char *ret_device,
                     size_t device_size)
{
    snprintf(ret_vendor, vendor_size, "PCI vendor %04x", vendor_id);
    snprintf(ret_device, device_size, "device %04x", device_id);
    _cleanup_fclose_ FILE *f = pci_ids ? fopen(pci_ids, "re") : NULL;
    char line[512];
    bool inside = false;
    while (f && fgets(line, sizeof line, f)) {
        unsigned id;
        const char *name;
        if (line[0] == 'C' && line[1] == ' ')
            return;
        if (isxdigit((unsigned char)line[0]) && (name = ids_entry(line, &id))) {
            if (inside)
                return;
            if ((inside = id == vendor_id))
                label_set(ret_vendor, vendor_size, name);
        } else if (inside && line[0] == '\t' && line[1] != '\t' && (name = ids_entry(line + 1, &id)) && id == device_id) {
            label_set(ret_device, device_size, name);
            return;
        }
    }
}

int pci_compare_addresses(const char *a, const char *b)
{
    unsigned x[4] = { 0 }, y[4] = { 0 };
    sscanf(a, "%x:%x:%x.%x", &x[0], &x[1], &x[2], &x[3]);
    sscanf(b, "%x:%x:%x.%x", &y[0], &y[1], &y[2], &y[3]);
    for (int i = 0; i < 4; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

static int compare_gpus(const void *a, const void *b)
{
    return pci_compare_addresses(((const struct pci_gpu *)a)->address, ((const struct pci_gpu *)b)->address);
}

int pci_list_gpus(const char *sysfs_root, const char *pci_ids, struct pci_gpu **ret, size_t *ret_n, struct error *err)
{
    return pci_list_filtered(sysfs_root, pci_ids, &(struct pci_filter){ 0 }, ret, ret_n, err);
}

int pci_list_filtered(const char *sysfs_root, const char *pci_ids, const struct pci_filter *filter, struct pci_gpu **ret, size_t *ret_n,
                      struct error *err)
{
    char path[PATH_MAX];
    if (text_format(path, sizeof path, "%s/bus/pci/devices", sysfs_root) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", sysfs_root);
    *ret = NULL;
    *ret_n = 0;
    _cleanup_closedir_ DIR *devices = opendir(path);
    if (!devices)
        return errno == ENOENT ? 0 : error_set(err, -errno, "read %s: %s", path, strerror(errno));
    _cleanup_free_ struct pci_gpu *gpus = calloc(PCI_MAX_GPUS, sizeof *gpus);
    if (!gpus)
        return error_set(err, -ENOMEM, "no memory for the list of GPUs");
    size_t n = 0;
    for (struct dirent *e; n < PCI_MAX_GPUS && (e = readdir(devices));)
        if (read_gpu(dirfd(devices), e->d_name, filter, &gpus[n]))
            n++;
    qsort(gpus, n, sizeof *gpus, compare_gpus);
    for (size_t i = 0; i < n; i++)
        pci_name_device(pci_ids, gpus[i].vendor_id, gpus[i].device_id, gpus[i].vendor, sizeof gpus[i].vendor, gpus[i].device,
                        sizeof gpus[i].device);
    *ret = steal(gpus);
    *ret_n = n;
    return 0;
}

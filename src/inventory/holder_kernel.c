/* SPDX-License-Identifier: Apache-2.0 */
/* Users of a GPU inside the kernel, which have no process: see holders.h. */
#include "inventory/holders.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "inventory/sysfs.h"
#include "inventory/sysroot.h"

#include <fcntl.h>
#include <string.h>

static struct holder_kernel *add(struct holders *h)
{
    static struct holder_kernel spare;
    return h->kernel_n < HOLDERS_MAX_KERNEL ? &h->kernel[h->kernel_n++] : &spare;
}

static bool read_at(const char *sysroot, const char *relative, char *ret, size_t size)
{
    char path[PATH_MAX];
    ret[0] = '\0';
    return sysroot_path(sysroot, relative, path, NULL) == 0 && sysfs_read_label(AT_FDCWD, path, ret, size);
}

/* "vtcon1" where virtual terminals show on framebuffers. */
static bool find_console(const char *sysroot, char ret[16])
{
    for (int i = 0; i < 8; i++) {
        char relative[64], text[64];
        text_format(relative, sizeof relative, "sys/class/vtconsole/vtcon%d/name", i);
        if (!read_at(sysroot, relative, text, sizeof text) || !strstr(text, "frame buffer"))
            continue;
        text_format(relative, sizeof relative, "sys/class/vtconsole/vtcon%d/bind", i);
        if (read_at(sysroot, relative, text, sizeof text) && text[0] == '1')
            return text_format(ret, 16, "vtcon%d", i) == 0;
    }
    return false;
}

static void add_framebuffers(const char *sysroot, const struct pci_function *function, struct holders *h)
{
    char console[16] = "";
    bool shown = find_console(sysroot, console);
    for (int i = 0; i < 32; i++) {
        char relative[64], path[PATH_MAX], device[64];
        text_format(relative, sizeof relative, "sys/class/graphics/fb%d/device", i);
        if (sysroot_path(sysroot, relative, path, NULL) < 0)
            return;
        sysfs_read_link_name(AT_FDCWD, path, device, sizeof device);
        if (!device[0] || strcmp(device, function->address) != 0)
            continue;
        struct holder_kernel *k = add(h);
        text_format(k->name, sizeof k->name, shown ? "framebuffer console" : "framebuffer");
        text_format(k->what, sizeof k->what, "fb%d is this GPU's%s%s", i, shown ? ", and the virtual terminals show on it: " : "", console);
        if (shown)
            text_format(k->remedy, sizeof k->remedy, "echo 0 > /sys/class/vtconsole/%s/bind", console);
    }
}

/* What the firmware set up and the kernel still draws to lies in the memory of the boot display. */
static void add_firmware_framebuffer(const char *sysroot, const struct pci_function *function, struct holders *h)
{
    static const char *const drivers[] = { "efi-framebuffer", "simple-framebuffer", "vesa-framebuffer" };
    for (size_t i = 0; function->boot_vga && i < ARRAY_LEN(drivers); i++) {
        char relative[96], path[PATH_MAX];
        text_format(relative, sizeof relative, "sys/bus/platform/drivers/%s", drivers[i]);
        if (sysroot_path(sysroot, relative, path, NULL) < 0)
            return;
        _cleanup_closedir_ DIR *bound = opendir(path);
        for (struct dirent *e; bound && (e = readdir(bound));) {
            if (strncmp(e->d_name, drivers[i], strlen(drivers[i])) != 0)
                continue;
            struct holder_kernel *k = add(h);
            text_format(k->name, sizeof k->name, "%s", drivers[i]);
            text_format(k->what, sizeof k->what, "draws to the framebuffer that the firmware left in the GPU's memory");
            text_format(k->remedy, sizeof k->remedy, "echo %.60s > /sys/bus/platform/drivers/%s/unbind", e->d_name, drivers[i]);
        }
    }
}

/* Modules that stand on NVIDIA's and are in use: peer memory for InfiniBand, the vGPU manager, mode setting. */
static void add_nvidia_modules(const char *sysroot, struct holders *h)
{
    char path[PATH_MAX], relative[128], text[32];
    if (read_at(sysroot, "sys/module/nvidia_drm/parameters/modeset", text, sizeof text) && text[0] == 'Y') {
        struct holder_kernel *k = add(h);
        text_format(k->name, sizeof k->name, "nvidia_drm");
        text_format(k->what, sizeof k->what, "kernel mode setting is on: it keeps every GPU of the driver open");
        text_format(k->remedy, sizeof k->remedy, "stop the display server, then modprobe -r nvidia_drm; for good: options nvidia_drm "
                    "modeset=0");
    }
    if (sysroot_path(sysroot, "sys/module/nvidia/holders", path, NULL) < 0)
        return;
    _cleanup_closedir_ DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        long uses;
        char refcnt[PATH_MAX];
        if (e->d_name[0] == '.' || text_format(relative, sizeof relative, "sys/module/%.64s/refcnt", e->d_name) < 0 ||
            sysroot_path(sysroot, relative, refcnt, NULL) < 0 || !sysfs_read_number(AT_FDCWD, refcnt, 1, INT32_MAX, &uses) ||
            strcmp(e->d_name, "nvidia_modeset") == 0 || strcmp(e->d_name,
                                                               "nvidia_uvm") == 0)    /* their users have the GPU open themselves */
            continue;
        struct holder_kernel *k = add(h);
        text_format(k->name, sizeof k->name, "%.60s", e->d_name);
        text_format(k->what, sizeof k->what, "a module that uses the nvidia module, in use itself (%ld)", uses);
        text_format(k->remedy, sizeof k->remedy, "end what uses it, then modprobe -r %.60s", e->d_name);
    }
}

static void add_virtual_functions(const char *sysroot, const struct pci_function *function, struct holders *h)
{
    _cleanup_free_ struct pci_function *vfs = NULL;
    char sys[PATH_MAX], path[PATH_MAX];
    size_t n = 0;
    unsigned typed = 0, given = 0;
    if (!function->sriov_enabled || sysroot_path(sysroot, "sys", sys, NULL) < 0)
        return;
    pci_list_vfs(sys, function->address, &vfs, &n, NULL);
    for (size_t i = 0; i < n; i++) {
        long type;
        text_format(path, sizeof path, "%.1000s/bus/pci/devices/%s/nvidia/current_vgpu_type", sys, vfs[i].address);
        typed += sysfs_read_number(AT_FDCWD, path, 1, INT32_MAX, &type);
        given += pci_driver_is_vfio(vfs[i].driver);
    }
    struct holder_kernel *k = add(h);
    text_format(k->name, sizeof k->name, "virtual functions");
    text_format(k->what, sizeof k->what, "%u are on; %u carry a vGPU, %u are bound to VFIO", function->sriov_enabled, typed, given);
    text_format(k->remedy, sizeof k->remedy, "end the VMs on them, then echo 0 > /sys/bus/pci/devices/%s/sriov_numvfs", function->address);
}

void holders_list_kernel(const char *sysroot, const struct pci_function *function, struct holders *holders)
{
    add_framebuffers(sysroot, function, holders);
    add_firmware_framebuffer(sysroot, function, holders);
    if (strcmp(function->driver, "nvidia") == 0)
        add_nvidia_modules(sysroot, holders);
    add_virtual_functions(sysroot, function, holders);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of handing over: see handover.h. */
#include "ops/handover.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "ops/use.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define VFIO_DRIVER "vfio-pci"

static bool is_display(uint32_t class_code)
{
    return class_code >> 16 == 0x03;
}

static bool same_slot(const char *a, const char *b)
{
    size_t n = strlen(a) - 1;    /* all but the function's digit */
    return strlen(b) == n + 1 && strncmp(a, b, n) == 0;
}

static int add(struct handover *h, enum op_kind kind, const char *device, const char *from, const char *to, struct error *err)
{
    struct op op = { .kind = kind };
    if (h->n == HANDOVER_MAX_OPS)
        return error_set(err, -E2BIG, "handing this device over takes more than %u operations", HANDOVER_MAX_OPS);
    if (text_format(op.device, sizeof op.device, "%s", device) < 0 || text_format(op.from, sizeof op.from, "%s", from) < 0 ||
        text_format(op.to, sizeof op.to, "%s", to) < 0)
        return error_set(err, -EPROTO, "sysfs gives %s a name too long", device);
    int r = op_check(&op, err);
    if (r == 0)
        h->ops[h->n++] = op;
    return r;
}

/* ---- framebuffers and console of a boot display ---- */

static int add_framebuffers(const char *sysfs_root, struct handover *h, struct error *err)
{
    static const char *const names[] = { "efi-framebuffer.0", "simple-framebuffer.0", "vesa-framebuffer.0" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct op probe = { .kind = OP_FRAMEBUFFER };
        char driver[OP_VALUE_MAX];
        strcpy(probe.device, names[i]);
        if (op_read(sysfs_root, &probe, driver, NULL) < 0 || !driver[0])
            continue;
        int r = add(h, OP_FRAMEBUFFER, names[i], driver, "", err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The console that draws on framebuffers names itself so: "(M) frame buffer device" (Documentation/fb/fbcon.rst). */
static int add_consoles(const char *sysfs_root, struct handover *h, struct error *err)
{
    for (int i = 0; i < 8; i++) {
        struct op probe = { .kind = OP_CONSOLE };
        char path[PATH_MAX], name[64], bound[OP_VALUE_MAX];
        snprintf(probe.device, sizeof probe.device, "vtcon%d", i);
        if (text_format(path, sizeof path, "%s/class/vtconsole/%s/name", sysfs_root, probe.device) < 0 ||
            io_read_text(AT_FDCWD, path, name, sizeof name) <= 0 || !strstr(name, "frame buffer"))
            continue;
        if (op_read(sysfs_root, &probe, bound, NULL) < 0 || strcmp(bound, "1") != 0)
            continue;
        int r = add(h, OP_CONSOLE, probe.device, "1", "0", err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int count_displays(const char *sysfs_root, const char *besides, unsigned *ret, struct error *err)
{
    struct pci_gpu *gpus = NULL;
    size_t n = 0;
    int r = pci_list_gpus(sysfs_root, NULL, &gpus, &n, err);
    *ret = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        *ret += is_display(gpus[i].class_code) && !same_slot(gpus[i].address, besides) && gpus[i].driver[0] && !pci_driver_is_vfio(gpus[i].driver);
    free(gpus);
    return r;
}

static int check_display(const struct handover_wish *wish, const struct pci_function *gpu, struct error *err)
{
    unsigned others;
    if (!gpu->boot_vga || wish->force)
        return 0;
    int r = count_displays(wish->sysfs_root, gpu->address, &others, err);
    if (r < 0 || others)
        return r;
    error_set(err, -EBUSY, "%s is the only display of this host: its console would go dark", gpu->address);
    error_hint(err, "make sure that you reach the host by network, then add --force");
    return -EBUSY;
}

/* ---- who goes along ---- */

static const char *driver_text(const struct pci_function *f)
{
    return f->driver[0] ? f->driver : "no driver";
}

static int refuse_member(const struct pci_function *gpu, const struct pci_function *member, const char *why, const char *hint, struct error *err)
{
    error_set(err, -EBUSY, "%s is in IOMMU group %d with %s (class %06x, %s)%s%s", gpu->address, gpu->iommu_group, member->address,
              member->class_code, driver_text(member), *why ? ": " : "", why);
    error_hint(err, "%s", hint);
    return -EBUSY;
}

/* Does this member of the group go along? All of the GPU's own slot does: reset and power belong to the slot. */
static int judge_member(const struct handover_wish *wish, const struct pci_function *gpu, const struct pci_function *member, bool *ret_goes,
                        struct error *err)
{
    char use[160];
    *ret_goes = !member->bridge && (strcmp(member->address, gpu->address) == 0 || (same_slot(gpu->address, member->address) && !gpu->is_vf));
    if (*ret_goes || !pci_function_holds_group(member))
        return 0;
    if (member->bridge)
        return refuse_member(gpu, member, "a bridge with a driver of the host", "another slot may have a group of its own; tranche doctor shows the groups", err);
    int r = use_by_host(wish->sysfs_root, wish->proc_root, member->address, use, sizeof use, err);
    if (r < 0)
        return error_wrap(err, "find out what the host does with %s", member->address);
    if (use[0])
        return refuse_member(gpu, member, use, "the whole group goes to one VM, so the host must not need this device: another slot may help", err);
    if (!wish->with_group)
        return refuse_member(gpu, member, "", "--with-group hands that device over, too; tranche doctor shows the group", err);
    *ret_goes = true;
    return 0;
}

static int check_member(const struct pci_function *f, struct error *err)
{
    if (f->sriov_enabled == 0)
        return 0;
    error_set(err, -EBUSY, "%s has %u virtual functions enabled", f->address, f->sriov_enabled);
    error_hint(err, "remove the shares on them, then: tranche vfs %s 0", f->address);
    return -EBUSY;
}

static int add_function(const struct handover_wish *wish, const struct pci_function *f, struct handover *h, struct error *err)
{
    int r = check_member(f, err);
    if (r < 0)
        return r;
    if (h->functions_n == HANDOVER_MAX_FUNCTIONS)
        return error_set(err, -E2BIG, "more than %u functions would go together", HANDOVER_MAX_FUNCTIONS);
    strcpy(h->functions[h->functions_n++], f->address);
    if (pci_driver_is_vfio(f->driver))
        return 0;    /* somebody else gave it away already; it is left like that when it comes back */
    if (strcmp(f->driver, "nvidia") == 0 && wish->persistence == 1 && is_display(f->class_code))
        r = add(h, OP_PERSISTENCE, f->address, "1", "0", err);
    if (r == 0 && f->d3cold_allowed == 1)
        r = add(h, OP_D3COLD, f->address, "1", "0", err);
    if (r == 0 && f->driver[0])
        r = add(h, OP_DRIVER, f->address, f->driver, "", err);
    if (r == 0 && strcmp(f->override, VFIO_DRIVER) != 0)
        r = add(h, OP_OVERRIDE, f->address, f->override, VFIO_DRIVER, err);
    return r < 0 ? r : add(h, OP_DRIVER, f->address, "", VFIO_DRIVER, err);
}

static bool is_listed(const struct handover *h, const char *address)
{
    for (unsigned i = 0; i < h->functions_n; i++)
        if (strcmp(h->functions[i], address) == 0)
            return true;
    return false;
}

static int add_list(const struct handover_wish *wish, const struct pci_function *gpu, const struct pci_function *list, size_t n,
                    struct handover *h, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        bool goes;
        if ((r = judge_member(wish, gpu, &list[i], &goes, err)) == 0 && goes && !is_listed(h, list[i].address))
            r = add_function(wish, &list[i], h, err);
    }
    return r;
}

/* The GPU, then the rest of its slot (with isolation between functions they have groups of their own), then the rest of its group. */
static int add_members(const struct handover_wish *wish, const struct pci_function *gpu, struct handover *h, struct error *err)
{
    _cleanup_free_ struct pci_function *slot = NULL, *group = NULL;
    size_t slot_n = 0, group_n = 0;
    int r = pci_list_slot(wish->sysfs_root, gpu->address, &slot, &slot_n, err);
    if (r == 0)
        r = pci_list_group(wish->sysfs_root, gpu->iommu_group, &group, &group_n, err);
    if (r == 0)
        r = add_list(wish, gpu, gpu, 1, h, err);
    if (r == 0)
        r = add_list(wish, gpu, slot, slot_n, h, err);
    return r < 0 ? r : add_list(wish, gpu, group, group_n, h, err);
}

int handover_plan(const struct handover_wish *wish, struct handover *ret, struct error *err)
{
    struct pci_function gpu;
    struct handover h = { 0 };
    struct op module = { .kind = OP_MODULE, .device = VFIO_DRIVER, .to = "loaded" };
    char loaded[OP_VALUE_MAX];
    int r = pci_read_function(wish->sysfs_root, wish->address, &gpu, err);
    if (r < 0)
        return r;
    if (gpu.iommu_group < 0) {
        error_set(err, -EOPNOTSUPP, "%s cannot go to a VM: the IOMMU is off, so nothing would keep it out of the host's memory", gpu.address);
        error_hint(err, "turn it on in the firmware and with intel_iommu=on (Intel); tranche doctor %s says what is missing", gpu.address);
        return -EOPNOTSUPP;
    }
    r = check_display(wish, &gpu, err);
    if (r == 0)
        r = op_read(wish->sysfs_root, &module, loaded, err);
    if (r == 0 && !loaded[0])
        r = add(&h, OP_MODULE, VFIO_DRIVER, "", "loaded", err);
    if (r == 0 && gpu.boot_vga)
        r = add_framebuffers(wish->sysfs_root, &h, err);
    if (r == 0 && gpu.boot_vga)
        r = add_consoles(wish->sysfs_root, &h, err);
    if (r == 0)
        r = add_members(wish, &gpu, &h, err);
    if (r == 0)
        *ret = h;
    return r;
}

int handover_plan_vfs(const char *sysfs_root, const char *address, unsigned count, struct handover *ret, struct error *err)
{
    struct pci_function gpu;
    struct handover h = { 0 };
    char before[16], after[16];
    int r = pci_read_function(sysfs_root, address, &gpu, err);
    if (r < 0)
        return r;
    if (gpu.sriov_total == 0) {
        error_set(err, -EOPNOTSUPP, "%s has no virtual functions (SR-IOV)", gpu.address);
        error_hint(err, "firmware and driver must offer them; tranche doctor %s shows it", gpu.address);
        return -EOPNOTSUPP;
    }
    if (count > gpu.sriov_total)
        return error_set(err, -EINVAL, "%s can have %u virtual functions, not %u", gpu.address, gpu.sriov_total, count);
    snprintf(before, sizeof before, "%u", gpu.sriov_enabled);
    snprintf(after, sizeof after, "%u", count);
    if (gpu.sriov_autoprobe == 1 && count)
        r = add(&h, OP_VF_PROBE, gpu.address, "1", "0", err);
    /* The kernel changes the number only by way of 0 (EBUSY else: sysfs-bus-pci, sriov_numvfs). */
    if (r == 0 && gpu.sriov_enabled && count != gpu.sriov_enabled)
        r = add(&h, OP_VF_COUNT, gpu.address, before, "0", err);
    if (r == 0 && count && count != gpu.sriov_enabled)
        r = add(&h, OP_VF_COUNT, gpu.address, "0", after, err);
    if (r == 0)
        *ret = h;
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What all formats have in common: see attach.h. */
#include "attach/attach.h"

#include "attach/output.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define CLASS_VGA 0x0300

static const struct {
    const char *name;
    int (*build)(const struct attach_request *request, const struct attach_place *places, struct attach_output *ret, struct error *err);
} formats[ATTACH_FORMATS] = {
    [ATTACH_QEMU] = { "qemu", qemu_build }, [ATTACH_LIBVIRT] = { "libvirt", libvirt_build },
    [ATTACH_PROXMOX] = { "proxmox", proxmox_build }, [ATTACH_VMWARE] = { "vmware", vmware_build }, [ATTACH_KUBEVIRT] = { "kubevirt", kubevirt_build },
};

int attach_format_from_string(const char *text, enum attach_format *ret, struct error *err)
{
    for (int i = 0; i < ATTACH_FORMATS; i++)
        if (text_equal(text, formats[i].name)) {
            *ret = (enum attach_format)i;
            return 0;
        }
    return error_set(err, -EINVAL, "'%.40s' is not a format: use qemu, libvirt, proxmox, vmware or kubevirt", text ? text : "");
}

const char *attach_format_to_string(enum attach_format format)
{
    return formats[format].name;
}

static bool same_slot(const struct pci_function *a, const struct pci_function *b)
{
    size_t n = (size_t)(strrchr(a->address, '.') - a->address);
    return !a->is_vf && !b->is_vf && strncmp(a->address, b->address, n + 1) == 0;
}

/* Without its function 0 a device is not seen: then the numbers move down. */
static void number_slot(const struct attach_request *q, size_t first, size_t end, struct attach_place *places)
{
    bool has_zero = false;
    for (size_t i = first; i < end; i++)
        has_zero |= !q->functions[i].is_vf && strrchr(q->functions[i].address, '.')[1] == '0';
    for (size_t i = first; i < end; i++) {
        places[i].function = has_zero ? (unsigned)(strrchr(q->functions[i].address, '.')[1] - '0') : (unsigned)(i - first);
        places[i].multifunction = end - first > 1 && places[i].function == 0;
    }
}

int attach_place(const struct attach_request *request, struct attach_place *ret, struct error *err)
{
    size_t first = 0;
    unsigned slot = 0;
    if (request->n == 0 || request->n > ATTACH_MAX_FUNCTIONS)
        return error_set(err, -E2BIG, "%zu functions cannot be attached together; at most %u can", request->n, ATTACH_MAX_FUNCTIONS);
    for (size_t i = 0; i < request->n; i++) {
        ret[i] = (struct attach_place){ .slot = slot };
        if (i + 1 < request->n && same_slot(&request->functions[i], &request->functions[i + 1]))
            continue;
        number_slot(request, first, i + 1, ret);
        first = i + 1;
        slot++;
    }
    return (int)slot;
}

uint64_t attach_window_bytes(const struct attach_request *request)
{
    uint64_t sum = 0, window = 1;
    for (size_t i = 0; i < request->n; i++)
        for (int b = 0; b < PCI_BARS; b++)
            if (request->functions[i].bars[b].flags & PCI_BAR_64BIT && request->functions[i].bars[b].size < UINT64_C(1) << 50)
                sum += request->functions[i].bars[b].size;
    while (window < sum)
        window *= 2;
    return sum > window / 4 * 3 ? window * 2 : window;    /* the guest has other devices too */
}

struct attach_list *output_section(struct attach_output *output, const char *name, bool document)
{
    struct attach_section *section = &output->sections[output->n++];
    *section = (struct attach_section){ .name = name, .document = document };
    return &section->lines;
}

/* A list that memory ran out for has a NULL item, which attach_build() finds. */
void output_add(struct attach_list *list, const char *format, ...)
{
    char *text = NULL, **grown = reallocarray(list->items, list->n + 1, sizeof *grown);
    va_list ap;
    if (!grown)
        return;
    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);
    list->items = grown;
    list->items[list->n++] = text;
}

char *output_quote(const char *text)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%";
    size_t n = strlen(text), used = 0;
    char *ret = malloc(n * 4 + 3);
    if (!ret)
        return NULL;
    if (n && strspn(text, safe) == n)
        return strcpy(ret, text);
    ret[used++] = '\'';
    for (const char *p = text; *p; p++) {
        if (*p == '\'') {
            memcpy(ret + used, "'\\''", 4);
            used += 4;
        } else {
            ret[used++] = *p;
        }
    }
    strcpy(ret + used, "'");
    return ret;
}

static int check_primary(const struct attach_request *request, struct error *err)
{
    for (size_t i = 0; request->primary && i < request->n; i++)
        if (request->functions[i].class_code >> 8 == CLASS_VGA)
            return 0;
    if (!request->primary)
        return 0;
    error_set(err, -EINVAL, "%s has no VGA function, so a guest cannot have its firmware's picture on it", request->name);
    error_hint(err, "leave --primary out: 3D controllers and virtual functions show no picture before their driver");
    return -EINVAL;
}

/* Notes that hold for every consumer that runs on this kernel. */
static void add_notes(const struct attach_request *request, enum attach_format format, struct attach_output *out)
{
    const struct pci_function *f = request->functions;
    for (size_t i = 0; i < request->n && format != ATTACH_VMWARE; i++)
        if (f[i].is_vf && strcmp(f[i].driver, "nvidia") == 0)
            output_add(&out->notes, "%s is a vendor's vGPU: it stays with nvidia, and needs its type set (nvidia/current_vgpu_type)",
                       f[i].address);
        else if (f[i].driver[0] && !pci_driver_is_vfio(f[i].driver))
            output_add(&out->notes, "%s is with %s: give it to VFIO first, and only when nobody uses it (tranche holders)", f[i].address,
                       f[i].driver);
    for (size_t i = 0; i < request->n; i++) {
        if (f[i].boot_vga && !request->rom)
            output_add(&out->notes, "%s is the host's boot display: where the guest shows no picture, give the card's ROM with --rom "
                       "FILE", f[i].address);
        for (int b = 0; b < PCI_BARS; b++)
            for (int bit = 43; bit >= 0; bit--)
                if (f[i].bars[b].resize_mask >> bit & 1) {
                    if (f[i].bars[b].size < UINT64_C(1) << (bit + 20))
                        output_add(&out->notes, "%s: BAR %d is %llu MiB and could be %llu MiB: echo %d > "
                                   "/sys/bus/pci/devices/%s/resource%d_resize while no driver has it",
                                   f[i].address, b, (unsigned long long)(f[i].bars[b].size >> 20), 1ull << bit, bit, f[i].address, b);
                    break;
                }
    }
}

static bool is_complete(const struct attach_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (!list->items[i])
            return false;
    return true;
}

int attach_build(enum attach_format format, const struct attach_request *request, struct attach_output *ret, struct error *err)
{
    struct attach_place places[ATTACH_MAX_FUNCTIONS];
    *ret = (struct attach_output){ .n = 0 };
    int r = check_primary(request, err);
    if (r == 0)
        r = attach_place(request, places, err);
    if (r < 0)
        return r;
    r = formats[format].build(request, places, ret, err);
    if (r < 0)
        return r;
    add_notes(request, format, ret);
    bool complete = is_complete(&ret->notes);
    for (size_t i = 0; i < ret->n; i++)
        complete &= is_complete(&ret->sections[i].lines);
    return complete ? 0 : error_set(err, -ENOMEM, "no memory for the text");
}

static void list_done(struct attach_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->items[i]);
    free(list->items);
}

void attach_done(struct attach_output *output)
{
    for (size_t i = 0; i < output->n; i++)
        list_done(&output->sections[i].lines);
    list_done(&output->notes);
    *output = (struct attach_output){ .n = 0 };
}

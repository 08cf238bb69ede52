/* SPDX-License-Identifier: Apache-2.0 */
/* <hostdev> elements for libvirt. Source: libvirt's formatdomain, "Host device assignment". */
#include "attach/output.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Text of an attribute in single quotes. */
static void put_escaped(FILE *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        const char *entity = *p == '&' ? "&amp;" : *p == '<' ? "&lt;" : *p == '>' ? "&gt;" : *p == '\'' ? "&apos;" : *p == '"' ? "&quot;" : NULL;
        if (entity)
            fputs(entity, out);
        else
            fputc(*p, out);
    }
}

static void put_source(FILE *out, const struct pci_function *f)
{
    unsigned domain = 0, bus = 0, slot = 0, function = 0;
    sscanf(f->address, "%x:%x:%x.%x", &domain, &bus, &slot, &function);
    fprintf(out, "  <source>\n    <address domain='0x%04x' bus='0x%02x' slot='0x%02x' function='0x%x'/>\n  </source>\n", domain, bus,
            slot, function);
}

/* Already with VFIO, or a vendor's virtual function: libvirt must not take it to a driver or back. */
static bool is_managed(const struct pci_function *f)
{
    return !pci_driver_is_vfio(f->driver) && !f->is_vf;
}

/* A function alone goes wherever libvirt finds room; functions of one card must stay together. */
static bool needs_place(const struct attach_place *place)
{
    return place->function > 0 || place->multifunction;
}

char *attach_hostdev(const struct attach_request *q, size_t index, const struct attach_place *place)
{
    const struct pci_function *f = &q->functions[index];
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fprintf(out, "<hostdev mode='subsystem' type='pci' managed='%s'>\n  <driver name='vfio'/>\n", is_managed(f) ? "yes" : "no");
    put_source(out, f);
    if (pci_function_is_gpu(f) && q->rom) {
        fputs(*q->rom ? "  <rom file='" : "  <rom bar='off'/>\n", out);
        put_escaped(out, q->rom);
        fputs(*q->rom ? "'/>\n" : "", out);
    }
    if (needs_place(place))
        fprintf(out, "  <address type='pci' domain='0x0000' bus='0x%02x' slot='0x00' function='0x%x'%s/>\n", q->guest_bus + place->slot,
                place->function,
                place->multifunction ? " multifunction='on'" : "");
    fputs("</hostdev>", out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static void add_lines(struct attach_list *list, char *text)
{
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        output_add(list, "%s", line);
}

int libvirt_build(const struct attach_request *q, const struct attach_place *places, struct attach_output *ret, struct error *err)
{
    struct attach_list *xml = output_section(ret, "xml", true);
    bool placed = false;
    if (q->primary) {
        error_set(err, -EOPNOTSUPP, "libvirt has no element for x-vga");
        error_hint(err, "leave --primary out and use OVMF, which shows its picture on any GPU with an UEFI ROM");
        return -EOPNOTSUPP;
    }
    for (size_t i = 0; i < q->n; i++) {
        _cleanup_free_ char *text = attach_hostdev(q, i, &places[i]);
        if (!text)
            return error_set(err, -ENOMEM, "no memory for the text");
        placed |= needs_place(&places[i]);
        add_lines(xml, text);
    }
    output_add(&ret->notes, "these elements belong into <devices> of the domain (machine q35)");
    if (placed)
        output_add(&ret->notes, "bus 0x%02x of the guest must be a free pcie-root-port (libvirt adds those that are missing); --guest-bus "
                   "chooses another", q->guest_bus);
    for (size_t i = 0; i < q->n; i++)
        if (pci_function_is_gpu(&q->functions[i]) && q->functions[i].numa_node >= 0)
            output_add(&ret->notes, "the GPU is on NUMA node %d: <numatune><memory mode='strict' nodeset='%d'/></numatune>, and <vcpu "
                       "placement='static' cpuset='…'> of that node",
                       q->functions[i].numa_node, q->functions[i].numa_node);
    if (attach_window_bytes(q) > ATTACH_WINDOW_DEFAULT)
        output_add(&ret->notes, "the GPU needs %llu GiB of 64-bit window: UEFI firmware, <cpu mode='host-passthrough'> and <maxphysaddr "
                   "mode='passthrough'/>, and "
                   "qemu:commandline -fw_cfg name=opt/ovmf/X-PciMmio64Mb,string=%llu",
                   (unsigned long long)(attach_window_bytes(q) >> 30), (unsigned long long)(attach_window_bytes(q) >> 20));
    return 0;
}

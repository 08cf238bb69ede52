/* SPDX-License-Identifier: Apache-2.0 */
/* tranche attach: what a VM's side has to be told to use a GPU that goes to it. */
#include "cli/cli.h"

#include "attach/attach.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "cli/consumer.h"
#include "cli/machine.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define GUEST_BUS_DEFAULT 9    /* the first ones are taken by what libvirt puts into every q35 machine */

struct subject {
    char name[80];
    struct machine_gpu gpu;
    struct pci_function *functions;
    size_t n;
};

static void subject_done(struct subject *s) { free(s->functions); }
#define _cleanup_subject_ __attribute__((cleanup(subject_done)))

static int compare_functions(const void *a, const void *b)
{
    return pci_compare_addresses(((const struct pci_function *)a)->address, ((const struct pci_function *)b)->address);
}

static bool looks_like_gpu(const char *text)
{
    char address[PCI_ADDRESS_MAX];
    return pci_parse_address(text, address) || strncasecmp(text, "GPU-", 4) == 0 ||
           (strncmp(text, "gpu", 3) == 0 && isdigit((unsigned char)text[3]));
}

static int refuse_share(json_t *share, const char *name, struct error *err)
{
    const char *model = api_text(share, "model");
    if (api_bool(share, "stand_in"))
        return error_set(err, -EOPNOTSUPP, "share %s is on the stand-in GPU, which is the processor and no device", name);
    if (strcmp(model, "passthrough") == 0)
        error_set(err, -EINVAL, "share %s gives its GPU to programs of this host, not to a VM", name);
    else
        error_set(err, -EINVAL, "share %s is a %s: it is used through tranche, not handed to a VM as a device", name, model);
    error_hint(err, "remove it, and create one with --model passthrough --profile vfio");
    return -EINVAL;
}

/* What the daemon gave away for this share: "functions" has the addresses. */
static int find_share(struct cli *cli, const char *sysroot, const char *name, struct subject *ret, struct error *err)
{
    char sys[PATH_MAX];
    _cleanup_json_ json_t *share = NULL;
    int r = sysroot_path(sysroot, "sys", sys, err);
    if (r == 0)
        r = api_get_share(cli, name, &share, err);
    if (r < 0)
        return r;
    json_t *functions = json_object_get(share, "functions"), *address;
    size_t n = json_array_size(functions), i;
    if (n == 0)
        return refuse_share(share, name, err);
    if (n > ATTACH_MAX_FUNCTIONS)
        return error_set(err, -E2BIG, "share %s has %zu functions; at most %u can be attached together", name, n, ATTACH_MAX_FUNCTIONS);
    if (!(ret->functions = calloc(n, sizeof *ret->functions)))
        return error_set(err, -ENOMEM, "no memory for a list of PCI functions");
    json_array_foreach(functions, i, address) {
        r = pci_read_function(sys, json_string_value(address), &ret->functions[i], err);
        if (r < 0)
            return error_wrap(err, "share %s", name);
    }
    ret->n = n;
    ret->gpu.function = ret->functions[0];
    text_format(ret->gpu.name, sizeof ret->gpu.name, "%s", api_text(share, "gpu"));
    /* A device that only its tranched takes for a GPU (tranched --device) has no name in the lists of this one. */
    struct error unlisted = { 0 };
    r = machine_find_gpu(sysroot, ret->functions[0].address, &ret->gpu, &unlisted);
    if (r < 0 && r != -ENOENT && r != -EINVAL) {
        *err = unlisted;
        return r;
    }
    qsort(ret->functions, n, sizeof *ret->functions, compare_functions);
    return 0;
}

/* The card whole: every function of its slot; of a virtual function, itself. */
static int find_card(const char *sysroot, const char *text, struct subject *ret, struct error *err)
{
    char sys[PATH_MAX];
    int r = machine_find_gpu(sysroot, text, &ret->gpu, err);
    if (r == 0)
        r = sysroot_path(sysroot, "sys", sys, err);
    return r < 0 ? r : pci_list_slot(sys, ret->gpu.function.address, &ret->functions, &ret->n, err);
}

/* Below a sysroot there need not be a daemon: what it does not know is looked for among the GPUs. */
static int find_subject(struct cli *cli, const char *sysroot, const char *text, struct subject *ret, struct error *err)
{
    bool share = !looks_like_gpu(text) && (!*sysroot || text_check_name(text, NULL) == 0);
    int r = share ? find_share(cli, sysroot, text, ret, err) : -ENOENT;
    if (!share || (*sysroot && (r == -ENOENT || r == -ENOTCONN))) {
        share = false;
        r = find_card(sysroot, text, ret, err);
    }
    if (r == 0)
        text_format(ret->name, sizeof ret->name, "%s", share ? text : ret->gpu.name);
    return r;
}

static int choose_format(const struct cli *cli, enum attach_format *ret, struct error *err)
{
    const char *word = NULL;
    int r = cli_option_word(cli, "format", &word, err);
    if (r < 0)
        return r;
    *ret = ATTACH_LIBVIRT;
    if (word && (r = attach_format_from_string(word, ret, err)) < 0)
        return r;
    if (!word && !cli_option_given(cli, "vm")) {
        error_set(err, -EINVAL, "attach: --format is missing");
        error_hint(err, "add --format with one of: qemu libvirt proxmox vmware kubevirt; or --vm NAME for a libvirt domain");
        return -EINVAL;
    }
    if (cli_option_given(cli, "qemu") && *ret != ATTACH_QEMU)
        return error_set(err, -EINVAL, "--qemu is for --format qemu");
    if (cli_option_given(cli, "vm") && *ret != ATTACH_LIBVIRT && *ret != ATTACH_PROXMOX)
        return error_set(err, -EINVAL, "--vm is for libvirt domains, and for the VMID of --format proxmox");
    if (cli_option_given(cli, "live") && (*ret != ATTACH_LIBVIRT || !cli_option_given(cli, "vm")))
        return error_set(err, -EINVAL, "--live is for --vm with a libvirt domain");
    return 0;
}

static int read_choices(const struct cli *cli, struct attach_request *q, struct error *err)
{
    uint64_t bus = GUEST_BUS_DEFAULT;
    int r = cli_option_u64(cli, "guest-bus", 1, 255, &bus, err);
    q->guest_bus = (unsigned)bus;
    q->primary = cli_option_given(cli, "primary");
    q->rom = cli_option_value(cli, "rom");
    q->vm = cli_option_value(cli, "vm");
    if (r == 0 && q->rom && !*q->rom)
        return error_set(err, -EINVAL, "--rom needs a file, or off");
    if (text_equal(q->rom, "off"))
        q->rom = "";
    return r;
}

/* iommufd where the QEMU has it and every function has the node that it needs. */
static int choose_iommufd(const struct cli *cli, struct attach_request *q, bool *ret_no_node, struct error *err)
{
    const char *qemu = cli_option_value(cli, "qemu");
    bool has = false;
    int r = qemu ? consumer_ask_qemu(qemu, &has, err) : 0;
    q->iommufd = has;
    for (size_t i = 0; i < q->n; i++)
        q->iommufd &= q->functions[i].vfio_device[0] != '\0';
    *ret_no_node = has && !q->iommufd;
    return r;
}

/* QEMU's arguments come in pairs; the others are lines. */
static void print_section(enum attach_format format, const struct attach_section *section, bool first)
{
    if (section->document && !first)
        puts("---");
    for (size_t i = 0; i < section->lines.n; i++) {
        if (format != ATTACH_QEMU) {
            print_text(stdout, "%s", section->lines.items[i]);
            putchar('\n');
            continue;
        }
        _cleanup_free_ char *quoted = consumer_quote(section->lines.items[i]);
        print_text(stdout, "%s", quoted);
        fputs(i % 2 == 0 ? " " : i + 1 < section->lines.n ? " \\\n" : "\n", stdout);
    }
}

static void print_output(enum attach_format format, const struct attach_output *out)
{
    for (size_t i = 0; i < out->n; i++)
        print_section(format, &out->sections[i], i == 0);
    fflush(stdout);
    for (size_t i = 0; i < out->notes.n; i++) {
        print_text(stderr, "note: %s", out->notes.items[i]);
        fputc('\n', stderr);
    }
}

static json_t *list_json(const struct attach_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->n; i++)
        json_array_append_new(array, json_string(list->items[i]));
    return array;
}

static json_t *document_json(const struct attach_list *lines)
{
    size_t size = 1;
    for (size_t i = 0; i < lines->n; i++)
        size += strlen(lines->items[i]) + 1;
    _cleanup_free_ char *text = calloc(1, size);
    for (size_t i = 0, used = 0; text && i < lines->n; i++)
        used += (size_t)snprintf(text + used, size - used, "%s\n", lines->items[i]);
    return text ? json_string(text) : json_null();
}

static json_t *function_json(const struct pci_function *f, const struct attach_place *place)
{
    char class_code[8], vendor[8], device[8];
    json_t *bars = json_array();
    for (int i = 0; i < PCI_BARS; i++)
        if (f->bars[i].size)
            json_array_append_new(bars, json_pack("{s:i, s:I, s:b, s:I}", "index", i, "bytes", (json_int_t)f->bars[i].size,
                                                  "is_64bit", (int)!!(f->bars[i].flags & PCI_BAR_64BIT), "resize_mask", (json_int_t)f->bars[i].resize_mask));
    text_format(class_code, sizeof class_code, "%06x", f->class_code & 0xffffff);
    text_format(vendor, sizeof vendor, "%04x", f->vendor_id);
    text_format(device, sizeof device, "%04x", f->device_id);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:i, s:i, s:b, s:o, s:I}", "pci_address", f->address, "class", class_code,
                     "vendor_id", vendor,
                     "device_id", device, "driver", f->driver, "iommu_group", f->iommu_group < 0 ? json_null() : json_integer(f->iommu_group),
                     "numa_node", f->numa_node < 0 ? json_null() : json_integer(f->numa_node), "vfio_device", f->vfio_device,
                     "guest_slot", (int)place->slot, "guest_function", (int)place->function, "multifunction", (int)place->multifunction,
                     "bars", bars, "rom_bytes", (json_int_t)f->rom_size);
}

static int print_output_json(enum attach_format format, const struct attach_request *q, const struct attach_output *out, struct error *err)
{
    struct attach_place places[ATTACH_MAX_FUNCTIONS];
    int r = attach_place(q, places, err);
    if (r < 0)
        return r;
    json_t *functions = json_array();
    for (size_t i = 0; i < q->n; i++)
        json_array_append_new(functions, function_json(&q->functions[i], &places[i]));
    _cleanup_json_ json_t *all = json_pack("{s:s, s:s, s:o, s:I}", "name", q->name, "format", attach_format_to_string(format),
                                           "functions", functions,
                                           "window_bytes", (json_int_t)attach_window_bytes(q));
    for (size_t i = 0; i < out->n; i++)
        json_object_set_new(all, out->sections[i].name, out->sections[i].document ? document_json(&out->sections[i].lines) :
                            list_json(&out->sections[i].lines));
    json_object_set_new(all, "notes", list_json(&out->notes));
    return print_json(all, err);
}

static int print_attached(const struct cli *cli, const struct attach_request *q, struct error *err)
{
    if (cli->json) {
        _cleanup_json_ json_t *done = json_pack("{s:s, s:s, s:b}", "attached", q->name, "vm", q->vm,
                                                "live", (int)cli_option_given(cli, "live"));
        return print_json(done, err);
    }
    print_text(stdout, "%s is attached to %s, %s", q->name, q->vm, cli_option_given(cli, "live") ? "which runs" : "from its next start on");
    putchar('\n');
    return 0;
}

int verb_attach(int argc, char **argv, struct cli *cli, struct error *err)
{
    _cleanup_subject_ struct subject subject = { .n = 0 };
    struct attach_request q = { .name = subject.name };
    struct attach_output out = { .n = 0 };
    enum attach_format format;
    const char *sysroot = "";
    bool no_node = false;
    int r = choose_format(cli, &format, err);
    if (r == 0)
        r = read_choices(cli, &q, err);
    if (r == 0)
        r = machine_sysroot(cli, &sysroot, err);
    if (r == 0)
        r = find_subject(cli, sysroot, argv[1], &subject, err);
    if (r < 0)
        return r;
    q.product = subject.gpu.product;
    q.functions = subject.functions;
    q.n = subject.n;
    r = choose_iommufd(cli, &q, &no_node, err);
    if (r == 0)
        r = attach_build(format, &q, &out, err);
    if (r == 0 && no_node)
        fputs("note: this QEMU has iommufd, but not every function has a device below /dev/vfio/devices: the VFIO group is used\n", stderr);
    if (r == 0 && format == ATTACH_LIBVIRT && q.vm) {
        r = consumer_attach_domain(&q, cli_option_given(cli, "live"), err);
        r = r < 0 ? r : print_attached(cli, &q, err);
    } else if (r == 0 && cli->json) {
        r = print_output_json(format, &q, &out, err);
    } else if (r == 0) {
        print_output(format, &out);
    }
    attach_done(&out);
    return r;
}

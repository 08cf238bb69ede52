/* SPDX-License-Identifier: Apache-2.0 */
/* Operations: their forms, words and present values. See op.h. */
#include "ops/op.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "inventory/pci.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

typedef bool (*form)(const char *text);

static bool is_pci(const char *text)
{
    char address[PCI_ADDRESS_MAX];
    return pci_parse_address(text, address) && strcmp(text, address) == 0;
}

/* Names of drivers and modules, as the kernel writes them. */
static bool is_name(const char *text)
{
    return *text && *text != '-' && text[strspn(text, NAME_CHARACTERS)] == '\0';
}

static bool is_name_or_none(const char *text) { return !*text || is_name(text); }
static bool is_switch(const char *text) { return (*text == '0' || *text == '1') && !text[1]; }
static bool is_loaded(const char *text) { return !*text || strcmp(text, "loaded") == 0; }

static bool is_count(const char *text)
{
    uint64_t n;
    return text_parse_u64(text, "count", 0, 65535, &n, NULL) == 0;
}

static bool is_vtconsole(const char *text)
{
    uint64_t n;
    return strncmp(text, "vtcon", 5) == 0 && text_parse_u64(text + 5, "number", 0, 63, &n, NULL) == 0;
}

/* The three framebuffers that firmware leaves behind; each is a platform device NAME.N. */
static bool is_firmware_framebuffer(const char *text)
{
    static const char *const names[] = { "efi-framebuffer.", "simple-framebuffer.", "vesa-framebuffer." };
    uint64_t n;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strncmp(text, names[i], strlen(names[i])) == 0 && text_parse_u64(text + strlen(names[i]), "number", 0, 63, &n, NULL) == 0)
            return true;
    return false;
}

static const struct kind {
    const char *name;
    form device, value;
    const char *path;      /* below the sysfs root; %s is the device. A link's last part, or a file's text */
    bool link;
} kinds[OP_KINDS] = {
    [OP_MODULE] = { "module", is_name, is_loaded, "module/%s", false },
    [OP_CONSOLE] = { "console", is_vtconsole, is_switch, "class/vtconsole/%s/bind", false },
    [OP_FRAMEBUFFER] = { "framebuffer", is_firmware_framebuffer, is_name_or_none, "bus/platform/devices/%s/driver", true },
    [OP_PERSISTENCE] = { "persistence", is_pci, is_switch, NULL, false },
    [OP_D3COLD] = { "d3cold", is_pci, is_switch, "bus/pci/devices/%s/d3cold_allowed", false },
    [OP_DRIVER] = { "driver", is_pci, is_name_or_none, "bus/pci/devices/%s/driver", true },
    [OP_OVERRIDE] = { "override", is_pci, is_name_or_none, "bus/pci/devices/%s/driver_override", false },
    [OP_VF_PROBE] = { "vf-probe", is_pci, is_switch, "bus/pci/devices/%s/sriov_drivers_autoprobe", false },
    [OP_VF_COUNT] = { "vf-count", is_pci, is_count, "bus/pci/devices/%s/sriov_numvfs", false },
};

const char *op_kind_name(enum op_kind kind)
{
    return kinds[kind].name;
}

int op_check(const struct op *op, struct error *err)
{
    if ((unsigned)op->kind >= OP_KINDS)
        return error_set(err, -EINVAL, "operation %d does not exist", (int)op->kind);
    const struct kind *kind = &kinds[op->kind];
    if (!kind->device(op->device))
        return error_set(err, -EINVAL, "'%s' is no device that %s can be set of", op->device, kind->name);
    if (!kind->value(op->from) || !kind->value(op->to))
        return error_set(err, -EINVAL, "%s of %s cannot go from '%s' to '%s'", kind->name, op->device, op->from, op->to);
    if (strcmp(op->from, op->to) == 0)
        return error_set(err, -EINVAL, "%s of %s is to stay '%s'", kind->name, op->device, op->to);
    /* A driver leaves before another comes: two operations, so that a kill between them is seen as such. */
    if ((op->kind == OP_DRIVER || op->kind == OP_FRAMEBUFFER) && op->from[0] && op->to[0])
        return error_set(err, -EINVAL, "%s cannot go from driver %s to %s in one step", op->device, op->from, op->to);
    return 0;
}

struct op op_undo(const struct op *op)
{
    struct op undo = *op;
    memcpy(undo.from, op->to, sizeof undo.from);
    memcpy(undo.to, op->from, sizeof undo.to);
    return undo;
}

bool op_is_undone(const struct op *op)
{
    return op->kind != OP_MODULE;
}

const char *op_describe(const struct op *op, char *buf, size_t size)
{
    const char *device = op->device;
    switch (op->kind) {
    case OP_MODULE: snprintf(buf, size, "load the kernel module %s", device); break;
    case OP_CONSOLE: snprintf(buf, size, op->to[0] == '0' ? "take the text console off %s" : "give the text console back to %s", device); break;
    case OP_FRAMEBUFFER:
        snprintf(buf, size, op->to[0] ? "bind framebuffer %s to %s" : "unbind framebuffer %s from %s", device, op->to[0] ? op->to : op->from);
        break;
    case OP_PERSISTENCE: snprintf(buf, size, "turn persistence mode of %s %s", device, op->to[0] == '1' ? "on" : "off"); break;
    case OP_D3COLD: snprintf(buf, size, "%s %s to lose power", op->to[0] == '1' ? "allow" : "forbid", device); break;
    case OP_DRIVER: snprintf(buf, size, op->to[0] ? "bind %s to %s" : "unbind %s from %s", device, op->to[0] ? op->to : op->from); break;
    case OP_OVERRIDE:
        if (op->to[0])
            snprintf(buf, size, "let only %s bind %s", op->to, device);
        else
            snprintf(buf, size, "let any driver bind %s", device);
        break;
    case OP_VF_PROBE: snprintf(buf, size, "new virtual functions of %s get %s", device, op->to[0] == '1' ? "drivers" : "no driver"); break;
    case OP_VF_COUNT: snprintf(buf, size, "set the virtual functions of %s from %s to %s", device, op->from, op->to); break;
    default: snprintf(buf, size, "unknown operation %d", (int)op->kind); break;
    }
    return buf;
}

static int read_link(const char *path, char ret[OP_VALUE_MAX], struct error *err)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    ret[0] = '\0';
    if (n < 0)
        return errno == ENOENT ? 0 : error_set(err, -errno, "read %s: %s", path, strerror(errno));
    target[n] = '\0';
    const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
    return text_format(ret, OP_VALUE_MAX, "%s", name) < 0 ? error_set(err, -EPROTO, "%s points to a name too long", path) : 0;
}

static int check_device_exists(const char *path, const char *device, struct error *err)
{
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", path);
    *strrchr(parent, '/') = '\0';
    if (access(parent, F_OK) < 0)
        return error_set(err, -ENODEV, "there is no device %s", device);
    return 0;
}

static int read_text(const char *path, enum op_kind kind, char ret[OP_VALUE_MAX], struct error *err)
{
    char text[256];
    ssize_t n = io_read_text(AT_FDCWD, path, text, sizeof text);
    if (n < 0)
        return error_set(err, (int)n, "read %s: %s", path, strerror((int)-n));
    /* An override that is not set reads as the kernel's printf shows no text. */
    if (kind == OP_OVERRIDE && strcmp(text, "(null)") == 0)
        text[0] = '\0';
    /* Bit mask or mode words never stand here; vtconsole's bind may be any non-zero number. */
    if (kind == OP_CONSOLE && isdigit((unsigned char)text[0]))
        snprintf(text, sizeof text, "%d", strtol(text, NULL, 10) != 0);
    return text_format(ret, OP_VALUE_MAX, "%s", text) < 0 ? error_set(err, -EPROTO, "%s holds a text too long", path) : 0;
}

int op_read(const char *sysfs_root, const struct op *op, char ret[OP_VALUE_MAX], struct error *err)
{
    const struct kind *kind = &kinds[op->kind];
    char below[PATH_MAX], path[PATH_MAX];
    if (!kind->path)
        return error_set(err, -EOPNOTSUPP, "%s of %s stands in no file", kind->name, op->device);
    snprintf(below, sizeof below, kind->path, op->device);
    if (op->kind == OP_MODULE)    /* the kernel writes '_' where file names have '-' */
        for (char *c = below; *c; c++)
            *c = *c == '-' ? '_' : *c;
    if (text_format(path, sizeof path, "%s/%s", sysfs_root, below) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", sysfs_root);
    if (op->kind == OP_MODULE) {
        strcpy(ret, access(path, F_OK) == 0 ? "loaded" : "");
        return 0;
    }
    int r = check_device_exists(path, op->device, err);
    if (r < 0)
        return r;
    return kind->link ? read_link(path, ret, err) : read_text(path, op->kind, ret, err);
}

json_t *op_to_json(const struct op *op)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "kind", op_kind_name(op->kind), "device", op->device, "from", op->from, "to", op->to);
}

static int copy(const char *text, const char *what, char *ret, size_t size, struct error *err)
{
    return text_format(ret, size, "%s", text) < 0 ? error_set(err, -EINVAL, "the operation's %s is too long", what) : 0;
}

int op_from_json(const json_t *json, struct op *ret, struct error *err)
{
    const char *kind, *device, *from, *to;
    struct op op = { .kind = OP_KINDS };
    if (json_unpack((json_t *)json, "{s:s, s:s, s:s, s:s !}", "kind", &kind, "device", &device, "from", &from, "to", &to) != 0)
        return error_set(err, -EINVAL, "an operation is {\"kind\", \"device\", \"from\", \"to\"}, all text");
    for (int i = 0; i < OP_KINDS; i++)
        if (strcmp(kinds[i].name, kind) == 0)
            op.kind = (enum op_kind)i;
    if (op.kind == OP_KINDS)
        return error_set(err, -EINVAL, "'%.40s' is no operation", kind);
    int r = copy(device, "device", op.device, sizeof op.device, err);
    if (r == 0)
        r = copy(from, "first value", op.from, sizeof op.from, err);
    if (r == 0)
        r = copy(to, "second value", op.to, sizeof op.to, err);
    if (r == 0)
        r = op_check(&op, err);
    if (r == 0)
        *ret = op;
    return r;
}

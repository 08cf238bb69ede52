/* SPDX-License-Identifier: Apache-2.0 */
/* The writes behind each operation: see carry.h. The order of operations is a plan's (ops/handover.h); here is only how each is done. */
#include "priv/carry.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "inventory/holders.h"
#include "inventory/pci.h"
#include "ops/use.h"
#include "priv/persistence.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>

#define LOCK_TRIES 20
#define LOCK_PAUSE_US 100000
#define UNBIND_LOCK_TRIES 20
#define UNBIND_LOCK_PAUSE_US 100000

static int write_text(const char *path, const char *text, struct error *err)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_set(err, -errno, "open %s: %s", path, strerror(errno));
    /* One write: sysfs takes a value as a whole. */
    ssize_t n = write(fd, text, strlen(text));
    if (n < 0)
        return error_set(err, -errno, "write '%.32s' to %s: %s", text, path, strerror(errno));
    return (size_t)n == strlen(text) ? 0 : error_set(err, -EIO, "%s took only a part of '%s'", path, text);
}

static int write_below(const char *root, const char *text, struct error *err, const char *format, const char *name, const char *file)
{
    char below[PATH_MAX], path[PATH_MAX];
    snprintf(below, sizeof below, format, name, file);
    if (text_format(path, sizeof path, "%s/%s", root, below) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", root);
    return write_text(path, text, err);
}

/* The NVIDIA driver is unbound only when it says that nobody can open the GPU any more: an unbind with users in it never comes back.
 * /proc/driver/nvidia/gpus/ADDRESS/unbindLock: writing 1 asks, reading back 1 grants (as the vendor's tools for VM hosts do). */
static int take_unbind_lock(const struct carry_roots *roots, const char *address, struct error *err)
{
    char path[PATH_MAX], text[64];
    if (text_format(path, sizeof path, "%s/driver/nvidia/gpus/%s/unbindLock", roots->proc, address) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", roots->proc);
    if (access(path, F_OK) < 0)
        return 0;    /* a driver without the lock, or this function is none of its GPUs */
    for (int i = 0; i < UNBIND_LOCK_TRIES; i++) {
        int r = write_text(path, "1", err);
        if (r < 0)
            return r;
        if (io_read_text(AT_FDCWD, path, text, sizeof text) > 0 && strtol(text + strspn(text, " \t"), NULL, 10) == 1)
            return 0;
        usleep(UNBIND_LOCK_PAUSE_US);
    }
    error_set(err, -EBUSY, "the nvidia driver does not let go of %s: it has users", address);
    error_hint(err, "tranche holders %s names them", address);
    return -EBUSY;
}

/* A driver waits in its remove function until the last user of the device has gone, for ever if need be (vfio-pci: a VM). */
static int refuse_users(const struct carry_roots *roots, const char *address, struct error *err)
{
    struct holders holders = { 0 };
    struct pci_function function;
    char names[160] = "";
    size_t used = 0;
    int r = pci_read_function(roots->sysfs, address, &function, err);
    if (r == 0)
        r = holders_find(roots->sysroot, &function, &holders, err);
    if (r < 0)
        return error_wrap(err, "find out who uses %s", address);
    size_t n = holders.processes_n;
    for (size_t i = 0; i < n && used + 48 < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%d (%s)", i ? ", " : "", (int)holders.processes[i].pid, holders.processes[i].command);
    holders_done(&holders);
    if (n == 0)
        return 0;
    error_set(err, -ETXTBSY, "%s is in use by process%s %s", address, n == 1 ? "" : "es", names);
    error_hint(err, "end them, or let --wait wait for their end; tranche holders %s tells more of them", address);
    return -ETXTBSY;
}

static int unbind(const struct carry_roots *roots, const struct op *op, struct error *err)
{
    char use[160];
    int r = use_by_host(roots->sysfs, roots->proc, op->device, use, sizeof use, err);
    if (r == 0 && use[0]) {
        error_set(err, -EBUSY, "the host uses %s: %s", op->device, use);
        error_hint(err, "unmount or take it down first; tranche never takes away what the host uses");
        r = -EBUSY;
    }
    if (r == 0)
        r = refuse_users(roots, op->device, err);
    if (r == 0 && strcmp(op->from, "nvidia") == 0)
        r = take_unbind_lock(roots, op->device, err);
    return r < 0 ? r : write_below(roots->sysfs, op->device, err, "bus/pci/drivers/%s/%s", op->from, "unbind");
}

static int bind(const struct carry_roots *roots, const struct op *op, struct error *err)
{
    int r = write_below(roots->sysfs, op->device, err, "bus/pci/drivers/%s/%s", op->to, "bind");
    if (r == -ENOENT) {
        error_set(err, -ENOENT, "driver %s is not loaded, so %s cannot be bound to it", op->to, op->device);
        error_hint(err, "modprobe %s, then try again", op->to);
    } else if (r == -EBUSY) {
        /* The kernel lets no host driver into a group while a VM has part of it (vfio: group viability). */
        r = error_set(err, -ETXTBSY, "driver %s may not have %s: a VM uses its IOMMU group", op->to, op->device);
        error_hint(err, "end the VM, or let --wait wait for its end; tranche holders %s may name it", op->device);
    } else if (r < 0) {
        error_wrap(err, "driver %s does not take %s", op->to, op->device);
        error_hint(err, "dmesg says what the driver did not like");
    }
    return r;
}

/* From a fixed list: loading a module runs code in the kernel. */
static int load_module(const struct op *op, struct error *err)
{
    static const char *const tools[] = { "/sbin/modprobe", "/usr/sbin/modprobe" };
    if (strcmp(op->device, "vfio-pci") != 0)
        return error_set(err, -EPERM, "kernel module %s is none that tranche loads", op->device);
    pid_t pid = fork();
    if (pid < 0)
        return error_set(err, -errno, "start modprobe: %s", strerror(errno));
    if (pid == 0) {
        static char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
        for (size_t i = 0; i < ARRAY_LEN(tools); i++)
            execle(tools[i], "modprobe", "vfio-pci", (char *)NULL, environment);
        _exit(127);
    }
    int status = 0;
    if (waitpid(pid, &status, 0) == pid && status == 0)
        return 0;
    error_set(err, -EOPNOTSUPP, "modprobe vfio-pci failed (status %d)", WIFEXITED(status) ? WEXITSTATUS(status) : status);
    error_hint(err, "the kernel needs CONFIG_VFIO_PCI; tranche doctor says more");
    return -EOPNOTSUPP;
}

static int set_framebuffer(const struct carry_roots *roots, const struct op *op, struct error *err)
{
    const char *driver = op->to[0] ? op->to : op->from;
    return write_below(roots->sysfs, op->device, err, "bus/platform/drivers/%s/%s", driver, op->to[0] ? "bind" : "unbind");
}

static int set_value(const struct carry_roots *roots, const struct op *op, struct error *err)
{
    switch (op->kind) {
    case OP_MODULE: return load_module(op, err);
    case OP_CONSOLE: return write_below(roots->sysfs, op->to, err, "class/vtconsole/%s/%s", op->device, "bind");
    case OP_FRAMEBUFFER: return set_framebuffer(roots, op, err);
    case OP_PERSISTENCE: return persistence_set(op->device, op->to[0] == '1', err);
    case OP_D3COLD: return write_below(roots->sysfs, op->to, err, "bus/pci/devices/%s/%s", op->device, "d3cold_allowed");
    case OP_DRIVER: return op->to[0] ? bind(roots, op, err) : unbind(roots, op, err);
    case OP_OVERRIDE:    /* a lone newline clears it */
        return write_below(roots->sysfs, op->to[0] ? op->to : "\n", err, "bus/pci/devices/%s/%s", op->device, "driver_override");
    case OP_VF_PROBE: return write_below(roots->sysfs, op->to, err, "bus/pci/devices/%s/%s", op->device, "sriov_drivers_autoprobe");
    case OP_VF_COUNT: return write_below(roots->sysfs, op->to, err, "bus/pci/devices/%s/%s", op->device, "sriov_numvfs");
    default: return error_set(err, -EINVAL, "unknown operation %d", (int)op->kind);
    }
}

static int read_value(const struct carry_roots *roots, const struct op *op, char ret[OP_VALUE_MAX], struct error *err)
{
    if (op->kind != OP_PERSISTENCE)
        return op_read(roots->sysfs, op, ret, err);
    bool on;
    int r = persistence_get(op->device, &on, err);
    if (r == 0)
        strcpy(ret, on ? "1" : "0");
    return r;
}

/* On the device's own folder in sysfs; operations that belong to no PCI function share one lock. */
static int lock_device(const struct carry_roots *roots, const struct op *op, struct error *err)
{
    char path[PATH_MAX], address[PCI_ADDRESS_MAX];
    bool pci = pci_parse_address(op->device, address);
    if (text_format(path, sizeof path, "%s/bus/pci%s%s", roots->sysfs, pci ? "/devices/" : "", pci ? address : "") < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", roots->sysfs);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, errno == ENOENT ? -ENODEV : -errno, "open %s: %s", path, strerror(errno));
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
        if (errno != EWOULDBLOCK || i == LOCK_TRIES) {
            error_set(err, -EBUSY, "an earlier operation on %s has not come back: it hangs in the kernel", op->device);
            error_hint(err, "dmesg says more; often only a reboot helps");
            return -EBUSY;
        }
        usleep(LOCK_PAUSE_US);
    }
    return 0;
}

int carry_op(const struct carry_roots *roots, const struct op *op, struct error *err)
{
    char now[OP_VALUE_MAX], what[128];
    op_describe(op, what, sizeof what);
    int r = lock_device(roots, op, err);
    if (r == 0)
        r = read_value(roots, op, now, err);
    if (r < 0)
        return error_wrap(err, "%s", what);
    if (strcmp(now, op->to) == 0)
        return 0;
    if (strcmp(now, op->from) != 0) {
        error_set(err, -ESTALE, "%s: %s of it is '%s' now, not '%s': somebody else changed it", what, op_kind_name(op->kind), now, op->from);
        error_hint(err, "look at it with tranche doctor %s, and try again", op->device);
        return -ESTALE;
    }
    if ((r = set_value(roots, op, err)) < 0)
        return error_wrap(err, "%s", what);
    if ((r = read_value(roots, op, now, err)) < 0)
        return error_wrap(err, "%s, then look again", what);
    if (strcmp(now, op->to) != 0)
        return error_set(err, -EIO, "%s: the kernel took it, but it is '%s' still", what, now);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that have a GPU's device files open or mapped: see holders.h. */
#include "inventory/holders.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "inventory/label.h"
#include "inventory/sysfs.h"
#include "inventory/sysroot.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define HOST_PIDS "pid:[4026531836]"    /* the first pid namespace, PROC_PID_INIT_INO of the kernel */
#define FILE_MAX 16384           /* status and cgroup of a process have a few KiB */

/* By the 15 characters that the kernel keeps of a command. */
static const struct { const char *command, *role, *remedy; } roles[] = {
    { "nvidia-persiste", "persistence daemon", "systemctl stop nvidia-persistenced" },
    { "nv-fabricmanage", "Fabric Manager", "systemctl stop nvidia-fabricmanager" },
    { "nv-hostengine", "GPU monitoring (DCGM)", "systemctl stop nvidia-dcgm" },
    { "dcgm-exporter", "GPU monitoring (DCGM)", "stop the exporter" },
    { "nvidia-cuda-mps", "CUDA MPS", "echo quit | nvidia-cuda-mps-control" },
    { "nvidia-vgpu-mgr", "vGPU manager", "systemctl stop nvidia-vgpu-mgr" },
    { "tranche-worker", "worker of a share", "tranche rm the share" },
    { "Xorg", "display server", "systemctl isolate multi-user.target" }, { "X", "display server", "systemctl isolate multi-user.target" },
    { "Xwayland", "display server", "systemctl isolate multi-user.target" }, { "gnome-shell", "display server",
                                                                               "systemctl isolate multi-user.target" },
    { "kwin_wayland", "display server", "systemctl isolate multi-user.target" }, { "kwin_x11", "display server",
                                                                                   "systemctl isolate multi-user.target" },
    { "sway", "display server", "systemctl isolate multi-user.target" }, { "weston", "display server",
                                                                           "systemctl isolate multi-user.target" },
    { "mutter", "display server", "systemctl isolate multi-user.target" }, { "cosmic-comp", "display server",
                                                                             "systemctl isolate multi-user.target" },
    { "plymouthd", "boot splash", "plymouth quit" },
    { "pipewire", "sound server", NULL }, { "wireplumber", "sound server", NULL }, { "pulseaudio", "sound server", NULL },
};

struct scan {
    struct holders *holders;
    int proc;
    bool numbers;                /* a real /proc: descriptors lead to the files themselves */
    char own_mounts[64];
    int self;                    /* whoever asks inherits descriptors and is no holder; -1 below a sysroot */
    size_t room;
};

static const struct holder_node *find_path(const struct holders *h, const char *path)
{
    for (size_t i = 0; i < h->nodes_n; i++)
        if (strcmp(h->nodes[i].path, path) == 0)
            return &h->nodes[i];
    return NULL;
}

static const struct holder_node *find_number(const struct holders *h, int dir, const char *name)
{
    struct statx st;
    if (statx(dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0 || (st.stx_mode & S_IFMT) != S_IFCHR)
        return NULL;
    for (size_t i = 0; i < h->nodes_n; i++)
        if (h->nodes[i].major == st.stx_rdev_major && h->nodes[i].minor == st.stx_rdev_minor)
            return &h->nodes[i];
    return NULL;
}

static void take_node(struct holder_process *p, const struct holder_node *node)
{
    for (unsigned i = 0; i < p->nodes_n; i++)
        if (strcmp(p->nodes[i], node->path) == 0)
            return;
    if (p->nodes_n < HOLDER_MAX_NODES)
        strcpy(p->nodes[p->nodes_n++], node->path);
}

/* False when this user may not list the descriptors. */
static bool scan_descriptors(const struct scan *scan, int dir, struct holder_process *p)
{
    int fd = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno != EACCES && errno != EPERM;
    _cleanup_closedir_ DIR *descriptors = fdopendir(fd);
    for (struct dirent *e; descriptors && (e = readdir(descriptors));) {
        const struct holder_node *node = NULL;
        char target[128];
        if (e->d_name[0] == '.')
            continue;
        if (scan->numbers) {
            node = find_number(scan->holders, fd, e->d_name);
        } else {
            ssize_t n = readlinkat(fd, e->d_name, target, sizeof target - 1);
            target[MAX(n, 0)] = '\0';
            node = find_path(scan->holders, target);
        }
        if (!node)
            continue;
        p->descriptors++;
        take_node(p, node);
    }
    return true;
}

/* "7f12-7f34 rw-s 00000000 00:05 311   /dev/nvidia0": by number through map_files where that is allowed, else by path. */
static const struct holder_node *find_mapping(const struct scan *scan, int dir, const char *line)
{
    unsigned long begin, end;
    unsigned long long inode;
    int at = 0;
    if (sscanf(line, "%lx-%lx %*s %*x %*x:%*x %llu %n", &begin, &end, &inode, &at) != 3 || !inode || !at)
        return NULL;
    if (scan->numbers) {
        char name[64];
        text_format(name, sizeof name, "map_files/%lx-%lx", begin, end);
        const struct holder_node *node = find_number(scan->holders, dir, name);
        if (node)
            return node;
    }
    return find_path(scan->holders, line + at);
}

static void scan_mappings(const struct scan *scan, int dir, struct holder_process *p)
{
    int fd = openat(dir, "maps", O_RDONLY | O_CLOEXEC);
    _cleanup_fclose_ FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    _cleanup_free_ char *line = NULL;
    size_t room = 0;
    while (f && getline(&line, &room, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        const struct holder_node *node = find_mapping(scan, dir, line);
        if (!node)
            continue;
        p->mappings++;
        take_node(p, node);
    }
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void read_status(int dir, struct holder_process *p)
{
    char text[FILE_MAX];
    p->inner_pid = p->pid;
    p->uid = (uid_t)-1;
    if (io_read_text(dir, "status", text, sizeof text) < 0)
        return;
    const char *uid = strstr(text, "\nUid:"), *inner = strstr(text, "\nNSpid:");
    if (uid)
        p->uid = (uid_t)strtoul(uid + 5, NULL, 10);
    if (!inner)
        return;
    char *end = (char *)inner + 7;    /* "NSpid: 4711 12 1": outermost first */
    for (long v; (v = strtol(end, &end, 10)) > 0;)
        p->inner_pid = (pid_t)v;
}

static void read_identity(const struct scan *scan, int dir, struct holder_process *p)
{
    char text[FILE_MAX], mounts[64];
    sysfs_read_label(dir, "comm", p->command, sizeof p->command);
    read_status(dir, p);
    if (io_read_text(dir, "cgroup", text, sizeof text) > 0)
        cgroup_identify(text, &p->owner);
    sysfs_read_link_name(dir, "ns/mnt", mounts, sizeof mounts);
    p->other_mounts = mounts[0] && scan->own_mounts[0] && strcmp(mounts, scan->own_mounts) != 0;
    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        if (strcmp(p->command, roles[i].command) == 0) {
            p->role = roles[i].role;
            p->remedy = roles[i].remedy;
        }
    if (strncmp(p->command, "qemu-system", 11) == 0 || strcmp(p->command, "kvm") == 0) {
        p->role = "VM";
        p->remedy = "shut the VM down";
    }
}

static int keep(struct scan *scan, const struct holder_process *p, struct error *err)
{
    struct holders *h = scan->holders;
    if (h->processes_n == scan->room) {
        size_t room = scan->room ? scan->room * 2 : 16;
        struct holder_process *grown = reallocarray(h->processes, room, sizeof *grown);
        if (!grown)
            return error_set(err, -ENOMEM, "no memory for a list of processes");
        h->processes = grown;
        scan->room = room;
    }
    h->processes[h->processes_n++] = *p;
    return 0;
}

static int scan_process(struct scan *scan, const char *name, struct error *err)
{
    struct holder_process p = { .pid = (pid_t)strtol(name, NULL, 10) };
    _cleanup_close_ int dir = openat(scan->proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || p.pid == scan->self)    /* it ended meanwhile */
        return 0;
    if (!scan_descriptors(scan, dir, &p)) {
        scan->holders->hidden++;
        return 0;
    }
    scan->holders->looked++;
    scan_mappings(scan, dir, &p);
    if (!p.nodes_n || scan->holders->processes_n == HOLDERS_MAX_PROCESSES)
        return 0;
    read_identity(scan, dir, &p);
    qsort(p.nodes, p.nodes_n, sizeof *p.nodes, compare_text);
    return keep(scan, &p, err);
}

static int compare_pids(const void *a, const void *b)
{
    const struct holder_process *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static bool is_confined(int proc)
{
    char pids[64];
    sysfs_read_link_name(proc, "self/ns/pid", pids, sizeof pids);
    return strcmp(pids, HOST_PIDS) != 0 || faccessat(proc, "1", F_OK, 0) < 0;
}

static int scan_processes(const char *sysroot, struct holders *h, struct error *err)
{
    char path[PATH_MAX];
    struct statfs fs;
    int r = sysroot_path(sysroot, "proc", path, err);
    if (r < 0)
        return r;
    _cleanup_closedir_ DIR *proc = opendir(path);
    if (!proc)
        return error_set(err, -errno, "read %s: %s", path, strerror(errno));
    struct scan scan = { .holders = h, .proc = dirfd(proc) };
    scan.numbers = fstatfs(scan.proc, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
    h->confined = scan.numbers && is_confined(scan.proc);
    scan.self = scan.numbers ? sysfs_read_link_number(scan.proc, "self") : -1;
    sysfs_read_link_name(scan.proc, "self/ns/mnt", scan.own_mounts, sizeof scan.own_mounts);
    for (struct dirent *e; r == 0 && (e = readdir(proc));)
        if (isdigit((unsigned char)e->d_name[0]))
            r = scan_process(&scan, e->d_name, err);
    if (h->processes_n)
        qsort(h->processes, h->processes_n, sizeof *h->processes, compare_pids);
    return r;
}

int holders_find(const char *sysroot, const struct pci_function *function, struct holders *ret, struct error *err)
{
    struct holders h = { .nodes = NULL };
    int r = holders_list_nodes(sysroot, function, &h, err);
    if (r == 0)
        r = scan_processes(sysroot, &h, err);
    if (r < 0) {
        holders_done(&h);
        return r;
    }
    holders_list_kernel(sysroot, function, &h);
    *ret = h;
    return 0;
}

void holders_done(struct holders *holders)
{
    free(holders->nodes);
    free(holders->processes);
    *holders = (struct holders){ .nodes = NULL };
}

bool holders_is_free(const struct holders *holders)
{
    return !holders->processes_n && !holders->kernel_n && !holders->hidden && !holders->confined;
}

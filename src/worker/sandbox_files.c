/* SPDX-License-Identifier: Apache-2.0 */
/* The files a worker keeps, by Landlock. Everything that stands in no row below is refused: home directories, /etc, /tmp, /var, /run, other
 * processes' /proc, other shares' caches. A path that does not exist on this host is passed over. */
#include "worker/sandbox.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RUN (READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define DEVICE (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | IOCTL_RIGHT)
#define OWN (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE_RIGHT | REFER_RIGHT | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define ALL (OWN | DEVICE | RUN | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK)

/* Newer than Debian 12's headers: the versions that brought them stand in landlock(7). */
#define REFER_RIGHT LANDLOCK_ACCESS_FS_REFER            /* 2: renaming between directories */
#define TRUNCATE_RIGHT (UINT64_C(1) << 14)              /* 3 */
#define IOCTL_RIGHT (UINT64_C(1) << 15)                 /* 5: on devices opened from then on */
#define NET_RIGHTS UINT64_C(3)                          /* 4: TCP bind and connect */
#define SCOPES UINT64_C(3)                              /* 6: abstract unix sockets and signals reach only into the worker itself */
#define FILE_RIGHTS (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE_RIGHT | IOCTL_RIGHT)

struct ruleset_attr { uint64_t files, net, scoped; };

/* Patterns as for glob(7). What vendors' drivers open is known from PoCL 3.1 under strace, from AppArmor's opencl abstractions and from snapd's
 * opengl and cuda-support interfaces. */
static const struct row {
    const char *pattern;
    uint64_t rights;
    const char *reason;
} rows[] = {
    { "/usr", RUN, "drivers, libraries, headers, compilers and linkers" },
    { "/lib*", RUN, "the same where /usr is not merged" },
    { "/bin", RUN, "the linker" },
    { "/sbin", RUN, "ldconfig and the like, looked for by compilers" },
    { "/opt", RUN, "vendors' drivers: ROCm, oneAPI" },
    { "/nix/store", RUN, "all programs and drivers on NixOS" },
    { "/gnu/store", RUN, "the same on Guix" },
    { "/run/opengl-driver", RUN, "NixOS's links to the drivers" },
    { "/run/nvidia", RUN, "drivers that NVIDIA's container installs" },
    { "/etc/ld.so.*", READ, "where libraries are" },
    { "/etc/OpenCL", READ, "which OpenCL drivers there are" },
    { "/etc/alternatives", READ, "which of several compilers" },
    { "/etc/nvidia", READ, "application profiles" },
    { "/etc/pocl", READ, "PoCL's settings" },
    { "/etc/localtime", READ, "the C library's clock" },
    { "/etc/os-release", READ, "compilers choose the linker's options by distribution" },
    { "/etc/*-release", READ, "the same" },
    { "/etc/debian_version", READ, "the same" },
    { "/proc/self", READ, "the worker's own account: mappings, processors, mounts" },
    { "/proc/cpuinfo", READ, "which instructions to compile for" },
    { "/proc/meminfo", READ, "how much memory a CPU device has" },
    { "/proc/stat", READ, "how many processors" },
    { "/proc/devices", READ, "numbers of device nodes (NVIDIA)" },
    { "/proc/modules", READ, "which driver is loaded (NVIDIA)" },
    { "/proc/driver/nvidia", READ, "its parameters and MIG capabilities" },
    { "/proc/sys/vm", READ, "mmap_min_addr, overcommit_memory, max_map_count" },
    { "/sys/devices/system", READ, "processors, caches, NUMA nodes" },
    { "/sys/devices/pci*", READ, "the GPU's own attributes, and those of its neighbours on the bus" },
    { "/sys/devices/platform", READ, "the same where GPUs stand on no PCI bus" },
    { "/sys/devices/soc0", READ, "which chip (Tegra)" },
    { "/sys/devices/virtual/kfd", READ, "AMD's topology" },
    { "/sys/bus", READ, "lists of devices: links to the above" },
    { "/sys/class", READ, "the same" },
    { "/sys/dev/char", READ, "from a device number to its device" },
    { "/sys/module/nvidia*", READ, "the driver's version and parameters" },
    { "/sys/module/amdgpu", READ, "the same" },
    { "/sys/module/i915", READ, "the same" },
    { "/sys/module/xe", READ, "the same" },
    { "/sys/kernel/mm", READ, "huge pages" },
    { "/sys/fs/cgroup", READ, "which processors are allowed (hwloc)" },
    { "/dev/null", READ | LANDLOCK_ACCESS_FS_WRITE_FILE, "for output that nobody wants" },
    { "/dev/zero", READ, "memory" },
    { "/dev/full", READ, "sanitizers' tests" },
    { "/dev/random", READ, "random numbers" },
    { "/dev/urandom", READ, "the same" },
    { "/dev/nvidia*", DEVICE, "NVIDIA's devices" },
    { "/dev/nvhost-*", DEVICE, "the same on Tegra" },
    { "/dev/nvmap", DEVICE, "the same" },
    { "/dev/nvgpu", DEVICE, "the same" },
    { "/dev/dri", DEVICE, "Intel's, AMD's and Mesa's" },
    { "/dev/kfd", DEVICE, "AMD's compute interface" },
    { "/dev/accel", DEVICE, "accelerators without graphics" },
    { "/dev/mali*", DEVICE, "ARM's" },
    { "/dev/dxg", DEVICE, "GPUs under WSL" },
};

/* Rows that count only beside the device named, since they are shared by everybody on the host. */
static const struct { const char *device; struct row row; } rows_of_devices[] = {
    { "/dev/nvidiactl", { "/dev/shm", OWN, "the driver shares memory between its own threads and devices (cuda.shm)" } },
};

static int allow_fd(int ruleset, int fd, uint64_t rights)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    struct landlock_path_beneath_attr rule = { .allowed_access = S_ISDIR(st.st_mode) ? rights : rights & FILE_RIGHTS, .parent_fd = fd };
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int allow(int ruleset, const char *path, uint64_t rights)
{
    _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
    return fd < 0 ? 0 : allow_fd(ruleset, fd, rights);      /* what cannot be named cannot be used either */
}

static int allow_pattern(int ruleset, const char *pattern, uint64_t rights)
{
    glob_t found;
    int r = 0;
    if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
        r = allow(ruleset, found.gl_pathv[i], rights);
    globfree(&found);
    return r;
}

/* Directories that the operator gave to the daemon: for drivers outside the usual places. Never "/". */
static int allow_list(int ruleset, const char *list, uint64_t rights)
{
    char path[PATH_MAX];
    int r = 0;
    for (const char *p = list; r == 0 && p && *p; p += strcspn(p, ":"), p += *p == ':') {
        int n = (int)strcspn(p, ":");
        if (*p == '/' && n > 1 && text_format(path, sizeof path, "%.*s", n, p) == 0)
            r = allow(ruleset, path, rights);
    }
    return r;
}

static int allow_all(int ruleset, uint64_t handled)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(rows); i++)
        r = allow_pattern(ruleset, rows[i].pattern, rows[i].rights & handled);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(rows_of_devices); i++)
        if (access(rows_of_devices[i].device, F_OK) == 0)
            r = allow(ruleset, rows_of_devices[i].row.pattern, rows_of_devices[i].row.rights & handled);
    if (r == 0)
        r = allow_list(ruleset, getenv("LD_LIBRARY_PATH"), RUN & handled);
    if (r == 0)
        r = allow_list(ruleset, getenv("OCL_ICD_VENDORS"), READ & handled);
    if (r == 0)
        r = allow(ruleset, "/proc/self/exe", LANDLOCK_ACCESS_FS_READ_FILE);     /* a sanitizer's symbols */
    return r;
}

bool sandbox_may_run_from(const char *folder)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strcspn(rows[i].pattern, "*");
        if (rows[i].rights == RUN && strncmp(folder, rows[i].pattern, n) == 0 && (rows[i].pattern[n] == '*' || folder[n] == '\0' || folder[n] == '/'))
            return true;
    }
    return false;
}

int sandbox_enter_files(bool has_cache)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return 0;                       /* a kernel without Landlock, or where it is off: the other limits remain */
    struct ruleset_attr attr = {
        .files = ALL & ~((version < 2 ? REFER_RIGHT : 0) | (version < 3 ? TRUNCATE_RIGHT : 0) | (version < 5 ? IOCTL_RIGHT : 0)),
        .net = version < 4 ? 0 : NET_RIGHTS,
        .scoped = version < 6 ? 0 : SCOPES,
    };
    size_t size = version < 4 ? sizeof attr.files : version < 6 ? offsetof(struct ruleset_attr, scoped) : sizeof attr;
    _cleanup_close_ int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (ruleset < 0)
        return -errno;
    int r = allow_all(ruleset, attr.files);
    if (r == 0 && has_cache)
        r = allow(ruleset, ".", OWN & attr.files);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = -errno;
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker gives up. Rights kept, and why:
 *   read and execute everywhere      the driver's compiler loads libraries and runs the linker (PoCL, NVIDIA's libnvidia-*)
 *   write to the share's cache       compiled programs, and the compiler's and linker's temporary files ($TMPDIR)
 *   write to files under /dev        device nodes of the driver are opened read-write, /dev/null
 *   create files in /dev/shm         vendors' drivers share memory between their own threads and devices there
 *   threads, memory, files, fork     whatever the driver and the linker do with those
 * Given up: the network and local sockets (it could call the control API as its own user), other processes (ptrace, their memory and descriptors),
 * shrinking the sched page (which would end those who map it), everything that changes the system, new privileges, and core dumps (a tenant's
 * memory would be in them). The system calls are a list of what is refused: an allow-list that fits every vendor's driver is still to come. */
#include "worker/session.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_RIGHTS (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
    LANDLOCK_ACCESS_FS_MAKE_SYM)
#define RENAME_RIGHTS LANDLOCK_ACCESS_FS_REFER          /* second version of Landlock: renaming between directories */

#define TRUNCATE_RIGHTS (UINT64_C(1) << 14)             /* third version; the constant is newer than Debian 12's headers */

static int allow(int ruleset, const char *path, uint64_t rights)
{
    _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = fd };
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int landlock(const struct options *o)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    uint64_t change = WRITE_RIGHTS | (version >= 2 ? RENAME_RIGHTS : 0) | (version >= 3 ? TRUNCATE_RIGHTS : 0);
    struct landlock_ruleset_attr attr = { .handled_access_fs = READ_RIGHTS | change };
    _cleanup_close_ int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;      /* a kernel without Landlock: the other limits remain */
    int r = allow(ruleset, "/", READ_RIGHTS);
    if (r == 0)
        r = allow(ruleset, "/dev", READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE);
    if (r == 0)
        r = allow(ruleset, "/dev/shm", READ_RIGHTS | change);
    if (r == 0 && o->cache)
        r = allow(ruleset, o->cache, READ_RIGHTS | change);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = -errno;
    return r;
}

#ifdef HAVE_SECCOMP
#include <seccomp.h>

static const int refused_calls[] = {
    SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd), SCMP_SYS(kcmp), SCMP_SYS(perf_event_open),
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(fsopen), SCMP_SYS(fsmount),
    SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(bpf), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(keyctl), SCMP_SYS(add_key),
    SCMP_SYS(request_key), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(sethostname), SCMP_SYS(quotactl),
    SCMP_SYS(acct), SCMP_SYS(syslog), SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at),
};

static int seccomp_enter(const struct session *s)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int fds[SCHED_PAGE_FDS], r = ctx ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(refused_calls); i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), refused_calls[i], 0);
    sched_page_fds(s->page, fds);
    for (int i = 0; r == 0 && i < SCHED_PAGE_FDS; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ftruncate), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)fds[i]));
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);        /* the driver's threads too: they run the tenant's kernels */
    if (r == 0)
        r = seccomp_load(ctx);
    if (ctx)
        seccomp_release(ctx);
    return r;
}
#else
static int seccomp_enter(const struct session *s) { return 0; }
#endif

int sandbox_files(const struct options *o, struct error *err)
{
    struct rlimit none = { 0, 0 };
    if (o->cache) {
        setenv("TMPDIR", o->cache, 1);
        setenv("CUDA_CACHE_PATH", o->cache, 1);
    }
    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(err, -errno, "give up rights: %s", strerror(errno));
    int r = landlock(o);
    if (r < 0)
        return error_set(err, r, "restrict the file system: %s", strerror(-r));
    return 0;
}

int sandbox_calls(const struct session *s, struct error *err)
{
    int r = seccomp_enter(s);
    return r < 0 ? error_set(err, r, "refuse system calls: %s", strerror(-r)) : 0;
}

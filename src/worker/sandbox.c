/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker gives up: see sandbox.h. On a stand-in GPU the tenant's kernels are code in this very process, so whatever is kept here is the
 * tenant's too. Kept, and why:
 *   files and devices                 sandbox_files.c
 *   system calls                      sandbox_calls.c
 *   the groups of device nodes        a GPU's nodes belong to groups like render and video where not everybody may open them
 *   memory: the quota and a little    PRIVATE_BYTES of it for driver, compiler and stacks
 *   file descriptors, processes       the driver's, and the linker's
 * Given up: root and every capability (a share's workers run as a user of their own where tranched is root), new privileges, core dumps (a tenant's
 * memory would be in them), being looked into by others of the same user, message queues, higher priorities, the searched folders that the compiler could
 * not run programs from. */
#include "worker/sandbox.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Limits, each with its reason. */
#define MAX_DESCRIPTORS 1024                    /* a driver for several GPUs holds some hundred */
#define MAX_PROCESSES 16384                     /* of the share's user: threads of all its workers, and a linker now and then */
#define MAX_FILE_BYTES (UINT64_C(1) << 30)      /* a compiled program is some MB; so that one file does not fill the disk */
#define PRIVATE_BYTES (UINT64_C(4) << 30)       /* writable private memory beside the quota: a compiler, stacks (8 MiB each), the driver's own */

#define MAX_GROUPS 16

/* ---- the user ---- */

static size_t device_groups(gid_t *ret, size_t max)
{
    static const char *const patterns[] = { "/dev/dri/*", "/dev/kfd", "/dev/nvidia*", "/dev/accel/*", "/dev/mali*" };
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        glob_t found;
        struct stat st;
        if (glob(patterns[i], GLOB_NOSORT, NULL, &found) != 0)
            continue;
        for (size_t k = 0; k < found.gl_pathc && n < max; k++) {
            bool usable = stat(found.gl_pathv[k], &st) == 0 && S_ISCHR(st.st_mode) && (st.st_mode & 060) == 060 && st.st_gid != 0;
            for (size_t have = 0; usable && have < n; have++)
                usable = ret[have] != st.st_gid;
            if (usable)
                ret[n++] = st.st_gid;
        }
        globfree(&found);
    }
    return n;
}

/* What a file or a user namespace could give back. It takes a capability itself; without that there is nothing to give up. */
static void drop_bounding_set(void)
{
    for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
        prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2] = { 0 };
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int become(uid_t user)
{
    gid_t groups[MAX_GROUPS];
    size_t n = device_groups(groups, ARRAY_LEN(groups));
    return setgroups(n, groups) < 0 || setresgid(user, user, user) < 0 || setresuid(user, user, user) < 0 ? -errno : 0;
}

/* ---- limits ---- */

/* Lowers a limit; one that is lower already stays. */
static int limit(int which, uint64_t value)
{
    struct rlimit now;
    if (getrlimit(which, &now) < 0)
        return -errno;
    now.rlim_max = MIN(now.rlim_max, (rlim_t)value);
    now.rlim_cur = now.rlim_max;
    return setrlimit(which, &now) < 0 ? -errno : 0;
}

static int limit_early(const struct options *o)
{
    int r = limit(RLIMIT_CORE, 0);
    if (r == 0)
        r = limit(RLIMIT_NOFILE, MAX_DESCRIPTORS);
    if (r == 0)
        r = limit(RLIMIT_MSGQUEUE, 0);
    if (r == 0)
        r = limit(RLIMIT_NICE, 0);
    if (r == 0)
        r = limit(RLIMIT_RTPRIO, 0);
    /* Counted by user: only where that is the share's own. */
    return r == 0 && o->user ? limit(RLIMIT_NPROC, MAX_PROCESSES) : r;
}

/* ---- the environment ---- */

/* A linker that is found but may not be run would fail every build, so the search leaves such folders out. */
static void trim_path(void)
{
    const char *path = getenv("PATH");
    char kept[PATH_MAX] = "", folder[PATH_MAX];
    size_t used = 0;
    for (const char *p = path; p && *p; p += strcspn(p, ":"), p += *p == ':') {
        size_t n = strcspn(p, ":");
        if (n == 0 || used + n + 2 > sizeof kept || text_format(folder, sizeof folder, "%.*s", (int)n, p) < 0 || !sandbox_may_run_from(folder))
            continue;
        used += (size_t)snprintf(kept + used, sizeof kept - used, "%s%s", used ? ":" : "", folder);
    }
    setenv("PATH", used ? kept : "/usr/local/bin:/usr/bin:/bin", 1);
}

/* The share's cache becomes the working directory; true when there is one. */
static bool enter_cache(const char *cache)
{
    static const char *const names[] = { "TMPDIR", "POCL_CACHE_DIR", "CUDA_CACHE_PATH" };
    if (!cache || chdir(cache) < 0)
        return chdir("/") < 0;          /* never true: and never the folder that tranched was started in */
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        setenv(names[i], "/proc/self/cwd", 1);
    return true;
}

/* ---- */

int sandbox_enter(const struct options *o, struct error *err)
{
    bool has_cache = enter_cache(o->cache);
    trim_path();
    int r = limit_early(o);
    if (r < 0)
        return error_set(err, r, "set limits: %s", strerror(-r));
    drop_bounding_set();
    if (o->user && (r = become(o->user)) < 0)
        return error_set(err, r, "become user %u: %s", (unsigned)o->user, strerror(-r));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return error_set(err, -errno, "give up rights: %s", strerror(errno));
    r = drop_capabilities();
    if (r < 0)
        return error_set(err, r, "give up capabilities: %s", strerror(-r));
    r = sandbox_enter_files(has_cache);
    return r < 0 ? error_set(err, r, "restrict the file system: %s", strerror(-r)) : 0;
}

int sandbox_close(const struct session *s, struct error *err)
{
    int r = limit(RLIMIT_FSIZE, MAX_FILE_BYTES);
    signal(SIGXFSZ, SIG_IGN);                   /* an error of the write instead */
#if !defined __SANITIZE_ADDRESS__           /* whose shadow counts as private memory */
    if (r == 0)
        r = limit(RLIMIT_DATA, s->options.memory_bytes + PRIVATE_BYTES);
#endif
    if (r < 0)
        return error_set(err, r, "set limits: %s", strerror(-r));
    r = sandbox_enter_calls(s);
    return r < 0 ? error_set(err, r, "refuse system calls: %s", strerror(-r)) : 0;
}

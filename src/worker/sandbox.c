/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker gives up once the driver is open. Rights kept, and why:
 *   read and execute everywhere      the driver's compiler loads libraries and runs the linker (PoCL, NVIDIA's libnvidia-*)
 *   write to the share's cache, /tmp compiled programs; the linker's temporary files
 *   write to files under /dev        device nodes of the driver are opened read-write, /dev/null
 * No new privileges, no core dumps (a tenant's memory would be in them). System calls are not filtered yet. */
#include "worker/session.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_RIGHTS (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
    LANDLOCK_ACCESS_FS_MAKE_SYM)
#define RENAME_RIGHTS LANDLOCK_ACCESS_FS_REFER          /* second version of Landlock: renaming between directories */

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
    uint64_t rename = version >= 2 ? RENAME_RIGHTS : 0;
    struct landlock_ruleset_attr attr = { .handled_access_fs = READ_RIGHTS | WRITE_RIGHTS | rename };
    _cleanup_close_ int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;      /* a kernel without Landlock: the other limits remain */
    int r = allow(ruleset, "/", READ_RIGHTS);
    if (r == 0)
        r = allow(ruleset, "/tmp", READ_RIGHTS | WRITE_RIGHTS | rename);
    if (r == 0)
        r = allow(ruleset, "/dev", READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE);
    if (r == 0 && o->cache)
        r = allow(ruleset, o->cache, READ_RIGHTS | WRITE_RIGHTS | rename);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = -errno;
    return r;
}

int sandbox_enter(const struct options *o, struct error *err)
{
    struct rlimit none = { 0, 0 };
    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(err, -errno, "give up rights: %s", strerror(errno));
    int r = landlock(o);
    return r < 0 ? error_set(err, r, "restrict the file system: %s", strerror(-r)) : 0;
}

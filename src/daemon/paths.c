/* SPDX-License-Identifier: Apache-2.0 */
/* Directories, lock and programs of tranched: see paths.h. */
#include "daemon/paths.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/program.h"
#include "base/text.h"
#include "daemon/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define LOCK_TRIES 40
#define LOCK_PAUSE_US 50000

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static int make_absolute(const char *path, char *ret, size_t size, struct error *err)
{
    char cwd[PATH_MAX];
    int r = path[0] == '/' ? text_format(ret, size, "%s", path) :
            getcwd(cwd, sizeof cwd) ? text_format(ret, size, "%s/%s", cwd, path) : -errno;
    return r < 0 ? error_set(err, r, "directory %.100s: %s", path, strerror(-r)) : 0;
}

int paths_run_dir(const char *given, char *ret, size_t size, struct error *err)
{
    char path[PATH_MAX];
    const char *dir = given ? given : environment("TRANCHE_RUN_DIR"), *xdg = environment("XDG_RUNTIME_DIR");
    if (dir)
        return make_absolute(dir, ret, size, err);
    if (geteuid() == 0)
        snprintf(path, sizeof path, "/run/tranche");
    else if (xdg && xdg[0] == '/')
        snprintf(path, sizeof path, "%s/tranche", xdg);
    else
        snprintf(path, sizeof path, "/tmp/tranche-%u", (unsigned)geteuid());
    return make_absolute(path, ret, size, err);
}

int paths_state_dir(const char *given, char *ret, size_t size, struct error *err)
{
    char path[PATH_MAX];
    const char *dir = given ? given : environment("TRANCHE_STATE_DIR"), *xdg = environment("XDG_STATE_HOME"), *home = environment("HOME");
    if (dir)
        return make_absolute(dir, ret, size, err);
    if (geteuid() == 0)
        snprintf(path, sizeof path, "/var/lib/tranche");
    else if (xdg && xdg[0] == '/')
        snprintf(path, sizeof path, "%s/tranche", xdg);
    else if (home)
        snprintf(path, sizeof path, "%s/.local/state/tranche", home);
    else {
        error_set(err, -EINVAL, "no state directory: neither XDG_STATE_HOME nor HOME is set");
        error_hint(err, "give --state-dir");
        return -EINVAL;
    }
    return make_absolute(path, ret, size, err);
}

int paths_make_private_dir(const char *path, struct error *err)
{
    struct stat st;
    int r = io_make_dirs(path, err);
    if (r < 0)
        return r;
    if (lstat(path, &st) < 0)
        return error_set(err, -errno, "look at %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022)) {
        error_set(err, -EPERM, "%s is not a directory of this user alone", path);
        error_hint(err, "remove it, make it yours with chmod go-w, or give another one with --run-dir or --state-dir");
        return -EPERM;
    }
    return 0;
}

/* A killed tranched's children (an inventory just being taken) hold its lock for some moments more. */
static int lock_file(int fd)
{
    char holder[32];
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
        ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
        holder[MAX(n, 0)] = '\0';
        int pid = atoi(holder);
        if (errno != EWOULDBLOCK || i == LOCK_TRIES || pid <= 0 || kill(pid, 0) == 0)
            return -1;
        usleep(LOCK_PAUSE_US);
    }
    return 0;
}

int paths_lock_dir(const char *dir, int *ret_fd, struct error *err)
{
    char path[PATH_MAX], holder[32] = "";
    if (text_format(path, sizeof path, "%s/tranched.lock", dir) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", dir);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set(err, -errno, "open %s: %s", path, strerror(errno));
    if (lock_file(fd) < 0) {
        ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
        holder[MAX(n, 0)] = '\0';
        holder[strcspn(holder, "\n")] = '\0';
        error_set(err, -EBUSY, "%s is in use by another tranched%s%s", dir, *holder ? ", process " : "", holder);
        error_hint(err, "stop that one first, or give this one directories of its own with --run-dir and --state-dir");
        return -EBUSY;
    }
    int n = snprintf(holder, sizeof holder, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, holder, (size_t)n, 0) != n)
        return error_set(err, -EIO, "write %s: %s", path, strerror(errno));
    *ret_fd = steal_fd(fd);
    return 0;
}

int paths_worker(char *ret, size_t size, struct error *err)
{
    return program_find("tranche-worker", "TRANCHE_WORKER", TRANCHE_LIBEXECDIR, ret, size, err);
}

int paths_priv(char *ret, size_t size, struct error *err)
{
    return program_find("tranche-priv", NULL, TRANCHE_LIBEXECDIR, ret, size, err);
}

int paths_icd(char *ret, size_t size, struct error *err)
{
    return program_find("libtranche-opencl.so", NULL, TRANCHE_LIBDIR, ret, size, err);
}

int paths_cache(const struct settings *settings, const char *share, char *ret, size_t size)
{
    return text_format(ret, size, "%s/cache/%s", settings->state_dir, share);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    remove(path);
    return 0;
}

void paths_remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

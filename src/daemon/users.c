/* SPDX-License-Identifier: Apache-2.0 */
/* The user ids of shares: see users.h. */
#include "daemon/users.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/paths.h"
#include "daemon/share.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool may_change_users(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct have[2] = { 0 };
    const uint32_t needed = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_CHOWN;
    return syscall(SYS_capget, &header, have) == 0 && (have[0].effective & needed) == needed;
}

/* Whether this user namespace has all of these ids. */
static bool ids_exist(const char *map, uid_t first, uid_t last)
{
    _cleanup_fclose_ FILE *f = fopen(map, "re");
    uint64_t inside, outside, n;
    while (f && fscanf(f, "%" SCNu64 " %" SCNu64 " %" SCNu64, &inside, &outside, &n) == 3)
        if (first >= inside && last < inside + n)
            return true;
    return false;
}

int users_check(struct settings *s, struct error *err)
{
    if (s->first_user == 0 || (geteuid() == 0 && may_change_users() && ids_exist("/proc/self/uid_map", s->first_user, s->last_user) &&
                               ids_exist("/proc/self/gid_map", s->first_user, s->last_user)))
        return 0;
    if (s->users_wanted) {
        error_set(err, -EPERM, "workers cannot become users %u to %u: tranched is not root, or this container has not got them", s->first_user,
                  s->last_user);
        error_hint(err, "start it as root of the host, give ids that exist here, or --worker-users none");
        return -EPERM;
    }
    if (geteuid() == 0)
        log_warning("workers run as tranched's own user: this container has no user ids %u to %u, or may not change to them", s->first_user, s->last_user);
    s->first_user = 0;
    return 0;
}

static bool is_taken(const struct share *share, uid_t user)
{
    for (const struct share *s = share->daemon->shares; s; s = s->next)
        if (s != share && s->user == user)
            return true;
    return false;
}

static int choose(const struct share *share, uid_t *ret, struct error *err)
{
    const struct settings *s = &share->daemon->settings;
    for (uint64_t user = s->first_user; user <= s->last_user; user++) {
        if (is_taken(share, (uid_t)user))
            continue;
        *ret = (uid_t)user;
        return 0;
    }
    error_set(err, -EDQUOT, "every user id from %u to %u belongs to a share", s->first_user, s->last_user);
    error_hint(err, "remove a share, or start tranched with more: --worker-users FIRST-LAST");
    return -EDQUOT;
}

/* One that was another's is emptied: what a stranger compiled is not run. Only while no worker runs that could change it underneath. */
static int give_cache(const char *cache, uid_t user, struct error *err)
{
    paths_remove_tree(cache);
    if (io_make_dirs(cache, err) < 0)
        return err->code;
    return lchown(cache, user, user) < 0 ? error_set(err, -errno, "give %s to user %u: %s", cache, (unsigned)user, strerror(errno)) : 0;
}

/* Its folder is tranched's alone, so an owner that is not tranched's user was chosen by it. */
static bool read_owner(const char *cache, uid_t *ret)
{
    struct stat st;
    if (lstat(cache, &st) < 0 || !S_ISDIR(st.st_mode))
        return false;
    *ret = st.st_uid;
    return true;
}

void users_load(struct share *share)
{
    char cache[PATH_MAX];
    uid_t owner;
    if (paths_cache(&share->daemon->settings, share->wanted.share.name, cache, sizeof cache) == 0 && read_owner(cache, &owner) && owner != geteuid() &&
        !is_taken(share, owner))
        share->user = owner;
}

int users_of_share(struct share *share, const char *cache, uid_t *ret, struct error *err)
{
    bool separate = share->daemon->settings.first_user != 0;
    uid_t owner = 0;
    int r = io_make_dirs(cache, err);
    if (r == 0 && !read_owner(cache, &owner))
        r = error_set(err, -EPERM, "%s is no directory", cache);
    if (r == 0 && separate && !share->user)
        r = choose(share, &share->user, err);
    if (r == 0 && !separate)
        share->user = 0;
    if (r == 0 && !share->workers && owner != (separate ? share->user : geteuid()))
        r = give_cache(cache, separate ? share->user : geteuid(), err);
    /* Without a cache programs are built anew each time: slower, but no reason to refuse a tenant. */
    if (r < 0 && !separate) {
        log_warning("share %s: no program cache: %s", share->wanted.share.name, err->text);
        r = 0;
    }
    if (r == 0)
        *ret = separate ? share->user : 0;
    return r;
}

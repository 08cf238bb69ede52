/* SPDX-License-Identifier: Apache-2.0 */
/* The page's file: creating, adopting, opening, locking, and telling the living from the dead. */
#include "sched/sched_page.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/text.h"
#include "sched/sched_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEAT_BASE (INT64_C(1) << 32)      /* far beyond the content: locks need no bytes behind them */

/* Seats */

static struct flock seat_lock(int64_t seat, short type)
{
    return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = SEAT_BASE + seat, .l_len = 1 };
}

static int64_t client_seat(uint32_t slot)
{
    return SCHED_MAX_OPENERS + (int64_t)slot;
}

static int seat_take(int fd, int64_t seat)
{
    struct flock lock = seat_lock(seat, F_WRLCK);
    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static void seat_leave(int fd, int64_t seat)
{
    struct flock lock = seat_lock(seat, F_UNLCK);
    fcntl(fd, F_OFD_SETLK, &lock);
}

/* Where the kernel cannot tell, the seat counts as taken: nobody loses anything by mistake. */
static bool seat_is_taken(int fd, int64_t seat)
{
    struct flock lock = seat_lock(seat, F_WRLCK);
    return fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}

int sched_page_sit(struct sched_page *page, uint32_t slot)
{
    if (page->own[slot])
        return -EAGAIN;
    int r = seat_take(page->fd, client_seat(slot));
    if (r == 0)
        sched_put(page->own[slot], 1);
    return r == -EACCES ? -EAGAIN : r;
}

void sched_page_stand(struct sched_page *page, uint32_t slot)
{
    seat_leave(page->fd, client_seat(slot));
    sched_put(page->own[slot], 0);
}

bool sched_page_is_alive(struct sched_page *page, uint32_t slot)
{
    return slot < SCHED_MAX_CLIENTS && (sched_get(page->own[slot]) || seat_is_taken(page->fd, client_seat(slot)));
}

static bool opener_is_alive(void *context, uint32_t opener)
{
    const struct sched_page *page = context;
    return opener == page->opener || (opener < SCHED_MAX_OPENERS && seat_is_taken(page->fd, opener));
}

/* The lock */

static void wake_client(struct sched_file *file, uint32_t slot)
{
    if (slot < SCHED_MAX_CLIENTS)
        sched_futex_wake(&file->signals[slot], INT_MAX);
}

static void signal_client(struct sched_file *file, uint32_t slot)
{
    if (slot < SCHED_MAX_CLIENTS)
        __atomic_add_fetch(&file->signals[slot], 1, __ATOMIC_RELEASE);
}

static void page_repair(struct sched_page *page)
{
    page->file->repairs++;
    struct sched_wake wake = sched_core_repair(&page->file->core, clock_now_ns());
    signal_client(page->file, wake.granted);
    wake_client(page->file, wake.granted);
}

uint64_t sched_page_enter(struct sched_page *page)
{
    if (!sched_lock_acquire(&page->file->lock, page->opener, opener_is_alive, page))
        page_repair(page);
    return clock_now_ns();
}

/* A turn granted to the dead would be lost until somebody looks: look before letting go. */
static struct sched_wake pass_over_dead(struct sched_page *page, struct sched_wake wake)
{
    for (int i = 0; i < SCHED_MAX_CLIENTS && wake.granted != SCHED_NONE && !sched_page_is_alive(page, wake.granted); i++)
        wake = sched_core_leave(&page->file->core, wake.granted, clock_now_ns());
    return wake;
}

void sched_page_leave(struct sched_page *page, struct sched_wake wake)
{
    struct sched_file *file = page->file;
    wake = pass_over_dead(page, wake);
    signal_client(file, wake.granted);
    signal_client(file, wake.watch);
    if (!sched_lock_release(&file->lock, page->opener)) {
        /* This process was stopped inside for so long that the lock was broken. What it wrote since may have torn something. */
        sched_lock_acquire(&file->lock, page->opener, opener_is_alive, page);
        page_repair(page);
        sched_lock_release(&file->lock, page->opener);
    }
    wake_client(file, wake.granted);
    wake_client(file, wake.watch);
}

/* Opening */

static void read_boot_id(char *ret, size_t size)
{
    memset(ret, 0, size);
    if (io_read_text(AT_FDCWD, "/proc/sys/kernel/random/boot_id", ret, size) < 0)
        ret[0] = '\0';
}

/* A description of our own: locks on a passed one would be the passer's as well. */
static int reopen(int fd, int *ret_fd, struct error *err)
{
    char path[64];
    text_format(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = open(path, O_RDWR | O_CLOEXEC);
    if (own < 0) {
        int r = error_set(err, -errno, "open the sched page once more (%s): %s", path, strerror(errno));
        error_hint(err, "/proc must be mounted and the page be readable and writable for this user");
        return r;
    }
    *ret_fd = own;
    return 0;
}

static int map_file(int fd, struct sched_file **ret, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set(err, -errno, "sched page: %s", strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size != sizeof(struct sched_file))
        return error_set(err, -EPROTO, "the sched page has %lld bytes, this version's has %zu", (long long)st.st_size,
                         sizeof(struct sched_file));
    void *p = mmap(NULL, sizeof(struct sched_file), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (p == MAP_FAILED)
        return error_set(err, -errno, "map the sched page: %s", strerror(errno));
    *ret = p;
    return 0;
}

static int check_header(const struct sched_file *file, struct error *err)
{
    if (memcmp(file->magic, SCHED_PAGE_MAGIC, sizeof(file->magic)) == 0 && file->version == SCHED_PAGE_VERSION
        && file->size == sizeof(*file))
        return 0;
    error_set(err, -EPROTO, "this is not a sched page of version %d", SCHED_PAGE_VERSION);
    error_hint(err, "tranched and tranche-worker must be of the same version: restart tranched");
    return -EPROTO;
}

static int take_opener_seat(struct sched_page *page, struct error *err)
{
    for (uint32_t seat = 1; seat < SCHED_MAX_OPENERS; seat++) {
        int r = seat_take(page->fd, seat);
        if (r == 0) {
            page->opener = seat;
            return 0;
        }
        if (r != -EAGAIN && r != -EACCES)
            return error_set(err, r, "lock a byte of the sched page: %s", strerror(-r));
    }
    return error_set(err, -EUSERS, "the sched page is open in %d processes, the most there can be", SCHED_MAX_OPENERS - 1);
}

static struct sched_page *page_new(void)
{
    struct sched_page *page = calloc(1, sizeof(*page));
    if (!page)
        return NULL;
    page->fd = page->pass_fd = -1;
    pthread_mutex_init(&page->joining, NULL);
    return page;
}

void sched_page_close(struct sched_page *page)
{
    if (!page)
        return;
    if (page->file)
        munmap(page->file, sizeof(*page->file));
    if (page->fd >= 0)
        close(page->fd);
    if (page->pass_fd >= 0)
        close(page->pass_fd);
    pthread_mutex_destroy(&page->joining);
    free(page);
}

static void close_page(struct sched_page **page)
{
    sched_page_close(*page);
}

/* Makes page->fd, which is ours, into a page that can be used. */
static int page_attach(struct sched_page *page, struct error *err)
{
    int r = reopen(page->fd, &page->pass_fd, err);
    if (r == 0)
        r = map_file(page->fd, &page->file, err);
    if (r == 0)
        r = check_header(page->file, err);
    if (r == 0)
        r = take_opener_seat(page, err);
    if (r < 0)
        return r;
    if (sched_lock_inherit(&page->file->lock, page->opener)) {
        page_repair(page);
        sched_page_leave(page, SCHED_WAKE_NONE);
    }
    return 0;
}

int sched_page_open(int fd, struct sched_page **ret, struct error *err)
{
    _cleanup_(close_page) struct sched_page *page = page_new();
    if (!page)
        return error_set(err, -ENOMEM, "open the sched page: out of memory");
    int r = reopen(fd, &page->fd, err);
    if (r == 0)
        r = page_attach(page, err);
    if (r < 0)
        return r;
    *ret = steal(page);
    return 0;
}

int sched_page_fd(const struct sched_page *page)
{
    return page->pass_fd;
}

void sched_page_fds(const struct sched_page *page, int ret_fds[SCHED_PAGE_FDS])
{
    ret_fds[0] = page->fd;
    ret_fds[1] = page->pass_fd;
}

/* Creating */

static int write_new(int fd, const struct sched_config *config, struct error *err)
{
    int r = -posix_fallocate(fd, 0, sizeof(struct sched_file));   /* now, since a full disk would show later as SIGBUS */
    if (r < 0)
        return error_set(err, r, "no room for a sched page: %s", strerror(-r));
    struct sched_file *file;
    r = map_file(fd, &file, err);
    if (r < 0)
        return r;
    sched_core_init(&file->core, config);
    memcpy(file->magic, SCHED_PAGE_MAGIC, sizeof(file->magic));
    file->version = SCHED_PAGE_VERSION;
    file->size = sizeof(*file);
    read_boot_id(file->boot_id, sizeof(file->boot_id));
    munmap(file, sizeof(*file));
    return 0;
}

/* Written aside and renamed: whoever still maps an old page keeps it whole. */
static int create_file(const char *path, const struct sched_config *config, int *ret_fd, struct error *err)
{
    char aside[PATH_MAX];
    int r = text_format(aside, sizeof(aside), "%s.%d.new", path, getpid());
    if (r < 0)
        return error_set(err, r, "the path %s is too long", path);
    unlink(aside);
    _cleanup_close_ int fd = open(aside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        r = error_set(err, -errno, "create %s: %s", aside, strerror(errno));
        error_hint(err, "the folder must exist and be writable for this user");
        return r;
    }
    r = write_new(fd, config, err);
    if (r == 0 && rename(aside, path) < 0)
        r = error_set(err, -errno, "rename %s to %s: %s", aside, path, strerror(errno));
    if (r < 0) {
        unlink(aside);
        return r;
    }
    *ret_fd = steal_fd(fd);
    return 0;
}

/* Points in time of an earlier boot mean nothing now, nor do its processes. */
static void leave_old_boot(struct sched_page *page)
{
    char now[sizeof(page->file->boot_id)];
    read_boot_id(now, sizeof(now));
    if (memcmp(now, page->file->boot_id, sizeof(now)) == 0)
        return;
    sched_core_forget_times(&page->file->core);
    memcpy(page->file->boot_id, now, sizeof(now));
}

static int adopt(const char *path, const struct sched_config *config, struct sched_page *page, struct error *err)
{
    page->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int r = page->fd < 0 ? error_set(err, -errno, "open %s: %s", path, strerror(errno)) : page_attach(page, err);
    if (r < 0)
        return r;
    sched_page_enter(page);
    leave_old_boot(page);
    page_repair(page);
    sched_page_leave(page, SCHED_WAKE_NONE);
    sched_page_reap(page);
    sched_page_configure(page, config);
    return 0;
}

/* No page there, or one that cannot be used by this version. On any other failure (too many open files, say) the page that is
 * there may be in use: leave it alone. */
static bool may_replace(int r)
{
    return r == -ENOENT || r == -EPROTO || r == -ELOOP || r == -ENXIO;
}

int sched_page_create(const char *path, const struct sched_config *config, struct sched_page **ret, struct error *err)
{
    _cleanup_(close_page) struct sched_page *old = page_new();
    _cleanup_(close_page) struct sched_page *fresh = page_new();
    if (!old || !fresh)
        return error_set(err, -ENOMEM, "create %s: out of memory", path);
    int r = adopt(path, config, old, err);
    if (r == 0)
        *ret = steal(old);
    if (!may_replace(r))
        return r;
    r = create_file(path, config, &fresh->fd, err);
    if (r == 0)
        r = page_attach(fresh, err);
    if (r < 0)
        return r;
    *ret = steal(fresh);
    return 0;
}

void sched_page_configure(struct sched_page *page, const struct sched_config *config)
{
    uint64_t now = sched_page_enter(page);
    sched_page_leave(page, sched_core_configure(&page->file->core, config, now));
}

struct sched_config sched_page_config(struct sched_page *page)
{
    sched_page_enter(page);
    struct sched_config config = sched_core_config(&page->file->core);
    sched_page_leave(page, SCHED_WAKE_NONE);
    return config;
}

/* Shares */

int sched_share_add(struct sched_page *page, const struct sched_share_config *config, struct error *err)
{
    uint64_t now = sched_page_enter(page);
    int r = sched_core_share_add(&page->file->core, config, now, err);
    sched_page_leave(page, SCHED_WAKE_NONE);
    return r;
}

int sched_share_remove(struct sched_page *page, const char *name, struct error *err)
{
    sched_page_reap(page);
    uint64_t now = sched_page_enter(page);
    int r = sched_core_share_remove(&page->file->core, name, now, err);
    sched_page_leave(page, SCHED_WAKE_NONE);
    return r;
}

int sched_share_stat(struct sched_page *page, const char *name, struct sched_share_stat *ret, struct error *err)
{
    struct sched_core *core = &page->file->core;
    uint64_t now = sched_page_enter(page);
    uint32_t share = sched_core_share_find(core, name);
    if (share != SCHED_NONE)
        sched_core_share_stat(core, share, now, ret);
    sched_page_leave(page, SCHED_WAKE_NONE);
    return share != SCHED_NONE ? 0 : error_set(err, -ENOENT, "there is no share %s on this GPU", name);
}

static struct sched_client_stat client_stat(const struct sched_core *core, uint32_t slot, uint64_t now)
{
    const struct sched_core_client *client = &core->clients[slot];
    return (struct sched_client_stat){
        .pid = client->pid, .used_bytes = client->used_bytes, .granted_ns = client->granted_ns,
        .waited_ns = client->waited_ns + sched_core_waited(core, slot, now), .busy_since_ns = client->busy_since_ns,
    };
}

int sched_share_clients(struct sched_page *page, const char *name, struct sched_client_stat *ret, int max)
{
    struct sched_core *core = &page->file->core;
    int n = 0;
    uint64_t now = sched_page_enter(page);
    sched_turn_charge(core, now);
    uint32_t share = sched_core_share_find(core, name);
    for (uint32_t i = 0; share != SCHED_NONE && i < SCHED_MAX_CLIENTS; i++) {
        if (!sched_core_has_client(core, i) || core->clients[i].share != share)
            continue;
        if (n < max)
            ret[n] = client_stat(core, i, now);
        n++;
    }
    sched_page_leave(page, SCHED_WAKE_NONE);
    return n;
}

/* Reaping: look without the lock, then look again inside. A newcomer sits down before it enters, so who is absent inside is dead. */

static bool reap_one(struct sched_page *page, uint32_t slot)
{
    struct sched_core *core = &page->file->core;
    struct sched_wake wake = SCHED_WAKE_NONE;
    uint64_t now = sched_page_enter(page);
    bool dead = sched_core_has_client(core, slot) && !sched_page_is_alive(page, slot);
    if (dead)
        wake = sched_core_leave(core, slot, now);
    sched_page_leave(page, wake);
    return dead;
}

static bool is_suspect(const struct sched_core *core, uint32_t slot)
{
    return sched_get(core->holder) == slot || sched_get(core->clients[slot].phase) == SCHED_OVERRUN;
}

static int reap(struct sched_page *page, bool suspects_only)
{
    struct sched_core *core = &page->file->core;
    int n = 0;
    for (uint32_t i = 0; i < SCHED_MAX_CLIENTS; i++) {
        if (sched_get(core->clients[i].phase) == SCHED_FREE || (suspects_only && !is_suspect(core, i)))
            continue;
        if (!sched_page_is_alive(page, i))
            n += reap_one(page, i);
    }
    return n;
}

int sched_page_reap_suspects(struct sched_page *page)
{
    return reap(page, true);
}

/* Recounts as well: a worker gone wild may have spoiled what follows from the slots, and with it the turns of its neighbours. */
int sched_page_reap(struct sched_page *page)
{
    int n = reap(page, false);
    uint64_t now = sched_page_enter(page);
    sched_page_leave(page, sched_core_repair(&page->file->core, now));
    return n;
}

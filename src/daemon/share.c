/* SPDX-License-Identifier: Apache-2.0 */
/* Shares as they run: see share.h. */
#include "daemon/share.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/describe.h"
#include "daemon/handover.h"
#include "daemon/health.h"
#include "daemon/paths.h"
#include "daemon/users.h"
#include "wire/handshake.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define SHARE_BACKLOG 64
#define SHARE_ACCEPTS_PER_WAKE 16                    /* then the rest of the daemon gets its turn */
#define SHARE_REFUSAL_EVENT_NS (10 * NS_PER_S)       /* a client that knocks in a loop fills no history */
#define SHARE_REMOVE_NS (5 * NS_PER_S)               /* a killed worker that still runs then hangs in its driver */

struct share *share_find(struct daemon *d, const char *name)
{
    for (struct share *s = d->shares; s; s = s->next)
        if (strcmp(s->wanted.share.name, name) == 0)
            return s;
    return NULL;
}

const struct gpu *share_gpu(const struct share *share)
{
    return inventory_find(share->daemon->inventory, share->wanted.gpu_identity);
}

size_t share_list_of_gpu(struct daemon *d, const struct gpu *gpu, struct model_share *ret, size_t max)
{
    size_t n = 0;
    for (struct share *s = d->shares; s && n < max; s = s->next)
        if (strcmp(s->wanted.gpu_identity, gpu_identity(gpu)) == 0)
            ret[n++] = s->wanted.share;
    return n;
}

unsigned share_clients(const struct share *share)
{
    unsigned n = 0;
    for (const struct worker *w = share->workers; w; w = w->next)
        n++;
    return n;
}

static void refuse(struct share *share, int client, enum wire_status status, const char *text, const struct ucred *who)
{
    uint64_t now = clock_now_ns();
    wire_refuse(client, status, text);
    if (share->refused_at_ns && now - share->refused_at_ns < SHARE_REFUSAL_EVENT_NS)
        return;
    share->refused_at_ns = now;
    daemon_event(share->daemon, "client.refused", share->wanted.share.name, "client %d of user %u: %s", (int)who->pid,
                 (unsigned)who->uid, text);
}

static bool may_use(const struct share *share, uid_t uid)
{
    return uid == 0 || uid == geteuid() || uid == share->wanted.owner;
}

static void serve_client(struct share *share, int client)
{
    struct ucred who = { .uid = (uid_t)-1 };
    socklen_t n = sizeof who;
    struct error err = { 0 };
    char text[112], command[32];
    if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 || !may_use(share, who.uid)) {
        refuse(share, client, WIRE_REFUSED_PEER, "this user may not use this share", &who);
        return;
    }
    if (share_clients(share) >= share->daemon->settings.max_clients) {
        snprintf(text, sizeof text, "share %.40s has its %u clients already", share->wanted.share.name, share->daemon->settings.max_clients);
        refuse(share, client, WIRE_REFUSED_FULL, text, &who);
        return;
    }
    if (worker_start(share, client, who.pid, &err) < 0) {
        log_error("share %s: %s", share->wanted.share.name, err.text);
        snprintf(text, sizeof text, "%.110s", err.text);
        refuse(share, client, WIRE_REFUSED_DRIVER, text, &who);
        return;
    }
    worker_command(who.pid, command, sizeof command);
    daemon_event(share->daemon, "client.connected", share->wanted.share.name, "client %d (%s) by worker %d", (int)who.pid, command,
                 (int)share->workers->pid);
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *user)
{
    struct share *share = user;
    for (int i = 0; i < SHARE_ACCEPTS_PER_WAKE; i++) {
        _cleanup_close_ int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0) {
            serve_client(share, client);
            continue;
        }
        if (errno == EAGAIN)
            break;
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        log_error("share %s: accept a client: %s; trying again", share->wanted.share.name, strerror(errno));
        share->accept_paused = true;
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        health_wake(share->daemon);
        break;
    }
    return 0;
}

static int open_socket(struct share *share, struct error *err)
{
    struct daemon *d = share->daemon;
    if (text_format(share->socket_path, sizeof share->socket_path, "%s/shares/%s.sock", d->settings.run_dir, share->wanted.share.name) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long for the socket of share %s", share->wanted.share.name);
    int r = io_listen_unix(share->socket_path, SHARE_BACKLOG, &share->listen_fd, err);
    if (r < 0) {
        if (r == -ENAMETOOLONG)
            error_hint(err, "use a shorter name, or a shorter --run-dir");
        share->socket_path[0] = '\0';
        return r;
    }
    /* accept must not wait for a client that has gone in the meantime. */
    int flags = fcntl(share->listen_fd, F_GETFL);
    if (flags < 0 || fcntl(share->listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return error_set(err, -errno, "set up the socket of share %s: %s", share->wanted.share.name, strerror(errno));
    r = sd_event_add_io(d->loop, &share->accept_source, share->listen_fd, EPOLLIN, on_connect, share);
    return r < 0 ? error_set(err, r, "serve the socket of share %s: %s", share->wanted.share.name, strerror(-r)) : 0;
}

static void close_socket(struct share *share)
{
    share->accept_source = sd_event_source_disable_unref(share->accept_source);
    share->accept_paused = false;
    if (share->listen_fd >= 0)
        close(steal_fd(share->listen_fd));
    if (share->socket_path[0])
        unlink(share->socket_path);
    share->socket_path[0] = '\0';
}

static int join_engine(struct share *share, struct error *err)
{
    const struct model_share *m = &share->wanted.share;
    struct sched_share_config config = { .weight = m->weight, .time_ppm = m->time_ppm, .quota_bytes = m->memory_bytes };
    int r = sched_class_from_string(m->class, &config.class, err);
    if (r < 0)
        return r;
    r = engine_get(share->daemon, share->wanted.gpu, m, &share->engine, err);
    if (r < 0)
        return r;
    snprintf(config.name, sizeof config.name, "%s", m->name);
    r = sched_share_add(share->engine->page, &config, err);
    if (r < 0) {
        engine_put(share->daemon, share->engine, true);
        share->engine = NULL;
    }
    return r;
}

static void adopt_workers(struct share *share)
{
    _cleanup_free_ struct sched_client_stat *clients = calloc(SCHED_MAX_CLIENTS, sizeof *clients);
    int adopted = 0, n = clients ? sched_share_clients(share->engine->page, share->wanted.share.name, clients, SCHED_MAX_CLIENTS) : 0;
    for (int i = 0; i < MIN(n, SCHED_MAX_CLIENTS); i++)
        adopted += !worker_find(share, clients[i].pid) && worker_adopt(share, clients[i].pid, NULL) == 0;
    if (adopted)
        daemon_event(share->daemon, "share.adopted", share->wanted.share.name, "%d running client%s found again", adopted,
                     adopted == 1 ? "" : "s");
}

/* The machine can be another than when the share was made: a VM with fewer cores, a driver removed. */
static int check_gpu(const struct share *share, struct error *err)
{
    const struct model_share *m = &share->wanted.share;
    const struct gpu *gpu = share_gpu(share);
    if (!gpu)
        return error_set(err, -ENODEV, "the host has no GPU %s (%s) now", share->wanted.gpu, share->wanted.gpu_identity);
    if (!gpu->has_opencl)
        return error_set(err, -ENODEV, "%s: %s", share->wanted.gpu, gpu->opencl_missing);
    if (m->cores && m->first_core + m->cores > gpu->opencl.compute_units)
        return error_set(err, -ENODEV, "%s has %u cores now, the share is on cores %u to %u", share->wanted.gpu, gpu->opencl.compute_units,
                         m->first_core, m->first_core + m->cores - 1);
    return 0;
}

/* Page first, so that running workers are found also where the GPU or the socket is not. */
static int share_start(struct share *share, struct error *err)
{
    int r;
    share->problem[0] = '\0';
    if (share->wanted.share.model != MODEL_PASSTHROUGH) {
        if (!share->engine && (r = join_engine(share, err)) < 0)
            return r;
        adopt_workers(share);
    }
    if ((r = check_gpu(share, err)) < 0)
        return r;
    return share->engine && share->listen_fd < 0 ? open_socket(share, err) : 0;
}

static struct share *share_new(struct daemon *d, const struct store_share *wanted)
{
    struct share *share = calloc(1, sizeof *share), **last = &d->shares;
    if (!share)
        return NULL;
    share->daemon = d;
    share->wanted = *wanted;
    share->listen_fd = -1;
    while (*last)
        last = &(*last)->next;
    *last = share;
    return share;
}

/* Stops running it here; remove: for good, with its page and cache. */
static void share_free(struct share *share, bool remove)
{
    struct daemon *d = share->daemon;
    char cache[PATH_MAX];
    for (struct share **p = &d->shares; *p; p = &(*p)->next) {
        if (*p != share)
            continue;
        *p = share->next;
        break;
    }
    handover_forget(share);
    close_socket(share);
    while (share->workers)
        worker_forget(share->workers);
    engine_put(d, share->engine, remove);
    if (remove && paths_cache(&d->settings, share->wanted.share.name, cache, sizeof cache) == 0)
        paths_remove_tree(cache);
    free(share);
}

static void remove_from_page(struct share *share)
{
    struct error err = { 0 };
    if (!share->engine)
        return;
    sched_page_reap(share->engine->page);
    if (sched_share_remove(share->engine->page, share->wanted.share.name, &err) < 0)
        log_warning("share %s: take it off the scheduler page: %s", share->wanted.share.name, err.text);
}

/* Stands in the store, and runs or is about to; on failure nothing is left of it. */
static int share_begin(struct daemon *d, const struct store_share *wanted, const struct store_handover *journal, struct http_request *request,
                       struct share **ret, struct error *err)
{
    int r = journal ? store_add_handover_share(d->store, wanted, journal, err) : store_add_share(d->store, wanted, err);
    if (r < 0)
        return r;
    struct share *share = share_new(d, wanted);
    r = !share ? error_set(err, -ENOMEM, "no memory for the share") : journal ? handover_take(share, journal, request, err) : share_start(share, err);
    if (r < 0) {
        store_remove_share(d->store, wanted->share.name, NULL);
        if (share) {
            remove_from_page(share);
            share_free(share, true);
        }
        return r;
    }
    *ret = share;
    return 0;
}

static int check_name_is_free(struct daemon *d, const char *name, struct error *err)
{
    const struct share *share = name ? share_find(d, name) : NULL;
    if (!share)
        return 0;
    error_set(err, -EEXIST, "there is a share %s already, on %s", name, share->wanted.gpu);
    error_hint(err, "choose another name, or tranche rm %s", name);
    return -EEXIST;
}

static int plan_share(struct daemon *d, const struct gpu *gpu, const struct model_request *wish, struct store_share *wanted, struct error *err)
{
    struct model_defaults defaults = { d->settings.quantum_ns, d->settings.watchdog_ns };
    _cleanup_free_ struct model_share *held = calloc(SCHED_MAX_SHARES, sizeof *held);
    if (!held)
        return error_set(err, -ENOMEM, "no memory for the share");
    int r = check_name_is_free(d, wish->name, err);
    if (r < 0)
        return r;
    size_t held_n = share_list_of_gpu(d, gpu, held, SCHED_MAX_SHARES);
    if (held_n == SCHED_MAX_SHARES)
        return error_set(err, -EDQUOT, "%s has %d shares already", gpu->name, SCHED_MAX_SHARES);
    r = model_plan(gpu, held, held_n, wish, &defaults, &wanted->share, err);
    snprintf(wanted->gpu, sizeof wanted->gpu, "%s", gpu->name);
    snprintf(wanted->gpu_identity, sizeof wanted->gpu_identity, "%s", gpu_identity(gpu));
    return r;
}

int share_create(struct daemon *d, const struct gpu *gpu, const struct model_request *wish, const struct handover_options *options,
                 struct http_request *request, struct error *err)
{
    struct store_share wanted = { .owner = http_uid(request), .created = time(NULL) };
    _cleanup_free_ struct store_handover *journal = NULL;
    struct share *share;
    int r = plan_share(d, gpu, wish, &wanted, err);
    if (r < 0)
        return r;
    bool handed_over = model_is_handed_over(&wanted.share);
    if (!handed_over && (options->force || options->with_group || options->persist)) {
        error_set(err, -EINVAL, "force, with_group and persist are for handing a GPU to a VM");
        error_hint(err, "that is --model passthrough with --profile vfio");
        return -EINVAL;
    }
    if (handed_over) {
        journal = calloc(1, sizeof *journal);
        r = journal ? handover_prepare(d, gpu, options, journal, err) : error_set(err, -ENOMEM, "no memory for the journal");
        if (r < 0)
            return r;
    }
    if (options->dry_run) {
        http_reply(request, 200, json_pack("{s:o}", "operations", journal ? handover_describe_ops(journal) : json_array()), NULL);
        return 0;
    }
    daemon_event(d, "share.created", wanted.share.name, "%s %s on %s%s", model_get(wanted.share.model)->name, wanted.share.profile, gpu->name,
                 text_equal(wanted.share.policy, "none") ? ", unmanaged: policy none gives no time slices" : "");
    r = share_begin(d, &wanted, journal, request, &share, err);
    if (r == 0 && !handed_over)
        http_reply(request, 201, describe_share(share), NULL);
    return r;
}

void share_set_problem(struct share *share, const struct error *err)
{
    bool news = strcmp(share->problem, err->text) != 0;
    snprintf(share->problem, sizeof share->problem, "%s", err->text);
    if (news)
        daemon_event(share->daemon, "share.failed", share->wanted.share.name, "%s", err->text);
}

static bool start_or_note(struct share *share)
{
    struct error err = { 0 };
    if (model_is_handed_over(&share->wanted.share)) {
        if (handover_resume(share, &err) < 0)
            share_set_problem(share, &err);
        return !share->problem[0];
    }
    char before[sizeof share->problem];
    strcpy(before, share->problem);
    if (share_start(share, &err) == 0) {
        if (before[0])
            daemon_event(share->daemon, "share.recovered", share->wanted.share.name, "it runs again");
        return true;
    }
    strcpy(share->problem, before);
    share_set_problem(share, &err);
    return false;
}

void share_load(struct daemon *d, const struct store_share *wanted)
{
    struct share *share = share_new(d, wanted);
    if (share)
        users_load(share);
    if (share)
        start_or_note(share);
    else
        log_error("no memory for share %s", wanted->share.name);
}

unsigned share_retry_failed(struct daemon *d)
{
    unsigned failed = 0;
    for (struct share *s = d->shares; s; s = s->next)
        failed += s->problem[0] && !s->removing && !start_or_note(s);
    return failed;
}

static int refuse_in_use(struct share *share, struct error *err)
{
    char pids[160] = "";
    size_t used = 0;
    for (struct worker *w = share->workers; w && used + 12 < sizeof pids; w = w->next)
        used += (size_t)snprintf(pids + used, sizeof pids - used, "%s%d", used ? ", " : "", (int)(w->client_pid ? w->client_pid : w->pid));
    error_set(err, -EBUSY, "share %s is in use by process%s %s", share->wanted.share.name, share->workers->next ? "es" : "", pids);
    error_hint(err, "end them first, or remove it with --force, which takes the GPU away from them");
    return -EBUSY;
}

void share_finish_removal(struct share *share, struct http_request *request)
{
    struct daemon *d = share->daemon;
    char name[MODEL_NAME_MAX];
    struct error err = { 0 };
    strcpy(name, share->wanted.share.name);
    remove_from_page(share);
    if (store_remove_share(d->store, name, &err) < 0) {
        /* It is still wanted as far as the disk knows, so it would come back at the next start: keep it, and say so. */
        share->removing = false;
        share->remover = NULL;
        engine_put(d, share->engine, false);
        share->engine = NULL;
        if (share->hand) {
            share_set_problem(share, &err);
            daemon_retry(d);
        } else {
            start_or_note(share);
        }
        if (request)
            http_reply_error(request, 500, EXIT_FAILED, err.text, err.hint);
        return;
    }
    share_free(share, true);
    daemon_event(d, "share.removed", name, "removed");
    if (request)
        http_reply(request, 200, json_pack("{s:s}", "removed", name), NULL);
}

int share_remove(struct share *share, bool force, struct http_request *request, struct error *err)
{
    int r;
    if (share->removing)
        return error_set(err, -EBUSY, "share %s is being removed already", share->wanted.share.name);
    if (share->workers && !force)
        return refuse_in_use(share, err);
    if (share->hand)
        return (r = handover_return(share, request, err)) < 0 ? r : -EINPROGRESS;
    share->removing = true;
    share->remover = request;
    share->remove_deadline_ns = clock_now_ns() + SHARE_REMOVE_NS;
    close_socket(share);
    for (struct worker *w = share->workers; w; w = w->next)
        worker_kill(w, "its share was removed");
    health_wake(share->daemon);
    if (!share->workers)
        share_finish_removal(share, request);
    return -EINPROGRESS;
}

void share_worker_ended(struct share *share)
{
    if (share->removing && !share->workers)
        share_finish_removal(share, share->remover);
}

static void give_up_removal(struct share *share)
{
    struct http_request *remover = share->remover;
    char text[160];
    snprintf(text, sizeof text, "worker %d of share %s was killed but does not end: it hangs in its driver", (int)share->workers->pid,
             share->wanted.share.name);
    share->removing = false;
    share->remover = NULL;
    start_or_note(share);
    if (remover)
        http_reply_error(remover, 500, EXIT_FAILED, text, "try again later; dmesg may say more of the driver");
}

void share_check(struct share *share, uint64_t now_ns)
{
    if (share->accept_paused) {
        share->accept_paused = false;
        sd_event_source_set_enabled(share->accept_source, SD_EVENT_ON);
    }
    if (share->removing && share->workers && now_ns > share->remove_deadline_ns)
        give_up_removal(share);
}

void share_forget_all(struct daemon *d)
{
    while (d->shares)
        share_free(d->shares, false);
}

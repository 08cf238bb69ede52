/* SPDX-License-Identifier: Apache-2.0 */
/* Putting tranched together, and its life from start to stop: see daemon.h. */
#include "daemon/daemon.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/api.h"
#include "daemon/health.h"
#include "daemon/machine.h"
#include "daemon/paths.h"
#include "daemon/run.h"
#include "daemon/share.h"
#include "daemon/users.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#define CONTROL_BACKLOG 64
#define RETRY_MIN_US UINT64_C(2000000)
#define RETRY_MAX_US UINT64_C(300000000)

void daemon_event(struct daemon *d, const char *kind, const char *share, const char *format, ...)
{
    char text[768];
    struct error err = { 0 };
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    log_info("%s%s%s: %s", kind, share ? " " : "", share ? share : "", text);
    if (store_add_event(d->store, kind, share, text, &err) == 0) {
        d->store_problem[0] = '\0';
        return;
    }
    if (!d->store_problem[0])
        log_error("events are not kept: %s", err.text);
    snprintf(d->store_problem, sizeof d->store_problem, "%.250s", err.text);
}

static int make_dirs(const struct settings *s, struct error *err)
{
    static const char *const below_run[] = { "shares", "sched" };
    char path[PATH_MAX];
    int r = paths_make_private_dir(s->run_dir, err);
    if (r == 0)
        r = paths_make_private_dir(s->state_dir, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(below_run); i++) {
        r = text_format(path, sizeof path, "%s/%s", s->run_dir, below_run[i]);
        r = r < 0 ? error_set(err, r, "path too long: %.100s…", s->run_dir) : paths_make_private_dir(path, err);
    }
    return r;
}

static int open_control(struct daemon *d, struct error *err)
{
    char path[PATH_MAX];
    int given = sd_listen_fds(1);
    if (given > 1 || (given == 1 && sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_STREAM, 1) <= 0)) {
        error_set(err, -EINVAL, "socket activation must pass one listening unix stream socket, not %d descriptors", given);
        return -EINVAL;
    }
    if (given == 1) {
        d->control_fd = SD_LISTEN_FDS_START;
        return 0;
    }
    if (text_format(path, sizeof path, "%s/control.sock", d->settings.run_dir) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", d->settings.run_dir);
    d->control_is_ours = true;
    int r = io_listen_unix(path, CONTROL_BACKLOG, &d->control_fd, err);
    if (r == -ENAMETOOLONG)
        error_hint(err, "give a shorter --run-dir");
    return r;
}

static void close_control(struct daemon *d)
{
    char path[PATH_MAX];
    if (d->control_fd < 0)
        return;
    close(steal_fd(d->control_fd));
    if (d->control_is_ours && text_format(path, sizeof path, "%s/control.sock", d->settings.run_dir) == 0)
        unlink(path);
}

static int open_store(struct daemon *d, struct error *err)
{
    char path[PATH_MAX];
    if (text_format(path, sizeof path, "%s/tranche.db", d->settings.state_dir) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", d->settings.state_dir);
    return store_open(path, &d->store, err);
}

/* Every client and worker costs a few descriptors; the soft limit is often 1024. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
    return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int open_loop(struct daemon *d, struct error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int r = sd_event_new(&d->loop);
    if (r >= 0)
        r = sd_event_add_signal(d->loop, NULL, SIGTERM, on_signal, NULL);
    if (r >= 0)
        r = sd_event_add_signal(d->loop, NULL, SIGINT, on_signal, NULL);
    return r < 0 ? error_set(err, r, "set up the event loop: %s", strerror(-r)) : 0;
}

struct loading { struct daemon *daemon; int broken; };

static void on_share(const struct store_share *share, void *user)
{
    struct loading *l = user;
    share_load(l->daemon, share);
}

static void on_broken(const char *name, const char *why, void *user)
{
    struct loading *l = user;
    l->broken++;
    log_error("share %.80s is left out: %s", name, why);
}

static int load_shares(struct daemon *d, struct error *err)
{
    struct loading l = { .daemon = d };
    int r = store_each_share(d->store, on_share, on_broken, &l, err);
    if (r == 0 && l.broken == 0)
        engine_clean_pages(d);
    return r;
}

static void arm_retry(struct daemon *d, unsigned failed)
{
    if (failed == 0)
        return;
    sd_event_source_set_time_relative(d->retry, d->retry_us);
    sd_event_source_set_enabled(d->retry, SD_EVENT_ONESHOT);
    d->retry_us = MIN(d->retry_us * 2, RETRY_MAX_US);
}

void daemon_retry(struct daemon *d)
{
    arm_retry(d, 1);
}

static void on_retried(struct daemon *d, const struct error *err, void *user)
{
    arm_retry(d, share_retry_failed(d));
}

static int on_retry(sd_event_source *source, uint64_t usec, void *user)
{
    machine_look(user, on_retried, NULL);
    return 0;
}

/* A GPU's driver may come up after tranched does: shares that cannot run are tried again, ever more seldom. */
static int start_retrying(struct daemon *d, struct error *err)
{
    d->retry_us = RETRY_MIN_US;
    int r = sd_event_add_time_relative(d->loop, &d->retry, CLOCK_MONOTONIC, d->retry_us, 100000, on_retry, d);
    if (r < 0)
        return error_set(err, r, "set up the retry timer: %s", strerror(-r));
    sd_event_source_set_enabled(d->retry, SD_EVENT_OFF);
    arm_retry(d, share_retry_failed(d));
    return 0;
}

static void tell_ready(struct daemon *d)
{
    int fd = d->settings.ready_fd;
    if (fd >= 0) {
        if (write(fd, "\n", 1) != 1)
            log_warning("descriptor %d could not be told that tranched serves", fd);
        close(fd);
        d->settings.ready_fd = -1;
    }
    sd_notify(0, "READY=1\nSTATUS=serving");
}

/* The machine is known: take up the shares, then answer. Callers that came before wait in the socket's backlog. */
static void on_first_look(struct daemon *d, const struct error *looked, void *user)
{
    struct error err = *looked;
    int r = looked->code;
    if (r == 0)
        r = load_shares(d, &err);
    if (r == 0)
        r = health_start(d, &err);
    if (r == 0)
        r = start_retrying(d, &err);
    if (r == 0)
        r = http_start(d->loop, d->control_fd, api_handle, d, &d->http, &err);
    if (r < 0) {
        log_error("%s%s%s", err.text, err.hint[0] ? "; " : "", err.hint);
        sd_event_exit(d->loop, EXIT_FAILED);
        return;
    }
    daemon_event(d, "daemon.started", NULL, "tranched " TRANCHE_VERSION " serves %s", d->settings.run_dir);
    tell_ready(d);
}

static int daemon_open(struct daemon *d, struct error *err)
{
    int r = paths_worker(d->worker_path, sizeof d->worker_path, err);
    if (r == 0 && paths_icd(d->icd_path, sizeof d->icd_path, err) < 0) {
        log_warning("%s; tranche run will not work", err->text);
        d->icd_path[0] = '\0';
    }
    if (r == 0)
        r = open_loop(d, err);
    if (r == 0)
        r = open_store(d, err);
    if (r == 0)
        r = open_control(d, err);
    return r;
}

static void daemon_close(struct daemon *d)
{
    if (d->http)
        daemon_event(d, "daemon.stopped", NULL, "tranched stops; running tenants go on");
    machine_stop(d);
    http_stop(d->http);
    close_control(d);
    health_stop(d);
    d->retry = sd_event_source_disable_unref(d->retry);
    share_forget_all(d);
    inventory_free(d->inventory);
    store_close(d->store);
    sd_event_unref(d->loop);
}

int daemon_run(const struct settings *settings, struct error *err)
{
    _cleanup_close_ int run_lock = -1, state_lock = -1;
    _cleanup_free_ struct daemon *d = calloc(1, sizeof *d);
    if (!d)
        return error_set(err, -ENOMEM, "no memory");
    umask(077);
    raise_descriptor_limit();
    *d = (struct daemon){ .settings = *settings, .started_ns = clock_now_ns(), .control_fd = -1 };
    sched_getaffinity(0, sizeof d->cpus, &d->cpus);
    int r = users_check(&d->settings, err);
    if (r == 0)
        r = make_dirs(settings, err);
    if (r == 0)
        r = paths_lock_dir(settings->run_dir, &run_lock, err);
    if (r == 0 && strcmp(settings->run_dir, settings->state_dir) != 0)
        r = paths_lock_dir(settings->state_dir, &state_lock, err);
    if (r == 0)
        r = daemon_open(d, err);
    if (r == 0) {
        machine_look(d, on_first_look, NULL);
        r = sd_event_loop(d->loop);
        if (r > 0)
            r = error_set(err, -EIO, "tranched could not start");
        else if (r < 0)
            error_set(err, r, "event loop: %s", strerror(-r));
    }
    sd_notify(0, "STOPPING=1");
    daemon_close(d);
    return r;
}

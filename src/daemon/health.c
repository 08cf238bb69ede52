/* SPDX-License-Identifier: Apache-2.0 */
/* The periodic look at all workers: see health.h. */
#include "daemon/health.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/share.h"

#include <signal.h>
#include <string.h>

#define HEALTH_PERIOD_US 500000
#define HEALTH_QUIET_PERIOD_US 5000000    /* while all workers are ours and idle: whether they still are; that they live is seen at once */
#define HEALTH_SETTLE_NS (10 * NS_PER_S)  /* after the start: workers that an earlier tranched started may still join a page */
#define HEALTH_WATCHDOG_FACTOR 2    /* the worker's own watchdog acts at 1; this is for one that cannot act any more */

static void check_stopped(struct worker *w)
{
    bool stopped = worker_process_state(w->pid) == 'T';
    if (stopped && w->seen_stopped)
        worker_kill(w, "it was stopped (SIGSTOP)");
    w->seen_stopped = stopped;
}

static void check_busy(struct worker *w, const struct sched_client_stat *client, uint64_t now)
{
    uint64_t limit = w->share->wanted.share.watchdog_ns * HEALTH_WATCHDOG_FACTOR;
    if (client->busy_since_ns && now > client->busy_since_ns && now - client->busy_since_ns > limit)
        worker_kill(w, "its device work did not end in twice the watchdog's time");
}

/* Compares who is on the page with whom we watch: workers that an earlier tranched started in its last moment join the page after we
 * read it; clients that died unwatched are given back. True when somebody has work, or is not known. */
static bool check_page(struct share *share, struct sched_client_stat *clients, uint64_t now)
{
    int strangers = 0, n = sched_share_clients(share->engine->page, share->wanted.share.name, clients, SCHED_MAX_CLIENTS);
    bool busy = false;
    for (int i = 0; i < MIN(n, SCHED_MAX_CLIENTS); i++) {
        struct worker *w = worker_find(share, clients[i].pid);
        busy = busy || clients[i].busy_since_ns;
        if (w)
            check_busy(w, &clients[i], now);
        else if (worker_adopt(share, clients[i].pid, NULL) < 0)
            strangers++;
    }
    if (strangers)
        sched_page_reap(share->engine->page);
    return busy || strangers;
}

/* When to look again: a share that waits for something, work on the device, a stopped worker, or one whose stop no signal tells us. */
static bool check_share(struct share *share, struct sched_client_stat *clients, uint64_t now)
{
    bool soon = share->removing || share->accept_paused;
    for (struct worker *w = share->workers; w; w = w->next) {
        check_stopped(w);
        soon = soon || w->seen_stopped || w->adopted;
    }
    if (share->engine && clients)
        soon = check_page(share, clients, now) || soon;
    return soon;
}

static int arm(struct daemon *d, uint64_t us)
{
    sd_event_source_set_time_relative(d->health, us);
    return sd_event_source_set_enabled(d->health, SD_EVENT_ONESHOT);
}

static int on_period(sd_event_source *source, uint64_t usec, void *user)
{
    struct daemon *d = user;
    uint64_t now = clock_now_ns();
    bool soon = now - d->started_ns < HEALTH_SETTLE_NS, workers = false;
    struct share *next;
    _cleanup_free_ struct sched_client_stat *clients = calloc(SCHED_MAX_CLIENTS, sizeof *clients);
    for (struct share *share = d->shares; share; share = next) {
        next = share->next;
        soon = check_share(share, clients, now) || soon;
        workers = workers || share->workers;
        share_check(share, now);
    }
    d->health_soon = soon;
    return soon || workers ? arm(d, soon ? HEALTH_PERIOD_US : HEALTH_QUIET_PERIOD_US) : 0;
}

/* A worker has ended, or was stopped: which, and for how long, the looks find out. */
static int on_child(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
    if (info->ssi_code == CLD_STOPPED)
        health_wake(user);
    return 0;
}

int health_start(struct daemon *d, struct error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    d->health_soon = true;
    int r = sd_event_add_signal(d->loop, NULL, SIGCHLD, on_child, d);
    if (r >= 0)
        r = sd_event_add_time_relative(d->loop, &d->health, CLOCK_MONOTONIC, HEALTH_PERIOD_US, 50000, on_period, d);
    return r < 0 ? error_set(err, r, "set up the health timer: %s", strerror(-r)) : 0;
}

void health_wake(struct daemon *d)
{
    int enabled;
    if (!d->health || (d->health_soon && sd_event_source_get_enabled(d->health, &enabled) >= 0 && enabled != SD_EVENT_OFF))
        return;
    d->health_soon = true;
    arm(d, HEALTH_PERIOD_US);
}

void health_stop(struct daemon *d)
{
    d->health = sd_event_source_disable_unref(d->health);
}

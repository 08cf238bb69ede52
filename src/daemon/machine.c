/* SPDX-License-Identifier: Apache-2.0 */
/* Taking the inventory in the event loop: see machine.h. */
#include "daemon/machine.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MACHINE_MAX_WAITERS 80    /* all connections of the control socket, and the start */

struct waiter { machine_looked done; void *user; };

struct probing {
    struct daemon *daemon;
    struct inventory_probe probe;
    char sysfs[PATH_MAX + 8];
    sd_event_source *sources[2], *deadline;
    struct waiter waiters[MACHINE_MAX_WAITERS];
    size_t waiters_n;
};

static void probing_free(struct probing *p)
{
    for (size_t i = 0; i < ARRAY_LEN(p->sources); i++)
        sd_event_source_disable_unref(p->sources[i]);
    sd_event_source_disable_unref(p->deadline);
    inventory_abort(&p->probe);
    free(p);
}

static void log_problem(const struct error *problem)
{
    if (problem->code)
        log_warning("inventory: %s%s%s", problem->text, problem->hint[0] ? "; " : "", problem->hint);
}

static void finish(struct probing *p)
{
    struct daemon *d = p->daemon;
    struct inventory *inventory = NULL;
    struct error err = { 0 };
    if (inventory_end(&p->probe, &inventory, &err) == 0) {
        inventory_free(d->inventory);
        d->inventory = inventory;
    }
    log_problem(&p->probe.nvml_error);
    log_problem(&p->probe.opencl_error);
    log_problem(&err);
    d->probing = NULL;
    for (size_t i = 0; i < p->waiters_n; i++)
        p->waiters[i].done(d, &err, p->waiters[i].user);
    probing_free(p);
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *user)
{
    struct probing *p = user;
    bool nvml = child_pump(&p->probe.nvml), opencl = child_pump(&p->probe.opencl);
    if (nvml)
        p->sources[0] = sd_event_source_disable_unref(p->sources[0]);
    if (opencl)
        p->sources[1] = sd_event_source_disable_unref(p->sources[1]);
    if (nvml && opencl)
        finish(p);
    return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *user)
{
    finish(user);    /* ends what still runs */
    return 0;
}

/* The loop gets a descriptor of its own: a finished child closes its one. */
static int watch_child(struct probing *p, const struct child *child, sd_event_source **ret)
{
    if (child->out < 0 || !child->pid)
        return 0;
    int fd = fcntl(child->out, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return -errno;
    int r = sd_event_add_io(p->daemon->loop, ret, fd, EPOLLIN, on_output, p);
    if (r < 0) {
        close(fd);
        return r;
    }
    return sd_event_source_set_io_fd_own(*ret, true);
}

static int begin(struct daemon *d, struct probing **ret)
{
    struct inventory_sources sources = INVENTORY_SOURCES_DEFAULT;
    struct probing *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    sources.worker = d->worker_path;
    sources.stand_in = d->settings.stand_in;
    sources.devices = d->settings.devices;
    sources.devices_n = d->settings.devices_n;
    snprintf(p->sysfs, sizeof p->sysfs, "%s/sys", d->settings.sysroot);
    sources.sysfs_root = p->sysfs;
    p->daemon = d;
    inventory_begin(&p->probe, &sources);
    int r = watch_child(p, &p->probe.nvml, &p->sources[0]);
    if (r >= 0)
        r = watch_child(p, &p->probe.opencl, &p->sources[1]);
    /* With no child to wait for the end comes at once; otherwise a little after theirs. */
    uint64_t wait_us = p->sources[0] || p->sources[1] ? sources.timeout_ns / 1000 + 1000 : 0;
    if (r >= 0)
        r = sd_event_add_time_relative(d->loop, &p->deadline, CLOCK_MONOTONIC, wait_us, 1000, on_deadline, p);
    if (r < 0) {
        probing_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void machine_look(struct daemon *d, machine_looked done, void *user)
{
    struct error err = { 0 };
    int r = d->probing ? 0 : begin(d, &d->probing);
    if (r == 0 && d->probing->waiters_n == MACHINE_MAX_WAITERS)
        r = -EBUSY;
    if (r < 0) {
        error_set(&err, r, "look at the machine: %s", strerror(-r));
        done(d, &err, user);
        return;
    }
    d->probing->waiters[d->probing->waiters_n++] = (struct waiter){ done, user };
}

void machine_stop(struct daemon *d)
{
    if (d->probing)
        probing_free(d->probing);
    d->probing = NULL;
}

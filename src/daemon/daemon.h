/* SPDX-License-Identifier: Apache-2.0 */
/* daemon: tranched. Owns the store, the control API, the sched pages, the share sockets and the supervision of workers.
 *
 * One thread, one event loop; nothing in it may block for long. It holds no GPU driver: drivers run in workers and in the inventory's
 * children. It may die at any moment: pages and workers live on and the next tranched adopts them.
 * Must never happen here: harm to a running tenant because something else fails (store, inventory, another share); trusting what a
 * tenant, a worker or a page says without a check; killing a process that is not one of our workers. */
#pragma once

#include "base/error.h"
#include "daemon/http.h"
#include "daemon/settings.h"
#include "daemon/store.h"
#include "inventory/inventory.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct share;
struct engine;

struct daemon {
    struct settings settings;
    char worker_path[PATH_MAX], icd_path[PATH_MAX];    /* icd_path empty when there is none */
    uint64_t started_ns;                               /* CLOCK_MONOTONIC */
    cpu_set_t cpus;                                    /* that tranched may use itself; MIG cores are chosen among them */

    sd_event *loop;
    struct store *store;
    char store_problem[256];                           /* last failure to write, empty when fine */
    struct http *http;
    int control_fd;
    bool control_is_ours;                              /* else it came by socket activation, its file stays */

    struct inventory *inventory;
    struct probing *probing;                           /* an inventory being taken; see machine.h */

    struct share *shares;
    struct engine *engines;
    sd_event_source *health;
    bool health_soon;                                  /* its timer, where armed, is the short one */
    sd_event_source *retry;                            /* looks at the machine again while a share is failed */
    uint64_t retry_us;
};

/* Tries the shares that do not run again, after a while. */
void daemon_retry(struct daemon *d);
/* Writes an event to the store and the log. share may be NULL. Never fails: a store that cannot be written is noted in the status. */
void daemon_event(struct daemon *d, const char *kind, const char *share, const char *format, ...) __attribute__((format(printf, 4, 5)));

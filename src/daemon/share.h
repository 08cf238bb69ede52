/* SPDX-License-Identifier: Apache-2.0 */
/* share: what one tenant holds, as tranched runs it: its place on an engine, its socket, its workers.
 *
 * A share is wanted as soon as it stands in the store; one that cannot run now (GPU gone, page or socket not possible) is "failed" with
 * the problem's text, is tried again when the machine was looked at anew, and can be removed. */
#pragma once

#include "base/error.h"
#include "daemon/daemon.h"
#include "daemon/engine.h"
#include "daemon/worker.h"

struct hand;
struct handover_options;

struct share {
    struct daemon *daemon;
    struct store_share wanted;
    struct engine *engine;              /* NULL: passthrough, or failed */
    char socket_path[PATH_MAX];         /* empty when there is none */
    int listen_fd;
    sd_event_source *accept_source;
    struct worker *workers;
    uid_t user;                         /* of its workers; 0: tranched's, or none needed yet */
    char problem[512];                  /* why it does not run; empty when it does */
    uint64_t refused_at_ns;             /* last refusal that became an event */
    bool accept_paused;                 /* out of descriptors: tried again at the next health check */

    struct hand *hand;                  /* its way to a VM and back; NULL for shares of this host's programs. See handover.h */

    bool removing;
    struct http_request *remover;       /* waits for the workers' end */
    uint64_t remove_deadline_ns;

    struct share *next;                 /* in order of creation */
};

struct share *share_find(struct daemon *d, const char *name);
/* The shares on this GPU into ret (at most max); returns how many. */
size_t share_list_of_gpu(struct daemon *d, const struct gpu *gpu, struct model_share *ret, size_t max);
/* The GPU it is on, or NULL when the host has it no more. */
const struct gpu *share_gpu(const struct share *share);
unsigned share_clients(const struct share *share);

/* A new share: placed, stored, started; the request is answered, at once or when the GPU was handed over. -EEXIST when the name is taken,
 * else as model_plan() and handover_prepare(); then the request is the caller's to answer. */
int share_create(struct daemon *d, const struct gpu *gpu, const struct model_request *wish, const struct handover_options *options,
                 struct http_request *request, struct error *err);
/* One that stands in the store already. */
void share_load(struct daemon *d, const struct store_share *wanted);
/* Tries again the ones that do not run. Returns how many still do not. */
unsigned share_retry_failed(struct daemon *d);

/* Removes it. In use: -EBUSY naming the pids, or with force kills its workers; then the request is answered when they have ended (or
 * do not end) and -EINPROGRESS is returned. */
int share_remove(struct share *share, bool force, struct http_request *request, struct error *err);
/* The last of a removal: forgets the share, here and in the store. The request may be NULL. */
void share_finish_removal(struct share *share, struct http_request *request);
/* It does not run now, and why; an event when that is news. */
void share_set_problem(struct share *share, const struct error *err);
/* A worker of this share ended. */
void share_worker_ended(struct share *share);
/* Periodic: gives up a removal that waits too long, accepts again after a shortage. */
void share_check(struct share *share, uint64_t now_ns);
/* Shutdown: stops serving and forgets the share; workers, page and store stay. */
void share_forget_all(struct daemon *d);

/* SPDX-License-Identifier: Apache-2.0 */
/* sched: time slices and memory quota of one GPU (or one MIG instance), in a page of shared memory.
 *
 * Who calls it: tranched creates the page and its shares; every tranche-worker maps the page, joins its share as a client, asks
 * for turns and reserves memory. There is no scheduler process: whoever gives the GPU back picks the next holder, under the
 * page's lock, which outlives its owners (sched_lock.h). Knows nothing of OpenCL. The core (sched_core.h) takes `now` as an
 * argument and does no system call, so that tests and the fleet simulator run the same code on a virtual clock; sched_page.c adds
 * the file, lock and liveness, sched_client.c the waiting.
 *
 * Must never happen here: two holders at once (but for an overrun beyond patience_ns, which is counted); a sum of reservations
 * above a quota; a wait that a dead process can make endless. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define SCHED_MAX_SHARES 128     /* page size bound; a GPU has at most 16 fixed profiles, the rest is for --memory/--time sizes */
#define SCHED_MAX_CLIENTS 512    /* one worker process each: about 20 MiB beyond the driver's own, so memory binds first */
#define SCHED_NAME_MAX 64

/* SCHED_UNMANAGED ("none"): no turns at all, everybody works at once and is only accounted for. To compare with; not for tenants. */
enum sched_policy { SCHED_BEST_EFFORT, SCHED_EQUAL_SHARE, SCHED_FIXED_SHARE, SCHED_UNMANAGED };
const char *sched_policy_to_string(enum sched_policy policy);
int sched_policy_from_string(const char *text, enum sched_policy *ret, struct error *err);

/* A share of the latency class goes next when it has work, and is not kept waiting for the rest of a turn, within its own part of the time. */
enum sched_class { SCHED_CLASS_NORMAL, SCHED_CLASS_LATENCY };
const char *sched_class_to_string(enum sched_class class);
int sched_class_from_string(const char *text, enum sched_class *ret, struct error *err);

struct sched_config {
    enum sched_policy policy;
    uint64_t quantum_ns;     /* longest turn while others wait; 1..30 ms, default 2 ms (the vendor's, facts of NVIDIA vGPU) */
    uint64_t linger_ns;      /* how long a holder that ran dry may keep an unfinished turn while others wait; charged; default 200 us */
    uint64_t patience_ns;    /* a holder that overruns its turn by this no longer stops the others; default 250 ms */
};
#define SCHED_CONFIG_DEFAULT { SCHED_BEST_EFFORT, 2000000, 200000, 250000000 }

struct sched_share_config {
    char name[SCHED_NAME_MAX];
    uint32_t weight;         /* relative weight under contention, 1..1000000 */
    uint32_t time_ppm;       /* fraction of GPU time in parts per million, 0 for the whole; the cap under fixed-share */
    uint64_t quota_bytes;
    enum sched_class class;
};

struct sched_share_stat {
    struct sched_share_config config;
    uint64_t used_bytes, peak_bytes;          /* reserved now by all clients; the most since creation */
    uint64_t refused;                         /* reservations refused for want of quota */
    uint64_t granted_ns, waited_ns, turns;    /* GPU time charged, time spent waiting (by all clients), number of turns */
    uint64_t overruns;                        /* turns that went beyond patience_ns */
    uint32_t clients, waiting;                /* connected now; waiting for a turn now */
    bool holding;                             /* one of its clients has the GPU */
};

struct sched_client_stat {
    int32_t pid;                 /* the worker's */
    uint64_t used_bytes, granted_ns, waited_ns;
    uint64_t busy_since_ns;      /* begin of the present uninterrupted device work (CLOCK_MONOTONIC), 0 when none */
};

struct sched_page;

/* Creates the page file, or adopts the one that is there with its shares, clients and totals (a daemon that was restarted).
 * A file of another version or with nonsense in it is replaced. mode 0600. */
int sched_page_create(const char *path, const struct sched_config *config, struct sched_page **ret, struct error *err);
/* Maps a page from a descriptor that tranched passed. Takes no ownership of fd. -EPROTO when it is not a page of this version. */
int sched_page_open(int fd, struct sched_page **ret, struct error *err);
void sched_page_close(struct sched_page *page);
int sched_page_fd(const struct sched_page *page);
/* Every descriptor that this process holds on the page's file: a sandbox must keep them from being used to shrink it. */
#define SCHED_PAGE_FDS 2
void sched_page_fds(const struct sched_page *page, int ret_fds[SCHED_PAGE_FDS]);
void sched_page_configure(struct sched_page *page, const struct sched_config *config);
struct sched_config sched_page_config(struct sched_page *page);

/* Shares. add is idempotent by name: an adopted share keeps its totals and takes the new configuration. -ENOSPC when full. */
int sched_share_add(struct sched_page *page, const struct sched_share_config *config, struct error *err);
/* -EBUSY while clients are connected, -ENOENT. */
int sched_share_remove(struct sched_page *page, const char *name, struct error *err);
int sched_share_stat(struct sched_page *page, const char *name, struct sched_share_stat *ret, struct error *err);
/* Clients of a share; returns how many there are, fills up to max. */
int sched_share_clients(struct sched_page *page, const char *name, struct sched_client_stat *ret, int max);
/* Frees what dead clients hold: memory, turn, slot. Death is seen by the slot's file lock (held for life by each client, given up
 * by the kernel however the process ends). Returns how many were freed. */
int sched_page_reap(struct sched_page *page);

/* A worker as a client of one share. Thread-safe calls, but one turn per client: the worker's gate counts its own threads. */
struct sched_client;
int sched_client_join(struct sched_page *page, const char *share, struct sched_client **ret, struct error *err);
void sched_client_leave(struct sched_client *client);

/* Waits for a turn. On return the client holds the GPU and may submit work. 0, or -ECANCELED when sched_client_cancel was called. */
int sched_acquire(struct sched_client *client);
/* Work is about to be submitted while holding (marks busy: charged). Each call is a sign of life that patience_ns looks at, so
 * call it, or sched_progress, for each batch also while busy. False when the turn was lost in the meantime (stolen while idle):
 * nothing may be submitted, call sched_acquire. */
bool sched_begin(struct sched_client *client);
/* All submitted work is done. The turn is kept, free of charge while nobody waits; another client may take it at once when the
 * linger time is over or the quantum is used up. */
void sched_end(struct sched_client *client);
/* Gives the turn back and picks the next holder. Call when drained and sched_must_yield says so. Also ends an overrun. */
void sched_release(struct sched_client *client);
/* The quantum (or, under a cap, the allowance) is used up and somebody else waits (or the cap demands a pause), or the turn is lost.
 * A share that is behind the best waiter in charged time by weight goes on beyond the quantum until it has caught up. Cheap: reads
 * only, and the clock only while somebody waits or a cap applies. */
bool sched_must_yield(const struct sched_client *client);
/* Long work should be given to the device in pieces: other shares have clients on this GPU, or this one is under a cap. Reads only. */
bool sched_is_shared(const struct sched_client *client);
/* Progress inside a long batch: restarts busy_since, which the watchdog reads. */
void sched_progress(struct sched_client *client);
/* Ends all present and future waits of this client, for shutdown. */
void sched_client_cancel(struct sched_client *client);
/* Begin of the present uninterrupted device work in CLOCK_MONOTONIC ns, 0 when idle. For the watchdog. */
uint64_t sched_busy_since(const struct sched_client *client);

/* Memory: exact to the byte over all clients of the share. 0 or -EDQUOT; never blocks longer than the page's lock. */
int quota_reserve(struct sched_client *client, uint64_t bytes);
void quota_release(struct sched_client *client, uint64_t bytes);
uint64_t quota_free(struct sched_client *client);

/* SPDX-License-Identifier: Apache-2.0 */
/* store: what is wanted (shares) and what happened (events), in one SQLite file in the state dir.
 *
 * What the machine *is* gets asked of the machine; only wishes and history stand here. Shares are on disk (fsync) when a call returns;
 * events survive a crash of tranched, and may lose the last moments in a power cut. Content is checked on reading: files can be edited. */
#pragma once

#include "base/error.h"
#include "models/model.h"

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#define STORE_MAX_EVENTS 10000     /* kept; about 1 MiB */
#define STORE_GPU_MAX 32

struct store_share {
    struct model_share share;
    char gpu[STORE_GPU_MAX];            /* name at creation */
    char gpu_identity[STORE_GPU_MAX];   /* gpu_identity() */
    uid_t owner;
    int64_t created;                    /* seconds since 1970 */
};

struct store;

/* Opens or makes the file. -EPROTO when it is no store, or of a newer version. */
int store_open(const char *path, struct store **ret, struct error *err);
void store_close(struct store *store);

int store_add_share(struct store *store, const struct store_share *share, struct error *err);
int store_remove_share(struct store *store, const char *name, struct error *err);
/* Calls found() for each share in order of creation; rows with nonsense go to broken() and stay in the file. */
int store_each_share(struct store *store, void (*found)(const struct store_share *share, void *user),
                     void (*broken)(const char *name, const char *why, void *user), void *user, struct error *err);

int store_add_event(struct store *store, const char *kind, const char *share, const char *text, struct error *err);
/* The last `max` events, oldest first: [{"at","kind","share","text"}…]. */
int store_list_events(struct store *store, int max, json_t **ret, struct error *err);
/* Seconds since 1970 as "2024-05-01T10:00:00Z". */
const char *store_format_time(int64_t seconds, char *buf, size_t size);

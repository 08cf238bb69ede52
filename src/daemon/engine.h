/* SPDX-License-Identifier: Apache-2.0 */
/* engine: one sched page: of a GPU, or of one MIG instance. Made with its first share, gone with its last. */
#pragma once

#include "base/error.h"
#include "daemon/daemon.h"
#include "models/model.h"
#include "sched/sched.h"

struct engine {
    char name[128];            /* "gpu0", for MIG "cpu0:SHARE" */
    char path[PATH_MAX];
    struct sched_page *page;
    unsigned users;            /* shares */
    struct engine *next;
};

/* The engine that this share of that GPU belongs to, made or adopted from a page that an earlier tranched left. */
int engine_get(struct daemon *d, const char *gpu, const struct model_share *share, struct engine **ret, struct error *err);
/* remove: also the page's file, when the last share leaves; not at shutdown. Accepts NULL. */
void engine_put(struct daemon *d, struct engine *engine, bool remove);
/* Deletes page files that belong to no engine: left by shares that are gone. Call after all shares were started. */
void engine_clean_pages(struct daemon *d);

/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the store share: store.c (shares, events), store_handover.c (the journal of handing over). */
#pragma once

#include "base/cleanup.h"
#include "daemon/store.h"

#include <sqlite3.h>
#include <stdbool.h>

struct store {
    sqlite3 *db;
    unsigned events_since_trim;
};

static inline void cleanup_statement(sqlite3_stmt **s) { sqlite3_finalize(*s); }
#define _cleanup_statement_ _cleanup_(cleanup_statement)

/* -EPROTO for a broken file, -EIO else, with SQLite's words. */
int store_fail(struct store *s, const char *doing, struct error *err);
int store_run(struct store *s, const char *sql, const char *doing, struct error *err);
/* FULL syncs the write-ahead log at each commit; NORMAL leaves that to checkpoints. */
void store_set_durable(struct store *s, bool durable);

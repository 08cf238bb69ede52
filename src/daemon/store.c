/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite store of shares and events: see store.h. */
#include "daemon/store.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "daemon/store_impl.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define STORE_VERSION 2
#define STORE_TRIM_EVERY 256    /* events between two trims of the table */

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS shares (name TEXT PRIMARY KEY, gpu TEXT NOT NULL, gpu_identity TEXT NOT NULL, model TEXT NOT NULL,"
    " profile TEXT NOT NULL, memory_bytes INTEGER NOT NULL, time_ppm INTEGER NOT NULL, weight INTEGER NOT NULL, policy TEXT NOT NULL,"
    " quantum_ns INTEGER NOT NULL, watchdog_ns INTEGER NOT NULL, first_core INTEGER NOT NULL, cores INTEGER NOT NULL,"
    " owner_uid INTEGER NOT NULL, created INTEGER NOT NULL, class TEXT NOT NULL DEFAULT 'normal');"
    "CREATE TABLE IF NOT EXISTS handovers (share TEXT PRIMARY KEY, state INTEGER NOT NULL, persist INTEGER NOT NULL, options INTEGER NOT NULL,"
    " boot TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS handover_ops (share TEXT NOT NULL, n INTEGER NOT NULL, op TEXT NOT NULL, begun INTEGER NOT NULL,"
    " PRIMARY KEY (share, n));"
    "CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL, share TEXT,"
    " text TEXT NOT NULL);";

/* From each version to the next one; the schema above is the latest. */
static const char *const migrations[STORE_VERSION] = {
    [1] = "ALTER TABLE shares ADD COLUMN class TEXT NOT NULL DEFAULT 'normal'",
};

int store_fail(struct store *s, const char *doing, struct error *err)
{
    int code = sqlite3_errcode(s->db) & 0xff;
    error_set(err, code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? -EPROTO : -EIO, "%s: %s", doing, sqlite3_errmsg(s->db));
    if (code == SQLITE_READONLY || code == SQLITE_FULL || code == SQLITE_IOERR || code == SQLITE_CANTOPEN)
        error_hint(err, "the state directory must be writable and have space; running tenants are not touched");
    return code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? -EPROTO : -EIO;
}

int store_run(struct store *s, const char *sql, const char *doing, struct error *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_fail(s, doing, err);
}

static int get_version(struct store *s, int *ret, struct error *err)
{
    _cleanup_statement_ sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &q, NULL) != SQLITE_OK || sqlite3_step(q) != SQLITE_ROW)
        return store_fail(s, "read the store's version", err);
    *ret = sqlite3_column_int(q, 0);
    return 0;
}

static int set_version(struct store *s, int version, struct error *err)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA user_version=%d", version);
    return store_run(s, sql, "set up the store", err);
}

/* All of a step or nothing: a tranched that is killed here begins with it again. */
static int migrate(struct store *s, int from, struct error *err)
{
    int r = store_run(s, "BEGIN IMMEDIATE", "change the store to this version", err);
    if (r < 0)
        return r;
    r = store_run(s, migrations[from], "change the store to this version", err);
    if (r == 0)
        r = set_version(s, from + 1, err);
    if (r == 0)
        return store_run(s, "COMMIT", "change the store to this version", err);
    sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

static int prepare_file(struct store *s, struct error *err)
{
    int version = 0, r = get_version(s, &version, err);
    if (r < 0)
        return r;
    if (version > STORE_VERSION) {
        error_set(err, -EPROTO, "the store is of version %d, this tranched knows version %d", version, STORE_VERSION);
        error_hint(err, "use the newer tranched, or another --state-dir");
        return -EPROTO;
    }
    /* A store that can be read but not written still serves the shares that are there; each later write says what is wrong. */
    if (version == STORE_VERSION && sqlite3_db_readonly(s->db, "main") == 1)
        return 0;
    r = store_run(s, "PRAGMA journal_mode=WAL", "set up the store", err);
    if (r == 0)
        r = store_run(s, schema, "set up the store", err);
    for (; r == 0 && version > 0 && version < STORE_VERSION; version++)
        r = migrate(s, version, err);
    if (r == 0 && version == 0)
        r = set_version(s, STORE_VERSION, err);
    return r;
}

int store_open(const char *path, struct store **ret, struct error *err)
{
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, -ENOMEM, "no memory for the store");
    int r = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL) == SQLITE_OK ?
            0 : store_fail(s, "open the store", err);
    if (r == 0) {
        sqlite3_busy_timeout(s->db, 2000);
        r = prepare_file(s, err);
    }
    if (r < 0) {
        store_close(s);
        error_wrap(err, "%s", path);
        if (r == -EPROTO && !err->hint[0])
            error_hint(err, "move the file away to begin with no shares, or restore it from a backup");
        return r;
    }
    s->events_since_trim = STORE_TRIM_EVERY;    /* a tranched that is restarted often trims as well */
    *ret = s;
    return 0;
}

void store_close(struct store *store)
{
    if (store)
        sqlite3_close(store->db);
    free(store);
}

/* FULL syncs the write-ahead log at each commit: a share that was answered "created" is there after a power cut. NORMAL leaves that to
 * checkpoints, which is enough for history and costs no disk wait when a client connects. */
void store_set_durable(struct store *s, bool durable)
{
    sqlite3_exec(s->db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
}

int store_add_share(struct store *s, const struct store_share *share, struct error *err)
{
    static const char sql[] = "INSERT INTO shares VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
    const struct model_share *m = &share->share;
    const char *texts[] = { m->name, share->gpu, share->gpu_identity, model_get(m->model)->name, m->profile };
    const int64_t numbers[] = { (int64_t)m->quantum_ns, (int64_t)m->watchdog_ns, m->first_core, m->cores, share->owner, share->created };
    _cleanup_statement_ sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK)
        return store_fail(s, "save the share", err);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        sqlite3_bind_text(q, (int)i + 1, texts[i], -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 6, (int64_t)m->memory_bytes);
    sqlite3_bind_int64(q, 7, m->time_ppm);
    sqlite3_bind_int64(q, 8, m->weight);
    sqlite3_bind_text(q, 9, m->policy, -1, SQLITE_STATIC);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        sqlite3_bind_int64(q, (int)i + 10, numbers[i]);
    sqlite3_bind_text(q, 16, m->class, -1, SQLITE_STATIC);
    store_set_durable(s, true);
    return sqlite3_step(q) == SQLITE_DONE ? 0 : store_fail(s, "save the share", err);
}

static int delete_rows(struct store *s, const char *sql, const char *name, struct error *err)
{
    _cleanup_statement_ sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK)
        return store_fail(s, "remove the share", err);
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    return sqlite3_step(q) == SQLITE_DONE ? 0 : store_fail(s, "remove the share", err);
}

int store_remove_share(struct store *s, const char *name, struct error *err)
{
    static const char *const statements[] = {
        "DELETE FROM handover_ops WHERE share = ?", "DELETE FROM handovers WHERE share = ?", "DELETE FROM shares WHERE name = ?",
    };
    store_set_durable(s, true);
    int r = store_run(s, "BEGIN IMMEDIATE", "remove the share", err);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(statements); i++)
        r = delete_rows(s, statements[i], name, err);
    if (r == 0)
        r = store_run(s, "COMMIT", "remove the share", err);
    if (r < 0)
        store_run(s, "ROLLBACK", "remove the share", NULL);
    return r;
}

static bool column_text(sqlite3_stmt *q, int i, char *ret, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(q, i);
    return text && *text && text_format(ret, size, "%s", text) == 0;
}

static bool column_number(sqlite3_stmt *q, int i, uint64_t min, uint64_t max, uint64_t *ret)
{
    sqlite3_int64 v = sqlite3_column_int64(q, i);
    if (sqlite3_column_type(q, i) != SQLITE_INTEGER || v < 0 || (uint64_t)v < min || (uint64_t)v > max)
        return false;
    *ret = (uint64_t)v;
    return true;
}

static bool read_share(sqlite3_stmt *q, struct store_share *ret)
{
    struct store_share s = { 0 };
    struct model_share *m = &s.share;
    char model[32];
    uint64_t time_ppm, weight, first, cores, owner, created;
    if (!column_text(q, 0, m->name, sizeof m->name) || text_check_name(m->name, NULL) < 0 || !column_text(q, 1, s.gpu, sizeof s.gpu) ||
        strchr(s.gpu, '/') || !column_text(q, 2, s.gpu_identity, sizeof s.gpu_identity) || !column_text(q, 3, model, sizeof model) ||
        model_from_string(model, &m->model, NULL) < 0 || !column_text(q, 4, m->profile, sizeof m->profile) ||
        !column_number(q, 5, 0, INT64_MAX, &m->memory_bytes) || !column_number(q, 6, 1, MODEL_PPM, &time_ppm) ||
        !column_number(q, 7, 1, MODEL_PPM, &weight) || !column_text(q, 8, m->policy, sizeof m->policy) ||
        !model_policy_is_known(m->policy) || !column_number(q, 9, MODEL_QUANTUM_MIN_NS, MODEL_QUANTUM_MAX_NS, &m->quantum_ns) ||
        !column_number(q, 10, MODEL_WATCHDOG_MIN_NS, MODEL_WATCHDOG_MAX_NS, &m->watchdog_ns) ||
        !column_number(q, 11, 0, MODEL_MAX_PROFILES, &first) || !column_number(q, 12, 0, MODEL_MAX_PROFILES, &cores) ||
        !column_number(q, 13, 0, UINT32_MAX, &owner) || !column_number(q, 14, 0, INT64_MAX, &created) ||
        !column_text(q, 15, m->class, sizeof m->class) || !model_class_is_known(m->class))
        return false;
    m->time_ppm = (uint32_t)time_ppm;
    m->weight = (uint32_t)weight;
    m->first_core = (unsigned)first;
    m->cores = (unsigned)cores;
    s.owner = (uid_t)owner;
    s.created = (int64_t)created;
    *ret = s;
    return true;
}

int store_each_share(struct store *s, void (*found)(const struct store_share *share, void *user),
                     void (*broken)(const char *name, const char *why, void *user), void *user, struct error *err)
{
    static const char sql[] = "SELECT name, gpu, gpu_identity, model, profile, memory_bytes, time_ppm, weight, policy, quantum_ns,"
                              " watchdog_ns, first_core, cores, owner_uid, created, class FROM shares ORDER BY created, rowid";
    _cleanup_statement_ sqlite3_stmt *q = NULL;
    int r = SQLITE_DONE;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK)
        return store_fail(s, "read the shares", err);
    while ((r = sqlite3_step(q)) == SQLITE_ROW) {
        struct store_share share;
        const char *name = (const char *)sqlite3_column_text(q, 0);
        if (read_share(q, &share))
            found(&share, user);
        else
            broken(name ? name : "", "its row in the store has values that no tranched wrote", user);
    }
    return r == SQLITE_DONE ? 0 : store_fail(s, "read the shares", err);
}

static void trim_events(struct store *s)
{
    char sql[128];
    if (++s->events_since_trim < STORE_TRIM_EVERY)
        return;
    s->events_since_trim = 0;
    snprintf(sql, sizeof sql, "DELETE FROM events WHERE id <= (SELECT MAX(id) FROM events) - %d", STORE_MAX_EVENTS);
    sqlite3_exec(s->db, sql, NULL, NULL, NULL);
}

int store_add_event(struct store *s, const char *kind, const char *share, const char *text, struct error *err)
{
    _cleanup_statement_ sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, "INSERT INTO events (at, kind, share, text) VALUES (?,?,?,?)", -1, &q, NULL) != SQLITE_OK)
        return store_fail(s, "save an event", err);
    sqlite3_bind_int64(q, 1, time(NULL));
    sqlite3_bind_text(q, 2, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 3, share, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 4, text, -1, SQLITE_STATIC);
    store_set_durable(s, false);
    if (sqlite3_step(q) != SQLITE_DONE)
        return store_fail(s, "save an event", err);
    trim_events(s);
    return 0;
}

const char *store_format_time(int64_t seconds, char *buf, size_t size)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(buf, size, "unknown");
    return buf;
}

int store_list_events(struct store *s, int max, json_t **ret, struct error *err)
{
    static const char sql[] = "SELECT at, kind, share, text FROM (SELECT * FROM events ORDER BY id DESC LIMIT ?) ORDER BY id";
    _cleanup_statement_ sqlite3_stmt *q = NULL;
    int r;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK)
        return store_fail(s, "read the events", err);
    sqlite3_bind_int(q, 1, max);
    json_t *list = json_array();
    while ((r = sqlite3_step(q)) == SQLITE_ROW) {
        char at[32];
        const char *kind = (const char *)sqlite3_column_text(q, 1), *share = (const char *)sqlite3_column_text(q, 2);
        const char *text = (const char *)sqlite3_column_text(q, 3);
        store_format_time(sqlite3_column_int64(q, 0), at, sizeof at);
        json_t *event = json_pack("{s:s, s:s, s:s?, s:s}", "at", at, "kind", kind ? kind : "", "share", share, "text", text ? text : "");
        if (event)
            json_array_append_new(list, event);
    }
    if (r != SQLITE_DONE) {
        json_decref(list);
        return store_fail(s, "read the events", err);
    }
    *ret = list;
    return 0;
}

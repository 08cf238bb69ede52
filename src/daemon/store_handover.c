/* SPDX-License-Identifier: Apache-2.0 */
/* Tables handovers and handover_ops: see store_handover.h. */
#include "daemon/store_handover.h"

#include "base/text.h"
#include "daemon/store_impl.h"

#include <errno.h>
#include <string.h>

#define DOING "write the journal"
#define OPTION_FORCE 1
#define OPTION_WITH_GROUP 2

static int begin(struct store *s, struct error *err)
{
    store_set_durable(s, true);
    return store_run(s, "BEGIN IMMEDIATE", DOING, err);
}

static int end(struct store *s, int r, struct error *err)
{
    if (r == 0)
        r = store_run(s, "COMMIT", DOING, err);
    if (r < 0)
        store_run(s, "ROLLBACK", DOING, NULL);
    return r;
}

static int insert_op(struct store *s, const char *share, unsigned n, const struct op *op, struct error *err)
{
    _cleanup_statement_ sqlite3_stmt *q = NULL;
    json_t *json = op_to_json(op);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return error_set(err, -ENOMEM, "no memory for the journal");
    if (sqlite3_prepare_v2(s->db, "INSERT INTO handover_ops VALUES (?,?,?,0)", -1, &q, NULL) != SQLITE_OK) {
        free(text);
        return store_fail(s, DOING, err);
    }
    sqlite3_bind_text(q, 1, share, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 2, (int)n);
    sqlite3_bind_text(q, 3, text, -1, free);
    return sqlite3_step(q) == SQLITE_DONE ? 0 : store_fail(s, DOING, err);
}

static int insert_handover(struct store *s, const char *share, const struct store_handover *h, struct error *err)
{
    _cleanup_statement_ sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, "INSERT INTO handovers VALUES (?,?,?,?,?)", -1, &q, NULL) != SQLITE_OK)
        return store_fail(s, DOING, err);
    sqlite3_bind_text(q, 1, share, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 2, h->state);
    sqlite3_bind_int(q, 3, h->persist);
    sqlite3_bind_int(q, 4, (h->force ? OPTION_FORCE : 0) | (h->with_group ? OPTION_WITH_GROUP : 0));
    sqlite3_bind_text(q, 5, h->boot, -1, SQLITE_STATIC);
    if (sqlite3_step(q) != SQLITE_DONE)
        return store_fail(s, DOING, err);
    int r = 0;
    for (unsigned i = 0; r == 0 && i < h->n; i++)
        r = insert_op(s, share, i, &h->ops[i].op, err);
    return r;
}

/* A statement whose first parameter is the share, with up to two numbers before it. */
static int change(struct store *s, const char *sql, const char *share, int a, int b, struct error *err)
{
    _cleanup_statement_ sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK)
        return store_fail(s, DOING, err);
    sqlite3_bind_text(q, 1, share, -1, SQLITE_STATIC);
    if (sqlite3_bind_parameter_count(q) > 1)
        sqlite3_bind_int(q, 2, a);
    if (sqlite3_bind_parameter_count(q) > 2)
        sqlite3_bind_int(q, 3, b);
    return sqlite3_step(q) == SQLITE_DONE ? 0 : store_fail(s, DOING, err);
}

int store_add_handover_share(struct store *s, const struct store_share *share, const struct store_handover *handover, struct error *err)
{
    int r = begin(s, err);
    if (r < 0)
        return r;
    r = store_add_share(s, share, err);
    if (r == 0)
        r = insert_handover(s, share->share.name, handover, err);
    return end(s, r, err);
}

int store_replace_handover(struct store *s, const char *share, const struct store_handover *handover, struct error *err)
{
    int r = begin(s, err);
    if (r < 0)
        return r;
    r = change(s, "DELETE FROM handover_ops WHERE share = ?", share, 0, 0, err);
    if (r == 0)
        r = change(s, "DELETE FROM handovers WHERE share = ?", share, 0, 0, err);
    if (r == 0)
        r = insert_handover(s, share, handover, err);
    return end(s, r, err);
}

int store_set_handover_state(struct store *s, const char *share, enum handover_state state, struct error *err)
{
    store_set_durable(s, true);
    return change(s, "UPDATE handovers SET state = ?2 WHERE share = ?1", share, state, 0, err);
}

int store_set_handover_begun(struct store *s, const char *share, unsigned n, bool begun, struct error *err)
{
    store_set_durable(s, true);
    return change(s, "UPDATE handover_ops SET begun = ?3 WHERE share = ?1 AND n = ?2", share, (int)n, begun, err);
}

static int read_ops(struct store *s, const char *share, struct store_handover *h, struct error *err)
{
    _cleanup_statement_ sqlite3_stmt *q = NULL;
    int r;
    if (sqlite3_prepare_v2(s->db, "SELECT op, begun FROM handover_ops WHERE share = ? ORDER BY n", -1, &q, NULL) != SQLITE_OK)
        return store_fail(s, "read the journal", err);
    sqlite3_bind_text(q, 1, share, -1, SQLITE_STATIC);
    while ((r = sqlite3_step(q)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(q, 0);
        json_t *json = json_loads(text ? text : "", JSON_REJECT_DUPLICATES, NULL);
        int bad = h->n == HANDOVER_MAX_OPS || op_from_json(json, &h->ops[h->n].op, err) < 0;
        json_decref(json);
        if (bad)
            return error_set(err, -EPROTO, "the journal of share %s holds an operation that no tranched wrote", share);
        h->ops[h->n++].begun = sqlite3_column_int(q, 1) != 0;
    }
    return r == SQLITE_DONE ? 0 : store_fail(s, "read the journal", err);
}

int store_get_handover(struct store *s, const char *share, struct store_handover *ret, struct error *err)
{
    _cleanup_statement_ sqlite3_stmt *q = NULL;
    memset(ret, 0, sizeof *ret);
    if (sqlite3_prepare_v2(s->db, "SELECT state, persist, options, boot FROM handovers WHERE share = ?", -1, &q, NULL) != SQLITE_OK)
        return store_fail(s, "read the journal", err);
    sqlite3_bind_text(q, 1, share, -1, SQLITE_STATIC);
    int r = sqlite3_step(q);
    if (r == SQLITE_DONE)
        return 0;
    if (r != SQLITE_ROW)
        return store_fail(s, "read the journal", err);
    const char *boot = (const char *)sqlite3_column_text(q, 3);
    int state = sqlite3_column_int(q, 0), options = sqlite3_column_int(q, 2);
    if (state < HANDOVER_TAKING || state > HANDOVER_RETURNING || text_format(ret->boot, sizeof ret->boot, "%s", boot ? boot : "") < 0)
        return error_set(err, -EPROTO, "the journal of share %s has values that no tranched wrote", share);
    ret->state = (enum handover_state)state;
    ret->persist = sqlite3_column_int(q, 1) != 0;
    ret->force = options & OPTION_FORCE;
    ret->with_group = options & OPTION_WITH_GROUP;
    r = read_ops(s, share, ret, err);
    return r < 0 ? r : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Taking and giving back, operation by operation: see handover.h. */
#include "daemon/handover.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/api.h"
#include "daemon/describe.h"
#include "daemon/machine.h"
#include "daemon/privlink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

struct hand {
    struct share *share;
    struct store_handover journal;
    unsigned at;                      /* taking: the operation that is next; returning: how many are left */
    bool running, was_held;           /* was_held: before it was to be given back, so that it can stay */
    struct privlink *link;
    sd_event_source *later;           /* resuming waits for the loop: it may end with the share */
    struct http_request *request;     /* who waits for the end */
    struct error failure;             /* why taking is being undone; code 0 else */
};

static void step_take(struct hand *h);
static void step_return(struct hand *h);

/* For tests of what a crash leaves: with TRANCHE_DIE_AT=n tranched kills itself at the n-th of these points. */
static void crash_point(void)
{
    static unsigned passed;
    const char *at = getenv("TRANCHE_DIE_AT");
    if (at && ++passed == (unsigned)strtoul(at, NULL, 10))
        raise(SIGKILL);
}

static const char *name_of(const struct hand *h)
{
    return h->share->wanted.share.name;
}

static struct daemon *daemon_of(const struct hand *h)
{
    return h->share->daemon;
}

/* ---- plans ---- */

static void read_boot_id(const struct daemon *d, char ret[HANDOVER_BOOT_MAX])
{
    char path[PATH_MAX];
    ret[0] = '\0';
    if (text_format(path, sizeof path, "%s/proc/sys/kernel/random/boot_id", d->settings.sysroot) == 0)
        io_read_text(AT_FDCWD, path, ret, HANDOVER_BOOT_MAX);
}

int handover_prepare(struct daemon *d, const struct gpu *gpu, const struct handover_options *options, struct store_handover *ret, struct error *err)
{
    char sysfs[PATH_MAX], proc[PATH_MAX];
    struct handover plan;
    if (text_format(sysfs, sizeof sysfs, "%s/sys", d->settings.sysroot) < 0 || text_format(proc, sizeof proc, "%s/proc", d->settings.sysroot) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", d->settings.sysroot);
    const struct handover_wish wish = {
        .sysfs_root = sysfs, .proc_root = proc, .address = gpu->pci.address, .force = options->force, .with_group = options->with_group,
        .persistence = gpu->has_nvml ? gpu->nvml.persistence : -1,
    };
    int r = handover_plan(&wish, &plan, err);
    if (r < 0)
        return r;
    *ret = (struct store_handover){ .state = HANDOVER_TAKING, .persist = options->persist, .force = options->force,
                                    .with_group = options->with_group, .n = plan.n };
    read_boot_id(d, ret->boot);
    for (unsigned i = 0; i < plan.n; i++)
        ret->ops[i].op = plan.ops[i];
    return 0;
}

json_t *handover_describe_ops(const struct store_handover *journal)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < journal->n; i++) {
        char text[128];
        json_t *op = op_to_json(&journal->ops[i].op);
        if (op)
            json_object_set_new(op, "text", json_string(op_describe(&journal->ops[i].op, text, sizeof text)));
        json_array_append_new(list, op);
    }
    return list;
}

/* ---- how a run ends ---- */

static void nothing_to_do(struct daemon *d, const struct error *err, void *user)
{
}

static void stop(struct hand *h)
{
    h->running = false;
    privlink_close(h->link);
    h->link = NULL;
    /* Which driver has the GPU is part of the inventory. */
    machine_look(daemon_of(h), nothing_to_do, NULL);
}

/* The share stays, with the problem; retried from time to time and by `tranche rm`. */
static void stop_failed(struct hand *h, const struct error *err)
{
    struct http_request *request = h->request;
    struct daemon *d = daemon_of(h);
    h->request = NULL;
    share_set_problem(h->share, err);
    stop(h);
    daemon_retry(d);
    if (request)
        api_reply_error(request, err);
}

static void finish_take(struct hand *h)
{
    struct share *share = h->share;
    struct http_request *request = h->request;
    struct error err = { 0 };
    if (store_set_handover_state(daemon_of(h)->store, name_of(h), HANDOVER_HELD, &err) < 0) {
        stop_failed(h, &err);
        return;
    }
    crash_point();
    h->journal.state = HANDOVER_HELD;
    h->request = NULL;
    share->problem[0] = '\0';
    stop(h);
    daemon_event(share->daemon, h->failure.code ? "share.kept" : "share.taken", share->wanted.share.name,
                 h->failure.code ? "%s stays with its VM" : "%s was taken from the host for a VM",
                 share->wanted.gpu);
    if (request && h->failure.code)
        api_reply_error(request, &h->failure);
    else if (request)
        http_reply(request, 201, describe_share(share), NULL);
}

static void finish_return(struct hand *h)
{
    struct share *share = h->share;
    struct http_request *request = h->request;
    struct error failure = h->failure;
    h->request = NULL;
    stop(h);
    daemon_event(share->daemon, "share.returned", share->wanted.share.name, "%s is back with the host", share->wanted.gpu);
    if (failure.code && request) {
        api_reply_error(request, &failure);
        request = NULL;
    }
    share_finish_removal(share, request);
}

/* ---- taking ---- */

static void start_return(struct hand *h);

static void on_taken(const struct error *err, void *user)
{
    struct hand *h = user;
    char what[128];
    crash_point();
    if (err->code == 0) {
        h->at++;
        step_take(h);
        return;
    }
    daemon_event(daemon_of(h), "share.failed", name_of(h), "%s", err->text);
    /* What the kernel has not finished cannot be undone now either. */
    if (err->code == -ETIMEDOUT) {
        stop_failed(h, err);
        return;
    }
    h->failure = *err;
    log_info("share %s: undoing what was done: %s", name_of(h), op_describe(&h->journal.ops[h->at].op, what, sizeof what));
    start_return(h);
}

static void step_take(struct hand *h)
{
    struct error err = { 0 };
    if (h->at == h->journal.n) {
        finish_take(h);
        return;
    }
    int r = store_set_handover_begun(daemon_of(h)->store, name_of(h), h->at, true, &err);
    if (r == 0) {
        h->journal.ops[h->at].begun = true;
        crash_point();
        r = privlink_call(h->link, &h->journal.ops[h->at].op, on_taken, h, &err);
    }
    if (r < 0)
        on_taken(&err, h);
}

/* ---- giving back ---- */

/* Somebody changed it meanwhile, it is gone, or it does not matter much: giving back goes on with the rest. */
static bool is_passed_over(const struct op *op, int code)
{
    if (code == -EPIPE || code == -ETIMEDOUT)
        return false;    /* nobody knows what was done */
    return code == -ESTALE || code == -ENODEV || op->kind == OP_CONSOLE || op->kind == OP_FRAMEBUFFER || op->kind == OP_D3COLD || op->kind == OP_PERSISTENCE;
}

/* A VM has it open: what was given back already is taken again, and the share stays. */
static void keep(struct hand *h, const struct error *why)
{
    struct error err = { 0 };
    if (store_set_handover_state(daemon_of(h)->store, name_of(h), HANDOVER_TAKING, &err) < 0) {
        stop_failed(h, &err);
        return;
    }
    h->journal.state = HANDOVER_TAKING;
    h->failure = *why;
    h->was_held = false;
    step_take(h);
}

static void on_returned(const struct error *err, void *user)
{
    struct hand *h = user;
    struct error saving = { 0 };
    crash_point();
    if (err->code == -ETXTBSY && h->was_held) {
        keep(h, err);
        return;
    }
    if (err->code && !is_passed_over(&h->journal.ops[h->at - 1].op, err->code)) {
        stop_failed(h, err);
        return;
    }
    if (err->code)
        daemon_event(daemon_of(h), "share.left", name_of(h), "left as it is: %s", err->text);
    if (store_set_handover_begun(daemon_of(h)->store, name_of(h), h->at - 1, false, &saving) < 0) {
        stop_failed(h, &saving);
        return;
    }
    h->journal.ops[h->at - 1].begun = false;
    h->at--;
    step_return(h);
}

static void step_return(struct hand *h)
{
    struct error err = { 0 };
    while (h->at && (!h->journal.ops[h->at - 1].begun || !op_is_undone(&h->journal.ops[h->at - 1].op)))
        h->at--;
    if (h->at == 0) {
        finish_return(h);
        return;
    }
    struct op undo = op_undo(&h->journal.ops[h->at - 1].op);
    crash_point();
    if (privlink_call(h->link, &undo, on_returned, h, &err) < 0)
        on_returned(&err, h);
}

/* tranche-priv may have ended since: a new line when there is none. */
static int open_link(struct hand *h, struct error *err)
{
    privlink_close(h->link);
    h->link = NULL;
    return privlink_open(daemon_of(h), &h->link, err);
}

static void start_return(struct hand *h)
{
    struct error err = { 0 };
    int r = store_set_handover_state(daemon_of(h)->store, name_of(h), HANDOVER_RETURNING, &err);
    if (r == 0) {
        h->journal.state = HANDOVER_RETURNING;
        crash_point();
        r = open_link(h, &err);
    }
    if (r < 0) {
        stop_failed(h, &err);
        return;
    }
    h->running = true;
    h->at = h->journal.n;
    step_return(h);
}

/* ---- from outside ---- */

static struct hand *hand_new(struct share *share, const struct store_handover *journal)
{
    struct hand *h = calloc(1, sizeof *h);
    if (h)
        *h = (struct hand){ .share = share, .journal = *journal };
    share->hand = h;
    return h;
}

int handover_take(struct share *share, const struct store_handover *journal, struct http_request *request, struct error *err)
{
    struct hand *h = hand_new(share, journal);
    if (!h)
        return error_set(err, -ENOMEM, "no memory for handing %s over", share->wanted.gpu);
    int r = open_link(h, err);
    if (r < 0)
        return r;
    h->request = request;
    h->running = true;
    step_take(h);
    return 0;
}

int handover_return(struct share *share, struct http_request *request, struct error *err)
{
    struct hand *h = share->hand;
    if (h->running)
        return error_set(err, -EBUSY, "%s is on its way %s just now", share->wanted.gpu, h->journal.state == HANDOVER_RETURNING ? "back to the host" : "to a VM");
    h->request = request;
    h->failure = (struct error){ 0 };
    h->was_held = h->journal.state == HANDOVER_HELD;
    start_return(h);
    return 0;
}

/* Held during this boot: is it still as it was left? */
static int check_held(const struct hand *h, struct error *err)
{
    char sysfs[PATH_MAX];
    if (text_format(sysfs, sizeof sysfs, "%s/sys", daemon_of(h)->settings.sysroot) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long");
    for (unsigned i = 0; i < h->journal.n; i++) {
        const struct op *op = &h->journal.ops[i].op;
        char now[OP_VALUE_MAX];
        bool last = op->kind == OP_OVERRIDE || (op->kind == OP_DRIVER && op->to[0]);
        if (!last)
            continue;
        int r = op_read(sysfs, op, now, err);
        if (r < 0)
            return r;
        if (strcmp(now, op->to) != 0) {
            error_set(err, -ESTALE, "%s of %s is '%s' now, not '%s': somebody else changed it", op_kind_name(op->kind), op->device, now, op->to);
            error_hint(err, "tranche rm %s gives back what is left of it", name_of(h));
            return -ESTALE;
        }
    }
    return 0;
}

/* Another boot: nothing is bound any more. A share that is to persist is taken again. */
static int take_again(struct hand *h, struct error *err)
{
    struct share *share = h->share;
    const struct gpu *gpu = share_gpu(share);
    struct handover_options options = { .force = h->journal.force, .with_group = h->journal.with_group, .persist = true };
    struct store_handover journal;
    if (!gpu)
        return error_set(err, -ENODEV, "the host has no GPU %s (%s) now", share->wanted.gpu, share->wanted.gpu_identity);
    int r = handover_prepare(share->daemon, gpu, &options, &journal, err);
    if (r == 0)
        r = store_replace_handover(share->daemon->store, share->wanted.share.name, &journal, err);
    if (r < 0)
        return r;
    h->journal = journal;
    if ((r = open_link(h, err)) < 0)
        return r;
    h->running = true;
    h->at = 0;
    step_take(h);
    return 0;
}

static bool is_of_this_boot(const struct hand *h)
{
    char boot[HANDOVER_BOOT_MAX];
    read_boot_id(daemon_of(h), boot);
    return strcmp(boot, h->journal.boot) == 0;
}

/* May end with the share and h gone. */
static int on_later(sd_event_source *source, void *user)
{
    struct hand *h = user;
    struct share *share = h->share;
    struct error err = { 0 };
    h->later = sd_event_source_disable_unref(h->later);
    if (!is_of_this_boot(h) && h->journal.state != HANDOVER_RETURNING && h->journal.persist) {
        if (take_again(h, &err) < 0)
            stop_failed(h, &err);
    } else if (!is_of_this_boot(h) && h->journal.state == HANDOVER_HELD) {
        daemon_event(share->daemon, "share.ended", share->wanted.share.name, "%s is with the host since the reboot; --persist would have kept the share",
                     share->wanted.gpu);
        share_finish_removal(share, NULL);
    } else {
        daemon_event(share->daemon, "share.resumed", share->wanted.share.name, "handing %s over was interrupted; giving it back", share->wanted.gpu);
        start_return(h);
    }
    return 0;
}

static int load_journal(struct share *share, struct error *err)
{
    _cleanup_free_ struct store_handover *journal = calloc(1, sizeof *journal);
    int r = journal ? store_get_handover(share->daemon->store, share->wanted.share.name, journal, err) : -ENOMEM;
    if (r == 0) {
        error_set(err, -EPROTO, "the journal of share %s is missing", share->wanted.share.name);
        error_hint(err, "tranche doctor shows who has the GPU; driver_override and drivers_probe in sysfs give it back by hand");
        return -EPROTO;
    }
    return r < 0 ? r : hand_new(share, journal) ? 0 : error_set(err, -ENOMEM, "no memory for the journal");
}

int handover_resume(struct share *share, struct error *err)
{
    int r = share->hand ? 0 : load_journal(share, err);
    struct hand *h = share->hand;
    if (r < 0 || h->running || h->later)
        return r;
    if (h->journal.state != HANDOVER_HELD || !is_of_this_boot(h)) {
        r = sd_event_add_defer(daemon_of(h)->loop, &h->later, on_later, h);
        return r < 0 ? error_set(err, r, "go on with handing %s over: %s", share->wanted.gpu, strerror(-r)) : 0;
    }
    if ((r = check_held(h, err)) < 0)
        return r;
    if (share->problem[0])
        daemon_event(share->daemon, "share.recovered", share->wanted.share.name, "it is as it was left again");
    share->problem[0] = '\0';
    return 0;
}

void handover_forget(struct share *share)
{
    struct hand *h = share->hand;
    share->hand = NULL;
    if (h) {
        privlink_close(h->link);
        sd_event_source_disable_unref(h->later);
    }
    free(h);
}

const char *handover_state(const struct share *share)
{
    static const char *const names[] = { [HANDOVER_TAKING] = "taking", [HANDOVER_HELD] = "held", [HANDOVER_RETURNING] = "returning" };
    return share->hand ? names[share->hand->journal.state] : NULL;
}

void handover_describe(const struct share *share, json_t *o)
{
    const struct hand *h = share->hand;
    json_t *functions = json_array();
    if (!h)
        return;
    unsigned done = 0;
    for (unsigned i = 0; i < h->journal.n; i++) {
        const struct op *op = &h->journal.ops[i].op;
        done += h->journal.ops[i].begun;
        if (op->kind == OP_DRIVER && op->to[0])
            json_array_append_new(functions, json_string(op->device));
    }
    json_object_set_new(o, "functions", functions);
    json_object_set_new(o, "handover", json_pack("{s:s, s:b, s:i, s:i, s:o}", "state", handover_state(share), "persist", (int)h->journal.persist,
                                                 "operations", (int)h->journal.n, "begun", (int)done, "steps", handover_describe_ops(&h->journal)));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Routes and bodies of the control API: see api.h. */
#include "daemon/api.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "daemon/describe.h"
#include "daemon/handover.h"
#include "daemon/machine.h"
#include "daemon/share.h"
#include "daemon/vfs.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define API_MAX_EVENTS 1000    /* in one answer */

static int status_of(int code)
{
    switch (error_exit_code(code)) {
    case EXIT_USAGE: return code == -ENOENT ? 404 : 400;
    case EXIT_REFUSED: return code == -ETXTBSY ? 423 : 409;
    case EXIT_NOT_SUPPORTED: return 501;
    default: return 500;
    }
}

void api_reply_error(struct http_request *request, const struct error *err)
{
    http_reply_error(request, status_of(err->code), error_exit_code(err->code), err->text, err->hint);
}

static void reply_list(struct http_request *request, const char *key, json_t *list)
{
    json_t *body = json_object();
    json_object_set_new(body, key, list);
    http_reply(request, 200, body, NULL);
}

static void reply_gpus(struct daemon *d, struct http_request *request)
{
    json_t *list = json_array();
    for (size_t i = 0; i < d->inventory->n; i++)
        json_array_append_new(list, describe_gpu(d, &d->inventory->gpus[i]));
    reply_list(request, "gpus", list);
}

static void on_refreshed(struct daemon *d, const struct error *err, void *user)
{
    if (err->code) {
        api_reply_error(user, err);
        return;
    }
    share_retry_failed(d);
    reply_gpus(d, user);
}

static void get_gpus(struct daemon *d, struct http_request *request, const char *name)
{
    const char *refresh = http_query(request, "refresh");
    if (refresh && strcmp(refresh, "0") != 0)
        machine_look(d, on_refreshed, request);
    else
        reply_gpus(d, request);
}

static void get_shares(struct daemon *d, struct http_request *request, const char *name)
{
    json_t *list = json_array();
    for (struct share *s = d->shares; s; s = s->next)
        json_array_append_new(list, describe_share(s));
    reply_list(request, "shares", list);
}

static struct share *find_or_reply(struct daemon *d, struct http_request *request, const char *name)
{
    struct share *share = share_find(d, name);
    struct error err = { 0 };
    if (!share) {
        error_set(&err, -ENOENT, "there is no share '%.80s'", name);
        error_hint(&err, d->shares ? "tranche shares lists them" : "there are none yet; tranche create makes one");
        api_reply_error(request, &err);
    }
    return share;
}

static void get_share(struct daemon *d, struct http_request *request, const char *name)
{
    struct share *share = find_or_reply(d, request, name);
    if (share)
        http_reply(request, 200, describe_share(share), NULL);
}

static void delete_share(struct daemon *d, struct http_request *request, const char *name)
{
    struct error err = { 0 };
    const char *force = http_query(request, "force");
    struct share *share = find_or_reply(d, request, name);
    if (share && share_remove(share, force && strcmp(force, "0") != 0, request, &err) != -EINPROGRESS)
        api_reply_error(request, &err);
}

/* One row per key of a new share's body. */
enum field_type { FIELD_TEXT, FIELD_U32, FIELD_U64, FIELD_BOOL };
struct create { struct model_request request; struct handover_options options; const char *gpu; };
static const struct field { const char *key; enum field_type type; size_t offset; const char *example; } create_fields[] = {
    { "gpu", FIELD_TEXT, offsetof(struct create, gpu), "\"gpu0\"" },
    { "name", FIELD_TEXT, offsetof(struct create, request.name), "\"a\"" },
    { "model", FIELD_TEXT, offsetof(struct create, request.model), "\"vgpu\"" },
    { "profile", FIELD_TEXT, offsetof(struct create, request.profile), "\"1of4\"" },
    { "policy", FIELD_TEXT, offsetof(struct create, request.policy), "\"best-effort\"" },
    { "class", FIELD_TEXT, offsetof(struct create, request.class), "\"latency\"" },
    { "memory_bytes", FIELD_U64, offsetof(struct create, request.memory_bytes), "1073741824" },
    { "time_ppm", FIELD_U32, offsetof(struct create, request.time_ppm), "250000" },
    { "weight", FIELD_U32, offsetof(struct create, request.weight), "3" },
    { "quantum_ns", FIELD_U64, offsetof(struct create, request.quantum_ns), "2000000" },
    { "watchdog_ns", FIELD_U64, offsetof(struct create, request.watchdog_ns), "30000000000" },
    { "force", FIELD_BOOL, offsetof(struct create, options.force), "true" },
    { "with_group", FIELD_BOOL, offsetof(struct create, options.with_group), "true" },
    { "persist", FIELD_BOOL, offsetof(struct create, options.persist), "true" },
    { "dry_run", FIELD_BOOL, offsetof(struct create, options.dry_run), "true" },
};

static int set_field(struct create *c, const struct field *f, json_t *value, struct error *err)
{
    void *target = (char *)c + f->offset;
    json_int_t n = json_integer_value(value);
    static const char *const forms[] = {
        [FIELD_TEXT] = "text", [FIELD_U32] = "a whole number above 0", [FIELD_U64] = "a whole number above 0", [FIELD_BOOL] = "true or false",
    };
    bool fits = f->type == FIELD_TEXT ? json_is_string(value) : f->type == FIELD_BOOL ? json_is_boolean(value) :
                json_is_integer(value) && n > 0 && (f->type == FIELD_U64 || n <= UINT32_MAX);
    if (!fits) {
        error_set(err, -EINVAL, "\"%s\" must be %s", f->key, forms[f->type]);
        error_hint(err, "for example \"%s\": %s", f->key, f->example);
        return -EINVAL;
    }
    if (f->type == FIELD_TEXT)
        *(const char **)target = json_string_value(value);
    else if (f->type == FIELD_BOOL)
        *(bool *)target = json_is_true(value);
    else if (f->type == FIELD_U32)
        *(uint32_t *)target = (uint32_t)n;
    else
        *(uint64_t *)target = (uint64_t)n;
    return 0;
}

static const struct field *find_field(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(create_fields); i++)
        if (strcmp(create_fields[i].key, key) == 0)
            return &create_fields[i];
    return NULL;
}

/* Texts point into the JSON. null counts as left out. */
static int parse_create(json_t *body, struct create *ret, struct error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(body))
        return error_set(err, -EINVAL, "the body must be a JSON object");
    json_object_foreach(body, key, value) {
        const struct field *f = find_field(key);
        if (!f)
            return error_set(err, -EINVAL, "unknown key \"%.40s\"", key);
        if (json_is_null(value))
            continue;
        int r = set_field(ret, f, value, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < 3; i++)
        if (!*(const char **)((char *)ret + create_fields[i].offset))
            return error_set(err, -EINVAL, "\"%s\" is missing", create_fields[i].key);
    return 0;
}

static const struct gpu *find_gpu(struct daemon *d, const char *text, struct error *err)
{
    const struct gpu *gpu = inventory_find(d->inventory, text);
    char names[160] = "";
    size_t used = 0;
    if (gpu)
        return gpu;
    for (size_t i = 0; i < d->inventory->n && used + 20 < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", d->inventory->gpus[i].name);
    error_set(err, -ENOENT, "there is no GPU '%.60s'", text);
    error_hint(err, used ? "this host has %s" : "tranche gpus lists what the host has", names);
    return NULL;
}

static bool is_json(const struct http_request *request)
{
    const char *type = http_header(request, "Content-Type");
    return !type || (strncasecmp(type, "application/json", 16) == 0 && (!type[16] || strchr("; ", type[16])));
}

static void cleanup_json(json_t **j) { json_decref(*j); }

static void post_shares(struct daemon *d, struct http_request *request, const char *name)
{
    struct create c = { 0 };
    struct error err = { 0 };
    json_error_t where;
    size_t length;
    const char *text = http_body(request, &length);
    _cleanup_(cleanup_json) json_t *body = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (!is_json(request)) {
        http_reply_error(request, 415, EXIT_USAGE, "the body must be application/json", "");
        return;
    }
    int r = body ? parse_create(body, &c, &err) : error_set(&err, -EINVAL, "the body is no JSON: %s", where.text);
    const struct gpu *gpu = r == 0 ? find_gpu(d, c.gpu, &err) : NULL;
    if (!gpu || share_create(d, gpu, &c.request, &c.options, request, &err) < 0)
        api_reply_error(request, &err);
}

static void post_vfs(struct daemon *d, struct http_request *request, const char *name)
{
    struct error err = { 0 };
    size_t length;
    const char *text = http_body(request, &length), *gpu_name;
    json_int_t count;
    _cleanup_(cleanup_json) json_t *body = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    const struct gpu *gpu = NULL;
    if (!body || json_unpack(body, "{s:s, s:I !}", "gpu", &gpu_name, "count", &count) != 0 || count < 0 || count > 65535)
        error_set(&err, -EINVAL, "the body must be {\"gpu\": name, \"count\": number from 0}");
    else
        gpu = find_gpu(d, gpu_name, &err);
    if (!gpu || vfs_set(d, gpu, (unsigned)count, request, &err) < 0)
        api_reply_error(request, &err);
}

static void get_events(struct daemon *d, struct http_request *request, const char *name)
{
    struct error err = { 0 };
    json_t *list;
    if (store_list_events(d->store, API_MAX_EVENTS, &list, &err) < 0)
        api_reply_error(request, &err);
    else
        reply_list(request, "events", list);
}

static void get_status(struct daemon *d, struct http_request *request, const char *name)
{
    int shares = 0, clients = 0;
    for (const struct share *s = d->shares; s; s = s->next) {
        shares++;
        clients += (int)share_clients(s);
    }
    json_t *body = json_pack("{s:s, s:i, s:I, s:s, s:s, s:i, s:i, s:s}", "version", TRANCHE_VERSION, "pid", (int)getpid(),
                             "uptime_s", (json_int_t)((clock_now_ns() - d->started_ns) / NS_PER_S), "run_dir", d->settings.run_dir,
                             "state_dir", d->settings.state_dir, "shares", shares, "clients", clients,
                             "store", d->store_problem[0] ? d->store_problem : "ok");
    http_reply(request, 200, body, NULL);
}

static const struct route {
    const char *method, *path;
    bool named;    /* a share's name follows */
    void (*handle)(struct daemon *d, struct http_request *request, const char *name);
} routes[] = {
    { "GET", "/v1/gpus", false, get_gpus },
    { "GET", "/v1/shares", false, get_shares },
    { "POST", "/v1/shares", false, post_shares },
    { "GET", "/v1/shares/", true, get_share },
    { "DELETE", "/v1/shares/", true, delete_share },
    { "POST", "/v1/vfs", false, post_vfs },
    { "GET", "/v1/events", false, get_events },
    { "GET", "/v1/status", false, get_status },
};

static bool path_matches(const struct route *route, const char *path)
{
    size_t n = strlen(route->path);
    return route->named ? strncmp(path, route->path, n) == 0 && path[n] && !strchr(path + n, '/') : strcmp(path, route->path) == 0;
}

static void reply_no_route(struct http_request *request, const char *allow)
{
    json_t *body;
    if (!allow[0]) {
        http_reply_error(request, 404, EXIT_USAGE, "there is no such call", "ARCHITECTURE.md lists the calls of the control API");
        return;
    }
    body = json_pack("{s:s, s:s, s:i}", "error", "this path does not take that method", "hint", allow, "code", EXIT_USAGE);
    http_reply(request, 405, body, allow);
}

void api_handle(struct http_request *request, void *user)
{
    char allow[64] = "";
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (!path_matches(&routes[i], http_path(request)))
            continue;
        if (strcmp(routes[i].method, http_method(request)) == 0) {
            routes[i].handle(user, request, http_path(request) + strlen(routes[i].path));
            return;
        }
        snprintf(allow + strlen(allow), sizeof allow - strlen(allow), "%s%s", allow[0] ? ", " : "", routes[i].method);
    }
    reply_no_route(request, allow);
}

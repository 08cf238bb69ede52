/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket on libmicrohttpd and sd-event: see http.h. */
#include "daemon/http.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "inventory/label.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define HTTP_IDLE_S 10    /* a caller that says nothing for so long is dropped */

struct http {
    struct MHD_Daemon *mhd;
    sd_event_source *io, *timer;
    http_handler handler;
    void *user;
    struct http_request *waiting;    /* suspended ones */
    bool resumed;                    /* one of them goes on: libmicrohttpd must be driven again */
};

struct http_request {
    struct http *http;
    struct MHD_Connection *connection;
    char *method, *path, *body;
    size_t length;
    uid_t uid;
    bool too_large, handled, answered, suspended;
    struct MHD_Response *response;
    int status;
    struct http_request *next;
};

static void http_set_timer(struct http *http, uint64_t wait_us)
{
    if (!http->timer)
        return;
    sd_event_source_set_time_relative(http->timer, wait_us);
    sd_event_source_set_enabled(http->timer, SD_EVENT_ONESHOT);
}

const char *http_method(const struct http_request *request) { return request->method; }
const char *http_path(const struct http_request *request) { return request->path; }
uid_t http_uid(const struct http_request *request) { return request->uid; }

const char *http_body(const struct http_request *request, size_t *ret_length)
{
    *ret_length = request->length;
    return request->body ? request->body : "";
}

const char *http_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

struct query { const char *name, *value; };

static enum MHD_Result query_item(void *user, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct query *q = user;
    if (strcmp(key, q->name) == 0)
        q->value = value ? value : "";
    return MHD_YES;
}

const char *http_query(const struct http_request *request, const char *name)
{
    struct query q = { .name = name };
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, query_item, &q);
    return q.value;
}

static void unlink_waiting(struct http_request *request)
{
    for (struct http_request **p = &request->http->waiting; *p; p = &(*p)->next) {
        if (*p != request)
            continue;
        *p = request->next;
        return;
    }
}

void http_reply(struct http_request *request, int status, json_t *body, const char *allow)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (request->answered) {
        free(text);
        return;
    }
    if (!text) {
        text = strdup("{\"error\":\"no memory for the answer\",\"hint\":\"\",\"code\":1}");
        status = 500;
    }
    request->response = MHD_create_response_from_buffer(text ? strlen(text) : 0, text, MHD_RESPMEM_MUST_FREE);
    request->status = status;
    request->answered = true;
    if (request->response) {
        MHD_add_response_header(request->response, "Content-Type", "application/json");
        if (allow)
            MHD_add_response_header(request->response, "Allow", allow);
    }
    if (request->suspended) {
        unlink_waiting(request);
        request->suspended = false;
        MHD_resume_connection(request->connection);
        /* libmicrohttpd 0.9.75 does not always wake an external loop for this; and it may be below us on the stack, so not at once. */
        request->http->resumed = true;
        http_set_timer(request->http, 0);
    }
}

void http_reply_error(struct http_request *request, int status, int exit_code, const char *text, const char *hint)
{
    char clean_text[512], clean_hint[256];    /* they may quote what the caller sent, which need not be UTF-8 */
    label_set(clean_text, sizeof clean_text, text);
    label_set(clean_hint, sizeof clean_hint, hint);
    http_reply(request, status, json_pack("{s:s, s:s, s:i}", "error", clean_text, "hint", clean_hint, "code", exit_code), NULL);
}

static bool peer_uid(struct MHD_Connection *connection, uid_t *ret)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred cred;
    socklen_t n = sizeof cred;
    if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
        return false;
    *ret = cred.uid;
    return true;
}

static struct http_request *request_new(struct http *http, struct MHD_Connection *connection, const char *method, const char *path)
{
    struct http_request *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    *r = (struct http_request){ .http = http, .connection = connection, .method = strdup(method), .path = strdup(path), .uid = (uid_t)-1 };
    const char *length = http_header(r, "Content-Length");
    r->too_large = length && strtoull(length, NULL, 10) > HTTP_MAX_BODY;
    return r;
}

static void request_free(struct http_request *r)
{
    if (!r)
        return;
    if (r->suspended)
        unlink_waiting(r);
    if (r->response)
        MHD_destroy_response(r->response);
    free(r->method);
    free(r->path);
    free(r->body);
    free(r);
}

static void request_append(struct http_request *r, const char *data, size_t n)
{
    char *more = r->too_large || n > HTTP_MAX_BODY - r->length ? NULL : realloc(r->body, r->length + n + 1);
    if (!more) {
        r->too_large = true;
        return;
    }
    memcpy(more + r->length, data, n);
    r->body = more;
    r->length += n;
    r->body[r->length] = '\0';
}

static void request_handle(struct http_request *r)
{
    r->handled = true;
    if (!r->method || !r->path)
        http_reply_error(r, 500, EXIT_FAILED, "out of memory", "");
    else if (!peer_uid(r->connection, &r->uid) || (r->uid != geteuid() && r->uid != 0))
        http_reply_error(r, 403, EXIT_REFUSED, "this tranched serves another user", "run your own tranched, or ask its owner");
    else if (r->too_large)
        http_reply_error(r, 413, EXIT_USAGE, "the request is larger than 64 KiB", "");
    else
        r->http->handler(r, r->http->user);
}

static enum MHD_Result request_step(void *user, struct MHD_Connection *connection, const char *path, const char *method,
                                    const char *version, const char *data, size_t *data_n, void **state)
{
    struct http *http = user;
    struct http_request *r = *state;
    if (!r) {
        *state = request_new(http, connection, method, path);
        return *state ? MHD_YES : MHD_NO;
    }
    if (*data_n) {
        request_append(r, data, *data_n);
        *data_n = 0;
        return MHD_YES;
    }
    if (!r->handled)
        request_handle(r);
    if (r->answered)
        return r->response ? MHD_queue_response(connection, (unsigned)r->status, r->response) : MHD_NO;
    r->suspended = true;
    r->next = http->waiting;
    http->waiting = r;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

static void request_completed(void *user, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
    request_free(*state);
    *state = NULL;
}

/* Lets libmicrohttpd do what is due and sets the timer for what it wants to do next. */
static void http_drive(struct http *http)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    http->resumed = false;
    MHD_run(http->mhd);
    if (http->resumed)
        http_set_timer(http, 0);
    else if (MHD_get_timeout(http->mhd, &wait_ms) == MHD_YES)
        http_set_timer(http, (uint64_t)wait_ms * 1000);
    else
        sd_event_source_set_enabled(http->timer, SD_EVENT_OFF);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *user)
{
    http_drive(user);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t now, void *user)
{
    http_drive(user);
    return 0;
}

static void on_log(void *user, const char *format, va_list ap)
{
    char text[512];
    vsnprintf(text, sizeof text, format, ap);
    text[strcspn(text, "\n")] = '\0';
    log_debug("http: %s", text);
}

int http_start(sd_event *loop, int listen_fd, http_handler handler, void *user, struct http **ret, struct error *err)
{
    struct http *http = calloc(1, sizeof *http);
    if (!http)
        return error_set(err, -ENOMEM, "no memory for the control socket");
    http->handler = handler;
    http->user = user;
    http->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, request_step, http,
                                 MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd,
                                 MHD_OPTION_CONNECTION_LIMIT, HTTP_MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_S,
                                 MHD_OPTION_NOTIFY_COMPLETED, request_completed, NULL, MHD_OPTION_END);
    const union MHD_DaemonInfo *info = http->mhd ? MHD_get_daemon_info(http->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    int r = info ? sd_event_add_io(loop, &http->io, info->epoll_fd, EPOLLIN, on_io, http) : -EIO;
    if (r >= 0)
        r = sd_event_add_time_relative(loop, &http->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, http);
    if (r < 0) {
        http_stop(http);
        return error_set(err, r, "start serving the control socket: %s", strerror(-r));
    }
    *ret = http;
    return 0;
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    http->io = sd_event_source_disable_unref(http->io);
    http->timer = sd_event_source_disable_unref(http->timer);
    while (http->waiting)
        http_reply_error(http->waiting, 503, EXIT_FAILED, "tranched is stopping", "start it again: tranched");
    if (http->mhd) {
        MHD_run(http->mhd);
        MHD_quiesce_daemon(http->mhd);
        MHD_stop_daemon(http->mhd);
    }
    free(http);
}

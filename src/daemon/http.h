/* SPDX-License-Identifier: Apache-2.0 */
/* http: the control socket. HTTP/1.1 by libmicrohttpd, driven by the daemon's event loop; every answer is JSON.
 *
 * A handler gets whole requests (bodies are bounded) from callers whose user is known (SO_PEERCRED), and answers at once or later.
 * Must never happen here: blocking the loop; handing a request of a stranger to the handler. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#define HTTP_MAX_BODY (64u << 10)      /* the largest request of the API has some hundred bytes */
#define HTTP_MAX_CONNECTIONS 64

struct http;
struct http_request;
/* Must lead to exactly one http_reply for this request, now or later; until then the connection waits. */
typedef void (*http_handler)(struct http_request *request, void *user);

/* Serves listen_fd, which stays the caller's. */
int http_start(sd_event *loop, int listen_fd, http_handler handler, void *user, struct http **ret, struct error *err);
/* Requests that still wait are answered 503 first. Accepts NULL. */
void http_stop(struct http *http);

const char *http_method(const struct http_request *request);
const char *http_path(const struct http_request *request);
/* Value of ?name=value, "" for a bare ?name, NULL when absent. */
const char *http_query(const struct http_request *request, const char *name);
const char *http_header(const struct http_request *request, const char *name);
const char *http_body(const struct http_request *request, size_t *ret_length);
uid_t http_uid(const struct http_request *request);

/* Takes ownership of body. allow: the Allow header of a 405, else NULL. The request is gone afterwards. */
void http_reply(struct http_request *request, int status, json_t *body, const char *allow);
/* {"error", "hint", "code"} with that status. */
void http_reply_error(struct http_request *request, int status, int exit_code, const char *text, const char *hint);

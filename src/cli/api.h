/* SPDX-License-Identifier: Apache-2.0 */
/* Client of tranched's control API: HTTP/1.1 with JSON on RUN_DIR/control.sock.
 *
 * The daemon may be absent, hung, of another version, or not tranched at all: each gives an error that names the next step. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct cli;
struct api;

/* One request. `path` begins with /v1/ and may carry a query; `body` may be NULL (borrowed). On success *ret is the answer, always a
 * JSON object, and the caller's to json_decref(); `ret` may be NULL.
 * An error answer becomes *err with the daemon's text and hint, and a code whose error_exit_code() is the answer's "code".
 * Blocks until the answer is there, at most API_TIMEOUT_S. -ENOTCONN: nobody serves the socket; -EPROTO: the answer makes no sense. */
int api_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **ret, struct error *err);
#define API_TIMEOUT_S 60
#define API_HANDOVER_TIMEOUT_S 300    /* drivers take seconds to let go of a GPU or to take it back, and there may be several functions */

/* As api_call(), again and again while programs use the GPU (-ETXTBSY), until wait_ns are over; says on stderr for whom it waits. */
int api_call_waiting(struct cli *cli, const char *method, const char *path, json_t *body, uint64_t wait_ns, json_t **ret, struct error *err);

/* GET /v1/shares/NAME for a name as the user typed it: checks the name first. */
int api_get_share(struct cli *cli, const char *name, json_t **ret, struct error *err);

/* The array (object) at `key`, borrowed; -EPROTO where the answer has none. */
int api_get_array(json_t *answer, const char *key, json_t **ret, struct error *err);

/* The connection is reused between calls of one process; not shared between threads. NULL is fine. */
void api_free(struct api *api);

/* Members of answers, tolerant: a missing or differently typed member reads as "", 0 or false. */
const char *api_text(json_t *object, const char *key);
uint64_t api_u64(json_t *object, const char *key);
bool api_bool(json_t *object, const char *key);

static inline void cleanup_json(json_t **j) { json_decref(*j); }
#define _cleanup_json_ __attribute__((cleanup(cleanup_json)))

/* SPDX-License-Identifier: Apache-2.0 */
/* api: the control API's calls, one table row each; ARCHITECTURE.md "Control API" is the contract. */
#pragma once

#include "daemon/http.h"

/* An http_handler; user is the struct daemon. */
void api_handle(struct http_request *request, void *user);
/* The error as an answer, with the status that stands for its code. */
void api_reply_error(struct http_request *request, const struct error *err);

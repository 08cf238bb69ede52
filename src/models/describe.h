/* SPDX-License-Identifier: Apache-2.0 */
/* A GPU and what each model can do with it, as JSON with the members that ARCHITECTURE.md lists under GPU, but those that depend on shares
 * ("model", "policy", "shares"), which whoever knows the shares adds. */
#pragma once

#include "inventory/inventory.h"

#include <jansson.h>
#include <stdint.h>

/* null where there is no value, "" or no memory for it; numbers end at the largest that JSON readers of 64 bits take. */
static inline void describe_set(json_t *o, const char *key, json_t *value) { json_object_set_new(o, key, value ? value : json_null()); }
static inline json_t *describe_text(const char *text) { return text[0] ? json_string(text) : json_null(); }
static inline json_t *describe_number(uint64_t v) { return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v); }

json_t *model_describe_gpu(const struct gpu *gpu);

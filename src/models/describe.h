/* SPDX-License-Identifier: Apache-2.0 */
/* A GPU and what each model can do with it, as JSON with the members that ARCHITECTURE.md lists under GPU, but those that depend on shares
 * ("model", "policy", "shares"), which whoever knows the shares adds. */
#pragma once

#include "inventory/inventory.h"

#include <jansson.h>

json_t *model_describe_gpu(const struct gpu *gpu);

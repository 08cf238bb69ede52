/* SPDX-License-Identifier: Apache-2.0 */
/* describe: GPUs and shares as the JSON of the control API (ARCHITECTURE.md has the fields). */
#pragma once

#include "daemon/share.h"

json_t *describe_gpu(struct daemon *d, const struct gpu *gpu);
json_t *describe_share(struct share *share);

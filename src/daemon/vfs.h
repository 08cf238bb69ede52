/* SPDX-License-Identifier: Apache-2.0 */
/* How many virtual functions (SR-IOV) a GPU has. Not journaled: the kernel keeps the number, and whoever asked reads it. */
#pragma once

#include "daemon/daemon.h"

/* Sets it and answers the request with the list of the GPU and its virtual functions. -EBUSY naming the shares on them; else as
 * handover_plan_vfs(). On an error the request is the caller's to answer. */
int vfs_set(struct daemon *d, const struct gpu *gpu, unsigned count, struct http_request *request, struct error *err);

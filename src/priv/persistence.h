/* SPDX-License-Identifier: Apache-2.0 */
/* Persistence mode of an NVIDIA GPU: while it is on, the driver keeps the GPU initialised and counts as its user, so it cannot be unbound.
 * Source: NVML API reference, nvmlDeviceGetPersistenceMode and nvmlDeviceSetPersistenceMode (needs root). Loads the driver's library:
 * call it in a child process. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* -EOPNOTSUPP when the library, the GPU in it or the calls are not there. */
int persistence_get(const char *address, bool *ret_on, struct error *err);
int persistence_set(const char *address, bool on, struct error *err);

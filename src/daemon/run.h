/* SPDX-License-Identifier: Apache-2.0 */
/* Running tranched. */
#pragma once

#include "base/error.h"
#include "daemon/settings.h"

/* Serves until SIGTERM or SIGINT; workers and shares are left as they are. -EBUSY when another tranched has the directories. */
int daemon_run(const struct settings *settings, struct error *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* machine: takes the inventory without stopping the loop: children ask the drivers, the loop goes on, the answer comes when they are
 * done or their deadline is over. The old inventory serves until then. */
#pragma once

#include "daemon/daemon.h"

/* Called when an inventory was taken (d->inventory is the new one) or could not be (err->code, d->inventory is as before). */
typedef void (*machine_looked)(struct daemon *d, const struct error *err, void *user);

/* Looks at the machine; several callers at once share one look. */
void machine_look(struct daemon *d, machine_looked done, void *user);
/* Drops a look that is under way; nobody is called. */
void machine_stop(struct daemon *d);

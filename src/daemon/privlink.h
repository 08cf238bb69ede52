/* SPDX-License-Identifier: Apache-2.0 */
/* privlink: tranched's line to a tranche-priv, which does what needs root. One for each handing over, so that one that hangs in a driver
 * holds up nobody else. Never blocks. */
#pragma once

#include "base/error.h"
#include "daemon/daemon.h"
#include "ops/op.h"

struct privlink;
/* err->code is 0 when it was done, else as in priv/serve.h; -EPIPE when tranche-priv ended. */
typedef void (*privlink_done)(const struct error *err, void *user);

/* Connects to the socket $TRANCHE_PRIV or /run/tranche-priv.sock; without one, root starts the program itself. -EOPNOTSUPP with what to do
 * when neither is possible. */
int privlink_open(struct daemon *d, struct privlink **ret, struct error *err);
/* One operation at a time; done is called once, later, unless the link is closed before. */
int privlink_call(struct privlink *link, const struct op *op, privlink_done done, void *user, struct error *err);
/* An operation under way is not stopped. Accepts NULL. */
void privlink_close(struct privlink *link);

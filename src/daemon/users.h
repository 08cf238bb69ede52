/* SPDX-License-Identifier: Apache-2.0 */
/* users: whom the workers of a share run as. Where tranched is root each share has a user id of its own, from a range that belongs to nobody, so that
 * no share's workers can touch another's processes or files, and none of them is root. The id is the owner of the share's program cache: it lasts as
 * long as the share, without a word in the store. */
#pragma once

#include "base/error.h"
#include "daemon/settings.h"

#include <sys/types.h>

struct share;

/* At the start: takes the range out of the settings where it cannot be used (not root, or a container that has not got these ids or may not change to
 * them), with a word in the log. -EPERM where the range was asked for by name. */
int users_check(struct settings *settings, struct error *err);
/* For a share that was there before this tranched: the id it has, since its workers may run. */
void users_load(struct share *share);
/* Makes the share's program cache and says who owns it; 0 means tranched's own user. -EDQUOT when all ids are in use. */
int users_of_share(struct share *share, const char *cache, uid_t *ret, struct error *err);

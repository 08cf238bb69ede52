/* SPDX-License-Identifier: Apache-2.0 */
/* handover: a GPU's way from the host to a VM and back, one journaled operation after the other, without stopping the loop.
 *
 * Before each operation the journal says that it is begun; so after a kill at any moment the journal names all that may have been done.
 * Taking that was not finished is undone at the next start, and the share goes: nobody was told that it is there. Giving back that was
 * not finished goes on. An operation that is done already is passed over, so every step may be repeated (ops/op.h).
 * Must never happen here: an operation before its journal entry is on disk; a share forgotten while a device of it is not back. */
#pragma once

#include "daemon/share.h"
#include "daemon/store_handover.h"

struct handover_options {
    bool force, with_group, persist, dry_run;
};

/* The plan for a new share of this GPU. As handover_plan(). */
int handover_prepare(struct daemon *d, const struct gpu *gpu, const struct handover_options *options, struct store_handover *ret, struct error *err);
json_t *handover_describe_ops(const struct store_handover *journal);

/* For a share that stands in the store with its journal. From here on share->hand is set; the request (may be NULL) is answered at the end:
 * 201 with the share, or the error after all is undone and the share is gone. */
int handover_take(struct share *share, const struct store_handover *journal, struct http_request *request, struct error *err);
/* Gives the device back, then removes the share. The request is answered at the end. */
int handover_return(struct share *share, struct http_request *request, struct error *err);
/* Reads the journal of a loaded share and goes on where it ended, from the loop; also called for retries. -ESTALE when somebody changed what
 * is held. */
int handover_resume(struct share *share, struct error *err);
/* Stops; the operation under way is finished by tranche-priv, the journal stays. Accepts a share without. */
void handover_forget(struct share *share);

/* "taking", "held", "returning"; NULL for a share without. */
const char *handover_state(const struct share *share);
/* Adds "functions" and "handover" of such a share to its description. */
void handover_describe(const struct share *share, json_t *o);

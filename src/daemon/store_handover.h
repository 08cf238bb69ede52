/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of handing GPUs over to VMs: which operations a share needs, and which of them were begun. Each call is on disk when it
 * returns, so that after a kill or a power cut the journal never knows less than was done to the machine. */
#pragma once

#include "daemon/store.h"
#include "ops/handover.h"

enum handover_state {
    HANDOVER_TAKING,       /* away from the host; nobody was told yet that it is done */
    HANDOVER_HELD,         /* all operations were done, the VM may have it */
    HANDOVER_RETURNING,    /* back to the host */
};

#define HANDOVER_BOOT_MAX 40    /* /proc/sys/kernel/random/boot_id */

struct store_handover {
    enum handover_state state;
    bool persist, force, with_group;
    char boot[HANDOVER_BOOT_MAX];    /* during which it was taken: what is bound ends with the boot */
    unsigned n;
    struct { struct op op; bool begun; } ops[HANDOVER_MAX_OPS];
};

/* A new share together with its journal, nothing of it begun. */
int store_add_handover_share(struct store *store, const struct store_share *share, const struct store_handover *handover, struct error *err);
/* Puts another journal in the place of the share's. */
int store_replace_handover(struct store *store, const char *share, const struct store_handover *handover, struct error *err);
int store_set_handover_state(struct store *store, const char *share, enum handover_state state, struct error *err);
int store_set_handover_begun(struct store *store, const char *share, unsigned n, bool begun, struct error *err);
/* 1 when there is one, 0 when not; -EPROTO when it makes no sense. */
int store_get_handover(struct store *store, const char *share, struct store_handover *ret, struct error *err);

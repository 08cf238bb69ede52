/* SPDX-License-Identifier: Apache-2.0 */
/* priv: tranche-priv, the only part of tranche with root's rights.
 *
 * It does what src/ops lists and nothing else, for tranched, which may have no rights at all. Each request is checked as if it came from
 * an enemy: form, device, present value. Each is carried out in a child process with a deadline: what hangs in the kernel hangs there.
 *
 * Protocol: SOCK_SEQPACKET on a unix socket, one JSON object per message, one answer to each, in order.
 *   {"id": n, "op": {"kind", "device", "from", "to"}}   ->  {"id": n, "code": 0} or {"id": n, "code": -errno, "text", "hint"}
 * -ETIMEDOUT: the kernel has not finished. The child that waits for it holds a lock on the device, so until it has, operations on that
 * device are refused with -EBUSY, also those of another tranche-priv. */
#pragma once

#include "base/error.h"
#include "priv/allow.h"
#include "priv/carry.h"

#include <stdint.h>
#include <sys/types.h>

#define PRIV_MESSAGE_MAX 4096u

struct priv {
    struct carry_roots roots;
    struct allow allow;
    uint64_t deadline_ns;    /* for one operation */
    uid_t user;              /* who may ask beside root; (uid_t)-1 nobody */
};

/* Answers the requests of one connected peer until it leaves. */
int serve_peer(const struct priv *priv, int fd, struct error *err);
/* Takes peers from a listening socket, one after the other, for ever. */
int serve_listen(const struct priv *priv, int fd, struct error *err);

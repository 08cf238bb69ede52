/* SPDX-License-Identifier: Apache-2.0 */
/* Carrying an operation out: the writes to sysfs that need root. Called in a child process of tranche-priv, since a driver may keep a
 * write for ever (uninterruptible sleep in its remove function). */
#pragma once

#include "ops/op.h"

/* Where things are: "", "/sys" and "/proc" but in tests. */
struct carry_roots { const char *sysroot, *sysfs, *proc; };

/* Sets the attribute when it still has the first value; done already when it has the second. -ESTALE when it has another: somebody
 * else changed the machine. -EBUSY when the driver or the host uses the device, or when an earlier operation on it has not come back. Verified
 * by reading back. Holds a lock on the device until this process ends: an operation that hangs keeps others away. */
int carry_op(const struct carry_roots *roots, const struct op *op, struct error *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* An error that lives on the caller's stack: what went wrong, and what to do next.
 *
 * Functions that can fail take `struct error *err` last and return 0 or a negative errno. There are two forms only:
 *     return error_set(err, -EBUSY, "GPU %s is bound to %s", gpu, driver);
 *     return error_wrap(err, "create share %s", name);         (prefixes, keeps code and hint)
 * error_hint() adds the next step for the operator. Nothing allocates, so it works when memory is out. `err` may be NULL. */
#pragma once

struct error {
    int code;          /* negative errno */
    char text[512];    /* the chain, outermost first */
    char hint[256];    /* next step, or empty */
};

int error_set(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_hint(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Exit codes of every tranche program; documented in tranche(1). */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_REFUSED = 3,         /* by policy or quota: -EBUSY, -ETXTBSY (programs have it open), -EEXIST, -EDQUOT, -EPERM, -EACCES */
    EXIT_NOT_SUPPORTED = 4,   /* on this machine: -EOPNOTSUPP */
};

/* The exit code that stands for a negative errno. -EINVAL and -ENOENT of a named thing are usage errors (2). */
int error_exit_code(int code);

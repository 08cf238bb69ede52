/* SPDX-License-Identifier: Apache-2.0 */
/* A tenant of a share for `tranche compare`: tranche-bench as a child process. It is started without a shell, dies with its parent,
 * and is told when to begin and when to end. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tenant {
    pid_t pid;         /* 0: not running */
    int ready, go;     /* pipes: the tenant is warm; it may begin */
    int out, log;      /* its JSON, and what it said on stderr */
};
#define TENANT_NONE { .ready = -1, .go = -1, .out = -1, .log = -1 }

/* Set by the signal that asks compare to stop: every wait below then ends with -EINTR. */
extern volatile sig_atomic_t tenant_stop;

/* The tranche-bench beside this program, or the installed one. */
int tenant_find_bench(char *ret, size_t size, struct error *err);
/* `argv` begins with the program's path. With `wait_for_go` its stdin stays open until tenant_go. */
int tenant_start(struct tenant *t, char *const argv[], bool wait_for_go, struct error *err);
/* Waits until it is warm: its programs are built, its first kernels done. */
int tenant_wait_ready(struct tenant *t, double timeout_s, struct error *err);
void tenant_go(struct tenant *t);
/* SIGTERM; the tenant finishes what is in flight and reports. */
void tenant_end(struct tenant *t);
/* Waits for its end and reads its report, an object, the caller's to json_decref(). -ETIMEDOUT when it has not ended by then (tenant_done
 * kills it), -EINTR, or -EIO with the last line it wrote to stderr. `ret` may be NULL. */
int tenant_collect(struct tenant *t, double timeout_s, json_t **ret, struct error *err);
/* Kills what still runs; closes. */
void tenant_done(struct tenant *t);

/* SPDX-License-Identifier: Apache-2.0 */
/* child: a short-lived helper process that asks a driver something and writes the answer to its stdout.
 *
 * Drivers hang, crash and leak; so nothing of a driver is ever called in the caller's own process. The caller reads without
 * blocking and gives up at a deadline. Never blocks longer than its arguments say, even when the child cannot be killed
 * (uninterruptible sleep in a driver): such a child is left behind and reaped by a later call. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_OUTPUT_MAX (1u << 20)   /* a machine with 128 devices needs about 100 KiB; more is a driver gone mad */

struct child {
    char what[48];             /* for messages */
    pid_t pid;                 /* 0 when none */
    int out;                   /* read end of its stdout, non-blocking; -1 when done */
    char *output;              /* terminated; owned */
    size_t length;
    uint64_t deadline_ns;      /* CLOCK_MONOTONIC */
    int result;                /* valid when done: 0 or a negative errno */
    struct error error;
};
#define CHILD_INIT { .out = -1 }

/* Runs body(arg) in a forked child that has stdin and stdout only (stderr is inherited) and dies with the caller; its return
 * value is the exit code. The caller must have one thread. */
int child_start(struct child *c, const char *what, uint64_t timeout_ns, int (*body)(void *arg), void *arg, struct error *err);
/* Reads what is there. True when the child is done (see result), which includes the deadline: then it is killed. */
bool child_pump(struct child *c);
/* Blocks until done, at the latest until the deadline. Returns result. */
int child_wait(struct child *c, struct error *err);
/* Kills it when it still runs, releases everything. Accepts a zeroed or finished one. */
void child_done(struct child *c);

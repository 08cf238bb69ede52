/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker keeps of its rights, each with its reason: files in sandbox_files.c, system calls in sandbox_calls.c, user, limits and the rest in
 * sandbox.c. Called by main.c before the driver opens (files, user) and once it is open (system calls). */
#pragma once

#include "worker/session.h"

/* Gives up the user's own rights and the file system. Landlock and capabilities hold for the calling thread and those it starts, so this comes
 * before any other thread. Afterwards the working directory is the share's program cache (or / without one), which drivers know as /proc/self/cwd:
 * a name that works also where the user behind the worker may not pass the folders above it. */
int sandbox_enter(const struct options *o, struct error *err);
/* Refuses system calls that serving needs no more, for all threads, and sets the limits that opening the driver would not fit in. */
int sandbox_close(const struct session *s, struct error *err);

/* Parts of the above. 0 or a negative errno. */
int sandbox_enter_files(bool has_cache);
int sandbox_enter_calls(const struct session *s);
/* Whether programs below this folder can be run. */
bool sandbox_may_run_from(const char *folder);

/* SPDX-License-Identifier: Apache-2.0 */
/* Where tranched keeps its files and finds its programs; ARCHITECTURE.md "Files" has the table. */
#pragma once

#include "base/error.h"

#include <stddef.h>

struct settings;

/* The given directory, else the environment's, else the default for this user; made absolute. */
int paths_run_dir(const char *given, char *ret, size_t size, struct error *err);
int paths_state_dir(const char *given, char *ret, size_t size, struct error *err);
/* Makes the directory (0700) when it is missing. -EPERM when it belongs to somebody else or others may write there: a stranger could
 * put sockets or pages in our way. */
int paths_make_private_dir(const char *path, struct error *err);
/* Locks DIR/tranched.lock for the life of the process. -EBUSY naming the process that holds it. */
int paths_lock_dir(const char *dir, int *ret_fd, struct error *err);

/* tranche-worker: $TRANCHE_WORKER, else beside this program, else the installed place. The ICD likewise, without a variable. */
int paths_worker(char *ret, size_t size, struct error *err);
int paths_icd(char *ret, size_t size, struct error *err);
/* tranche-priv, beside this program or in the installed place. */
int paths_priv(char *ret, size_t size, struct error *err);

/* The program cache of a share: STATE/cache/NAME. -ENAMETOOLONG. */
int paths_cache(const struct settings *settings, const char *share, char *ret, size_t size);
/* Deletes a directory with all it holds, never following links out of it. Errors are ignored: only caches are deleted so. */
void paths_remove_tree(const char *path);

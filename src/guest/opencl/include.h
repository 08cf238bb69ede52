/* SPDX-License-Identifier: Apache-2.0 */
/* Files that a program's source includes. With a native driver the compiler runs in the tenant's process and reads them there; through a share it runs
 * in the worker, which reads none of the tenant's files. So they are put in the place of their #include lines here, with the tenant's own rights.
 *
 * What cannot be found stays as it is: the compiler knows it itself, or says that it is missing. */
#pragma once

#include <stdbool.h>

/* The source with its files in it; the caller's, by free(). NULL when there are none, or no memory. Looks in the folders that -I in the options names,
 * for "names" first beside the including file (for the source: the current folder). `given` says which names come with the call (headers of
 * clCompileProgram) and are left alone. */
char *include_expand(const char *source, const char *options, bool (*given)(const char *name, void *user), void *user);

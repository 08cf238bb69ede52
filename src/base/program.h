/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the other programs of tranche. */
#pragma once

#include "base/error.h"

#include <stddef.h>

/* The absolute path of a file that belongs to this program: what the environment's `variable` says (may be NULL: there is none), else
 * the file beside this program, else the one in the directory `installed`. -ENOENT naming the places. */
int program_find(const char *name, const char *variable, const char *installed, char *ret, size_t size, struct error *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* The HTML report of `tranche compare`: one file with its plots as inline SVG, no script, nothing from the network. Every plot has
 * its figures as a table beside it. All text that comes from elsewhere is escaped. */
#pragma once

#include "cli/compare.h"

#include <limits.h>
#include <stdio.h>

/* A file that appears under its name only when it is complete. Something that is not a regular file (a pipe, /dev/stdout) is
 * written as it stands. */
struct report_file {
    const char *path;
    char temporary[PATH_MAX];   /* "" when written as it stands */
    FILE *out;
};

int report_open(struct report_file *file, const char *path, struct error *err);
int report_write(struct report_file *file, const struct compare *c, struct error *err);
/* Removes what was not completed. */
void report_close(struct report_file *file);

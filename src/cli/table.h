/* SPDX-License-Identifier: Apache-2.0 */
/* A table in memory, printed at once on stdout so that its columns fit. Running out of memory ends the program. */
#pragma once

#include "cli/print.h"

struct table;

/* Headers end with NULL, at most 16; one that begins with '>' stands for a right-aligned column. */
struct table *table_new(const char *const *headers);
/* NULL is fine. */
void table_free(struct table *table);
/* Cells come row by row in the order of the headers. */
void table_cell(struct table *table, enum print_style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Without the headers. */
size_t table_rows(const struct table *table);
/* Two spaces between columns; the last column is not padded. */
void table_write(const struct table *table, int indent);

static inline void cleanup_table(struct table **t) { table_free(*t); }
#define _cleanup_table_ __attribute__((cleanup(cleanup_table)))

/* SPDX-License-Identifier: Apache-2.0 */
/* Printing for people: aligned tables, quantities, a progress line. Colours and progress only on a terminal; never with NO_COLOR or
 * TERM=dumb. Text from the daemon (names of tenants' commands are theirs to choose) is printed without control characters. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum print_style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_WARN, STYLE_BAD };

/* To stdout. The text's control characters become '?'; newlines of `format` itself do not pass either: use putchar. */
void print_styled(enum print_style style, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One document on stdout, indented, keys in their order, newline at the end. */
int print_json(json_t *document, struct error *err);
/* stdout reached its file: 0, or a negative errno ("write output: No space left on device"). */
int print_flush(struct error *err);

/* A progress line on stderr that overwrites itself; nothing where stderr is not a terminal. print_progress(NULL) clears it. */
void print_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Quantities as people read them, into buf; return buf. */
#define PRINT_TEXT 48
const char *print_gib(uint64_t bytes, char *buf, size_t size);         /* "2.75 GiB", "0 GiB", "<0.01 GiB" */
const char *print_seconds(uint64_t ns, char *buf, size_t size);        /* "12.34 s", "0.002 s" */
const char *print_percent(uint64_t ppm, char *buf, size_t size);       /* "25%", "12.5%" */
/* A time of the API (seconds since 1970, or text): local "2025-01-31 12:00:00". */
const char *print_time(json_t *when, char *buf, size_t size);
/* ", stand-in GPU" where the object (GPU or share) says stand_in, else "". */
const char *print_stand_in(json_t *object);

/* A table in memory, printed at once so that columns fit. Headers end with NULL; one that begins with '>' is right-aligned.
 * Cells are given row by row in the order of the headers. The last column is not padded. */
struct print_table;
struct print_table *print_table_new(const char *const *headers);
void print_table_cell(struct print_table *table, enum print_style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
void print_table_write(const struct print_table *table, FILE *out, int indent);
void print_table_free(struct print_table *table);

static inline void cleanup_print_table(struct print_table **t) { print_table_free(*t); }
#define _cleanup_print_table_ __attribute__((cleanup(cleanup_print_table)))

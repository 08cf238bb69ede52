/* SPDX-License-Identifier: Apache-2.0 */
/* Printing for people: text, quantities, a progress line. Colours and progress only on a terminal; no colours with NO_COLOR or
 * TERM=dumb. Text from the daemon (names of tenants' commands are theirs to choose) is printed without control characters. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum print_style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_WARN, STYLE_BAD };

/* Every control character in what is formatted becomes '?', newlines too: end lines with putchar('\n'). */
void print_text(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same in a style, to stdout. */
void print_styled(enum print_style style, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same into memory, the caller's to free; ends the program where memory is out. */
char *print_format(const char *format, va_list ap) __attribute__((format(printf, 1, 0)));
/* One document on stdout, indented, keys in their order, newline at the end. */
int print_json(json_t *document, struct error *err);
/* stdout reached its file: 0, or a negative errno ("write output: No space left on device"). */
int print_flush(struct error *err);

/* A progress line on stderr that overwrites itself; nothing where stderr is not a terminal. Clear it (or print NULL) before
 * other lines. */
void print_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_progress_clear(void);
bool print_progress_is_shown(void);

/* Quantities as people read them, into buf; return buf. */
#define PRINT_TEXT 48
const char *print_gib(uint64_t bytes, char *buf, size_t size);         /* "2.75 GiB", "0 GiB", "<0.01 GiB" */
const char *print_seconds(uint64_t ns, char *buf, size_t size);        /* "12.3 s", "0.002 s" */
const char *print_percent(uint64_t ppm, char *buf, size_t size);       /* "25%", "12.5%" */
/* A time of the API ("2025-01-31T11:00:00Z", or seconds since 1970) on this machine's clock: "2025-01-31 12:00:00". */
const char *print_time(json_t *when, char *buf, size_t size);
/* " (stand-in GPU)" where the object (GPU or share) says stand_in, else "". */
const char *print_stand_in(json_t *object);

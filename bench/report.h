/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of one metric, and the two forms in which tranche-bench gives them: a line each as text, or one JSON document.
 *
 * The JSON is {"tool","version","platform",…,"tests": {TEST: {METRIC: {"unit", …}}}}. A sampled metric has "better", "n",
 * "median", "min" and "p99"; a single figure has "value"; a word has "text". It is printed when every test is done, so that
 * a run that fails prints none. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct samples { double *v; size_t n, cap; };
/* Room for `cap` samples, touched, so that no page fault falls into a measurement. Exits when memory is out. */
void samples_init(struct samples *s, size_t cap);
void samples_done(struct samples *s);
/* Grows when the room is used up. */
void samples_add(struct samples *s, double x);
/* Nearest rank, p from 0 to 100; sorts. 0 without samples. */
double samples_percentile(struct samples *s, double p);
#define _cleanup_samples_ _cleanup_(samples_done)

enum better { BETTER_LOW, BETTER_HIGH };

struct target;
/* Begins the report; `json` chooses the form. */
void report_open(const struct target *t, bool json);
void report_close(void);
/* The metrics that follow belong to this test. */
void report_test(const char *test);
/* Median, least, and the worst 1 %: the 99th percentile of times, the 1st of rates. Both quotations need 100 samples to mean it. */
void report_samples(const char *metric, const char *unit, enum better better, struct samples *s);
void report_value(const char *metric, const char *unit, double value);
void report_text(const char *metric, const char *text);

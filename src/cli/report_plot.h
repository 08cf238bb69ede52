/* SPDX-License-Identifier: Apache-2.0 */
/* The plots of the report: a <figure> each, with an SVG, a text that says what it shows, and its figures as a table. */
#pragma once

#include "cli/compare.h"

#include <stdio.h>

/* Text with what HTML and SVG give a meaning to escaped. */
void report_text(FILE *out, const char *text);

void report_plot_throughput(FILE *out, const struct compare *c);
void report_plot_latency(FILE *out, const struct compare *c);
void report_plot_bandwidth(FILE *out, const struct compare *c);
void report_plot_memory(FILE *out, const struct compare *c);

/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics and output of tranche-bench: see report.h. */
#include "report.h"

#include "base/cleanup.h"
#include "target.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    bool json;
    FILE *out;            /* the JSON under construction */
    char *text;
    size_t size;
    bool test_open, metric_written;
} report;

void samples_init(struct samples *s, size_t cap)
{
    s->cap = cap ? cap : 1;
    s->n = 0;
    s->v = malloc(s->cap * sizeof *s->v);
    if (!s->v)
        bench_fail("out of memory for %zu samples", cap);
    memset(s->v, 0, s->cap * sizeof *s->v);
}

void samples_done(struct samples *s)
{
    free(s->v);
    *s = (struct samples){ 0 };
}

void samples_add(struct samples *s, double x)
{
    if (s->n == s->cap) {
        double *grown = realloc(s->v, 2 * s->cap * sizeof *s->v);
        if (!grown)
            bench_fail("out of memory for %zu samples", 2 * s->cap);
        s->v = grown;
        s->cap *= 2;
    }
    s->v[s->n++] = x;
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double samples_percentile(struct samples *s, double p)
{
    if (!s->n)
        return 0;
    qsort(s->v, s->n, sizeof *s->v, compare_double);
    size_t rank = (size_t)ceil(p / 100.0 * (double)s->n);
    return s->v[rank ? rank - 1 : 0];
}

static void json_string(const char *s)
{
    putc('"', report.out);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(report.out, "\\%c", c);
        else if (c < 0x20)
            fprintf(report.out, "\\u%04x", c);
        else
            putc(c, report.out);
    }
    putc('"', report.out);
}

static void json_member(const char *name, const char *value)
{
    json_string(name);
    fputs(": ", report.out);
    json_string(value);
    fputs(", ", report.out);
}

void report_open(const struct target *t, bool json)
{
    report.json = json;
    if (!json) {
        printf("%s, %s (%u compute units)\n", t->platform_version, t->device_name, t->compute_units);
        return;
    }
    report.out = open_memstream(&report.text, &report.size);
    if (!report.out)
        bench_fail("out of memory for the report");
    fputc('{', report.out);
    json_member("tool", "tranche-bench");
    json_member("version", TRANCHE_VERSION);
    json_member("platform", t->platform_name);
    json_member("platform_version", t->platform_version);
    json_member("device", t->device_name);
    fprintf(report.out, "\"compute_units\": %u, \"memory_bytes\": %llu,\n \"tests\": {", t->compute_units,
            (unsigned long long)t->memory_bytes);
}

void report_close(void)
{
    if (!report.json)
        return;
    fputs(report.test_open ? "}}}\n" : "}}\n", report.out);
    fclose(report.out);
    fputs(report.text, stdout);
    free(report.text);
}

void report_test(const char *test)
{
    if (!report.json) {
        printf("%s\n", test);
        return;
    }
    fputs(report.test_open ? "},\n  " : "\n  ", report.out);
    json_string(test);
    fputs(": {", report.out);
    report.test_open = true;
    report.metric_written = false;
}

static void json_metric(const char *metric)
{
    fputs(report.metric_written ? ",\n    " : "\n    ", report.out);
    json_string(metric);
    fputs(": {", report.out);
    report.metric_written = true;
}

void report_samples(const char *metric, const char *unit, enum better better, struct samples *s)
{
    double median = samples_percentile(s, 50), worst = samples_percentile(s, better == BETTER_LOW ? 99 : 1);
    double least = s->n ? s->v[0] : 0;
    if (!report.json) {
        printf("  %-28s %12.2f %-5s worst 1 %% %12.2f   least %12.2f   n %zu\n", metric, median, unit, worst, least, s->n);
        return;
    }
    json_metric(metric);
    json_member("unit", unit);
    json_member("better", better == BETTER_LOW ? "low" : "high");
    fprintf(report.out, "\"n\": %zu, \"median\": %.6g, \"min\": %.6g, \"p99\": %.6g}", s->n, median, least, worst);
}

void report_value(const char *metric, const char *unit, double value)
{
    if (!report.json) {
        printf("  %-28s %12.*f %s\n", metric, value == floor(value) ? 0 : 2, value, unit);
        return;
    }
    json_metric(metric);
    json_member("unit", unit);
    fprintf(report.out, "\"value\": %.17g}", value);
}

void report_text(const char *metric, const char *text)
{
    if (!report.json) {
        printf("  %-28s %s\n", metric, text);
        return;
    }
    json_metric(metric);
    fputs("\"text\": ", report.out);
    json_string(text);
    fputc('}', report.out);
}

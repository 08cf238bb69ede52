/* SPDX-License-Identifier: Apache-2.0 */
/* Bars and intervals in SVG: see report_plot.h. Coordinates are in a box 400 wide, so that a phone shows the letters at their size. */
#include "cli/report_plot.h"

#include "base/cleanup.h"

#include <string.h>

enum { WIDTH = 400, LEGEND = 22, TITLE = 15, BAR = 10, STEP = 14, GROUP_GAP = 9, AXIS = 18, MAX_SERIES = 3 };

struct series { const char *name, *fill; };
/* NAN: not measured, or refused where the row says so. */
struct bars {
    const char *title, *caption, *unit;
    int series_n, decimals;
    struct series series[MAX_SERIES];
    double value[COMPARE_ROWS][MAX_SERIES];
    bool beside[MAX_SERIES];    /* this series needs a neighbour */
    int label_room;             /* to the right of the longest bar */
    const char *note[COMPARE_ROWS];   /* behind the label of the last series, or NULL */
};

static const char *why_missing(const struct compare_row *row, bool beside)
{
    if (row->impossible[0])
        return "not possible here";
    if (row->failed[0])
        return "failed";
    return beside && row->refused[0] ? "neighbour refused" : "not measured";
}

static double largest(const double *v, size_t n)
{
    double max = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(v[i]) && v[i] > max)
            max = v[i];
    return max;
}

static void open_figure(FILE *out, const char *title, const char *caption, int height)
{
    fprintf(out, "<figure>\n<h2>%s</h2>\n<figcaption>%s</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n<title>%s. The figures are in the table below.</title>\n",
            title, caption, WIDTH, height, title, title);
}

static void write_legend(FILE *out, const struct series *series, int n)
{
    for (int i = 0, x = 0; i < n; i++) {
        fprintf(out, "<rect x=\"%d\" y=\"3\" width=\"10\" height=\"10\" rx=\"2\" class=\"f-%s\"/><text x=\"%d\" y=\"12\">%s</text>\n", x, series[i].fill,
                x + 14, series[i].name);
        x += 30 + 6 * (int)strlen(series[i].name);
    }
}

static void write_group_title(FILE *out, const struct compare_row *row, int y)
{
    fprintf(out, "<text class=\"title\" x=\"0\" y=\"%d\">", y + 11);
    report_text(out, row->title);
    fputs("</text>\n", out);
}

static void write_missing(FILE *out, const struct compare_row *row, bool beside, int y)
{
    fprintf(out, "<text class=\"soft\" x=\"0\" y=\"%d\">%s</text>\n", y + 9, why_missing(row, beside));
}

/* The same figures for those who cannot see the plot, or want to copy them. */
static void open_figures(FILE *out, const struct series *series, int n)
{
    fputs("</svg>\n<details><summary>Figures</summary>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">model</th>", out);
    for (int i = 0; i < n; i++)
        fprintf(out, "<th scope=\"col\">%s</th>", series[i].name);
    fputs("</tr></thead>\n<tbody>\n", out);
}

static void open_figures_row(FILE *out, const struct compare_row *row)
{
    fputs("<tr><th scope=\"row\">", out);
    report_text(out, row->title);
    fputs("</th>", out);
}

static void close_figure(FILE *out)
{
    fputs("</tbody></table></div>\n</details>\n</figure>\n", out);
}

static void write_bars_table(FILE *out, const struct compare *c, const struct bars *b)
{
    open_figures(out, b->series, b->series_n);
    for (int i = 0; i < COMPARE_ROWS; i++) {
        open_figures_row(out, &c->rows[i]);
        for (int j = 0; j < b->series_n; j++) {
            if (isfinite(b->value[i][j]))
                fprintf(out, "<td>%.*f %s</td>", b->decimals, b->value[i][j], b->unit);
            else
                fprintf(out, "<td class=\"dim\">%s</td>", why_missing(&c->rows[i], b->beside[j]));
        }
        fputs("</tr>\n", out);
    }
}

static void write_bar(FILE *out, const struct bars *b, int row, int series, double scale, int y)
{
    double value = b->value[row][series], width = MAX(value * scale, 1.0);
    const char *note = series == b->series_n - 1 && b->note[row] ? b->note[row] : "";
    fprintf(out, "<rect x=\"0\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\" class=\"f-%s\"/><text x=\"%.1f\" y=\"%d\">%.*f %s%s</text>\n", y, width, BAR,
            b->series[series].fill, width + 5, y + 9, b->decimals, value, b->unit, note);
}

static void write_bars(FILE *out, const struct compare *c, const struct bars *b)
{
    int group = TITLE + b->series_n * STEP + GROUP_GAP, y = LEGEND;
    double max = largest(&b->value[0][0], COMPARE_ROWS * MAX_SERIES), scale = max > 0 ? (WIDTH - b->label_room) / max : 0;
    open_figure(out, b->title, b->caption, LEGEND + COMPARE_ROWS * group);
    write_legend(out, b->series, b->series_n);
    for (int i = 0; i < COMPARE_ROWS; i++, y += group) {
        write_group_title(out, &c->rows[i], y);
        for (int j = 0; j < b->series_n; j++) {
            if (isfinite(b->value[i][j]))
                write_bar(out, b, i, j, scale, y + TITLE + j * STEP);
            else
                write_missing(out, &c->rows[i], b->beside[j], y + TITLE + j * STEP);
        }
    }
    write_bars_table(out, c, b);
    close_figure(out);
}

void report_plot_throughput(FILE *out, const struct compare *c)
{
    struct bars b = { .title = "Throughput of the tenant", .caption = "Kernels per second, as a part of what passthrough gives alone. Longer is better.",
        .unit = "%", .label_room = 45, .series_n = 3, .series = { { "alone", "alone" }, { "beside idle", "idle" }, { "beside saturating", "busy" } },
        .beside = { false, true, true } };
    for (int i = 0; i < COMPARE_ROWS; i++) {
        b.value[i][0] = 100 * compare_of_whole(c, c->rows[i].alone.rate);
        b.value[i][1] = 100 * compare_of_whole(c, c->rows[i].idle.rate);
        b.value[i][2] = 100 * compare_of_whole(c, c->rows[i].beside.rate);
    }
    write_bars(out, c, &b);
}

void report_plot_bandwidth(FILE *out, const struct compare *c)
{
    struct bars b = { .title = "Bandwidth", .caption = "Blocking transfers of 64 MiB between host and device, the tenant alone. Longer is better.",
        .unit = "GB/s", .label_room = 65, .decimals = 1, .series_n = 2, .series = { { "write", "alone" }, { "read", "idle" } } };
    for (int i = 0; i < COMPARE_ROWS; i++) {
        b.value[i][0] = c->rows[i].write_gbs;
        b.value[i][1] = c->rows[i].read_gbs;
        b.value[i][2] = NAN;
    }
    write_bars(out, c, &b);
}

void report_plot_memory(FILE *out, const struct compare *c)
{
    struct bars b = { .title = "Memory", .caption = "What the device tells the tenant, and what could be allocated of it. Under passthrough the driver&#39;s own "
        "figure counts, otherwise the share&#39;s quota.", .unit = "GiB", .label_room = 200, .decimals = 2, .series_n = 2,
        .series = { { "seen", "alone" }, { "allocated", "idle" } } };
    for (int i = 0; i < COMPARE_ROWS; i++) {
        b.value[i][0] = c->rows[i].seen_bytes / 0x1p30;
        b.value[i][1] = c->rows[i].accepted_bytes / 0x1p30;
        b.note[i] = c->rows[i].refused_beyond ? ", 1 byte more: refused" : ", 1 byte more: accepted";
        b.value[i][2] = NAN;
    }
    write_bars(out, c, &b);
}

/* ---- intervals from p50 to p99 on a logarithmic axis --------------------------------------------------------------------------- */

enum { PLOT_WIDTH = 285, PLOT_LEFT = 6 };
struct axis { double low, high; };

static double axis_x(const struct axis *a, double v)
{
    return PLOT_LEFT + (PLOT_WIDTH - PLOT_LEFT) * log(v / a->low) / log(a->high / a->low);
}

static void axis_include(struct axis *a, struct compare_latency l)
{
    if (l.p50_us > 0 && l.p50_us / 1e3 < a->low)
        a->low = l.p50_us / 1e3;
    if (l.p99_us > 0 && l.p99_us / 1e3 > a->high)
        a->high = l.p99_us / 1e3;
}

/* In milliseconds, with a little room, so that no dot stands on the edge. */
static struct axis latency_axis(const struct compare *c)
{
    struct axis a = { INFINITY, 0 };
    for (int i = 0; i < COMPARE_ROWS; i++) {
        axis_include(&a, c->rows[i].alone.request);
        axis_include(&a, c->rows[i].beside.request);
    }
    if (!(a.high > 0) || !isfinite(a.low))
        return (struct axis){ 0.1, 10 };
    return (struct axis){ a.low / 1.15, MAX(a.high * 1.15, a.low * 2) };
}

/* Grid lines at 1, 2 and 5 times the powers of ten; where they would stand too close, at the powers alone. */
static void write_axis(FILE *out, const struct axis *a, int top, int bottom)
{
    static const double steps[] = { 1, 2, 5 };
    bool wide = a->high / a->low > 200;
    for (double power = pow(10, floor(log10(a->low))); power <= a->high; power *= 10) {
        for (size_t i = 0; i < (wide ? 1 : ARRAY_LEN(steps)); i++) {
            double v = power * steps[i];
            if (v < a->low || v > a->high)
                continue;
            double x = axis_x(a, v);
            fprintf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/><text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%g</text>\n",
                    x, x, top, bottom, x, bottom + 12, v);
        }
    }
    fprintf(out, "<text class=\"tick\" text-anchor=\"end\" x=\"%d\" y=\"%d\">ms, logarithmic</text>\n", WIDTH, bottom + 12);
}

static void write_interval(FILE *out, const struct axis *a, const char *color, struct compare_latency l, int y)
{
    double x50 = axis_x(a, l.p50_us / 1e3), x99 = axis_x(a, MAX(l.p99_us, l.p50_us) / 1e3);
    int middle = y + BAR / 2;
    fprintf(out, "<line class=\"s-%s\" stroke-width=\"3\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", color, x50, x99, middle, middle);
    fprintf(out, "<line class=\"s-%s\" stroke-width=\"2\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", color, x99, x99, middle - 4, middle + 4);
    fprintf(out, "<circle class=\"f-%s\" cx=\"%.1f\" cy=\"%d\" r=\"4\"/>", color, x50, middle);
    fprintf(out, "<text text-anchor=\"end\" x=\"%d\" y=\"%d\">%.2f to %.2f ms</text>\n", WIDTH, y + 9, l.p50_us / 1e3, l.p99_us / 1e3);
}

static void write_latency_table(FILE *out, const struct compare *c)
{
    static const struct series columns[] = { { "alone, p50", NULL }, { "alone, p99", NULL }, { "beside saturating, p50", NULL }, { "beside saturating, p99", NULL } };
    open_figures(out, columns, ARRAY_LEN(columns));
    for (int i = 0; i < COMPARE_ROWS; i++) {
        const struct compare_row *row = &c->rows[i];
        const double values[] = { row->alone.request.p50_us, row->alone.request.p99_us, row->beside.request.p50_us, row->beside.request.p99_us };
        open_figures_row(out, row);
        for (size_t j = 0; j < ARRAY_LEN(values); j++) {
            if (isfinite(values[j]))
                fprintf(out, "<td>%.2f ms</td>", values[j] / 1e3);
            else
                fprintf(out, "<td class=\"dim\">%s</td>", why_missing(row, j >= 2));
        }
        fputs("</tr>\n", out);
    }
}

void report_plot_latency(FILE *out, const struct compare *c)
{
    static const struct series series[] = { { "alone", "alone" }, { "beside saturating", "busy" } };
    enum { N = ARRAY_LEN(series), GROUP = TITLE + N * STEP + GROUP_GAP };
    struct axis a = latency_axis(c);
    int y = LEGEND, bottom = LEGEND + COMPARE_ROWS * GROUP;
    open_figure(out, "Launch to result",
                "A request of one kernel now and then. The dot is the median (p50), the line ends at p99. Further left is better.", bottom + AXIS);
    write_legend(out, series, N);
    write_axis(out, &a, LEGEND, bottom);
    for (int i = 0; i < COMPARE_ROWS; i++, y += GROUP) {
        write_group_title(out, &c->rows[i], y);
        for (size_t j = 0; j < N; j++) {
            const struct compare_latency l = j ? c->rows[i].beside.request : c->rows[i].alone.request;
            if (l.p50_us > 0)
                write_interval(out, &a, series[j].fill, l, y + TITLE + (int)j * STEP);
            else
                write_missing(out, &c->rows[i], j > 0, y + TITLE + (int)j * STEP);
        }
    }
    write_latency_table(out, c);
    close_figure(out);
}

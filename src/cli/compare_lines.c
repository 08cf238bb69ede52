/* SPDX-License-Identifier: Apache-2.0 */
/* One function per line of the table: see compare_lines.h. */
#include "cli/compare_lines.h"

#include <stdio.h>

typedef struct compare_cell cell_of(const struct compare *c, const struct compare_row *row);

static struct compare_cell cell_number(double v, double scale, const char *format)
{
    struct compare_cell cell = { "-", STYLE_DIM };
    if (!isfinite(v))
        return cell;
    char number[24];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(number, sizeof number, format, v * scale);
#pragma GCC diagnostic pop
    cell.style = STYLE_PLAIN;
    snprintf(cell.text, sizeof cell.text, "%s", number);
    return cell;
}

static struct compare_cell cell_text(enum print_style style, const char *text)
{
    struct compare_cell cell = { .style = style };
    snprintf(cell.text, sizeof cell.text, "%s", text);
    return cell;
}

static struct compare_cell cell_policy(const struct compare *c, const struct compare_row *row)
{
    return row->policy ? cell_text(STYLE_PLAIN, row->policy) : cell_text(STYLE_DIM, "");
}

static struct compare_cell cell_profile(const struct compare *c, const struct compare_row *row)
{
    return cell_text(STYLE_PLAIN, row->profile[0] ? row->profile : "whole GPU");
}

/* A figure beside a neighbour, where there can be one. */
static struct compare_cell cell_beside(const struct compare_row *row, double v, double scale, const char *format)
{
    return row->refused[0] ? cell_text(STYLE_WARN, "refused") : cell_number(v, scale, format);
}

static struct compare_cell cell_alone(const struct compare *c, const struct compare_row *row)
{
    return cell_number(compare_of_whole(c, row->alone.rate), 100, "%.0f %%");
}

static struct compare_cell cell_idle(const struct compare *c, const struct compare_row *row)
{
    return cell_beside(row, compare_of_whole(c, row->idle.rate), 100, "%.0f %%");
}

static struct compare_cell cell_busy(const struct compare *c, const struct compare_row *row)
{
    return cell_beside(row, compare_of_whole(c, row->beside.rate), 100, "%.0f %%");
}

static struct compare_cell cell_slowdown(const struct compare *c, const struct compare_row *row)
{
    return cell_beside(row, compare_slowdown(row), 100, "%.0f %%");
}

static struct compare_cell cell_request_p50(const struct compare *c, const struct compare_row *row)
{
    return cell_number(row->alone.request.p50_us, 1e-3, "%.2f ms");
}

static struct compare_cell cell_request_p99(const struct compare *c, const struct compare_row *row)
{
    return cell_number(row->alone.request.p99_us, 1e-3, "%.2f ms");
}

static struct compare_cell cell_busy_p50(const struct compare *c, const struct compare_row *row)
{
    return cell_beside(row, row->beside.request.p50_us, 1e-3, "%.2f ms");
}

static struct compare_cell cell_busy_p99(const struct compare *c, const struct compare_row *row)
{
    return cell_beside(row, row->beside.request.p99_us, 1e-3, "%.2f ms");
}

static struct compare_cell cell_launch_p50(const struct compare *c, const struct compare_row *row)
{
    return cell_number(row->launch.p50_us, 1, "%.0f us");
}

static struct compare_cell cell_launch_p99(const struct compare *c, const struct compare_row *row)
{
    return cell_number(row->launch.p99_us, 1, "%.0f us");
}

static struct compare_cell cell_write(const struct compare *c, const struct compare_row *row)
{
    return cell_number(row->write_gbs, 1, "%.1f GB/s");
}

static struct compare_cell cell_read(const struct compare *c, const struct compare_row *row)
{
    return cell_number(row->read_gbs, 1, "%.1f GB/s");
}

static struct compare_cell cell_seen(const struct compare *c, const struct compare_row *row)
{
    return cell_number(row->seen_bytes, 0x1p-30, "%.2f GiB");
}

static struct compare_cell cell_accepted(const struct compare *c, const struct compare_row *row)
{
    return cell_number(compare_ratio(row->accepted_bytes, row->seen_bytes), 100, "%.4g %%");
}

static struct compare_cell cell_beyond(const struct compare *c, const struct compare_row *row)
{
    if (!row->beyond[0])
        return cell_text(STYLE_DIM, "-");
    return row->refused_beyond ? cell_text(STYLE_GOOD, "refused") : cell_text(STYLE_WARN, "accepted");
}

static const struct line { const char *label; cell_of *cell; } lines[COMPARE_LINES] = {
    { "policy", cell_policy },
    { "tenant and neighbour hold", cell_profile },
    { "throughput", NULL },
    { "  alone", cell_alone },
    { "  beside an idle neighbour", cell_idle },
    { "  beside a saturating one", cell_busy },
    { "  slowdown by it", cell_slowdown },
    { "request of one kernel", NULL },
    { "  alone, p50", cell_request_p50 },
    { "  alone, p99", cell_request_p99 },
    { "  beside saturating, p50", cell_busy_p50 },
    { "  beside saturating, p99", cell_busy_p99 },
    { "empty launch to result", NULL },
    { "  alone, p50", cell_launch_p50 },
    { "  alone, p99", cell_launch_p99 },
    { "64 MiB, alone", NULL },
    { "  write", cell_write },
    { "  read", cell_read },
    { "memory", NULL },
    { "  seen by the tenant", cell_seen },
    { "  allocated of it", cell_accepted },
    { "  one byte more", cell_beyond },
};

const char *compare_line_label(int line)
{
    return lines[line].label;
}

bool compare_line_is_heading(int line)
{
    return lines[line].cell == NULL;
}

struct compare_cell compare_cell(const struct compare *c, int line, const struct compare_row *row)
{
    if (compare_line_is_heading(line))
        return cell_text(STYLE_PLAIN, "");
    if (lines[line].cell == cell_profile && row->failed[0])
        return cell_text(STYLE_BAD, "failed");
    if (lines[line].cell == cell_profile && row->impossible[0])
        return cell_text(STYLE_WARN, "impossible");
    return lines[line].cell(c, row);
}

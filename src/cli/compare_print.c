/* SPDX-License-Identifier: Apache-2.0 */
/* What `tranche compare` prints for people: the machine, the table, the reasons. */
#include "cli/compare_lines.h"
#include "cli/table.h"

#include "base/text.h"

#include <stdio.h>

static void add_line(struct table *t, const struct compare *c, int line)
{
    table_cell(t, compare_line_is_heading(line) ? STYLE_BOLD : STYLE_PLAIN, "%s", compare_line_label(line));
    for (int i = 0; i < COMPARE_ROWS; i++) {
        struct compare_cell cell = compare_cell(c, line, &c->rows[i]);
        table_cell(t, cell.style, "%s", cell.text);
    }
}

static void print_heading(const struct compare *c)
{
    const struct compare_machine *m = &c->machine;
    char memory[32];
    print_styled(STYLE_BOLD, "%s: %s", c->gpu, c->product);
    if (c->stand_in)
        print_styled(STYLE_WARN, "  (stand-in GPU: these are not the figures of a GPU)");
    putchar('\n');
    print_styled(STYLE_PLAIN, "%s, %ld cores, %s, %s", m->cpu, m->cores, text_format_size(m->memory_bytes, memory, sizeof memory), m->kernel);
    putchar('\n');
    print_styled(STYLE_PLAIN, "%s", c->platform);
    putchar('\n');
    print_styled(STYLE_DIM, "%s, took %.0f s, %g s per figure, load average before %.2f", m->date, c->duration_s, c->seconds_per_figure, m->load);
    fputs("\n\n", stdout);
}

static void print_note(const char *title, const char *what, const char *text)
{
    if (!text[0])
        return;
    print_styled(STYLE_PLAIN, "%s: %s: %s", title, what, text);
    putchar('\n');
}

static void print_notes(const struct compare *c)
{
    putchar('\n');
    if (c->rows[0].alone.rate > 0)
        print_styled(STYLE_PLAIN, "100 %% is passthrough alone: %.0f kernels per second. Latency is from launch to result.", c->rows[0].alone.rate);
    else
        print_styled(STYLE_PLAIN, "Passthrough was not measured here, so there is no throughput to compare with.");
    putchar('\n');
    if (isfinite(c->drift)) {
        bool quiet = compare_was_quiet(c);
        print_styled(quiet ? STYLE_PLAIN : STYLE_WARN, "Measured again at the end it was %.0f %%%s.", c->drift * 100,
                     quiet ? "" : ": the machine was not quiet, so repeat this when it is");
        putchar('\n');
    }
    for (int i = 0; i < COMPARE_ROWS; i++) {
        const struct compare_row *row = &c->rows[i];
        print_note(row->title, "not possible", row->impossible);
        print_note(row->title, "failed", row->failed);
        print_note(row->title, "neighbour refused", row->refused);
        print_note(row->title, "one byte more", row->refused_beyond ? row->beyond : "");
    }
}

void compare_print(const struct compare *c)
{
    _cleanup_table_ struct table *t = table_new((const char *const[]){ "", ">passthrough", ">vGPU", ">vGPU", ">vGPU", ">MIG", NULL });
    for (int i = 0; i < COMPARE_LINES; i++)
        add_line(t, c, i);
    print_heading(c);
    table_write(t, 0);
    print_notes(c);
}

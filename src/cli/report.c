/* SPDX-License-Identifier: Apache-2.0 */
/* The HTML report: see report.h. The file comes first, then text and tables, then the plots (report_plot.c). */
#include "cli/report.h"
#include "cli/compare_lines.h"
#include "cli/report_plot.h"

#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int report_open(struct report_file *file, const char *path, struct error *err)
{
    struct stat st;
    bool as_it_stands = lstat(path, &st) == 0 && !S_ISREG(st.st_mode);
    *file = (struct report_file){ .path = path };
    if (!as_it_stands && text_format(file->temporary, sizeof file->temporary, "%s.%d.tmp", path, (int)getpid()) < 0)
        return error_set(err, -ENAMETOOLONG, "the report's file name is too long");
    file->out = fopen(as_it_stands ? path : file->temporary, "we");
    if (file->out)
        return 0;
    int code = errno;
    file->temporary[0] = '\0';
    error_set(err, -EIO, "cannot write %s: %s", path, strerror(code));
    error_hint(err, "give --html a file in a directory that exists and that you may write to");
    return -EIO;
}

void report_close(struct report_file *file)
{
    if (file->out)
        fclose(file->out);
    if (file->temporary[0])
        unlink(file->temporary);
    file->out = NULL;
    file->temporary[0] = '\0';
}

/* From here on the temporary file is the report. */
static int complete(struct report_file *file, struct error *err)
{
    int bad = ferror(file->out);
    bad |= fclose(file->out);
    file->out = NULL;
    if (!bad && file->temporary[0])
        bad = rename(file->temporary, file->path);
    if (bad)
        return error_set(err, -EIO, "cannot write %s: %s", file->path, strerror(errno ? errno : EIO));
    file->temporary[0] = '\0';
    return 0;
}

void report_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        unsigned char ch = (unsigned char)*text;
        switch (ch) {
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '&': fputs("&amp;", out); break;
        case '"': fputs("&quot;", out); break;
        case '\'': fputs("&#39;", out); break;
        default: putc(ch < 0x20 || ch == 0x7f ? ' ' : ch, out);
        }
    }
}

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fbfaf7;--card:#fff;--ink:#1d2329;--soft:#5b6570;--line:#dcdcd6;--alone:#2b6cb0;--idle:#2f9384;"
    "--busy:#c8641b;--good:#1f7a3d;--warn:#96590a;--bad:#b3261e}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#14181c;--card:#1c2228;--ink:#e6e9ec;--soft:#9aa5b1;--line:#343c45;--alone:#6aa9e9;"
    "--idle:#58c2b1;--busy:#ef9a57;--good:#6fcf8d;--warn:#e0b15c;--bad:#f28b82}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\n"
    "main{max-width:74rem;margin:0 auto;padding:1.5rem 1rem 3rem}h1{font-size:1.6rem;line-height:1.2;margin:.2rem 0 .6rem}\n"
    "h2{font-size:1.15rem;margin:0 0 .2rem}p{margin:.4rem 0;max-width:46rem}.soft,figcaption{color:var(--soft)}figcaption{font-size:.92rem}\n"
    ".notice{border-left:4px solid var(--warn);padding:.3rem .8rem;background:var(--card)}\n"
    "section,figure{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem;margin:1rem 0}\n"
    ".plots{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr))}.plots figure{margin:0;min-width:0}\n"
    "svg{display:block;width:100%;max-width:34rem;height:auto;margin:.6rem 0}\n"
    "svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg .soft{fill:var(--soft)}svg .title{font-weight:600}\n"
    "svg .tick{fill:var(--soft);font-size:10px}svg .grid{stroke:var(--line)}\n"
    ".f-alone{fill:var(--alone)}.f-idle{fill:var(--idle)}.f-busy{fill:var(--busy)}.s-alone{stroke:var(--alone)}.s-busy{stroke:var(--busy)}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.22rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}\n"
    "th:first-child{text-align:left;position:sticky;left:0;background:var(--card);font-weight:400}\n"
    "thead th,tr.head th{font-weight:600}tr.head th{padding-top:.7rem}td.in,th.in:first-child{padding-left:1.4rem}\n"
    ".good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}.dim{color:var(--soft)}\n"
    "details{margin-top:.4rem}summary{cursor:pointer;color:var(--soft)}dl{display:grid;grid-template-columns:auto 1fr;gap:.15rem 1rem;margin:.6rem 0}\n"
    "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}li{margin:.25rem 0;overflow-wrap:anywhere}\n"
    "@media(max-width:36rem){dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}th,td{padding:.22rem .45rem}}\n";

static const char *class_of(enum print_style s)
{
    switch (s) {
    case STYLE_GOOD: return "good";
    case STYLE_WARN: return "warn";
    case STYLE_BAD: return "bad";
    case STYLE_DIM: return "dim";
    default: return "plain";
    }
}

static void write_fact(FILE *out, const char *name, const char *value)
{
    fprintf(out, "<dt>%s</dt><dd>", name);
    report_text(out, value);
    fputs("</dd>\n", out);
}

static void write_head(FILE *out, const struct compare *c)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>One GPU, shared three ways: ", out);
    report_text(out, c->gpu);
    fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n<h1>One GPU, shared three ways: ", style);
    report_text(out, c->gpu);
    fputs("</h1>\n<p>One tenant measured alone, beside a neighbour that is connected and idle, and beside one that saturates the GPU, "
          "under each model of sharing and each policy.</p>\n", out);
    if (c->stand_in)
        fputs("<p class=\"notice\"><strong>Stand-in GPU.</strong> This machine&#39;s CPU plays the GPU. The proportions show what each model "
              "does; the absolute figures are not those of a GPU.</p>\n", out);
}

static void write_machine(FILE *out, const struct compare *c)
{
    const struct compare_machine *m = &c->machine;
    char memory[32], text[256];
    fputs("<section>\n<h2>Measured on</h2>\n<dl>\n", out);
    write_fact(out, "GPU", c->product);
    write_fact(out, "OpenCL", c->platform);
    snprintf(text, sizeof text, "%s, %ld cores, %s", m->cpu, m->cores, text_format_size(m->memory_bytes, memory, sizeof memory));
    write_fact(out, "Machine", text);
    write_fact(out, "Kernel", m->kernel);
    snprintf(text, sizeof text, "%s, took %.0f s, %g s per figure; load average before: %.2f", m->date, c->duration_s, c->seconds_per_figure, m->load);
    write_fact(out, "Date", text);
    if (isfinite(c->drift)) {
        snprintf(text, sizeof text, "passthrough measured again at the end gave %.0f %% of its first figure%s", c->drift * 100,
                 compare_was_quiet(c) ? "" : ": the machine was not quiet, so repeat this when it is");
        write_fact(out, "Drift", text);
    }
    fputs("</dl>\n</section>\n", out);
}

static void write_columns(FILE *out, const struct compare *c)
{
    fputs("<thead><tr><th scope=\"col\"></th>", out);
    for (int i = 0; i < COMPARE_ROWS; i++) {
        fputs("<th scope=\"col\">", out);
        report_text(out, c->rows[i].title);
        fputs("</th>", out);
    }
    fputs("</tr></thead>\n", out);
}

static void write_line(FILE *out, const struct compare *c, int line)
{
    const char *label = compare_line_label(line);
    bool heading = compare_line_is_heading(line), inner = label[0] == ' ';
    fprintf(out, "<tr%s><th scope=\"row\"%s>", heading ? " class=\"head\"" : "", inner ? " class=\"in\"" : "");
    report_text(out, inner ? label + 2 : label);
    fputs("</th>", out);
    for (int i = 0; i < COMPARE_ROWS; i++) {
        struct compare_cell cell = compare_cell(c, line, &c->rows[i]);
        fprintf(out, "<td class=\"%s\">", class_of(cell.style));
        report_text(out, cell.text);
        fputs("</td>", out);
    }
    fputs("</tr>\n", out);
}

static void write_table(FILE *out, const struct compare *c)
{
    fputs("<section>\n<h2>All figures</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All figures\">\n<table>\n", out);
    write_columns(out, c);
    fputs("<tbody>\n", out);
    for (int i = 1; i < COMPARE_LINES; i++)   /* the first line, the policy, stands in the columns' titles */
        write_line(out, c, i);
    fputs("</tbody>\n</table>\n</div>\n", out);
    if (c->rows[0].alone.rate > 0)
        fprintf(out, "<p class=\"soft\">100 %% is passthrough alone: %.0f kernels per second.</p>\n", c->rows[0].alone.rate);
    fputs("</section>\n", out);
}

static void write_note(FILE *out, const char *title, const char *what, const char *text)
{
    if (!text[0])
        return;
    fputs("<li><strong>", out);
    report_text(out, title);
    fprintf(out, "</strong>, %s: ", what);
    report_text(out, text);
    fputs("</li>\n", out);
}

static void write_notes(FILE *out, const struct compare *c)
{
    fputs("<section>\n<h2>What was refused, and why</h2>\n<ul>\n", out);
    for (int i = 0; i < COMPARE_ROWS; i++) {
        const struct compare_row *row = &c->rows[i];
        write_note(out, row->title, "not possible on this GPU", row->impossible);
        write_note(out, row->title, "measurement failed", row->failed);
        write_note(out, row->title, "the neighbour", row->refused);
        if (row->beyond[0])
            write_note(out, row->title, "one byte beyond the memory seen", row->refused_beyond ? row->beyond : "accepted, this driver keeps no quota");
    }
    fputs("</ul>\n</section>\n", out);
}

static void write_method(FILE *out, const struct compare *c)
{
    char work[80] = "";
    if (isfinite(c->items))
        snprintf(work, sizeof work, " (%.0f work-items of %.0f rounds)", c->items, c->rounds);
    fprintf(out,
        "<section>\n<h2>How it was measured</h2>\n<ul>\n"
        "<li>Throughput: a kernel of about 1 ms%s, the same in every row, up to 16 in flight, for %g s.</li>\n"
        "<li>Request: one such kernel and four bytes of its result, every 10 ms; the time from launch to result.</li>\n"
        "<li>Empty launch: set an argument, launch a kernel that writes one word, read it back.</li>\n"
        "<li>Under vGPU and MIG, tenant and neighbour hold equal parts; the neighbour runs the throughput kernel without pause.</li>\n"
        "<li>best-effort lends what the neighbour does not use; equal-share divides among those who are connected; fixed-share keeps each "
        "to its own part always; MIG gives each its own compute units.</li>\n"
        "<li>Memory: all that the device tells is allocated in pieces, each written and read back in three places, then one byte more.</li>\n"
        "</ul>\n<p class=\"soft\">Every result of every kernel was checked. Made by tranche " TRANCHE_VERSION ".</p>\n</section>\n",
        work, c->seconds_per_figure);
}

int report_write(struct report_file *file, const struct compare *c, struct error *err)
{
    FILE *out = file->out;
    write_head(out, c);
    write_machine(out, c);
    fputs("<div class=\"plots\">\n", out);
    report_plot_throughput(out, c);
    report_plot_latency(out, c);
    report_plot_bandwidth(out, c);
    report_plot_memory(out, c);
    fputs("</div>\n", out);
    write_table(out, c);
    write_notes(out, c);
    write_method(out, c);
    fputs("</main>\n</body>\n</html>\n", out);
    return complete(file, err);
}

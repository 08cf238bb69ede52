/* SPDX-License-Identifier: Apache-2.0 */
/* Printing for people: see print.h. */
#include "cli/print.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

static bool progress_shown;

static bool is_fancy(FILE *f)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(f)) && !(no_color && *no_color) && term && !text_equal(term, "dumb");
}

static const char *style_code(enum print_style style)
{
    switch (style) {
    case STYLE_BOLD: return "\033[1m";
    case STYLE_DIM: return "\033[2m";
    case STYLE_GOOD: return "\033[32m";
    case STYLE_WARN: return "\033[33m";
    case STYLE_BAD: return "\033[31m";
    default: return "";
    }
}

/* Control characters, also those of 8 bits (U+0080 to U+009F), could move the cursor or change the terminal. */
static void defuse(char *s)
{
    for (unsigned char *p = (unsigned char *)s; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
        else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
            p[0] = p[1] = '?';
    }
}

char *print_format(const char *format, va_list ap)
{
    char *s;
    if (vasprintf(&s, format, ap) < 0) {
        fputs("tranche: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    defuse(s);
    return s;
}

static void write_styled(FILE *out, enum print_style style, const char *text)
{
    if (style == STYLE_PLAIN || !is_fancy(out))
        fputs(text, out);
    else
        fprintf(out, "%s%s\033[0m", style_code(style), text);
}

void print_text(FILE *out, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    _cleanup_free_ char *text = print_format(format, ap);
    va_end(ap);
    fputs(text, out);
}

void print_styled(enum print_style style, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    _cleanup_free_ char *text = print_format(format, ap);
    va_end(ap);
    write_styled(stdout, style, text);
}

int print_json(json_t *document, struct error *err)
{
    if (json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) < 0 || putchar('\n') == EOF)
        return error_set(err, -EIO, "write output: %s", strerror(errno));
    return 0;
}

int print_flush(struct error *err)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    int code = errno ? -errno : -EIO;
    error_set(err, -EIO, "write output: %s", strerror(-code));
    return -EIO;
}

void print_progress_clear(void)
{
    if (progress_shown)
        fputs("\r\033[K", stderr);
    progress_shown = false;
}

bool print_progress_is_shown(void)
{
    return progress_shown;
}

void print_progress(const char *format, ...)
{
    const char *term = getenv("TERM");
    if (!format)
        print_progress_clear();
    if (!format || !isatty(STDERR_FILENO) || !term || text_equal(term, "dumb"))
        return;
    va_list ap;
    va_start(ap, format);
    _cleanup_free_ char *text = print_format(format, ap);
    va_end(ap);
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
    progress_shown = true;
}

const char *print_gib(uint64_t bytes, char *buf, size_t size)
{
    double gib = (double)bytes / 0x1p30;
    if (bytes && gib < 0.01)
        snprintf(buf, size, "<0.01 GiB");
    else
        snprintf(buf, size, gib == floor(gib) ? "%.0f GiB" : "%.2f GiB", gib);
    return buf;
}

const char *print_seconds(uint64_t ns, char *buf, size_t size)
{
    double s = (double)ns / (double)NS_PER_S;
    if (ns && s < 0.001)
        snprintf(buf, size, "<0.001 s");
    else
        snprintf(buf, size, s == floor(s) ? "%.0f s" : s < 10 ? "%.3f s" : "%.1f s", s);
    return buf;
}

const char *print_percent(uint64_t ppm, char *buf, size_t size)
{
    snprintf(buf, size, ppm % 10000 == 0 ? "%.0f%%" : ppm % 1000 == 0 ? "%.1f%%" : "%.4f%%", (double)ppm / 1e4);
    return buf;
}

static bool read_time(json_t *when, time_t *ret)
{
    struct tm tm = { 0 };
    const char *text = json_string_value(when), *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    double seconds = json_number_value(when);
    if (end && text_equal(end, "Z"))
        *ret = timegm(&tm);
    else if (seconds > 0 && seconds < 0x1p40)
        *ret = (time_t)seconds;
    else
        return false;
    return true;
}

const char *print_time(json_t *when, char *buf, size_t size)
{
    struct tm tm;
    time_t t;
    if (!read_time(when, &t))
        snprintf(buf, size, "%s", json_is_string(when) ? json_string_value(when) : "");
    else if (!localtime_r(&t, &tm) || strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        snprintf(buf, size, "?");
    return buf;
}

const char *print_stand_in(json_t *object)
{
    return json_is_true(json_object_get(object, "stand_in")) ? " (stand-in GPU)" : "";
}

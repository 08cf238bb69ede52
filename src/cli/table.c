/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that are aligned when all their rows are known: see table.h. */
#include "cli/table.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <string.h>

#define MAX_COLUMNS 16

struct cell {
    char *text;
    enum print_style style;
};

struct table {
    size_t columns;
    bool right[MAX_COLUMNS];
    size_t count, room;
    struct cell *cells;   /* row by row, the headers first */
};

static void *or_die(void *p)
{
    if (p)
        return p;
    fputs("tranche: out of memory\n", stderr);
    exit(EXIT_FAILED);
}

struct table *table_new(const char *const *headers)
{
    struct table *t = or_die(calloc(1, sizeof *t));
    for (const char *const *h = headers; *h && t->columns < MAX_COLUMNS; h++, t->columns++)
        t->right[t->columns] = **h == '>';
    for (size_t i = 0; i < t->columns; i++)
        table_cell(t, STYLE_DIM, "%s", headers[i] + t->right[i]);
    return t;
}

void table_free(struct table *t)
{
    for (size_t i = 0; t && i < t->count; i++)
        free(t->cells[i].text);
    if (t)
        free(t->cells);
    free(t);
}

void table_cell(struct table *t, enum print_style style, const char *format, ...)
{
    if (t->count == t->room) {
        t->room = t->room * 2 + 32;
        t->cells = or_die(realloc(t->cells, t->room * sizeof *t->cells));
    }
    va_list ap;
    va_start(ap, format);
    t->cells[t->count++] = (struct cell){ print_format(format, ap), style };
    va_end(ap);
}

size_t table_rows(const struct table *t)
{
    return t->count / t->columns - 1;
}

/* Letters, not bytes: bytes that continue a UTF-8 sequence do not count. */
static size_t width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void write_cell(const struct table *t, size_t i, size_t column_width)
{
    size_t pad = column_width - width(t->cells[i].text), column = i % t->columns;
    if (t->right[column])
        printf("%*s", (int)pad, "");
    print_styled(t->cells[i].style, "%s", t->cells[i].text);
    if (column + 1 == t->columns)
        putchar('\n');
    else
        printf("%*s", (int)(t->right[column] ? 2 : pad + 2), "");
}

void table_write(const struct table *t, int indent)
{
    size_t widths[MAX_COLUMNS] = { 0 };
    for (size_t i = 0; i < t->count; i++)
        widths[i % t->columns] = MAX(widths[i % t->columns], width(t->cells[i].text));
    for (size_t i = 0; i < t->count - t->count % t->columns; i++) {
        if (i % t->columns == 0)
            printf("%*s", indent, "");
        write_cell(t, i, widths[i % t->columns]);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines to stderr: see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const char *log_program = "tranche";
static enum log_level log_max = LOG_LEVEL_INFO;
static bool log_journal;

void log_init(const char *program, enum log_level max)
{
    log_program = program;
    log_max = getenv("TRANCHE_DEBUG") ? LOG_LEVEL_DEBUG : max;
    log_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_line(enum log_level level, const char *format, ...)
{
    if (level > log_max)
        return;
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (log_journal)
        fprintf(stderr, "<%d>%s\n", level, text);
    else
        fprintf(stderr, "%s: %s\n", log_program, text);
}

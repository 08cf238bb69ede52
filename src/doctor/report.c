/* SPDX-License-Identifier: Apache-2.0 */
/* Results of checks: see report.h and doctor.h. */
#include "doctor/report.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct doctor_check *report_add(struct doctor_report *report, enum doctor_model model, const char *id, const char *title,
                                enum doctor_verdict verdict)
{
    static struct doctor_check spare;
    struct doctor_check *check = report->n < DOCTOR_MAX_CHECKS ? &report->checks[report->n++] : &spare;
    *check = (struct doctor_check){ .model = model, .id = id, .title = title, .verdict = verdict };
    return check;
}

void check_found(struct doctor_check *check, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(check->found, sizeof check->found, format, ap);
    va_end(ap);
}

void check_remedy(struct doctor_check *check, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(check->remedy, sizeof check->remedy, format, ap);
    va_end(ap);
}

bool cmdline_has(const struct doctor_host *host, const char *word, char *ret_value, size_t size)
{
    size_t n = strlen(word);
    for (const char *p = host->cmdline; *p;) {
        size_t length = strcspn(p, " ");
        if (strncmp(p, word, n) == 0 && (length == n || (length > n && p[n] == '='))) {
            if (ret_value)
                text_format(ret_value, size, "%.*s", length > n ? (int)(length - n - 1) : 0, p + MIN(length, n + 1));
            return true;
        }
        p += length;
        p += strspn(p, " ");
    }
    return false;
}

enum doctor_verdict doctor_worst(const struct doctor_report *report, enum doctor_model model)
{
    enum doctor_verdict worst = DOCTOR_OK;
    for (size_t i = 0; i < report->n; i++)
        if (report->checks[i].model == model && report->checks[i].verdict > worst)
            worst = report->checks[i].verdict;
    return worst;
}

const char *doctor_verdict_to_string(enum doctor_verdict verdict)
{
    static const char *const names[] = { "ok", "unknown", "warning", "blocks" };
    return names[verdict];
}

const char *doctor_model_to_string(enum doctor_model model)
{
    static const char *const names[] = { "passthrough", "vgpu", "mig" };
    return names[model];
}

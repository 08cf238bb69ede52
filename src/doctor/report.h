/* SPDX-License-Identifier: Apache-2.0 */
/* How the checks of this room write their results. */
#pragma once

#include "doctor/doctor.h"

/* A new check, filled in further by the two below. Beyond DOCTOR_MAX_CHECKS it is a spare that nobody reads. */
struct doctor_check *report_add(struct doctor_report *report, enum doctor_model model, const char *id, const char *title,
                                enum doctor_verdict verdict);
void check_found(struct doctor_check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_remedy(struct doctor_check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* " word " or " word=…" on the kernel's command line; *ret_value (may be NULL) is what follows the =, "" without one. */
bool cmdline_has(const struct doctor_host *host, const char *word, char *ret_value, size_t size);

/* Of check_gpu, in files of their own. */
void check_passthrough(const struct doctor_host *host, const struct doctor_gpu *gpu, struct doctor_report *report);
void check_group(const struct doctor_host *host, const struct doctor_gpu *gpu, struct doctor_report *report);

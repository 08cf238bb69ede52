/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, sizes, durations, percentages and names as people write them. Every parser rejects trailing text,
 * signs, NaN and overflow with -EINVAL or -ERANGE and a message that quotes the input and gives an example. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "17" -> 17, within [min, max]. `what` names the setting in messages. */
int text_parse_u64(const char *s, const char *what, uint64_t min, uint64_t max, uint64_t *ret, struct error *err);
/* "3GiB", "512MiB", "1.5GiB", "4096" (bytes), "2GB" (10^9) -> bytes > 0. Fractions must give a whole number of bytes. */
int text_parse_size(const char *s, uint64_t *ret_bytes, struct error *err);
/* "25%", "12.5%" -> parts per million of the whole, 1..1000000. */
int text_parse_percent(const char *s, uint32_t *ret_ppm, struct error *err);
/* "2ms", "500us", "30s", "1.5s" -> ns > 0. */
int text_parse_duration(const char *s, uint64_t *ret_ns, struct error *err);
/* Names of shares: 1..63 of [a-z0-9._-], starting with a letter or digit. */
int text_check_name(const char *s, struct error *err);

/* "1.5 GiB" into buf; returns buf. */
const char *text_format_size(uint64_t bytes, char *buf, size_t size);
/* snprintf that reports truncation: 0 or -ENAMETOOLONG. */
int text_format(char *buf, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool text_equal(const char *a, const char *b);   /* NULL equals only NULL */

/* SPDX-License-Identifier: Apache-2.0 */
/* Text that hardware, drivers and files give us: cut to size, made valid UTF-8 without control characters, blanks folded. */
#pragma once

#include <stddef.h>

/* Copies src (may be NULL) into dst[size]; always terminated. */
void label_set(char *dst, size_t size, const char *src);

/* SPDX-License-Identifier: Apache-2.0 */
/* Compiles and links where clang has its fuzzer and sanitizers. */
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return 0; }

/* SPDX-License-Identifier: Apache-2.0 */
/* Which pieces of the shared arena are taken. The worker decides, so that no client can lay one buffer over another by mistake. */
#pragma once

#include <stdint.h>

struct arena;
/* Manages [first, first + size) of the arena; base maps its offset 0. */
struct arena *arena_new(uint8_t *base, uint64_t first, uint64_t size);
void arena_free(struct arena *a);
/* Offset of n free bytes aligned to `align` (power of two), or UINT64_MAX. Best fit. */
uint64_t arena_take(struct arena *a, uint64_t n, uint64_t align);
/* Gives back what arena_take returned with the same n; large pieces return their pages to the system. */
void arena_give(struct arena *a, uint64_t offset, uint64_t n);

/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation in the arena: an ordered list of free pieces, best fit. See arena.h. */
#include "worker/arena.h"

#include "base/cleanup.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#define RETURN_PAGES_FROM (UINT64_C(256) << 10)   /* below, giving pages back costs more than it saves */
#define GRAIN 128

struct piece { struct piece *next; uint64_t offset, size; };
struct arena { pthread_mutex_t lock; uint8_t *base; struct piece *free; };

struct arena *arena_new(uint8_t *base, uint64_t first, uint64_t size)
{
    struct arena *a = calloc(1, sizeof *a);
    struct piece *p = calloc(1, sizeof *p);
    if (!a || !p) {
        free(a);
        free(p);
        return NULL;
    }
    *p = (struct piece){ NULL, first, size };
    *a = (struct arena){ .lock = PTHREAD_MUTEX_INITIALIZER, .base = base, .free = p };
    return a;
}

void arena_free(struct arena *a)
{
    while (a && a->free) {
        struct piece *p = a->free;
        a->free = p->next;
        free(p);
    }
    free(a);
}

static uint64_t rounded(uint64_t n) { return (n + GRAIN - 1) & ~(uint64_t)(GRAIN - 1); }

static uint64_t padding(const struct piece *p, uint64_t align) { return -p->offset & (align - 1); }

/* Cuts [pad, pad + n) out of *at. False without memory for the piece in front. */
static bool cut(struct piece **at, uint64_t pad, uint64_t n)
{
    struct piece *p = *at;
    if (pad) {
        struct piece *front = malloc(sizeof *front);
        if (!front)
            return false;
        *front = (struct piece){ p, p->offset, pad };
        *at = front;
        at = &front->next;
    }
    p->offset += pad + n;
    p->size -= pad + n;
    if (p->size == 0) {
        *at = p->next;
        free(p);
    }
    return true;
}

uint64_t arena_take(struct arena *a, uint64_t n, uint64_t align)
{
    uint64_t offset = UINT64_MAX;
    if (n == 0 || rounded(n) < n)
        return UINT64_MAX;
    n = rounded(n);
    pthread_mutex_lock(&a->lock);
    struct piece **best = NULL;
    for (struct piece **at = &a->free; *at; at = &(*at)->next) {
        uint64_t pad = padding(*at, align);
        if ((*at)->size >= pad && (*at)->size - pad >= n && (!best || (*at)->size < (*best)->size))
            best = at;
    }
    if (best) {
        uint64_t pad = padding(*best, align), start = (*best)->offset + pad;
        if (cut(best, pad, n))
            offset = start;
    }
    pthread_mutex_unlock(&a->lock);
    return offset;
}

void arena_give(struct arena *a, uint64_t offset, uint64_t n)
{
    n = rounded(n);
    if (n >= RETURN_PAGES_FROM) {
        uint64_t from = (offset + 4095) & ~UINT64_C(4095), to = (offset + n) & ~UINT64_C(4095);
        madvise(a->base + from, to - from, MADV_REMOVE);
    }
    pthread_mutex_lock(&a->lock);
    struct piece **at = &a->free, *before = NULL;
    while (*at && (*at)->offset < offset) {
        before = *at;
        at = &before->next;
    }
    struct piece *after = *at;
    if (before && before->offset + before->size == offset) {
        before->size += n;
        if (after && before->offset + before->size == after->offset) {
            before->size += after->size;
            before->next = after->next;
            free(after);
        }
    } else if (after && offset + n == after->offset) {
        after->offset = offset;
        after->size += n;
    } else {
        struct piece *p = malloc(sizeof *p);
        if (p) {                 /* without memory the piece is lost for this client only */
            *p = (struct piece){ after, offset, n };
            *at = p;
        }
    }
    pthread_mutex_unlock(&a->lock);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Where the region lies for shared virtual memory: see svm.h. */
#include "worker/svm.h"

#include "base/cleanup.h"

#include <sys/mman.h>

#define MOVES_MAX 16     /* the kernel places each below the last: two address spaces that disagree for so long are full */

struct svm {
    uint8_t *base;                 /* of the region */
    void *refused[MOVES_MAX];      /* earlier places, kept so that the next is another one */
    unsigned moves;
    bool fixed;
};

struct svm *svm_new(struct session *s)
{
    struct svm *v = calloc(1, sizeof *v);
    if (v)
        v->base = (uint8_t *)s->header;
    return v;
}

uint64_t svm_move(struct session *s)
{
    struct svm *v = s->svm;
    if (v->fixed)
        session_fail("shared virtual memory cannot move once it is used");
    if (v->moves == MOVES_MAX)
        return 0;
    void *p = mmap(NULL, s->region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, s->region_fd, 0);
    if (p == MAP_FAILED)
        return 0;
    v->refused[v->moves++] = v->base;
    v->base = p;
    return (uintptr_t)p;
}

uint8_t *svm_at(struct session *s, uint64_t offset)
{
    struct svm *v = s->svm;
    for (unsigned i = 1; !v->fixed && i < v->moves; i++)
        munmap(v->refused[i], s->region_bytes);        /* all but the first, which everything else uses */
    v->fixed = true;
    return v->base + WIRE_ARENA_OFFSET + offset;
}

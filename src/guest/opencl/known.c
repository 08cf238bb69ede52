/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses are live memory objects or samplers of this process: open addressing, removed without tombstones. */
#include "guest/opencl/guest.h"

#include <stdlib.h>

static struct { pthread_rwlock_t lock; const void **slots; size_t n, cap; } known = { .lock = PTHREAD_RWLOCK_INITIALIZER };

static size_t place(const void *const *slots, size_t cap, const void *p)
{
    size_t i = ((uintptr_t)p >> 4) * UINT64_C(0x9E3779B97F4A7C15) & (cap - 1);
    while (slots[i] && slots[i] != p)
        i = (i + 1) & (cap - 1);
    return i;
}

static void grow(void)
{
    size_t cap = known.cap ? known.cap * 2 : 256;
    const void **slots = calloc(cap, sizeof *slots);
    if (!slots)
        return;
    for (size_t i = 0; i < known.cap; i++)
        if (known.slots[i])
            slots[place(slots, cap, known.slots[i])] = known.slots[i];
    free(known.slots);
    known.slots = slots;
    known.cap = cap;
}

bool known_add(const void *object)
{
    pthread_rwlock_wrlock(&known.lock);
    if (2 * (known.n + 1) > known.cap)
        grow();
    bool ok = known.n + 1 < known.cap;
    if (ok) {
        known.slots[place(known.slots, known.cap, object)] = object;
        known.n++;
    }
    pthread_rwlock_unlock(&known.lock);
    return ok;
}

void known_remove(const void *object)
{
    pthread_rwlock_wrlock(&known.lock);
    size_t i = place(known.slots, known.cap, object);
    known.slots[i] = NULL;
    known.n--;
    /* Close the gap of the linear probing. */
    for (size_t j = (i + 1) & (known.cap - 1); known.slots[j]; j = (j + 1) & (known.cap - 1)) {
        const void *moved = known.slots[j];
        known.slots[j] = NULL;
        known.slots[place(known.slots, known.cap, moved)] = moved;
    }
    pthread_rwlock_unlock(&known.lock);
}

bool object_is_known(const void *p, enum kind kind)
{
    pthread_rwlock_rdlock(&known.lock);
    bool yes = p && known.cap && known.slots[place(known.slots, known.cap, p)] == p && object_is(p, kind);
    pthread_rwlock_unlock(&known.lock);
    return yes;
}

void known_fork(enum fork_step step)
{
    switch (step) {
    case FORK_BEFORE: pthread_rwlock_wrlock(&known.lock); break;
    case FORK_PARENT: pthread_rwlock_unlock(&known.lock); break;
    case FORK_CHILD: pthread_rwlock_init(&known.lock, NULL); break;
    }
}

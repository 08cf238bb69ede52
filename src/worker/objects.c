/* SPDX-License-Identifier: Apache-2.0 */
/* Handle table and object life: see objects.h. */
#include "worker/objects.h"

#include "base/cleanup.h"
#include "worker/arena.h"
#include "worker/kernels.h"
#include "worker/queue.h"

static struct { pthread_mutex_t lock; struct object **slots; uint32_t cap; } table = { .lock = PTHREAD_MUTEX_INITIALIZER };
static _Atomic uint64_t next_serial = 1;

struct object *object_new(struct session *s, enum object_kind kind)
{
    struct object *o = calloc(1, sizeof *o);
    if (!o)
        session_fail("out of memory");
    o->kind = kind;
    o->session = s;
    o->serial = atomic_fetch_add(&next_serial, 1);
    atomic_store(&o->refs, 1);
    return o;
}

struct object *object_ref(struct object *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

static void give_back(struct session *s, uint64_t offset, uint64_t size, uint64_t reserved, bool released)
{
    if (offset != WIRE_NO_OFFSET)
        arena_give(s->arena, offset, size);
    if (reserved)
        quota_release(s->client, reserved);
    if (released)
        atomic_fetch_sub(&s->zombie_bytes, reserved);
}

static void mem_free(struct object *o)
{
    if (o->u.mem.native)
        clReleaseMemObject(o->u.mem.native);
    if (!o->parent)
        give_back(o->session, o->u.mem.offset, o->u.mem.size, o->u.mem.reserved, atomic_load(&o->u.mem.released));
}

static void svm_free(struct object *o)
{
    give_back(o->session, o->u.svm.offset, o->u.svm.size, o->u.svm.reserved, atomic_load(&o->u.svm.released));
}

void object_unref(struct object *o)
{
    if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
        return;
    switch (o->kind) {
    case OBJECT_MEM: mem_free(o); break;
    case OBJECT_PROGRAM:
        if (o->u.program.native)
            clReleaseProgram(o->u.program.native);
        break;
    case OBJECT_SVM: svm_free(o); break;
    case OBJECT_DEVICE:
        if (o->u.device)
            clReleaseDevice(o->u.device);
        break;
    case OBJECT_KERNEL: kernel_free(o); break;
    case OBJECT_SAMPLER:
        if (o->u.sampler)
            clReleaseSampler(o->u.sampler);
        break;
    case OBJECT_QUEUE: queue_free(o->u.queue); break;
    }
    struct object *parent = o->parent;
    free(o);
    object_unref(parent);
}

/* Under the lock: room for handle id. */
static void table_grow(uint32_t id)
{
    if (id < table.cap)
        return;
    uint32_t cap = MAX(table.cap, 1024u);
    while (cap <= id)
        cap *= 2;
    struct object **p = realloc(table.slots, cap * sizeof *p);
    if (!p)
        session_fail("out of memory");
    for (uint32_t i = table.cap; i < cap; i++)
        p[i] = NULL;
    table.slots = p;
    table.cap = cap;
}

void objects_put(uint32_t id, struct object *o)
{
    if (id == 0 || id >= WIRE_MAX_OBJECTS)
        session_fail("handle %u is out of range", id);
    pthread_mutex_lock(&table.lock);
    table_grow(id);
    if (table.slots[id])
        session_fail("handle %u is in use", id);
    table.slots[id] = o;
    pthread_mutex_unlock(&table.lock);
}

struct object *objects_get(uint32_t id, enum object_kind kind)
{
    struct object *o = NULL;
    pthread_mutex_lock(&table.lock);
    if (id < table.cap && table.slots[id] && table.slots[id]->kind == kind)
        o = object_ref(table.slots[id]);
    pthread_mutex_unlock(&table.lock);
    return o;
}

struct object *objects_take(uint32_t id, enum object_kind kind)
{
    struct object *o = NULL;
    pthread_mutex_lock(&table.lock);
    if (id < table.cap && table.slots[id] && table.slots[id]->kind == kind) {
        o = table.slots[id];
        table.slots[id] = NULL;
    }
    pthread_mutex_unlock(&table.lock);
    return o;
}

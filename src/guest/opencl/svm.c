/* SPDX-License-Identifier: Apache-2.0 */
/* Shared virtual memory: pieces of the arena, which this process and the worker have at the same addresses. What the calls enqueue is done here, in the
 * queue's turn (host.c), or is nothing at all: both sides see the same memory. */
#include "guest/opencl/guest.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY_FLAGS (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY | CL_MEM_READ_ONLY)
#define ALIGN_MAX 128u         /* of long16; also what the arena gives to the smallest piece */

/* ---- allocations, by address ---- */

struct allocation { uintptr_t start; size_t size; uint32_t id; cl_context context; };

static struct { pthread_rwlock_t lock; struct allocation *list; size_t n, cap; } all = { .lock = PTHREAD_RWLOCK_INITIALIZER };

/* Under the lock: how many begin at or before the address. */
static size_t position(uintptr_t address)
{
    size_t low = 0, high = all.n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (all.list[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool add(struct allocation a)
{
    pthread_rwlock_wrlock(&all.lock);
    bool ok = all.n < all.cap;
    if (!ok) {
        size_t cap = all.cap ? 2 * all.cap : 64;
        struct allocation *p = realloc(all.list, cap * sizeof *p);
        ok = p != NULL;
        if (p) {
            all.list = p;
            all.cap = cap;
        }
    }
    if (ok) {
        size_t at = position(a.start);
        memmove(all.list + at + 1, all.list + at, (all.n - at) * sizeof a);
        all.list[at] = a;
        all.n++;
    }
    pthread_rwlock_unlock(&all.lock);
    return ok;
}

/* The handle of the allocation that begins here, which is forgotten; 0 when none does. */
static uint32_t take(uintptr_t start)
{
    uint32_t id = 0;
    pthread_rwlock_wrlock(&all.lock);
    size_t at = position(start);
    if (at && all.list[at - 1].start == start) {
        id = all.list[at - 1].id;
        memmove(all.list + at - 1, all.list + at, (all.n - at) * sizeof *all.list);
        all.n--;
    }
    pthread_rwlock_unlock(&all.lock);
    return id;
}

bool svm_find(const void *pointer, struct svm_place *ret)
{
    uintptr_t address = (uintptr_t)pointer;
    pthread_rwlock_rdlock(&all.lock);
    size_t at = position(address);
    const struct allocation *a = at ? &all.list[at - 1] : NULL;
    bool found = a && address - a->start < a->size;
    if (found)
        *ret = (struct svm_place){ a->id, address - a->start, a->size, a->context };
    pthread_rwlock_unlock(&all.lock);
    return found;
}

void svm_fork(enum fork_step step)
{
    switch (step) {
    case FORK_BEFORE: pthread_rwlock_wrlock(&all.lock); break;
    case FORK_PARENT: pthread_rwlock_unlock(&all.lock); break;
    case FORK_CHILD:
        pthread_rwlock_init(&all.lock, NULL);
        all.n = 0;           /* the memory was not inherited */
        break;
    }
}

cl_device_svm_capabilities svm_capabilities(void)
{
    cl_device_svm_capabilities caps = 0;
    clGetDeviceInfo(&the_device, CL_DEVICE_SVM_CAPABILITIES, sizeof caps, &caps, NULL);
    return caps;
}

static bool flags_valid(cl_svm_mem_flags flags)
{
    cl_device_svm_capabilities caps = svm_capabilities();
    cl_svm_mem_flags access = flags & MEMORY_FLAGS;
    if (flags & ~(cl_svm_mem_flags)(MEMORY_FLAGS | CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS) || access & (access - 1))
        return false;
    if (flags & CL_MEM_SVM_ATOMICS && !(flags & CL_MEM_SVM_FINE_GRAIN_BUFFER && caps & CL_DEVICE_SVM_ATOMICS))
        return false;
    return !(flags & CL_MEM_SVM_FINE_GRAIN_BUFFER) || caps & CL_DEVICE_SVM_FINE_GRAIN_BUFFER;
}

static void *allocate(struct link *l, cl_context context, size_t size)
{
    struct wire_svm_alloc_answer a = { 0 };
    void *buf = NULL;
    uint32_t id = link_id_new();
    int r = id ? LINK_CALL(l, svm_alloc, &a, &buf, .svm = id, .size = size) : -1;
    free(buf);
    if (r < 0 || a.error) {
        link_id_free(id);
        return NULL;
    }
    uint8_t *pointer = l->svm_arena + a.offset;
    if (add((struct allocation){ (uintptr_t)pointer, size, id, context }))
        return pointer;
    LINK_POST(l, svm_free, .svm = id);
    link_id_free(id);
    return NULL;
}

void *CL_API_CALL clSVMAlloc(cl_context context, cl_svm_mem_flags flags, size_t size, cl_uint alignment)
{
    struct link *l = link_current();
    cl_ulong most = 0;
    if (!object_is(context, KIND_CONTEXT) || !l || !l->svm_arena || !flags_valid(flags) || alignment > ALIGN_MAX || alignment & (alignment - 1))
        return NULL;
    clGetDeviceInfo(&the_device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof most, &most, NULL);
    return size == 0 || size > most ? NULL : allocate(l, context, size);
}

static void release(void *pointer)
{
    struct link *l = link_current();
    uint32_t id = take((uintptr_t)pointer);
    if (!l || !id)
        return;
    LINK_POST(l, svm_free, .svm = id);
    link_id_free(id);
}

void CL_API_CALL clSVMFree(cl_context context, void *pointer) { release(pointer); }

/* ---- commands ---- */

static cl_int check(cl_command_queue q, cl_uint nwait, const cl_event *wait)
{
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (!svm_capabilities())
        return CL_INVALID_OPERATION;
    return events_check(q->context, nwait, wait);
}

struct freeing {
    void (CL_CALLBACK *call)(cl_command_queue, cl_uint, void *[], void *);
    void *user;
    cl_command_queue queue;
    cl_uint n;
    void *pointers[];
};

static cl_int run_free(void *arg)
{
    struct freeing *f = arg;
    if (f->call)
        f->call(f->queue, f->n, f->pointers, f->user);
    for (cl_uint i = 0; !f->call && i < f->n; i++)
        release(f->pointers[i]);
    return CL_SUCCESS;
}

static void drop_free(void *arg)
{
    struct freeing *f = arg;
    queue_release(f->queue);
    free(f);
}

cl_int CL_API_CALL clEnqueueSVMFree(cl_command_queue q, cl_uint n, void *pointers[], void (CL_CALLBACK *call)(cl_command_queue, cl_uint, void *[], void *),
                                    void *user, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    cl_int e = check(q, nwait, wait);
    if (e)
        return e;
    if ((n == 0) != (pointers == NULL))
        return CL_INVALID_VALUE;
    struct freeing *f = malloc(sizeof *f + n * sizeof *pointers);
    if (!f)
        return CL_OUT_OF_HOST_MEMORY;
    *f = (struct freeing){ call, user, q, n };
    if (n)
        memcpy(f->pointers, pointers, n * sizeof *pointers);
    object_ref(q);
    return host_run_later(q, &(struct host_work){ run_free, drop_free, f }, CL_COMMAND_SVM_FREE, nwait, wait, event);
}

/* A copy, or a fill with what stands in `pattern`. */
struct moving { uint8_t *target; const uint8_t *source; size_t size, pattern_size; uint8_t pattern[128]; };

static cl_int run_move(void *arg)
{
    const struct moving *m = arg;
    if (!m->pattern_size)
        memcpy(m->target, m->source, m->size);
    for (size_t at = 0; at < m->size && m->pattern_size; at += m->pattern_size)
        memcpy(m->target + at, m->pattern, m->pattern_size);
    return CL_SUCCESS;
}

static cl_int enqueue_move(cl_command_queue q, const struct moving *m, bool blocking, cl_command_type type, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    if (queue_idle(q) && events_complete(nwait, wait))
        return host_run_now(q, run_move, (void *)m, type, event);
    if (blocking)
        return host_run_in_turn(q, run_move, (void *)m, type, nwait, wait, event);
    struct moving *copy = malloc(sizeof *copy);
    if (!copy)
        return CL_OUT_OF_HOST_MEMORY;
    *copy = *m;
    return host_run_later(q, &(struct host_work){ run_move, free, copy }, type, nwait, wait, event);
}

cl_int CL_API_CALL clEnqueueSVMMemcpy(cl_command_queue q, cl_bool blocking, void *target, const void *source, size_t size, cl_uint nwait, const cl_event *wait,
                                      cl_event *event)
{
    cl_int e = check(q, nwait, wait);
    if (e)
        return e;
    if (!target || !source)
        return CL_INVALID_VALUE;
    uintptr_t to = (uintptr_t)target, from = (uintptr_t)source;
    if (to - from < size || from - to < size)
        return CL_MEM_COPY_OVERLAP;
    return enqueue_move(q, &(struct moving){ .target = target, .source = source, .size = size }, blocking, CL_COMMAND_SVM_MEMCPY, nwait, wait, event);
}

cl_int CL_API_CALL clEnqueueSVMMemFill(cl_command_queue q, void *target, const void *pattern, size_t pattern_size, size_t size, cl_uint nwait,
                                       const cl_event *wait, cl_event *event)
{
    struct moving m = { .target = target, .size = size, .pattern_size = pattern_size };
    cl_int e = check(q, nwait, wait);
    if (e)
        return e;
    if (!target || !pattern || pattern_size == 0 || pattern_size > sizeof m.pattern || pattern_size & (pattern_size - 1) ||
        (uintptr_t)target % pattern_size || size % pattern_size)
        return CL_INVALID_VALUE;
    memcpy(m.pattern, pattern, pattern_size);
    return enqueue_move(q, &m, false, CL_COMMAND_SVM_MEMFILL, nwait, wait, event);
}

cl_int CL_API_CALL clEnqueueSVMMap(cl_command_queue q, cl_bool blocking, cl_map_flags flags, void *pointer, size_t size, cl_uint nwait, const cl_event *wait,
                                   cl_event *event)
{
    const cl_map_flags update = CL_MAP_READ | CL_MAP_WRITE;
    cl_int e = check(q, nwait, wait);
    if (e)
        return e;
    if (!pointer || size == 0 || flags & ~(update | CL_MAP_WRITE_INVALIDATE_REGION) || (flags & CL_MAP_WRITE_INVALIDATE_REGION && flags & update))
        return CL_INVALID_VALUE;
    if (blocking && (e = queue_wait_turn(q, nwait, wait)))
        return e;
    return queue_marker(q, CL_COMMAND_SVM_MAP, nwait, wait, event);
}

cl_int CL_API_CALL clEnqueueSVMUnmap(cl_command_queue q, void *pointer, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    cl_int e = check(q, nwait, wait);
    if (e)
        return e;
    return pointer ? queue_marker(q, CL_COMMAND_SVM_UNMAP, nwait, wait, event) : CL_INVALID_VALUE;
}

/* Whether [pointer, pointer + size) lies in one allocation. */
static bool allocated(const void *pointer, size_t size)
{
    struct svm_place place;
    return svm_find(pointer, &place) && size <= place.size - place.offset;
}

cl_int CL_API_CALL clEnqueueSVMMigrateMem(cl_command_queue q, cl_uint n, const void **pointers, const size_t *sizes, cl_mem_migration_flags flags, cl_uint nwait,
                                          const cl_event *wait, cl_event *event)
{
    cl_int e = check(q, nwait, wait);
    if (e)
        return e;
    if (n == 0 || !pointers || flags & ~(cl_mem_migration_flags)(CL_MIGRATE_MEM_OBJECT_HOST | CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED))
        return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < n; i++)
        if (!allocated(pointers[i], sizes ? sizes[i] : 0))
            return CL_INVALID_VALUE;
    return queue_marker(q, CL_COMMAND_SVM_MIGRATE_MEM, nwait, wait, event);      /* one memory: nothing to move */
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, writes and maps: between the application's memory and a buffer.
 *
 * One function copies now (transfer_run): a memcpy in the arena on unified devices, chunks streamed through a channel otherwise (stream.c). As part of a queue
 * this side runs it in its turn (host.c), so that at any size there is one copy and no staging memory. Small writes travel in the ring itself. */
#include "guest/opencl/guest.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

void transfer_linear(struct transfer *t, cl_mem mem, bool write, void *host, uint64_t offset, uint64_t size)
{
    *t = (struct transfer){ .mem = mem, .write = write, .host = host, .mem_start = offset, .region = { size, 1, 1 }, .host_row = size, .host_slice = size,
                            .mem_row = size, .mem_slice = size };
}

static bool linear(const struct transfer *t) { return t->region[1] == 1 && t->region[2] == 1; }
static uint64_t total(const struct transfer *t) { return t->region[0] * t->region[1] * t->region[2]; }

/* ---- now ---- */

cl_int transfer_run(const struct transfer *t)
{
    if (total(t) == 0)
        return CL_SUCCESS;
    if (!t->mem->memory)
        return transfer_stream(t);
    for (uint64_t z = 0; z < t->region[2]; z++)
        for (uint64_t y = 0; y < t->region[1]; y++) {
            uint8_t *host = t->host + t->host_start + z * t->host_slice + y * t->host_row;
            uint8_t *mem = t->mem->memory + t->mem_start + z * t->mem_slice + y * t->mem_row;
            if (host != mem)
                memcpy(t->write ? mem : host, t->write ? host : mem, t->region[0]);
        }
    return CL_SUCCESS;
}

/* ---- in a queue ---- */

static cl_int run_transfer(void *arg) { return transfer_run(arg); }

static cl_int write_inline(cl_command_queue q, const struct transfer *t, cl_command_type type, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    struct command c;
    command_begin(&c, nwait, wait);
    wire_put_write_inline(&c.out, &(struct wire_write_inline){ t->mem->base.id, t->mem_start, { t->host + t->host_start, (uint32_t)t->region[0] } });
    return command_push(&c, WIRE_OP_write_inline, q, type, event);
}

static void drop_transfer(void *arg)
{
    struct transfer *t = arg;
    mem_release(t->mem);
    free(t->owned);
    free(t);
}

static cl_int run_later(cl_command_queue q, const struct transfer *t, cl_command_type type, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    struct transfer *copy = malloc(sizeof *copy);
    if (!copy) {
        free(t->owned);
        return CL_OUT_OF_HOST_MEMORY;
    }
    *copy = *t;
    object_ref(t->mem);
    return host_run_later(q, &(struct host_work){ run_transfer, drop_transfer, copy }, type, nwait, wait, event);
}

cl_int transfer_enqueue(cl_command_queue q, const struct transfer *t, bool blocking, cl_command_type type, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    bool ready = queue_idle(q) && events_complete(nwait, wait), nothing = total(t) == 0;
    cl_int r;
    if (ready && (nothing || t->mem->memory))
        r = host_run_now(q, run_transfer, (void *)t, type, event);
    else if (nothing && !blocking)
        r = queue_marker(q, type, nwait, wait, event);
    else if (!nothing && t->write && !t->mem->image && linear(t) && t->region[0] <= WIRE_INLINE_WRITE_MAX)
        r = write_inline(q, t, type, nwait, wait, event);
    else if (!ready && !blocking)
        return run_later(q, t, type, nwait, wait, event);
    else
        r = host_run_in_turn(q, run_transfer, (void *)t, type, nwait, wait, event);
    free(t->owned);
    return r;
}

/* ---- the API ---- */

cl_int transfer_check(cl_command_queue q, cl_mem m, bool write, cl_uint nwait, const cl_event *wait)
{
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (!object_is(m, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    if (m->context != q->context)
        return CL_INVALID_CONTEXT;
    if (m->flags & (CL_MEM_HOST_NO_ACCESS | (write ? CL_MEM_HOST_READ_ONLY : CL_MEM_HOST_WRITE_ONLY)))
        return CL_INVALID_OPERATION;
    if (!link_current())
        return CL_OUT_OF_RESOURCES;
    return events_check(q->context, nwait, wait);
}

static cl_int buffer_check(cl_command_queue q, cl_mem m, bool write, cl_uint nwait, const cl_event *wait)
{
    cl_int e = transfer_check(q, m, write, nwait, wait);
    return !e && m->image ? CL_INVALID_MEM_OBJECT : e;
}

static cl_int enqueue_linear(cl_command_queue q, cl_mem m, bool write, cl_bool blocking, size_t offset, size_t size, void *ptr, cl_uint nwait,
                             const cl_event *wait, cl_event *event)
{
    struct transfer t;
    cl_int e = buffer_check(q, m, write, nwait, wait);
    if (e)
        return e;
    if (!ptr || offset > m->size || size > m->size - offset)
        return CL_INVALID_VALUE;
    transfer_linear(&t, m, write, ptr, offset, size);
    return transfer_enqueue(q, &t, blocking, write ? CL_COMMAND_WRITE_BUFFER : CL_COMMAND_READ_BUFFER, nwait, wait, event);
}

cl_int CL_API_CALL clEnqueueReadBuffer(cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset, size_t size, void *ptr, cl_uint nwait,
                                       const cl_event *wait, cl_event *event)
{
    return enqueue_linear(q, m, false, blocking, offset, size, ptr, nwait, wait, event);
}

cl_int CL_API_CALL clEnqueueWriteBuffer(cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset, size_t size, const void *ptr, cl_uint nwait,
                                        const cl_event *wait, cl_event *event)
{
    return enqueue_linear(q, m, true, blocking, offset, size, (void *)ptr, nwait, wait, event);
}

/* One side of a rectangle: pitches with their defaults, first byte, and whether the last byte stays within `limit`. */
static bool pitches(const size_t origin[3], const size_t region[3], size_t row, size_t slice, uint64_t limit, uint64_t *ret_row, uint64_t *ret_slice, uint64_t *ret_start)
{
    uint64_t end, n;
    *ret_row = row ? row : region[0];
    if (*ret_row < region[0] || __builtin_mul_overflow(*ret_row, (uint64_t)region[1], &n))
        return false;
    *ret_slice = slice ? slice : n;
    if (*ret_slice < n || (slice && slice % *ret_row))
        return false;
    if (__builtin_mul_overflow(*ret_slice, (uint64_t)origin[2], ret_start) || __builtin_mul_overflow(*ret_row, (uint64_t)origin[1], &n) ||
        __builtin_add_overflow(*ret_start, n, ret_start) || __builtin_add_overflow(*ret_start, (uint64_t)origin[0], ret_start))
        return false;
    if (__builtin_mul_overflow(*ret_slice, (uint64_t)region[2] - 1, &end) || __builtin_add_overflow(end, *ret_row * (region[1] - 1) + region[0], &end) ||
        __builtin_add_overflow(end, *ret_start, &end))
        return false;
    return end <= limit;
}

static cl_int enqueue_rect(cl_command_queue q, cl_mem m, bool write, cl_bool blocking, const size_t *mem_origin, const size_t *host_origin,
                           const size_t *region, size_t mem_row, size_t mem_slice, size_t host_row, size_t host_slice, void *ptr, cl_uint nwait,
                           const cl_event *wait, cl_event *event)
{
    cl_int e = buffer_check(q, m, write, nwait, wait);
    if (e)
        return e;
    struct transfer t = { .mem = m, .write = write, .host = ptr };
    if (!ptr || !mem_origin || !host_origin || !region || !region[0] || !region[1] || !region[2] ||
        !pitches(mem_origin, region, mem_row, mem_slice, m->size, &t.mem_row, &t.mem_slice, &t.mem_start) ||
        !pitches(host_origin, region, host_row, host_slice, UINT64_MAX / 2, &t.host_row, &t.host_slice, &t.host_start))
        return CL_INVALID_VALUE;
    for (int i = 0; i < 3; i++)
        t.region[i] = region[i];
    return transfer_enqueue(q, &t, blocking, write ? CL_COMMAND_WRITE_BUFFER_RECT : CL_COMMAND_READ_BUFFER_RECT, nwait, wait, event);
}

cl_int CL_API_CALL clEnqueueReadBufferRect(cl_command_queue q, cl_mem m, cl_bool blocking, const size_t *mem_origin, const size_t *host_origin,
                                           const size_t *region, size_t mem_row, size_t mem_slice, size_t host_row, size_t host_slice, void *ptr,
                                           cl_uint nwait, const cl_event *wait, cl_event *event)
{
    return enqueue_rect(q, m, false, blocking, mem_origin, host_origin, region, mem_row, mem_slice, host_row, host_slice, ptr, nwait, wait, event);
}

cl_int CL_API_CALL clEnqueueWriteBufferRect(cl_command_queue q, cl_mem m, cl_bool blocking, const size_t *mem_origin, const size_t *host_origin,
                                            const size_t *region, size_t mem_row, size_t mem_slice, size_t host_row, size_t host_slice, const void *ptr,
                                            cl_uint nwait, const cl_event *wait, cl_event *event)
{
    return enqueue_rect(q, m, true, blocking, mem_origin, host_origin, region, mem_row, mem_slice, host_row, host_slice, (void *)ptr, nwait, wait, event);
}

/* ---- maps ---- */

/* The application's view: the arena itself, its own memory (CL_MEM_USE_HOST_PTR), or a copy of a device's memory. */
static struct mapping *mapping_new(const struct transfer *view, cl_map_flags flags)
{
    cl_mem m = view->mem;
    struct mapping *map = calloc(1, sizeof *map);
    if (!map)
        return NULL;
    *map = (struct mapping){ .flags = flags, .view = *view };
    if (m->host_pointer)
        map->pointer = (uint8_t *)m->host_pointer + view->host_start;
    else if (m->memory)
        map->pointer = m->memory + view->mem_start;
    else
        map->pointer = map->shadow = malloc(total(view));
    if (!map->pointer) {
        free(map);
        return NULL;
    }
    map->view.write = true;
    map->view.host = map->pointer;
    map->view.host_start = 0;
    if (m->memory && map->pointer == m->memory + view->mem_start)
        map->view.region[0] = 0;           /* nothing to copy */
    pthread_mutex_lock(&m->lock);
    map->next = m->mappings;
    m->mappings = map;
    m->map_count++;
    pthread_mutex_unlock(&m->lock);
    return map;
}

static struct mapping *mapping_take(cl_mem m, const void *pointer)
{
    struct mapping *found = NULL;
    pthread_mutex_lock(&m->lock);
    for (struct mapping **p = &m->mappings; *p && !found; p = &(*p)->next)
        if ((*p)->pointer == pointer) {
            found = *p;
            *p = found->next;
            m->map_count--;
            break;
        }
    pthread_mutex_unlock(&m->lock);
    return found;
}

static void mapping_free(struct mapping *map)
{
    free(map->shadow);
    free(map);
}

cl_int map_check(cl_command_queue q, cl_mem m, cl_map_flags flags, cl_uint nwait, const cl_event *wait)
{
    const cl_map_flags write = CL_MAP_WRITE | CL_MAP_WRITE_INVALIDATE_REGION;
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (!object_is(m, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    if (m->context != q->context)
        return CL_INVALID_CONTEXT;
    if (flags & ~(cl_map_flags)(CL_MAP_READ | write) || (flags & CL_MAP_WRITE_INVALIDATE_REGION && flags & (CL_MAP_READ | CL_MAP_WRITE)))
        return CL_INVALID_VALUE;
    if (m->flags & CL_MEM_HOST_NO_ACCESS || (flags & CL_MAP_READ && m->flags & CL_MEM_HOST_WRITE_ONLY) || (flags & write && m->flags & CL_MEM_HOST_READ_ONLY))
        return CL_INVALID_OPERATION;
    if (!link_current())
        return CL_OUT_OF_RESOURCES;
    return events_check(q->context, nwait, wait);
}

void *map_enqueue(cl_command_queue q, const struct transfer *view, bool blocking, cl_map_flags flags, cl_command_type type, cl_uint nwait, const cl_event *wait,
                  cl_event *event, cl_int *ret_error)
{
    struct mapping *map = mapping_new(view, flags);
    if (!map) {
        *ret_error = CL_MAP_FAILURE;
        return NULL;
    }
    struct transfer t = map->view;
    t.write = false;
    if (flags & CL_MAP_WRITE_INVALIDATE_REGION)
        t.region[0] = 0;                    /* what is there is given up */
    *ret_error = transfer_enqueue(q, &t, blocking, type, nwait, wait, event);
    if (*ret_error == CL_SUCCESS)
        return map->pointer;
    mapping_take(view->mem, map->pointer);
    mapping_free(map);
    return NULL;
}

void *CL_API_CALL clEnqueueMapBuffer(cl_command_queue q, cl_mem m, cl_bool blocking, cl_map_flags flags, size_t offset, size_t size, cl_uint nwait,
                                     const cl_event *wait, cl_event *event, cl_int *errcode_ret)
{
    struct transfer view;
    void *pointer = NULL;
    cl_int e = map_check(q, m, flags, nwait, wait);
    if (!e && m->image)
        e = CL_INVALID_MEM_OBJECT;
    if (!e && (size == 0 || offset > m->size || size > m->size - offset))
        e = CL_INVALID_VALUE;
    if (!e) {
        transfer_linear(&view, m, false, NULL, offset, size);
        view.host_start = offset;
        pointer = map_enqueue(q, &view, blocking, flags, CL_COMMAND_MAP_BUFFER, nwait, wait, event, &e);
    }
    if (errcode_ret)
        *errcode_ret = e;
    return pointer;
}

cl_int CL_API_CALL clEnqueueUnmapMemObject(cl_command_queue q, cl_mem m, void *pointer, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (!object_is(m, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    if (m->context != q->context)
        return CL_INVALID_CONTEXT;
    cl_int e = events_check(q->context, nwait, wait);
    struct mapping *map = e ? NULL : mapping_take(m, pointer);
    if (!map)
        return e ? e : CL_INVALID_VALUE;
    if (!(map->flags & (CL_MAP_WRITE | CL_MAP_WRITE_INVALIDATE_REGION)))
        map->view.region[0] = 0;
    if (map->view.region[0] || event || nwait) {
        map->view.owned = steal(map->shadow);
        e = transfer_enqueue(q, &map->view, false, CL_COMMAND_UNMAP_MEM_OBJECT, nwait, wait, event);
    }
    mapping_free(map);
    return e;
}

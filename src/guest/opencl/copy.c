/* SPDX-License-Identifier: Apache-2.0 */
/* Commands between buffers, and those that touch none of the application's memory: copy, rectangle copy, fill, migrate. */
#include "guest/opencl/guest.h"

#include <inttypes.h>
#include <string.h>

static cl_int check(cl_command_queue q, cl_mem a, cl_mem b, cl_uint nwait, const cl_event *wait)
{
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (!object_is(a, KIND_MEM) || !object_is(b, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    if (a->context != q->context || b->context != q->context)
        return CL_INVALID_CONTEXT;
    return events_check(q->context, nwait, wait);
}

/* Where a buffer begins in the memory that it shares with its siblings. */
static size_t base_of(cl_mem m) { return m->parent ? m->origin : 0; }
static cl_mem root_of(cl_mem m) { return m->parent ? m->parent : m; }

cl_int CL_API_CALL clEnqueueCopyBuffer(cl_command_queue q, cl_mem source, cl_mem target, size_t source_offset, size_t target_offset, size_t size,
                                       cl_uint nwait, const cl_event *wait, cl_event *event)
{
    struct command c;
    cl_int e = check(q, source, target, nwait, wait);
    if (e)
        return e;
    if (source_offset > source->size || size > source->size - source_offset || target_offset > target->size || size > target->size - target_offset)
        return CL_INVALID_VALUE;
    if (size == 0)
        return queue_marker(q, CL_COMMAND_COPY_BUFFER, nwait, wait, event);
    size_t from = base_of(source) + source_offset, to = base_of(target) + target_offset;
    if (root_of(source) == root_of(target) && from < to + size && to < from + size)
        return CL_MEM_COPY_OVERLAP;
    command_begin(&c, nwait, wait);
    wire_put_copy(&c.out, &(struct wire_copy){ source->base.id, target->base.id, source_offset, target_offset, size });
    return command_push(&c, WIRE_OP_copy, q, CL_COMMAND_COPY_BUFFER, event);
}

/* Pitches with defaults; false when a rectangle leaves its buffer. */
static bool rect(const size_t origin[3], const size_t region[3], size_t *row, size_t *slice, size_t limit)
{
    size_t last, n;
    for (int i = 0; i < 3; i++)
        if (__builtin_add_overflow(origin[i], region[i], &n))
            return false;
    if (!*row)
        *row = region[0];
    if (*row < region[0] || __builtin_mul_overflow(*row, region[1], &n))
        return false;
    if (!*slice)
        *slice = n;
    if (*slice < n || *slice % *row)
        return false;
    if (__builtin_mul_overflow(*slice, origin[2] + region[2] - 1, &last) || __builtin_mul_overflow(*row, origin[1] + region[1] - 1, &n) ||
        __builtin_add_overflow(last, n, &last) || __builtin_add_overflow(last, origin[0] + region[0], &last))
        return false;
    return last <= limit;
}

static int64_t divide_down(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* Whether two rectangles with the same pitches in one buffer share a byte: whether their distance is one between two bytes of a rectangle. Rows are
 * shorter than the row pitch and slices than the slice pitch, so that only the two nearest of each can be. */
static bool rects_overlap(const size_t a[3], const size_t b[3], const size_t region[3], size_t row, size_t slice)
{
    int64_t distance = (int64_t)(a[2] * slice + a[1] * row + a[0]) - (int64_t)(b[2] * slice + b[1] * row + b[0]);
    for (int64_t z = divide_down(distance, (int64_t)slice), most_z = z + 1; z <= most_z; z++) {
        int64_t rest = distance - z * (int64_t)slice;
        for (int64_t y = divide_down(rest, (int64_t)row), most_y = y + 1; y <= most_y; y++) {
            int64_t x = rest - y * (int64_t)row;
            if (imaxabs(x) < (int64_t)region[0] && imaxabs(y) < (int64_t)region[1] && imaxabs(z) < (int64_t)region[2])
                return true;
        }
    }
    return false;
}

cl_int CL_API_CALL clEnqueueCopyBufferRect(cl_command_queue q, cl_mem source, cl_mem target, const size_t *source_origin, const size_t *target_origin,
                                           const size_t *region, size_t source_row, size_t source_slice, size_t target_row, size_t target_slice,
                                           cl_uint nwait, const cl_event *wait, cl_event *event)
{
    struct command c;
    cl_int e = check(q, source, target, nwait, wait);
    if (e)
        return e;
    if (!source_origin || !target_origin || !region || !region[0] || !region[1] || !region[2] ||
        !rect(source_origin, region, &source_row, &source_slice, source->size) || !rect(target_origin, region, &target_row, &target_slice, target->size))
        return CL_INVALID_VALUE;
    if (source == target) {
        if (source_row != target_row || source_slice != target_slice)
            return CL_INVALID_VALUE;
        if (rects_overlap(source_origin, target_origin, region, source_row, source_slice))
            return CL_MEM_COPY_OVERLAP;
    }
    struct wire_copy_rect m = { source->base.id, target->base.id, { 0 }, { 0 }, { 0 }, source_row, source_slice, target_row, target_slice };
    for (int i = 0; i < 3; i++) {
        m.source_origin[i] = source_origin[i];
        m.target_origin[i] = target_origin[i];
        m.region[i] = region[i];
    }
    command_begin(&c, nwait, wait);
    wire_put_copy_rect(&c.out, &m);
    return command_push(&c, WIRE_OP_copy_rect, q, CL_COMMAND_COPY_BUFFER_RECT, event);
}

cl_int CL_API_CALL clEnqueueFillBuffer(cl_command_queue q, cl_mem m, const void *pattern, size_t pattern_size, size_t offset, size_t size, cl_uint nwait,
                                       const cl_event *wait, cl_event *event)
{
    struct command c;
    cl_int e = check(q, m, m, nwait, wait);
    if (e)
        return e;
    if (!pattern || pattern_size == 0 || pattern_size > 128 || (pattern_size & (pattern_size - 1)) || offset % pattern_size || size % pattern_size ||
        offset > m->size || size > m->size - offset)
        return CL_INVALID_VALUE;
    if (size == 0)
        return queue_marker(q, CL_COMMAND_FILL_BUFFER, nwait, wait, event);
    command_begin(&c, nwait, wait);
    wire_put_fill(&c.out, &(struct wire_fill){ m->base.id, offset, size, { pattern, (uint32_t)pattern_size } });
    return command_push(&c, WIRE_OP_fill, q, CL_COMMAND_FILL_BUFFER, event);
}

cl_int CL_API_CALL clEnqueueMigrateMemObjects(cl_command_queue q, cl_uint n, const cl_mem *mems, cl_mem_migration_flags flags, cl_uint nwait,
                                              const cl_event *wait, cl_event *event)
{
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (n == 0 || !mems || flags & ~(cl_mem_migration_flags)(CL_MIGRATE_MEM_OBJECT_HOST | CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED))
        return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < n; i++) {
        cl_int e = check(q, mems[i], mems[i], nwait, wait);
        if (e)
            return e;
    }
    return queue_marker(q, CL_COMMAND_MIGRATE_MEM_OBJECTS, nwait, wait, event);   /* one device: nothing to move */
}

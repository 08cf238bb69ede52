/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies of queue commands: decoding with bounds, references, handing to the driver. */
#include "worker/queue.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "wire/arguments.h"
#include "worker/gate.h"
#include "worker/intake.h"
#include "worker/kernels.h"

#define POOLED_FRAME 384           /* a launch with about 15 arguments */
#define COPY_BYTES_PER_NS 5        /* for estimates: what a memcpy does on the slowest machines met */

static bool take_objects(struct command *c, uint32_t n, const uint32_t *ids, enum object_kind kind)
{
    c->objects = c->few;
    for (uint32_t i = 0; i < n; i++) {
        if (!(c->few[i] = objects_get(ids[i], kind)))
            return false;
        c->nobjects = i + 1;
    }
    return true;
}

static bool images(const struct command *c, bool first, bool second)
{
    return c->objects[0]->u.mem.image == first && c->objects[1]->u.mem.image == second;
}

static bool decode_body(struct command *c, struct wire_in *in)
{
    switch (c->op) {
    case WIRE_OP_ndrange:
        wire_get_ndrange(in, &c->u.ndrange);
        return !in->bad && c->u.ndrange.dimensions >= 1 && c->u.ndrange.dimensions <= 3 && take_objects(c, 1, &c->u.ndrange.kernel, OBJECT_KERNEL) &&
               kernel_decode_arguments(c, ARGUMENT_COUNT_MAX);
    case WIRE_OP_write_inline:
        wire_get_write_inline(in, &c->u.write_inline);
        return !in->bad && take_objects(c, 1, &c->u.write_inline.mem, OBJECT_MEM) && !c->objects[0]->u.mem.image;
    case WIRE_OP_stream_write:
    case WIRE_OP_stream_read:
        wire_get_stream_write(in, &c->u.stream);
        return !in->bad && c->u.stream.channel < WIRE_STREAM_CHANNELS && take_objects(c, 1, &c->u.stream.mem, OBJECT_MEM) && !c->objects[0]->u.mem.image;
    case WIRE_OP_copy:
        wire_get_copy(in, &c->u.copy);
        return !in->bad && take_objects(c, 2, (uint32_t[]){ c->u.copy.source, c->u.copy.target }, OBJECT_MEM) && images(c, false, false);
    case WIRE_OP_copy_rect:
        wire_get_copy_rect(in, &c->u.copy_rect);
        return !in->bad && take_objects(c, 2, (uint32_t[]){ c->u.copy_rect.source, c->u.copy_rect.target }, OBJECT_MEM) && images(c, false, false);
    case WIRE_OP_fill:
        wire_get_fill(in, &c->u.fill);
        return !in->bad && take_objects(c, 1, &c->u.fill.mem, OBJECT_MEM) && !c->objects[0]->u.mem.image;
    case WIRE_OP_copy_image:
        wire_get_copy_image(in, &c->u.copy_image);
        return !in->bad && take_objects(c, 2, (uint32_t[]){ c->u.copy_image.source, c->u.copy_image.target }, OBJECT_MEM) && images(c, true, true);
    case WIRE_OP_image_to_buffer:
        wire_get_image_to_buffer(in, &c->u.image_to_buffer);
        return !in->bad && take_objects(c, 2, (uint32_t[]){ c->u.image_to_buffer.image, c->u.image_to_buffer.buffer }, OBJECT_MEM) && images(c, true, false);
    case WIRE_OP_buffer_to_image:
        wire_get_buffer_to_image(in, &c->u.buffer_to_image);
        return !in->bad && take_objects(c, 2, (uint32_t[]){ c->u.buffer_to_image.buffer, c->u.buffer_to_image.image }, OBJECT_MEM) && images(c, false, true);
    case WIRE_OP_fill_image:
        wire_get_fill_image(in, &c->u.fill_image);
        return !in->bad && c->u.fill_image.color.size <= 16 && take_objects(c, 1, &c->u.fill_image.image, OBJECT_MEM) && c->objects[0]->u.mem.image;
    case WIRE_OP_write_image:
    case WIRE_OP_read_image:
        wire_get_write_image(in, &c->u.transfer_image);
        return !in->bad && c->u.transfer_image.window < WIRE_STREAM_CHANNELS * WIRE_STREAM_CHUNKS && take_objects(c, 1, &c->u.transfer_image.image, OBJECT_MEM) &&
               c->objects[0]->u.mem.image;
    case WIRE_OP_marker:
        wire_get_marker(in, &c->u.marker);
        return true;
    default:
        return false;
    }
}

bool command_decode(struct session *s, struct command *c, uint32_t bytes)
{
    struct wire_in in = { c->frame, bytes, 0, false };
    const struct wire_command *head = wire_get_bytes(&in, sizeof *head);
    c->objects = c->few;
    if (!head || head->waits > WIRE_MAX_WAIT_LIST)
        return false;
    c->sequence = head->sequence;
    c->event = head->event;
    c->nwaits = head->waits;
    c->waits = wire_get_bytes(&in, head->waits * sizeof(struct wire_event_ref));
    if (in.bad || (c->event.slot != WIRE_NO_EVENT && c->event.slot >= WIRE_MAX_EVENTS))
        return false;
    for (uint32_t i = 0; i < c->nwaits; i++) {
        struct wire_event_ref r;
        memcpy(&r, c->waits + i * sizeof r, sizeof r);
        if (r.slot >= WIRE_MAX_EVENTS)
            return false;
    }
    return decode_body(c, &in) && !in.bad && in.pos == in.len;
}

bool command_needs_device(const struct command *c) { return c->op != WIRE_OP_marker; }

static bool inside(const struct object *mem, uint64_t offset, uint64_t size) { return offset <= mem->u.mem.size && size <= mem->u.mem.size - offset; }

/* ---- streams ---- */

/* Waits for the client's counter, for ever if need be: the process ends with the client. */
static void counter_wait(_Atomic uint32_t *counter, _Atomic uint32_t *waiting, uint32_t n)
{
    for (;;) {
        uint32_t now = atomic_load_explicit(counter, memory_order_acquire);
        if ((int32_t)(now - n) >= 0)
            return;
        atomic_store(waiting, 1);
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load(counter) == now)
            wire_futex_wait(counter, now, NS_PER_S);
    }
}

static void counter_advance(_Atomic uint32_t *counter, _Atomic uint32_t *waiting)
{
    atomic_fetch_add(counter, 1);
    if (atomic_exchange(waiting, 0))
        wire_futex_wake(counter, 1);
}

/* Chunk by chunk between the channel's window and the device, while the client works on the other chunks. */
static cl_int stream(struct queue *q, struct command *c)
{
    struct session *s = q->session;
    const struct wire_stream_write *m = &c->u.stream;
    struct wire_channel *ch = &s->header->channels[m->channel];
    uint8_t *window = (uint8_t *)s->header + WIRE_ARENA_OFFSET + m->channel * WIRE_STREAM_CHUNKS * WIRE_STREAM_CHUNK_BYTES;
    cl_mem mem = c->objects[0]->u.mem.native;
    bool write = c->op == WIRE_OP_stream_write;
    cl_int e = inside(c->objects[0], m->offset, m->size) ? CL_SUCCESS : CL_INVALID_VALUE;
    uint32_t chunks = e ? 0 : (uint32_t)((m->size + WIRE_STREAM_CHUNK_BYTES - 1) / WIRE_STREAM_CHUNK_BYTES);
    intake_pause(s->intake);
    for (uint32_t i = 0; i < chunks; i++) {
        uint64_t at = i * WIRE_STREAM_CHUNK_BYTES, n = MIN(WIRE_STREAM_CHUNK_BYTES, m->size - at);
        uint8_t *chunk = window + i % WIRE_STREAM_CHUNKS * WIRE_STREAM_CHUNK_BYTES;
        if (write) {
            counter_wait(&ch->filled, &ch->filled_wait, i + 1);
            e = e ? e : clEnqueueWriteBuffer(q->native, mem, CL_TRUE, m->offset + at, n, chunk, 0, NULL, NULL);
            counter_advance(&ch->drained, &ch->drained_wait);
        } else {
            if (i >= WIRE_STREAM_CHUNKS)
                counter_wait(&ch->drained, &ch->drained_wait, i + 1 - WIRE_STREAM_CHUNKS);
            e = e ? e : clEnqueueReadBuffer(q->native, mem, CL_TRUE, m->offset + at, n, chunk, 0, NULL, NULL);
            counter_advance(&ch->filled, &ch->filled_wait);
        }
    }
    intake_resume(s->intake);
    return e;
}

/* ---- to the driver ---- */

struct triple { size_t n[3]; };
static struct triple triple(const uint64_t v[3]) { return (struct triple){ { v[0], v[1], v[2] } }; }

static cl_int submit_copy_rect(struct queue *q, struct command *c, cl_mem source, cl_mem target)
{
    const struct wire_copy_rect *m = &c->u.copy_rect;
    return clEnqueueCopyBufferRect(q->native, source, target, triple(m->source_origin).n, triple(m->target_origin).n, triple(m->region).n, m->source_row,
                                   m->source_slice, m->target_row, m->target_slice, 0, NULL, &c->native);
}

static cl_int submit_fill_image(struct queue *q, struct command *c, cl_mem image)
{
    const struct wire_fill_image *m = &c->u.fill_image;
    _Alignas(16) uint8_t color[16] = { 0 };
    memcpy(color, m->color.data, m->color.size);
    return clEnqueueFillImage(q->native, image, color, triple(m->origin).n, triple(m->region).n, 0, NULL, &c->native);
}

/* Whether the pixels, without gaps, fit a window. */
static bool fits_window(const struct object *image, const uint64_t region[3])
{
    uint64_t bytes = image->u.mem.element;
    for (int i = 0; i < 3; i++)
        if (region[i] == 0 || __builtin_mul_overflow(bytes, region[i], &bytes))
            return false;
    return bytes <= WIRE_STREAM_CHUNK_BYTES;
}

static cl_int submit_transfer_image(struct queue *q, struct command *c, cl_mem image)
{
    const struct wire_write_image *m = &c->u.transfer_image;
    uint8_t *window = (uint8_t *)q->session->header + WIRE_ARENA_OFFSET + m->window * WIRE_STREAM_CHUNK_BYTES;
    struct triple origin = triple(m->origin), region = triple(m->region);
    return c->op == WIRE_OP_write_image ? clEnqueueWriteImage(q->native, image, CL_FALSE, origin.n, region.n, 0, 0, window, 0, NULL, &c->native)
                                        : clEnqueueReadImage(q->native, image, CL_FALSE, origin.n, region.n, 0, 0, window, 0, NULL, &c->native);
}

static cl_int submit_image_copy(struct queue *q, struct command *c, cl_mem source, cl_mem target)
{
    const struct wire_copy_image *i = &c->u.copy_image;
    const struct wire_image_to_buffer *out = &c->u.image_to_buffer;
    const struct wire_buffer_to_image *in = &c->u.buffer_to_image;
    switch (c->op) {
    case WIRE_OP_copy_image:
        return clEnqueueCopyImage(q->native, source, target, triple(i->source_origin).n, triple(i->target_origin).n, triple(i->region).n, 0, NULL, &c->native);
    case WIRE_OP_image_to_buffer:
        return clEnqueueCopyImageToBuffer(q->native, source, target, triple(out->origin).n, triple(out->region).n, out->offset, 0, NULL, &c->native);
    default:
        return clEnqueueCopyBufferToImage(q->native, source, target, in->offset, triple(in->origin).n, triple(in->region).n, 0, NULL, &c->native);
    }
}

/* From the first byte of a rectangle to the one after its last: within the buffer, and no sum on the way wraps around. */
static bool inside_rect(const struct object *mem, const uint64_t origin[3], const uint64_t region[3], uint64_t row, uint64_t slice)
{
    uint64_t last[3], y, z, end;
    for (int i = 0; i < 3; i++)
        if (region[i] == 0 || __builtin_add_overflow(origin[i], region[i] - 1, &last[i]))
            return false;
    row = row ? row : region[0];
    if (!slice && __builtin_mul_overflow(row, region[1], &slice))
        return false;
    return !__builtin_mul_overflow(last[1], row, &y) && !__builtin_mul_overflow(last[2], slice, &z) && !__builtin_add_overflow(y, z, &end) &&
           !__builtin_add_overflow(end, last[0], &end) && end < mem->u.mem.size;
}

/* Drivers compare places in images themselves; none of these numbers is large enough to wrap around where they add them. */
static bool image_numbers(const uint64_t a[3], const uint64_t b[3])
{
    for (int i = 0; i < 3; i++)
        if (a[i] > UINT32_MAX || b[i] > UINT32_MAX)
            return false;
    return true;
}

/* Whether the command stays in the memory that it names: PoCL adds before it compares, so that sums which wrap around pass its checks. */
static bool stays_inside(const struct command *c)
{
    const struct object *a = c->nobjects ? c->objects[0] : NULL, *b = c->nobjects > 1 ? c->objects[1] : NULL;
    const struct wire_copy_rect *r = &c->u.copy_rect;
    switch (c->op) {
    case WIRE_OP_write_inline: return inside(a, c->u.write_inline.offset, c->u.write_inline.data.size);
    case WIRE_OP_copy: return inside(a, c->u.copy.source_offset, c->u.copy.size) && inside(b, c->u.copy.target_offset, c->u.copy.size);
    case WIRE_OP_copy_rect:
        return inside_rect(a, r->source_origin, r->region, r->source_row, r->source_slice) &&
               inside_rect(b, r->target_origin, r->region, r->target_row, r->target_slice);
    case WIRE_OP_fill: return inside(a, c->u.fill.offset, c->u.fill.size);
    case WIRE_OP_fill_image: return image_numbers(c->u.fill_image.origin, c->u.fill_image.region);
    case WIRE_OP_write_image:
    case WIRE_OP_read_image: return image_numbers(c->u.transfer_image.origin, c->u.transfer_image.region) && fits_window(a, c->u.transfer_image.region);
    case WIRE_OP_copy_image:
        return image_numbers(c->u.copy_image.source_origin, c->u.copy_image.region) && image_numbers(c->u.copy_image.target_origin, c->u.copy_image.region);
    case WIRE_OP_image_to_buffer:
        return image_numbers(c->u.image_to_buffer.origin, c->u.image_to_buffer.region) && inside(b, c->u.image_to_buffer.offset, 0);
    case WIRE_OP_buffer_to_image:
        return image_numbers(c->u.buffer_to_image.origin, c->u.buffer_to_image.region) && inside(a, c->u.buffer_to_image.offset, 0);
    default: return true;      /* launches touch no memory by number, streams look themselves */
    }
}

void command_submit(struct queue *q, struct command *c)
{
    if (!stays_inside(c)) {
        c->status = CL_INVALID_VALUE;
        return;
    }
    const struct wire_write_inline *w = &c->u.write_inline;
    const struct wire_copy *copy = &c->u.copy;
    const struct wire_fill *fill = &c->u.fill;
    cl_mem a = c->op != WIRE_OP_ndrange ? c->objects[0]->u.mem.native : NULL, b = c->op != WIRE_OP_ndrange && c->nobjects > 1 ? c->objects[1]->u.mem.native : NULL;
    switch (c->op) {
    case WIRE_OP_ndrange: c->status = kernel_launch(q, c); break;
    case WIRE_OP_write_inline: c->status = clEnqueueWriteBuffer(q->native, a, CL_FALSE, w->offset, w->data.size, w->data.data, 0, NULL, &c->native); break;
    case WIRE_OP_stream_write:
    case WIRE_OP_stream_read: c->status = stream(q, c); break;
    case WIRE_OP_copy: c->status = clEnqueueCopyBuffer(q->native, a, b, copy->source_offset, copy->target_offset, copy->size, 0, NULL, &c->native); break;
    case WIRE_OP_copy_rect: c->status = submit_copy_rect(q, c, a, b); break;
    case WIRE_OP_fill:
        c->status = clEnqueueFillBuffer(q->native, a, fill->pattern.data, fill->pattern.size, fill->offset, fill->size, 0, NULL, &c->native);
        break;
    case WIRE_OP_fill_image: c->status = submit_fill_image(q, c, a); break;
    case WIRE_OP_write_image:
    case WIRE_OP_read_image: c->status = submit_transfer_image(q, c, a); break;
    default: c->status = submit_image_copy(q, c, a, b); break;
    }
}

uint64_t command_cost_ns(const struct session *s, struct command *c)
{
    switch (c->op) {
    case WIRE_OP_ndrange: return kernel_cost_ns(c, gate_quantum_ns(s->gate));
    case WIRE_OP_write_image:
    case WIRE_OP_read_image: return 5000 + WIRE_STREAM_CHUNK_BYTES / COPY_BYTES_PER_NS;
    case WIRE_OP_write_inline: return 5000;
    case WIRE_OP_copy: return 5000 + c->u.copy.size / COPY_BYTES_PER_NS;
    case WIRE_OP_copy_rect: return 5000 + c->objects[1]->u.mem.size / COPY_BYTES_PER_NS;
    case WIRE_OP_fill: return 5000 + c->u.fill.size / COPY_BYTES_PER_NS;
    case WIRE_OP_fill_image: return 5000 + c->objects[0]->u.mem.size / COPY_BYTES_PER_NS;
    case WIRE_OP_copy_image:
    case WIRE_OP_image_to_buffer:
    case WIRE_OP_buffer_to_image: return 5000 + MAX(c->objects[0]->u.mem.size, c->objects[1]->u.mem.size) / COPY_BYTES_PER_NS;
    default: return gate_quantum_ns(s->gate);
    }
}

struct command *command_cut(struct queue *q, struct command *c)
{
    struct wire_ndrange part;
    uint64_t piece_ns = gate_quantum_ns(q->session->gate) / 2;      /* two in flight: the device goes from one to the next without us */
    if (c->op != WIRE_OP_ndrange || !sched_is_shared(q->session->client) || !kernel_cut(c, piece_ns, q->session->driver.compute_units, &part))
        return NULL;
    struct command *piece = command_new(0);
    if (!piece)
        session_fail("out of memory");
    piece->op = c->op;
    piece->whole = c;
    piece->event.slot = WIRE_NO_EVENT;
    piece->objects = c->objects;
    piece->nobjects = c->nobjects;
    piece->u.ndrange = part;
    piece->sampled = true;
    return piece;
}

void command_join(struct command *piece)
{
    static const cl_profiling_info names[3] = { CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT, CL_PROFILING_COMMAND_START };
    struct command *c = piece->whole;
    if (piece->status != CL_SUCCESS && c->status == CL_SUCCESS)
        c->status = piece->status;
    for (int i = 0; i < 3 && piece->native && !c->first_ns[2]; i++)
        if (clGetEventProfilingInfo(piece->native, names[i], sizeof c->first_ns[i], &c->first_ns[i], NULL) != CL_SUCCESS)
            break;
    command_measured(piece);
}

void command_measured(struct command *c)
{
    cl_ulong start = 0, end = 0;
    if (c->op != WIRE_OP_ndrange || !c->native || clGetEventProfilingInfo(c->native, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL) != CL_SUCCESS ||
        clGetEventProfilingInfo(c->native, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) != CL_SUCCESS || end <= start)
        return;
    kernel_measured(c, end - start);
}

/* Commands come and go by the hundred thousand a second, made by one thread and freed by another: most fit a block of the pool. */
static struct { pthread_mutex_t lock; struct command *free; } pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Atomic uint64_t held_bytes;

uint64_t commands_held_bytes(void) { return atomic_load_explicit(&held_bytes, memory_order_relaxed); }

struct command *command_new(uint32_t bytes)
{
    struct command *c = NULL;
    bool pooled = bytes <= POOLED_FRAME;
    bytes = pooled ? POOLED_FRAME : bytes;
    if (pooled) {
        pthread_mutex_lock(&pool.lock);
        if ((c = pool.free))
            pool.free = c->next;
        pthread_mutex_unlock(&pool.lock);
    }
    if (!c)
        c = malloc(sizeof *c + bytes);
    if (c) {
        memset(c, 0, sizeof *c);
        c->pooled = pooled;
        c->frame_bytes = bytes;
        atomic_fetch_add_explicit(&held_bytes, sizeof *c + bytes, memory_order_relaxed);
    }
    return c;
}

static void drop(struct command *c)
{
    if (c->native)
        clReleaseEvent(c->native);
    if (c->whole)
        return;                 /* its objects are the whole command's */
    for (uint32_t i = 0; i < c->nobjects; i++)
        object_unref(c->objects[i]);
    if (c->objects != c->few)
        free(c->objects);
}

void command_free(struct command *list)
{
    struct command *keep = NULL, *last = NULL;
    uint64_t freed = 0;
    while (list) {
        struct command *c = list;
        list = c->next;
        freed += sizeof *c + c->frame_bytes;
        drop(c);
        if (!c->pooled) {
            free(c);
            continue;
        }
        c->next = keep;
        keep = c;
        last = last ? last : c;
    }
    atomic_fetch_sub_explicit(&held_bytes, freed, memory_order_relaxed);
    if (!keep)
        return;
    pthread_mutex_lock(&pool.lock);
    last->next = pool.free;
    pool.free = keep;
    pthread_mutex_unlock(&pool.lock);
}

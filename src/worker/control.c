/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages: queues, buffers, programs, kernels. Served in the ring's order, one at a time; builds go to build.c. */
#include "worker/intake.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "worker/answer.h"
#include "worker/arena.h"
#include "worker/build.h"
#include "worker/kernels.h"
#include "worker/queue.h"
#include "worker/svm.h"

#include <errno.h>
#include <stdio.h>

#define ZOMBIE_WAIT_NS (2 * NS_PER_S)     /* how long a reservation waits for released buffers that commands still use */

/* ---- answers ---- */

/* Builds answer from a thread of their own. */
static pthread_mutex_t reply_lock = PTHREAD_MUTEX_INITIALIZER;

void answer_send(const struct answer *a, struct wire_out *out)
{
    if (out->bad)
        session_fail("an answer to %s is too long", wire_op_to_string(a->op));
    pthread_mutex_lock(&reply_lock);
    if (wire_ring_write(a->reply, a->op, 0, out->buf, (uint32_t)out->len) < 0)
        session_fail("the reply ring is corrupt");
    pthread_mutex_unlock(&reply_lock);
    wire_out_done(out);
}

/* ---- facts and queues ---- */

static void serve_facts(struct session *s, const struct answer *a, const struct wire_facts *m)
{
    struct wire_out entries = { 0 };
    facts_collect(s, &entries);
    ANSWER(a, facts, .entries = { entries.buf, (uint32_t)entries.len });
    wire_out_done(&entries);
}

static void serve_queue_create(struct session *s, const struct answer *a, const struct wire_queue_create *m)
{
    cl_int e = CL_INVALID_VALUE;
    struct object *part = m->device ? objects_get(m->device, OBJECT_DEVICE) : NULL;
    bool ok = m->state < WIRE_MAX_QUEUES && (part || !m->device);
    struct queue *q = ok ? queue_new(s, part ? part->u.device : s->driver.device, m->state, m->properties, &e) : NULL;
    if (q) {
        struct object *o = object_new(s, OBJECT_QUEUE);
        o->u.queue = q;
        o->parent = steal(part);
        objects_put(m->queue, o);
    }
    object_unref(part);
    ANSWER(a, queue_create, .error = q ? CL_SUCCESS : e);
}

static void serve_queue_destroy(struct session *s, const struct wire_queue_destroy *m) { object_unref(objects_take(m->queue, OBJECT_QUEUE)); }

/* ---- sub-devices ---- */

#define PROPERTIES_MAX 256     /* numbers in one partition request */

/* Takes the list out of the blob, closed with zeros. */
static bool take_properties(const struct wire_blob *b, cl_device_partition_property ret[PROPERTIES_MAX + 2])
{
    if (b->size == 0 || b->size % sizeof *ret || b->size > PROPERTIES_MAX * sizeof *ret)
        return false;
    memset(ret, 0, (PROPERTIES_MAX + 2) * sizeof *ret);
    memcpy(ret, b->data, b->size);
    return true;
}

/* Whether the parts are in the device: PoCL adds counts of compute units in 32 bits. */
static cl_int check_properties(cl_device_id whole, const cl_device_partition_property *p)
{
    cl_uint units = 0, most = 0;
    cl_device_partition_property sum = 0;
    clGetDeviceInfo(whole, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
    clGetDeviceInfo(whole, CL_DEVICE_PARTITION_MAX_SUB_DEVICES, sizeof most, &most, NULL);
    switch (p[0]) {
    case CL_DEVICE_PARTITION_EQUALLY: return p[1] < 1 || p[1] > units || p[2] ? CL_INVALID_VALUE : CL_SUCCESS;
    case CL_DEVICE_PARTITION_BY_COUNTS:
        for (cl_uint i = 1; p[i] != CL_DEVICE_PARTITION_BY_COUNTS_LIST_END; i++) {
            if (i > most || p[i] < 0 || p[i] > units || (sum += p[i]) > units)
                return CL_INVALID_DEVICE_PARTITION_COUNT;
        }
        return sum ? CL_SUCCESS : CL_INVALID_DEVICE_PARTITION_COUNT;
    case CL_DEVICE_PARTITION_BY_AFFINITY_DOMAIN: return p[2] ? CL_INVALID_VALUE : CL_SUCCESS;
    default: return CL_INVALID_VALUE;
    }
}

/* Gives each part the handle at its place in `ids`, and describes it. */
static void parts_put(struct session *s, const cl_device_id *parts, cl_uint n, const uint8_t *ids, struct wire_out *facts)
{
    for (cl_uint i = 0; i < n; i++) {
        struct wire_out one = { 0 };
        struct object *o = object_new(s, OBJECT_DEVICE);
        uint32_t id;
        memcpy(&id, ids + i * sizeof id, sizeof id);
        o->u.device = parts[i];
        facts_of_part(s, parts[i], &one);
        wire_put_blob(facts, &(struct wire_blob){ one.buf, (uint32_t)one.len });
        wire_out_done(&one);
        objects_put(id, o);
    }
}

/* Without handles for all parts only their number is told. */
static void serve_device_partition(struct session *s, const struct answer *a, const struct wire_device_partition *m)
{
    cl_device_partition_property properties[PROPERTIES_MAX + 2];
    cl_device_id parts[PROPERTIES_MAX];
    struct object *parent = m->parent ? objects_get(m->parent, OBJECT_DEVICE) : NULL;
    cl_device_id whole = parent ? parent->u.device : s->driver.device;
    struct wire_out facts = { 0 };
    cl_uint n = 0;
    cl_int e = m->parent && !parent ? CL_INVALID_DEVICE : !s->driver.parts_max || !take_properties(&m->properties, properties) ? CL_INVALID_VALUE
             : check_properties(whole, properties);
    if (!e)
        e = clCreateSubDevices(whole, properties, 0, NULL, &n);
    if (!e && n > PROPERTIES_MAX)
        e = CL_DEVICE_PARTITION_FAILED;
    if (!e && n && m->devices.size / sizeof(uint32_t) >= n && !(e = clCreateSubDevices(whole, properties, n, parts, NULL)))
        parts_put(s, parts, n, m->devices.data, &facts);
    ANSWER(a, device_partition, .error = e, .count = e ? 0 : n, .facts = { facts.buf, (uint32_t)facts.len });
    wire_out_done(&facts);
    object_unref(parent);
}

static void serve_device_release(struct session *s, const struct wire_device_release *m) { object_unref(objects_take(m->device, OBJECT_DEVICE)); }

/* ---- memory ---- */

/* Buffers that the client has released are still counted while commands use them: wait for those, the program did nothing wrong. */
static bool reserve(struct session *s, uint64_t bytes)
{
    uint64_t until = clock_now_ns() + ZOMBIE_WAIT_NS;
    while (quota_reserve(s->client, bytes) < 0) {
        if (atomic_load(&s->zombie_bytes) == 0 || clock_now_ns() > until)
            return quota_reserve(s->client, bytes) == 0;
        nanosleep(&(struct timespec){ 0, (long)NS_PER_MS / 5 }, NULL);
    }
    return true;
}

static cl_mem_flags access_flags(uint64_t flags) { return flags & (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY | CL_MEM_READ_ONLY); }

static cl_int buffer_open(struct session *s, struct object *o, uint64_t flags, uint64_t size)
{
    cl_int e;
    o->u.mem.offset = WIRE_NO_OFFSET;
    o->u.mem.size = size;
    if (!reserve(s, size))
        return CL_MEM_OBJECT_ALLOCATION_FAILURE;
    o->u.mem.reserved = size;
    if (s->driver.unified)
        o->u.mem.offset = arena_take(s->arena, size, MAX(s->driver.base_align, size >= 4096 ? 4096u : 128u));
    /* Without a hole of this size in the arena the buffer is the driver's own, and its transfers are streamed. */
    bool in_arena = o->u.mem.offset != WIRE_NO_OFFSET;
    o->u.mem.native = clCreateBuffer(s->driver.context, access_flags(flags) | (in_arena ? CL_MEM_USE_HOST_PTR : 0), size,
                                     in_arena ? (uint8_t *)s->header + WIRE_ARENA_OFFSET + o->u.mem.offset : NULL, &e);
    return e;
}

static void serve_buffer_create(struct session *s, const struct answer *a, const struct wire_buffer_create *m)
{
    cl_int e = CL_INVALID_BUFFER_SIZE;
    uint64_t offset = WIRE_NO_OFFSET;
    if (m->size > 0 && m->size <= s->driver.max_alloc) {
        struct object *o = object_new(s, OBJECT_MEM);
        e = buffer_open(s, o, m->flags, m->size);
        offset = o->u.mem.offset;
        if (e == CL_SUCCESS)
            objects_put(m->mem, o);
        else
            object_unref(o);
    }
    ANSWER(a, buffer_create, .error = e, .offset = offset);
}

static bool is_subbuffer(const struct object *o) { return o->parent && o->parent->kind == OBJECT_MEM; }

static void serve_subbuffer_create(struct session *s, const struct answer *a, const struct wire_subbuffer_create *m)
{
    cl_int e = CL_INVALID_MEM_OBJECT;
    struct object *parent = objects_get(m->parent, OBJECT_MEM);
    if (parent && !is_subbuffer(parent) && !parent->u.mem.image && m->size && m->origin <= parent->u.mem.size && m->size <= parent->u.mem.size - m->origin) {
        cl_buffer_region r = { m->origin, m->size };
        struct object *o = object_new(s, OBJECT_MEM);
        o->u.mem.offset = WIRE_NO_OFFSET;
        o->u.mem.size = m->size;
        o->u.mem.native = clCreateSubBuffer(parent->u.mem.native, access_flags(m->flags), CL_BUFFER_CREATE_TYPE_REGION, &r, &e);
        o->parent = steal(parent);
        if (e == CL_SUCCESS)
            objects_put(m->mem, o);
        else
            object_unref(o);
    }
    object_unref(parent);
    ANSWER(a, subbuffer_create, .error = e);
}

/* Bytes of one pixel, as the driver sees the format; 0 when it has none such. Asked of a one-pixel image. */
static size_t element_size(struct session *s, const cl_image_format *f, cl_int *ret_error)
{
    cl_image_desc one = { .image_type = CL_MEM_OBJECT_IMAGE1D, .image_width = 1 };
    size_t n = 0;
    cl_mem m = clCreateImage(s->driver.context, CL_MEM_READ_WRITE, f, &one, NULL, ret_error);
    if (m) {
        clGetImageInfo(m, CL_IMAGE_ELEMENT_SIZE, sizeof n, &n, NULL);
        clReleaseMemObject(m);
    }
    return n;
}

/* Rows and slices without gaps; false when a size overflows or a dimension is none. */
static bool image_layout(const struct wire_image_create *m, size_t element, uint64_t *ret_row, uint64_t *ret_slice, uint64_t *ret_total)
{
    uint64_t depth = m->kind == CL_MEM_OBJECT_IMAGE3D ? m->depth : m->layers;
    *ret_row = m->buffer_row;
    if (!m->width || !m->height || !depth || (!m->buffer_row && __builtin_mul_overflow(m->width, (uint64_t)element, ret_row)))
        return false;
    if (m->width > *ret_row / element)
        return false;
    return !__builtin_mul_overflow(*ret_row, m->height, ret_slice) && !__builtin_mul_overflow(*ret_slice, depth, ret_total);
}

static cl_int image_native(struct session *s, struct object *o, const struct wire_image_create *m, const cl_image_format *f, uint64_t row, uint64_t slice)
{
    bool sliced = m->kind == CL_MEM_OBJECT_IMAGE3D || m->kind == CL_MEM_OBJECT_IMAGE1D_ARRAY || m->kind == CL_MEM_OBJECT_IMAGE2D_ARRAY;
    cl_image_desc d = { .image_type = m->kind, .image_width = m->width, .image_height = m->height, .image_depth = m->depth, .image_array_size = m->layers,
                        .image_row_pitch = row, .image_slice_pitch = sliced ? slice : 0 };
    bool in_arena = o->u.mem.offset != WIRE_NO_OFFSET;
    cl_int e;
    if (o->parent)
        d.buffer = o->parent->u.mem.native;
    if (!in_arena)
        d.image_slice_pitch = 0;
    if (!in_arena && (!o->parent || m->kind == CL_MEM_OBJECT_IMAGE1D_BUFFER))
        d.image_row_pitch = 0;
    o->u.mem.native = clCreateImage(s->driver.context, access_flags(m->flags) | (in_arena ? CL_MEM_USE_HOST_PTR : 0), f, &d,
                                    in_arena ? (uint8_t *)s->header + WIRE_ARENA_OFFSET + o->u.mem.offset : NULL, &e);
    return e;
}

/* On unified devices images live in the arena with rows that both sides know, or in a buffer that does; on others they are the driver's own. */
static cl_int image_open(struct session *s, struct object *o, const struct wire_image_create *m, struct wire_image_create_answer *a)
{
    cl_image_format f = { m->order, m->type };
    cl_int e = CL_INVALID_IMAGE_DESCRIPTOR;
    uint64_t total;
    o->u.mem.offset = a->offset = WIRE_NO_OFFSET;
    o->u.mem.image = true;
    o->u.mem.element = a->element = (uint32_t)element_size(s, &f, &e);
    if (!a->element)
        return e;
    if (!image_layout(m, a->element, &a->row, &a->slice, &total))
        return CL_INVALID_IMAGE_DESCRIPTOR;
    o->u.mem.size = total;
    if (m->buffer) {
        o->parent = objects_get(m->buffer, OBJECT_MEM);
        return o->parent && !o->parent->u.mem.image && total <= o->parent->u.mem.size ? image_native(s, o, m, &f, a->row, a->slice) : CL_INVALID_IMAGE_DESCRIPTOR;
    }
    if (total > s->driver.max_alloc || !reserve(s, total))
        return CL_MEM_OBJECT_ALLOCATION_FAILURE;
    o->u.mem.reserved = total;
    if (s->driver.unified)
        a->offset = o->u.mem.offset = arena_take(s->arena, total, 4096);     /* without a hole of this size it is the driver's own */
    return image_native(s, o, m, &f, a->row, a->slice);
}

static void serve_image_create(struct session *s, const struct answer *a, const struct wire_image_create *m)
{
    struct wire_image_create_answer answer = { 0 };
    struct object *o = object_new(s, OBJECT_MEM);
    answer.error = image_open(s, o, m, &answer);
    if (answer.error == CL_SUCCESS)
        objects_put(m->mem, o);
    else
        object_unref(o);
    ANSWER(a, image_create, .error = answer.error, .offset = answer.offset, .row = answer.row, .slice = answer.slice, .element = answer.element);
}

static void serve_sampler_create(struct session *s, const struct answer *a, const struct wire_sampler_create *m)
{
    cl_sampler_properties list[] = { CL_SAMPLER_NORMALIZED_COORDS, m->normalized, CL_SAMPLER_ADDRESSING_MODE, m->addressing, CL_SAMPLER_FILTER_MODE, m->filter, 0 };
    cl_int e;
    cl_sampler native = clCreateSamplerWithProperties(s->driver.context, list, &e);
    if (native) {
        struct object *o = object_new(s, OBJECT_SAMPLER);
        o->u.sampler = native;
        objects_put(m->sampler, o);
    }
    ANSWER(a, sampler_create, .error = native ? CL_SUCCESS : e);
}

static void serve_sampler_destroy(struct session *s, const struct wire_sampler_destroy *m) { object_unref(objects_take(m->sampler, OBJECT_SAMPLER)); }

static void serve_mem_destroy(struct session *s, const struct wire_mem_destroy *m)
{
    struct object *o = objects_take(m->mem, OBJECT_MEM);
    if (!o)
        return;
    if (!o->parent) {
        atomic_fetch_add(&s->zombie_bytes, o->u.mem.reserved);
        atomic_store(&o->u.mem.released, true);
    }
    object_unref(o);
}

/* ---- shared virtual memory ---- */

static void serve_svm_place(struct session *s, const struct answer *a, const struct wire_svm_place *m)
{
    ANSWER(a, svm_place, .address = s->svm ? svm_move(s) : 0);
}

static cl_int svm_open(struct session *s, struct object *o, uint64_t size)
{
    o->u.svm.offset = WIRE_NO_OFFSET;
    o->u.svm.size = size;
    if (!reserve(s, size))
        return CL_MEM_OBJECT_ALLOCATION_FAILURE;
    o->u.svm.reserved = size;
    o->u.svm.offset = arena_take(s->arena, size, MAX(s->driver.base_align, size >= 4096 ? 4096u : 128u));
    if (o->u.svm.offset == WIRE_NO_OFFSET)
        return CL_MEM_OBJECT_ALLOCATION_FAILURE;
    o->u.svm.pointer = svm_at(s, o->u.svm.offset);
    return CL_SUCCESS;
}

static void serve_svm_alloc(struct session *s, const struct answer *a, const struct wire_svm_alloc *m)
{
    cl_int e = s->svm ? CL_INVALID_BUFFER_SIZE : CL_INVALID_OPERATION;
    uint64_t offset = WIRE_NO_OFFSET;
    if (s->svm && m->size > 0 && m->size <= s->driver.max_alloc) {
        struct object *o = object_new(s, OBJECT_SVM);
        e = svm_open(s, o, m->size);
        offset = o->u.svm.offset;
        if (e == CL_SUCCESS)
            objects_put(m->svm, o);
        else
            object_unref(o);
    }
    ANSWER(a, svm_alloc, .error = e, .offset = offset);
}

static void serve_svm_free(struct session *s, const struct wire_svm_free *m)
{
    struct object *o = objects_take(m->svm, OBJECT_SVM);
    if (!o)
        return;
    atomic_fetch_add(&s->zombie_bytes, o->u.svm.reserved);
    atomic_store(&o->u.svm.released, true);
    object_unref(o);
}

/* A buffer whose memory is a piece of an allocation: nothing more is reserved, and the allocation lives as long as the buffer. */
static void serve_buffer_on_svm(struct session *s, const struct answer *a, const struct wire_buffer_on_svm *m)
{
    cl_int e = CL_INVALID_HOST_PTR;
    struct object *svm = objects_get(m->svm, OBJECT_SVM);
    if (svm && m->size && m->offset <= svm->u.svm.size && m->size <= svm->u.svm.size - m->offset) {
        struct object *o = object_new(s, OBJECT_MEM);
        o->u.mem.offset = WIRE_NO_OFFSET;
        o->u.mem.size = m->size;
        o->u.mem.native = clCreateBuffer(s->driver.context, access_flags(m->flags) | CL_MEM_USE_HOST_PTR, m->size, svm->u.svm.pointer + m->offset, &e);
        o->parent = steal(svm);
        if (e == CL_SUCCESS)
            objects_put(m->mem, o);
        else
            object_unref(o);
    }
    object_unref(svm);
    ANSWER(a, buffer_on_svm, .error = e);
}

/* ---- programs ---- */

static void serve_program_from_source(struct session *s, const struct wire_program_from_source *m)
{
    cl_int e;
    const char *text = m->source.data ? m->source.data : "";
    size_t n = m->source.size;
    struct object *o = object_new(s, OBJECT_PROGRAM);
    o->u.program.native = n ? clCreateProgramWithSource(s->driver.context, 1, &text, &n, &e) : clCreateProgramWithSource(s->driver.context, 1, &(const char *){ " " }, NULL, &e);
    o->u.program.cut = cut_from_text(text, n);
    objects_put(m->program, o);
}

static void serve_program_from_binary(struct session *s, const struct answer *a, const struct wire_program_from_binary *m)
{
    cl_int e, status = CL_INVALID_BINARY;
    size_t n = m->binary.size;
    const unsigned char *data = m->binary.data;
    struct object *o = object_new(s, OBJECT_PROGRAM);
    o->u.program.native = clCreateProgramWithBinary(s->driver.context, 1, &s->driver.device, &n, &data, &status, &e);
    objects_put(m->program, o);      /* also without a driver object: the client releases the handle either way */
    cl_program_binary_type type = CL_PROGRAM_BINARY_TYPE_NONE;
    if (o->u.program.native)
        clGetProgramBuildInfo(o->u.program.native, s->driver.device, CL_PROGRAM_BINARY_TYPE, sizeof type, &type, NULL);
    ANSWER(a, program_from_binary, .error = e, .status = status, .type = type);
}

static bool has_il(struct session *s)
{
    char version[256] = "";
    clGetDeviceInfo(s->driver.device, CL_DEVICE_IL_VERSION, sizeof version, version, NULL);
    return version[0];
}

static void serve_program_from_il(struct session *s, const struct answer *a, const struct wire_program_from_il *m)
{
    cl_int e = m->il.size == 0 ? CL_INVALID_VALUE : has_il(s) ? CL_SUCCESS : CL_INVALID_OPERATION;
    struct object *o = object_new(s, OBJECT_PROGRAM);
    if (!e)
        o->u.program.native = clCreateProgramWithIL(s->driver.context, m->il.data, m->il.size, &e);
    o->u.program.il = o->u.program.native != NULL;
    objects_put(m->program, o);      /* also without a driver object: the client releases the handle either way */
    ANSWER(a, program_from_il, .error = e);
}

static void serve_program_constant(struct session *s, const struct answer *a, const struct wire_program_constant *m)
{
    struct object *o = objects_get(m->program, OBJECT_PROGRAM);
    cl_int e = o && atomic_load(&o->u.program.builds) ? CL_INVALID_OPERATION
             : o && o->u.program.il ? clSetProgramSpecializationConstant(o->u.program.native, m->constant, m->value.size, m->value.data) : CL_INVALID_PROGRAM;
    ANSWER(a, program_constant, .error = e);
    object_unref(o);
}

static void serve_program_binary(struct session *s, const struct answer *a, const struct wire_program_binary *m)
{
    struct object *o = objects_get(m->program, OBJECT_PROGRAM);
    _cleanup_free_ unsigned char *data = NULL;
    size_t n = 0;
    cl_int e = o && atomic_load(&o->u.program.builds) ? CL_INVALID_OPERATION
             : o && o->u.program.native ? clGetProgramInfo(o->u.program.native, CL_PROGRAM_BINARY_SIZES, sizeof n, &n, NULL) : CL_INVALID_PROGRAM;
    if (!e && n && n <= WIRE_FRAME_MAX / 2 && (data = malloc(n)))
        e = clGetProgramInfo(o->u.program.native, CL_PROGRAM_BINARIES, sizeof data, &data, NULL);
    else
        n = 0;
    ANSWER(a, program_binary, .error = e, .binary = { data, (uint32_t)n });
    object_unref(o);
}

static void serve_program_destroy(struct session *s, const struct wire_program_destroy *m) { object_unref(objects_take(m->program, OBJECT_PROGRAM)); }

/* ---- kernels ---- */

static void serve_kernel_create(struct session *s, const struct wire_kernel_create *m)
{
    cl_int e;
    cl_kernel k = NULL;
    struct object *o = object_new(s, OBJECT_KERNEL);
    pthread_mutex_init(&o->u.kernel.lock, NULL);
    o->parent = objects_get(m->program, OBJECT_PROGRAM);
    o->u.kernel.name = strndup(m->name.size ? m->name.data : "", m->name.size);
    if (!o->parent || !o->u.kernel.name)
        session_fail("a kernel of no program");
    if (!atomic_load(&o->parent->u.program.builds) && o->parent->u.program.built && (k = clCreateKernel(o->parent->u.program.native, o->u.kernel.name, &e))) {
        kernel_learn(o, k);
        clReleaseKernel(k);
    }
    if (!k)
        session_fail("a kernel that the program does not have");
    objects_put(m->kernel, o);
}

static void serve_kernel_destroy(struct session *s, const struct wire_kernel_destroy *m) { object_unref(objects_take(m->kernel, OBJECT_KERNEL)); }

static void serve_output(struct session *s, const struct answer *a, const struct wire_output *m)
{
    char byte;
    if (output_receive(s->options.client_fd, &byte, 1) != 1)
        session_fail("the client's output did not come with its message");
    ANSWER(a, output, .error = CL_SUCCESS);
}

#define SUB_GROUP_BYTES_MAX 64       /* of a question or an answer: three sizes at most */

static bool sub_group_query(cl_uint name)
{
    switch (name) {
    case CL_KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE:
    case CL_KERNEL_SUB_GROUP_COUNT_FOR_NDRANGE:
    case CL_KERNEL_LOCAL_SIZE_FOR_SUB_GROUP_COUNT:
    case CL_KERNEL_MAX_NUM_SUB_GROUPS:
    case CL_KERNEL_COMPILE_NUM_SUB_GROUPS: return true;
    default: return false;
    }
}

static void serve_kernel_sub_groups(struct session *s, const struct answer *a, const struct wire_kernel_sub_groups *m)
{
    _Alignas(16) uint8_t input[SUB_GROUP_BYTES_MAX], value[SUB_GROUP_BYTES_MAX];
    struct object *o = objects_get(m->kernel, OBJECT_KERNEL), *part = m->device ? objects_get(m->device, OBJECT_DEVICE) : NULL;
    bool sane = sub_group_query(m->name) && m->input.size <= sizeof input && m->size <= sizeof value;
    size_t n = 0;
    cl_int e = !o ? CL_INVALID_KERNEL : atomic_load(&o->parent->u.program.builds) ? CL_INVALID_OPERATION : m->device && !part ? CL_INVALID_DEVICE : sane ? CL_SUCCESS : CL_INVALID_VALUE;
    cl_kernel k = e ? NULL : clCreateKernel(o->parent->u.program.native, o->u.kernel.name, &e);
    if (k) {
        if (m->input.size)
            memcpy(input, m->input.data, m->input.size);
        e = clGetKernelSubGroupInfo(k, part ? part->u.device : s->driver.device, m->name, m->input.size, m->input.size ? input : NULL, m->size, value, &n);
        clReleaseKernel(k);
    }
    ANSWER(a, kernel_sub_groups, .error = e, .value = { value, e ? 0 : (uint32_t)MIN(n, sizeof value) });
    object_unref(part);
    object_unref(o);
}

/* ---- dispatch ---- */

/* Taken before the list of all messages is looked at. */
#define TAKEN_BY_BUILD(name) static void serve_##name(struct session *s, const struct answer *a, const struct wire_##name *m) { session_fail("a build in its turn"); }
TAKEN_BY_BUILD(program_build)
TAKEN_BY_BUILD(program_compile)
TAKEN_BY_BUILD(program_link)

void control_serve(struct session *s, struct wire_end *reply, uint16_t op, const uint8_t *payload, uint32_t bytes)
{
    struct wire_in in = { payload, bytes, 0, false };
    struct answer a = { reply, op };
    if (build_takes(op)) {
        build_later(s, &a, payload, bytes);
        return;
    }
    switch (op) {
#define SYNC(name) case WIRE_OP_##name: { \
        struct wire_##name m; \
        wire_get_##name(&in, &m); \
        if (!in.bad) \
            serve_##name(s, &a, &m); \
        break; }
#define ASYNC(name) case WIRE_OP_##name: { \
        struct wire_##name m; \
        wire_get_##name(&in, &m); \
        if (!in.bad) \
            serve_##name(s, &m); \
        break; }
    WIRE_SYNC_MESSAGES(SYNC)
    WIRE_ASYNC_MESSAGES(ASYNC)
    default: session_fail("operation %u is not a control message", op);
    }
    if (in.bad)
        session_fail("a %s message that makes no sense", wire_op_to_string(op));
}

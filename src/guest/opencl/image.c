/* SPDX-License-Identifier: Apache-2.0 */
/* Images. On unified devices pixels are in rows in the shared arena, so that reads, writes and maps are rectangular transfers (transfer.c); elsewhere they
 * are the driver's own, and travel in bands (stream.c). */
#include "guest/opencl/guest.h"

#include <stdlib.h>
#include <string.h>

/* ---- descriptions ---- */

static bool is_array(cl_mem_object_type t) { return t == CL_MEM_OBJECT_IMAGE1D_ARRAY || t == CL_MEM_OBJECT_IMAGE2D_ARRAY; }
static bool has_height(cl_mem_object_type t) { return t == CL_MEM_OBJECT_IMAGE2D || t == CL_MEM_OBJECT_IMAGE2D_ARRAY || t == CL_MEM_OBJECT_IMAGE3D; }
static bool has_slices(cl_mem_object_type t) { return t == CL_MEM_OBJECT_IMAGE3D || is_array(t); }

static size_t device_size(cl_device_info name)
{
    size_t v = 0;
    clGetDeviceInfo(&the_device, name, sizeof v, &v, NULL);
    return v;
}

/* The extent in pixels, rows and slices, with 1 where a type has none. A 1D array's layers count as rows, as in origins and regions. */
static void extent(const cl_image_desc *d, size_t ret[3])
{
    ret[0] = d->image_width;
    ret[1] = has_height(d->image_type) ? d->image_height : d->image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY ? d->image_array_size : 1;
    ret[2] = d->image_type == CL_MEM_OBJECT_IMAGE3D ? d->image_depth : d->image_type == CL_MEM_OBJECT_IMAGE2D_ARRAY ? d->image_array_size : 1;
}

static cl_int check_extent(const cl_image_desc *d)
{
    static const struct { cl_mem_object_type type; cl_device_info max[3]; } limits[] = {
        { CL_MEM_OBJECT_IMAGE1D, { CL_DEVICE_IMAGE2D_MAX_WIDTH } },
        { CL_MEM_OBJECT_IMAGE1D_BUFFER, { CL_DEVICE_IMAGE_MAX_BUFFER_SIZE } },
        { CL_MEM_OBJECT_IMAGE1D_ARRAY, { CL_DEVICE_IMAGE2D_MAX_WIDTH, CL_DEVICE_IMAGE_MAX_ARRAY_SIZE } },
        { CL_MEM_OBJECT_IMAGE2D, { CL_DEVICE_IMAGE2D_MAX_WIDTH, CL_DEVICE_IMAGE2D_MAX_HEIGHT } },
        { CL_MEM_OBJECT_IMAGE2D_ARRAY, { CL_DEVICE_IMAGE2D_MAX_WIDTH, CL_DEVICE_IMAGE2D_MAX_HEIGHT, CL_DEVICE_IMAGE_MAX_ARRAY_SIZE } },
        { CL_MEM_OBJECT_IMAGE3D, { CL_DEVICE_IMAGE3D_MAX_WIDTH, CL_DEVICE_IMAGE3D_MAX_HEIGHT, CL_DEVICE_IMAGE3D_MAX_DEPTH } },
    };
    size_t n[3];
    extent(d, n);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (limits[i].type != d->image_type)
            continue;
        for (int k = 0; k < 3; k++) {
            if (n[k] == 0)
                return CL_INVALID_IMAGE_DESCRIPTOR;
            if (limits[i].max[k] && n[k] > device_size(limits[i].max[k]))
                return CL_INVALID_IMAGE_SIZE;
        }
        return CL_SUCCESS;
    }
    return CL_INVALID_IMAGE_DESCRIPTOR;
}

static cl_int check_desc(const cl_image_desc *d, cl_mem_flags flags, const void *host)
{
    bool needs_buffer = d->image_type == CL_MEM_OBJECT_IMAGE1D_BUFFER, may_buffer = needs_buffer || d->image_type == CL_MEM_OBJECT_IMAGE2D;
    if (d->num_mip_levels || d->num_samples)
        return CL_INVALID_IMAGE_DESCRIPTOR;
    if (needs_buffer && !d->buffer)
        return CL_INVALID_IMAGE_DESCRIPTOR;
    if (d->buffer && (!may_buffer || !object_is(d->buffer, KIND_MEM) || d->buffer->image))
        return CL_INVALID_IMAGE_DESCRIPTOR;
    if (!host && !d->buffer && (d->image_row_pitch || d->image_slice_pitch))
        return CL_INVALID_IMAGE_DESCRIPTOR;
    if ((host != NULL) != ((flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR)) != 0))
        return CL_INVALID_HOST_PTR;
    return check_extent(d);
}

/* Pitches of the application's memory, defaulted; the first error of the specification's rules. */
static cl_int host_pitches(struct image *im)
{
    const cl_image_desc *d = &im->desc;
    size_t n[3], rows;
    extent(d, n);
    im->host_row = d->image_row_pitch ? d->image_row_pitch : n[0] * im->element;
    if (im->host_row < n[0] * im->element || im->host_row % im->element)
        return CL_INVALID_IMAGE_DESCRIPTOR;
    rows = d->image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY ? 1 : n[1];
    im->host_slice = !has_slices(d->image_type) ? 0 : d->image_slice_pitch ? d->image_slice_pitch : im->host_row * rows;
    if (has_slices(d->image_type) && (im->host_slice < im->host_row * rows || im->host_slice % im->host_row))
        return CL_INVALID_IMAGE_DESCRIPTOR;
    return CL_SUCCESS;
}

static int access_of(cl_mem_flags flags)
{
    return flags & CL_MEM_KERNEL_READ_AND_WRITE ? 3 : flags & CL_MEM_READ_ONLY ? 0 : flags & CL_MEM_WRITE_ONLY ? 1 : 2;
}

static const struct wire_blob *formats_of(cl_mem_flags flags, cl_mem_object_type type)
{
    return link_fact(1, WIRE_FACT_FORMATS(type, access_of(flags)));
}

static bool format_supported(cl_mem_flags flags, cl_mem_object_type type, const cl_image_format *f)
{
    const struct wire_blob *b = formats_of(flags, type);
    for (size_t i = 0; b && i < b->size / sizeof *f; i++)
        if (memcmp((const cl_image_format *)b->data + i, f, sizeof *f) == 0)
            return true;
    return false;
}

cl_int CL_API_CALL clGetSupportedImageFormats(cl_context context, cl_mem_flags flags, cl_mem_object_type type, cl_uint n, cl_image_format *formats, cl_uint *n_ret)
{
    if (!object_is(context, KIND_CONTEXT))
        return CL_INVALID_CONTEXT;
    if (!mem_flags_valid(flags) || type < CL_MEM_OBJECT_IMAGE2D || type > CL_MEM_OBJECT_IMAGE1D_BUFFER || (n == 0 && formats))
        return CL_INVALID_VALUE;
    const struct wire_blob *b = formats_of(flags, type);
    cl_uint have = b ? (cl_uint)(b->size / sizeof *formats) : 0;
    if (formats && b)
        memcpy(formats, b->data, (n < have ? n : have) * sizeof *formats);
    if (n_ret)
        *n_ret = have;
    return CL_SUCCESS;
}

/* ---- creation ---- */

static cl_int image_open(cl_mem m)
{
    struct image *im = m->image;
    const cl_image_desc *d = &im->desc;
    struct wire_image_create_answer a = { 0 };
    struct link *l = link_current();
    void *buf = NULL;
    int r = LINK_CALL(l, image_create, &a, &buf, .mem = m->base.id, .flags = m->flags, .order = im->format.image_channel_order,
                      .type = im->format.image_channel_data_type, .kind = d->image_type, .width = d->image_width,
                      .height = has_height(d->image_type) ? d->image_height : 1, .depth = d->image_type == CL_MEM_OBJECT_IMAGE3D ? d->image_depth : 1,
                      .layers = is_array(d->image_type) ? d->image_array_size : 1, .buffer = d->buffer ? d->buffer->base.id : 0,
                      .buffer_row = d->buffer ? d->image_row_pitch : 0);
    free(buf);
    if (r < 0)
        return CL_OUT_OF_RESOURCES;
    if (a.error)
        return a.error;
    im->element = a.element;
    im->row = a.row;
    im->slice = a.slice;
    m->memory = d->buffer ? d->buffer->memory : a.offset != WIRE_NO_OFFSET ? l->arena + a.offset : NULL;
    size_t n[3];
    extent(d, n);
    m->size = d->image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY ? im->slice * n[1] : has_slices(d->image_type) ? im->slice * n[2] : im->row * n[1];
    return CL_SUCCESS;
}

/* A transfer of `region` pixels at `origin` in the image; the host side is tight, or has the given pitches. */
static void view_of(struct transfer *t, cl_mem m, bool write, void *host, const size_t origin[3], const size_t region[3], size_t row, size_t slice)
{
    const struct image *im = m->image;
    bool layers_are_rows = im->desc.image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY;
    *t = (struct transfer){ .mem = m, .write = write, .host = host, .origin = { origin[0], origin[1], origin[2] }, .region = { region[0] * im->element, region[1], region[2] } };
    t->mem_row = layers_are_rows ? im->slice : im->row;
    t->mem_slice = im->slice;
    t->mem_start = origin[2] * t->mem_slice + origin[1] * t->mem_row + origin[0] * im->element;
    t->host_row = row ? row : t->region[0];
    t->host_slice = slice ? slice : t->host_row * region[1];
    if (layers_are_rows && slice)
        t->host_row = slice;
}

static cl_int image_fill(cl_mem m, void *host)
{
    struct transfer t;
    size_t zero[3] = { 0 }, n[3];
    extent(&m->image->desc, n);
    view_of(&t, m, true, host, zero, n, m->image->host_row, m->image->host_slice);
    return transfer_run(&t);
}

/* Flags that an image made from a buffer takes over from it where its own say nothing. */
static cl_mem_flags inherit(cl_mem_flags flags, cl_mem buffer)
{
    const cl_mem_flags access = CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY | CL_MEM_READ_ONLY, host = CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS;
    if (!(flags & access))
        flags |= buffer->flags & access;
    if (!(flags & host))
        flags |= buffer->flags & host;
    return flags;
}

static cl_int check_image(cl_context context, cl_mem_flags flags, const cl_image_format *format, const cl_image_desc *desc, const void *host)
{
    cl_bool images = CL_FALSE;
    if (!object_is(context, KIND_CONTEXT))
        return CL_INVALID_CONTEXT;
    if (!link_current())
        return CL_OUT_OF_RESOURCES;
    if (!mem_flags_valid(flags))
        return CL_INVALID_VALUE;
    if (!format)
        return CL_INVALID_IMAGE_FORMAT_DESCRIPTOR;
    if (!desc)
        return CL_INVALID_IMAGE_DESCRIPTOR;
    clGetDeviceInfo(&the_device, CL_DEVICE_IMAGE_SUPPORT, sizeof images, &images, NULL);
    if (!images)
        return CL_INVALID_OPERATION;
    cl_int e = check_desc(desc, flags, host);
    if (!e && !format_supported(flags, desc->image_type, format))
        e = CL_IMAGE_FORMAT_NOT_SUPPORTED;
    return e;
}

static cl_mem image_new(cl_context context, cl_mem_flags flags, const cl_image_format *format, const cl_image_desc *desc, void *host, cl_int *error)
{
    *error = check_image(context, flags, format, desc, host);
    if (*error)
        return NULL;
    cl_mem m = mem_new(context, desc->buffer ? inherit(flags, desc->buffer) : flags, 0);
    if (!m || !(m->image = calloc(1, sizeof *m->image))) {
        if (m)
            mem_free(m);
        *error = CL_OUT_OF_HOST_MEMORY;
        return NULL;
    }
    m->image->format = *format;
    m->image->desc = *desc;
    *error = image_open(m);
    if (*error) {
        mem_free(m);
        return NULL;
    }
    if (desc->buffer) {
        object_ref(desc->buffer);
        m->parent = desc->buffer;
    }
    if (host)
        *error = host_pitches(m->image);
    if (!*error && flags & CL_MEM_USE_HOST_PTR)
        m->host_pointer = host;
    if (!*error && host)
        *error = image_fill(m, host);
    if (*error) {
        mem_release(m);
        return NULL;
    }
    return m;
}

cl_mem CL_API_CALL clCreateImage(cl_context context, cl_mem_flags flags, const cl_image_format *format, const cl_image_desc *desc, void *host, cl_int *errcode_ret)
{
    cl_int e;
    cl_mem m = image_new(context, flags, format, desc, host, &e);
    if (errcode_ret)
        *errcode_ret = e;
    return m;
}

cl_mem CL_API_CALL clCreateImageWithProperties(cl_context context, const cl_mem_properties *properties, cl_mem_flags flags, const cl_image_format *format,
                                               const cl_image_desc *desc, void *host, cl_int *errcode_ret)
{
    cl_int e = properties && properties[0] ? CL_INVALID_PROPERTY : CL_SUCCESS;
    cl_mem m = e ? NULL : image_new(context, flags, format, desc, host, &e);
    if (m && properties && (m->properties = calloc(1, sizeof *properties)))
        m->nproperties = 1;
    if (errcode_ret)
        *errcode_ret = e;
    return m;
}

/* The calls of OpenCL 1.1 answer a bad size with CL_INVALID_IMAGE_SIZE. */
static cl_mem image_new_1_1(cl_context context, cl_mem_flags flags, const cl_image_format *format, const cl_image_desc *desc, void *host, cl_int *errcode_ret)
{
    cl_int e;
    cl_mem m = image_new(context, flags, format, desc, host, &e);
    if (errcode_ret)
        *errcode_ret = e == CL_INVALID_IMAGE_DESCRIPTOR ? CL_INVALID_IMAGE_SIZE : e;
    return m;
}

cl_mem CL_API_CALL clCreateImage2D(cl_context context, cl_mem_flags flags, const cl_image_format *format, size_t width, size_t height, size_t row, void *host,
                                   cl_int *errcode_ret)
{
    cl_image_desc d = { .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = width, .image_height = height, .image_row_pitch = row };
    return image_new_1_1(context, flags, format, &d, host, errcode_ret);
}

cl_mem CL_API_CALL clCreateImage3D(cl_context context, cl_mem_flags flags, const cl_image_format *format, size_t width, size_t height, size_t depth, size_t row,
                                   size_t slice, void *host, cl_int *errcode_ret)
{
    cl_image_desc d = { .image_type = CL_MEM_OBJECT_IMAGE3D, .image_width = width, .image_height = height, .image_depth = depth, .image_row_pitch = row,
                        .image_slice_pitch = slice };
    return image_new_1_1(context, flags, format, &d, host, errcode_ret);
}

cl_int CL_API_CALL clGetImageInfo(cl_mem m, cl_image_info name, size_t size, void *value, size_t *size_ret)
{
    if (!object_is(m, KIND_MEM) || !m->image)
        return CL_INVALID_MEM_OBJECT;
    const struct image *im = m->image;
    const cl_image_desc *d = &im->desc;
    switch (name) {
    case CL_IMAGE_FORMAT: return INFO(cl_image_format, im->format);
    case CL_IMAGE_ELEMENT_SIZE: return INFO(size_t, im->element);
    case CL_IMAGE_ROW_PITCH: return INFO(size_t, m->host_pointer ? im->host_row : im->row);
    case CL_IMAGE_SLICE_PITCH: return INFO(size_t, !has_slices(d->image_type) ? 0 : m->host_pointer ? im->host_slice : im->slice);
    case CL_IMAGE_WIDTH: return INFO(size_t, d->image_width);
    case CL_IMAGE_HEIGHT: return INFO(size_t, has_height(d->image_type) ? d->image_height : 0);
    case CL_IMAGE_DEPTH: return INFO(size_t, d->image_type == CL_MEM_OBJECT_IMAGE3D ? d->image_depth : 0);
    case CL_IMAGE_ARRAY_SIZE: return INFO(size_t, is_array(d->image_type) ? d->image_array_size : 0);
    case CL_IMAGE_BUFFER: return INFO(cl_mem, d->buffer);
    case CL_IMAGE_NUM_MIP_LEVELS:
    case CL_IMAGE_NUM_SAMPLES: return INFO(cl_uint, 0);
    default: return CL_INVALID_VALUE;
    }
}

/* ---- commands ---- */

static cl_int check_region(cl_mem m, const size_t *origin, const size_t *region)
{
    size_t n[3];
    if (!object_is(m, KIND_MEM) || !m->image)
        return CL_INVALID_MEM_OBJECT;
    if (!origin || !region)
        return CL_INVALID_VALUE;
    extent(&m->image->desc, n);
    for (int i = 0; i < 3; i++)
        if (region[i] == 0 || origin[i] > n[i] || region[i] > n[i] - origin[i])
            return CL_INVALID_VALUE;
    return CL_SUCCESS;
}

/* Pitches that an application gives for its side. */
static bool pitches_valid(cl_mem m, const size_t *region, size_t row, size_t slice)
{
    const struct image *im = m->image;
    size_t tight = region[0] * im->element, rows = im->desc.image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY ? 1 : region[1];
    if (row && row < tight)
        return false;
    if (!has_slices(im->desc.image_type))
        return slice == 0;
    return !slice || slice >= (row ? row : tight) * rows;
}

static cl_int enqueue_transfer(cl_command_queue q, cl_mem m, bool write, cl_bool blocking, const size_t *origin, const size_t *region, size_t row, size_t slice,
                               void *host, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    struct transfer t;
    cl_int e = transfer_check(q, m, write, nwait, wait);
    if (!e)
        e = check_region(m, origin, region);
    if (!e && (!host || !pitches_valid(m, region, row, slice)))
        e = CL_INVALID_VALUE;
    if (e)
        return e;
    view_of(&t, m, write, host, origin, region, row, slice);
    return transfer_enqueue(q, &t, blocking, write ? CL_COMMAND_WRITE_IMAGE : CL_COMMAND_READ_IMAGE, nwait, wait, event);
}

cl_int CL_API_CALL clEnqueueReadImage(cl_command_queue q, cl_mem m, cl_bool blocking, const size_t *origin, const size_t *region, size_t row, size_t slice, void *host,
                                      cl_uint nwait, const cl_event *wait, cl_event *event)
{
    return enqueue_transfer(q, m, false, blocking, origin, region, row, slice, host, nwait, wait, event);
}

cl_int CL_API_CALL clEnqueueWriteImage(cl_command_queue q, cl_mem m, cl_bool blocking, const size_t *origin, const size_t *region, size_t row, size_t slice,
                                       const void *host, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    return enqueue_transfer(q, m, true, blocking, origin, region, row, slice, (void *)host, nwait, wait, event);
}

static cl_int check_pair(cl_command_queue q, cl_mem a, cl_mem b, cl_uint nwait, const cl_event *wait)
{
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (!object_is(a, KIND_MEM) || !object_is(b, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    if (a->context != q->context || b->context != q->context)
        return CL_INVALID_CONTEXT;
    return events_check(q->context, nwait, wait);
}

static void copy3(uint64_t to[3], const size_t from[3])
{
    for (int i = 0; i < 3; i++)
        to[i] = from[i];
}

cl_int CL_API_CALL clEnqueueCopyImage(cl_command_queue q, cl_mem source, cl_mem target, const size_t *source_origin, const size_t *target_origin,
                                      const size_t *region, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    struct command c;
    cl_int e = check_pair(q, source, target, nwait, wait);
    if (!e)
        e = check_region(source, source_origin, region);
    if (!e)
        e = check_region(target, target_origin, region);
    if (!e && memcmp(&source->image->format, &target->image->format, sizeof source->image->format))
        e = CL_IMAGE_FORMAT_MISMATCH;
    if (!e && source == target) {
        bool overlap = true;
        for (int i = 0; i < 3; i++)
            overlap = overlap && source_origin[i] < target_origin[i] + region[i] && target_origin[i] < source_origin[i] + region[i];
        e = overlap ? CL_MEM_COPY_OVERLAP : CL_SUCCESS;
    }
    if (e)
        return e;
    struct wire_copy_image m = { .source = source->base.id, .target = target->base.id };
    copy3(m.source_origin, source_origin);
    copy3(m.target_origin, target_origin);
    copy3(m.region, region);
    command_begin(&c, nwait, wait);
    wire_put_copy_image(&c.out, &m);
    return command_push(&c, WIRE_OP_copy_image, q, CL_COMMAND_COPY_IMAGE, event);
}

static cl_int check_buffer(cl_mem buffer, cl_mem image, const size_t *region, size_t offset)
{
    size_t n = region[0] * region[1] * region[2] * image->image->element;
    if (buffer->image)
        return CL_INVALID_MEM_OBJECT;
    return offset > buffer->size || n > buffer->size - offset ? CL_INVALID_VALUE : CL_SUCCESS;
}

cl_int CL_API_CALL clEnqueueCopyImageToBuffer(cl_command_queue q, cl_mem image, cl_mem buffer, const size_t *origin, const size_t *region, size_t offset,
                                              cl_uint nwait, const cl_event *wait, cl_event *event)
{
    struct command c;
    cl_int e = check_pair(q, image, buffer, nwait, wait);
    if (!e)
        e = check_region(image, origin, region);
    if (!e)
        e = check_buffer(buffer, image, region, offset);
    if (e)
        return e;
    struct wire_image_to_buffer m = { .image = image->base.id, .buffer = buffer->base.id, .offset = offset };
    copy3(m.origin, origin);
    copy3(m.region, region);
    command_begin(&c, nwait, wait);
    wire_put_image_to_buffer(&c.out, &m);
    return command_push(&c, WIRE_OP_image_to_buffer, q, CL_COMMAND_COPY_IMAGE_TO_BUFFER, event);
}

cl_int CL_API_CALL clEnqueueCopyBufferToImage(cl_command_queue q, cl_mem buffer, cl_mem image, size_t offset, const size_t *origin, const size_t *region,
                                              cl_uint nwait, const cl_event *wait, cl_event *event)
{
    struct command c;
    cl_int e = check_pair(q, buffer, image, nwait, wait);
    if (!e)
        e = check_region(image, origin, region);
    if (!e)
        e = check_buffer(buffer, image, region, offset);
    if (e)
        return e;
    struct wire_buffer_to_image m = { .buffer = buffer->base.id, .image = image->base.id, .offset = offset };
    copy3(m.origin, origin);
    copy3(m.region, region);
    command_begin(&c, nwait, wait);
    wire_put_buffer_to_image(&c.out, &m);
    return command_push(&c, WIRE_OP_buffer_to_image, q, CL_COMMAND_COPY_BUFFER_TO_IMAGE, event);
}

cl_int CL_API_CALL clEnqueueFillImage(cl_command_queue q, cl_mem image, const void *color, const size_t *origin, const size_t *region, cl_uint nwait,
                                      const cl_event *wait, cl_event *event)
{
    struct command c;
    cl_int e = check_pair(q, image, image, nwait, wait);
    if (!e)
        e = check_region(image, origin, region);
    if (!e && !color)
        e = CL_INVALID_VALUE;
    if (e)
        return e;
    /* One float for depth images, four components of four bytes otherwise. */
    struct wire_fill_image m = { .image = image->base.id, .color = { color, image->image->format.image_channel_order == CL_DEPTH ? 4 : 16 } };
    copy3(m.origin, origin);
    copy3(m.region, region);
    command_begin(&c, nwait, wait);
    wire_put_fill_image(&c.out, &m);
    return command_push(&c, WIRE_OP_fill_image, q, CL_COMMAND_FILL_IMAGE, event);
}

/* Of what a map shows: the application's own memory, the arena, or a copy without gaps. */
static void map_pitches(cl_mem m, const size_t *region, size_t *ret_row, size_t *ret_slice)
{
    const struct image *im = m->image;
    if (m->host_pointer || m->memory) {
        *ret_row = m->host_pointer ? im->host_row : im->row;
        *ret_slice = m->host_pointer ? im->host_slice : im->slice;
    } else {
        *ret_row = region[0] * im->element;
        *ret_slice = im->desc.image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY ? *ret_row : *ret_row * region[1];
    }
}

void *CL_API_CALL clEnqueueMapImage(cl_command_queue q, cl_mem m, cl_bool blocking, cl_map_flags flags, const size_t *origin, const size_t *region, size_t *row,
                                    size_t *slice, cl_uint nwait, const cl_event *wait, cl_event *event, cl_int *errcode_ret)
{
    struct transfer view;
    void *pointer = NULL;
    cl_int e = map_check(q, m, flags, nwait, wait);
    if (!e)
        e = check_region(m, origin, region);
    if (!e && (!row || (has_slices(m->image->desc.image_type) && !slice)))
        e = CL_INVALID_VALUE;
    if (!e) {
        const struct image *im = m->image;
        size_t host_row, host_slice;
        map_pitches(m, region, &host_row, &host_slice);
        view_of(&view, m, false, NULL, origin, region, host_row, host_slice);
        view.host_start = origin[2] * view.host_slice + origin[1] * view.host_row + origin[0] * im->element;
        pointer = map_enqueue(q, &view, blocking, flags, CL_COMMAND_MAP_IMAGE, nwait, wait, event, &e);
        if (pointer) {
            *row = host_row;
            if (slice)
                *slice = has_slices(im->desc.image_type) ? host_slice : 0;
        }
    }
    if (errcode_ret)
        *errcode_ret = e;
    return pointer;
}

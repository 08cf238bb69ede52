/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers and sub-buffers. On a unified device a buffer is a piece of the shared arena. */
#include "guest/opencl/guest.h"

#include <stdlib.h>
#include <string.h>

#define ACCESS_FLAGS (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY | CL_MEM_READ_ONLY)
#define HOST_ACCESS_FLAGS (CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS)
#define POINTER_FLAGS (CL_MEM_USE_HOST_PTR | CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR)

static bool at_most_one(cl_mem_flags flags) { return (flags & (flags - 1)) == 0; }

bool mem_flags_valid(cl_mem_flags flags)
{
    if (flags & ~(cl_mem_flags)(ACCESS_FLAGS | HOST_ACCESS_FLAGS | POINTER_FLAGS | CL_MEM_KERNEL_READ_AND_WRITE))
        return false;
    if ((flags & CL_MEM_USE_HOST_PTR) && (flags & (CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR)))
        return false;
    return at_most_one(flags & ACCESS_FLAGS) && at_most_one(flags & HOST_ACCESS_FLAGS);
}

static cl_ulong device_ulong(cl_device_info name)
{
    cl_ulong v = 0;
    return clGetDeviceInfo(&the_device, name, sizeof v, &v, NULL) == CL_SUCCESS ? v : 0;
}

cl_mem mem_new(cl_context context, cl_mem_flags flags, size_t size)
{
    cl_mem m = calloc(1, sizeof *m);
    uint32_t id = m ? link_id_new() : 0;
    if (!id) {
        free(m);
        return NULL;
    }
    object_init(&m->base, KIND_MEM, id);
    pthread_mutex_init(&m->lock, NULL);
    m->context = context;
    m->flags = flags & ACCESS_FLAGS ? flags : flags | CL_MEM_READ_WRITE;
    m->size = size;
    if (!known_add(m)) {
        link_id_free(id);
        free(m);
        return NULL;
    }
    object_ref(context);
    return m;
}

void mem_free(cl_mem m)
{
    known_remove(m);
    link_id_free(m->base.id);
    context_release(m->context);
    pthread_mutex_destroy(&m->lock);
    m->base.kind = 0;
    free(m->properties);
    free(m->image);
    free(m);
}

static cl_int buffer_open(struct link *l, cl_mem m)
{
    struct wire_buffer_create_answer a = { 0 };
    void *buf = NULL;
    int r = LINK_CALL(l, buffer_create, &a, &buf, .mem = m->base.id, .flags = m->flags, .size = m->size);
    free(buf);
    if (r < 0)
        return CL_OUT_OF_RESOURCES;
    if (a.error == CL_SUCCESS && a.offset != WIRE_NO_OFFSET)
        m->memory = l->arena + a.offset;
    return a.error;
}

/* CL_MEM_USE_HOST_PTR with shared virtual memory: the buffer is that memory. */
static cl_int buffer_open_on(struct link *l, cl_mem m, void *host, const struct svm_place *place)
{
    struct wire_buffer_on_svm_answer a = { 0 };
    void *buf = NULL;
    if (m->size > place->size - place->offset)
        return CL_INVALID_BUFFER_SIZE;
    int r = LINK_CALL(l, buffer_on_svm, &a, &buf, .mem = m->base.id, .svm = place->id, .flags = m->flags, .offset = place->offset, .size = m->size);
    free(buf);
    if (r == 0 && a.error == CL_SUCCESS) {
        m->memory = host;
        m->svm = true;
    }
    return r < 0 ? CL_OUT_OF_RESOURCES : a.error;
}

static cl_int buffer_fill(cl_mem m, void *host)
{
    struct transfer t;
    transfer_linear(&t, m, true, host, 0, m->size);
    return transfer_run(&t);
}

static cl_mem buffer_new(cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *error)
{
    struct link *l = link_current();
    struct svm_place place;
    *error = CL_SUCCESS;
    if (!object_is(context, KIND_CONTEXT))
        *error = CL_INVALID_CONTEXT;
    else if (!mem_flags_valid(flags))
        *error = CL_INVALID_VALUE;
    else if ((host != NULL) != ((flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR)) != 0))
        *error = CL_INVALID_HOST_PTR;
    else if (size == 0 || size > device_ulong(CL_DEVICE_MAX_MEM_ALLOC_SIZE))
        *error = CL_INVALID_BUFFER_SIZE;
    cl_mem m = *error || !l ? NULL : mem_new(context, flags, size);
    if (!m) {
        *error = *error ? *error : l ? CL_OUT_OF_HOST_MEMORY : CL_OUT_OF_RESOURCES;
        return NULL;
    }
    *error = flags & CL_MEM_USE_HOST_PTR && svm_find(host, &place) ? buffer_open_on(l, m, host, &place) : buffer_open(l, m);
    if (*error) {
        mem_free(m);
        return NULL;
    }
    if (flags & CL_MEM_USE_HOST_PTR)
        m->host_pointer = host;
    if (host && !m->svm)
        *error = buffer_fill(m, host);
    if (*error) {
        mem_release(m);
        return NULL;
    }
    return m;
}

cl_mem CL_API_CALL clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *errcode_ret)
{
    cl_int e;
    cl_mem m = buffer_new(context, flags, size, host, &e);
    if (errcode_ret)
        *errcode_ret = e;
    return m;
}

cl_mem CL_API_CALL clCreateBufferWithProperties(cl_context context, const cl_mem_properties *properties, cl_mem_flags flags, size_t size, void *host,
                                                cl_int *errcode_ret)
{
    cl_int e = properties && properties[0] ? CL_INVALID_PROPERTY : CL_SUCCESS;   /* OpenCL 3.0 defines none */
    cl_mem m = e ? NULL : buffer_new(context, flags, size, host, &e);
    if (m && properties && (m->properties = calloc(1, sizeof *properties)))
        m->nproperties = 1;
    if (errcode_ret)
        *errcode_ret = e;
    return m;
}

static cl_int subbuffer_check(cl_mem parent, cl_mem_flags flags, cl_buffer_create_type type, const cl_buffer_region *r)
{
    cl_uint align_bits = 0;
    if (!object_is(parent, KIND_MEM) || parent->parent || parent->image)
        return CL_INVALID_MEM_OBJECT;
    if (type != CL_BUFFER_CREATE_TYPE_REGION || !r || !mem_flags_valid(flags) || (flags & POINTER_FLAGS))
        return CL_INVALID_VALUE;
    if ((parent->flags & CL_MEM_WRITE_ONLY && flags & (CL_MEM_READ_WRITE | CL_MEM_READ_ONLY)) ||
        (parent->flags & CL_MEM_READ_ONLY && flags & (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY)) ||
        (parent->flags & CL_MEM_HOST_WRITE_ONLY && flags & CL_MEM_HOST_READ_ONLY) ||
        (parent->flags & CL_MEM_HOST_READ_ONLY && flags & CL_MEM_HOST_WRITE_ONLY) ||
        (parent->flags & CL_MEM_HOST_NO_ACCESS && flags & (CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_WRITE_ONLY)))
        return CL_INVALID_VALUE;
    if (r->size == 0)
        return CL_INVALID_BUFFER_SIZE;
    if (r->origin > parent->size || r->size > parent->size - r->origin)
        return CL_INVALID_VALUE;
    clGetDeviceInfo(&the_device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof align_bits, &align_bits, NULL);
    return align_bits >= 8 && r->origin % (align_bits / 8) ? CL_MISALIGNED_SUB_BUFFER_OFFSET : CL_SUCCESS;
}

static cl_mem subbuffer_new(cl_mem parent, cl_mem_flags flags, const cl_buffer_region *r, cl_int *error)
{
    struct link *l = link_current();
    struct wire_subbuffer_create_answer a = { 0 };
    void *buf = NULL;
    /* What is not said is inherited. */
    if (!(flags & ACCESS_FLAGS))
        flags |= parent->flags & ACCESS_FLAGS;
    if (!(flags & HOST_ACCESS_FLAGS))
        flags |= parent->flags & HOST_ACCESS_FLAGS;
    flags |= parent->flags & POINTER_FLAGS;
    cl_mem m = l ? mem_new(parent->context, flags, r->size) : NULL;
    if (!m) {
        *error = CL_OUT_OF_HOST_MEMORY;
        return NULL;
    }
    int e = LINK_CALL(l, subbuffer_create, &a, &buf, .mem = m->base.id, .parent = parent->base.id, .flags = m->flags, .origin = r->origin, .size = r->size);
    free(buf);
    *error = e < 0 ? CL_OUT_OF_RESOURCES : a.error;
    if (*error) {
        mem_free(m);
        return NULL;
    }
    object_ref(parent);
    m->parent = parent;
    m->origin = r->origin;
    m->memory = parent->memory ? parent->memory + r->origin : NULL;
    m->svm = parent->svm;
    m->host_pointer = parent->host_pointer ? (uint8_t *)parent->host_pointer + r->origin : NULL;
    return m;
}

cl_mem CL_API_CALL clCreateSubBuffer(cl_mem parent, cl_mem_flags flags, cl_buffer_create_type type, const void *info, cl_int *errcode_ret)
{
    cl_int e = subbuffer_check(parent, flags, type, info);
    cl_mem m = e ? NULL : subbuffer_new(parent, flags, info, &e);
    if (errcode_ret)
        *errcode_ret = e;
    return m;
}

cl_int CL_API_CALL clRetainMemObject(cl_mem m)
{
    if (!object_is(m, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    object_ref(m);
    return CL_SUCCESS;
}

void mem_release(cl_mem m)
{
    if (!object_unref(m))
        return;
    struct link *l = link_current();
    cl_mem parent = m->parent;
    while (m->mappings) {
        struct mapping *map = m->mappings;
        m->mappings = map->next;
        free(map->shadow);
        free(map);
    }
    if (l)
        LINK_POST(l, mem_destroy, .mem = m->base.id);
    destructors_run(m->destructors, m);
    mem_free(m);
    if (parent)
        mem_release(parent);
}

cl_int CL_API_CALL clReleaseMemObject(cl_mem m)
{
    if (!object_is(m, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    mem_release(m);
    return CL_SUCCESS;
}

cl_int CL_API_CALL clSetMemObjectDestructorCallback(cl_mem m, void (CL_CALLBACK *call)(cl_mem, void *), void *user)
{
    if (!object_is(m, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    if (!call)
        return CL_INVALID_VALUE;
    pthread_mutex_lock(&m->lock);
    cl_int e = destructor_add(&m->destructors, (void (CL_CALLBACK *)(void *, void *))(void *)call, user);
    pthread_mutex_unlock(&m->lock);
    return e;
}

cl_int CL_API_CALL clGetMemObjectInfo(cl_mem m, cl_mem_info name, size_t size, void *value, size_t *size_ret)
{
    if (!object_is(m, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    switch (name) {
    case CL_MEM_TYPE: return INFO(cl_mem_object_type, m->image ? m->image->desc.image_type : CL_MEM_OBJECT_BUFFER);
    case CL_MEM_FLAGS: return INFO(cl_mem_flags, m->flags);
    case CL_MEM_SIZE: return INFO(size_t, m->size);
    case CL_MEM_HOST_PTR: return INFO(void *, m->host_pointer);
    case CL_MEM_MAP_COUNT: return INFO(cl_uint, m->map_count);
    case CL_MEM_REFERENCE_COUNT: return INFO(cl_uint, atomic_load(&m->base.refs));
    case CL_MEM_CONTEXT: return INFO(cl_context, m->context);
    case CL_MEM_ASSOCIATED_MEMOBJECT: return INFO(cl_mem, m->parent);
    case CL_MEM_OFFSET: return INFO(size_t, m->origin);
    case CL_MEM_USES_SVM_POINTER: return INFO(cl_bool, m->svm);
    case CL_MEM_PROPERTIES: return info_put(m->properties, m->nproperties * sizeof *m->properties, size, value, size_ret);
    default: return CL_INVALID_VALUE;
    }
}

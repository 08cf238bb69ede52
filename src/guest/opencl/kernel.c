/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels: arguments are kept here and travel with each launch, so setting one costs no message and needs no lock in the worker. */
#include "guest/opencl/guest.h"
#include "wire/arguments.h"

#include <stdlib.h>
#include <string.h>

static cl_kernel kernel_new(cl_program p, const struct kernel_info *info, cl_int *error)
{
    cl_kernel k = calloc(1, sizeof *k);
    uint32_t id = k ? link_id_new() : 0;
    if (k)
        k->args = calloc(info->nargs + 1, sizeof *k->args);
    if (!id || !k->args || LINK_POST(link_current(), kernel_create, .kernel = id, .program = p->base.id, .name = wire_blob_text(info->name)) < 0) {
        link_id_free(id);
        if (k)
            free(k->args);
        free(k);
        *error = CL_OUT_OF_RESOURCES;
        return NULL;
    }
    object_init(&k->base, KIND_KERNEL, id);
    pthread_mutex_init(&k->lock, NULL);
    k->program = p;
    k->info = info;
    object_ref(p);
    atomic_fetch_add(&p->kernels_alive, 1);
    *error = CL_SUCCESS;
    return k;
}

static cl_int check_program(cl_program p)
{
    if (!object_is(p, KIND_PROGRAM))
        return CL_INVALID_PROGRAM;
    if (p->status != CL_BUILD_SUCCESS || p->binary_type != CL_PROGRAM_BINARY_TYPE_EXECUTABLE)
        return CL_INVALID_PROGRAM_EXECUTABLE;
    return link_current() ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

cl_kernel CL_API_CALL clCreateKernel(cl_program p, const char *name, cl_int *errcode_ret)
{
    cl_kernel k = NULL;
    cl_int e = check_program(p);
    if (!e && !name)
        e = CL_INVALID_VALUE;
    if (!e) {
        e = CL_INVALID_KERNEL_NAME;
        for (cl_uint i = 0; i < p->nkernels; i++)
            if (strcmp(p->kernels[i].name, name) == 0) {
                k = kernel_new(p, &p->kernels[i], &e);
                break;
            }
    }
    if (errcode_ret)
        *errcode_ret = e;
    return k;
}

cl_int CL_API_CALL clCreateKernelsInProgram(cl_program p, cl_uint n, cl_kernel *kernels, cl_uint *n_ret)
{
    cl_int e = check_program(p);
    if (e)
        return e;
    if (kernels && n < p->nkernels)
        return CL_INVALID_VALUE;
    for (cl_uint i = 0; kernels && i < p->nkernels; i++)
        if (!(kernels[i] = kernel_new(p, &p->kernels[i], &e))) {
            while (i)
                clReleaseKernel(kernels[--i]);
            return e;
        }
    if (n_ret)
        *n_ret = p->nkernels;
    return CL_SUCCESS;
}

static void arg_clear(struct kernel_arg *a)
{
    if (a->form == ARGUMENT_VALUE && a->size > sizeof a->value.bytes)
        free(a->value.heap);
    *a = (struct kernel_arg){ 0 };
}

static const void *arg_bytes(const struct kernel_arg *a) { return a->size > sizeof a->value.bytes ? a->value.heap : a->value.bytes; }

static cl_int arg_set_value(struct kernel_arg *a, const void *value, size_t size)
{
    if (size > sizeof a->value.bytes) {
        void *heap = malloc(size);
        if (!heap)
            return CL_OUT_OF_HOST_MEMORY;
        memcpy(heap, value, size);
        arg_clear(a);
        a->value.heap = heap;
    } else {
        arg_clear(a);
        memcpy(a->value.bytes, value, size);
    }
    a->form = ARGUMENT_VALUE;
    a->size = (uint32_t)size;
    return CL_SUCCESS;
}

static cl_int arg_set_mem(struct kernel_arg *a, cl_context context, const void *value, size_t size)
{
    cl_mem m = NULL;
    if (size != sizeof m)
        return CL_INVALID_ARG_SIZE;
    if (value)
        memcpy(&m, value, sizeof m);
    if (m && (!object_is_known(m, KIND_MEM) || m->context != context))
        return CL_INVALID_ARG_VALUE;
    arg_clear(a);
    a->form = ARGUMENT_MEM;
    a->size = (uint32_t)size;
    a->handle = m ? m->base.id : 0;
    return CL_SUCCESS;
}

/* An image that the kernel may use as it declares. */
static cl_int arg_set_image(struct kernel_arg *a, cl_kernel_arg_access_qualifier access, cl_context context, const void *value, size_t size)
{
    cl_mem m = NULL;
    if (size != sizeof m)
        return CL_INVALID_ARG_SIZE;
    if (value)
        memcpy(&m, value, sizeof m);
    if (!object_is_known(m, KIND_MEM) || !m->image)
        return CL_INVALID_MEM_OBJECT;
    if ((access != CL_KERNEL_ARG_ACCESS_READ_ONLY && m->flags & CL_MEM_READ_ONLY) || (access != CL_KERNEL_ARG_ACCESS_WRITE_ONLY && m->flags & CL_MEM_WRITE_ONLY))
        return CL_INVALID_ARG_VALUE;
    return arg_set_mem(a, context, value, size);
}

static cl_int arg_set_svm(struct kernel_arg *a, cl_context context, const void *pointer)
{
    struct svm_place place;
    if (!pointer)
        return arg_set_mem(a, context, NULL, sizeof(cl_mem));
    if (!svm_find(pointer, &place) || place.context != context)
        return CL_INVALID_ARG_VALUE;
    arg_clear(a);
    a->form = ARGUMENT_SVM;
    a->size = sizeof pointer;
    a->handle = place.id;
    a->value.offset = place.offset;
    return CL_SUCCESS;
}

static cl_int arg_set_sampler(struct kernel_arg *a, cl_context context, const void *value, size_t size)
{
    cl_sampler s = NULL;
    if (size != sizeof s)
        return CL_INVALID_ARG_SIZE;
    if (value)
        memcpy(&s, value, sizeof s);
    if (!object_is_known(s, KIND_SAMPLER) || s->context != context)
        return CL_INVALID_SAMPLER;
    arg_clear(a);
    a->form = ARGUMENT_SAMPLER;
    a->size = (uint32_t)size;
    a->handle = s->base.id;
    return CL_SUCCESS;
}

static cl_int arg_set_local(struct kernel_arg *a, const void *value, size_t size)
{
    if (value)
        return CL_INVALID_ARG_VALUE;
    if (size == 0 || size > UINT32_MAX)
        return CL_INVALID_ARG_SIZE;
    arg_clear(a);
    a->form = ARGUMENT_LOCAL;
    a->size = (uint32_t)size;
    return CL_SUCCESS;
}

/* Programs made from binaries may not know their arguments: then what looks like one of our memory objects is one. */
static cl_int arg_set_unknown(struct kernel_arg *a, cl_context context, const void *value, size_t size)
{
    void *p;
    if (!value)
        return arg_set_local(a, value, size);
    if (size == sizeof p) {
        memcpy(&p, value, sizeof p);
        if (object_is_known(p, KIND_MEM))
            return arg_set_mem(a, context, value, size);
        if (object_is_known(p, KIND_SAMPLER))
            return arg_set_sampler(a, context, value, size);
    }
    return size == 0 || size > ARGUMENT_VALUE_MAX ? CL_INVALID_ARG_SIZE : arg_set_value(a, value, size);
}

static cl_int arg_set(cl_kernel k, cl_uint index, const void *value, size_t size)
{
    const struct kernel_arg_info *info = &k->info->args[index];
    struct kernel_arg *a = &k->args[index];
    if (!k->info->args_known)
        return arg_set_unknown(a, k->program->context, value, size);
    if (info->type && strcmp(info->type, "sampler_t") == 0)
        return arg_set_sampler(a, k->program->context, value, size);
    if (info->access != CL_KERNEL_ARG_ACCESS_NONE)
        return arg_set_image(a, info->access, k->program->context, value, size);
    switch (info->address) {
    case CL_KERNEL_ARG_ADDRESS_GLOBAL:
    case CL_KERNEL_ARG_ADDRESS_CONSTANT: return arg_set_mem(a, k->program->context, value, size);
    case CL_KERNEL_ARG_ADDRESS_LOCAL: return arg_set_local(a, value, size);
    default:
        if (!value)
            return CL_INVALID_ARG_VALUE;
        if (size == 0 || size > ARGUMENT_VALUE_MAX || (info->size && size != info->size))
            return CL_INVALID_ARG_SIZE;
        return arg_set_value(a, value, size);
    }
}

cl_int CL_API_CALL clSetKernelArg(cl_kernel k, cl_uint index, size_t size, const void *value)
{
    if (!object_is(k, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (index >= k->info->nargs)
        return CL_INVALID_ARG_INDEX;
    pthread_mutex_lock(&k->lock);
    cl_int e = arg_set(k, index, value, size);
    if (!e)
        k->args[index].set = true;
    pthread_mutex_unlock(&k->lock);
    return e;
}

/* What the argument is declared as; without that knowledge the worker's driver has the last word. */
static bool takes_pointer(const struct kernel_info *info, cl_uint index)
{
    const struct kernel_arg_info *a = &info->args[index];
    return !info->args_known || (a->access == CL_KERNEL_ARG_ACCESS_NONE && (a->address == CL_KERNEL_ARG_ADDRESS_GLOBAL || a->address == CL_KERNEL_ARG_ADDRESS_CONSTANT));
}

cl_int CL_API_CALL clSetKernelArgSVMPointer(cl_kernel k, cl_uint index, const void *pointer)
{
    if (!object_is(k, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (!svm_capabilities())
        return CL_INVALID_OPERATION;
    if (index >= k->info->nargs)
        return CL_INVALID_ARG_INDEX;
    if (!takes_pointer(k->info, index))
        return CL_INVALID_ARG_VALUE;
    pthread_mutex_lock(&k->lock);
    cl_int e = arg_set_svm(&k->args[index], k->program->context, pointer);
    if (!e)
        k->args[index].set = true;
    pthread_mutex_unlock(&k->lock);
    return e;
}

/* Nothing to remember: a kernel here may follow every pointer into shared virtual memory. */
cl_int CL_API_CALL clSetKernelExecInfo(cl_kernel k, cl_kernel_exec_info name, size_t size, const void *value)
{
    cl_bool system = CL_FALSE;
    if (!object_is(k, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (name != CL_KERNEL_EXEC_INFO_SVM_PTRS && name != CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM)
        return CL_INVALID_VALUE;
    if (!svm_capabilities())
        return CL_INVALID_OPERATION;
    if (name == CL_KERNEL_EXEC_INFO_SVM_PTRS && !value && size == 0)
        return CL_SUCCESS;            /* forgets what was named */
    if (!value || size == 0 || (name == CL_KERNEL_EXEC_INFO_SVM_PTRS ? size % sizeof(void *) != 0 : size != sizeof system))
        return CL_INVALID_VALUE;
    if (name == CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM)
        memcpy(&system, value, sizeof system);
    return system ? CL_INVALID_OPERATION : CL_SUCCESS;
}

cl_kernel CL_API_CALL clCloneKernel(cl_kernel k, cl_int *errcode_ret)
{
    cl_int e = object_is(k, KIND_KERNEL) ? CL_SUCCESS : CL_INVALID_KERNEL;
    cl_kernel copy = e ? NULL : kernel_new(k->program, k->info, &e);
    if (copy) {
        pthread_mutex_lock(&k->lock);
        for (cl_uint i = 0; !e && i < k->info->nargs; i++) {
            struct kernel_arg *from = &k->args[i], *to = &copy->args[i];
            if (from->form == ARGUMENT_VALUE)
                e = arg_set_value(to, arg_bytes(from), from->size);
            else
                *to = *from;
            to->set = from->set;
        }
        pthread_mutex_unlock(&k->lock);
    }
    if (errcode_ret)
        *errcode_ret = e;
    return copy;
}

cl_int CL_API_CALL clRetainKernel(cl_kernel k)
{
    if (!object_is(k, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    object_ref(k);
    return CL_SUCCESS;
}

cl_int CL_API_CALL clReleaseKernel(cl_kernel k)
{
    if (!object_is(k, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (!object_unref(k))
        return CL_SUCCESS;
    struct link *l = link_current();
    if (l) {
        LINK_POST(l, kernel_destroy, .kernel = k->base.id);
        link_id_free(k->base.id);
    }
    for (cl_uint i = 0; i < k->info->nargs; i++)
        arg_clear(&k->args[i]);
    free(k->args);
    k->base.kind = 0;
    pthread_mutex_destroy(&k->lock);
    atomic_fetch_sub(&k->program->kernels_alive, 1);
    program_release(k->program);
    free(k);
    return CL_SUCCESS;
}

cl_int CL_API_CALL clGetKernelInfo(cl_kernel k, cl_kernel_info name, size_t size, void *value, size_t *size_ret)
{
    if (!object_is(k, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    switch (name) {
    case CL_KERNEL_FUNCTION_NAME: return INFO_STRING(k->info->name);
    case CL_KERNEL_NUM_ARGS: return INFO(cl_uint, k->info->nargs);
    case CL_KERNEL_REFERENCE_COUNT: return INFO(cl_uint, atomic_load(&k->base.refs));
    case CL_KERNEL_CONTEXT: return INFO(cl_context, k->program->context);
    case CL_KERNEL_PROGRAM: return INFO(cl_program, k->program);
    case CL_KERNEL_ATTRIBUTES: return INFO_STRING(k->info->attributes);
    default: return CL_INVALID_VALUE;
    }
}

/* What the kernel declares itself, plus the arguments set so far. */
static cl_ulong local_bytes(cl_kernel k)
{
    cl_ulong n = k->info->local_bytes;
    pthread_mutex_lock(&k->lock);
    for (cl_uint i = 0; i < k->info->nargs; i++)
        n += k->args[i].form == ARGUMENT_LOCAL ? k->args[i].size : 0;
    pthread_mutex_unlock(&k->lock);
    return n;
}

cl_int CL_API_CALL clGetKernelWorkGroupInfo(cl_kernel k, cl_device_id device, cl_kernel_work_group_info name, size_t size, void *value, size_t *size_ret)
{
    if (!object_is(k, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (device ? !object_is(device, KIND_DEVICE) || !context_has(k->program->context, device) : k->program->context->ndevices > 1)
        return CL_INVALID_DEVICE;
    switch (name) {
    case CL_KERNEL_WORK_GROUP_SIZE: return INFO(size_t, k->info->work_group);
    case CL_KERNEL_COMPILE_WORK_GROUP_SIZE: return info_put(k->info->compile_work_group, sizeof k->info->compile_work_group, size, value, size_ret);
    case CL_KERNEL_LOCAL_MEM_SIZE: return INFO(cl_ulong, local_bytes(k));
    case CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE: return INFO(size_t, k->info->preferred_multiple);
    case CL_KERNEL_PRIVATE_MEM_SIZE: return INFO(cl_ulong, k->info->private_bytes);
    default: return CL_INVALID_VALUE;
    }
}

cl_int CL_API_CALL clGetKernelArgInfo(cl_kernel k, cl_uint index, cl_kernel_arg_info name, size_t size, void *value, size_t *size_ret)
{
    if (!object_is(k, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (index >= k->info->nargs)
        return CL_INVALID_ARG_INDEX;
    if (!k->info->args_known || !k->program->arg_info)
        return CL_KERNEL_ARG_INFO_NOT_AVAILABLE;
    const struct kernel_arg_info *a = &k->info->args[index];
    switch (name) {
    case CL_KERNEL_ARG_ADDRESS_QUALIFIER: return INFO(cl_kernel_arg_address_qualifier, a->address);
    case CL_KERNEL_ARG_ACCESS_QUALIFIER: return INFO(cl_kernel_arg_access_qualifier, a->access);
    case CL_KERNEL_ARG_TYPE_NAME: return INFO_STRING(a->type);
    case CL_KERNEL_ARG_TYPE_QUALIFIER: return INFO(cl_kernel_arg_type_qualifier, a->qualifier);
    case CL_KERNEL_ARG_NAME: return INFO_STRING(a->name);
    default: return CL_INVALID_VALUE;
    }
}

/* Asked of the worker each time: the answers depend on sizes that the program chooses. */
cl_int CL_API_CALL clGetKernelSubGroupInfo(cl_kernel k, cl_device_id device, cl_kernel_sub_group_info name, size_t input_size, const void *input, size_t size,
                                           void *value, size_t *size_ret)
{
    struct wire_kernel_sub_groups_answer a = { 0 };
    const size_t most = 3 * sizeof(size_t);       /* of what any of these queries takes or gives */
    cl_uint groups = 0;
    void *buf = NULL;
    if (!object_is(k, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (device ? !object_is(device, KIND_DEVICE) || !context_has(k->program->context, device) : k->program->context->ndevices > 1)
        return CL_INVALID_DEVICE;
    clGetDeviceInfo(&the_device, CL_DEVICE_MAX_NUM_SUB_GROUPS, sizeof groups, &groups, NULL);
    if (!groups)
        return CL_INVALID_OPERATION;
    if (!link_current())
        return CL_OUT_OF_RESOURCES;
    if ((input_size == 0) != (input == NULL) || input_size > most)
        return CL_INVALID_VALUE;
    int r = LINK_CALL(link_current(), kernel_sub_groups, &a, &buf, .kernel = k->base.id, .device = device ? device->base.id : 0, .name = name,
                      .input = { input, (uint32_t)input_size }, .size = value && size < most ? size : most);
    cl_int e = r < 0 ? CL_OUT_OF_RESOURCES : a.error ? a.error : info_put(a.value.data, a.value.size, size, value, size_ret);
    free(buf);
    return e;
}

cl_int CL_API_CALL clGetKernelSubGroupInfoKHR(cl_kernel k, cl_device_id device, cl_kernel_sub_group_info name, size_t input_size, const void *input, size_t size,
                                              void *value, size_t *size_ret)
{
    return clGetKernelSubGroupInfo(k, device, name, input_size, input, size, value, size_ret);
}

/* ---- launches ---- */

static cl_int check_sizes(cl_kernel k, cl_uint dims, const size_t *global, const size_t *local)
{
    size_t group = 1, max[3] = { 0 };
    cl_uint max_dims = 3;
    clGetDeviceInfo(&the_device, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, sizeof max_dims, &max_dims, NULL);
    if (dims < 1 || dims > 3 || dims > max_dims)
        return CL_INVALID_WORK_DIMENSION;
    const size_t *fixed = k->info->compile_work_group;
    for (cl_uint i = dims; fixed[0] && i < 3; i++)
        if (fixed[i] != 1)
            return CL_INVALID_WORK_GROUP_SIZE;
    if (!local)
        return CL_SUCCESS;
    clGetDeviceInfo(&the_device, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof max, max, NULL);
    for (cl_uint i = 0; i < dims; i++) {
        if (local[i] == 0 || (fixed[0] && local[i] != fixed[i]))
            return CL_INVALID_WORK_GROUP_SIZE;
        if (max[i] && local[i] > max[i])
            return CL_INVALID_WORK_ITEM_SIZE;
        if (global && global[i] % local[i])
            return CL_INVALID_WORK_GROUP_SIZE;       /* non-uniform work-groups are not offered */
        if (__builtin_mul_overflow(group, local[i], &group))
            return CL_INVALID_WORK_GROUP_SIZE;
    }
    return k->info->work_group && group > k->info->work_group ? CL_INVALID_WORK_GROUP_SIZE : CL_SUCCESS;
}

/* The arguments as they are now. False when one was never set. */
static bool put_arguments(struct wire_out *out, cl_kernel k)
{
    bool all = true;
    pthread_mutex_lock(&k->lock);
    for (cl_uint i = 0; i < k->info->nargs; i++) {
        const struct kernel_arg *a = &k->args[i];
        all = all && a->set;
        wire_put_u32(out, a->form);
        wire_put_u32(out, a->size);
        if (a->form == ARGUMENT_VALUE)
            wire_put_bytes(out, arg_bytes(a), a->size);
        else if (a->form == ARGUMENT_MEM || a->form == ARGUMENT_SAMPLER || a->form == ARGUMENT_SVM)
            wire_put_u32(out, a->handle);
        if (a->form == ARGUMENT_SVM)
            wire_put_u64(out, a->value.offset);
    }
    pthread_mutex_unlock(&k->lock);
    return all;
}

static cl_int launch(cl_command_queue q, cl_kernel k, cl_uint dims, const size_t *offset, const size_t *global, const size_t *local, cl_uint nwait,
                     const cl_event *wait, cl_command_type type, cl_event *event)
{
    struct command c;
    uint8_t small[512];
    struct wire_out arguments = { small, 0, sizeof small, false, false };
    struct wire_ndrange m = { .kernel = k->base.id, .dimensions = dims, .flags = local != NULL };
    cl_int e = CL_SUCCESS;
    for (cl_uint i = 0; i < dims; i++) {
        m.offset[i] = offset ? offset[i] : 0;
        m.global[i] = global ? global[i] : 0;
        m.local[i] = local ? local[i] : 0;
        if (m.global[i] == 0)
            return queue_marker(q, type, nwait, wait, event);     /* OpenCL 2.1 and later: an empty range is a marker */
    }
    if (!put_arguments(&arguments, k))
        e = CL_INVALID_KERNEL_ARGS;
    if (!e && k->program->may_print && link_follow_output(link_current()) < 0)
        e = CL_OUT_OF_RESOURCES;
    if (!e) {
        m.arguments = (struct wire_blob){ arguments.buf, (uint32_t)arguments.len };
        command_begin(&c, nwait, wait);
        c.out.bad |= arguments.bad;
        wire_put_ndrange(&c.out, &m);
        e = command_push(&c, WIRE_OP_ndrange, q, type, event);
    }
    wire_out_done(&arguments);
    return e;
}

cl_int CL_API_CALL clEnqueueNDRangeKernel(cl_command_queue q, cl_kernel k, cl_uint dims, const size_t *offset, const size_t *global, const size_t *local,
                                          cl_uint nwait, const cl_event *wait, cl_event *event)
{
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (!object_is(k, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (k->program->context != q->context)
        return CL_INVALID_CONTEXT;
    if (!local && k->info->compile_work_group[0])
        local = k->info->compile_work_group;
    cl_int e = check_sizes(k, dims, global, local);
    if (!e)
        e = events_check(q->context, nwait, wait);
    return e ? e : launch(q, k, dims, offset, global, local, nwait, wait, CL_COMMAND_NDRANGE_KERNEL, event);
}

cl_int CL_API_CALL clEnqueueTask(cl_command_queue q, cl_kernel k, cl_uint nwait, const cl_event *wait, cl_event *event)
{
    const size_t one = 1;
    if (!object_is(q, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (!object_is(k, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (k->program->context != q->context)
        return CL_INVALID_CONTEXT;
    cl_int e = check_sizes(k, 1, &one, &one);
    if (!e)
        e = events_check(q->context, nwait, wait);
    return e ? e : launch(q, k, 1, NULL, &one, &one, nwait, wait, CL_COMMAND_TASK, event);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Samplers. */
#include "guest/opencl/guest.h"

#include <stdlib.h>
#include <string.h>

static cl_int check(cl_context context, cl_bool normalized, cl_addressing_mode addressing, cl_filter_mode filter)
{
    cl_bool images = CL_FALSE;
    if (!object_is(context, KIND_CONTEXT))
        return CL_INVALID_CONTEXT;
    clGetDeviceInfo(&the_device, CL_DEVICE_IMAGE_SUPPORT, sizeof images, &images, NULL);
    if (!images)
        return CL_INVALID_OPERATION;
    if (normalized > CL_TRUE || addressing < CL_ADDRESS_NONE || addressing > CL_ADDRESS_MIRRORED_REPEAT || (filter != CL_FILTER_NEAREST && filter != CL_FILTER_LINEAR))
        return CL_INVALID_VALUE;
    return CL_SUCCESS;
}

static cl_int sampler_open(cl_sampler s)
{
    struct wire_sampler_create_answer a = { 0 };
    void *buf = NULL;
    int r = LINK_CALL(link_current(), sampler_create, &a, &buf, .sampler = s->base.id, .normalized = s->normalized, .addressing = s->addressing,
                      .filter = s->filter);
    free(buf);
    return r < 0 ? CL_OUT_OF_RESOURCES : a.error;
}

static cl_sampler sampler_new(cl_context context, cl_bool normalized, cl_addressing_mode addressing, cl_filter_mode filter, cl_int *error)
{
    *error = check(context, normalized, addressing, filter);
    cl_sampler s = *error ? NULL : calloc(1, sizeof *s);
    if (!s) {
        *error = *error ? *error : CL_OUT_OF_HOST_MEMORY;
        return NULL;
    }
    object_init(&s->base, KIND_SAMPLER, link_id_new());
    s->context = context;
    s->normalized = normalized;
    s->addressing = addressing;
    s->filter = filter;
    *error = s->base.id ? sampler_open(s) : CL_OUT_OF_RESOURCES;
    if (!*error && !known_add(s)) {
        LINK_POST(link_current(), sampler_destroy, .sampler = s->base.id);
        *error = CL_OUT_OF_HOST_MEMORY;
    }
    if (*error) {
        link_id_free(s->base.id);
        free(s);
        return NULL;
    }
    object_ref(context);
    return s;
}

cl_sampler CL_API_CALL clCreateSampler(cl_context context, cl_bool normalized, cl_addressing_mode addressing, cl_filter_mode filter, cl_int *errcode_ret)
{
    cl_int e;
    cl_sampler s = sampler_new(context, normalized, addressing, filter, &e);
    if (errcode_ret)
        *errcode_ret = e;
    return s;
}

cl_sampler CL_API_CALL clCreateSamplerWithProperties(cl_context context, const cl_sampler_properties *list, cl_int *errcode_ret)
{
    cl_sampler_properties normalized = CL_TRUE, addressing = CL_ADDRESS_CLAMP, filter = CL_FILTER_NEAREST;
    size_t n = 0;
    cl_int e = CL_SUCCESS;
    for (; list && list[n]; n += 2) {
        cl_sampler_properties *value = list[n] == CL_SAMPLER_NORMALIZED_COORDS ? &normalized
                                     : list[n] == CL_SAMPLER_ADDRESSING_MODE   ? &addressing
                                     : list[n] == CL_SAMPLER_FILTER_MODE       ? &filter
                                                                               : NULL;
        for (size_t i = 0; i < n; i += 2)
            if (list[i] == list[n])
                value = NULL;
        if (!value)
            e = CL_INVALID_VALUE;
        else
            *value = list[n + 1];
    }
    cl_sampler s = e ? NULL : sampler_new(context, (cl_bool)normalized, (cl_addressing_mode)addressing, (cl_filter_mode)filter, &e);
    if (s && list && (s->properties = malloc((n + 1) * sizeof *list))) {
        memcpy(s->properties, list, (n + 1) * sizeof *list);
        s->nproperties = n + 1;
    }
    if (errcode_ret)
        *errcode_ret = e;
    return s;
}

cl_int CL_API_CALL clRetainSampler(cl_sampler s)
{
    if (!object_is(s, KIND_SAMPLER))
        return CL_INVALID_SAMPLER;
    object_ref(s);
    return CL_SUCCESS;
}

cl_int CL_API_CALL clReleaseSampler(cl_sampler s)
{
    struct link *l = link_current();
    if (!object_is(s, KIND_SAMPLER))
        return CL_INVALID_SAMPLER;
    if (!object_unref(s))
        return CL_SUCCESS;
    known_remove(s);
    if (l) {
        LINK_POST(l, sampler_destroy, .sampler = s->base.id);
        link_id_free(s->base.id);
    }
    s->base.kind = 0;
    context_release(s->context);
    free(s->properties);
    free(s);
    return CL_SUCCESS;
}

cl_int CL_API_CALL clGetSamplerInfo(cl_sampler s, cl_sampler_info name, size_t size, void *value, size_t *size_ret)
{
    if (!object_is(s, KIND_SAMPLER))
        return CL_INVALID_SAMPLER;
    switch (name) {
    case CL_SAMPLER_REFERENCE_COUNT: return INFO(cl_uint, atomic_load(&s->base.refs));
    case CL_SAMPLER_CONTEXT: return INFO(cl_context, s->context);
    case CL_SAMPLER_NORMALIZED_COORDS: return INFO(cl_bool, s->normalized);
    case CL_SAMPLER_ADDRESSING_MODE: return INFO(cl_addressing_mode, s->addressing);
    case CL_SAMPLER_FILTER_MODE: return INFO(cl_filter_mode, s->filter);
    case CL_SAMPLER_PROPERTIES: return info_put(s->properties, s->nproperties * sizeof *s->properties, size, value, size_ret);
    default: return CL_INVALID_VALUE;
    }
}

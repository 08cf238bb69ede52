/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts exist on this side only: the worker has one for all of them. */
#include "guest/opencl/guest.h"

#include <stdlib.h>
#include <string.h>

static cl_int check_properties(const cl_context_properties *p, size_t *ret_n)
{
    size_t n = 0;
    *ret_n = 0;
    if (!p)
        return CL_SUCCESS;
    for (; p[n]; n += 2) {
        for (size_t i = 0; i < n; i += 2)
            if (p[i] == p[n])
                return CL_INVALID_PROPERTY;
        if (p[n] == CL_CONTEXT_PLATFORM && !object_is((void *)p[n + 1], KIND_PLATFORM))
            return CL_INVALID_PLATFORM;
        if (p[n] == CL_CONTEXT_INTEROP_USER_SYNC ? p[n + 1] != CL_FALSE && p[n + 1] != CL_TRUE : p[n] != CL_CONTEXT_PLATFORM)
            return CL_INVALID_PROPERTY;
    }
    *ret_n = n + 1;
    return CL_SUCCESS;
}

bool context_has(cl_context c, cl_device_id device)
{
    for (cl_uint i = 0; i < c->ndevices; i++)
        if (c->devices[i] == device)
            return true;
    return false;
}

cl_int context_check_devices(cl_context c, cl_uint n, const cl_device_id *devices)
{
    if ((n == 0) != (devices == NULL))
        return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < n; i++)
        if (!object_is(devices[i], KIND_DEVICE) || !context_has(c, devices[i]))
            return CL_INVALID_DEVICE;
    return CL_SUCCESS;
}

/* Each once. */
static bool take_devices(cl_context c, cl_uint n, const cl_device_id *devices)
{
    if (!(c->devices = calloc(n, sizeof *devices)))
        return false;
    for (cl_uint i = 0; i < n; i++)
        if (!context_has(c, devices[i])) {
            device_ref(devices[i]);
            c->devices[c->ndevices++] = devices[i];
        }
    return true;
}

static cl_context context_new(const cl_context_properties *properties, cl_uint ndevices, const cl_device_id *devices, cl_int *error)
{
    size_t n;
    cl_int e = link_get() ? check_properties(properties, &n) : CL_OUT_OF_RESOURCES;
    cl_context c = e ? NULL : calloc(1, sizeof *c);
    if (c && ((n && !(c->properties = malloc(n * sizeof *properties))) || !take_devices(c, ndevices, devices))) {
        free(c->properties);
        free(c);
        c = NULL;
    }
    *error = e ? e : c ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    if (!c)
        return NULL;
    object_init(&c->base, KIND_CONTEXT, 0);
    c->nproperties = n;
    if (n)
        memcpy(c->properties, properties, n * sizeof *properties);
    return c;
}

cl_context CL_API_CALL clCreateContext(const cl_context_properties *properties, cl_uint n, const cl_device_id *devices,
                                       void (CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *user, cl_int *errcode_ret)
{
    cl_int e = CL_SUCCESS;
    cl_context c = NULL;
    if (n == 0 || !devices || (!notify && user))
        e = CL_INVALID_VALUE;
    for (cl_uint i = 0; !e && i < n; i++)
        if (!object_is(devices[i], KIND_DEVICE))
            e = CL_INVALID_DEVICE;
    if (!e)
        c = context_new(properties, n, devices, &e);
    if (errcode_ret)
        *errcode_ret = e;
    return c;
}

cl_context CL_API_CALL clCreateContextFromType(const cl_context_properties *properties, cl_device_type type,
                                               void (CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *user, cl_int *errcode_ret)
{
    cl_device_id device;
    cl_context c = NULL;
    cl_int e = !notify && user ? CL_INVALID_VALUE : clGetDeviceIDs(NULL, type, 1, &device, NULL);
    if (!e)
        c = context_new(properties, 1, &device, &e);
    if (errcode_ret)
        *errcode_ret = e;
    return c;
}

cl_int CL_API_CALL clRetainContext(cl_context c)
{
    if (!object_is(c, KIND_CONTEXT))
        return CL_INVALID_CONTEXT;
    object_ref(c);
    return CL_SUCCESS;
}

void context_release(cl_context c)
{
    if (!object_unref(c))
        return;
    destructors_run(c->destructors, c);
    c->base.kind = 0;
    for (cl_uint i = 0; i < c->ndevices; i++)
        device_release(c->devices[i]);
    free(c->devices);
    free(c->properties);
    free(c);
}

cl_int CL_API_CALL clReleaseContext(cl_context c)
{
    if (!object_is(c, KIND_CONTEXT))
        return CL_INVALID_CONTEXT;
    context_release(c);
    return CL_SUCCESS;
}

cl_int CL_API_CALL clSetContextDestructorCallback(cl_context c, void (CL_CALLBACK *call)(cl_context, void *), void *user)
{
    if (!object_is(c, KIND_CONTEXT))
        return CL_INVALID_CONTEXT;
    return call ? destructor_add(&c->destructors, (void (CL_CALLBACK *)(void *, void *))(void *)call, user) : CL_INVALID_VALUE;
}

cl_int CL_API_CALL clGetContextInfo(cl_context c, cl_context_info name, size_t size, void *value, size_t *size_ret)
{
    if (!object_is(c, KIND_CONTEXT))
        return CL_INVALID_CONTEXT;
    switch (name) {
    case CL_CONTEXT_REFERENCE_COUNT: return INFO(cl_uint, atomic_load(&c->base.refs));
    case CL_CONTEXT_NUM_DEVICES: return INFO(cl_uint, c->ndevices);
    case CL_CONTEXT_DEVICES: return info_put(c->devices, c->ndevices * sizeof *c->devices, size, value, size_ret);
    case CL_CONTEXT_PROPERTIES: return info_put(c->properties, c->nproperties * sizeof *c->properties, size, value, size_ret);
    default: return CL_INVALID_VALUE;
    }
}

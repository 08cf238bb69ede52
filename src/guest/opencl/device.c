/* SPDX-License-Identifier: Apache-2.0 */
/* The one platform and the one device: a share of a GPU, described by facts that the worker sent. */
#include "guest/opencl/guest.h"

#include <string.h>
#include <time.h>

struct _cl_platform_id the_platform;
struct _cl_device_id the_device;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void init(void)
{
    object_init(&the_platform.base, KIND_PLATFORM, 0);
    object_init(&the_device.base, KIND_DEVICE, 0);
}

__attribute__((visibility("default"))) cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint n, cl_platform_id *platforms, cl_uint *n_ret)
{
    if ((n == 0 && platforms) || (!platforms && !n_ret))
        return CL_INVALID_VALUE;
    pthread_once(&once, init);
    if (!link_get()) {
        if (n_ret)
            *n_ret = 0;
        return CL_PLATFORM_NOT_FOUND_KHR;
    }
    if (platforms)
        platforms[0] = &the_platform;
    if (n_ret)
        *n_ret = 1;
    return CL_SUCCESS;
}

cl_int CL_API_CALL clGetPlatformIDs(cl_uint n, cl_platform_id *platforms, cl_uint *n_ret) { return clIcdGetPlatformIDsKHR(n, platforms, n_ret); }

static cl_int fact_info(uint32_t space, uint32_t name, size_t size, void *value, size_t *size_ret)
{
    if (!link_get())
        return CL_OUT_OF_RESOURCES;
    const struct wire_blob *b = link_fact(space, name);
    return b ? info_put(b->data, b->size, size, value, size_ret) : CL_INVALID_VALUE;
}

cl_int CL_API_CALL clGetPlatformInfo(cl_platform_id platform, cl_platform_info name, size_t size, void *value, size_t *size_ret)
{
    if (!object_is(platform, KIND_PLATFORM))
        return CL_INVALID_PLATFORM;
    if (name == CL_PLATFORM_ICD_SUFFIX_KHR)
        return INFO_STRING("TRANCHE");
    return fact_info(0, name, size, value, size_ret);
}

static bool type_matches(cl_device_type asked)
{
    const struct wire_blob *b = link_fact(1, CL_DEVICE_TYPE);
    cl_device_type own = 0;
    if (b && b->size == sizeof own)
        memcpy(&own, b->data, sizeof own);
    return asked == CL_DEVICE_TYPE_ALL || (asked & (own | CL_DEVICE_TYPE_DEFAULT));
}

cl_int CL_API_CALL clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint n, cl_device_id *devices, cl_uint *n_ret)
{
    const cl_device_type known = CL_DEVICE_TYPE_DEFAULT | CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR | CL_DEVICE_TYPE_CUSTOM;
    if (platform && !object_is(platform, KIND_PLATFORM))
        return CL_INVALID_PLATFORM;
    if (type != CL_DEVICE_TYPE_ALL && (type & ~known || !type))
        return CL_INVALID_DEVICE_TYPE;
    if ((n == 0 && devices) || (!devices && !n_ret))
        return CL_INVALID_VALUE;
    if (n_ret)
        *n_ret = 0;
    if (!link_get() || !type_matches(type))
        return CL_DEVICE_NOT_FOUND;
    if (devices)
        devices[0] = &the_device;
    if (n_ret)
        *n_ret = 1;
    return CL_SUCCESS;
}

cl_int CL_API_CALL clGetDeviceInfo(cl_device_id device, cl_device_info name, size_t size, void *value, size_t *size_ret)
{
    if (!object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    switch (name) {
    case CL_DEVICE_PLATFORM: return INFO(cl_platform_id, &the_platform);
    case CL_DEVICE_PARENT_DEVICE: return INFO(cl_device_id, NULL);
    case CL_DEVICE_REFERENCE_COUNT: return INFO(cl_uint, 1);
    case CL_DEVICE_SVM_CAPABILITIES:
        if (link_current() && !link_current()->svm_arena)
            return INFO(cl_device_svm_capabilities, 0);
        return fact_info(1, name, size, value, size_ret);
    default: return fact_info(1, name, size, value, size_ret);
    }
}

/* A root device's reference count does not change (OpenCL 3.0, 4.3). */
cl_int CL_API_CALL clRetainDevice(cl_device_id device) { return object_is(device, KIND_DEVICE) ? CL_SUCCESS : CL_INVALID_DEVICE; }
cl_int CL_API_CALL clReleaseDevice(cl_device_id device) { return object_is(device, KIND_DEVICE) ? CL_SUCCESS : CL_INVALID_DEVICE; }

static cl_ulong host_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (cl_ulong)t.tv_sec * 1000000000u + (cl_ulong)t.tv_nsec;
}

cl_int CL_API_CALL clGetHostTimer(cl_device_id device, cl_ulong *host)
{
    if (!object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    if (!host)
        return CL_INVALID_VALUE;
    *host = host_time();
    return CL_SUCCESS;
}

cl_int CL_API_CALL clGetDeviceAndHostTimer(cl_device_id device, cl_ulong *device_time, cl_ulong *host)
{
    struct link *l = link_current();
    if (!object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    if (!device_time || !host)
        return CL_INVALID_VALUE;
    if (!l)
        return CL_OUT_OF_RESOURCES;
    *host = host_time();
    *device_time = *host + (cl_ulong)l->header->device_clock_minus_monotonic_ns;      /* link_device_now() at the same moment */
    return CL_SUCCESS;
}

cl_int CL_API_CALL clUnloadCompiler(void) { return CL_SUCCESS; }
cl_int CL_API_CALL clUnloadPlatformCompiler(cl_platform_id platform) { return object_is(platform, KIND_PLATFORM) ? CL_SUCCESS : CL_INVALID_PLATFORM; }

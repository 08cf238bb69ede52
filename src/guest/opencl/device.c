/* SPDX-License-Identifier: Apache-2.0 */
/* The one platform and the one device: a share of a GPU, described by facts that the worker sent. */
#include "guest/opencl/guest.h"

#include <stdlib.h>
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

/* What the worker said of a sub-device alone; NULL where it is like the whole. */
static bool part_fact(cl_device_id d, cl_device_info name, struct wire_blob *ret)
{
    struct wire_in in = { d->facts.data, d->facts.size, 0, false };
    while (in.pos < in.len && !in.bad) {
        uint32_t n;
        wire_get_u32(&in, &n);
        wire_get_blob(&in, ret);
        if (n == name && !in.bad)
            return true;
    }
    return false;
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
    struct wire_blob own;
    if (!object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    switch (name) {
    case CL_DEVICE_PLATFORM: return INFO(cl_platform_id, &the_platform);
    case CL_DEVICE_PARENT_DEVICE: return INFO(cl_device_id, device->parent);
    case CL_DEVICE_REFERENCE_COUNT: return INFO(cl_uint, device->parent ? atomic_load(&device->base.refs) : 1);
    case CL_DEVICE_SVM_CAPABILITIES:
        if (link_current() && !link_current()->svm_arena)
            return INFO(cl_device_svm_capabilities, 0);
        return fact_info(1, name, size, value, size_ret);
    default:
        if (device->parent && part_fact(device, name, &own))
            return info_put(own.data, own.size, size, value, size_ret);
        return fact_info(1, name, size, value, size_ret);
    }
}

void device_ref(cl_device_id d)
{
    if (d->parent)
        object_ref(d);
}

/* Sub-devices end with their last reference, and hold their parent. */
void device_release(cl_device_id d)
{
    while (d->parent && object_unref(d)) {
        struct link *l = link_current();
        cl_device_id parent = d->parent;
        if (l) {
            LINK_POST(l, device_release, .device = d->base.id);
            link_id_free(d->base.id);
        }
        d->base.kind = 0;
        free(d->owner);
        free(d);
        d = parent;
    }
}

/* A root device's reference count does not change (OpenCL 3.0, 4.3). */
cl_int CL_API_CALL clRetainDevice(cl_device_id device)
{
    if (!object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    device_ref(device);
    return CL_SUCCESS;
}

cl_int CL_API_CALL clReleaseDevice(cl_device_id device)
{
    if (!object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    device_release(device);
    return CL_SUCCESS;
}

/* ---- sub-devices ---- */

/* The list's bytes without the zero that ends it, which stands behind the list of counts' own zero. */
static size_t properties_size(const cl_device_partition_property *p)
{
    size_t n = 1;
    while (p[n])
        n++;
    return n * sizeof *p;
}

static cl_device_id part_new(cl_device_id parent, uint32_t id, const struct wire_blob *facts)
{
    cl_device_id d = calloc(1, sizeof *d);
    if (!d || !(d->owner = malloc(facts->size + 1))) {
        free(d);
        return NULL;
    }
    object_init(&d->base, KIND_DEVICE, id);
    d->parent = parent;
    d->facts = (struct wire_blob){ d->owner, facts->size };
    if (facts->size)
        memcpy(d->owner, facts->data, facts->size);
    device_ref(parent);
    return d;
}

/* Takes `count` devices out of the worker's answer; all or none. */
static cl_int parts_read(cl_device_id parent, const struct wire_blob *facts, cl_uint count, const uint32_t *ids, cl_device_id *devices)
{
    struct wire_in in = { facts->data, facts->size, 0, false };
    for (cl_uint i = 0; i < count; i++) {
        struct wire_blob one;
        wire_get_blob(&in, &one);
        if (in.bad || !(devices[i] = part_new(parent, ids[i], &one))) {
            while (i)
                device_release(devices[--i]);
            return CL_OUT_OF_HOST_MEMORY;
        }
    }
    return CL_SUCCESS;
}

static cl_int partition(cl_device_id d, const cl_device_partition_property *properties, const uint32_t *ids, cl_uint nids, cl_uint *ret_count, cl_device_id *devices)
{
    struct wire_device_partition_answer a = { 0 };
    void *buf = NULL;
    int r = LINK_CALL(link_current(), device_partition, &a, &buf, .parent = d->base.id, .properties = { properties, (uint32_t)properties_size(properties) },
                      .devices = { ids, (uint32_t)(nids * sizeof *ids) });
    cl_int e = r < 0 ? CL_OUT_OF_RESOURCES : a.error;
    if (!e && devices)
        e = a.count == nids ? parts_read(d, &a.facts, a.count, ids, devices) : CL_DEVICE_PARTITION_FAILED;
    if (!e)
        *ret_count = a.count;
    free(buf);
    return e;
}

cl_int CL_API_CALL clCreateSubDevices(cl_device_id d, const cl_device_partition_property *properties, cl_uint n, cl_device_id *devices, cl_uint *n_ret)
{
    cl_uint count = 0, most = 0;
    if (!object_is(d, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    clGetDeviceInfo(d, CL_DEVICE_PARTITION_MAX_SUB_DEVICES, sizeof most, &most, NULL);
    if (!properties || !properties[0] || (n == 0) != (devices == NULL))
        return CL_INVALID_VALUE;
    if (most < 2)
        return CL_DEVICE_PARTITION_FAILED;
    cl_int e = link_current() ? partition(d, properties, NULL, 0, &count, NULL) : CL_OUT_OF_RESOURCES;
    if (!e && devices && n < count)
        e = CL_INVALID_VALUE;
    uint32_t *ids = !e && devices ? calloc(count + 1, sizeof *ids) : NULL;
    if (!e && devices && !ids)
        e = CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; !e && devices && i < count; i++)
        if (!(ids[i] = link_id_new()))
            e = CL_OUT_OF_RESOURCES;
    if (!e && devices && count)
        e = partition(d, properties, ids, count, &count, devices);
    for (cl_uint i = 0; e && ids && i < count; i++)
        link_id_free(ids[i]);
    free(ids);
    if (!e && n_ret)
        *n_ret = count;
    return e;
}

/* ---- timers ---- */

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

/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the real OpenCL driver: the named platform's device, or for MIG on a stand-in GPU the sub-device of the share's cores. */
#include "worker/ahead.h"

#include "base/cleanup.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static int find_platform(const char *name, cl_platform_id *ret, struct error *err)
{
    cl_platform_id list[16];
    cl_uint n = 0;
    cl_int e = clGetPlatformIDs(ARRAY_LEN(list), list, &n);
    for (cl_uint i = 0; e == CL_SUCCESS && i < MIN(n, (cl_uint)ARRAY_LEN(list)); i++) {
        char text[256] = "";
        clGetPlatformInfo(list[i], CL_PLATFORM_NAME, sizeof text, text, NULL);
        if (strcmp(text, name) == 0) {
            *ret = list[i];
            return 0;
        }
    }
    return error_set(err, -ENODEV, "OpenCL platform '%s' is not there (error %d)", name, e);
}

/* "2" or "2-3": the first core and how many. */
static bool parse_cores(const char *text, cl_uint *ret_first, cl_uint *ret_n)
{
    unsigned first, last;
    int used = 0;
    if (sscanf(text, "%u-%u%n", &first, &last, &used) != 2 || text[used]) {
        if (sscanf(text, "%u%n", &first, &used) != 1 || text[used])
            return false;
        last = first;
    }
    if (last < first || last >= CPU_SETSIZE)
        return false;
    *ret_first = first;
    *ret_n = last - first + 1;
    return true;
}

static int partition(struct driver *d, const char *cores, struct error *err)
{
    cl_uint first, n, units = 0, made = 0;
    cl_device_id subs[2];
    cl_device_partition_property by[5] = { CL_DEVICE_PARTITION_BY_COUNTS };
    int at = 1;
    if (!parse_cores(cores, &first, &n))
        return error_set(err, -EINVAL, "'%s' is not a range of cores", cores);
    clGetDeviceInfo(d->device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
    if (first == 0 && n == units)
        return 0;
    if (first)
        by[at++] = (cl_device_partition_property)first;
    by[at++] = (cl_device_partition_property)n;
    by[at++] = CL_DEVICE_PARTITION_BY_COUNTS_LIST_END;
    cl_int e = clCreateSubDevices(d->device, by, ARRAY_LEN(subs), subs, &made);
    if (e != CL_SUCCESS || made == 0)
        return error_set(err, -ENODEV, "partition cores %s of %u: OpenCL error %d", cores, units, e);
    d->device = subs[made - 1];
    return 0;
}

/* Whether a kernel's stores to a CL_MEM_USE_HOST_PTR buffer are the memory itself: the device says it is unified, and a map gives the pointer back. */
static bool is_unified(struct driver *d)
{
    static _Alignas(4096) char page[4096];
    cl_bool unified = CL_FALSE;
    cl_int e;
    clGetDeviceInfo(d->device, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof unified, &unified, NULL);
    if (!unified)
        return false;
    cl_mem m = clCreateBuffer(d->context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, sizeof page, page, &e);
    cl_command_queue q = clCreateCommandQueueWithProperties(d->context, d->device, NULL, &e);
    bool ok = false;
    if (m && q) {
        const char pattern = 0x5a;
        /* Without a map in between: what the device writes must be seen here at once. */
        ok = clEnqueueFillBuffer(q, m, &pattern, 1, 0, sizeof page, 0, NULL, NULL) == CL_SUCCESS && clFinish(q) == CL_SUCCESS && page[0] == pattern &&
             page[sizeof page - 1] == pattern;
        d->compiles_ahead = ok && ahead_is_possible(d->context, q, m, page);
    }
    if (q)
        clReleaseCommandQueue(q);
    if (m)
        clReleaseMemObject(m);
    return ok;
}

/* The device's shared virtual memory as far as a share carries it: where kernels may follow any pointer of this process into the region, because the
 * device says so (fine-grain system) or is the processor itself. Tried with one fill. */
static cl_device_svm_capabilities svm_capabilities(struct driver *d)
{
    static _Alignas(4096) char page[4096];
    const char pattern = 0x5a;
    cl_device_svm_capabilities caps = 0;
    cl_device_type type = 0;
    cl_int e;
    clGetDeviceInfo(d->device, CL_DEVICE_SVM_CAPABILITIES, sizeof caps, &caps, NULL);
    clGetDeviceInfo(d->device, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    if (!d->unified || !(type & CL_DEVICE_TYPE_CPU || caps & CL_DEVICE_SVM_FINE_GRAIN_SYSTEM))
        return 0;
    cl_command_queue q = clCreateCommandQueueWithProperties(d->context, d->device, NULL, &e);
    if (!q)
        return 0;
    bool ok = clEnqueueSVMMemFill(q, page, &pattern, 1, sizeof page, 0, NULL, NULL) == CL_SUCCESS && clFinish(q) == CL_SUCCESS && page[0] == pattern &&
              page[sizeof page - 1] == pattern;
    clReleaseCommandQueue(q);
    return ok ? caps & (CL_DEVICE_SVM_COARSE_GRAIN_BUFFER | CL_DEVICE_SVM_FINE_GRAIN_BUFFER | CL_DEVICE_SVM_ATOMICS) : 0;
}

/* Clients divide their device as the driver does, and every queue belongs to the worker's one context: does the driver allow that for a sub-device? */
static cl_uint parts_max(struct driver *d)
{
    const cl_device_partition_property halves[] = { CL_DEVICE_PARTITION_EQUALLY, (cl_device_partition_property)MAX(d->compute_units / 2, 1u), 0 };
    cl_device_id parts[4];
    cl_uint most = 0, n = 0;
    cl_int e = CL_SUCCESS;
    clGetDeviceInfo(d->device, CL_DEVICE_PARTITION_MAX_SUB_DEVICES, sizeof most, &most, NULL);
    if (most < 2 || clCreateSubDevices(d->device, halves, ARRAY_LEN(parts), parts, &n) != CL_SUCCESS)
        return 0;
    cl_command_queue q = clCreateCommandQueueWithProperties(d->context, parts[0], NULL, &e);
    if (q)
        clReleaseCommandQueue(q);
    for (cl_uint i = 0; i < n; i++)
        clReleaseDevice(parts[i]);
    return q ? most : 0;
}

int driver_open(struct driver *d, const struct options *o, struct error *err)
{
    cl_device_id list[64];
    cl_device_type type = 0;
    cl_uint n = 0, align_bits = 0;
    cl_int e;
    int r = find_platform(o->platform, &d->platform, err);
    if (r < 0)
        return r;
    e = clGetDeviceIDs(d->platform, CL_DEVICE_TYPE_ALL, ARRAY_LEN(list), list, &n);
    if (e != CL_SUCCESS || o->device >= MIN(n, (cl_uint)ARRAY_LEN(list)))
        return error_set(err, -ENODEV, "device %u of OpenCL platform '%s' is not there (error %d)", o->device, o->platform, e);
    d->device = list[o->device];
    if (o->cores && (r = partition(d, o->cores, err)) < 0)
        return r;
    cl_context_properties properties[] = { CL_CONTEXT_PLATFORM, (cl_context_properties)d->platform, 0 };
    d->context = clCreateContext(properties, 1, &d->device, NULL, NULL, &e);
    if (!d->context)
        return error_set(err, -EIO, "OpenCL context: error %d", e);
    clGetDeviceInfo(d->device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof d->max_alloc, &d->max_alloc, NULL);
    clGetDeviceInfo(d->device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof align_bits, &align_bits, NULL);
    clGetDeviceInfo(d->device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof d->compute_units, &d->compute_units, NULL);
    clGetDeviceInfo(d->device, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    d->on_cpus = type & CL_DEVICE_TYPE_CPU;
    d->max_alloc = MIN(d->max_alloc, (cl_ulong)o->memory_bytes);
    d->base_align = MAX(align_bits / 8, 1u);
    d->unified = !o->staged && is_unified(d);
    d->svm = svm_capabilities(d);
    d->parts_max = parts_max(d);
    return 0;
}

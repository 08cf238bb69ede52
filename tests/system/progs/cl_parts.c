/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: sub-devices, with contexts, queues and programs on them. */
#include "cl_check.h"

#define UINT(d, what) ({ cl_uint uint_ = 0; CL(clGetDeviceInfo(d, what, sizeof uint_, &uint_, NULL)); uint_; })

static cl_uint units(cl_device_id d) { return UINT(d, CL_DEVICE_MAX_COMPUTE_UNITS); }

/* False on a device that cannot be divided: one processor. */
static bool divides(void) { return UINT(device, CL_DEVICE_PARTITION_MAX_SUB_DEVICES) >= 2 && units(device) >= 2; }

static cl_device_id half(void)
{
    cl_device_partition_property counts[] = { CL_DEVICE_PARTITION_BY_COUNTS, units(device) / 2, CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0 };
    cl_device_id d = NULL;
    cl_uint n = 0;
    CL(clCreateSubDevices(device, counts, 1, &d, &n));
    CHECK(n == 1 && d && d != device);
    return d;
}

static void equally(void)
{
    const cl_device_partition_property ones[] = { CL_DEVICE_PARTITION_EQUALLY, 1, 0 };
    cl_device_id list[256], parent;
    cl_uint n = 0, again = 0;
    cl_device_partition_property type[8] = { 0 };
    size_t size;
    if (!divides())
        return;
    CL(clCreateSubDevices(device, ones, 0, NULL, &n));
    SEE("parts", n, "%u");
    CHECK(n == units(device));
    CL(clCreateSubDevices(device, ones, 256, list, &again));
    CHECK(n == again);
    for (cl_uint i = 0; i < n; i++) {
        CHECK(units(list[i]) == 1 && (i == 0 || list[i] != list[i - 1]));
        CL(clGetDeviceInfo(list[i], CL_DEVICE_PARENT_DEVICE, sizeof parent, &parent, NULL));
        CHECK(parent == device);
        CL(clGetDeviceInfo(list[i], CL_DEVICE_PARTITION_TYPE, sizeof type, type, &size));
        CHECK(size >= 2 * sizeof *type && type[0] == CL_DEVICE_PARTITION_EQUALLY && type[1] == 1);
        SEE("bytes of the type", size, "%zu");
        SEE("parts of a part", UINT(list[i], CL_DEVICE_PARTITION_MAX_SUB_DEVICES), "%u");
        CHECK(UINT(list[i], CL_DEVICE_REFERENCE_COUNT) == 1);
        CL(clReleaseDevice(list[i]));
    }
    CL(clGetDeviceInfo(device, CL_DEVICE_PARENT_DEVICE, sizeof parent, &parent, NULL));
    CHECK(parent == NULL);
}

static void by_counts(void)
{
    cl_device_partition_property counts[] = { CL_DEVICE_PARTITION_BY_COUNTS, units(device) - 1, 1, CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0 };
    cl_device_id list[2];
    cl_uint n = 0;
    if (!divides())
        return;
    CL(clCreateSubDevices(device, counts, 2, list, &n));
    CHECK(n == 2 && units(list[0]) == units(device) - 1 && units(list[1]) == 1);
    CL(clReleaseDevice(list[0]));
    CL(clReleaseDevice(list[1]));
}

static void what_cannot_be_divided(void)
{
    const cl_device_partition_property none[] = { 0 }, unknown[] = { 0x4242, 1, 0 }, zero[] = { CL_DEVICE_PARTITION_EQUALLY, 0, 0 },
        much[] = { CL_DEVICE_PARTITION_EQUALLY, units(device) + 1, 0 }, one[] = { CL_DEVICE_PARTITION_EQUALLY, 1, 0 },
        too_many[] = { CL_DEVICE_PARTITION_BY_COUNTS, units(device), 1, 0, 0 }, no_counts[] = { CL_DEVICE_PARTITION_BY_COUNTS, 0, 0 };
    cl_device_id list[1];
    cl_uint n;
    if (!divides())
        return;
    EXPECT(CL_INVALID_DEVICE, clCreateSubDevices(NULL, one, 0, NULL, &n));
    EXPECT(CL_INVALID_VALUE, clCreateSubDevices(device, NULL, 0, NULL, &n));
    EXPECT(CL_INVALID_VALUE, clCreateSubDevices(device, none, 0, NULL, &n));
    EXPECT(CL_INVALID_VALUE, clCreateSubDevices(device, unknown, 0, NULL, &n));
    EXPECT(CL_INVALID_VALUE, clCreateSubDevices(device, zero, 0, NULL, &n));
    EXPECT(CL_INVALID_VALUE, clCreateSubDevices(device, much, 0, NULL, &n));
    EXPECT(CL_INVALID_VALUE, clCreateSubDevices(device, one, 1, list, &n));
    EXPECT(CL_INVALID_VALUE, clCreateSubDevices(device, one, 0, list, &n));
    EXPECT(CL_INVALID_DEVICE_PARTITION_COUNT, clCreateSubDevices(device, too_many, 0, NULL, &n));
    EXPECT(CL_INVALID_DEVICE_PARTITION_COUNT, clCreateSubDevices(device, no_counts, 0, NULL, &n));
}

static void references(void)
{
    if (!divides())
        return;
    cl_device_id d = half();
    CL(clRetainDevice(d));
    CHECK(UINT(d, CL_DEVICE_REFERENCE_COUNT) == 2);
    CL(clReleaseDevice(d));
    CHECK(UINT(d, CL_DEVICE_REFERENCE_COUNT) == 1);
    CHECK(UINT(device, CL_DEVICE_REFERENCE_COUNT) == 1);
    CL(clReleaseDevice(d));
}

/* Builds and runs in a context of these devices, on the queue's device. */
static void compute(cl_uint n, const cl_device_id *devices, cl_device_id on)
{
    int data[256] = { 0 };
    size_t items = 256;
    cl_device_id found[4];
    cl_uint count = 0;
    cl_context c = MAKE(clCreateContext(NULL, n, devices, NULL, NULL, &error_));
    CL(clGetContextInfo(c, CL_CONTEXT_NUM_DEVICES, sizeof count, &count, NULL));
    CL(clGetContextInfo(c, CL_CONTEXT_DEVICES, sizeof found, found, NULL));
    CHECK(!on_share || (count == n && memcmp(found, devices, n * sizeof *devices) == 0), "PoCL names the whole device instead");
    cl_command_queue q = MAKE(clCreateCommandQueue(c, on, 0, &error_));
    CL(clGetCommandQueueInfo(q, CL_QUEUE_DEVICE, sizeof *found, found, NULL));
    CHECK(found[0] == on);
    const char *text = "kernel void triple(global int *x) { size_t i = get_global_id(0); x[i] = 3 * x[i] + i; }";
    cl_program p = MAKE(clCreateProgramWithSource(c, 1, &text, NULL, &error_));
    CL(clBuildProgram(p, n, devices, NULL, NULL, NULL));
    CL(clGetProgramInfo(p, CL_PROGRAM_NUM_DEVICES, sizeof count, &count, NULL));
    CL(clGetProgramInfo(p, CL_PROGRAM_DEVICES, sizeof found, found, NULL));
    CHECK(!on_share || (count == n && memcmp(found, devices, n * sizeof *devices) == 0), "PoCL names the whole device instead");
    cl_kernel k = MAKE(clCreateKernel(p, "triple", &error_));
    cl_mem m = MAKE(clCreateBuffer(c, CL_MEM_COPY_HOST_PTR, sizeof data, data, &error_));
    CL(clSetKernelArg(k, 0, ARG(m)));
    for (int i = 0; i < 3; i++)
        CL(clEnqueueNDRangeKernel(q, k, 1, NULL, &items, NULL, 0, NULL, NULL));
    CL(clEnqueueReadBuffer(q, m, CL_TRUE, 0, sizeof data, data, 0, NULL, NULL));
    for (int i = 0; i < 256; i++)
        CHECK(data[i] == 13 * i, "%d: %d", i, data[i]);
    CL(clReleaseMemObject(m));
    CL(clReleaseKernel(k));
    CL(clReleaseProgram(p));
    CL(clReleaseCommandQueue(q));
    CL(clReleaseContext(c));
}

static void contexts_and_queues(void)
{
    const cl_device_partition_property ones[] = { CL_DEVICE_PARTITION_EQUALLY, 1, 0 };
    cl_device_id list[256];
    cl_uint n = 0;
    if (!divides())
        return;
    CL(clCreateSubDevices(device, ones, 256, list, &n));
    for (cl_uint i = 0; i < n && i < 4; i++)
        compute(1, &list[i], list[i]);
    compute(2, list, list[1]);
    cl_device_id both[2] = { device, list[0] };
    compute(2, both, list[0]);
    compute(2, both, device);
    for (cl_uint i = 0; i < n; i++)
        CL(clReleaseDevice(list[i]));
}

static void two_parts_at_once(void)
{
    const cl_device_partition_property ones[] = { CL_DEVICE_PARTITION_EQUALLY, 1, 0 };
    cl_device_id list[256];
    cl_uint n = 0, rounds = 3000000;
    cl_command_queue q[2];
    cl_event done[2];
    if (!divides())
        return;
    CL(clCreateSubDevices(device, ones, 256, list, &n));
    cl_context c = MAKE(clCreateContext(NULL, 2, list, NULL, NULL, &error_));
    cl_program p = MAKE(clCreateProgramWithSource(c, 1, &(const char *){ "kernel void slow(global uint *x, uint rounds) {\n"
        "uint v = x[get_global_id(0)]; for (uint i = 0; i < rounds; i++) v = v * 1664525u + 1013904223u; x[get_global_id(0)] = v; }" }, NULL, &error_));
    CL(clBuildProgram(p, 0, NULL, NULL, NULL, NULL));
    for (int i = 0; i < 2; i++) {
        cl_mem m = MAKE(clCreateBuffer(c, 0, 64, NULL, &error_));
        cl_kernel k = MAKE(clCreateKernel(p, "slow", &error_));
        CL(clSetKernelArg(k, 0, ARG(m)));
        CL(clSetKernelArg(k, 1, ARG(rounds)));
        q[i] = MAKE(clCreateCommandQueue(c, list[i], CL_QUEUE_PROFILING_ENABLE, &error_));
        CL(clEnqueueNDRangeKernel(q[i], k, 1, NULL, &(size_t){ 16 }, NULL, 0, NULL, &done[i]));
        CL(clFlush(q[i]));
    }
    CL(clWaitForEvents(2, done));
    CHECK(status_of(done[0]) == CL_COMPLETE && status_of(done[1]) == CL_COMPLETE);
    for (int i = 0; i < 2; i++)
        CL(clFinish(q[i]));
}

static void strangers(void)
{
    if (!divides())
        return;
    cl_device_id d = half();
    cl_context c = MAKE(clCreateContext(NULL, 1, &d, NULL, NULL, &error_));
    cl_program p = MAKE(clCreateProgramWithSource(c, 1, &(const char *){ "kernel void f() { }" }, NULL, &error_));
    if (on_share) {
        REFUSED(CL_INVALID_DEVICE, clCreateCommandQueue(c, device, 0, &error_));
        EXPECT(CL_INVALID_DEVICE, clBuildProgram(p, 1, &device, NULL, NULL, NULL));
        EXPECT(CL_INVALID_DEVICE, clGetProgramBuildInfo(p, device, CL_PROGRAM_BUILD_STATUS, 0, NULL, NULL));
    }
    CL(clReleaseProgram(p));
    CL(clReleaseContext(c));
    CL(clReleaseDevice(d));
}

static const struct check list[] = {
    { "equally", equally },
    { "by_counts", by_counts },
    { "what_cannot_be_divided", what_cannot_be_divided },
    { "references", references },
    { "contexts_and_queues", contexts_and_queues },
    { "two_parts_at_once", two_parts_at_once },
    { "strangers", strangers },
};
GROUP(parts, list);

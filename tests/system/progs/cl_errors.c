/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: what every call answers to arguments that make no sense. SAME: compared with the native driver. OURS: what the specification says where
 * the native driver differs or crashes (PoCL follows null pointers of every argument but the first). */
#include "cl_check.h"

#define SAME(call) see("%s: %s", #call, error_name(call))
#define SAME_MAKE(call) ({ cl_int error_ = 1; void *object_ = (void *)(call); see("%s: %s%s", #call, error_name(error_), object_ ? " and an object" : ""); })
#define OURS(code, call) ({ if (on_share) EXPECT(code, call); })
#define OURS_MAKE(code, call) ({ if (on_share) REFUSED(code, call); })

static char data[256];
static size_t bytes;
static cl_uint number;

static void platforms_and_devices(void)
{
    cl_platform_id platforms[2];
    cl_device_id devices[2];
    cl_ulong t;
    SAME(clGetPlatformIDs(0, platforms, NULL));
    SAME(clGetPlatformIDs(0, NULL, NULL));
    SAME(clGetPlatformInfo(platform, 0x4242, sizeof data, data, NULL));
    SAME(clGetPlatformInfo(platform, CL_PLATFORM_NAME, 1, data, NULL));
    SAME(clGetPlatformInfo(platform, CL_PLATFORM_NAME, 0, NULL, &bytes));
    SAME(clGetDeviceIDs(platform, 0, 1, devices, NULL));
    SAME(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, devices, NULL));
    SAME(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, NULL));
    SAME(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 2, devices, &number));
    SEE("devices", number, "%u");
    SAME(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ACCELERATOR, 1, devices, &number));
    SAME(clGetDeviceIDs(platform, CL_DEVICE_TYPE_DEFAULT, 1, devices, &number));
    SAME(clGetDeviceInfo(device, 0x4242, sizeof data, data, NULL));
    SAME(clGetDeviceInfo(device, CL_DEVICE_NAME, 1, data, NULL));
    SAME(clGetDeviceInfo(NULL, CL_DEVICE_NAME, sizeof data, data, NULL));
    SAME(clRetainDevice(NULL));
    SAME(clRetainDevice(device));
    SAME(clReleaseDevice(device));
    OURS(CL_INVALID_VALUE, clGetHostTimer(device, NULL));
    OURS(CL_INVALID_VALUE, clGetDeviceAndHostTimer(device, &t, NULL));
}

static void contexts(void)
{
    static const cl_context_properties unknown[] = { 0x4242, 0, 0 };
    const cl_context_properties good[] = { CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0 };
    cl_device_id none = NULL;
    SAME_MAKE(clCreateContext(NULL, 0, &device, NULL, NULL, &error_));
    SAME_MAKE(clCreateContext(NULL, 1, NULL, NULL, NULL, &error_));
    SAME_MAKE(clCreateContext(unknown, 1, &device, NULL, NULL, &error_));
    SAME_MAKE(clCreateContext(good, 1, &device, NULL, NULL, &error_));
    SAME_MAKE(clCreateContext(NULL, 1, &device, NULL, data, &error_));
    SAME_MAKE(clCreateContextFromType(good, CL_DEVICE_TYPE_ALL, NULL, NULL, &error_));
    SAME_MAKE(clCreateContextFromType(good, CL_DEVICE_TYPE_ACCELERATOR, NULL, NULL, &error_));
    OURS_MAKE(CL_INVALID_DEVICE, clCreateContext(NULL, 1, &none, NULL, NULL, &error_));
    SAME(clRetainContext(NULL));
    SAME(clReleaseContext(NULL));
    SAME(clGetContextInfo(NULL, CL_CONTEXT_DEVICES, sizeof data, data, NULL));
    SAME(clGetContextInfo(context, 0x4242, sizeof data, data, NULL));
    SAME(clGetContextInfo(context, CL_CONTEXT_DEVICES, 1, data, NULL));
    SAME(clGetContextInfo(context, CL_CONTEXT_DEVICES, 0, NULL, &bytes));
    SEE("bytes of devices", bytes, "%zu");
    OURS(CL_INVALID_VALUE, clSetContextDestructorCallback(context, NULL, NULL));
    OURS(CL_INVALID_CONTEXT, clSetContextDestructorCallback(NULL, NULL, NULL));
    OURS_MAKE(CL_INVALID_PROPERTY, clCreateContext((cl_context_properties[]){ CL_CONTEXT_INTEROP_USER_SYNC, 2, 0 }, 1, &device, NULL, NULL, &error_));
}

static void queues(void)
{
    static const cl_queue_properties unknown[] = { 0x4242, 0, 0 }, on_device[] = { CL_QUEUE_PROPERTIES, CL_QUEUE_ON_DEVICE | CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, 0 };
    SAME_MAKE(clCreateCommandQueue(NULL, device, 0, &error_));
    SAME_MAKE(clCreateCommandQueue(context, NULL, 0, &error_));
    SAME_MAKE(clCreateCommandQueue(context, device, 0x8000, &error_));
    SAME_MAKE(clCreateCommandQueueWithProperties(NULL, device, NULL, &error_));
    SAME_MAKE(clCreateCommandQueueWithProperties(context, NULL, NULL, &error_));
    SAME_MAKE(clCreateCommandQueueWithProperties(context, device, unknown, &error_));
    OURS_MAKE(CL_INVALID_QUEUE_PROPERTIES, clCreateCommandQueueWithProperties(context, device, on_device, &error_));
    SAME(clRetainCommandQueue(NULL));
    SAME(clReleaseCommandQueue(NULL));
    SAME(clGetCommandQueueInfo(NULL, CL_QUEUE_CONTEXT, sizeof data, data, NULL));
    SAME(clGetCommandQueueInfo(queue, 0x4242, sizeof data, data, NULL));
    SAME(clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, 1, data, NULL));
    SAME(clFlush(NULL));
    SAME(clFinish(NULL));
    OURS(CL_INVALID_OPERATION, clSetDefaultDeviceCommandQueue(context, device, queue));
    OURS(CL_INVALID_OPERATION, clSetDefaultDeviceCommandQueue(context, device, NULL));
    OURS(CL_INVALID_COMMAND_QUEUE, clGetCommandQueueInfo(queue, CL_QUEUE_SIZE, sizeof data, data, NULL));
}

static void memory(void)
{
    cl_mem m = buffer(4096);
    cl_buffer_region r = { 0, 64 };
    SAME_MAKE(clCreateBuffer(NULL, 0, 64, NULL, &error_));
    SAME_MAKE(clCreateBuffer(context, (cl_mem_flags)1 << 40, 64, NULL, &error_));
    SAME_MAKE(clCreateBuffer(context, 0, 0, NULL, &error_));
    SAME_MAKE(clCreateBufferWithProperties(NULL, NULL, 0, 64, NULL, &error_));
    SAME_MAKE(clCreateBufferWithProperties(context, NULL, 0, 64, NULL, &error_));
    SAME_MAKE(clCreateSubBuffer(NULL, 0, CL_BUFFER_CREATE_TYPE_REGION, &r, &error_));
    SAME(clRetainMemObject(NULL));
    SAME(clReleaseMemObject(NULL));
    SAME(clGetMemObjectInfo(NULL, CL_MEM_SIZE, sizeof data, data, NULL));
    SAME(clGetMemObjectInfo(m, 0x4242, sizeof data, data, NULL));
    SAME(clGetMemObjectInfo(m, CL_MEM_SIZE, 1, data, NULL));
    SAME(clSetMemObjectDestructorCallback(NULL, NULL, NULL));
    SAME(clSetMemObjectDestructorCallback(m, NULL, NULL));
    OURS_MAKE(CL_INVALID_PROPERTY, clCreateBufferWithProperties(context, (cl_mem_properties[]){ 0x4242, 1, 0 }, 0, 64, NULL, &error_));
}

static void programs_and_kernels(void)
{
    const char *text = "kernel void k(global int *x) { x[0] = 1; }", *none = NULL;
    cl_kernel k = kernel("add_one"), list[1];
    cl_program p = NULL, unbuilt = MAKE(clCreateProgramWithSource(context, 1, &text, NULL, &error_));
    CL(clGetKernelInfo(k, CL_KERNEL_PROGRAM, sizeof p, &p, NULL));
    SAME_MAKE(clCreateProgramWithSource(NULL, 1, &text, NULL, &error_));
    SAME_MAKE(clCreateProgramWithSource(context, 0, &text, NULL, &error_));
    OURS_MAKE(CL_INVALID_VALUE, clCreateProgramWithSource(context, 1, NULL, NULL, &error_));
    SAME_MAKE(clCreateProgramWithSource(context, 1, &none, NULL, &error_));
    SAME_MAKE(clCreateProgramWithBinary(NULL, 1, &device, &bytes, (const unsigned char **)&text, NULL, &error_));
    SAME(clRetainProgram(NULL));
    SAME(clReleaseProgram(NULL));
    SAME(clBuildProgram(NULL, 0, NULL, NULL, NULL, NULL));
    SAME(clGetProgramInfo(NULL, CL_PROGRAM_NUM_DEVICES, sizeof data, data, NULL));
    SAME(clGetProgramInfo(p, 0x4242, sizeof data, data, NULL));
    SAME(clGetProgramInfo(p, CL_PROGRAM_NUM_DEVICES, 1, data, NULL));
    SAME(clGetProgramBuildInfo(NULL, device, CL_PROGRAM_BUILD_STATUS, sizeof data, data, NULL));
    SAME(clGetProgramBuildInfo(p, device, 0x4242, sizeof data, data, NULL));
    SAME_MAKE(clCreateKernel(NULL, "k", &error_));
    SAME_MAKE(clCreateKernel(unbuilt, "k", &error_));
    SAME_MAKE(clCreateKernel(p, "k", &error_));
    SAME(clCreateKernelsInProgram(NULL, 0, NULL, &number));
    SAME(clCreateKernelsInProgram(unbuilt, 0, NULL, &number));
    SAME(clCreateKernelsInProgram(p, 1, list, &number));
    SAME_MAKE(clCloneKernel(NULL, &error_));
    SAME(clRetainKernel(NULL));
    SAME(clReleaseKernel(NULL));
    SAME(clSetKernelArg(NULL, 0, 4, data));
    SAME(clSetKernelArg(k, 9, 4, data));
    SAME(clGetKernelInfo(NULL, CL_KERNEL_NUM_ARGS, sizeof data, data, NULL));
    SAME(clGetKernelInfo(k, 0x4242, sizeof data, data, NULL));
    SAME(clGetKernelWorkGroupInfo(NULL, device, CL_KERNEL_WORK_GROUP_SIZE, sizeof data, data, NULL));
    SAME(clGetKernelWorkGroupInfo(k, device, 0x4242, sizeof data, data, NULL));
    SAME(clGetKernelWorkGroupInfo(k, NULL, CL_KERNEL_WORK_GROUP_SIZE, sizeof data, data, NULL));
    SAME(clGetKernelArgInfo(NULL, 0, CL_KERNEL_ARG_NAME, sizeof data, data, NULL));
    SAME(clGetKernelArgInfo(k, 0, 0x4242, sizeof data, data, NULL));
    SAME(clGetKernelArgInfo(k, 0, CL_KERNEL_ARG_NAME, 0, NULL, &bytes));
    OURS(CL_INVALID_DEVICE, clGetProgramBuildInfo(p, NULL, CL_PROGRAM_BUILD_STATUS, sizeof data, data, NULL));
    OURS(CL_INVALID_VALUE, clBuildProgram(unbuilt, 1, &device, NULL, NULL, data));
    SAME(clUnloadPlatformCompiler(platform));
}

static void transfers_and_launches(void)
{
    cl_mem m = buffer(4096);
    cl_kernel k = kernel("add_one");
    size_t one = 1, zero[3] = { 0, 0, 0 }, region[3] = { 1, 1, 1 };
    set_args(k, 1, ARG(m));
    SAME(clEnqueueReadBuffer(NULL, m, CL_TRUE, 0, 1, data, 0, NULL, NULL));
    SAME(clEnqueueReadBuffer(queue, m, CL_TRUE, 4096, 1, data, 0, NULL, NULL));
    SAME(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 1, NULL, 0, NULL, NULL));
    SAME(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 1, data, 1, NULL, NULL));
    SAME(clEnqueueWriteBuffer(NULL, m, CL_TRUE, 0, 1, data, 0, NULL, NULL));
    SAME(clEnqueueWriteBuffer(queue, m, CL_TRUE, 4096, 1, data, 0, NULL, NULL));
    SAME(clEnqueueReadBufferRect(NULL, m, CL_TRUE, zero, zero, region, 0, 0, 0, 0, data, 0, NULL, NULL));
    SAME(clEnqueueReadBufferRect(queue, m, CL_TRUE, zero, zero, zero, 0, 0, 0, 0, data, 0, NULL, NULL));
    SAME(clEnqueueWriteBufferRect(NULL, m, CL_TRUE, zero, zero, region, 0, 0, 0, 0, data, 0, NULL, NULL));
    SAME(clEnqueueWriteBufferRect(queue, m, CL_TRUE, zero, zero, zero, 0, 0, 0, 0, data, 0, NULL, NULL));
    SAME(clEnqueueCopyBuffer(NULL, m, m, 0, 64, 64, 0, NULL, NULL));
    SAME(clEnqueueCopyBuffer(queue, m, m, 0, 4096, 64, 0, NULL, NULL));
    SAME(clEnqueueCopyBuffer(queue, m, m, 0, 32, 64, 0, NULL, NULL));
    SAME(clEnqueueCopyBufferRect(NULL, m, m, zero, zero, region, 0, 0, 0, 0, 0, NULL, NULL));
    SAME(clEnqueueCopyBufferRect(queue, m, m, zero, zero, zero, 0, 0, 0, 0, 0, NULL, NULL));
    SAME(clEnqueueFillBuffer(NULL, m, data, 1, 0, 64, 0, NULL, NULL));
    SAME(clEnqueueFillBuffer(queue, m, data, 3, 0, 63, 0, NULL, NULL));
    SAME_MAKE(clEnqueueMapBuffer(NULL, m, CL_TRUE, CL_MAP_READ, 0, 64, 0, NULL, NULL, &error_));
    SAME_MAKE(clEnqueueMapBuffer(queue, m, CL_TRUE, CL_MAP_READ, 4096, 64, 0, NULL, NULL, &error_));
    SAME(clEnqueueUnmapMemObject(NULL, m, data, 0, NULL, NULL));
    SAME(clEnqueueUnmapMemObject(queue, m, data, 0, NULL, NULL));
    SAME(clEnqueueMigrateMemObjects(NULL, 1, &m, 0, 0, NULL, NULL));
    SAME(clEnqueueMigrateMemObjects(queue, 0, NULL, 0, 0, NULL, NULL));
    SAME(clEnqueueNDRangeKernel(NULL, k, 1, NULL, &one, NULL, 0, NULL, NULL));
    SAME(clEnqueueNDRangeKernel(queue, k, 0, NULL, &one, NULL, 0, NULL, NULL));
    OURS(CL_INVALID_EVENT_WAIT_LIST, clEnqueueNDRangeKernel(queue, k, 1, NULL, &one, NULL, 1, NULL, NULL));
    SAME(clEnqueueTask(NULL, k, 0, NULL, NULL));
    OURS(CL_INVALID_MEM_OBJECT, clEnqueueReadBuffer(queue, NULL, CL_TRUE, 0, 1, data, 0, NULL, NULL));
    OURS(CL_INVALID_MEM_OBJECT, clEnqueueWriteBuffer(queue, NULL, CL_TRUE, 0, 1, data, 0, NULL, NULL));
    OURS(CL_INVALID_MEM_OBJECT, clEnqueueCopyBuffer(queue, m, NULL, 0, 0, 1, 0, NULL, NULL));
    OURS(CL_INVALID_MEM_OBJECT, clEnqueueFillBuffer(queue, NULL, data, 1, 0, 64, 0, NULL, NULL));
    OURS(CL_INVALID_MEM_OBJECT, clEnqueueUnmapMemObject(queue, NULL, data, 0, NULL, NULL));
    OURS_MAKE(CL_INVALID_MEM_OBJECT, clEnqueueMapBuffer(queue, NULL, CL_TRUE, CL_MAP_READ, 0, 64, 0, NULL, NULL, &error_));
    OURS(CL_INVALID_KERNEL, clEnqueueTask(queue, NULL, 0, NULL, NULL));
    OURS(CL_INVALID_VALUE, clEnqueueMigrateMemObjects(queue, 1, &m, 0x100, 0, NULL, NULL));
}

static void events_and_markers(void)
{
    cl_event none = NULL, e;
    SAME(clWaitForEvents(0, NULL));
    SAME(clGetEventInfo(NULL, CL_EVENT_COMMAND_TYPE, sizeof data, data, NULL));
    SAME(clRetainEvent(NULL));
    SAME(clReleaseEvent(NULL));
    SAME(clGetEventProfilingInfo(NULL, CL_PROFILING_COMMAND_END, sizeof data, data, NULL));
    SAME_MAKE(clCreateUserEvent(NULL, &error_));
    SAME(clSetUserEventStatus(NULL, CL_COMPLETE));
    SAME(clSetEventCallback(NULL, CL_COMPLETE, NULL, NULL));
    SAME(clEnqueueMarkerWithWaitList(NULL, 0, NULL, NULL));
    SAME(clEnqueueMarkerWithWaitList(queue, 1, NULL, NULL));
    SAME(clEnqueueBarrierWithWaitList(NULL, 0, NULL, NULL));
    SAME(clEnqueueBarrierWithWaitList(queue, 1, NULL, NULL));
    CL(clEnqueueMarkerWithWaitList(queue, 0, NULL, &e));
    CL(clFinish(queue));
    SAME(clGetEventInfo(e, 0x4242, sizeof data, data, NULL));
    SAME(clGetEventInfo(e, CL_EVENT_COMMAND_TYPE, 1, data, NULL));
    SAME(clSetEventCallback(e, CL_COMPLETE, NULL, NULL));
    OURS(CL_INVALID_VALUE, clEnqueueMarker(queue, NULL));
    OURS(CL_INVALID_VALUE, clEnqueueWaitForEvents(queue, 0, NULL));
    OURS(CL_INVALID_EVENT, clEnqueueWaitForEvents(queue, 1, &none));
    OURS(CL_INVALID_EVENT, clWaitForEvents(1, &none));
    OURS(CL_INVALID_EVENT_WAIT_LIST, clEnqueueMarkerWithWaitList(queue, 1, &none, NULL));
    OURS(CL_INVALID_EVENT_WAIT_LIST, clEnqueueMarkerWithWaitList(queue, 0, &e, NULL));
}

/* An object where one of another kind belongs, and objects of two contexts together. */
static void objects_in_wrong_places(void)
{
    cl_mem m = buffer(64);
    cl_event e = user_event();
    cl_kernel k = kernel("add_one");
    cl_context other = MAKE(clCreateContext(NULL, 1, &device, NULL, NULL, &error_));
    cl_command_queue foreign = MAKE(clCreateCommandQueue(other, device, 0, &error_));
    size_t one = 1;
    set_args(k, 1, ARG(m));
    EXPECT(CL_INVALID_CONTEXT, clEnqueueNDRangeKernel(foreign, k, 1, NULL, &one, NULL, 0, NULL, NULL));
    EXPECT(CL_INVALID_CONTEXT, clEnqueueReadBuffer(foreign, m, CL_TRUE, 0, 1, data, 0, NULL, NULL));
    EXPECT(CL_INVALID_CONTEXT, clEnqueueMarkerWithWaitList(foreign, 1, &e, NULL));
    OURS(CL_INVALID_MEM_OBJECT, clReleaseMemObject((cl_mem)e));
    OURS(CL_INVALID_EVENT, clReleaseEvent((cl_event)m));
    OURS(CL_INVALID_KERNEL, clReleaseKernel((cl_kernel)queue));
    OURS(CL_INVALID_COMMAND_QUEUE, clFinish((cl_command_queue)context));
    OURS(CL_INVALID_MEM_OBJECT, clEnqueueReadBuffer(queue, (cl_mem)k, CL_TRUE, 0, 1, data, 0, NULL, NULL));
    OURS(CL_INVALID_KERNEL, clEnqueueNDRangeKernel(queue, (cl_kernel)m, 1, NULL, &one, NULL, 0, NULL, NULL));
    OURS(CL_INVALID_EVENT_WAIT_LIST, clEnqueueMarkerWithWaitList(queue, 1, (cl_event *)&m, NULL));
    OURS(CL_INVALID_CONTEXT, clGetContextInfo((cl_context)m, CL_CONTEXT_DEVICES, sizeof data, data, NULL));
    OURS(CL_INVALID_DEVICE, clGetDeviceInfo((cl_device_id)m, CL_DEVICE_NAME, sizeof data, data, NULL));
    OURS(CL_INVALID_PROGRAM, clGetProgramInfo((cl_program)m, CL_PROGRAM_SOURCE, sizeof data, data, NULL));
    CL(clSetUserEventStatus(e, CL_COMPLETE));
    CL(clReleaseCommandQueue(foreign));
    CL(clReleaseContext(other));
}

/* A device that is asked everything answers with the specified type, or not at all. */
static void device_facts(void)
{
    static const cl_device_info same[] = {
        CL_DEVICE_TYPE, CL_DEVICE_MAX_COMPUTE_UNITS, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, CL_DEVICE_MAX_WORK_GROUP_SIZE, CL_DEVICE_ADDRESS_BITS,
        CL_DEVICE_MAX_PARAMETER_SIZE, CL_DEVICE_MEM_BASE_ADDR_ALIGN, CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE, CL_DEVICE_LOCAL_MEM_TYPE,
        CL_DEVICE_MAX_CONSTANT_ARGS, CL_DEVICE_ENDIAN_LITTLE, CL_DEVICE_AVAILABLE, CL_DEVICE_COMPILER_AVAILABLE, CL_DEVICE_SINGLE_FP_CONFIG,
        CL_DEVICE_DOUBLE_FP_CONFIG, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE, CL_DEVICE_VENDOR_ID,
        CL_DEVICE_PROFILING_TIMER_RESOLUTION, CL_DEVICE_QUEUE_ON_HOST_PROPERTIES, CL_DEVICE_PRINTF_BUFFER_SIZE,
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
        cl_ulong value = 0;
        size_t n = 0;
        cl_int e = clGetDeviceInfo(device, same[i], sizeof value, &value, &n);
        see("0x%x: %s %zu %lu", same[i], error_name(e), n, (unsigned long)value);
    }
}

static const struct check list[] = {
    { "platforms_and_devices", platforms_and_devices },
    { "contexts", contexts },
    { "queues", queues },
    { "memory", memory },
    { "programs_and_kernels", programs_and_kernels },
    { "transfers_and_launches", transfers_and_launches },
    { "events_and_markers", events_and_markers },
    { "objects_in_wrong_places", objects_in_wrong_places },
    { "device_facts", device_facts },
};
GROUP(errors, list);

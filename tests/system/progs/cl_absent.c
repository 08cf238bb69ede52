/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: the loader's table has no empty slot, and what a share does not offer answers with an error. Only as a tenant. */
#include "cl_check.h"

#include <CL/cl_icd.h>

static const struct _cl_icd_dispatch *table(void) { return *(const struct _cl_icd_dispatch *const *)platform; }

static void no_slot_is_empty(void)
{
    void *const *slots = (void *const *)table();
    if (!on_share)
        return;
    for (size_t i = 0; i < sizeof(struct _cl_icd_dispatch) / sizeof(void *); i++)
        CHECK(slots[i], "slot %zu", i);
}

/* The call, through the loader's own table, gives an error code. */
#define ERROR(name, ...) ({ cl_int code_ = table()->name(__VA_ARGS__); CHECK(code_ < 0, "%s gives %s", #name, error_name(code_)); })
/* … or no object and an error code behind the last argument. */
#define NOTHING(name, ...) ({ cl_int error_ = 0; CHECK(!table()->name(__VA_ARGS__, &error_), #name); CHECK(error_ < 0, "%s gives %s", #name, error_name(error_)); })

static void what_is_not_carried_says_so(void)
{
    const cl_context_properties none[] = { 0 };
    cl_kernel k = kernel("add_one");
    cl_mem m = buffer(64);
    cl_program p = NULL;
    cl_device_id sub;
    cl_command_queue_properties old;
    cl_uint n;
    size_t size;
    char data[64];
    if (!on_share)
        return;
    CL(clGetKernelInfo(k, CL_KERNEL_PROGRAM, sizeof p, &p, NULL));
    ERROR(clSetCommandQueueProperty, queue, CL_QUEUE_PROFILING_ENABLE, CL_TRUE, &old);
    ERROR(clEnqueueNativeKernel, queue, NULL, NULL, 0, 0, NULL, NULL, 0, NULL, NULL);
    NOTHING(clCreateProgramWithBuiltInKernels, context, 1, &device, "anything");
    NOTHING(clCreateProgramWithIL, context, data, sizeof data);
    ERROR(clSetProgramReleaseCallback, p, NULL, NULL);
    ERROR(clSetProgramSpecializationConstant, p, 0, 4, data);
    ERROR(clCreateSubDevicesEXT, device, NULL, 1, &sub, &n);
    ERROR(clRetainDeviceEXT, device);
    ERROR(clReleaseDeviceEXT, device);
    NOTHING(clCreatePipe, context, 0, 4, 4, NULL);
    ERROR(clGetPipeInfo, m, 0, sizeof data, data, &size);
    ERROR(clGetKernelSubGroupInfo, k, device, CL_KERNEL_MAX_NUM_SUB_GROUPS, 0, NULL, sizeof data, data, &size);
    ERROR(clGetGLObjectInfo, m, NULL, NULL);
    ERROR(clGetGLTextureInfo, m, 0, sizeof data, data, &size);
    ERROR(clEnqueueAcquireGLObjects, queue, 1, &m, 0, NULL, NULL);
    ERROR(clEnqueueReleaseGLObjects, queue, 1, &m, 0, NULL, NULL);
    ERROR(clGetGLContextInfoKHR, none, 0, sizeof data, data, &size);
    NOTHING(clCreateFromGLBuffer, context, 0, 1);
    NOTHING(clCreateFromGLTexture, context, 0, 0, 0, 1);
    NOTHING(clCreateFromGLTexture2D, context, 0, 0, 0, 1);
    NOTHING(clCreateFromGLTexture3D, context, 0, 0, 0, 1);
    NOTHING(clCreateFromGLRenderbuffer, context, 0, 1);
    NOTHING(clCreateEventFromGLsyncKHR, context, NULL);
    NOTHING(clCreateFromEGLImageKHR, context, NULL, NULL, 0, NULL);
    ERROR(clEnqueueAcquireEGLObjectsKHR, queue, 1, &m, 0, NULL, NULL);
    ERROR(clEnqueueReleaseEGLObjectsKHR, queue, 1, &m, 0, NULL, NULL);
    NOTHING(clCreateEventFromEGLSyncKHR, context, NULL, NULL);
    CHECK(clGetExtensionFunctionAddressForPlatform(platform, "clIcdGetPlatformIDsKHR"));
    CHECK(!clGetExtensionFunctionAddressForPlatform(platform, "clNoSuchFunctionKHR"));
    CHECK(!clGetExtensionFunctionAddressForPlatform(platform, "clSVMAllocARM"));
}

/* What the device says that it can do is what the calls do. */
static void the_device_promises_nothing_absent(void)
{
    cl_bool pipes = CL_TRUE;
    char text[4096] = "x";
    if (!on_share)
        return;
    CL(clGetDeviceInfo(device, CL_DEVICE_PIPE_SUPPORT, sizeof pipes, &pipes, NULL));
    CHECK(!pipes);
    CL(clGetDeviceInfo(device, CL_DEVICE_IL_VERSION, sizeof text, text, NULL));
    CHECK(!*text, "%s", text);
    CL(clGetDeviceInfo(device, CL_DEVICE_BUILT_IN_KERNELS, sizeof text, text, NULL));
    CHECK(!*text, "%s", text);
    CL(clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, sizeof text, text, NULL));
    static const char *const absent_extensions[] = { "cl_khr_il_program", "cl_khr_gl_sharing", "cl_khr_subgroups", "cl_ext_device_fission", "svm" };
    for (size_t i = 0; i < sizeof(absent_extensions) / sizeof(*absent_extensions); i++)
        CHECK(!strstr(text, absent_extensions[i]), "%s", text);
}

static const struct check list[] = {
    { "no_slot_is_empty", no_slot_is_empty },
    { "what_is_not_carried_says_so", what_is_not_carried_says_so },
    { "the_device_promises_nothing_absent", the_device_promises_nothing_absent },
};
GROUP(absent, list);

/* SPDX-License-Identifier: Apache-2.0 */
/* Every info query there is, by number: "WHAT 0xNUMBER: SIZE HEX" or "WHAT 0xNUMBER: error CODE", of the first platform's first device and of one object of
 * each kind. Handles and what depends on the moment are printed by their size alone. Then every function that an extension could have, by name. */
#include <CL/cl.h>
#include <CL/cl_ext.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct range { unsigned first, last; };

static void print(const char *what, unsigned name, cl_int e, size_t n, const unsigned char *value, bool shown)
{
    printf("%s 0x%04x: ", what, name);
    if (e != CL_SUCCESS)
        printf("error %d", e);
    else
        printf("%zu", n);
    for (size_t i = 0; e == CL_SUCCESS && shown && i < n; i++)
        printf("%s%02x", i ? "" : " ", value[i]);
    putchar('\n');
}

/* Asks for every number of the range; the first error is printed too, CL_INVALID_VALUE being "no such query". */
#define ASK(what, from, to, shown, call) \
    for (unsigned name = (from); name <= (to); name++) { \
        static unsigned char value[1 << 20]; \
        size_t n = 0; \
        cl_int error_ = call; \
        print(what, name, error_, n, value, shown); \
    }

static bool is_handle(unsigned name) { return name == CL_DEVICE_PLATFORM || name == CL_DEVICE_PARENT_DEVICE; }

static void ask_platform_and_device(cl_platform_id p, cl_device_id d)
{
    static const struct range ranges[] = {
        { 0x1000, 0x107f }, { 0x10a9, 0x10af }, { 0x1200, 0x1201 }, { 0x2033, 0x2060 }, { 0x106a, 0x106f }, { 0x4000, 0x4060 }, { 0x4100, 0x4120 },
        { 0x41a0, 0x41c8 }, { 0x4230, 0x4260 }, { 0x12a9, 0x12ad },
    };
    ASK("platform", 0x0900, 0x092f, true, clGetPlatformInfo(p, name, sizeof value, value, &n));
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        ASK("device", ranges[i].first, ranges[i].last, !is_handle(name), clGetDeviceInfo(d, name, sizeof value, value, &n));
}

static void ask_objects(cl_device_id d)
{
    const char *source = "kernel void f(global int *x, int y) { x[get_global_id(0)] = y; }";
    cl_queue_properties profiling[] = { CL_QUEUE_PROPERTIES, CL_QUEUE_PROFILING_ENABLE, 0 };
    cl_image_format format = { CL_RGBA, CL_UNSIGNED_INT8 };
    cl_image_desc desc = { .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 8, .image_height = 8 };
    int y = 1;
    cl_context c = clCreateContext(NULL, 1, &d, NULL, NULL, NULL);
    cl_command_queue q = clCreateCommandQueueWithProperties(c, d, profiling, NULL);
    cl_mem m = clCreateBuffer(c, CL_MEM_READ_WRITE, 4096, NULL, NULL), im = clCreateImage(c, CL_MEM_READ_WRITE, &format, &desc, NULL, NULL);
    cl_sampler s = clCreateSampler(c, CL_FALSE, CL_ADDRESS_CLAMP, CL_FILTER_NEAREST, NULL);
    cl_program p = clCreateProgramWithSource(c, 1, &source, NULL, NULL);
    clBuildProgram(p, 1, &d, "-cl-kernel-arg-info", NULL, NULL);
    cl_kernel k = clCreateKernel(p, "f", NULL);
    cl_event e = NULL;
    clSetKernelArg(k, 0, sizeof m, &m);
    clSetKernelArg(k, 1, sizeof y, &y);
    clEnqueueNDRangeKernel(q, k, 1, NULL, &(size_t){ 64 }, NULL, 0, NULL, &e);
    clFinish(q);
    ASK("context", 0x1080, 0x108f, false, clGetContextInfo(c, name, sizeof value, value, &n));
    ASK("queue", 0x1090, 0x109f, false, clGetCommandQueueInfo(q, name, sizeof value, value, &n));
    ASK("buffer", 0x1100, 0x110f, false, clGetMemObjectInfo(m, name, sizeof value, value, &n));
    ASK("image", 0x1110, 0x111f, false, clGetImageInfo(im, name, sizeof value, value, &n));
    ASK("sampler", 0x1150, 0x115f, false, clGetSamplerInfo(s, name, sizeof value, value, &n));
    /* Not the binaries, which are put where the value points. */
    ASK("program", 0x1160, 0x1165, false, clGetProgramInfo(p, name, name == CL_PROGRAM_BINARIES ? 0 : sizeof value, name == CL_PROGRAM_BINARIES ? NULL : value, &n));
    ASK("program", 0x1167, 0x116f, false, clGetProgramInfo(p, name, sizeof value, value, &n));
    ASK("build", 0x1181, 0x118f, name != CL_PROGRAM_BUILD_LOG, clGetProgramBuildInfo(p, d, name, sizeof value, value, &n));
    ASK("kernel", 0x1190, 0x1195, name == CL_KERNEL_NUM_ARGS || name == CL_KERNEL_FUNCTION_NAME || name == CL_KERNEL_ATTRIBUTES,
        clGetKernelInfo(k, name, sizeof value, value, &n));
    ASK("argument 0", 0x1196, 0x119a, true, clGetKernelArgInfo(k, 0, name, sizeof value, value, &n));
    ASK("argument 1", 0x1196, 0x119a, true, clGetKernelArgInfo(k, 1, name, sizeof value, value, &n));
    ASK("work-group", 0x11b0, 0x11b5, true, clGetKernelWorkGroupInfo(k, d, name, sizeof value, value, &n));
    ASK("sub-group", 0x11b8, 0x11ba, true, clGetKernelSubGroupInfo(k, d, name, sizeof(size_t), &(size_t){ 64 }, sizeof value, value, &n));
    ASK("sub-group", 0x2033, 0x2034, true, clGetKernelSubGroupInfo(k, d, name, sizeof(size_t), &(size_t){ 64 }, sizeof value, value, &n));
    ASK("event", 0x11d0, 0x11d4, name == CL_EVENT_COMMAND_TYPE || name == CL_EVENT_COMMAND_EXECUTION_STATUS, clGetEventInfo(e, name, sizeof value, value, &n));
    ASK("profiling", 0x1280, 0x1284, false, clGetEventProfilingInfo(e, name, sizeof value, value, &n));
}

static void ask_formats(cl_device_id d)
{
    static const cl_mem_flags access[] = { CL_MEM_READ_ONLY, CL_MEM_WRITE_ONLY, CL_MEM_READ_WRITE, CL_MEM_KERNEL_READ_AND_WRITE };
    static cl_image_format list[4096];
    cl_context c = clCreateContext(NULL, 1, &d, NULL, NULL, NULL);
    for (unsigned type = CL_MEM_OBJECT_IMAGE2D; type <= CL_MEM_OBJECT_IMAGE1D_BUFFER; type++)
        for (size_t i = 0; i < 4; i++) {
            cl_uint n = 0;
            char what[64];
            cl_int e = clGetSupportedImageFormats(c, access[i], type, 4096, list, &n);
            snprintf(what, sizeof what, "formats %zu", i);
            print(what, type, e, n * sizeof *list, (void *)list, true);
        }
}

/* One function of each extension that has some, and an unknown one. */
static void ask_functions(cl_platform_id p)
{
    static const char *const names[] = {
        "clCreateCommandBufferKHR", "clFinalizeCommandBufferKHR", "clCreateSubDevicesEXT", "clGetKernelSubGroupInfoKHR", "clCreateProgramWithILKHR",
        "clCreateCommandQueueWithPropertiesKHR", "clCreateSemaphoreWithPropertiesKHR", "clEnqueueAcquireExternalMemObjectsKHR", "clHostMemAllocINTEL",
        "clSetKernelArgMemPointerINTEL", "clSVMAllocARM", "clImportMemoryARM", "clGetGLContextInfoKHR", "clCreateFromEGLImageKHR", "clTerminateContextKHR",
        "clGetKernelSuggestedLocalWorkSizeKHR", "clEnqueueMigrateMemObjectEXT", "clSetContentSizeBufferPoCL", "clIcdGetPlatformIDsKHR", "clNoSuchFunctionKHR",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        printf("function %s: %s\n", names[i], clGetExtensionFunctionAddressForPlatform(p, names[i]) ? "there" : "not there");
}

int main(void)
{
    cl_platform_id p;
    cl_device_id d;
    if (clGetPlatformIDs(1, &p, NULL) != CL_SUCCESS || clGetDeviceIDs(p, CL_DEVICE_TYPE_ALL, 1, &d, NULL) != CL_SUCCESS)
        return 1;
    ask_platform_and_device(p, d);
    ask_objects(d);
    ask_formats(d);
    ask_functions(p);
    return 0;
}

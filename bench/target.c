/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of platform and device, and the common OpenCL calls: see target.h. */
#include "target.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PLATFORMS 32u
#define MAX_DEVICES 64u

const char *bench_cl_error(cl_int error)
{
#define NAME(code) case code: return #code
    switch (error) {
    NAME(CL_SUCCESS); NAME(CL_DEVICE_NOT_FOUND); NAME(CL_DEVICE_NOT_AVAILABLE); NAME(CL_COMPILER_NOT_AVAILABLE);
    NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE); NAME(CL_OUT_OF_RESOURCES); NAME(CL_OUT_OF_HOST_MEMORY); NAME(CL_MAP_FAILURE);
    NAME(CL_BUILD_PROGRAM_FAILURE); NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST); NAME(CL_INVALID_VALUE);
    NAME(CL_INVALID_PLATFORM); NAME(CL_INVALID_DEVICE); NAME(CL_INVALID_CONTEXT); NAME(CL_INVALID_COMMAND_QUEUE);
    NAME(CL_INVALID_MEM_OBJECT); NAME(CL_INVALID_PROGRAM); NAME(CL_INVALID_KERNEL_NAME); NAME(CL_INVALID_KERNEL);
    NAME(CL_INVALID_KERNEL_ARGS); NAME(CL_INVALID_WORK_GROUP_SIZE); NAME(CL_INVALID_BUFFER_SIZE); NAME(CL_INVALID_OPERATION);
    case -1001: return "CL_PLATFORM_NOT_FOUND_KHR";
    default: return "OpenCL error";
    }
#undef NAME
}

static void fail(int code, const char *format, va_list ap) __attribute__((noreturn, format(printf, 2, 0)));
static void fail(int code, const char *format, va_list ap)
{
    fflush(stdout);
    fputs("tranche-bench: ", stderr);
    vfprintf(stderr, format, ap);
    putc('\n', stderr);
    /* Not exit(): after a wrong result or an error the driver's own exit handlers may hang. */
    _exit(code);
}

void bench_fail(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fail(EXIT_FAILURE, format, ap);
}

void bench_wrong_result(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fail(BENCH_EXIT_WRONG_RESULT, format, ap);
}

void bench_check(cl_int error, const char *call)
{
    if (error != CL_SUCCESS)
        bench_fail("%.*s: %s (%d)", (int)strcspn(call, "("), call, bench_cl_error(error), error);
}

static cl_uint list_platforms(cl_platform_id platforms[MAX_PLATFORMS])
{
    cl_uint n = 0;
    cl_int e = clGetPlatformIDs(MAX_PLATFORMS, platforms, &n);
    if (e == -1001 || (e == CL_SUCCESS && n == 0))
        bench_fail("no OpenCL platform; install one, for example pocl-opencl-icd, or check OCL_ICD_VENDORS");
    bench_check(e, "clGetPlatformIDs");
    return MIN(n, MAX_PLATFORMS);
}

static bool contains_nocase(const char *text, const char *part)
{
    for (size_t n = strlen(part); *text; text++) {
        size_t i = 0;
        while (i < n && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == n)
            return true;
    }
    return false;
}

static cl_platform_id choose_platform(const char *wanted)
{
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint n = list_platforms(platforms);
    char *end = NULL, name[256];
    unsigned long index = wanted ? strtoul(wanted, &end, 10) : 0;
    if (!wanted || (end != wanted && !*end)) {
        if (index < n)
            return platforms[index];
        bench_fail("there are %u OpenCL platforms, numbered from 0; --platform %s is not one of them", n, wanted);
    }
    for (cl_uint i = 0; i < n; i++) {
        CL_CHECK(clGetPlatformInfo(platforms[i], CL_PLATFORM_NAME, sizeof name, name, NULL));
        if (contains_nocase(name, wanted))
            return platforms[i];
    }
    bench_fail("no OpenCL platform has '%s' in its name; see tranche-bench list", wanted);
}

static cl_device_id choose_device(cl_platform_id platform, const struct target_choice *choice)
{
    cl_device_id devices[MAX_DEVICES];
    cl_uint n = 0;
    cl_int e = clGetDeviceIDs(platform, choice->device_type, MAX_DEVICES, devices, &n);
    if (e == CL_DEVICE_NOT_FOUND)
        n = 0;
    else
        bench_check(e, "clGetDeviceIDs");
    if (choice->device >= MIN(n, MAX_DEVICES))
        bench_fail("the platform has %u devices of that type, numbered from 0; there is no device %u", n, choice->device);
    return devices[choice->device];
}

static void read_facts(struct target *t)
{
    CL_CHECK(clGetPlatformInfo(t->platform, CL_PLATFORM_NAME, sizeof t->platform_name, t->platform_name, NULL));
    CL_CHECK(clGetPlatformInfo(t->platform, CL_PLATFORM_VERSION, sizeof t->platform_version, t->platform_version, NULL));
    CL_CHECK(clGetDeviceInfo(t->device, CL_DEVICE_NAME, sizeof t->device_name, t->device_name, NULL));
    CL_CHECK(clGetDeviceInfo(t->device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof t->compute_units, &t->compute_units, NULL));
    CL_CHECK(clGetDeviceInfo(t->device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof t->memory_bytes, &t->memory_bytes, NULL));
    CL_CHECK(clGetDeviceInfo(t->device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof t->max_alloc_bytes, &t->max_alloc_bytes, NULL));
}

void target_open(struct target *t, const struct target_choice *choice)
{
    cl_int e;
    *t = (struct target){ 0 };
    t->platform = choose_platform(choice->platform);
    t->device = choose_device(t->platform, choice);
    read_facts(t);
    const cl_context_properties properties[] = { CL_CONTEXT_PLATFORM, (cl_context_properties)t->platform, 0 };
    t->context = clCreateContext(properties, 1, &t->device, NULL, NULL, &e);
    bench_check(e, "clCreateContext");
    t->queue = clCreateCommandQueue(t->context, t->device, 0, &e);   /* the 1.x entry: every driver has it */
    bench_check(e, "clCreateCommandQueue");
}

void target_close(struct target *t)
{
    target_finish(t);
    clReleaseCommandQueue(t->queue);
    clReleaseContext(t->context);
}

void target_list(void)
{
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_device_id devices[MAX_DEVICES];
    char name[256], version[256];
    cl_uint n = list_platforms(platforms), devices_n;
    for (cl_uint i = 0; i < n; i++) {
        CL_CHECK(clGetPlatformInfo(platforms[i], CL_PLATFORM_NAME, sizeof name, name, NULL));
        CL_CHECK(clGetPlatformInfo(platforms[i], CL_PLATFORM_VERSION, sizeof version, version, NULL));
        printf("platform %u: %s (%s)\n", i, name, version);
        if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, MAX_DEVICES, devices, &devices_n) != CL_SUCCESS)
            continue;
        for (cl_uint j = 0; j < MIN(devices_n, MAX_DEVICES); j++) {
            CL_CHECK(clGetDeviceInfo(devices[j], CL_DEVICE_NAME, sizeof name, name, NULL));
            printf("  device %u: %s\n", j, name);
        }
    }
}

cl_program target_build(const struct target *t, const char *source, const char *options)
{
    cl_int e;
    cl_program program = clCreateProgramWithSource(t->context, 1, &source, NULL, &e);
    bench_check(e, "clCreateProgramWithSource");
    e = clBuildProgram(program, 1, &t->device, options, NULL, NULL);
    if (e != CL_SUCCESS) {
        static char log[16384];
        clGetProgramBuildInfo(program, t->device, CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL);
        bench_fail("clBuildProgram: %s (%d)\n%s", bench_cl_error(e), e, log);
    }
    return program;
}

cl_kernel target_kernel(cl_program program, const char *name)
{
    cl_int e;
    cl_kernel kernel = clCreateKernel(program, name, &e);
    bench_check(e, "clCreateKernel");
    return kernel;
}

cl_mem target_buffer(const struct target *t, cl_mem_flags flags, size_t bytes)
{
    cl_int e;
    cl_mem buffer = clCreateBuffer(t->context, flags, bytes, NULL, &e);
    bench_check(e, "clCreateBuffer");
    return buffer;
}

void target_finish(const struct target *t)
{
    CL_CHECK(clFinish(t->queue));
}

void target_launch(const struct target *t, cl_kernel kernel, size_t global, size_t local, cl_event *ret_event)
{
    CL_CHECK(clEnqueueNDRangeKernel(t->queue, kernel, 1, NULL, &global, local ? &local : NULL, 0, NULL, ret_event));
}

void target_write(const struct target *t, cl_mem buffer, size_t bytes, const void *from)
{
    CL_CHECK(clEnqueueWriteBuffer(t->queue, buffer, CL_TRUE, 0, bytes, from, 0, NULL, NULL));
}

void target_read(const struct target *t, cl_mem buffer, size_t bytes, void *to)
{
    CL_CHECK(clEnqueueReadBuffer(t->queue, buffer, CL_TRUE, 0, bytes, to, 0, NULL, NULL));
}

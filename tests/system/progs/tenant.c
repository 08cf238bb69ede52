/* SPDX-License-Identifier: Apache-2.0 */
/* A tenant that does what it is told: one command per line on stdin, one answer per line on stdout. Plain OpenCL, knows nothing of tranche.
 *
 *   size             "size GLOBAL_BYTES MAX_ALLOCATION_BYTES"   what the device says of its memory
 *   alloc BYTES      "ok SLOT"                                  a buffer, kept
 *   check SLOT       "ok"                                       write the whole buffer, read it back, compare
 *   free SLOT        "ok"
 *   launch COUNT     "ok"                                       small kernels, each waited for
 *   beat MS          "beat COUNT LARGEST_GAP_US"                launch and wait for MS; the longest time without a result
 *   forever          never, unless somebody ends the kernel
 *   quit             "ok", and so does the end of stdin
 * An OpenCL error is answered with "error CALL CODE"; the program goes on, so that what follows an error can be tried too. */
#include <CL/cl.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_SLOTS 4096

static cl_device_id device;
static cl_context context;
static cl_command_queue queue;
static cl_kernel add, endless;
static cl_mem slots[MAX_SLOTS], flag;
static size_t slot_bytes[MAX_SLOTS];
static int nslots;

static const char source[] =
    "kernel void add(global volatile int *x) { x[0] += 1; }\n"
    "kernel void endless(global volatile int *x) { while (x[1] == 0) x[0] += 1; }\n";

static void answer(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void answer(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

static int failed(const char *call, cl_int code)
{
    if (code != CL_SUCCESS)
        answer("error %s %d", call, code);
    return code != CL_SUCCESS;
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int open_device(void)
{
    cl_platform_id platform;
    cl_uint n = 0;
    cl_int e = clGetPlatformIDs(1, &platform, &n);
    if (failed("clGetPlatformIDs", n ? e : -1001) || failed("clGetDeviceIDs", clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, &n)))
        return 1;
    context = clCreateContext(NULL, 1, &device, NULL, NULL, &e);
    if (failed("clCreateContext", e))
        return 1;
    queue = clCreateCommandQueue(context, device, 0, &e);
    return failed("clCreateCommandQueue", e);
}

static int open_kernels(void)
{
    const char *text = source;
    const cl_int zero[2] = { 0, 0 };
    cl_int e;
    cl_program program = clCreateProgramWithSource(context, 1, &text, NULL, &e);
    if (failed("clCreateProgramWithSource", e) || failed("clBuildProgram", clBuildProgram(program, 1, &device, "", NULL, NULL)))
        return 1;
    add = clCreateKernel(program, "add", &e);
    if (failed("clCreateKernel", e))
        return 1;
    endless = clCreateKernel(program, "endless", &e);
    if (failed("clCreateKernel", e))
        return 1;
    clReleaseProgram(program);
    flag = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof zero, (void *)zero, &e);
    return failed("clCreateBuffer", e) || failed("clSetKernelArg", clSetKernelArg(add, 0, sizeof flag, &flag)) ||
           failed("clSetKernelArg", clSetKernelArg(endless, 0, sizeof flag, &flag));
}

/* Kernels are made at their first use: a tenant that only allocates then holds not one byte more than it was told to. */
static int run(cl_kernel *kernel)
{
    size_t one = 1;
    return (!flag && open_kernels()) || failed("clEnqueueNDRangeKernel", clEnqueueNDRangeKernel(queue, *kernel, 1, NULL, &one, NULL, 0, NULL, NULL)) ||
           failed("clFinish", clFinish(queue));
}

static void do_size(void)
{
    cl_ulong global = 0, largest = 0;
    if (failed("clGetDeviceInfo", clGetDeviceInfo(device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof global, &global, NULL)) ||
        failed("clGetDeviceInfo", clGetDeviceInfo(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof largest, &largest, NULL)))
        return;
    answer("size %llu %llu", (unsigned long long)global, (unsigned long long)largest);
}

static void do_alloc(size_t bytes)
{
    cl_int e;
    if (nslots == MAX_SLOTS) {
        answer("error slots 0");
        return;
    }
    cl_mem buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, bytes, NULL, &e);
    if (failed("clCreateBuffer", e))
        return;
    /* The first use: drivers, and tranche on some devices, may refuse memory as late as here. */
    const char byte = 1;
    e = clEnqueueWriteBuffer(queue, buffer, CL_TRUE, bytes - 1, 1, &byte, 0, NULL, NULL);
    if (e != CL_SUCCESS)
        clReleaseMemObject(buffer);
    if (failed("clEnqueueWriteBuffer", e))
        return;
    slots[nslots] = buffer;
    slot_bytes[nslots] = bytes;
    answer("ok %d", nslots++);
}

static void do_check(int slot)
{
    size_t n = slot_bytes[slot];
    unsigned char *out = malloc(n), *in = calloc(n, 1);
    if (!out || !in) {
        answer("error malloc 0");
    } else {
        for (size_t i = 0; i < n; i++)
            out[i] = (unsigned char)(i * 2654435761u >> 13);
        if (!failed("clEnqueueWriteBuffer", clEnqueueWriteBuffer(queue, slots[slot], CL_TRUE, 0, n, out, 0, NULL, NULL)) &&
            !failed("clEnqueueReadBuffer", clEnqueueReadBuffer(queue, slots[slot], CL_TRUE, 0, n, in, 0, NULL, NULL)))
            answer("%s", memcmp(in, out, n) == 0 ? "ok" : "error contents 0");
    }
    free(out);
    free(in);
}

static void do_free(int slot)
{
    cl_int e = clReleaseMemObject(slots[slot]);
    slots[slot] = NULL;
    if (!failed("clReleaseMemObject", e) && !failed("clFinish", clFinish(queue)))
        answer("ok");
}

static void do_launch(long count)
{
    for (long i = 0; i < count; i++)
        if (run(&add))
            return;
    answer("ok");
}

static void do_beat(double ms)
{
    if (run(&add))
        return;
    double begin = now_us(), last = begin, gap = 0;
    long count = 0;
    while (last - begin < ms * 1e3) {
        if (run(&add))
            return;
        double now = now_us();
        gap = now - last > gap ? now - last : gap;
        last = now;
        count++;
    }
    answer("beat %ld %.0f", count, gap);
}

static void do_forever(void)
{
    if (!run(&endless))
        answer("ok");
}

static int valid_slot(const char *text)
{
    int slot = atoi(text);
    return slot >= 0 && slot < nslots && slots[slot] ? slot : -1;
}

static void obey(const char *verb, const char *argument)
{
    int slot = valid_slot(argument);
    if (strcmp(verb, "size") == 0)
        do_size();
    else if (strcmp(verb, "alloc") == 0)
        do_alloc(strtoull(argument, NULL, 10));
    else if (strcmp(verb, "check") == 0 && slot >= 0)
        do_check(slot);
    else if (strcmp(verb, "free") == 0 && slot >= 0)
        do_free(slot);
    else if (strcmp(verb, "launch") == 0)
        do_launch(atol(argument));
    else if (strcmp(verb, "beat") == 0)
        do_beat(atof(argument));
    else if (strcmp(verb, "forever") == 0)
        do_forever();
    else
        answer("error command 0");
}

int main(void)
{
    char line[256], verb[32], argument[64];
    if (open_device())
        return 1;
    answer("ready");
    while (fgets(line, sizeof line, stdin)) {
        argument[0] = '\0';
        if (sscanf(line, "%31s %63s", verb, argument) < 1)
            continue;
        if (strcmp(verb, "quit") == 0)
            break;
        obey(verb, argument);
    }
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    answer("ok");
    return 0;
}

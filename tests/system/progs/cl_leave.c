/* SPDX-License-Identifier: Apache-2.0 */
/* cl_leave HOW: uses OpenCL through dlopen, leaves everything unreleased and work under way, and ends by `return`, `exit`, `_exit`, `unload` (twice loaded
 * and closed), `gated` (with commands behind a user event that is never set), `thread` (another thread ends the process in the middle of a call), `exec` (becomes
 * another program, which must find no descriptor of OpenCL's and be a tenant of its own). */
#include <CL/cl.h>

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct { void *lib; cl_context context; cl_device_id device; cl_command_queue queue; cl_mem mem; } cl;

#define CALL(name) ((__typeof__(name) *)dlsym(cl.lib, #name))

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    printf("failed: %s\n", what);
    fflush(stdout);
    _exit(1);
}

static void open_all(void)
{
    cl_platform_id p;
    cl_int e;
    cl.lib = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    must(cl.lib, "load libOpenCL.so.1");
    must(CALL(clGetPlatformIDs)(1, &p, NULL) == CL_SUCCESS, "platform");
    must(CALL(clGetDeviceIDs)(p, CL_DEVICE_TYPE_ALL, 1, &cl.device, NULL) == CL_SUCCESS, "device");
    cl.context = CALL(clCreateContext)(NULL, 1, &cl.device, NULL, NULL, &e);
    must(cl.context, "context");
    cl.queue = CALL(clCreateCommandQueue)(cl.context, cl.device, 0, &e);
    must(cl.queue, "queue");
}

static void start_work(bool gated)
{
    static const char text[] = "kernel void slow(global uint *x) { uint v = x[1]; for (uint i = 0; i < 100000000u; i++) v = v * 1664525u + 1013904223u; x[0] = v; }";
    const char *given = text;
    size_t one = 1;
    cl_int e;
    cl.mem = CALL(clCreateBuffer)(cl.context, 0, 100 << 20, NULL, &e);
    must(cl.mem, "buffer");
    cl_program p = CALL(clCreateProgramWithSource)(cl.context, 1, &given, NULL, &e);
    must(p && CALL(clBuildProgram)(p, 1, &cl.device, "", NULL, NULL) == CL_SUCCESS, "build");
    cl_kernel k = CALL(clCreateKernel)(p, "slow", &e);
    must(k && CALL(clSetKernelArg)(k, 0, sizeof cl.mem, &cl.mem) == CL_SUCCESS, "kernel");
    cl_event gate = gated ? CALL(clCreateUserEvent)(cl.context, &e) : NULL;
    for (int i = 0; i < 5; i++)
        must(CALL(clEnqueueNDRangeKernel)(cl.queue, k, 1, NULL, &one, NULL, gated, gated ? &gate : NULL, NULL) == CL_SUCCESS, "launch");
    must(CALL(clFlush)(cl.queue) == CL_SUCCESS, "flush");
}

static void *leave(void *arg)
{
    usleep(20000);
    exit(0);
}

static int unload(void)
{
    for (int i = 0; i < 2; i++) {
        char data[64] = "unloaded";
        cl_int e;
        open_all();
        cl_mem m = CALL(clCreateBuffer)(cl.context, CL_MEM_COPY_HOST_PTR, sizeof data, data, &e);
        must(m, "buffer");
        memset(data, 0, sizeof data);
        must(CALL(clEnqueueReadBuffer)(cl.queue, m, CL_TRUE, 0, sizeof data, data, 0, NULL, NULL) == CL_SUCCESS, "read");
        must(strcmp(data, "unloaded") == 0, "compare");
        must(dlclose(cl.lib) == 0, "unload");
    }
    puts("done");
    return 0;
}

static int open_descriptors(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    must(dir, "list descriptors");
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void become_another(const char *self, int descriptors)
{
    char number[12];
    snprintf(number, sizeof number, "%d", descriptors);
    execl(self, self, "afresh", number, (char *)NULL);
    must(false, "exec");
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "return";
    int descriptors = open_descriptors();
    if (strcmp(how, "afresh") == 0)
        must(argc > 2 && descriptors == atoi(argv[2]), "no descriptor is inherited");
    if (strcmp(how, "unload") == 0)
        return unload();
    open_all();
    start_work(strcmp(how, "gated") == 0);
    if (strcmp(how, "exec") == 0)
        become_another(argv[0], descriptors);
    puts("done");
    fflush(stdout);
    if (strcmp(how, "exit") == 0)
        exit(0);
    if (strcmp(how, "_exit") == 0)
        _exit(0);
    if (strcmp(how, "thread") == 0) {
        pthread_t t;
        must(pthread_create(&t, NULL, leave, NULL) == 0, "thread");
        CALL(clFinish)(cl.queue);
        pause();
    }
    return 0;
}

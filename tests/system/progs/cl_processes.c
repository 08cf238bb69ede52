/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: fork, threads across fork, unloading. Only as a tenant: PoCL's threads do not survive a fork. */
#include "cl_check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

/* Everything anew, through whatever connection this process gets. */
static bool works_anew(void)
{
    static const char text[] = "kernel void add(global int *x) { x[get_global_id(0)] += 7; }";
    const char *given = text;
    int data[16] = { 0 };
    size_t n = 16;
    cl_int e = 1;
    cl_platform_id p;
    cl_device_id d;
    if (clGetPlatformIDs(1, &p, NULL) || clGetDeviceIDs(p, CL_DEVICE_TYPE_ALL, 1, &d, NULL))
        return false;
    cl_context c = clCreateContext(NULL, 1, &d, NULL, NULL, &e);
    cl_command_queue q = e ? NULL : clCreateCommandQueue(c, d, 0, &e);
    cl_mem m = e ? NULL : clCreateBuffer(c, CL_MEM_COPY_HOST_PTR, sizeof data, data, &e);
    cl_program program = e ? NULL : clCreateProgramWithSource(c, 1, &given, NULL, &e);
    if (e || clBuildProgram(program, 1, &d, "", NULL, NULL))
        return false;
    cl_kernel k = clCreateKernel(program, "add", &e);
    if (e || clSetKernelArg(k, 0, sizeof m, &m))
        return false;
    for (int i = 0; i < 10; i++)
        if (clEnqueueNDRangeKernel(q, k, 1, NULL, &n, NULL, 0, NULL, NULL))
            return false;
    if (clEnqueueReadBuffer(q, m, CL_TRUE, 0, sizeof data, data, 0, NULL, NULL))
        return false;
    clReleaseKernel(k);
    clReleaseProgram(program);
    clReleaseMemObject(m);
    clReleaseCommandQueue(q);
    clReleaseContext(c);
    return data[0] == 70 && data[15] == 70;
}

static int wait_for(pid_t pid)
{
    int status = -1;
    for (double end = now() + 40; waitpid(pid, &status, WNOHANG) == 0; pause_ms(5))
        if (now() > end) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return -1;
        }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void parent_goes_on(void)
{
    int got = 0;
    cl_mem m = buffer_with(4, &got);
    cl_kernel k = kernel("add_one");
    set_args(k, 1, ARG(m));
    run_kernel(queue, k, 1);
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 4, &got, 0, NULL, NULL));
    CHECK(got == 1);
}

static void child_connects_anew(void)
{
    if (!on_share)
        return;
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            _exit(works_anew() ? 0 : 1);
        parent_goes_on();
        CHECK(wait_for(pid) == 0, "the child fails or hangs");
    }
    parent_goes_on();
}

static void child_that_uses_nothing(void)
{
    if (!on_share)
        return;
    pid_t pid = fork();
    if (pid == 0)
        exit(0);               /* with exit handlers */
    CHECK(wait_for(pid) == 0);
    parent_goes_on();
}

/* A child may still have references to its parent's objects in destructors of its own; letting them go harms nobody. */
static void child_releases_its_parents_objects(void)
{
    if (!on_share)
        return;
    cl_mem m = buffer(4096);
    cl_kernel k = kernel("add_one");
    cl_command_queue q = queue_with(0);
    cl_event e;
    set_args(k, 1, ARG(m));
    e = launch(q, k, 1, 0, NULL);
    CL(clFinish(q));
    pid_t pid = fork();
    if (pid == 0) {
        clReleaseEvent(e);
        clReleaseMemObject(m);
        clReleaseKernel(k);
        bool ok = works_anew();
        clReleaseCommandQueue(q);
        _exit(ok && works_anew() ? 0 : 1);
    }
    CHECK(wait_for(pid) == 0);
    CL(clReleaseEvent(e));
    run_kernel(q, k, 1);
    CL(clFinish(q));
    CL(clReleaseKernel(k));
    CL(clReleaseMemObject(m));
    CL(clReleaseCommandQueue(q));
    parent_goes_on();
}

static _Atomic bool stop;

static void *keep_busy(void *arg)
{
    cl_int e;
    while (!atomic_load(&stop)) {
        cl_mem m = clCreateBuffer(context, 0, 65536, NULL, &e);
        cl_event u = clCreateUserEvent(context, &e), w = NULL;
        cl_command_queue q = clCreateCommandQueue(context, device, 0, &e);
        clEnqueueFillBuffer(q, m, "x", 1, 0, 65536, 1, &u, &w);
        clSetUserEventStatus(u, CL_COMPLETE);
        clWaitForEvents(1, &w);
        clReleaseEvent(w);
        clReleaseEvent(u);
        clReleaseCommandQueue(q);
        clReleaseMemObject(m);
    }
    return NULL;
}

/* Forks while other threads are in the middle of calls: the child must find no lock taken. */
static void fork_among_busy_threads(void)
{
    if (!on_share)
        return;
    pthread_t threads_of[3];
    atomic_store(&stop, false);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads_of[i], NULL, keep_busy, NULL) == 0);
    int bad = 0;
    for (int i = 0; i < 8 && !bad; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(works_anew() ? 0 : 1);
        bad = wait_for(pid);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads_of[i], NULL);
    CHECK(bad == 0, "a child fails or hangs: %d", bad);
    parent_goes_on();
}

static void loader_unloaded_and_loaded_again(void)
{
    for (int i = 0; i < 3; i++) {
        void *lib = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
        CHECK(lib);
        cl_int (*get)(cl_uint, cl_platform_id *, cl_uint *) = (cl_int(*)(cl_uint, cl_platform_id *, cl_uint *))dlsym(lib, "clGetPlatformIDs");
        cl_uint n = 0;
        CHECK(get && get(0, NULL, &n) == CL_SUCCESS && n >= 1);
        CHECK(dlclose(lib) == 0);
    }
    parent_goes_on();
}

static const struct check list[] = {
    { "child_connects_anew", child_connects_anew },
    { "child_that_uses_nothing", child_that_uses_nothing },
    { "child_releases_its_parents_objects", child_releases_its_parents_objects },
    { "fork_among_busy_threads", fork_among_busy_threads },
    { "loader_unloaded_and_loaded_again", loader_unloaded_and_loaded_again },
};
GROUP(processes, list);

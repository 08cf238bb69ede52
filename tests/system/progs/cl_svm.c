/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: shared virtual memory. Where the device has none, every call must say so. */
#include "cl_check.h"

#include <stdatomic.h>

static const char source[] =
    "struct node { global struct node *next; int value; };\n"
    "kernel void walk(global struct node *first, global int *sum) {\n"
    "    int s = 0;\n"
    "    for (global struct node *n = first; n; n = n->next) { s += n->value; n->value = -n->value; }\n"
    "    *sum = s; }\n"
    "kernel void increment(global int *x) { x[get_global_id(0)] += 1; }\n"
    "kernel void is_null(global int *p, global int *out) { *out = p == 0; }\n"
    "kernel void count(global volatile int *counter, int rounds) { for (int i = 0; i < rounds; i++) atomic_inc(counter); }\n"
    "kernel void answer(global volatile int *flag, global volatile int *out) {\n"
    "    for (uint i = 0; i < 400000000u && atomic_add(flag, 0) == 0; i++) ;\n"
    "    *out = atomic_add(flag, 0) + 1; }\n"
    "kernel void mixed(local int *l, int v, read_only image2d_t im, global int *x) { x[0] = v + l[0] + get_image_width(im); }\n";

struct node { struct node *next; int value; };

static cl_device_svm_capabilities capabilities(void)
{
    cl_device_svm_capabilities caps = 0;
    CL(clGetDeviceInfo(device, CL_DEVICE_SVM_CAPABILITIES, sizeof caps, &caps, NULL));
    return caps;
}

static cl_kernel svm_kernel(const char *name)
{
    const char *text = source;
    cl_program p = MAKE(clCreateProgramWithSource(context, 1, &text, NULL, &error_));
    CL(clBuildProgram(p, 1, &device, "-cl-kernel-arg-info", NULL, NULL));
    cl_kernel k = MAKE(clCreateKernel(p, name, &error_));
    CL(clReleaseProgram(p));
    return k;
}

static void *allocate(size_t size)
{
    void *p = clSVMAlloc(context, CL_MEM_READ_WRITE, size, 0);
    CHECK(p, "%zu bytes", size);
    return p;
}

static void map(void *p, size_t size, cl_map_flags flags) { CL(clEnqueueSVMMap(queue, CL_TRUE, flags, p, size, 0, NULL, NULL)); }
static void unmap(void *p) { CL(clEnqueueSVMUnmap(queue, p, 0, NULL, NULL)); }

static cl_command_type type_of(cl_event e)
{
    cl_command_type type = 0;
    CL(clGetEventInfo(e, CL_EVENT_COMMAND_TYPE, sizeof type, &type, NULL));
    return type;
}

static void absent_or_there(void)
{
    cl_device_svm_capabilities caps = capabilities();
    int x[4] = { 0 };
    void *pointers[1] = { x };
    if (caps) {
        CHECK(caps & CL_DEVICE_SVM_COARSE_GRAIN_BUFFER);
        CHECK(!(caps & CL_DEVICE_SVM_FINE_GRAIN_SYSTEM) || !on_share, "the program's own memory is not shared");
        return;
    }
    cl_kernel k = kernel("add_one");
    CHECK(!clSVMAlloc(context, CL_MEM_READ_WRITE, 64, 0));
    clSVMFree(context, x);
    EXPECT(CL_INVALID_OPERATION, clEnqueueSVMFree(queue, 1, pointers, NULL, NULL, 0, NULL, NULL));
    EXPECT(CL_INVALID_OPERATION, clEnqueueSVMMemcpy(queue, CL_TRUE, x, x + 2, 8, 0, NULL, NULL));
    EXPECT(CL_INVALID_OPERATION, clEnqueueSVMMemFill(queue, x, x + 2, 4, 4, 0, NULL, NULL));
    EXPECT(CL_INVALID_OPERATION, clEnqueueSVMMap(queue, CL_TRUE, CL_MAP_READ, x, 8, 0, NULL, NULL));
    EXPECT(CL_INVALID_OPERATION, clEnqueueSVMUnmap(queue, x, 0, NULL, NULL));
    EXPECT(CL_INVALID_OPERATION, clEnqueueSVMMigrateMem(queue, 1, (const void **)pointers, NULL, 0, 0, NULL, NULL));
    EXPECT(CL_INVALID_OPERATION, clSetKernelArgSVMPointer(k, 0, x));
    EXPECT(CL_INVALID_OPERATION, clSetKernelExecInfo(k, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof pointers, pointers));
}

static void allocations(void)
{
    cl_ulong most = 0;
    char *p[40];
    if (!capabilities())
        return;
    CL(clGetDeviceInfo(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof most, &most, NULL));
    for (unsigned i = 0; i < 40; i++) {
        cl_uint align = i % 9 ? 1u << i % 9 % 8 : 0;
        p[i] = clSVMAlloc(context, i % 3 ? CL_MEM_READ_WRITE : 0, 1 + i * 777, align);
        CHECK(p[i] && (uintptr_t)p[i] % (align ? align : 128) == 0, "%p aligned to %u", (void *)p[i], align);
        memset(p[i], (int)i, 1 + i * 777);
    }
    for (unsigned i = 0; i < 40; i++) {
        for (unsigned n = 0; n < 1 + i * 777; n++)
            CHECK(p[i][n] == (char)i);
        clSVMFree(context, p[i]);
    }
    clSVMFree(context, NULL);
    CHECK(!clSVMAlloc(context, CL_MEM_READ_WRITE, 0, 0));
    CHECK(!clSVMAlloc(context, CL_MEM_READ_WRITE, most + 1, 0));
    CHECK(!clSVMAlloc(context, CL_MEM_READ_WRITE, 64, 3));
    CHECK(!clSVMAlloc(context, CL_MEM_READ_WRITE, 64, 1u << 20));
    CHECK(!clSVMAlloc(context, CL_MEM_SVM_ATOMICS, 64, 0), "atomics without fine grain");
    if (on_share) {
        CHECK(!clSVMAlloc(context, CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY, 64, 0));
        CHECK(!clSVMAlloc(context, CL_MEM_USE_HOST_PTR, 64, 0));
        CHECK(!clSVMAlloc(context, (cl_svm_mem_flags)1 << 40, 64, 0));
        clSVMFree(context, &most);
    }
}

/* A list through two allocations: the pointers in it mean the same on both sides. */
static void pointers_in_memory(void)
{
    enum { N = 1000 };
    int expected = 0;
    if (!capabilities())
        return;
    struct node *a = allocate(N * sizeof *a), *b = allocate(N * sizeof *b);
    int *sum = allocate(sizeof *sum);
    map(a, N * sizeof *a, CL_MAP_WRITE);
    map(b, N * sizeof *b, CL_MAP_WRITE);
    for (int i = 0; i < N; i++) {
        a[i] = (struct node){ &b[(i * 7) % N], i };
        b[(i * 7) % N] = (struct node){ i + 1 < N ? &a[i + 1] : NULL, 3 * i };
        expected += 4 * i;
    }
    unmap(a);
    unmap(b);
    cl_kernel k = svm_kernel("walk");
    void *used[] = { b };
    CL(clSetKernelArgSVMPointer(k, 0, a));
    CL(clSetKernelArgSVMPointer(k, 1, sum));
    CL(clSetKernelExecInfo(k, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof used, used));
    for (int round = 0; round < 3; round++) {
        run_kernel(queue, k, 1);
        map(sum, sizeof *sum, CL_MAP_READ);
        CHECK(*sum == (round % 2 ? -expected : expected), "%d", *sum);
        unmap(sum);
    }
    map(a, N * sizeof *a, CL_MAP_READ);
    CHECK(a[10].value == -10);
    unmap(a);
    CL(clFinish(queue));
    clSVMFree(context, a);
    clSVMFree(context, b);
    clSVMFree(context, sum);
}

static void arguments(void)
{
    int *x, result = 9;
    if (!capabilities())
        return;
    x = allocate(4096);
    memset(x, 0, 4096);
    cl_kernel k = svm_kernel("increment"), null = svm_kernel("is_null"), mixed = svm_kernel("mixed");
    cl_mem m = buffer(4096);
    CL(clSetKernelArgSVMPointer(k, 0, x + 100));
    run_kernel(queue, k, 10);
    cl_kernel twin = MAKE(clCloneKernel(k, &error_));
    CL(clSetKernelArgSVMPointer(k, 0, x + 105));
    run_kernel(queue, twin, 10);
    run_kernel(queue, k, 10);
    CL(clSetKernelArg(k, 0, ARG(m)));
    run_kernel(queue, k, 10);
    CL(clSetKernelArgSVMPointer(k, 0, x + 100));
    run_kernel(queue, k, 1);
    CL(clFinish(queue));
    CHECK(x[99] == 0 && x[100] == 3 && x[104] == 2 && x[105] == 3 && x[109] == 3 && x[110] == 1 && x[115] == 0, "%d %d %d", x[100], x[104], x[109]);
    CL(clSetKernelArgSVMPointer(null, 0, NULL));
    CL(clSetKernelArgSVMPointer(null, 1, x));
    run_kernel(queue, null, 1);
    CL(clFinish(queue));
    CHECK(x[0] == 1);
    CL(clSetKernelArg(null, 1, ARG(m)));
    CL(clSetKernelArgSVMPointer(null, 0, x));
    run_kernel(queue, null, 1);
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, sizeof result, &result, 0, NULL, NULL));
    CHECK(result == 0);
    EXPECT(CL_INVALID_ARG_INDEX, clSetKernelArgSVMPointer(k, 1, x));
    EXPECT(CL_INVALID_ARG_VALUE, clSetKernelArgSVMPointer(mixed, 0, x));
    EXPECT(CL_INVALID_ARG_VALUE, clSetKernelArgSVMPointer(mixed, 1, x));
    EXPECT(CL_INVALID_ARG_VALUE, clSetKernelArgSVMPointer(mixed, 2, x));
    CL(clSetKernelArgSVMPointer(mixed, 3, x));
    if (on_share) {
        EXPECT(CL_INVALID_ARG_VALUE, clSetKernelArgSVMPointer(k, 0, &result));
        EXPECT(CL_INVALID_ARG_VALUE, clSetKernelArgSVMPointer(k, 0, (char *)x - 1));
        EXPECT(CL_INVALID_ARG_VALUE, clSetKernelArgSVMPointer(k, 0, (char *)x + 4096));
    }
    clSVMFree(context, x);
    if (on_share)
        EXPECT(CL_INVALID_ARG_VALUE, clSetKernelArgSVMPointer(k, 0, x));
}

static void exec_info(void)
{
    cl_bool yes = CL_TRUE, no = CL_FALSE;
    if (!capabilities())
        return;
    cl_kernel k = svm_kernel("increment");
    void *x = allocate(64);
    CL(clSetKernelExecInfo(k, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof x, &x));
    CL(clSetKernelExecInfo(k, CL_KERNEL_EXEC_INFO_SVM_PTRS, 0, NULL));
    CL(clSetKernelExecInfo(k, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof no, &no));
    if (on_share) {
        EXPECT(CL_INVALID_OPERATION, clSetKernelExecInfo(k, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof yes, &yes));
        EXPECT(CL_INVALID_VALUE, clSetKernelExecInfo(k, CL_KERNEL_EXEC_INFO_SVM_PTRS, 3, &x));
        EXPECT(CL_INVALID_VALUE, clSetKernelExecInfo(k, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof x, NULL));
        EXPECT(CL_INVALID_VALUE, clSetKernelExecInfo(k, 0x4242, sizeof x, &x));
        EXPECT(CL_INVALID_KERNEL, clSetKernelExecInfo(NULL, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof x, &x));
    }
    clSVMFree(context, x);
}

static void copies(void)
{
    enum { N = 100000 };
    uint64_t state = 11;
    if (!capabilities())
        return;
    char *a = allocate(N), *b = allocate(N), *mine = malloc(N), *other = malloc(N);
    random_fill(&state, mine, N - 8);
    CL(clEnqueueSVMMemcpy(queue, CL_TRUE, a, mine, N, 0, NULL, NULL));
    CL(clEnqueueSVMMemcpy(queue, CL_FALSE, b, a, N, 0, NULL, NULL));
    CL(clEnqueueSVMMemcpy(queue, CL_TRUE, other, b, N, 0, NULL, NULL));
    CHECK(memcmp(mine, other, N) == 0);
    /* In the queue's order, behind an event that is not there yet. */
    cl_kernel k = svm_kernel("increment");
    cl_event gate = user_event(), done[3];
    size_t items = 1000;
    memset(a, 0, N);
    memset(b, 9, N);
    CL(clSetKernelArgSVMPointer(k, 0, a));
    CL(clEnqueueNDRangeKernel(queue, k, 1, NULL, &items, NULL, 1, &gate, &done[0]));
    CL(clEnqueueSVMMemcpy(queue, CL_FALSE, b, a, N, 0, NULL, &done[1]));
    CL(clEnqueueNDRangeKernel(queue, k, 1, NULL, &items, NULL, 0, NULL, &done[2]));
    CHECK(b[0] == 9 && type_of(done[1]) == CL_COMMAND_SVM_MEMCPY);
    CHECK(status_of(done[1]) > CL_COMPLETE);
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clFinish(queue));
    CHECK(((int *)a)[999] == 2 && ((int *)b)[999] == 1 && ((int *)b)[1000] == 0, "%d %d", ((int *)a)[999], ((int *)b)[999]);
    CHECK(status_of(done[1]) == CL_COMPLETE);
    EXPECT(CL_MEM_COPY_OVERLAP, clEnqueueSVMMemcpy(queue, CL_TRUE, a, a + 10, 20, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueSVMMemcpy(queue, CL_TRUE, NULL, a, 20, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueSVMMemcpy(queue, CL_TRUE, a, NULL, 20, 0, NULL, NULL));
    EXPECT(CL_INVALID_COMMAND_QUEUE, clEnqueueSVMMemcpy(NULL, CL_TRUE, a, b, 20, 0, NULL, NULL));
    EXPECT(CL_INVALID_EVENT_WAIT_LIST, clEnqueueSVMMemcpy(queue, CL_TRUE, a, b, 20, 1, NULL, NULL));
    clSVMFree(context, a);
    clSVMFree(context, b);
    free(mine);
    free(other);
}

static void fills(void)
{
    uint8_t pattern[128];
    if (!capabilities())
        return;
    uint8_t *x = allocate(4096);
    for (unsigned i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 3 + 1);
    for (size_t n = 1; n <= 128; n *= 2) {
        memset(x, 0, 4096);
        CL(clEnqueueSVMMemFill(queue, x + 1024, pattern, n, 1024, 0, NULL, NULL));
        CL(clFinish(queue));
        for (unsigned i = 0; i < 1024; i++)
            CHECK(x[1024 + i] == pattern[i % n], "byte %u of %zu", i, n);
        CHECK(x[1023] == 0 && x[2048] == 0);
    }
    if (on_share) {
        EXPECT(CL_INVALID_VALUE, clEnqueueSVMMemFill(queue, NULL, pattern, 4, 16, 0, NULL, NULL));
        EXPECT(CL_INVALID_VALUE, clEnqueueSVMMemFill(queue, x, NULL, 4, 16, 0, NULL, NULL));
    }
    EXPECT(CL_INVALID_VALUE, clEnqueueSVMMemFill(queue, x, pattern, 3, 15, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueSVMMemFill(queue, x, pattern, 256, 256, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueSVMMemFill(queue, x + 2, pattern, 4, 16, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueSVMMemFill(queue, x, pattern, 4, 18, 0, NULL, NULL));
    clSVMFree(context, x);
}

static void maps_and_migration(void)
{
    cl_event done, unmapped, moved;
    if (!capabilities())
        return;
    int *x = allocate(4096);
    const void *list[2] = { x, x + 10 };
    const size_t sizes[2] = { 64, 0 }, beyond[2] = { 64, 4096 };
    CL(clEnqueueSVMMap(queue, CL_FALSE, CL_MAP_WRITE_INVALIDATE_REGION, x, 64, 0, NULL, &done));
    CHECK(type_of(done) == CL_COMMAND_SVM_MAP);
    CL(clWaitForEvents(1, &done));
    CL(clEnqueueSVMUnmap(queue, x, 1, &done, &unmapped));
    CHECK(type_of(unmapped) == CL_COMMAND_SVM_UNMAP);
    CL(clEnqueueSVMMigrateMem(queue, 2, list, sizes, 0, 1, &unmapped, &moved));
    CHECK(type_of(moved) == CL_COMMAND_SVM_MIGRATE_MEM);
    CL(clEnqueueSVMMigrateMem(queue, 2, list, NULL, CL_MIGRATE_MEM_OBJECT_HOST, 0, NULL, NULL));
    CL(clFinish(queue));
    EXPECT(CL_INVALID_VALUE, clEnqueueSVMMap(queue, CL_TRUE, CL_MAP_READ, NULL, 64, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueSVMMap(queue, CL_TRUE, CL_MAP_READ, x, 0, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueSVMUnmap(queue, NULL, 0, NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clEnqueueSVMMigrateMem(queue, 0, NULL, NULL, 0, 0, NULL, NULL));
    if (on_share) {
        EXPECT(CL_INVALID_VALUE, clEnqueueSVMMigrateMem(queue, 2, list, beyond, 0, 0, NULL, NULL));
        EXPECT(CL_INVALID_VALUE, clEnqueueSVMMigrateMem(queue, 2, list, sizes, 0x80, 0, NULL, NULL));
    }
    clSVMFree(context, x);
}

static struct { _Atomic unsigned calls; cl_uint n; void *first; cl_command_queue queue; } freed;

static void CL_CALLBACK on_free(cl_command_queue q, cl_uint n, void *list[], void *user)
{
    freed.n = n;
    freed.first = list[0];
    freed.queue = q;
    for (cl_uint i = 0; i < n; i++)
        clSVMFree(context, list[i]);
    atomic_fetch_add((_Atomic unsigned *)user, 1);
}

static void frees_in_a_queue(void)
{
    cl_event gate, done;
    if (!capabilities())
        return;
    gate = user_event();
    void *list[3] = { allocate(100), allocate(200), allocate(300) };
    void *first = list[0];
    CL(clEnqueueSVMFree(queue, 3, list, on_free, &freed.calls, 1, &gate, &done));
    list[0] = NULL;                  /* ours again as soon as the call has returned */
    CHECK(type_of(done) == CL_COMMAND_SVM_FREE);
    CHECK(atomic_load(&freed.calls) == 0);
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clWaitForEvents(1, &done));
    CHECK(atomic_load(&freed.calls) == 1 && freed.n == 3 && freed.first == first && freed.queue == queue);
    list[0] = allocate(100);
    CL(clEnqueueSVMFree(queue, 1, list, NULL, NULL, 0, NULL, &done));
    CL(clWaitForEvents(1, &done));
    EXPECT(CL_INVALID_VALUE, clEnqueueSVMFree(queue, 1, NULL, NULL, NULL, 0, NULL, NULL));
}

static void buffers_on_it(void)
{
    cl_bool uses = 9;
    void *host = NULL;
    int value = 0;
    if (!capabilities())
        return;
    int *x = allocate(8192);
    memset(x, 0, 8192);
    cl_mem m = MAKE(clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, 8192, x, &error_)), plain = buffer(64);
    cl_buffer_region half = { 4096, 4096 };
    cl_mem part = MAKE(clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &half, &error_));
    CL(clGetMemObjectInfo(m, CL_MEM_USES_SVM_POINTER, sizeof uses, &uses, NULL));
    CHECK(uses == CL_TRUE);
    CL(clGetMemObjectInfo(part, CL_MEM_USES_SVM_POINTER, sizeof uses, &uses, NULL));
    CHECK(uses == CL_TRUE || !on_share, "PoCL forgets it for sub-buffers");
    CL(clGetMemObjectInfo(plain, CL_MEM_USES_SVM_POINTER, sizeof uses, &uses, NULL));
    CHECK(uses == CL_FALSE);
    CL(clGetMemObjectInfo(m, CL_MEM_HOST_PTR, sizeof host, &host, NULL));
    CHECK(host == x);
    cl_kernel k = svm_kernel("increment");
    CL(clSetKernelArg(k, 0, ARG(m)));
    run_kernel(queue, k, 2048);
    CL(clSetKernelArg(k, 0, ARG(part)));
    run_kernel(queue, k, 1);
    CL(clSetKernelArgSVMPointer(k, 0, x + 1024));
    run_kernel(queue, k, 1);
    int *mapped = MAKE(clEnqueueMapBuffer(queue, m, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, 8192, 0, NULL, NULL, &error_));
    CHECK(mapped == x && x[0] == 1 && x[1024] == 3 && x[2047] == 1, "%p %p %d", (void *)mapped, (void *)x, x[1024]);
    x[5] = 77;
    CL(clEnqueueUnmapMemObject(queue, m, mapped, 0, NULL, NULL));
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 20, 4, &value, 0, NULL, NULL));
    CHECK(value == 77);
    value = 88;
    CL(clEnqueueWriteBuffer(queue, part, CL_TRUE, 4, 4, &value, 0, NULL, NULL));
    CHECK(x[1025] == 88);
    cl_mem later = MAKE(clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, 4096, x + 256, &error_));
    CL(clEnqueueFillBuffer(queue, later, &value, 4, 0, 8, 0, NULL, NULL));
    CL(clFinish(queue));
    CHECK(x[255] == 1 && x[256] == 88 && x[257] == 88 && x[258] == 1);
    if (on_share)
        REFUSED(CL_INVALID_BUFFER_SIZE, clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, 8192, x + 1, &error_));
    CL(clReleaseMemObject(part));
    CL(clReleaseMemObject(later));
    CL(clReleaseMemObject(m));
    clSVMFree(context, x);
}

/* The kernel waits for a word that the host writes while it runs. */
static void fine_grain_is_seen_at_once(void)
{
    if (!(capabilities() & CL_DEVICE_SVM_FINE_GRAIN_BUFFER && capabilities() & CL_DEVICE_SVM_ATOMICS))
        return;
    _Atomic int *flag = clSVMAlloc(context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS, 256, 0);
    CHECK(flag);
    flag[0] = flag[32] = 0;
    cl_kernel k = svm_kernel("answer");
    CL(clSetKernelArgSVMPointer(k, 0, (void *)flag));
    CL(clSetKernelArgSVMPointer(k, 1, (void *)(flag + 32)));
    cl_event e = launch(queue, k, 1, 0, NULL);
    CL(clFlush(queue));
    CHECK(reaches(e, CL_RUNNING, 20));
    pause_ms(5);
    atomic_store(flag, 41);
    for (double end = now() + 20; atomic_load(&flag[32]) == 0 && now() < end;)
        ;
    CHECK(flag[32] == 42, "%d", flag[32]);
    CL(clFinish(queue));
    clSVMFree(context, (void *)flag);
}

static void count_here(void *arg, unsigned index)
{
    for (int i = 0; i < 200000; i++)
        atomic_fetch_add((_Atomic int *)arg, 1);
}

static void atomics_with_the_host(void)
{
    int rounds = 1000;
    if (!(capabilities() & CL_DEVICE_SVM_ATOMICS))
        return;
    _Atomic int *counter = clSVMAlloc(context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS, 64, 0);
    CHECK(counter);
    *counter = 0;
    cl_kernel k = svm_kernel("count");
    CL(clSetKernelArgSVMPointer(k, 0, (void *)counter));
    CL(clSetKernelArg(k, 1, ARG(rounds)));
    run_kernel(queue, k, 512);
    CL(clFlush(queue));
    threads_run(2, count_here, (void *)counter);
    CL(clFinish(queue));
    CHECK(*counter == 512 * 1000 + 400000, "%d", *counter);
    clSVMFree(context, (void *)counter);
}

/* It counts against the share's memory, and comes back. */
static void quota(void)
{
    cl_ulong total = 0;
    void *list[64];
    unsigned n = 0;
    const size_t piece = 32u << 20;
    if (!capabilities() || !on_share)
        return;
    CL(clGetDeviceInfo(device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof total, &total, NULL));
    for (int round = 0; round < 3; round++) {
        for (n = 0; n < 64 && (list[n] = clSVMAlloc(context, 0, piece, 0)); n++)
            *(int *)list[n] = 1;
        CHECK((cl_ulong)n * piece <= total && (cl_ulong)(n + 3) * piece > total, "%u pieces of %zu fit into %llu", n, piece, (unsigned long long)total);
        REFUSED(CL_MEM_OBJECT_ALLOCATION_FAILURE, clCreateBuffer(context, 0, 4 * piece, NULL, &error_));
        while (n)
            clSVMFree(context, list[--n]);
    }
}

static const struct check list[] = {
    { "absent_or_there", absent_or_there },
    { "allocations", allocations },
    { "pointers_in_memory", pointers_in_memory },
    { "arguments", arguments },
    { "exec_info", exec_info },
    { "copies", copies },
    { "fills", fills },
    { "maps_and_migration", maps_and_migration },
    { "frees_in_a_queue", frees_in_a_queue },
    { "buffers_on_it", buffers_on_it },
    { "fine_grain_is_seen_at_once", fine_grain_is_seen_at_once },
    { "atomics_with_the_host", atomics_with_the_host },
    { "quota", quota },
};
GROUP(svm, list);

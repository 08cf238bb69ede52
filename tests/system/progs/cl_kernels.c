/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: kernel arguments, index spaces, clones, printf, what kernels tell of themselves. */
#include "cl_check.h"

#include <fcntl.h>
#include <unistd.h>

static void read_back(cl_mem m, void *to, size_t n) { CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, n, to, 0, NULL, NULL)); }

/* ---- arguments ---- */

static void scalar_arguments(void)
{
    double out[9];
    cl_char a = -100;
    cl_uchar b = 200;
    cl_short c = -30000;
    cl_ushort d = 60000;
    cl_int i = INT32_MIN;
    cl_uint f = UINT32_MAX;
    cl_long g = -(INT64_C(1) << 50);
    cl_ulong h = UINT64_C(1) << 60;
    cl_float x = 0.15625f;
    cl_mem m = buffer(sizeof out);
    cl_kernel k = kernel("scalars");
    set_args(k, 10, ARG(a), ARG(b), ARG(c), ARG(d), ARG(i), ARG(f), ARG(g), ARG(h), ARG(x), ARG(m));
    run_kernel(queue, k, 1);
    read_back(m, out, sizeof out);
    CHECK(out[0] == a && out[1] == b && out[2] == c && out[3] == d && out[4] == i && out[5] == f);
    CHECK(out[6] == (double)g && out[7] == (double)h && out[8] == x);
}

static void vector_arguments(void)
{
    float out[7];
    cl_char2 a = { { 7, 3 } };
    cl_uchar4 b = { { 10, 20, 30, 40 } };
    cl_short8 c = { { 500, 0, 0, 0, 0, 0, 0, 20 } };
    cl_float3 d = { { 1.5f, 2.5f, 3.5f } };
    cl_float4 v = { { 0, 0, 0, 9.25f } };
    cl_int16 f = { { 5 } };
    cl_ulong2 g = { { 1, 4096 } };
    cl_mem m = buffer(sizeof out);
    cl_kernel k = kernel("vectors");
    f.s[15] = 1005;
    set_args(k, 8, ARG(a), ARG(b), ARG(c), ARG(d), ARG(v), ARG(f), ARG(g), ARG(m));
    run_kernel(queue, k, 1);
    read_back(m, out, sizeof out);
    CHECK(out[0] == 307 && out[1] == 100 && out[2] == 480 && out[3] == 7.5f && out[4] == 9.25f && out[5] == 1000 && out[6] == 4096);
}

static void structure_by_value(void)
{
    struct pack { cl_char c; cl_double d; cl_int a[20]; cl_float4 v; } p = { .c = 5, .d = 2.5, .v = { { 0, 0, 0, 8 } } };
    float out[5];
    cl_mem m = buffer(sizeof out);
    cl_kernel k = kernel("by_value");
    p.a[0] = 11;
    p.a[19] = 22;
    set_args(k, 2, ARG(p), ARG(m));
    memset(&p, 0, sizeof p);              /* the value was copied */
    run_kernel(queue, k, 1);
    read_back(m, out, sizeof out);
    CHECK(out[0] == 5 && out[1] == 2.5f && out[2] == 11 && out[3] == 22 && out[4] == 8, "%g %g %g %g %g", out[0], out[1], out[2], out[3], out[4]);
}

static void local_memory(void)
{
    enum { GROUP = 32, N = 256 };
    int data[N];
    size_t global = N, local = GROUP;
    for (int i = 0; i < N; i++)
        data[i] = i;
    cl_mem m = buffer_with(sizeof data, data);
    cl_kernel k = kernel("reverse");
    CL(clSetKernelArg(k, 0, sizeof m, &m));
    cl_ulong before = 99, after = 99;
    CL(clGetKernelWorkGroupInfo(k, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof before, &before, NULL));
    CL(clSetKernelArg(k, 1, GROUP * sizeof(int), NULL));
    CL(clGetKernelWorkGroupInfo(k, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof after, &after, NULL));
    CHECK(before == 0 && after == GROUP * sizeof(int), "%lu, %lu", (unsigned long)before, (unsigned long)after);
    CL(clEnqueueNDRangeKernel(queue, k, 1, NULL, &global, &local, 0, NULL, NULL));
    read_back(m, data, sizeof data);
    for (int i = 0; i < N; i++)
        CHECK(data[i] == i / GROUP * GROUP + GROUP - 1 - i % GROUP, "item %d", i);
}

static void null_buffer(void)
{
    int out = -1;
    cl_mem none = NULL, m = buffer_with(4, &out);
    cl_kernel k = kernel("nothing_there");
    set_args(k, 2, ARG(none), ARG(m));
    run_kernel(queue, k, 1);
    read_back(m, &out, 4);
    CHECK(out == 1);
    CL(clSetKernelArg(k, 0, sizeof none, NULL));
    CL(clEnqueueWriteBuffer(queue, m, CL_TRUE, 0, 4, &(int){ 7 }, 0, NULL, NULL));
    run_kernel(queue, k, 1);
    read_back(m, &out, 4);
    CHECK(out == 1, "%d", out);
    set_args(k, 2, ARG(m), ARG(m));
    run_kernel(queue, k, 1);
    read_back(m, &out, 4);
    CHECK(out == 0);
}

static void constant_memory(void)
{
    int t[16], out[64];
    for (int i = 0; i < 16; i++)
        t[i] = i * i;
    cl_mem from = MAKE(clCreateBuffer(context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof t, t, &error_)), to = buffer(sizeof out);
    cl_kernel k = kernel("table");
    set_args(k, 2, ARG(from), ARG(to));
    run_kernel(queue, k, 64);
    read_back(to, out, sizeof out);
    for (int i = 0; i < 64; i++)
        CHECK(out[i] == 2 * t[i % 16]);
}

/* A launch has the arguments of its moment, however often they change afterwards. */
static void arguments_changed_between_launches(void)
{
    enum { N = 2000 };
    static cl_uint out[N];
    cl_mem m = buffer_with(sizeof out, out), other = buffer_with(sizeof out, out);
    cl_kernel k = kernel("put");
    cl_event gate = user_event();
    CL(clEnqueueMarkerWithWaitList(queue, 1, &gate, NULL));
    CL(clSetKernelArg(k, 0, sizeof m, &m));
    for (cl_uint i = 0; i < N; i++) {
        cl_uint value = i * 3;
        CL(clSetKernelArg(k, 0, sizeof m, i % 5 ? &m : &other));
        CL(clSetKernelArg(k, 1, sizeof i, &i));
        if (i % 2)
            CL(clSetKernelArg(k, 2, sizeof value, &value));
        else
            CL(clSetKernelArg(k, 2, sizeof value, &(cl_uint){ 1 }));
        run_kernel(queue, k, 1);
    }
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    read_back(m, out, sizeof out);
    for (cl_uint i = 0; i < N; i++)
        CHECK(out[i] == (i % 5 == 0 ? 0 : i % 2 ? i * 3 : 1), "item %u", i);
    read_back(other, out, sizeof out);
    CHECK(out[0] == 1 && out[5] == 15 && out[6] == 0);
}

/* Releasing a buffer does not take it from launches that were enqueued with it. */
static void argument_released_after_the_launch(void)
{
    cl_uint out = 0;
    cl_kernel k = kernel("copy");
    cl_mem to = buffer(4);
    cl_event gate = user_event();
    CL(clEnqueueMarkerWithWaitList(queue, 1, &gate, NULL));
    cl_mem from = buffer_with(4, &(cl_uint){ 99 });
    set_args(k, 2, ARG(from), ARG(to));
    run_kernel(queue, k, 1);
    CL(clReleaseMemObject(from));
    CL(clReleaseKernel(k));
    for (int i = 0; i < 50; i++)
        buffer_with(4, &(cl_uint){ 1 });
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    read_back(to, &out, 4);
    CHECK(out == 99, "%u", out);
}

static void arguments_that_make_no_sense(void)
{
    cl_kernel k = kernel("put"), l = kernel("reverse"), unset = kernel("put");
    cl_mem m = buffer(64), none = NULL;
    cl_uint x = 1;
    size_t one = 1;
    EXPECT(CL_INVALID_ARG_INDEX, clSetKernelArg(k, 3, 4, &x));
    EXPECT(CL_INVALID_KERNEL, clSetKernelArg(NULL, 0, 4, &x));
    if (on_share) {               /* PoCL looks at no sizes of values, and takes any address for a buffer's */
        void *wild = &x;
        EXPECT(CL_INVALID_ARG_SIZE, clSetKernelArg(k, 1, 3, &x));
        EXPECT(CL_INVALID_ARG_SIZE, clSetKernelArg(k, 1, 0, &x));
        EXPECT(CL_INVALID_ARG_SIZE, clSetKernelArg(k, 0, 4, &m));
        EXPECT(CL_INVALID_ARG_VALUE, clSetKernelArg(k, 1, 4, NULL));
        EXPECT(CL_INVALID_ARG_SIZE, clSetKernelArg(l, 1, 0, NULL));
        EXPECT(CL_INVALID_ARG_VALUE, clSetKernelArg(l, 1, 4, &x));
        EXPECT(CL_INVALID_ARG_VALUE, clSetKernelArg(k, 0, sizeof wild, &wild));
    }
    EXPECT(CL_INVALID_KERNEL_ARGS, clEnqueueNDRangeKernel(queue, unset, 1, NULL, &one, NULL, 0, NULL, NULL));
    set_args(unset, 2, ARG(none), ARG(x));
    EXPECT(CL_INVALID_KERNEL_ARGS, clEnqueueNDRangeKernel(queue, unset, 1, NULL, &one, NULL, 0, NULL, NULL));
}

/* ---- clones and threads ---- */

static void clones_have_their_own_arguments(void)
{
    cl_uint out[4] = { 0 };
    cl_mem m = buffer_with(sizeof out, out);
    cl_kernel k = kernel("put");
    set_args(k, 3, ARG(m), sizeof(cl_uint), &(cl_uint){ 0 }, sizeof(cl_uint), &(cl_uint){ 10 });
    cl_kernel c = MAKE(clCloneKernel(k, &error_));
    CL(clSetKernelArg(c, 1, 4, &(cl_uint){ 1 }));
    run_kernel(queue, k, 1);
    run_kernel(queue, c, 1);
    CL(clSetKernelArg(k, 1, 4, &(cl_uint){ 2 }));
    CL(clReleaseKernel(c));
    run_kernel(queue, k, 1);
    read_back(m, out, sizeof out);
    CHECK(out[0] == 10 && out[1] == 10 && out[2] == 10 && out[3] == 0);
}

struct shared { cl_kernel kernel; cl_mem mem; };
enum { PER_THREAD = 300 };

static void launch_clone(void *arg, unsigned index)
{
    struct shared *s = arg;
    cl_command_queue q = queue_with(0);
    cl_kernel k = MAKE(clCloneKernel(s->kernel, &error_));
    for (cl_uint i = 0; i < PER_THREAD; i++) {
        cl_uint at = index * PER_THREAD + i, value = at + 1;
        CL(clSetKernelArg(k, 1, 4, &at));
        CL(clSetKernelArg(k, 2, 4, &value));
        run_kernel(q, k, 1);
    }
    CL(clFinish(q));
    CL(clReleaseKernel(k));
    CL(clReleaseCommandQueue(q));
}

static void threads_with_clones(void)
{
    static cl_uint out[8 * PER_THREAD];
    struct shared s = { kernel("put"), buffer_with(sizeof out, out) };
    CL(clSetKernelArg(s.kernel, 0, sizeof s.mem, &s.mem));
    CL(clSetKernelArg(s.kernel, 1, 4, &(cl_uint){ 0 }));
    CL(clSetKernelArg(s.kernel, 2, 4, &(cl_uint){ 0 }));
    threads_run(8, launch_clone, &s);
    read_back(s.mem, out, sizeof out);
    for (cl_uint i = 0; i < 8 * PER_THREAD; i++)
        CHECK(out[i] == i + 1, "item %u", i);
}

/* ---- index spaces ---- */

static void check_ids(cl_uint dims, const size_t *offset, const size_t *global, const size_t *local)
{
    size_t g[3] = { 1, 1, 1 }, o[3] = { 0, 0, 0 }, n;
    for (cl_uint i = 0; i < dims; i++) {
        g[i] = global[i];
        o[i] = offset ? offset[i] : 0;
    }
    n = g[0] * g[1] * g[2];
    cl_uint *out = calloc(n, sizeof *out);
    cl_mem m = buffer_with(n * sizeof *out, out);
    cl_kernel k = kernel("ids");
    set_args(k, 1, ARG(m));
    CL(clEnqueueNDRangeKernel(queue, k, dims, offset, global, local, 0, NULL, NULL));
    read_back(m, out, n * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        size_t x = o[0] + i % g[0], y = o[1] + i / g[0] % g[1], z = o[2] + i / g[0] / g[1];
        CHECK(out[i] == (cl_uint)(x + 1000 * y + 1000000 * z), "item %zu", i);
    }
    free(out);
    CL(clReleaseMemObject(m));
    CL(clReleaseKernel(k));
}

static void index_spaces(void)
{
    check_ids(1, NULL, (size_t[]){ 100 }, NULL);
    check_ids(1, (size_t[]){ 7 }, (size_t[]){ 64 }, (size_t[]){ 16 });
    check_ids(2, NULL, (size_t[]){ 24, 10 }, (size_t[]){ 8, 2 });
    check_ids(2, (size_t[]){ 0, 5 }, (size_t[]){ 24, 10 }, NULL);
    check_ids(3, (size_t[]){ 1, 2, 3 }, (size_t[]){ 8, 4, 6 }, (size_t[]){ 4, 2, 3 });
}

/* A range without items does nothing, in its turn (OpenCL 2.1 and later). */
static void empty_index_spaces(void)
{
    static const size_t ranges[][3] = { { 0, 0, 0 }, { 0, 4, 4 }, { 4, 0, 4 }, { 4, 4, 0 } };
    int out = 5;
    cl_mem m = buffer_with(4, &out);
    cl_kernel k = kernel("add_one");
    set_args(k, 1, ARG(m));
    for (size_t i = 0; i <= sizeof ranges / sizeof *ranges; i++) {
        cl_event gate = user_event(), e;
        CL(clEnqueueNDRangeKernel(queue, k, 3, NULL, i ? ranges[i - 1] : NULL, NULL, 1, &gate, &e));
        CHECK(status_of(e) > CL_COMPLETE);
        CL(clSetUserEventStatus(gate, CL_COMPLETE));
        CL(clWaitForEvents(1, &e));
    }
    read_back(m, &out, 4);
    CHECK(out == 5, "%d", out);
}

static void required_group_size(void)
{
    int out[32] = { 0 };
    size_t global = 32, right = 8, wrong = 16;
    cl_mem m = buffer_with(sizeof out, out);
    cl_kernel k = kernel("eights");
    set_args(k, 1, ARG(m));
    EXPECT(CL_INVALID_WORK_GROUP_SIZE, clEnqueueNDRangeKernel(queue, k, 1, NULL, &global, &wrong, 0, NULL, NULL));
    for (int i = 0; i < 2; i++) {
        if (i && !on_share)          /* PoCL refuses to take the kernel's own */
            continue;
        CL(clEnqueueFillBuffer(queue, m, &(int){ 0 }, 4, 0, sizeof out, 0, NULL, NULL));
        CL(clEnqueueNDRangeKernel(queue, k, 1, NULL, &global, i ? NULL : &right, 0, NULL, NULL));
        read_back(m, out, sizeof out);
        CHECK(out[0] == 8 && out[31] == 8);
    }
}

static void index_spaces_that_make_no_sense(void)
{
    size_t max[3] = { 0 }, global[4] = { 64, 64, 64, 64 }, local[3] = { 0, 1, 1 };
    cl_mem m = buffer(4);
    cl_kernel k = kernel("add_one");
    set_args(k, 1, ARG(m));
    CL(clGetDeviceInfo(device, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof max, max, NULL));
    EXPECT(CL_INVALID_WORK_DIMENSION, clEnqueueNDRangeKernel(queue, k, 0, NULL, global, NULL, 0, NULL, NULL));
    EXPECT(CL_INVALID_WORK_DIMENSION, clEnqueueNDRangeKernel(queue, k, 4, NULL, global, NULL, 0, NULL, NULL));
    local[0] = max[0] * 2;
    global[0] = local[0];
    cl_int e = clEnqueueNDRangeKernel(queue, k, 1, NULL, global, local, 0, NULL, NULL);
    CHECK(e == CL_INVALID_WORK_ITEM_SIZE || e == CL_INVALID_WORK_GROUP_SIZE, "%s", error_name(e));
    EXPECT(CL_INVALID_COMMAND_QUEUE, clEnqueueNDRangeKernel(NULL, k, 1, NULL, global, NULL, 0, NULL, NULL));
    if (on_share)                 /* PoCL follows the null pointer */
        EXPECT(CL_INVALID_KERNEL, clEnqueueNDRangeKernel(queue, NULL, 1, NULL, global, NULL, 0, NULL, NULL));
}

static void task(void)
{
    int out = 5;
    cl_mem m = buffer_with(4, &out);
    cl_kernel k = kernel("add_one");
    cl_event e;
    set_args(k, 1, ARG(m));
    CL(clEnqueueTask(queue, k, 0, NULL, &e));
    CL(clWaitForEvents(1, &e));
    read_back(m, &out, 4);
    CHECK(out == 6);
}

/* The test looks for the line among what this program has printed. */
static void printf_reaches_our_stdout(void)
{
    cl_kernel k = kernel("say");
    fflush(stdout);
    set_args(k, 2, sizeof(int), &(int){ 4242 }, sizeof(float), &(float){ 0.25f });
    run_kernel(queue, k, 4);
    CL(clFinish(queue));
}

/* Kernels print where this process's stdout goes at their launch, also into a file that is opened anew each time. */
static void printf_follows_a_redirected_stdout(void)
{
    char path[] = "/tmp/tranche-said.XXXXXX", text[256];
    int kept = dup(STDOUT_FILENO), made = mkstemp(path);
    cl_kernel k = kernel("say");
    CHECK(kept >= 0 && made >= 0);
    close(made);
    for (int i = 0; i < 3; i++) {
        fflush(stdout);
        int out = open(path, O_WRONLY | O_TRUNC);
        dup2(out, STDOUT_FILENO);
        close(out);
        set_args(k, 2, sizeof(int), &(int){ 100 + i }, sizeof(float), &(float){ 0.5f });
        run_kernel(queue, k, 4);
        CL(clFinish(queue));
        dup2(kept, STDOUT_FILENO);
        FILE *in = fopen(path, "r");
        size_t n = fread(text, 1, sizeof text - 1, in);
        text[n] = '\0';
        fclose(in);
        char expected[64];
        snprintf(expected, sizeof expected, "said: %d 0.50\n", 100 + i);
        CHECK(strstr(text, expected), "round %d: '%s'", i, text);
    }
    close(kept);
    unlink(path);
}

/* ---- what kernels tell ---- */

static void see_arguments(cl_kernel k, const char *name, cl_uint n)
{
    for (cl_uint i = 0; i < n; i++) {
        char type[64] = "", text[64] = "";
        cl_kernel_arg_address_qualifier address = 0;
        cl_kernel_arg_access_qualifier access = 0;
        cl_kernel_arg_type_qualifier qualifier = 99;
        CL(clGetKernelArgInfo(k, i, CL_KERNEL_ARG_TYPE_NAME, sizeof type, type, NULL));
        CL(clGetKernelArgInfo(k, i, CL_KERNEL_ARG_NAME, sizeof text, text, NULL));
        CL(clGetKernelArgInfo(k, i, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof address, &address, NULL));
        CL(clGetKernelArgInfo(k, i, CL_KERNEL_ARG_ACCESS_QUALIFIER, sizeof access, &access, NULL));
        CL(clGetKernelArgInfo(k, i, CL_KERNEL_ARG_TYPE_QUALIFIER, sizeof qualifier, &qualifier, NULL));
        see("%s.%u: %s %s %x %x %lx", name, i, type, text, address, access, (unsigned long)qualifier);
    }
}

static void what_kernels_tell(void)
{
    static const char *const names[] = { "add_one", "copy", "reverse", "by_value", "vectors", "table", "eights" };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char text[128] = "";
        cl_uint nargs = 0, refs = 0;
        size_t group = 0, multiple = 0, fixed[3] = { 9, 9, 9 }, bytes = 0;
        cl_ulong local = 99, private = 99;
        cl_context c = NULL;
        cl_kernel k = kernel(names[i]);
        CL(clGetKernelInfo(k, CL_KERNEL_FUNCTION_NAME, sizeof text, text, &bytes));
        CHECK(strcmp(text, names[i]) == 0 && bytes == strlen(names[i]) + 1);
        CL(clGetKernelInfo(k, CL_KERNEL_NUM_ARGS, sizeof nargs, &nargs, NULL));
        CL(clGetKernelInfo(k, CL_KERNEL_REFERENCE_COUNT, sizeof refs, &refs, NULL));
        CL(clGetKernelInfo(k, CL_KERNEL_CONTEXT, sizeof c, &c, NULL));
        CHECK(refs == 1 && c == context);
        CL(clGetKernelWorkGroupInfo(k, device, CL_KERNEL_WORK_GROUP_SIZE, sizeof group, &group, NULL));
        CL(clGetKernelWorkGroupInfo(k, device, CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, sizeof multiple, &multiple, NULL));
        CL(clGetKernelWorkGroupInfo(k, device, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof fixed, fixed, NULL));
        CL(clGetKernelWorkGroupInfo(k, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local, &local, NULL));
        CL(clGetKernelWorkGroupInfo(k, device, CL_KERNEL_PRIVATE_MEM_SIZE, sizeof private, &private, NULL));
        see("%s: %u arguments, group %zu, multiple %zu, fixed %zu %zu %zu, local %lu, private %lu", names[i], nargs, group, multiple, fixed[0], fixed[1],
            fixed[2], (unsigned long)local, (unsigned long)private);
        see_arguments(k, names[i], nargs);
        EXPECT(CL_INVALID_VALUE, clGetKernelInfo(k, CL_KERNEL_NUM_ARGS, 1, &nargs, NULL));
        EXPECT(CL_INVALID_VALUE, clGetKernelInfo(k, 0x4242, sizeof nargs, &nargs, NULL));
        EXPECT(CL_INVALID_ARG_INDEX, clGetKernelArgInfo(k, nargs, CL_KERNEL_ARG_NAME, sizeof text, text, NULL));
    }
}

static const struct check list[] = {
    { "scalar_arguments", scalar_arguments },
    { "vector_arguments", vector_arguments },
    { "structure_by_value", structure_by_value },
    { "local_memory", local_memory },
    { "null_buffer", null_buffer },
    { "constant_memory", constant_memory },
    { "arguments_changed_between_launches", arguments_changed_between_launches },
    { "argument_released_after_the_launch", argument_released_after_the_launch },
    { "arguments_that_make_no_sense", arguments_that_make_no_sense },
    { "clones_have_their_own_arguments", clones_have_their_own_arguments },
    { "threads_with_clones", threads_with_clones },
    { "index_spaces", index_spaces },
    { "empty_index_spaces", empty_index_spaces },
    { "required_group_size", required_group_size },
    { "index_spaces_that_make_no_sense", index_spaces_that_make_no_sense },
    { "task", task },
    { "printf_reaches_our_stdout", printf_reaches_our_stdout },
    { "printf_follows_a_redirected_stdout", printf_follows_a_redirected_stdout },
    { "what_kernels_tell", what_kernels_tell },
};
GROUP(kernels, list);

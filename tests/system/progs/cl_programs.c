/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: sources, builds and their logs, binaries. */
#include "cl_check.h"

#include <stdatomic.h>

static cl_program from_source(const char *text) { return MAKE(clCreateProgramWithSource(context, 1, &text, NULL, &error_)); }

static cl_program built(const char *text, const char *options)
{
    cl_program p = from_source(text);
    CL(clBuildProgram(p, 1, &device, options, NULL, NULL));
    return p;
}

static cl_build_status build_status(cl_program p)
{
    cl_build_status status = 99;
    CL(clGetProgramBuildInfo(p, device, CL_PROGRAM_BUILD_STATUS, sizeof status, &status, NULL));
    return status;
}

static int answer_of(cl_program p)
{
    int out = -1;
    cl_mem m = buffer_with(4, &out);
    cl_kernel k = MAKE(clCreateKernel(p, "answer", &error_));
    set_args(k, 1, ARG(m));
    run_kernel(queue, k, 1);
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 4, &out, 0, NULL, NULL));
    CL(clReleaseKernel(k));
    CL(clReleaseMemObject(m));
    return out;
}

static void build_errors_have_a_log(void)
{
    char log[20000] = "", *all;
    size_t n = 0;
    cl_program p = from_source("kernel void broken(global int *x) {\n    x[0] = not_declared_anywhere;\n}\n");
    CHECK(build_status(p) == CL_BUILD_NONE);
    EXPECT(CL_BUILD_PROGRAM_FAILURE, clBuildProgram(p, 1, &device, "", NULL, NULL));
    CHECK(build_status(p) == CL_BUILD_ERROR);
    CL(clGetProgramBuildInfo(p, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &n));
    CHECK(n > 10);
    all = calloc(1, n);
    CL(clGetProgramBuildInfo(p, device, CL_PROGRAM_BUILD_LOG, n, all, NULL));
    CHECK(strlen(all) + 1 == n);
    CHECK(strstr(all, "not_declared_anywhere"), "the log says: %s", all);
    EXPECT(CL_INVALID_VALUE, clGetProgramBuildInfo(p, device, CL_PROGRAM_BUILD_LOG, 3, log, NULL));
    REFUSED(CL_INVALID_PROGRAM_EXECUTABLE, clCreateKernel(p, "broken", &error_));
    free(all);
}

static void long_build_logs(void)
{
    size_t n = 0, at = 0;
    char *text = malloc(200000);
    for (int i = 0; i < 15; i++)
        at += (size_t)sprintf(text + at, "kernel void f%d(global int *x) { x[0] = a_name_that_is_nowhere_declared_%0300d; }\n", i, i);
    cl_program p = from_source(text);
    EXPECT(CL_BUILD_PROGRAM_FAILURE, clBuildProgram(p, 1, &device, "", NULL, NULL));
    CL(clGetProgramBuildInfo(p, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &n));
    CHECK(n > 4000, "%zu", n);
    free(text);
}

static const char answer[] = "kernel void answer(global int *x) { x[0] = ANSWER; }\n";

static void options_count(void)
{
    char text[64] = "";
    cl_program p = built(answer, "-DANSWER=42");
    CHECK(build_status(p) == CL_BUILD_SUCCESS);
    CHECK(answer_of(p) == 42);
    CL(clGetProgramBuildInfo(p, device, CL_PROGRAM_BUILD_OPTIONS, sizeof text, text, NULL));
    CHECK(strcmp(text, "-DANSWER=42") == 0, "'%s'", text);
    CL(clBuildProgram(p, 1, &device, "-D ANSWER=43", NULL, NULL));       /* again, otherwise */
    CHECK(answer_of(p) == 43);
    CL(clBuildProgram(p, 0, NULL, "-D ANSWER=44 -cl-fast-relaxed-math", NULL, NULL));
    CHECK(answer_of(p) == 44);
}

static void wrong_options_are_refused(void)
{
    cl_program p = from_source(answer);
    cl_int e = clBuildProgram(p, 1, &device, "-no-such-option", NULL, NULL);
    SEE("wrong option", error_name(e), "%s");
    CHECK(e == CL_INVALID_BUILD_OPTIONS || e == CL_BUILD_PROGRAM_FAILURE);
    EXPECT(CL_INVALID_PROGRAM, clBuildProgram(NULL, 1, &device, "", NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clBuildProgram(p, 1, NULL, "", NULL, NULL));
    EXPECT(CL_INVALID_VALUE, clBuildProgram(p, 0, &device, "", NULL, NULL));
}

static void rebuilding_needs_its_kernels_gone(void)
{
    cl_program p = built(answer, "-DANSWER=1");
    cl_kernel k = MAKE(clCreateKernel(p, "answer", &error_));
    EXPECT(CL_INVALID_OPERATION, clBuildProgram(p, 1, &device, "-DANSWER=2", NULL, NULL));
    CL(clReleaseKernel(k));
    CL(clBuildProgram(p, 1, &device, "-DANSWER=2", NULL, NULL));
    CHECK(answer_of(p) == 2);
}

static void sources_in_pieces(void)
{
    const char *pieces[3] = { "kernel void answer(XXXX", "global int *x) { x[0] = 7;", " }\nGARBAGE" };
    size_t lengths[3] = { 19, 0, 3 };
    char text[128] = "";
    cl_program p = MAKE(clCreateProgramWithSource(context, 3, pieces, lengths, &error_));
    CL(clGetProgramInfo(p, CL_PROGRAM_SOURCE, sizeof text, text, NULL));
    CHECK(strcmp(text, "kernel void answer(global int *x) { x[0] = 7; }\n") == 0, "'%s'", text);
    CL(clBuildProgram(p, 1, &device, NULL, NULL, NULL));
    CHECK(answer_of(p) == 7);
}

/* Larger than everything that it travels through. */
static void source_of_megabytes(void)
{
    size_t n = 3000000;
    char *text = malloc(n + 200);
    text[0] = '/';
    text[1] = '*';
    memset(text + 2, 'x', n);
    strcpy(text + n, "*/\nkernel void answer(global int *x) { x[0] = 11; }\n");
    cl_program p = built(text, "");
    CHECK(answer_of(p) == 11);
    char *back = malloc(n + 200);
    CL(clGetProgramInfo(p, CL_PROGRAM_SOURCE, n + 200, back, NULL));
    CHECK(strcmp(text, back) == 0);
    free(text);
    free(back);
}

static void kernels_in_program(void)
{
    char names[128] = "";
    size_t n = 0;
    cl_uint count = 0;
    cl_kernel list[4] = { NULL };
    cl_program p = built("kernel void one(global int *x) { x[0] = 1; }\nkernel void two(global int *x, int y) { x[0] = y; }\n", "");
    CL(clGetProgramInfo(p, CL_PROGRAM_NUM_KERNELS, sizeof n, &n, NULL));
    CHECK(n == 2);
    CL(clGetProgramInfo(p, CL_PROGRAM_KERNEL_NAMES, sizeof names, names, NULL));
    CHECK(strcmp(names, "one;two") == 0 || strcmp(names, "two;one") == 0, "%s", names);
    CL(clCreateKernelsInProgram(p, 0, NULL, &count));
    CHECK(count == 2);
    CL(clCreateKernelsInProgram(p, 4, list, &count));
    CHECK(list[0] && list[1] && !list[2]);
    EXPECT(CL_INVALID_VALUE, clCreateKernelsInProgram(p, 1, list, NULL));
    REFUSED(CL_INVALID_KERNEL_NAME, clCreateKernel(p, "three", &error_));
    REFUSED(CL_INVALID_VALUE, clCreateKernel(p, NULL, &error_));
}

/* A kernel's name may be of any length. */
static void long_names(void)
{
    enum { LENGTH = 5000 };
    static char name[LENGTH + 1], text[LENGTH + 100], told[LENGTH + 1];
    memset(name, 'k', LENGTH);
    snprintf(text, sizeof text, "kernel void %s(global int *x) { x[0] = 42; }", name);
    cl_program p = built(text, "");
    cl_kernel k = MAKE(clCreateKernel(p, name, &error_));
    CL(clGetKernelInfo(k, CL_KERNEL_FUNCTION_NAME, sizeof told, told, NULL));
    CHECK(strcmp(told, name) == 0);
    CL(clReleaseKernel(k));
    CL(clReleaseProgram(p));
}

static void kernels_outlive_their_program_handle(void)
{
    int out = 0;
    cl_program p = built(answer, "-DANSWER=5");
    cl_kernel k = MAKE(clCreateKernel(p, "answer", &error_));
    CL(clReleaseProgram(p));
    cl_mem m = buffer(4);
    set_args(k, 1, ARG(m));
    run_kernel(queue, k, 1);
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 4, &out, 0, NULL, NULL));
    CHECK(out == 5);
}

static unsigned char *binary_of(cl_program p, size_t *ret_n)
{
    CL(clGetProgramInfo(p, CL_PROGRAM_BINARY_SIZES, sizeof *ret_n, ret_n, NULL));
    CHECK(*ret_n > 0);
    unsigned char *data = calloc(1, *ret_n);
    CL(clGetProgramInfo(p, CL_PROGRAM_BINARIES, sizeof data, &data, NULL));
    return data;
}

static void binaries_go_round(void)
{
    size_t n = 0;
    cl_int status = 99;
    cl_program_binary_type type = 0;
    cl_program p = built(answer, "-DANSWER=77");
    CHECK(answer_of(p) == 77);
    unsigned char *data = binary_of(p, &n);
    const unsigned char *given = data;
    CL(clReleaseProgram(p));
    cl_program again = MAKE(clCreateProgramWithBinary(context, 1, &device, &n, &given, &status, &error_));
    CHECK(status == CL_SUCCESS);
    CL(clBuildProgram(again, 1, &device, "", NULL, NULL));
    CHECK(answer_of(again) == 77);
    CL(clGetProgramBuildInfo(again, device, CL_PROGRAM_BINARY_TYPE, sizeof type, &type, NULL));
    CHECK(type == CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
    free(data);
}

static cl_program_binary_type type_of(cl_program p)
{
    cl_program_binary_type type = 0x4242;
    CL(clGetProgramBuildInfo(p, device, CL_PROGRAM_BINARY_TYPE, sizeof type, &type, NULL));
    return type;
}

static cl_program from_binary_of(cl_program p)
{
    size_t n = 0;
    unsigned char *data = binary_of(p, &n);
    const unsigned char *given = data;
    cl_program again = MAKE(clCreateProgramWithBinary(context, 1, &device, &n, &given, NULL, &error_));
    free(data);
    return again;
}

/* A program made from a binary is what the binary is, before anything is done with it. */
static void binaries_tell_what_they_are(void)
{
    cl_program p = from_source("kernel void answer(global int *x) { x[0] = 5; }");
    CL(clCompileProgram(p, 1, &device, "", 0, NULL, NULL, NULL, NULL));
    cl_program object = from_binary_of(p);
    CHECK(type_of(object) == CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT, "%x", type_of(object));
    cl_program library = from_binary_of(MAKE(clLinkProgram(context, 1, &device, "-create-library", 1, &object, NULL, NULL, &error_)));
    CHECK(type_of(library) == CL_PROGRAM_BINARY_TYPE_LIBRARY, "%x", type_of(library));
    cl_program linked = MAKE(clLinkProgram(context, 1, &device, "", 1, &library, NULL, NULL, &error_));
    CHECK(type_of(linked) == CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
    CHECK(answer_of(linked) == 5);
    cl_program executable = from_binary_of(linked);
    CHECK(type_of(executable) == CL_PROGRAM_BINARY_TYPE_EXECUTABLE, "%x", type_of(executable));
}

static void binaries_that_are_none(void)
{
    static const unsigned char garbage[1000] = "this is no binary of anything";
    const unsigned char *given = garbage, *none = NULL;
    size_t n = sizeof garbage, zero = 0;
    cl_int status = 99;
    REFUSED(CL_INVALID_BINARY, clCreateProgramWithBinary(context, 1, &device, &n, &given, &status, &error_));
    CHECK(status == CL_INVALID_BINARY, "%s", error_name(status));
    REFUSED(CL_INVALID_VALUE, clCreateProgramWithBinary(context, 1, &device, &zero, &given, &status, &error_));
    REFUSED(CL_INVALID_VALUE, clCreateProgramWithBinary(context, 1, &device, &n, &none, &status, &error_));
    REFUSED(CL_INVALID_VALUE, clCreateProgramWithBinary(context, 0, NULL, &n, &given, &status, &error_));
}

static _Atomic int notified;
static void CL_CALLBACK notify(cl_program p, void *user) { atomic_fetch_add(&notified, p == *(cl_program *)user ? 1 : 100); }

static void build_notifies(void)
{
    cl_program p = from_source(answer);
    atomic_store(&notified, 0);
    CL(clBuildProgram(p, 1, &device, "-DANSWER=8", notify, &p));
    for (double end = now() + 20; !atomic_load(&notified) && now() < end;)
        pause_ms(1);
    CHECK(atomic_load(&notified) == 1);
    CHECK(build_status(p) == CL_BUILD_SUCCESS);
    CHECK(answer_of(p) == 8);
    EXPECT(CL_INVALID_VALUE, clBuildProgram(p, 1, &device, "-DANSWER=8", NULL, &p));
}

/* A source that keeps the compiler busy for a while; `salt` makes it one that no cache knows. */
static char *long_source(unsigned salt)
{
    enum { KERNELS = 120 };
    char *text = malloc(KERNELS * 256 + 256), *at = text;
    CHECK(text != NULL);
    at += sprintf(at, "kernel void answer(global int *x) { x[0] = %u; }\n", salt);
    for (unsigned i = 0; i < KERNELS; i++)
        at += sprintf(at, "kernel void k%u(global float *x) { int g = get_global_id(0); for (int i = 0; i < %u; i++) x[g] = sin(x[g] * %u.0f) + cos(x[g] + i) * pow(x[g], %u.5f); }\n",
                      i, i + 3, salt % 1000 + i, i);
    return text;
}

/* While programs are being built with a callback, other calls of every kind are answered, and another thread's build is. */
static void builds_beside_everything_else(void)
{
    cl_program p[2];
    unsigned salt = (unsigned)(now() * 1e6) & 0xffffff, rounds = 0;
    atomic_store(&notified, 0);
    for (unsigned i = 0; i < 2; i++) {
        char *text = long_source(salt + i);
        p[i] = from_source(text);
        free(text);
    }
    for (int i = 0; i < 2; i++)
        CL(clBuildProgram(p[i], 1, &device, "", notify, &p[i]));
    if (on_share) {              /* PoCL returns when it has built */
        CHECK(atomic_load(&notified) == 0 && build_status(p[1]) == CL_BUILD_IN_PROGRESS);
        EXPECT(CL_INVALID_OPERATION, clBuildProgram(p[1], 1, &device, "", NULL, NULL));
        REFUSED(CL_INVALID_PROGRAM_EXECUTABLE, clCreateKernel(p[1], "answer", &error_));
    }
    for (int x = 0; atomic_load(&notified) < 2; rounds++) {
        cl_mem m = buffer_with(4, &x);
        cl_command_queue q = queue_with(0);
        cl_kernel k = kernel("add_one");
        set_args(k, 1, ARG(m));
        run_kernel(q, k, 1);
        CL(clEnqueueReadBuffer(q, m, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
        CHECK(x == (int)rounds + 1);
        CL(clReleaseKernel(k));
        CL(clReleaseCommandQueue(q));
        CL(clReleaseMemObject(m));
    }
    CHECK(!on_share || rounds >= 5, "%u rounds during two builds", rounds);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(build_status(p[i]) == CL_BUILD_SUCCESS);
        CHECK(answer_of(p[i]) == (int)(salt + i));
        CL(clReleaseProgram(p[i]));
    }
}

static void programs_tell_of_themselves(void)
{
    cl_program p = from_source(answer);
    cl_uint n = 0, refs = 0;
    cl_device_id d = NULL;
    cl_context c = NULL;
    size_t kernels_n = 0;
    CL(clGetProgramInfo(p, CL_PROGRAM_NUM_DEVICES, sizeof n, &n, NULL));
    CL(clGetProgramInfo(p, CL_PROGRAM_DEVICES, sizeof d, &d, NULL));
    CL(clGetProgramInfo(p, CL_PROGRAM_CONTEXT, sizeof c, &c, NULL));
    CHECK(n == 1 && d == device && c == context);
    EXPECT(CL_INVALID_PROGRAM_EXECUTABLE, clGetProgramInfo(p, CL_PROGRAM_NUM_KERNELS, sizeof kernels_n, &kernels_n, NULL));
    CL(clRetainProgram(p));
    CL(clGetProgramInfo(p, CL_PROGRAM_REFERENCE_COUNT, sizeof refs, &refs, NULL));
    CHECK(refs == 2);
    CL(clReleaseProgram(p));
    CL(clReleaseProgram(p));
}

static char order[16];

static void CL_CALLBACK note(cl_program p, void *user) { strcat(order, user); }

/* In reverse order, once nothing holds the program any more. */
static void release_calls_back(void)
{
    if (!on_share)          /* PoCL does not offer it */
        return;
    cl_program p = from_source(answer);
    CL(clSetProgramReleaseCallback(p, note, "a"));
    CL(clSetProgramReleaseCallback(p, note, "b"));
    CL(clBuildProgram(p, 1, &device, "-DANSWER=4", NULL, NULL));
    cl_kernel k = MAKE(clCreateKernel(p, "answer", &error_));
    CL(clReleaseProgram(p));
    CHECK(!*order, "%s", order);
    CL(clReleaseKernel(k));
    CHECK(strcmp(order, "ba") == 0, "%s", order);
    EXPECT(CL_INVALID_PROGRAM, clSetProgramReleaseCallback(NULL, note, NULL));
}

/* Carried where the driver has one, refused as specified where it has none. */
static void intermediate_language(void)
{
    static const unsigned char spirv[20] = { 0x03, 0x02, 0x23, 0x07, 0x00, 0x00, 0x01, 0x00 };
    char version[256] = "";
    size_t n = 9;
    cl_uint one = 1;
    cl_program p = from_source(answer);
    CL(clGetDeviceInfo(device, CL_DEVICE_IL_VERSION, sizeof version, version, NULL));
    CL(clGetProgramInfo(p, CL_PROGRAM_IL, 0, NULL, &n));
    CHECK(n == 0);
    if (*version || !on_share)
        return;
    REFUSED(CL_INVALID_OPERATION, clCreateProgramWithIL(context, spirv, sizeof spirv, &error_));
    REFUSED(CL_INVALID_CONTEXT, clCreateProgramWithIL(NULL, spirv, sizeof spirv, &error_));
    EXPECT(CL_INVALID_OPERATION, clSetProgramSpecializationConstant(p, 0, sizeof one, &one));
    EXPECT(CL_INVALID_PROGRAM, clSetProgramSpecializationConstant(NULL, 0, sizeof one, &one));
}

static const struct check list[] = {
    { "build_errors_have_a_log", build_errors_have_a_log },
    { "long_build_logs", long_build_logs },
    { "options_count", options_count },
    { "wrong_options_are_refused", wrong_options_are_refused },
    { "rebuilding_needs_its_kernels_gone", rebuilding_needs_its_kernels_gone },
    { "sources_in_pieces", sources_in_pieces },
    { "source_of_megabytes", source_of_megabytes },
    { "kernels_in_program", kernels_in_program },
    { "long_names", long_names },
    { "kernels_outlive_their_program_handle", kernels_outlive_their_program_handle },
    { "binaries_go_round", binaries_go_round },
    { "binaries_tell_what_they_are", binaries_tell_what_they_are },
    { "binaries_that_are_none", binaries_that_are_none },
    { "build_notifies", build_notifies },
    { "builds_beside_everything_else", builds_beside_everything_else },
    { "programs_tell_of_themselves", programs_tell_of_themselves },
    { "release_calls_back", release_calls_back },
    { "intermediate_language", intermediate_language },
};
GROUP(programs, list);

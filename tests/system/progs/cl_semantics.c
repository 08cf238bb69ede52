/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics GROUP [CHECK…]: many small checks of how OpenCL behaves, see cl_check.h. Ends with 0 when it ran to its end; the lines say what failed. */
#include "cl_check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#define CHECK_LIMIT_S 60        /* of one check: longer and it hangs */

cl_platform_id platform;
cl_device_id device;
cl_context context;
cl_command_queue queue;
bool on_share;

static cl_program program;
static const char *current = "start";
static __thread jmp_buf *way_out;
static __thread char *reason;
#define REASON_BYTES 512

/* ---- reporting ---- */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void check_fail(const char *file, int line, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = snprintf(reason, REASON_BYTES, "%s:%d ", file_name(file), line);
    vsnprintf(reason + n, (size_t)(REASON_BYTES - n), format, ap);
    va_end(ap);
    longjmp(*way_out, 1);
}

void check_false(const char *file, int line, const char *condition, const char *format, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    check_fail(file, line, "%s:%s", condition, text);
}

void see(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    printf("%s.", current);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

/* Runs body; false and a text in why when it failed. */
static bool guarded(void (*body)(void *arg, unsigned index), void *arg, unsigned index, char *why)
{
    jmp_buf here;
    way_out = &here;
    reason = why;
    if (setjmp(here))
        return false;
    body(arg, index);
    return true;
}

static void call_check(void *arg, unsigned index) { ((const struct check *)arg)->run(); }

static void on_alarm(int signal)
{
    char text[256];
    int n = snprintf(text, sizeof text, "%s: fail hangs, over %d s\n", current, CHECK_LIMIT_S);
    ssize_t ignored = write(STDOUT_FILENO, text, (size_t)n);
    (void)ignored;
    _exit(3);
}

static void run_check(const struct group *g, const struct check *c)
{
    char why[REASON_BYTES], name[128];
    snprintf(name, sizeof name, "%s.%s", g->name, c->name);
    current = name;
    alarm(CHECK_LIMIT_S);
    double begun = now();
    bool ok = guarded(call_check, (void *)c, 0, why);
    alarm(0);
    fprintf(stderr, "%s: %.3f s\n", name, now() - begun);
    printf(ok ? "%s: ok\n" : "%s: fail %s\n", name, why);
    fflush(stdout);
}

/* ---- threads ---- */

struct thread_work { void (*body)(void *, unsigned); void *arg; unsigned index; bool ok; char why[REASON_BYTES]; pthread_t thread; };

static void *thread_main(void *arg)
{
    struct thread_work *w = arg;
    w->ok = guarded(w->body, w->arg, w->index, w->why);
    return NULL;
}

void threads_run(unsigned n, void (*body)(void *arg, unsigned index), void *arg)
{
    struct thread_work *w = calloc(n, sizeof *w);
    const struct thread_work *bad = NULL;
    for (unsigned i = 0; i < n; i++) {
        w[i] = (struct thread_work){ .body = body, .arg = arg, .index = i };
        CHECK(pthread_create(&w[i].thread, NULL, thread_main, &w[i]) == 0);
    }
    for (unsigned i = 0; i < n; i++) {
        pthread_join(w[i].thread, NULL);
        if (!w[i].ok && !bad)
            bad = &w[i];
    }
    if (bad)
        check_fail(__FILE__, __LINE__, "thread %u: %s", bad->index, bad->why);
    free(w);
}

/* ---- helpers ---- */

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void pause_ms(unsigned ms) { usleep(ms * 1000); }

uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void random_fill(uint64_t *state, void *p, size_t n)
{
    uint8_t *bytes = p;
    for (; n >= 8; n -= 8, bytes += 8)
        memcpy(bytes, &(uint64_t){ random_next(state) }, 8);
    memcpy(bytes, &(uint64_t){ random_next(state) }, n);
}

const char *error_name(cl_int code)
{
#define NAME(x) case x: return #x;
    switch (code) {
    NAME(CL_SUCCESS) NAME(CL_DEVICE_NOT_FOUND) NAME(CL_DEVICE_NOT_AVAILABLE) NAME(CL_COMPILER_NOT_AVAILABLE) NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE)
    NAME(CL_OUT_OF_RESOURCES) NAME(CL_OUT_OF_HOST_MEMORY) NAME(CL_PROFILING_INFO_NOT_AVAILABLE) NAME(CL_MEM_COPY_OVERLAP) NAME(CL_BUILD_PROGRAM_FAILURE)
    NAME(CL_MAP_FAILURE) NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET) NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST) NAME(CL_COMPILE_PROGRAM_FAILURE)
    NAME(CL_LINKER_NOT_AVAILABLE) NAME(CL_DEVICE_PARTITION_FAILED) NAME(CL_KERNEL_ARG_INFO_NOT_AVAILABLE) NAME(CL_INVALID_VALUE)
    NAME(CL_INVALID_DEVICE_TYPE) NAME(CL_INVALID_PLATFORM) NAME(CL_INVALID_DEVICE) NAME(CL_INVALID_CONTEXT) NAME(CL_INVALID_QUEUE_PROPERTIES)
    NAME(CL_INVALID_COMMAND_QUEUE) NAME(CL_INVALID_HOST_PTR) NAME(CL_INVALID_MEM_OBJECT) NAME(CL_INVALID_SAMPLER) NAME(CL_INVALID_BINARY)
    NAME(CL_INVALID_BUILD_OPTIONS) NAME(CL_INVALID_PROGRAM) NAME(CL_INVALID_PROGRAM_EXECUTABLE) NAME(CL_INVALID_KERNEL_NAME) NAME(CL_INVALID_KERNEL)
    NAME(CL_INVALID_ARG_INDEX) NAME(CL_INVALID_ARG_VALUE) NAME(CL_INVALID_ARG_SIZE) NAME(CL_INVALID_KERNEL_ARGS) NAME(CL_INVALID_WORK_DIMENSION)
    NAME(CL_INVALID_WORK_GROUP_SIZE) NAME(CL_INVALID_WORK_ITEM_SIZE) NAME(CL_INVALID_GLOBAL_OFFSET) NAME(CL_INVALID_EVENT_WAIT_LIST)
    NAME(CL_INVALID_EVENT) NAME(CL_INVALID_OPERATION) NAME(CL_INVALID_GL_OBJECT) NAME(CL_INVALID_BUFFER_SIZE) NAME(CL_INVALID_GLOBAL_WORK_SIZE)
    NAME(CL_INVALID_PROPERTY) NAME(CL_INVALID_COMPILER_OPTIONS) NAME(CL_INVALID_LINKER_OPTIONS) NAME(CL_INVALID_DEVICE_PARTITION_COUNT)
    default: {
        static __thread char text[32];
        snprintf(text, sizeof text, "error %d", code);
        return text;
    }
    }
}

static const char source[] =
    "struct pack { char c; double d; int a[20]; float4 v; };\n"
    "kernel void add_one(global int *x) { atomic_inc(x); }\n"
    "kernel void triple(global int *x) { size_t i = get_global_id(0); x[i] = 3 * x[i] + 1; }\n"
    "kernel void copy(global const uint *from, global uint *to) { size_t i = get_global_id(0); to[i] = from[i]; }\n"
    "kernel void slow(global uint *x, uint rounds) {\n"
    "    uint v = x[0];\n"
    "    for (uint i = 0; i < rounds; i++) v = v * 1664525u + 1013904223u;\n"
    "    x[0] = v; }\n"
    "kernel void put(global uint *x, uint at, uint value) { x[at] = value; }\n"
    "kernel void scalars(char a, uchar b, short c, ushort d, int e, uint f, long g, ulong h, float i, global double *out) {\n"
    "    out[0] = a; out[1] = b; out[2] = c; out[3] = d; out[4] = e; out[5] = f; out[6] = g; out[7] = h; out[8] = i; }\n"
    "kernel void vectors(char2 a, uchar4 b, short8 c, float3 d, float4 e, int16 f, ulong2 g, global float *out) {\n"
    "    out[0] = a.x + 100 * a.y; out[1] = b.s0 + b.s1 + b.s2 + b.s3; out[2] = c.s0 - c.s7; out[3] = d.x + d.y + d.z; out[4] = e.w;\n"
    "    out[5] = f.sf - f.s0; out[6] = g.y; }\n"
    "kernel void by_value(struct pack p, global float *out) { out[0] = p.c; out[1] = p.d; out[2] = p.a[0]; out[3] = p.a[19]; out[4] = p.v.w; }\n"
    "kernel void reverse(global int *x, local int *scratch) {\n"
    "    size_t i = get_local_id(0), n = get_local_size(0);\n"
    "    scratch[i] = x[get_global_id(0)];\n"
    "    barrier(CLK_LOCAL_MEM_FENCE);\n"
    "    x[get_global_id(0)] = scratch[n - 1 - i]; }\n"
    "kernel void nothing_there(global int *x, global int *out) { out[0] = x == 0; }\n"
    "kernel void table(constant int *t, global int *out) { size_t i = get_global_id(0); out[i] = t[i % 16] * 2; }\n"
    "kernel void ids(global uint *out) {\n"
    "    size_t n = (get_global_id(2) - get_global_offset(2)) * get_global_size(1) * get_global_size(0)\n"
    "             + (get_global_id(1) - get_global_offset(1)) * get_global_size(0) + get_global_id(0) - get_global_offset(0);\n"
    "    out[n] = get_global_id(0) + 1000 * get_global_id(1) + 1000000 * get_global_id(2); }\n"
    "kernel __attribute__((reqd_work_group_size(8, 1, 1))) void eights(global int *out) { out[get_global_id(0)] = get_local_size(0); }\n"
    "kernel void say(int number, float fraction) { if (get_global_id(0) == 0) printf(\"kernels.printf.said: %d %.2f\\n\", number, fraction); }\n"
    "kernel void work(global uint *x, uint seed, uint rounds) {\n"
    "    size_t i = get_global_id(0);\n"
    "    uint v = x[i] ^ seed;\n"
    "    for (uint r = 0; r < rounds; r++) v = v * 1664525u + 1013904223u;\n"
    "    x[i] = v; }\n";

cl_program program_in(cl_context c)
{
    const char *text = source;
    cl_program p = MAKE(clCreateProgramWithSource(c, 1, &text, NULL, &error_));
    CL(clBuildProgram(p, 1, &device, "-cl-kernel-arg-info", NULL, NULL));
    return p;
}

cl_kernel kernel(const char *name) { return MAKE(clCreateKernel(program, name, &error_)); }

cl_mem buffer(size_t bytes) { return MAKE(clCreateBuffer(context, CL_MEM_READ_WRITE, bytes, NULL, &error_)); }
cl_mem buffer_with(size_t bytes, const void *data)
{
    return MAKE(clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes, (void *)data, &error_));
}
cl_command_queue queue_with(cl_command_queue_properties properties) { return MAKE(clCreateCommandQueue(context, device, properties, &error_)); }
cl_event user_event(void) { return MAKE(clCreateUserEvent(context, &error_)); }

void set_args(cl_kernel k, unsigned n, ...)
{
    va_list ap;
    va_start(ap, n);
    for (unsigned i = 0; i < n; i++) {
        size_t size = va_arg(ap, size_t);
        const void *value = va_arg(ap, const void *);
        CL(clSetKernelArg(k, i, size, value));
    }
    va_end(ap);
}

cl_event launch(cl_command_queue q, cl_kernel k, size_t items, cl_uint nwait, const cl_event *wait)
{
    cl_event done;
    CL(clEnqueueNDRangeKernel(q, k, 1, NULL, &items, NULL, nwait, wait, &done));
    return done;
}

void run_kernel(cl_command_queue q, cl_kernel k, size_t items) { CL(clEnqueueNDRangeKernel(q, k, 1, NULL, &items, NULL, 0, NULL, NULL)); }

cl_int status_of(cl_event event)
{
    cl_int status = 99;
    CL(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL));
    return status;
}

bool reaches(cl_event e, cl_int status, double seconds)
{
    for (double end = now() + seconds; status_of(e) > status;) {
        if (now() > end)
            return false;
        usleep(500);
    }
    return true;
}

/* ---- start ---- */

static void open_device(void *arg, unsigned index)
{
    char name[128] = "";
    cl_platform_id first = NULL;
    CL(clGetPlatformIDs(1, &first, NULL));
    platform = first;
    CL(clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name, name, NULL));
    on_share = strcmp(name, "tranche") == 0;
    CL(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL));
    context = MAKE(clCreateContext(NULL, 1, &device, NULL, NULL, &error_));
    queue = queue_with(CL_QUEUE_PROFILING_ENABLE);
    program = program_in(context);
}

static bool wanted(int argc, char **argv, const char *name)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc <= 2;
}

int main(int argc, char **argv)
{
    static const struct group *const groups[] = { &events, &transfers, &maps, &kernels, &images, &programs, &errors, &threads, &lifetime, &absent, &processes, &svm, &parts, &pixels };
    const struct group *chosen = NULL;
    char why[REASON_BYTES];
    for (size_t i = 0; argc > 1 && i < sizeof groups / sizeof *groups; i++)
        if (strcmp(groups[i]->name, argv[1]) == 0)
            chosen = groups[i];
    if (!chosen) {
        fprintf(stderr, "usage: cl_semantics GROUP [CHECK...]\n");
        return 2;
    }
    signal(SIGALRM, on_alarm);
    if (!guarded(open_device, NULL, 0, why)) {
        printf("start: fail %s\n", why);
        return 1;
    }
    for (size_t i = 0; i < chosen->n; i++)
        if (wanted(argc, argv, chosen->checks[i].name))
            run_check(chosen, &chosen->checks[i]);
    printf("end: ok\n");
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenCL device that is measured, with one context and one in-order queue, and the few calls every test needs. A failed
 * call ends the program with a message: a benchmark that goes on after an error measures nothing. */
#pragma once

#include "base/cleanup.h"

#include <CL/cl.h>
#include <stdint.h>

enum { BENCH_EXIT_WRONG_RESULT = 3 };

struct target_choice {
    const char *platform;        /* index ("0") or part of its name, any case; NULL: the first */
    unsigned device;             /* index among the platform's devices of that type */
    cl_device_type device_type;
};

struct target {
    cl_platform_id platform;
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
    cl_uint compute_units;
    cl_ulong memory_bytes, max_alloc_bytes;
    char platform_name[256], platform_version[256], device_name[256];
};

void target_open(struct target *t, const struct target_choice *choice);
void target_close(struct target *t);
/* Prints every platform and device that the loader offers. */
void target_list(void);

cl_program target_build(const struct target *t, const char *source, const char *options);
cl_kernel target_kernel(cl_program program, const char *name);
cl_mem target_buffer(const struct target *t, cl_mem_flags flags, size_t bytes);
void target_finish(const struct target *t);
/* One dimension; local 0 lets the driver choose. */
void target_launch(const struct target *t, cl_kernel kernel, size_t global, size_t local, cl_event *ret_event);
/* Blocking, from offset 0. */
void target_write(const struct target *t, cl_mem buffer, size_t bytes, const void *from);
void target_read(const struct target *t, cl_mem buffer, size_t bytes, void *to);

const char *bench_cl_error(cl_int error);
/* Ends the program with exit code 1, or BENCH_EXIT_WRONG_RESULT. */
void bench_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void bench_wrong_result(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void bench_check(cl_int error, const char *call);
#define CL_CHECK(call) bench_check((call), #call)

/* A device memory, program or kernel that a test owns. */
static inline void cleanup_mem(cl_mem *m) { if (*m) clReleaseMemObject(*m); }
static inline void cleanup_program(cl_program *p) { if (*p) clReleaseProgram(*p); }
static inline void cleanup_kernel(cl_kernel *k) { if (*k) clReleaseKernel(*k); }
#define _cleanup_mem_ _cleanup_(cleanup_mem)
#define _cleanup_program_ _cleanup_(cleanup_program)
#define _cleanup_kernel_ _cleanup_(cleanup_kernel)

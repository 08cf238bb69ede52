/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of cl_semantics share: named checks of OpenCL behaviour, run natively and as a tenant with the same program.
 *
 * A check is a function. It ends early, and fails, by CHECK, CL or EXPECT; whatever it had made is then left to the end of the process. SEE prints a
 * value that must be the same natively and through a share. Every line on stdout is "NAME: RESULT", where RESULT is "ok" or "fail WHY" for a check. */
#pragma once

#include <CL/cl.h>

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check { const char *name; void (*run)(void); };
struct group { const char *name; const struct check *checks; size_t n; };
#define GROUP(id, list) const struct group id = { #id, list, sizeof(list) / sizeof *(list) }

extern const struct group events, transfers, maps, kernels, images, programs, errors, threads, lifetime, absent, processes, svm, parts, pixels;

extern cl_platform_id platform;
extern cl_device_id device;
extern cl_context context;
extern cl_command_queue queue;        /* in-order, with profiling */
extern bool on_share;                 /* the platform is tranche's */

void check_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4), noreturn));
void check_false(const char *file, int line, const char *condition, const char *format, ...) __attribute__((format(printf, 4, 5), noreturn));
/* Names of OpenCL error codes: "CL_INVALID_VALUE". */
const char *error_name(cl_int code);
void see(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define CHECK(condition, ...) ({ if (!(condition)) check_false(__FILE__, __LINE__, #condition, " " __VA_ARGS__); })
#define CL(call) ({ cl_int cl_ = (call); if (cl_ != CL_SUCCESS) check_fail(__FILE__, __LINE__, "%s gives %s", #call, error_name(cl_)); })
#define EXPECT(code, call) ({ cl_int cl_ = (call); \
    if (cl_ != (code)) check_fail(__FILE__, __LINE__, "%s gives %s, not %s", #call, error_name(cl_), #code); })
/* For functions that return an object and put the error into a last argument `&error_`. */
#define MAKE(call) ({ cl_int error_ = 1; __typeof__(call) object_ = (call); \
    if (error_ != CL_SUCCESS || !object_) \
        check_fail(__FILE__, __LINE__, "%s gives %s", #call, error_name(error_)); \
    object_; })
#define REFUSED(code, call) ({ cl_int error_ = 1; __typeof__(call) object_ = (call); \
    if (error_ != (code) || object_) \
        check_fail(__FILE__, __LINE__, "%s gives %s, not %s", #call, error_name(error_), #code); })
#define SEE(what, value, format) see("%s: " format, what, value)

/* In a thread of a check: run with a way out of its own; the first failure is reported by the check when it joins. */
void threads_run(unsigned n, void (*body)(void *arg, unsigned index), void *arg);

/* The kernels of cl_source.c, built once for the default context; a new kernel object each time. */
cl_kernel kernel(const char *name);
cl_program program_in(cl_context c);  /* built for another context; release it */
cl_mem buffer(size_t bytes);          /* read-write, in the default context, content undefined */
cl_mem buffer_with(size_t bytes, const void *data);
cl_command_queue queue_with(cl_command_queue_properties properties);
void set_args(cl_kernel k, unsigned n, ...);          /* n pairs of size_t size, const void *value */
cl_event launch(cl_command_queue q, cl_kernel k, size_t items, cl_uint nwait, const cl_event *wait);   /* with an event */
void run_kernel(cl_command_queue q, cl_kernel k, size_t items);                                          /* without */
cl_event user_event(void);
cl_int status_of(cl_event e);
/* Polls for at most some seconds: true once the status is at most `status`. */
bool reaches(cl_event e, cl_int status, double seconds);
void pause_ms(unsigned ms);
double now(void);
#define ARG(x) sizeof(x), &(x)

uint64_t random_next(uint64_t *state);
static inline uint64_t random_below(uint64_t *state, uint64_t n) { return (random_next(state) >> 8) % n; }
void random_fill(uint64_t *state, void *p, size_t n);

/* SPDX-License-Identifier: Apache-2.0 */
/* Building programs beside everything else: see build.h. */
#include "worker/build.h"

#include "base/cleanup.h"
#include "worker/kernels.h"

#include <errno.h>
#include <stdio.h>

#define LOG_MAX (1u << 20)                /* of a build log; what is longer is cut */
#define JOBS_MAX 64        /* waiting: an honest client has one for each of its threads that builds */

/* The client's options, plus what it takes to know which arguments are buffers. */
static char *build_options(const struct wire_blob *b, const char *extra)
{
    char *text = NULL;
    if (b->size && memchr(b->data, '\0', b->size))
        return NULL;
    return asprintf(&text, "%.*s%s", (int)b->size, b->size ? (const char *)b->data : "", extra) < 0 ? NULL : text;
}
#define KERNEL_ARG_INFO " -cl-kernel-arg-info"

static char *build_log(struct session *s, cl_program p)
{
    size_t n = 0;
    if (clGetProgramBuildInfo(p, s->driver.device, CL_PROGRAM_BUILD_LOG, 0, NULL, &n) != CL_SUCCESS || n > LOG_MAX)
        n = 0;
    char *log = calloc(1, n + 1);
    if (log && n)
        clGetProgramBuildInfo(p, s->driver.device, CL_PROGRAM_BUILD_LOG, n, log, NULL);
    return log;
}

/* What a build, compilation or link left behind. */
struct outcome {
    cl_build_status status;
    cl_program_binary_type type;
    size_t global_bytes;
    char *log;
    struct wire_out kernels;
};

static void outcome_read(struct session *s, struct object *o, cl_int e, struct outcome *r)
{
    cl_program p = o->u.program.native;
    cl_device_id d = s->driver.device;
    clGetProgramBuildInfo(p, d, CL_PROGRAM_BUILD_STATUS, sizeof r->status, &r->status, NULL);
    clGetProgramBuildInfo(p, d, CL_PROGRAM_BINARY_TYPE, sizeof r->type, &r->type, NULL);
    clGetProgramBuildInfo(p, d, CL_PROGRAM_BUILD_GLOBAL_VARIABLE_TOTAL_SIZE, sizeof r->global_bytes, &r->global_bytes, NULL);
    r->log = build_log(s, p);
    o->u.program.built = e == CL_SUCCESS && r->type == CL_PROGRAM_BINARY_TYPE_EXECUTABLE;
    if (o->u.program.built)
        kernels_describe(s, p, &r->kernels);
}

static void outcome_done(struct outcome *r)
{
    free(r->log);
    wire_out_done(&r->kernels);
}

/* The program is free again before the answer tells so. */
static void program_built(struct object *o)
{
    if (o)
        atomic_fetch_sub(&o->u.program.builds, 1);
}

static void program_build(struct session *s, const struct answer *a, struct object *o, const struct wire_program_build *m)
{
    _cleanup_free_ char *options = build_options(&m->options, KERNEL_ARG_INFO);
    _cleanup_(outcome_done) struct outcome r = { .status = CL_BUILD_ERROR };
    cl_int e = !o || !o->u.program.native ? CL_INVALID_PROGRAM : !options ? CL_INVALID_BUILD_OPTIONS : CL_SUCCESS;
    if (!e) {
        enum cut by_options = cut_from_text(options, strlen(options));
        o->u.program.cut = MIN(o->u.program.cut, by_options);
        e = clBuildProgram(o->u.program.native, 1, &s->driver.device, options, NULL, NULL);
        outcome_read(s, o, e, &r);
    }
    program_built(o);
    ANSWER(a, program_build, .error = e, .status = r.status, .log = wire_blob_text(r.log ? r.log : ""), .global_bytes = r.global_bytes,
           .kernels = { r.kernels.buf, (uint32_t)r.kernels.len });
}

#define INPUTS_MAX 4096

/* Programs named in a blob: with names {id, text} for headers, or bare ids. Returns how many, or -1. References are in `held`. */
static int take_programs(const struct wire_blob *b, bool with_names, cl_program *natives, char **names, struct object **held)
{
    struct wire_in in = { b->data, b->size, 0, false };
    int n = 0;
    while (in.pos < in.len) {
        struct wire_blob name = { 0 };
        uint32_t id;
        wire_get_u32(&in, &id);
        if (with_names)
            wire_get_blob(&in, &name);
        if (in.bad || n == INPUTS_MAX || !(held[n] = objects_get(id, OBJECT_PROGRAM)))
            return -1;
        natives[n] = held[n]->u.program.native;
        if (with_names)
            names[n] = strndup(name.size ? name.data : "", name.size);
        n++;
    }
    return n;
}

struct inputs { cl_program natives[INPUTS_MAX]; char *names[INPUTS_MAX]; struct object *held[INPUTS_MAX]; };

static void inputs_free(struct inputs *in)
{
    for (int i = 0; in && i < INPUTS_MAX; i++) {
        free(in->names[i]);
        object_unref(in->held[i]);
    }
    free(in);
}

static void program_compile(struct session *s, const struct answer *a, struct object *o, const struct wire_program_compile *m)
{
    struct inputs *in = calloc(1, sizeof *in);
    _cleanup_free_ char *options = build_options(&m->options, KERNEL_ARG_INFO);
    _cleanup_(outcome_done) struct outcome r = { .status = CL_BUILD_ERROR };
    int n = in ? take_programs(&m->headers, true, in->natives, in->names, in->held) : -1;
    cl_int e = n < 0 || !o || !o->u.program.native ? CL_INVALID_PROGRAM : !options ? CL_INVALID_COMPILER_OPTIONS : CL_SUCCESS;
    if (!e) {
        e = clCompileProgram(o->u.program.native, 1, &s->driver.device, options, (cl_uint)n, n ? in->natives : NULL, n ? (const char **)in->names : NULL, NULL, NULL);
        outcome_read(s, o, e, &r);
    }
    program_built(o);
    ANSWER(a, program_compile, .error = e, .status = r.status, .log = wire_blob_text(r.log ? r.log : ""));
    inputs_free(in);
}

static void program_link(struct session *s, const struct answer *a, const struct wire_program_link *m)
{
    struct object *o = object_new(s, OBJECT_PROGRAM);
    struct inputs *in = calloc(1, sizeof *in);
    _cleanup_free_ char *options = build_options(&m->options, "");
    _cleanup_(outcome_done) struct outcome r = { .status = CL_BUILD_ERROR };
    int n = in ? take_programs(&m->inputs, false, in->natives, NULL, in->held) : -1;
    cl_int e = n < 1 ? CL_INVALID_PROGRAM : !options ? CL_INVALID_LINKER_OPTIONS : CL_SUCCESS;
    if (!e) {
        o->u.program.native = clLinkProgram(s->driver.context, 1, &s->driver.device, options, (cl_uint)n, in->natives, NULL, NULL, &e);
        if (o->u.program.native)
            outcome_read(s, o, e, &r);
    }
    objects_put(m->program, o);      /* also after a failure: the client releases the handle either way */
    ANSWER(a, program_link, .error = e, .status = r.status, .log = wire_blob_text(r.log ? r.log : ""), .global_bytes = r.global_bytes, .type = r.type,
           .kernels = { r.kernels.buf, (uint32_t)r.kernels.len });
    inputs_free(in);
}

/* ---- the thread ---- */

struct job {
    struct job *next;
    struct session *session;
    struct answer answer;
    struct object *program;      /* counted as being built; NULL for links, whose program comes of it */
    uint32_t bytes;
    uint8_t payload[];
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *first, **end;
    unsigned njobs;
    bool started;
} jobs = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .end = &jobs.first };

static struct job *job_take(void)
{
    pthread_mutex_lock(&jobs.lock);
    while (!jobs.first)
        pthread_cond_wait(&jobs.changed, &jobs.lock);
    struct job *j = jobs.first;
    if (!(jobs.first = j->next))
        jobs.end = &jobs.first;
    jobs.njobs--;
    pthread_cond_broadcast(&jobs.changed);
    pthread_mutex_unlock(&jobs.lock);
    return j;
}

static void serve(struct job *j)
{
    struct wire_in in = { j->payload, j->bytes, 0, false };
    struct wire_program_build build;
    struct wire_program_compile compile;
    struct wire_program_link link;
    switch (j->answer.op) {
    case WIRE_OP_program_build:
        wire_get_program_build(&in, &build);
        program_build(j->session, &j->answer, j->program, &build);
        break;
    case WIRE_OP_program_compile:
        wire_get_program_compile(&in, &compile);
        program_compile(j->session, &j->answer, j->program, &compile);
        break;
    default:
        wire_get_program_link(&in, &link);
        program_link(j->session, &j->answer, &link);
        break;
    }
}

static void *builder(void *arg)
{
    for (;;) {
        struct job *j = job_take();
        serve(j);
        object_unref(j->program);
        free(j);
    }
    return NULL;
}

bool build_takes(uint16_t op) { return op == WIRE_OP_program_build || op == WIRE_OP_program_compile || op == WIRE_OP_program_link; }

/* A message that makes no sense ends the worker now. */
static uint32_t job_check(uint16_t op, const uint8_t *payload, uint32_t bytes)
{
    struct wire_in in = { payload, bytes, 0, false };
    struct wire_program_build build = { 0 };
    struct wire_program_compile compile = { 0 };
    struct wire_program_link link = { 0 };
    if (op == WIRE_OP_program_build)
        wire_get_program_build(&in, &build);
    else if (op == WIRE_OP_program_compile)
        wire_get_program_compile(&in, &compile);
    else
        wire_get_program_link(&in, &link);
    if (in.bad)
        session_fail("a %s message that makes no sense", wire_op_to_string(op));
    return op == WIRE_OP_program_build ? build.program : op == WIRE_OP_program_compile ? compile.program : 0;
}

void build_later(struct session *s, const struct answer *a, const uint8_t *payload, uint32_t bytes)
{
    uint32_t program = job_check(a->op, payload, bytes);
    struct job *j = malloc(sizeof *j + bytes);
    pthread_t t;
    if (!j)
        session_fail("out of memory");
    *j = (struct job){ .session = s, .answer = *a, .program = program ? objects_get(program, OBJECT_PROGRAM) : NULL, .bytes = bytes };
    memcpy(j->payload, payload, bytes);
    if (j->program)
        atomic_fetch_add(&j->program->u.program.builds, 1);
    pthread_mutex_lock(&jobs.lock);
    while (jobs.njobs >= JOBS_MAX)
        pthread_cond_wait(&jobs.changed, &jobs.lock);
    if (!jobs.started && pthread_create(&t, NULL, builder, NULL) != 0)
        session_fail("cannot start a thread: %s", strerror(errno));
    if (!jobs.started)
        pthread_detach(t);
    jobs.started = true;
    *jobs.end = j;
    jobs.end = &j->next;
    jobs.njobs++;
    pthread_cond_broadcast(&jobs.changed);
    pthread_mutex_unlock(&jobs.lock);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: source and binaries go to the worker; the log and all that is to be known of the kernels come back with the build. */
#include "guest/opencl/guest.h"
#include "guest/opencl/include.h"

#include <stdlib.h>
#include <string.h>

static char *blob_text(const struct wire_blob *b)
{
    char *s = malloc(b->size + 1);
    if (s) {
        if (b->size)
            memcpy(s, b->data, b->size);
        s[b->size] = '\0';
    }
    return s;
}

static void kernels_free(struct kernel_info *k, cl_uint n)
{
    for (cl_uint i = 0; k && i < n; i++) {
        for (cl_uint a = 0; k[i].args && a < k[i].nargs; a++) {
            free(k[i].args[a].type);
            free(k[i].args[a].name);
        }
        free(k[i].args);
        free(k[i].name);
        free(k[i].attributes);
    }
    free(k);
}

/* Bytes of a built-in type by its name in OpenCL C ("float4", "uint"), 0 for what only the compiler knows. */
static size_t type_size(const char *type)
{
    static const struct { const char *name; size_t size; } scalars[] = {
        { "char", 1 }, { "uchar", 1 }, { "unsigned char", 1 }, { "short", 2 }, { "ushort", 2 }, { "unsigned short", 2 }, { "half", 2 }, { "int", 4 },
        { "uint", 4 }, { "unsigned int", 4 }, { "float", 4 }, { "long", 8 }, { "ulong", 8 }, { "unsigned long", 8 }, { "double", 8 },
        { "size_t", 8 }, { "ptrdiff_t", 8 }, { "intptr_t", 8 }, { "uintptr_t", 8 },
    };
    for (size_t i = 0; type && i < sizeof scalars / sizeof *scalars; i++) {
        size_t n = strlen(scalars[i].name);
        if (strncmp(type, scalars[i].name, n) != 0)
            continue;
        const char *width = type + n;
        if (!*width)
            return scalars[i].size;
        unsigned long w = strtoul(width, (char **)&width, 10);
        if (!*width && (w == 2 || w == 3 || w == 4 || w == 8 || w == 16))
            return scalars[i].size * (w == 3 ? 4 : w);
    }
    return 0;
}

static void read_arg(struct wire_in *in, struct kernel_arg_info *a)
{
    struct wire_blob type, name;
    uint32_t address, access;
    uint64_t qualifier;
    wire_get_u32(in, &address);
    wire_get_u32(in, &access);
    wire_get_u64(in, &qualifier);
    wire_get_blob(in, &type);
    wire_get_blob(in, &name);
    *a = (struct kernel_arg_info){ address, access, qualifier, blob_text(&type), blob_text(&name), 0 };
    if (address == CL_KERNEL_ARG_ADDRESS_PRIVATE)
        a->size = type_size(a->type);
}

static void read_kernel(struct wire_in *in, struct kernel_info *k)
{
    struct wire_blob name, attributes;
    uint32_t nargs, known;
    uint64_t group, multiple, compile[3], local, private;
    wire_get_blob(in, &name);
    wire_get_blob(in, &attributes);
    wire_get_u32(in, &nargs);
    wire_get_u32(in, &known);
    wire_get_u64(in, &group);
    wire_get_u64(in, &multiple);
    wire_get_x3(in, compile);
    wire_get_u64(in, &local);
    wire_get_u64(in, &private);
    if (in->bad || nargs > 4096)
        return;
    *k = (struct kernel_info){ .name = blob_text(&name), .attributes = blob_text(&attributes), .work_group = group, .preferred_multiple = multiple,
                               .compile_work_group = { compile[0], compile[1], compile[2] }, .local_bytes = local, .private_bytes = private,
                               .args_known = known, .args = calloc(nargs + 1, sizeof *k->args) };
    if (!k->args)
        return;
    k->nargs = nargs;
    for (uint32_t i = 0; i < nargs && !in->bad && known; i++)
        read_arg(in, &k->args[i]);
}

static cl_int read_kernels(cl_program p, const struct wire_blob *b)
{
    struct wire_in in = { b->data, b->size, 0, false };
    uint32_t n = 0;
    if (b->size == 0)
        return CL_SUCCESS;          /* a library, or nothing that can run */
    wire_get_u32(&in, &n);
    struct kernel_info *k = in.bad || n > 65536 ? NULL : calloc(n + 1, sizeof *k);
    if (!k)
        return CL_OUT_OF_HOST_MEMORY;
    for (uint32_t i = 0; i < n && !in.bad; i++)
        read_kernel(&in, &k[i]);
    if (in.bad) {
        kernels_free(k, n);
        return CL_OUT_OF_RESOURCES;
    }
    p->kernels = k;
    p->nkernels = n;
    return CL_SUCCESS;
}

static cl_program program_new(cl_context context, cl_int *error)
{
    cl_program p = NULL;
    *error = CL_SUCCESS;
    if (!object_is(context, KIND_CONTEXT))
        *error = CL_INVALID_CONTEXT;
    else if (!link_current())
        *error = CL_OUT_OF_RESOURCES;
    else if (!(p = calloc(1, sizeof *p)))
        *error = CL_OUT_OF_HOST_MEMORY;
    uint32_t id = p ? link_id_new() : 0;
    if (p && !id) {
        free(p);
        p = NULL;
        *error = CL_OUT_OF_RESOURCES;
    }
    if (!p)
        return NULL;
    object_init(&p->base, KIND_PROGRAM, id);
    p->context = context;
    p->status = CL_BUILD_NONE;
    object_ref(context);
    return p;
}

static char *join(cl_uint n, const char **strings, const size_t *lengths)
{
    size_t total = 0, at = 0;
    for (cl_uint i = 0; i < n; i++)
        total += lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
    char *s = malloc(total + 1);
    for (cl_uint i = 0; s && i < n; i++) {
        size_t len = lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
        memcpy(s + at, strings[i], len);
        at += len;
    }
    if (s)
        s[total] = '\0';
    return s;
}

cl_program CL_API_CALL clCreateProgramWithSource(cl_context context, cl_uint n, const char **strings, const size_t *lengths, cl_int *errcode_ret)
{
    cl_int e = n == 0 || !strings ? CL_INVALID_VALUE : CL_SUCCESS;
    for (cl_uint i = 0; !e && i < n; i++)
        if (!strings[i])
            e = CL_INVALID_VALUE;
    if (!e && !object_is(context, KIND_CONTEXT))
        e = CL_INVALID_CONTEXT;
    cl_program p = e ? NULL : program_new(context, &e);
    if (p) {
        p->source = join(n, strings, lengths);
        p->may_print = p->source && strstr(p->source, "printf");
        int r = p->source ? LINK_POST(link_current(), program_from_source, .program = p->base.id, .source = wire_blob_text(p->source)) : -1;
        if (r < 0) {
            program_release(p);
            p = NULL;
            e = CL_OUT_OF_RESOURCES;
        }
    }
    if (errcode_ret)
        *errcode_ret = e;
    return p;
}

cl_program CL_API_CALL clCreateProgramWithBinary(cl_context context, cl_uint n, const cl_device_id *devices, const size_t *lengths, const unsigned char **binaries,
                                                 cl_int *binary_status, cl_int *errcode_ret)
{
    struct wire_program_from_binary_answer a = { .error = CL_OUT_OF_RESOURCES, .status = CL_INVALID_VALUE };
    void *buf = NULL;
    cl_int e = CL_SUCCESS;
    if (!object_is(context, KIND_CONTEXT))
        e = CL_INVALID_CONTEXT;
    else if (n == 0 || !devices || !lengths || !binaries)
        e = CL_INVALID_VALUE;
    else
        e = context_check_devices(context, n, devices);
    for (cl_uint i = 0; !e && i < n; i++)
        if (!lengths[i] || !binaries[i] || lengths[i] > WIRE_FRAME_MAX - 64)
            e = CL_INVALID_VALUE;
    cl_program p = e ? NULL : program_new(context, &e);
    if (p) {
        p->arg_info = true;      /* whatever the binary knows */
        p->may_print = memmem(binaries[0], lengths[0], "printf", 6);     /* the name of the driver's own function ends so */
        /* The share's device and its parts are one device to the compiler: the first binary serves all. */
        int r = LINK_CALL(link_current(), program_from_binary, &a, &buf, .program = p->base.id, .binary = { binaries[0], (uint32_t)lengths[0] });
        free(buf);
        e = r < 0 ? CL_OUT_OF_RESOURCES : a.error;
        p->binary_type = a.type;
        for (cl_uint i = 0; binary_status && i < n; i++)
            binary_status[i] = a.status;
        if (e) {
            program_release(p);
            p = NULL;
        }
    }
    if (errcode_ret)
        *errcode_ret = e;
    return p;
}

static bool has_il(void)
{
    const struct wire_blob *b = link_fact(1, CL_DEVICE_IL_VERSION);
    return b && b->size > 1;
}

static cl_int il_open(cl_program p, const void *il, size_t size)
{
    struct wire_program_from_il_answer a = { 0 };
    void *buf = NULL;
    if (!(p->il = malloc(size)))
        return CL_OUT_OF_HOST_MEMORY;
    memcpy(p->il, il, size);
    p->il_size = size;
    int r = LINK_CALL(link_current(), program_from_il, &a, &buf, .program = p->base.id, .il = { il, (uint32_t)size });
    free(buf);
    return r < 0 ? CL_OUT_OF_RESOURCES : a.error;
}

cl_program CL_API_CALL clCreateProgramWithIL(cl_context context, const void *il, size_t size, cl_int *errcode_ret)
{
    cl_int e = !object_is(context, KIND_CONTEXT) ? CL_INVALID_CONTEXT : !has_il() ? CL_INVALID_OPERATION
             : !il || size == 0 || size > WIRE_FRAME_MAX - 64 ? CL_INVALID_VALUE : CL_SUCCESS;
    cl_program p = e ? NULL : program_new(context, &e);
    if (p && (e = il_open(p, il, size))) {
        program_release(p);
        p = NULL;
    }
    if (errcode_ret)
        *errcode_ret = e;
    return p;
}

cl_int CL_API_CALL clSetProgramSpecializationConstant(cl_program p, cl_uint constant, size_t size, const void *value)
{
    struct wire_program_constant_answer a = { 0 };
    void *buf = NULL;
    if (!object_is(p, KIND_PROGRAM))
        return CL_INVALID_PROGRAM;
    if (!has_il())
        return CL_INVALID_OPERATION;
    if (!p->il)
        return CL_INVALID_PROGRAM;
    if (!value || size == 0 || size > sizeof(cl_ulong16))
        return CL_INVALID_VALUE;
    int r = LINK_CALL(link_current(), program_constant, &a, &buf, .program = p->base.id, .constant = constant, .value = { value, (uint32_t)size });
    free(buf);
    return r < 0 ? CL_OUT_OF_RESOURCES : a.error;
}

cl_int CL_API_CALL clSetProgramReleaseCallback(cl_program p, void (CL_CALLBACK *call)(cl_program, void *), void *user)
{
    if (!object_is(p, KIND_PROGRAM))
        return CL_INVALID_PROGRAM;
    return call ? destructor_add(&p->destructors, (void (CL_CALLBACK *)(void *, void *))(void *)call, user) : CL_INVALID_VALUE;
}

cl_int CL_API_CALL clRetainProgram(cl_program p)
{
    if (!object_is(p, KIND_PROGRAM))
        return CL_INVALID_PROGRAM;
    object_ref(p);
    return CL_SUCCESS;
}

void program_release(cl_program p)
{
    if (!object_unref(p))
        return;
    struct link *l = link_current();
    if (l) {
        LINK_POST(l, program_destroy, .program = p->base.id);
        link_id_free(p->base.id);
    }
    destructors_run(p->destructors, p);
    kernels_free(p->kernels, p->nkernels);
    p->base.kind = 0;
    free(p->il);
    context_release(p->context);
    free(p->source);
    free(p->options);
    free(p->log);
    free(p);
}

cl_int CL_API_CALL clReleaseProgram(cl_program p)
{
    if (!object_is(p, KIND_PROGRAM))
        return CL_INVALID_PROGRAM;
    program_release(p);
    return CL_SUCCESS;
}

/* Takes over the options and forgets the last build. One build of a program at a time: build_end ends it. */
static cl_int build_begin(cl_program p, const char *options)
{
    cl_build_status now = atomic_load(&p->status);
    char *copy = strdup(options ? options : "");
    if (!copy)
        return CL_OUT_OF_HOST_MEMORY;
    if (now == CL_BUILD_IN_PROGRESS || !atomic_compare_exchange_strong(&p->status, &now, CL_BUILD_IN_PROGRESS)) {
        free(copy);
        return CL_INVALID_OPERATION;
    }
    free(p->options);
    p->options = copy;
    p->arg_info = p->arg_info || strstr(copy, "-cl-kernel-arg-info");
    kernels_free(p->kernels, p->nkernels);
    p->kernels = NULL;
    p->nkernels = 0;
    free(p->log);
    p->log = NULL;
    p->binary_type = CL_PROGRAM_BINARY_TYPE_NONE;
    return CL_SUCCESS;
}

/* Everything else of the answer is stored: from now on other threads look at it. Without an answer (r < 0) the build has failed. */
static cl_int build_end(cl_program p, int r, cl_int error, cl_build_status status, const struct wire_blob *log, cl_program_binary_type type)
{
    p->log = r < 0 ? NULL : blob_text(log);
    p->binary_type = r == 0 && status == CL_BUILD_SUCCESS ? type : CL_PROGRAM_BINARY_TYPE_NONE;
    atomic_store(&p->status, r < 0 ? CL_BUILD_ERROR : status);
    return r < 0 ? CL_OUT_OF_RESOURCES : error;
}

/* The worker's part of a build, a compilation or a link, after build_begin. Waits for the compiler. */
typedef cl_int (*build_fn)(cl_program p, const struct wire_blob *inputs);

/* Whether a header of this name travels with the call. */
static bool is_given(const char *name, void *user)
{
    const struct wire_blob *headers = user;
    struct wire_in in = { headers->data, headers->size, 0, false };
    while (in.pos < in.len && !in.bad) {
        struct wire_blob b;
        uint32_t id;
        wire_get_u32(&in, &id);
        wire_get_blob(&in, &b);
        if (!in.bad && b.size == strlen(name) && memcmp(b.data, name, b.size) == 0)
            return true;
    }
    return false;
}

/* The worker compiles what it was sent; files that the source includes lie here. They may be others at each build, and so may the folders. */
static void send_included(cl_program p, const struct wire_blob *headers)
{
    char *expanded = include_expand(p->source, p->options, is_given, (void *)headers);
    const char *text = expanded && strlen(expanded) < WIRE_FRAME_MAX - 64 ? expanded : p->source;
    if (text != p->source || p->expanded) {
        LINK_POST(link_current(), program_destroy, .program = p->base.id);
        LINK_POST(link_current(), program_from_source, .program = p->base.id, .source = wire_blob_text(text));
        p->may_print = p->may_print || strstr(text, "printf");
        p->expanded = text != p->source;
    }
    free(expanded);
}

static cl_int build(cl_program p, const struct wire_blob *inputs)
{
    struct wire_program_build_answer a = { 0 };
    void *buf = NULL;
    send_included(p, inputs);
    int r = LINK_CALL(link_current(), program_build, &a, &buf, .program = p->base.id, .options = wire_blob_text(p->options));
    cl_int e = r < 0 || a.error ? a.error : read_kernels(p, &a.kernels);
    p->global_bytes = a.global_bytes;
    e = build_end(p, r, e, a.status, &a.log, CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
    free(buf);
    return e;
}

/* ---- with a callback: the call returns, and a thread waits for the compiler ---- */

struct building {
    cl_program program;
    build_fn run;
    struct wire_blob inputs;           /* ours */
    cl_uint nheld;
    cl_program *held;                  /* the programs among them, referenced */
    void (CL_CALLBACK *notify)(cl_program, void *);
    void *user;
};

static void building_free(struct building *b)
{
    for (cl_uint i = 0; i < b->nheld; i++)
        program_release(b->held[i]);
    free(b->held);
    free((void *)b->inputs.data);
    free(b);
}

static void *build_thread(void *arg)
{
    struct building *b = arg;
    b->run(b->program, &b->inputs);
    b->notify(b->program, b->user);
    program_release(b->program);
    building_free(b);
    return NULL;
}

static struct building *building_new(cl_program p, build_fn run, const struct wire_blob *inputs, cl_uint n, const cl_program *held)
{
    struct building *b = calloc(1, sizeof *b);
    void *data = malloc(inputs->size + 1);
    cl_program *programs = calloc(n + 1, sizeof *programs);
    if (!b || !data || !programs) {
        free(b);
        free(data);
        free(programs);
        return NULL;
    }
    if (inputs->size)
        memcpy(data, inputs->data, inputs->size);
    *b = (struct building){ .program = p, .run = run, .inputs = { data, inputs->size }, .nheld = n, .held = programs };
    for (cl_uint i = 0; i < n; i++)
        object_ref(programs[i] = held[i]);
    return b;
}

/* Runs it now, or with a callback in a thread; the callback is called either way once it has begun. */
static cl_int build_run(cl_program p, build_fn run, const struct wire_blob *inputs, cl_uint n, const cl_program *held,
                        void (CL_CALLBACK *notify)(cl_program, void *), void *user)
{
    struct building *b = notify ? building_new(p, run, inputs, n, held) : NULL;
    if (b) {
        b->notify = notify;
        b->user = user;
        object_ref(p);
        if (thread_start(build_thread, b) == 0)
            return CL_SUCCESS;
        object_unref(p);
        building_free(b);
    }
    cl_int e = run(p, inputs);
    if (notify)
        notify(p, user);
    return e;
}

cl_int CL_API_CALL clBuildProgram(cl_program p, cl_uint n, const cl_device_id *devices, const char *options, void (CL_CALLBACK *notify)(cl_program, void *), void *user)
{
    if (!object_is(p, KIND_PROGRAM))
        return CL_INVALID_PROGRAM;
    if (!notify && user)
        return CL_INVALID_VALUE;
    cl_int e = context_check_devices(p->context, n, devices);
    if (e)
        return e;
    if (atomic_load(&p->kernels_alive))
        return CL_INVALID_OPERATION;
    e = build_begin(p, options);
    return e ? e : build_run(p, build, &(struct wire_blob){ 0 }, 0, NULL, notify, user);
}

/* Headers travel as {program, name}. */
static cl_int put_headers(cl_program p, struct wire_out *out, cl_uint n, const cl_program *headers, const char **names)
{
    if ((n == 0) != (headers == NULL) || (n == 0) != (names == NULL))
        return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < n; i++) {
        if (!object_is(headers[i], KIND_PROGRAM))
            return CL_INVALID_PROGRAM;
        struct wire_blob name = wire_blob_text(names[i]);
        p->may_print = p->may_print || headers[i]->may_print;
        wire_put_u32(out, headers[i]->base.id);
        wire_put_blob(out, &name);
    }
    return CL_SUCCESS;
}

static cl_int compile(cl_program p, const struct wire_blob *headers)
{
    struct wire_program_compile_answer a = { 0 };
    void *buf = NULL;
    send_included(p, headers);
    int r = LINK_CALL(link_current(), program_compile, &a, &buf, .program = p->base.id, .options = wire_blob_text(p->options), .headers = *headers);
    p->global_bytes = 0;
    cl_int e = build_end(p, r, a.error, a.status, &a.log, CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT);
    free(buf);
    return e;
}

cl_int CL_API_CALL clCompileProgram(cl_program p, cl_uint n, const cl_device_id *devices, const char *options, cl_uint nheaders, const cl_program *headers,
                                    const char **names, void (CL_CALLBACK *notify)(cl_program, void *), void *user)
{
    struct wire_out out = { 0 };
    if (!object_is(p, KIND_PROGRAM))
        return CL_INVALID_PROGRAM;
    if (!notify && user)
        return CL_INVALID_VALUE;
    cl_int e = context_check_devices(p->context, n, devices);
    if (!e && (atomic_load(&p->kernels_alive) || (!p->source && !p->il)))
        e = CL_INVALID_OPERATION;
    if (!e)
        e = put_headers(p, &out, nheaders, headers, names);
    if (!e && out.bad)
        e = CL_OUT_OF_HOST_MEMORY;
    if (!e)
        e = build_begin(p, options);
    if (!e)
        e = build_run(p, compile, &(struct wire_blob){ out.buf, (uint32_t)out.len }, nheaders, headers, notify, user);
    wire_out_done(&out);
    return e;
}

static cl_int link_programs(cl_program p, const struct wire_blob *inputs)
{
    struct wire_program_link_answer a = { 0 };
    void *buf = NULL;
    int r = LINK_CALL(link_current(), program_link, &a, &buf, .program = p->base.id, .options = wire_blob_text(p->options), .inputs = *inputs);
    cl_int e = r < 0 || a.error ? a.error : read_kernels(p, &a.kernels);
    p->global_bytes = a.global_bytes;
    e = build_end(p, r, e, a.status, &a.log, a.type);
    free(buf);
    return e;
}

static cl_int link_begin(cl_program p, const char *options, cl_uint n, const cl_program *inputs, void (CL_CALLBACK *notify)(cl_program, void *), void *user)
{
    struct wire_out ids = { 0 };
    for (cl_uint i = 0; i < n; i++) {
        wire_put_u32(&ids, inputs[i]->base.id);
        p->arg_info = p->arg_info || inputs[i]->arg_info;
        p->may_print = p->may_print || inputs[i]->may_print;
    }
    cl_int e = ids.bad ? CL_OUT_OF_HOST_MEMORY : build_begin(p, options);
    if (!e)
        e = build_run(p, link_programs, &(struct wire_blob){ ids.buf, (uint32_t)ids.len }, n, inputs, notify, user);
    wire_out_done(&ids);
    return e;
}

cl_program CL_API_CALL clLinkProgram(cl_context context, cl_uint n, const cl_device_id *devices, const char *options, cl_uint ninputs, const cl_program *inputs,
                                     void (CL_CALLBACK *notify)(cl_program, void *), void *user, cl_int *errcode_ret)
{
    cl_int e = object_is(context, KIND_CONTEXT) ? context_check_devices(context, n, devices) : CL_INVALID_CONTEXT;
    if (!e && (ninputs == 0 || !inputs || (!notify && user)))
        e = CL_INVALID_VALUE;
    for (cl_uint i = 0; !e && i < ninputs; i++)
        if (!object_is(inputs[i], KIND_PROGRAM) || inputs[i]->context != context)
            e = CL_INVALID_PROGRAM;
        else if (inputs[i]->status != CL_BUILD_SUCCESS && inputs[i]->source)
            e = CL_INVALID_OPERATION;
    cl_program p = e ? NULL : program_new(context, &e);
    if (p)
        e = link_begin(p, options, ninputs, inputs, notify, user);
    /* A failed link still returns its program, for the log, unless the arguments were wrong. */
    if (p && e && e != CL_LINK_PROGRAM_FAILURE) {
        program_release(p);
        p = NULL;
    }
    if (errcode_ret)
        *errcode_ret = e;
    return p;
}

static cl_int binary_info(cl_program p, bool only_size, size_t size, void *value, size_t *size_ret)
{
    struct wire_program_binary_answer a = { 0 };
    void *buf = NULL;
    int r = LINK_CALL(link_current(), program_binary, &a, &buf, .program = p->base.id);
    cl_int e = r < 0 ? CL_OUT_OF_RESOURCES : a.error;
    cl_uint n = p->context->ndevices;      /* the whole device or parts of it: one binary serves all */
    size_t sizes[n];
    unsigned char **binaries = value;
    for (cl_uint i = 0; i < n; i++)
        sizes[i] = a.binary.size;
    if (!e && only_size)
        e = info_put(sizes, sizeof sizes, size, value, size_ret);
    else if (!e) {
        e = size < n * sizeof *binaries && value ? CL_INVALID_VALUE : CL_SUCCESS;
        for (cl_uint i = 0; !e && value && i < n; i++)
            if (binaries[i])
                memcpy(binaries[i], a.binary.data, a.binary.size);
        if (size_ret)
            *size_ret = n * sizeof *binaries;
    }
    free(buf);
    return e;
}

static cl_int kernel_names(cl_program p, size_t size, void *value, size_t *size_ret)
{
    size_t n = 1;
    for (cl_uint i = 0; i < p->nkernels; i++)
        n += strlen(p->kernels[i].name) + 1;
    char *text = calloc(1, n);
    if (!text)
        return CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < p->nkernels; i++) {
        if (i)
            strcat(text, ";");
        strcat(text, p->kernels[i].name);
    }
    cl_int e = INFO_STRING(text);
    free(text);
    return e;
}

cl_int CL_API_CALL clGetProgramInfo(cl_program p, cl_program_info name, size_t size, void *value, size_t *size_ret)
{
    if (!object_is(p, KIND_PROGRAM))
        return CL_INVALID_PROGRAM;
    if (!link_current())
        return CL_OUT_OF_RESOURCES;
    bool built = p->status == CL_BUILD_SUCCESS;
    switch (name) {
    case CL_PROGRAM_REFERENCE_COUNT: return INFO(cl_uint, atomic_load(&p->base.refs));
    case CL_PROGRAM_CONTEXT: return INFO(cl_context, p->context);
    case CL_PROGRAM_NUM_DEVICES:
    case CL_PROGRAM_DEVICES: return clGetContextInfo(p->context, name == CL_PROGRAM_DEVICES ? CL_CONTEXT_DEVICES : CL_CONTEXT_NUM_DEVICES, size, value, size_ret);
    case CL_PROGRAM_SOURCE: return INFO_STRING(p->source ? p->source : "");
    case CL_PROGRAM_IL: return info_put(p->il, p->il_size, size, value, size_ret);
    case CL_PROGRAM_BINARY_SIZES: return binary_info(p, true, size, value, size_ret);
    case CL_PROGRAM_BINARIES: return binary_info(p, false, size, value, size_ret);
    case CL_PROGRAM_NUM_KERNELS: return built ? INFO(size_t, p->nkernels) : CL_INVALID_PROGRAM_EXECUTABLE;
    case CL_PROGRAM_KERNEL_NAMES: return built ? kernel_names(p, size, value, size_ret) : CL_INVALID_PROGRAM_EXECUTABLE;
    case CL_PROGRAM_SCOPE_GLOBAL_CTORS_PRESENT:
    case CL_PROGRAM_SCOPE_GLOBAL_DTORS_PRESENT: return INFO(cl_bool, CL_FALSE);
    default: return CL_INVALID_VALUE;
    }
}

cl_int CL_API_CALL clGetProgramBuildInfo(cl_program p, cl_device_id device, cl_program_build_info name, size_t size, void *value, size_t *size_ret)
{
    if (!object_is(p, KIND_PROGRAM))
        return CL_INVALID_PROGRAM;
    if (!object_is(device, KIND_DEVICE) || !context_has(p->context, device))
        return CL_INVALID_DEVICE;
    switch (name) {
    case CL_PROGRAM_BUILD_STATUS: return INFO(cl_build_status, p->status);
    case CL_PROGRAM_BUILD_OPTIONS: return INFO_STRING(p->options ? p->options : "");
    case CL_PROGRAM_BUILD_LOG: return INFO_STRING(atomic_load(&p->status) != CL_BUILD_IN_PROGRESS && p->log ? p->log : "");
    case CL_PROGRAM_BINARY_TYPE: return INFO(cl_program_binary_type, p->binary_type);
    case CL_PROGRAM_BUILD_GLOBAL_VARIABLE_TOTAL_SIZE: return INFO(size_t, p->global_bytes);
    default: return CL_INVALID_VALUE;
    }
}

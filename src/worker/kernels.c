/* SPDX-License-Identifier: Apache-2.0 */
/* Describing, launching and timing kernels: see kernels.h. */
#include "worker/kernels.h"

#include "base/cleanup.h"
#include "wire/arguments.h"

#define LAUNCH_OVERHEAD_NS 5000    /* of a small launch in the driver (measured on PoCL: 4-5 us) */
#define SAMPLE_ALWAYS 8            /* first launches of a kernel are all measured, */
#define SAMPLE_EVERY 16            /* later ones now and then */

#define TEXT_MAX (1u << 16)        /* of a name, a type or attributes; longer ones are left out */

struct kernel_copy {
    struct kernel_copy *next;
    const struct queue *queue;
    cl_kernel native;
    uint8_t *last;                 /* arguments of the last launch as they travelled */
    uint32_t last_size;
    uint64_t *serials;             /* of the objects among them, by index */
};

/* ---- description ---- */

static void put_text(struct wire_out *out, cl_kernel k, cl_int (*get)(cl_kernel, cl_uint, cl_uint, size_t, void *, size_t *), cl_uint index, cl_uint what)
{
    size_t n = 0;
    if (get(k, index, what, 0, NULL, &n) != CL_SUCCESS || n > TEXT_MAX)
        n = 0;
    _cleanup_free_ char *text = calloc(1, n + 1);
    if (!text || (n && get(k, index, what, n, text, NULL) != CL_SUCCESS))
        n = 0;
    struct wire_blob b = { text, n ? (uint32_t)strnlen(text, n) : 0 };
    wire_put_blob(out, &b);
}

static cl_int kernel_text(cl_kernel k, cl_uint index, cl_uint what, size_t size, void *value, size_t *ret) { return clGetKernelInfo(k, what, size, value, ret); }
static cl_int arg_text(cl_kernel k, cl_uint index, cl_uint what, size_t size, void *value, size_t *ret) { return clGetKernelArgInfo(k, index, what, size, value, ret); }

static void describe_arg(cl_kernel k, cl_uint i, struct wire_out *out)
{
    cl_kernel_arg_address_qualifier address = CL_KERNEL_ARG_ADDRESS_PRIVATE;
    cl_kernel_arg_access_qualifier access = CL_KERNEL_ARG_ACCESS_NONE;
    cl_kernel_arg_type_qualifier qualifier = 0;
    clGetKernelArgInfo(k, i, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof address, &address, NULL);
    clGetKernelArgInfo(k, i, CL_KERNEL_ARG_ACCESS_QUALIFIER, sizeof access, &access, NULL);
    clGetKernelArgInfo(k, i, CL_KERNEL_ARG_TYPE_QUALIFIER, sizeof qualifier, &qualifier, NULL);
    wire_put_u32(out, address);
    wire_put_u32(out, access);
    wire_put_u64(out, qualifier);
    put_text(out, k, arg_text, i, CL_KERNEL_ARG_TYPE_NAME);
    put_text(out, k, arg_text, i, CL_KERNEL_ARG_NAME);
}

static void describe(struct session *s, cl_kernel k, struct wire_out *out)
{
    cl_uint nargs = 0;
    size_t group = 0, multiple = 0, compile[3] = { 0 };
    cl_ulong local = 0, private = 0;
    cl_kernel_arg_address_qualifier probe;
    cl_device_id d = s->driver.device;
    clGetKernelInfo(k, CL_KERNEL_NUM_ARGS, sizeof nargs, &nargs, NULL);
    clGetKernelWorkGroupInfo(k, d, CL_KERNEL_WORK_GROUP_SIZE, sizeof group, &group, NULL);
    clGetKernelWorkGroupInfo(k, d, CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, sizeof multiple, &multiple, NULL);
    clGetKernelWorkGroupInfo(k, d, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof compile, compile, NULL);
    clGetKernelWorkGroupInfo(k, d, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local, &local, NULL);
    clGetKernelWorkGroupInfo(k, d, CL_KERNEL_PRIVATE_MEM_SIZE, sizeof private, &private, NULL);
    bool known = nargs == 0 || clGetKernelArgInfo(k, 0, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof probe, &probe, NULL) == CL_SUCCESS;
    put_text(out, k, kernel_text, 0, CL_KERNEL_FUNCTION_NAME);
    put_text(out, k, kernel_text, 0, CL_KERNEL_ATTRIBUTES);
    wire_put_u32(out, nargs);
    wire_put_u32(out, known);
    wire_put_u64(out, group);
    wire_put_u64(out, multiple);
    wire_put_x3(out, (uint64_t[3]){ compile[0], compile[1], compile[2] });
    wire_put_u64(out, local);
    wire_put_u64(out, private);
    for (cl_uint i = 0; known && i < nargs; i++)
        describe_arg(k, i, out);
}

void kernels_describe(struct session *s, cl_program program, struct wire_out *out)
{
    cl_uint n = 0;
    _cleanup_free_ cl_kernel *list = NULL;
    if (clCreateKernelsInProgram(program, 0, NULL, &n) != CL_SUCCESS || !(list = calloc(n + 1, sizeof *list)) ||
        clCreateKernelsInProgram(program, n, list, NULL) != CL_SUCCESS)
        n = 0;
    wire_put_u32(out, n);
    for (cl_uint i = 0; i < n; i++) {
        describe(s, list[i], out);
        clReleaseKernel(list[i]);
    }
}

/* ---- arguments ---- */

enum takes { TAKES_ANYTHING, TAKES_VALUE, TAKES_LOCAL, TAKES_BUFFER, TAKES_IMAGE, TAKES_SAMPLER };

static enum takes argument_takes(cl_kernel k, cl_uint i)
{
    cl_kernel_arg_address_qualifier address = 0;
    cl_kernel_arg_access_qualifier access = CL_KERNEL_ARG_ACCESS_NONE;
    char type[64] = "";
    if (clGetKernelArgInfo(k, i, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof address, &address, NULL) != CL_SUCCESS)
        return TAKES_ANYTHING;           /* a binary without this information */
    clGetKernelArgInfo(k, i, CL_KERNEL_ARG_ACCESS_QUALIFIER, sizeof access, &access, NULL);
    clGetKernelArgInfo(k, i, CL_KERNEL_ARG_TYPE_NAME, sizeof type, type, NULL);
    if (access != CL_KERNEL_ARG_ACCESS_NONE)
        return TAKES_IMAGE;
    switch (address) {
    case CL_KERNEL_ARG_ADDRESS_GLOBAL:
    case CL_KERNEL_ARG_ADDRESS_CONSTANT: return TAKES_BUFFER;
    case CL_KERNEL_ARG_ADDRESS_LOCAL: return TAKES_LOCAL;
    default: return strcmp(type, "sampler_t") == 0 ? TAKES_SAMPLER : TAKES_VALUE;
    }
}

void kernel_learn(struct object *o, cl_kernel k)
{
    clGetKernelInfo(k, CL_KERNEL_NUM_ARGS, sizeof o->u.kernel.nargs, &o->u.kernel.nargs, NULL);
    if (!(o->u.kernel.takes = malloc(o->u.kernel.nargs + 1)))
        session_fail("out of memory");
    for (cl_uint i = 0; i < o->u.kernel.nargs; i++)
        o->u.kernel.takes[i] = (uint8_t)argument_takes(k, i);
}

struct argument { uint32_t form, size, handle; uint64_t offset; const uint8_t *bytes; };

/* The next argument of a launch; false at the end or when it makes no sense (in->bad). */
static bool next_argument(struct wire_in *in, struct argument *a)
{
    if (in->pos == in->len)
        return false;
    wire_get_u32(in, &a->form);
    wire_get_u32(in, &a->size);
    a->bytes = NULL;
    a->handle = 0;
    a->offset = 0;
    if (a->form == ARGUMENT_VALUE) {
        a->bytes = a->size <= ARGUMENT_VALUE_MAX ? wire_get_bytes(in, a->size) : NULL;
        in->bad |= !a->bytes || a->size == 0;
    } else if (a->form == ARGUMENT_MEM || a->form == ARGUMENT_SAMPLER)
        wire_get_u32(in, &a->handle);
    else if (a->form == ARGUMENT_SVM) {
        wire_get_u32(in, &a->handle);
        wire_get_u64(in, &a->offset);
    } else if (a->form != ARGUMENT_LOCAL && a->form != ARGUMENT_UNSET)
        in->bad = true;
    return !in->bad;
}

static bool argument_kind(const struct argument *a, enum object_kind *ret)
{
    switch (a->form) {
    case ARGUMENT_MEM: *ret = OBJECT_MEM; return true;
    case ARGUMENT_SAMPLER: *ret = OBJECT_SAMPLER; return true;
    case ARGUMENT_SVM: *ret = OBJECT_SVM; return true;
    default: return false;
    }
}

/* objects[0] is the kernel, objects[1 + i] the memory object, sampler or shared virtual memory of argument i or NULL. */
bool kernel_decode_arguments(struct command *c, uint32_t nargs_max)
{
    struct wire_in in = { c->u.ndrange.arguments.data, c->u.ndrange.arguments.size, 0, false };
    struct argument a = { 0 };
    uint32_t n = 0;
    while (next_argument(&in, &a))
        n++;
    if (in.bad || n > nargs_max)
        return false;
    if (n + 1 > ARRAY_LEN(c->few)) {
        struct object **p = calloc(n + 1, sizeof *p);
        if (!p)
            return false;
        p[0] = c->objects[0];
        c->objects = p;
    }
    c->nobjects = n + 1;
    in = (struct wire_in){ c->u.ndrange.arguments.data, c->u.ndrange.arguments.size, 0, false };
    for (uint32_t i = 0; next_argument(&in, &a); i++) {
        c->objects[1 + i] = NULL;
        enum object_kind kind;
        bool named = argument_kind(&a, &kind) && a.handle;
        if (named && !(c->objects[1 + i] = objects_get(a.handle, kind))) {
            c->nobjects = 1 + i;
            return false;
        }
    }
    return true;
}

static struct kernel_copy *copy_get(struct object *o, const struct queue *q, uint32_t nargs)
{
    struct kernel_copy *k;
    pthread_mutex_lock(&o->u.kernel.lock);
    for (k = o->u.kernel.copies; k && k->queue != q; k = k->next)
        ;
    if (!k && (k = calloc(1, sizeof *k))) {
        cl_int e;
        k->queue = q;
        k->native = clCreateKernel(o->parent->u.program.native, o->u.kernel.name, &e);
        k->serials = calloc(nargs + 1, sizeof *k->serials);
        if (!k->native || !k->serials) {
            if (k->native)
                clReleaseKernel(k->native);
            free(k->serials);
            free(k);
            k = NULL;
        } else {
            k->next = o->u.kernel.copies;
            o->u.kernel.copies = k;
        }
    }
    pthread_mutex_unlock(&o->u.kernel.lock);
    return k;
}

static bool argument_fits(enum takes takes, const struct argument *a, const struct object *object)
{
    switch (takes) {
    case TAKES_VALUE: return a->form == ARGUMENT_VALUE;
    case TAKES_LOCAL: return a->form == ARGUMENT_LOCAL;
    case TAKES_BUFFER: return a->form == ARGUMENT_SVM || (a->form == ARGUMENT_MEM && (!object || !object->u.mem.image));
    case TAKES_IMAGE: return a->form == ARGUMENT_MEM && object && object->u.mem.image;
    case TAKES_SAMPLER: return a->form == ARGUMENT_SAMPLER;
    default: return true;
    }
}

static cl_int set_argument(struct kernel_copy *k, uint32_t i, const struct argument *a, const struct object *object)
{
    switch (a->form) {
    case ARGUMENT_VALUE: return clSetKernelArg(k->native, i, a->size, a->bytes);
    case ARGUMENT_LOCAL: return clSetKernelArg(k->native, i, a->size, NULL);
    case ARGUMENT_MEM: {
        cl_mem m = object ? object->u.mem.native : NULL;
        return clSetKernelArg(k->native, i, sizeof m, &m);
    }
    case ARGUMENT_SVM:
        return object && a->offset <= object->u.svm.size ? clSetKernelArgSVMPointer(k->native, i, object->u.svm.pointer + a->offset) : CL_INVALID_ARG_VALUE;
    case ARGUMENT_SAMPLER: return object ? clSetKernelArg(k->native, i, sizeof object->u.sampler, &object->u.sampler) : CL_INVALID_SAMPLER;
    default: return CL_INVALID_KERNEL_ARGS;
    }
}

/* Only what differs from the last launch: most programs change one argument of many. */
static cl_int set_arguments(struct kernel_copy *k, struct command *c)
{
    const struct wire_blob *b = &c->u.ndrange.arguments;
    struct wire_in in = { b->data, b->size, 0, false };
    struct argument a = { 0 };
    bool aligned = k->last && k->last_size == b->size;
    cl_int e = CL_SUCCESS;
    for (uint32_t i = 0, start = 0; !e && next_argument(&in, &a); i++, start = (uint32_t)in.pos) {
        const struct object *object = c->objects[1 + i];
        uint64_t serial = object ? object->serial : 0;
        aligned = aligned && memcmp(k->last + start, (const uint8_t *)b->data + start, 8) == 0;   /* same form and size, so the rest lines up */
        if (aligned && serial == k->serials[i] && memcmp(k->last + start, (const uint8_t *)b->data + start, in.pos - start) == 0)
            continue;
        e = argument_fits(c->objects[0]->u.kernel.takes[i], &a, object) ? set_argument(k, i, &a, object) : CL_INVALID_ARG_VALUE;
        k->serials[i] = serial;
    }
    if (e || !aligned || k->last_size != b->size) {
        free(k->last);
        k->last = e ? NULL : malloc(b->size + 1);
        k->last_size = b->size;
    }
    if (k->last && b->size)
        memcpy(k->last, b->data, b->size);
    return e;
}

/* ---- launching ---- */

cl_int kernel_launch(struct queue *q, struct command *c)
{
    struct object *o = c->objects[0];
    const struct wire_ndrange *m = &c->u.ndrange;
    if (c->nobjects - 1 != o->u.kernel.nargs)
        return CL_INVALID_KERNEL_ARGS;
    struct kernel_copy *k = copy_get(o, q, o->u.kernel.nargs);
    if (!k)
        return CL_OUT_OF_RESOURCES;
    cl_int e = set_arguments(k, c);
    if (e)
        return e;
    size_t offset[3], global[3], local[3];
    bool shifted = false;
    for (int i = 0; i < 3; i++) {
        offset[i] = m->offset[i];
        global[i] = m->global[i];
        local[i] = m->local[i];
        shifted = shifted || offset[i];
    }
    cl_uint nwaits = q->hold.event && !q->hold.attached;
    e = clEnqueueNDRangeKernel(q->native, k->native, m->dimensions, shifted ? offset : NULL, global, m->flags & 1 ? local : NULL, nwaits,
                               nwaits ? &q->hold.event : NULL, c->watched ? &c->native : NULL);
    q->hold.attached |= e == CL_SUCCESS;
    return e;
}

static double items(const struct wire_ndrange *m)
{
    double n = 1;
    for (uint32_t i = 0; i < m->dimensions && i < 3; i++)
        n *= (double)m->global[i];
    return n;
}

bool kernel_cut(struct command *c, uint64_t piece_ns, uint32_t compute_units, struct wire_ndrange *ret_piece)
{
    struct object *o = c->objects[0];
    pthread_mutex_lock(&o->u.kernel.lock);
    double per_item = o->u.kernel.ns_per_item;
    pthread_mutex_unlock(&o->u.kernel.lock);
    return cut_take(&c->u.ndrange, o->parent->u.program.cut, per_item, piece_ns, compute_units, ret_piece);
}

uint64_t kernel_cost_ns(struct command *c, uint64_t unknown_ns)
{
    struct object *o = c->objects[0];
    pthread_mutex_lock(&o->u.kernel.lock);
    double per_item = o->u.kernel.ns_per_item;
    uint32_t n = o->u.kernel.launches;
    if (!c->sampled) {          /* asked again while it waits for room: counted once */
        o->u.kernel.launches++;
        c->sampled = n < SAMPLE_ALWAYS || n % SAMPLE_EVERY == 0;
    }
    pthread_mutex_unlock(&o->u.kernel.lock);
    double ns = per_item * items(&c->u.ndrange) + LAUNCH_OVERHEAD_NS;
    return per_item > 0 ? (ns < 1e15 ? (uint64_t)ns : UINT64_C(1000000000000000)) : unknown_ns;
}

void kernel_measured(struct command *c, uint64_t ns)
{
    struct object *o = c->objects[0];
    double per_item = (double)ns / items(&c->u.ndrange);
    pthread_mutex_lock(&o->u.kernel.lock);
    double old = o->u.kernel.ns_per_item;
    o->u.kernel.ns_per_item = old > 0 && o->u.kernel.launches > 2 ? 0.7 * old + 0.3 * per_item : per_item;
    pthread_mutex_unlock(&o->u.kernel.lock);
}

void kernel_free(struct object *o)
{
    while (o->u.kernel.copies) {
        struct kernel_copy *k = o->u.kernel.copies;
        o->u.kernel.copies = k->next;
        clReleaseKernel(k->native);
        free(k->last);
        free(k->serials);
        free(k);
    }
    pthread_mutex_destroy(&o->u.kernel.lock);
    free(o->u.kernel.takes);
    free(o->u.kernel.name);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* guest/opencl: the OpenCL ICD that applications load (libtranche-opencl.so).
 *
 * Runs in the tenant's process, linked to libc and pthread only. Every OpenCL object is a structure here that begins with the loader's
 * dispatch table; the worker on the other side knows it by a handle that this side chose. Owns one connection per process (link.h).
 * Never: logs (but one line when the share named by the environment cannot be reached), signals, or a wait that outlives the worker. */
#pragma once

#include "guest/opencl/link.h"

#include <CL/cl_icd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind { KIND_PLATFORM = 0x74720001, KIND_DEVICE, KIND_CONTEXT, KIND_QUEUE, KIND_MEM, KIND_PROGRAM, KIND_KERNEL, KIND_EVENT, KIND_SAMPLER };

struct object {
    const struct _cl_icd_dispatch *dispatch;   /* first, for the loader */
    uint32_t kind;
    _Atomic uint32_t refs;
    uint32_t id;                               /* handle, 0 where the worker does not know the object */
};

struct _cl_platform_id { struct object base; };
struct _cl_device_id {
    struct object base;
    cl_device_id parent;                       /* NULL for the share's device itself */
    void *owner;                               /* what the worker said of a sub-device, */
    struct wire_blob facts;                    /* {u32 name, blob value}…: where it differs from the whole */
};

struct destructor {
    struct destructor *next;
    void (CL_CALLBACK *call)(void *object, void *user);
    void *user;
};

struct _cl_context {
    struct object base;
    cl_context_properties *properties;
    size_t nproperties;                        /* with the closing zero; 0: none given */
    struct destructor *destructors;
    cl_device_id *devices;
    cl_uint ndevices;
};

struct _cl_command_queue {
    struct object base;
    cl_context context;
    cl_device_id device;
    cl_command_queue_properties properties;
    cl_queue_properties *list;                 /* as given to ...WithProperties */
    size_t nlist;
    uint32_t state;                            /* index of its wire_queue_state */
    uint64_t enqueued;                         /* last sequence number; under the link's push lock */
};

struct _cl_event {
    struct object base;
    cl_context context;
    cl_command_queue queue;                    /* NULL for user events */
    cl_command_type type;
    uint32_t slot, generation;
};

/* A copy between the application's memory and a memory object, linear or rectangular (transfer.c). */
struct transfer {
    cl_mem mem;
    bool write;
    uint8_t *host;
    uint64_t host_start, mem_start;                       /* of the first byte */
    uint64_t region[3], host_row, host_slice, mem_row, mem_slice;   /* bytes, rows, slices; linear: {size, 1, 1} */
    size_t origin[3];                                     /* in pixels, where mem is an image */
    void *owned;                                          /* freed once the copy is done or has failed */
};

struct mapping {
    struct mapping *next;
    void *pointer;                             /* what the application has */
    void *shadow;                              /* malloc'ed copy to free at unmap, or NULL */
    cl_map_flags flags;
    struct transfer view;                      /* what it shows, as a write; no bytes where it is the memory itself */
};

struct image {
    cl_image_format format;
    cl_image_desc desc;                        /* pitches as given by the application */
    size_t element, row, slice;                /* bytes, in the object's memory */
    size_t host_row, host_slice;               /* in the application's memory (CL_MEM_USE_HOST_PTR) */
};

struct _cl_mem {
    struct object base;
    cl_context context;
    cl_mem parent;
    cl_mem_flags flags;
    size_t size, origin;
    void *host_pointer;                        /* CL_MEM_USE_HOST_PTR */
    bool svm;                                  /* host_pointer is shared virtual memory, and the object's own */
    uint8_t *memory;                           /* in the arena, NULL where the device has its own */
    cl_mem_properties *properties;
    size_t nproperties;
    struct image *image;                       /* NULL for buffers */
    pthread_mutex_t lock;                      /* mappings and destructors */
    struct mapping *mappings;
    cl_uint map_count;
    struct destructor *destructors;
};

struct _cl_sampler {
    struct object base;
    cl_context context;
    cl_bool normalized;
    cl_addressing_mode addressing;
    cl_filter_mode filter;
    cl_sampler_properties *properties;
    size_t nproperties;
};

struct kernel_arg_info {
    cl_kernel_arg_address_qualifier address;
    cl_kernel_arg_access_qualifier access;
    cl_kernel_arg_type_qualifier qualifier;
    char *type, *name;
    size_t size;                               /* of a value of this type, 0 when unknown */
};

struct kernel_info {
    char *name, *attributes;
    cl_uint nargs;
    size_t work_group, compile_work_group[3], preferred_multiple;
    cl_ulong local_bytes, private_bytes;
    bool args_known;
    struct kernel_arg_info *args;
};

struct _cl_program {
    struct object base;
    cl_context context;
    char *source, *options, *log;
    void *il;                                  /* intermediate language that it was made from */
    size_t il_size;
    struct destructor *destructors;
    _Atomic cl_build_status status;            /* CL_BUILD_IN_PROGRESS: what follows belongs to the thread that builds */
    bool arg_info;                             /* the application asked for it: the worker always does */
    bool may_print;                            /* its kernels may call printf */
    bool expanded;                             /* the worker has the source with the files that it includes */
    cl_program_binary_type binary_type;
    uint64_t global_bytes;
    _Atomic uint32_t kernels_alive;            /* a program with kernels cannot be built again */
    cl_uint nkernels;
    struct kernel_info *kernels;
};

struct kernel_arg {
    uint32_t form;                             /* enum argument_form */
    uint32_t size;
    uint32_t handle;                           /* for ARGUMENT_MEM and ARGUMENT_SAMPLER */
    bool set;
    union { void *heap; uint8_t bytes[16]; uint64_t offset; } value;   /* offset: within the allocation, for ARGUMENT_SVM */
};

struct _cl_kernel {
    struct object base;
    cl_program program;
    const struct kernel_info *info;
    pthread_mutex_t lock;
    struct kernel_arg *args;
};

extern struct _cl_platform_id the_platform;
extern struct _cl_device_id the_device;

/* NULL, or an object of another kind, is not valid. */
static inline bool object_is(const void *p, enum kind kind) { return p && ((const struct object *)p)->kind == (uint32_t)kind; }
void object_init(struct object *o, enum kind kind, uint32_t id);
static inline void object_ref(void *p) { atomic_fetch_add_explicit(&((struct object *)p)->refs, 1, memory_order_relaxed); }
/* True when this was the last reference. */
static inline bool object_unref(void *p) { return atomic_fetch_sub_explicit(&((struct object *)p)->refs, 1, memory_order_acq_rel) == 1; }

/* Answers an info query from n bytes of data, with the specification's rules for size and pointer. */
/* Whether the device's list of extensions has the name. */
bool device_has_extension(const char *name);
cl_int info_put(const void *data, size_t n, size_t size, void *value, size_t *size_ret);
#define INFO(type, x) ({ type info_value_ = (x); info_put(&info_value_, sizeof info_value_, size, value, size_ret); })
#define INFO_STRING(s) ({ const char *info_text_ = (s); info_put(info_text_, strlen(info_text_) + 1, size, value, size_ret); })

void context_release(cl_context c);
bool context_has(cl_context c, cl_device_id device);
/* A list of devices as build calls take it: none at all, or some of the context's. */
cl_int context_check_devices(cl_context c, cl_uint n, const cl_device_id *devices);
void device_ref(cl_device_id d);
void device_release(cl_device_id d);
void queue_release(cl_command_queue q);
void mem_release(cl_mem m);
void program_release(cl_program p);
/* Memory objects and samplers that live in this process, by address: a kernel argument of pointer size may be one of them. */
bool known_add(const void *object);
void known_remove(const void *object);
bool object_is_known(const void *p, enum kind kind);
/* svm.c: the allocation around a pointer. False where there is none. */
struct svm_place { uint32_t id; uint64_t offset, size; cl_context context; };   /* size: of the whole allocation */
bool svm_find(const void *pointer, struct svm_place *ret);
cl_device_svm_capabilities svm_capabilities(void);
/* memory.c: a memory object without memory yet, and its end when that cannot be had. */
cl_mem mem_new(cl_context context, cl_mem_flags flags, size_t size);
void mem_free(cl_mem m);
bool mem_flags_valid(cl_mem_flags flags);
void destructors_run(struct destructor *list, void *object);
int destructor_add(struct destructor **list, void (CL_CALLBACK *call)(void *, void *), void *user);

/* Events (event.c). new takes a slot and starts at CL_QUEUED; NULL when none is left. */
cl_event event_new(cl_context context, cl_command_queue queue, cl_command_type type);
void event_release(cl_event e);
int32_t event_status(const struct _cl_event *e);
void event_complete(cl_event e, int32_t status);          /* by this side: user events and transfers */
cl_int event_wait(cl_event e);                            /* CL_SUCCESS, the event's error, or CL_OUT_OF_RESOURCES when the worker is gone */
cl_int events_check(cl_context context, cl_uint n, const cl_event *list);   /* a wait list as the specification wants it */
bool events_complete(cl_uint n, const cl_event *list);
cl_int events_wait(cl_uint n, const cl_event *list);      /* CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST when one failed */

/* Queues (queue.c): encode a command and push it. begin leaves room for the header. */
struct command {
    struct wire_out out;
    uint8_t small[1024];
};
void command_begin(struct command *c, cl_uint nwait, const cl_event *wait);
/* Sends it; sets *event (where not NULL) to a new event of this type. Takes care of freeing. */
cl_int command_push(struct command *c, enum wire_op op, cl_command_queue q, cl_command_type type, cl_event *event);
/* A command that does nothing: of the types marker and barrier it waits and holds up as those do. */
cl_int queue_marker(cl_command_queue q, cl_command_type type, cl_uint nwait, const cl_event *wait, cl_event *event);
cl_command_queue queue_internal(void);                    /* for this library's own transfers: of no context; NULL on failure */
uint64_t queue_last(cl_command_queue q);                  /* sequence number of the last command */
/* Waits until a command with this wait list could run: in an out-of-order queue that is before others are done. */
cl_int queue_wait_turn(cl_command_queue q, cl_uint nwait, const cl_event *wait);
bool queue_idle(cl_command_queue q);
cl_int queue_drain(cl_command_queue q);                   /* waits for everything enqueued so far */

/* Commands that this side carries out itself (host.c): CL_SUCCESS, or the error that the command ends with. */
typedef cl_int (*host_fn)(void *arg);
struct host_work {
    host_fn run;
    void (*drop)(void *arg);                  /* afterwards, or instead of it */
    void *arg;
};
cl_int host_run_now(cl_command_queue q, host_fn run, void *arg, cl_command_type type, cl_event *event);
/* Waits for the wait list and the queue in the calling thread. */
cl_int host_run_in_turn(cl_command_queue q, host_fn run, void *arg, cl_command_type type, cl_uint nwait, const cl_event *wait, cl_event *event);
/* Returns at once. Takes over the work, also on failure. */
cl_int host_run_later(cl_command_queue q, const struct host_work *work, cl_command_type type, cl_uint nwait, const cl_event *wait, cl_event *event);

/* Transfers (transfer.c). */
void transfer_linear(struct transfer *t, cl_mem mem, bool write, void *host, uint64_t offset, uint64_t size);
cl_int transfer_stream(const struct transfer *t);         /* stream.c: where the object does not live in the arena */
cl_int transfer_run(const struct transfer *t);            /* copies now; the caller has waited for whatever must come before */
/* As part of a queue. Takes over t->owned, also on failure. */
cl_int transfer_enqueue(cl_command_queue q, const struct transfer *t, bool blocking, cl_command_type type, cl_uint nwait, const cl_event *wait,
                        cl_event *event);

/* Checks shared by buffers and images. */
cl_int transfer_check(cl_command_queue q, cl_mem m, bool write, cl_uint nwait, const cl_event *wait);
cl_int map_check(cl_command_queue q, cl_mem m, cl_map_flags flags, cl_uint nwait, const cl_event *wait);
/* Maps what `view` describes (its host side is filled in here); NULL and *ret_error on failure. */
void *map_enqueue(cl_command_queue q, const struct transfer *view, bool blocking, cl_map_flags flags, cl_command_type type, cl_uint nwait, const cl_event *wait,
                  cl_event *event, cl_int *ret_error);

/* One background thread per process, started when first needed: runs an action when an event has reached a status. */
typedef void (*background_fn)(cl_event e, int32_t status, void *arg);
cl_int background_add(cl_event e, int32_t status, background_fn run, void *arg);
/* A thread of this library that ends by itself. 0 or an errno. */
int thread_start(void *(*run)(void *), void *arg);
void background_kick(void);                               /* an event changed on this side */

/* Around fork() every part holds its lock, so that the child finds whole lists; there it begins with a fresh lock and a new connection. Handles, slots
 * and queue states of the parent's objects stay taken in the child: it may still release those objects. */
enum fork_step { FORK_BEFORE, FORK_PARENT, FORK_CHILD };
static inline void fork_lock(pthread_mutex_t *lock, enum fork_step step)
{
    switch (step) {
    case FORK_BEFORE: pthread_mutex_lock(lock); break;
    case FORK_PARENT: pthread_mutex_unlock(lock); break;
    case FORK_CHILD: pthread_mutex_init(lock, NULL); break;
    }
}
void transfers_fork(enum fork_step step);
void background_fork(enum fork_step step);
void queues_fork(enum fork_step step);
void events_fork(enum fork_step step);
void known_fork(enum fork_step step);
void svm_fork(enum fork_step step);

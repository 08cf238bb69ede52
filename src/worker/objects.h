/* SPDX-License-Identifier: Apache-2.0 */
/* The client's handles: a table of typed, counted objects. A command holds a reference to all that it uses until it is done. */
#pragma once

#include "worker/cut.h"
#include "worker/session.h"

enum object_kind { OBJECT_QUEUE = 1, OBJECT_MEM, OBJECT_PROGRAM, OBJECT_KERNEL, OBJECT_SAMPLER, OBJECT_SVM, OBJECT_DEVICE };

struct queue;

struct object {
    enum object_kind kind;
    _Atomic uint32_t refs;
    uint64_t serial;               /* unique in this worker: a handle may be used again, this is not */
    struct session *session;
    struct object *parent;         /* buffer of a sub-buffer, shared virtual memory of a buffer, program of a kernel, sub-device of a queue; referenced */
    union {
        struct queue *queue;
        struct {
            cl_mem native;
            uint64_t size, offset;     /* place in the arena, or WIRE_NO_OFFSET */
            uint64_t reserved;         /* of the quota */
            bool image;
            uint32_t element;          /* bytes of a pixel */
            _Atomic bool released;     /* by the client */
        } mem;
        struct {
            cl_program native;
            _Atomic uint32_t builds;       /* asked for and not done: nothing may be made of it */
            bool built, il;                /* il: made from an intermediate language */
            enum cut cut;
        } program;
        struct {
            uint8_t *pointer;
            uint64_t size, offset;         /* place in the arena */
            uint64_t reserved;             /* of the quota */
            _Atomic bool released;
        } svm;
        cl_sampler sampler;
        cl_device_id device;               /* a sub-device */
        struct {
            char *name;
            cl_uint nargs;
            uint8_t *takes;                /* enum takes of each argument */
            pthread_mutex_t lock;
            struct kernel_copy *copies;    /* one per queue: arguments are a driver object's state */
            double ns_per_item;            /* measured, 0 unknown; under lock */
            uint32_t launches;
            uint32_t nshapes;              /* of launches so far: see ahead.h */
            uint64_t shapes[16];
        } kernel;
    } u;
};

struct object *object_new(struct session *s, enum object_kind kind);
struct object *object_ref(struct object *o);
void object_unref(struct object *o);          /* NULL is fine */

/* Gives the handle to the object (the table takes over the caller's reference). A handle in use, or 0, ends the worker. */
void objects_put(uint32_t id, struct object *o);
/* A reference to the object behind a handle of this kind, or NULL. */
struct object *objects_get(uint32_t id, enum object_kind kind);
/* Takes the handle away; the table's reference is the caller's now. NULL when it names nothing of this kind. */
struct object *objects_take(uint32_t id, enum object_kind kind);

/* SPDX-License-Identifier: Apache-2.0 */
/* What all objects share: the dispatch table, info answers, destructor lists, extension lookup. */
#include "guest/opencl/guest.h"
#include "wire/dispatch.h"

#include <stdlib.h>
#include <string.h>

void object_init(struct object *o, enum kind kind, uint32_t id)
{
    o->dispatch = &dispatch_table;
    o->kind = kind;
    o->id = id;
    atomic_store(&o->refs, 1);
}

cl_int info_put(const void *data, size_t n, size_t size, void *value, size_t *size_ret)
{
    if (value && size < n)
        return CL_INVALID_VALUE;
    if (value && n)
        memcpy(value, data, n);
    if (size_ret)
        *size_ret = n;
    return CL_SUCCESS;
}

int destructor_add(struct destructor **list, void (CL_CALLBACK *call)(void *, void *), void *user)
{
    struct destructor *d = malloc(sizeof *d);
    if (!d)
        return CL_OUT_OF_HOST_MEMORY;
    *d = (struct destructor){ *list, call, user };   /* called in reverse order of registration, as specified */
    *list = d;
    return CL_SUCCESS;
}

void destructors_run(struct destructor *list, void *object)
{
    while (list) {
        struct destructor *next = list->next;
        list->call(object, list->user);
        free(list);
        list = next;
    }
}

bool device_has_extension(const char *name)
{
    const struct wire_blob *b = link_fact(1, CL_DEVICE_EXTENSIONS);
    size_t n = strlen(name);
    for (const char *at = b ? b->data : ""; *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        if (len == n && memcmp(at, name, n) == 0)
            return true;
        at += len;
    }
    return false;
}

/* With the device's extension that they belong to, if any. */
struct extension { const char *name; void *function; const char *extension; };
static const struct extension extensions[] = {
    { "clIcdGetPlatformIDsKHR", clIcdGetPlatformIDsKHR, NULL },
    { "clGetPlatformInfo", clGetPlatformInfo, NULL },
    { "clCreateProgramWithILKHR", clCreateProgramWithIL, "cl_khr_il_program" },
    { "clGetKernelSubGroupInfoKHR", clGetKernelSubGroupInfoKHR, "cl_khr_subgroups" },
};

/* Not clGetExtensionFunctionAddress() for both: inside the program that name means the loader's function, which does not know ours. */
static void *extension_find(const char *name)
{
    for (size_t i = 0; name && i < sizeof extensions / sizeof *extensions; i++)
        if (strcmp(name, extensions[i].name) == 0 && (!extensions[i].extension || device_has_extension(extensions[i].extension)))
            return extensions[i].function;
    return NULL;
}

__attribute__((visibility("default"))) void *CL_API_CALL clGetExtensionFunctionAddress(const char *name) { return extension_find(name); }

void *CL_API_CALL clGetExtensionFunctionAddressForPlatform(cl_platform_id platform, const char *name)
{
    return object_is(platform, KIND_PLATFORM) ? extension_find(name) : NULL;
}

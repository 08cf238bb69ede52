/* SPDX-License-Identifier: Apache-2.0 */
/* Two calls of NVML by dlopen: see persistence.h. */
#include "priv/persistence.h"

#include "inventory/nvml.h"

#include <dlfcn.h>
#include <errno.h>

struct api {
    void *device;
    int (*get)(void *, unsigned *), (*set)(void *, unsigned);
};

static int open_device(const char *address, struct api *ret, struct error *err)
{
    /* Never closed: the process that calls this ends right after. */
    void *library = dlopen(NVML_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    int (*init)(void) = NULL, (*find)(const char *, void **) = NULL;
    if (!library)
        return error_set(err, -EOPNOTSUPP, "no %s", NVML_LIBRARY);
    *(void **)&init = dlsym(library, "nvmlInit_v2");
    *(void **)&find = dlsym(library, "nvmlDeviceGetHandleByPciBusId_v2");
    *(void **)&ret->get = dlsym(library, "nvmlDeviceGetPersistenceMode");
    *(void **)&ret->set = dlsym(library, "nvmlDeviceSetPersistenceMode");
    if (!init || !find || !ret->get || !ret->set)
        return error_set(err, -EOPNOTSUPP, "%s lacks persistence mode", NVML_LIBRARY);
    int r = init();
    if (r == 0)
        r = find(address, &ret->device);
    return r == 0 ? 0 : error_set(err, -EOPNOTSUPP, "NVML does not give GPU %s (error %d)", address, r);
}

int persistence_get(const char *address, bool *ret_on, struct error *err)
{
    struct api api;
    unsigned mode = 0;
    int r = open_device(address, &api, err);
    if (r < 0)
        return r;
    r = api.get(api.device, &mode);
    *ret_on = mode == 1;
    return r == 0 ? 0 : error_set(err, -EOPNOTSUPP, "NVML does not tell the persistence mode of %s (error %d)", address, r);
}

int persistence_set(const char *address, bool on, struct error *err)
{
    struct api api;
    int r = open_device(address, &api, err);
    if (r < 0)
        return r;
    r = api.set(api.device, on);
    return r == 0 ? 0 : error_set(err, -EIO, "NVML does not set the persistence mode of %s (error %d)", address, r);
}

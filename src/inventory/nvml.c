/* SPDX-License-Identifier: Apache-2.0 */
/* Facts from NVML, asked in a child process that answers in JSON: see nvml.h. */
#include "inventory/nvml.h"

#include "base/cleanup.h"
#include "inventory/label.h"

#include <dlfcn.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

/* Our own minimal declarations of NVML's ABI; the vendor's header is not in Debian main. */
typedef struct nvml_device *nvml_device;
struct nvml_memory { unsigned long long total, free, used; };
struct nvml_pci_info {                    /* nvmlPciInfo_t as of nvmlDeviceGetPciInfo_v3 */
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
};
#define NVML_SUCCESS 0

struct nvml_api {
    int (*init)(void);                                                  /* nvmlInit_v2 */
    int (*shutdown)(void);
    const char *(*error_string)(int);
    int (*driver_version)(char *, unsigned);                            /* nvmlSystemGetDriverVersion, 80 bytes */
    int (*count)(unsigned *);                                           /* nvmlDeviceGetCount_v2 */
    int (*by_index)(unsigned, nvml_device *);                           /* nvmlDeviceGetHandleByIndex_v2 */
    int (*name)(nvml_device, char *, unsigned);                         /* 96 bytes */
    int (*uuid)(nvml_device, char *, unsigned);                         /* 96 bytes */
    int (*memory)(nvml_device, struct nvml_memory *);
    int (*compute)(nvml_device, int *, int *);
    int (*mig_mode)(nvml_device, unsigned *, unsigned *);
    int (*persistence)(nvml_device, unsigned *);                        /* nvmlDeviceGetPersistenceMode */
    int (*pci_info)(nvml_device, struct nvml_pci_info *);               /* nvmlDeviceGetPciInfo_v3 */
};

static void api_load(void *library, struct nvml_api *api)
{
    *(void **)&api->init = dlsym(library, "nvmlInit_v2");
    *(void **)&api->shutdown = dlsym(library, "nvmlShutdown");
    *(void **)&api->error_string = dlsym(library, "nvmlErrorString");
    *(void **)&api->driver_version = dlsym(library, "nvmlSystemGetDriverVersion");
    *(void **)&api->count = dlsym(library, "nvmlDeviceGetCount_v2");
    *(void **)&api->by_index = dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
    *(void **)&api->name = dlsym(library, "nvmlDeviceGetName");
    *(void **)&api->uuid = dlsym(library, "nvmlDeviceGetUUID");
    *(void **)&api->memory = dlsym(library, "nvmlDeviceGetMemoryInfo");
    *(void **)&api->compute = dlsym(library, "nvmlDeviceGetCudaComputeCapability");
    *(void **)&api->mig_mode = dlsym(library, "nvmlDeviceGetMigMode");
    *(void **)&api->persistence = dlsym(library, "nvmlDeviceGetPersistenceMode");
    *(void **)&api->pci_info = dlsym(library, "nvmlDeviceGetPciInfo_v3");
}

static void set_text(json_t *o, const char *key, const char *raw)
{
    char text[128];
    label_set(text, sizeof text, raw);
    json_object_set_new(o, key, json_string(text));
}

static void add_mig_mode(const struct nvml_api *api, nvml_device d, json_t *o)
{
    unsigned current = 0, pending = 0;
    bool known = api->mig_mode && api->mig_mode(d, &current, &pending) == NVML_SUCCESS;
    json_object_set_new(o, "mig_current", json_integer(known ? (json_int_t)(current == 1) : -1));
    json_object_set_new(o, "mig_pending", json_integer(known ? (json_int_t)(pending == 1) : -1));
}

static void add_persistence(const struct nvml_api *api, nvml_device d, json_t *o)
{
    unsigned mode = 0;
    bool known = api->persistence && api->persistence(d, &mode) == NVML_SUCCESS;
    json_object_set_new(o, "persistence", json_integer(known ? (json_int_t)(mode == 1) : -1));
}

static json_t *gpu_json(const struct nvml_api *api, nvml_device d)
{
    json_t *o = json_object();
    char text[128] = "";
    struct nvml_pci_info pci = { 0 };
    struct nvml_memory memory = { 0 };
    int major = 0, minor = 0;
    if (api->pci_info && api->pci_info(d, &pci) == NVML_SUCCESS)
        snprintf(text, sizeof text, "%04x:%02x:%02x.0", pci.domain, pci.bus & 0xff, pci.device & 0x1f);
    set_text(o, "pci_address", text);
    text[0] = '\0';
    set_text(o, "name", api->name && api->name(d, text, 96) == NVML_SUCCESS ? text : "");
    text[0] = '\0';
    set_text(o, "uuid", api->uuid && api->uuid(d, text, 96) == NVML_SUCCESS ? text : "");
    if (api->memory && api->memory(d, &memory) == NVML_SUCCESS && memory.total <= INT64_MAX)
        json_object_set_new(o, "memory_bytes", json_integer((json_int_t)memory.total));
    if (api->compute && api->compute(d, &major, &minor) == NVML_SUCCESS) {
        json_object_set_new(o, "compute_major", json_integer(major));
        json_object_set_new(o, "compute_minor", json_integer(minor));
    }
    add_mig_mode(api, d, o);
    add_persistence(api, d, o);
    return o;
}

static json_t *answer_error(const struct nvml_api *api, const char *call, int code)
{
    char text[160];
    const char *reason = api->error_string ? api->error_string(code) : NULL;
    snprintf(text, sizeof text, "%s says %s (%d)", call, reason ? reason : "error", code);
    return json_pack("{s:s}", "error", text);
}

static json_t *ask_library(const struct nvml_api *api)
{
    unsigned n = 0;
    char version[128] = "";
    int r = api->init();
    if (r != NVML_SUCCESS)
        return answer_error(api, "nvmlInit", r);
    if ((r = api->count(&n)) != NVML_SUCCESS)
        return answer_error(api, "nvmlDeviceGetCount", r);
    json_t *root = json_object(), *gpus = json_array();
    set_text(root, "driver_version", api->driver_version && api->driver_version(version, 80) == NVML_SUCCESS ? version : "");
    for (unsigned i = 0; i < n && i < NVML_MAX_GPUS; i++) {
        nvml_device d = NULL;
        if (api->by_index(i, &d) == NVML_SUCCESS)
            json_array_append_new(gpus, gpu_json(api, d));
    }
    json_object_set_new(root, "gpus", gpus);
    if (api->shutdown)
        api->shutdown();
    return root;
}

static int child_body(void *arg)
{
    struct nvml_api api = { 0 };
    json_t *root;
    void *library = dlopen(arg, RTLD_NOW | RTLD_LOCAL);
    if (library)
        api_load(library, &api);
    if (!library)
        root = json_object();
    else if (!api.init || !api.count || !api.by_index)
        root = json_pack("{s:s}", "error", "the library lacks nvmlInit_v2, nvmlDeviceGetCount_v2 or nvmlDeviceGetHandleByIndex_v2");
    else
        root = ask_library(&api);
    return root && json_dumpf(root, stdout, JSON_COMPACT) == 0 && fflush(stdout) == 0 ? 0 : 1;
}

int nvml_start(struct child *child, const char *library, uint64_t timeout_ns, struct error *err)
{
    return child_start(child, "NVIDIA management library", timeout_ns, child_body, (void *)library, err);
}

static void read_gpu(json_t *o, const char *driver_version, struct nvml_gpu *ret)
{
    json_t *v;
    *ret = (struct nvml_gpu){ .mig_current = -1, .mig_pending = -1, .persistence = -1 };
    if (!pci_parse_address(json_string_value(json_object_get(o, "pci_address")), ret->pci_address))
        ret->pci_address[0] = '\0';
    label_set(ret->name, sizeof ret->name, json_string_value(json_object_get(o, "name")));
    label_set(ret->uuid, sizeof ret->uuid, json_string_value(json_object_get(o, "uuid")));
    label_set(ret->driver_version, sizeof ret->driver_version, driver_version);
    v = json_object_get(o, "memory_bytes");
    ret->memory_bytes = json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
    ret->compute_major = (int)json_integer_value(json_object_get(o, "compute_major"));
    ret->compute_minor = (int)json_integer_value(json_object_get(o, "compute_minor"));
    if ((v = json_object_get(o, "mig_current")))
        ret->mig_current = (int)json_integer_value(v);
    if ((v = json_object_get(o, "mig_pending")))
        ret->mig_pending = (int)json_integer_value(v);
    if ((v = json_object_get(o, "persistence")))
        ret->persistence = (int)json_integer_value(v);
}

static void cleanup_json(json_t **j) { json_decref(*j); }

int nvml_collect(struct child *child, struct nvml_gpu *ret, int max, struct error *err)
{
    if (child_wait(child, err) < 0)
        return err ? err->code : -EIO;
    json_error_t e;
    _cleanup_(cleanup_json) json_t *root = json_loads(child->output ? child->output : "", 0, &e);
    if (!root)
        return error_set(err, -EPROTO, "the NVIDIA management library's answer is not understood: %s", e.text);
    const char *problem = json_string_value(json_object_get(root, "error"));
    if (problem) {
        char text[256];
        label_set(text, sizeof text, problem);
        return error_set(err, -EIO, "the NVIDIA driver is installed but does not work: %s", text);
    }
    const char *version = json_string_value(json_object_get(root, "driver_version"));
    json_t *gpus = json_object_get(root, "gpus");
    int n = 0;
    for (size_t i = 0; i < json_array_size(gpus) && n < max; i++)
        read_gpu(json_array_get(gpus, i), version, &ret[n++]);
    return n;
}

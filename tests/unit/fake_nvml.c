/* SPDX-License-Identifier: Apache-2.0 */
/* A libnvidia-ml.so.1 without hardware: two GPUs, one of them with MIG. $FAKE_NVML chooses what is wrong with it:
 * "hang" and "crash" in nvmlInit, "unhealthy" (nvmlInit fails), "bare" (everything but the three needed calls says not supported). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define SUCCESS 0
#define ERROR_UNINITIALIZED 1
#define ERROR_INVALID_ARGUMENT 2
#define ERROR_NOT_SUPPORTED 3
#define ERROR_DRIVER_NOT_LOADED 9

struct nvml_device { int index; };
typedef struct nvml_device *nvmlDevice_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
typedef struct { char legacy[16]; unsigned domain, bus, device, pciDeviceId, pciSubSystemId; char busId[32]; } nvmlPciInfo_t;

static struct nvml_device devices[2] = { { 0 }, { 1 } };
static int initialized;

static int is(const char *mode)
{
    const char *value = getenv("FAKE_NVML");
    return value && strcmp(value, mode) == 0;
}

static int answer(nvmlDevice_t d)
{
    return !initialized ? ERROR_UNINITIALIZED : d != &devices[0] && d != &devices[1] ? ERROR_INVALID_ARGUMENT :
           is("bare") ? ERROR_NOT_SUPPORTED : SUCCESS;
}

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT const char *nvmlErrorString(int code);
EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned n);
EXPORT int nvmlDeviceGetCount_v2(unsigned *n);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned i, nvmlDevice_t *d);
EXPORT int nvmlDeviceGetName(nvmlDevice_t d, char *text, unsigned n);
EXPORT int nvmlDeviceGetUUID(nvmlDevice_t d, char *text, unsigned n);
EXPORT int nvmlDeviceGetMemoryInfo(nvmlDevice_t d, nvmlMemory_t *m);
EXPORT int nvmlDeviceGetCudaComputeCapability(nvmlDevice_t d, int *major, int *minor);
EXPORT int nvmlDeviceGetMigMode(nvmlDevice_t d, unsigned *current, unsigned *pending);
EXPORT int nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_t *p);

int nvmlInit_v2(void)
{
    while (is("hang"))
        pause();
    if (is("crash"))
        abort();
    initialized = !is("unhealthy");
    return initialized ? SUCCESS : ERROR_DRIVER_NOT_LOADED;
}

int nvmlShutdown(void) { initialized = 0; return SUCCESS; }
const char *nvmlErrorString(int code) { return code == ERROR_DRIVER_NOT_LOADED ? "Driver Not Loaded" : "Error"; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return initialized ? SUCCESS : ERROR_UNINITIALIZED; }

int nvmlSystemGetDriverVersion(char *text, unsigned n)
{
    snprintf(text, n, "580.65.06");
    return is("bare") ? ERROR_NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned i, nvmlDevice_t *d)
{
    if (i >= 2)
        return ERROR_INVALID_ARGUMENT;
    *d = &devices[i];
    return initialized ? SUCCESS : ERROR_UNINITIALIZED;
}

int nvmlDeviceGetName(nvmlDevice_t d, char *text, unsigned n)
{
    if (answer(d) == SUCCESS)
        snprintf(text, n, d->index ? "NVIDIA T4\t\x01 \xff" : "NVIDIA H200");
    return answer(d);
}

int nvmlDeviceGetUUID(nvmlDevice_t d, char *text, unsigned n)
{
    if (answer(d) == SUCCESS)
        snprintf(text, n, "GPU-00000000-1111-2222-3333-44444444444%d", d->index);
    return answer(d);
}

int nvmlDeviceGetMemoryInfo(nvmlDevice_t d, nvmlMemory_t *m)
{
    if (answer(d) == SUCCESS)
        *m = (nvmlMemory_t){ 143771ull << 20, 143000ull << 20, 771ull << 20 };
    return answer(d);
}

int nvmlDeviceGetCudaComputeCapability(nvmlDevice_t d, int *major, int *minor)
{
    *major = d->index ? 7 : 9;
    *minor = d->index ? 5 : 0;
    return answer(d);
}

int nvmlDeviceGetMigMode(nvmlDevice_t d, unsigned *current, unsigned *pending)
{
    if (d->index)
        return ERROR_NOT_SUPPORTED;
    *current = 0;
    *pending = 1;
    return answer(d);
}

int nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_t *p)
{
    p->domain = 0;
    p->bus = d->index ? 0x82 : 0x0a;
    p->device = 0;
    return answer(d);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* models: the three ways to share a GPU behind one interface: what a GPU can do and why not, which profiles it offers, and what a
 * request for a share comes to, given the shares that are there.
 *
 * Pure functions: nothing here reads the machine, keeps state or logs. Called by tranched, which carries the result out.
 * Must never happen here: placements that overlap; sums of memory or time beyond the GPU; a refusal without a reason. */
#pragma once

#include "base/error.h"
#include "inventory/inventory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_PPM 1000000u                       /* the whole of a GPU's time */
#define MODEL_MEMORY_MIN (UINT64_C(1) << 20)     /* below this no driver can build even a program's constants */
#define MODEL_QUANTUM_MIN_NS UINT64_C(1000000)   /* the range that the vendor's vGPU scheduler allows: 1..30 ms */
#define MODEL_QUANTUM_MAX_NS UINT64_C(30000000)
#define MODEL_WATCHDOG_MIN_NS UINT64_C(100000000)         /* shorter ends healthy kernels on a loaded machine */
#define MODEL_WATCHDOG_MAX_NS UINT64_C(86400000000000)    /* a day */
#define MODEL_MAX_PROFILES 256
#define MODEL_PROFILE_MAX 16
#define MODEL_NAME_MAX 64
#define MODEL_PROFILE_WHOLE "whole"             /* passthrough to a program of this host, by the native driver */
#define MODEL_PROFILE_VFIO "vfio"               /* passthrough to a VM: the host lets go of the device */

enum model_id { MODEL_PASSTHROUGH, MODEL_VGPU, MODEL_MIG, MODEL_COUNT };

/* A share as it was granted. */
struct model_share {
    char name[MODEL_NAME_MAX];
    enum model_id model;
    char profile[MODEL_PROFILE_MAX];             /* "1of4", "2c", "whole"; "custom" for --memory and --time */
    uint64_t memory_bytes;
    uint32_t time_ppm, weight;
    char policy[16];                             /* "best-effort", "equal-share", "fixed-share", "none" */
    char class[16];                              /* "normal", "latency" */
    uint64_t quantum_ns, watchdog_ns;
    unsigned first_core, cores;                  /* mig: the run of compute units; cores is 0 otherwise */
};

/* A share as it was asked for; 0 and NULL mean "not given". */
struct model_request {
    const char *name, *model, *profile, *policy, *class;
    uint64_t memory_bytes;
    uint32_t time_ppm, weight;
    uint64_t quantum_ns, watchdog_ns;
};

/* What the daemon was started with, for what a request leaves open. */
struct model_defaults { uint64_t quantum_ns, watchdog_ns; };

struct model {
    const char *name, *summary;
    /* Can this GPU be shared so? The reason is always given: what makes it possible, or what is missing and how to get it. */
    bool (*possible)(const struct gpu *gpu, char *ret_reason, size_t size);
    /* Names of the fixed sizes; returns how many, none when the model is not possible. */
    size_t (*profiles)(const struct gpu *gpu, char (*ret)[MODEL_PROFILE_MAX], size_t max);
    /* Size and placement: fills profile, memory, time, weight and cores of *share. Held are the GPU's shares, all of this model;
     * share->policy is set. -EINVAL for nonsense, -EDQUOT with what is left and who holds the rest. */
    int (*place)(const struct gpu *gpu, const struct model_share *held, size_t held_n, const struct model_request *request,
                 struct model_share *share, struct error *err);
};
extern const struct model model_passthrough, model_vgpu, model_mig;

const struct model *model_get(enum model_id id);
/* -EINVAL naming the models there are. */
int model_from_string(const char *text, enum model_id *ret, struct error *err);
bool model_policy_is_known(const char *policy);
bool model_class_is_known(const char *class);

/* A request to a granted share: checks name, model in the way, policy and numbers, then asks the model to place it. `held` are the
 * shares on this GPU. -EBUSY when another model or policy is in the way, -EOPNOTSUPP when the GPU cannot, else as place(). */
int model_plan(const struct gpu *gpu, const struct model_share *held, size_t held_n, const struct model_request *request,
               const struct model_defaults *defaults, struct model_share *ret, struct error *err);

/* Does this share take the GPU away from the host, for a VM? */
bool model_is_handed_over(const struct model_share *share);

/* "a, b and 2 more" of the held shares' names. */
const char *model_list_names(const struct model_share *held, size_t held_n, char *buf, size_t size);

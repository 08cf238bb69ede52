/* SPDX-License-Identifier: Apache-2.0 */
/* mig: a partition with compute units of its own. On a stand-in GPU by OpenCL device partition: each instance is a run of cores. */
#include "models/model.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static unsigned instance_count(const struct gpu *gpu)
{
    return gpu->opencl.compute_units < MODEL_MAX_PROFILES ? gpu->opencl.compute_units : MODEL_MAX_PROFILES;
}

static bool explain_nvml(const struct gpu *gpu, char *ret_reason, size_t size)
{
    if (gpu->nvml.mig_current < 0)
        snprintf(ret_reason, size, "the GPU has no MIG (NVML: not supported)");
    else
        snprintf(ret_reason, size, "the GPU has MIG (%s), but this version does not partition through NVML yet",
                 gpu->nvml.mig_current ? "switched on" : "switched off");
    return false;
}

static bool mig_possible(const struct gpu *gpu, char *ret_reason, size_t size)
{
    if (!gpu->stand_in && gpu->has_nvml)
        return explain_nvml(gpu, ret_reason, size);
    if (!gpu->has_opencl) {
        snprintf(ret_reason, size, "%s", gpu->opencl_missing);
        return false;
    }
    if (!gpu->opencl.partition_by_counts || gpu->opencl.max_sub_devices < 1 || gpu->opencl.compute_units < 1) {
        snprintf(ret_reason, size, "its OpenCL driver (%s) does not partition the device", gpu->opencl.platform);
        return false;
    }
    if (!gpu->stand_in) {
        snprintf(ret_reason, size, "partitions are bound to processor cores, which this GPU does not have; it has no MIG");
        return false;
    }
    snprintf(ret_reason, size, "OpenCL device partition into up to %u instances of dedicated cores", instance_count(gpu));
    return true;
}

static size_t mig_profiles(const struct gpu *gpu, char (*ret)[MODEL_PROFILE_MAX], size_t max)
{
    char reason[256];
    size_t n = 0;
    for (unsigned cores = 1; mig_possible(gpu, reason, sizeof reason) && cores <= instance_count(gpu) && n < max; cores++)
        snprintf(ret[n++], MODEL_PROFILE_MAX, "%uc", cores);
    return n;
}

/* "2c" -> 2. */
static int parse_profile(const struct gpu *gpu, const char *text, unsigned *ret_cores, struct error *err)
{
    char digits[8] = "";
    size_t n = text ? strlen(text) : 0;
    uint64_t cores;
    if (n >= 2 && n <= sizeof digits && text[n - 1] == 'c' && text[0] != '0') {
        memcpy(digits, text, n - 1);
        if (text_parse_u64(digits, "cores", 1, instance_count(gpu), &cores, NULL) == 0) {
            *ret_cores = (unsigned)cores;
            return 0;
        }
    }
    if (text)
        error_set(err, -EINVAL, "'%.40s' is not a mig profile of %s", text, gpu->name);
    else
        error_set(err, -EINVAL, "the share's profile is missing");
    error_hint(err, instance_count(gpu) > 1 ? "use 1c to %uc: that many dedicated cores" : "use %uc: one dedicated core", instance_count(gpu));
    return -EINVAL;
}

static bool core_is_free(const struct model_share *held, size_t held_n, unsigned core)
{
    for (size_t i = 0; i < held_n; i++)
        if (core >= held[i].first_core && core - held[i].first_core < held[i].cores)
            return false;
    return true;
}

/* The lowest run of `want` free cores; false when there is none. *ret_free: all free cores, *ret_longest: the longest run. */
static bool find_run(unsigned total, const struct model_share *held, size_t held_n, unsigned want, unsigned *ret_first, unsigned *ret_free,
                     unsigned *ret_longest)
{
    unsigned run = 0;
    bool found = false;
    *ret_free = *ret_longest = 0;
    for (unsigned core = 0; core < total; core++) {
        run = core_is_free(held, held_n, core) ? run + 1 : 0;
        *ret_free += run > 0;
        *ret_longest = run > *ret_longest ? run : *ret_longest;
        if (run == want && !found) {
            *ret_first = core + 1 - want;
            found = true;
        }
    }
    return found;
}

static int refuse(const struct gpu *gpu, const struct model_share *held, size_t held_n, unsigned want, unsigned left, unsigned longest,
                  struct error *err)
{
    char names[256];
    model_list_names(held, held_n, names, sizeof names);
    error_set(err, -EDQUOT, "%s has %u of %u cores left%s, which is less than %u; the rest is held by %s", gpu->name,
              left < want ? left : longest, instance_count(gpu), left < want ? "" : " in one run", want, names);
    error_hint(err, "ask for fewer cores, or remove a share");
    return -EDQUOT;
}

static int mig_place(const struct gpu *gpu, const struct model_share *held, size_t held_n, const struct model_request *request,
                     struct model_share *share, struct error *err)
{
    unsigned cores, first = 0, left, longest, total = instance_count(gpu);
    int r = parse_profile(gpu, request->profile, &cores, err);
    if (r < 0)
        return r;
    if (request->memory_bytes || request->time_ppm) {
        error_set(err, -EINVAL, "a mig profile fixes memory and time");
        error_hint(err, "leave --memory and --time out, or use --model vgpu");
        return -EINVAL;
    }
    if (!find_run(total, held, held_n, cores, &first, &left, &longest))
        return refuse(gpu, held, held_n, cores, left, longest, err);
    snprintf(share->profile, sizeof share->profile, "%uc", cores);
    share->memory_bytes = gpu->memory_bytes / total * cores / MODEL_MEMORY_MIN * MODEL_MEMORY_MIN;
    share->time_ppm = MODEL_PPM;
    share->weight = request->weight ? request->weight : MODEL_PPM;
    share->first_core = first;
    share->cores = cores;
    return 0;
}

const struct model model_mig = {
    "mig", "a partition with compute units and memory of its own",
    mig_possible, mig_profiles, mig_place,
};

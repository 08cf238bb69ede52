/* SPDX-License-Identifier: Apache-2.0 */
/* vgpu: a memory quota and a part of the time, in software, on any OpenCL device. */
#include "models/model.h"

#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VGPU_MAX_PARTS 16    /* the vendor's vGPU profiles stop at 16 to 32 per GPU; smaller sizes by --memory and --time */

static bool vgpu_possible(const struct gpu *gpu, char *ret_reason, size_t size)
{
    if (!gpu->has_opencl || gpu->memory_bytes < MODEL_MEMORY_MIN) {
        snprintf(ret_reason, size, "%s", gpu->opencl_missing[0] ? gpu->opencl_missing : "its OpenCL device has no memory");
        return false;
    }
    snprintf(ret_reason, size, "memory quota and time slices in software on its OpenCL device (%s)", gpu->opencl.platform);
    return true;
}

static size_t vgpu_profiles(const struct gpu *gpu, char (*ret)[MODEL_PROFILE_MAX], size_t max)
{
    char reason[256];
    size_t n = 0;
    for (unsigned parts = 1; vgpu_possible(gpu, reason, sizeof reason) && parts <= VGPU_MAX_PARTS && n < max; parts++)
        snprintf(ret[n++], MODEL_PROFILE_MAX, "1of%u", parts);
    return n;
}

/* "1of4" -> 4. */
static int parse_profile(const char *text, unsigned *ret_parts, struct error *err)
{
    uint64_t parts;
    if (strncmp(text, "1of", 3) == 0 && text[3] != '0' && text_parse_u64(text + 3, "part", 1, VGPU_MAX_PARTS, &parts, NULL) == 0) {
        *ret_parts = (unsigned)parts;
        return 0;
    }
    error_set(err, -EINVAL, "'%.40s' is not a vgpu profile", text);
    error_hint(err, "use 1of1 to 1of%d, or --memory and --time", VGPU_MAX_PARTS);
    return -EINVAL;
}

/* One of `parts` equal parts; N of them always fit. Whole MiB, so that the figures read well. */
static uint64_t memory_part(uint64_t total, unsigned parts)
{
    uint64_t part = total / parts;
    return part >= MODEL_MEMORY_MIN ? part / MODEL_MEMORY_MIN * MODEL_MEMORY_MIN : part;
}

/* a * b / c, where the product needs more than 64 bits. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
    return (uint64_t)((unsigned __int128)a * b / c);
}

/* Where only one of memory and time is given, the other is the same fraction. */
static int choose_size(const struct gpu *gpu, const struct model_request *request, struct model_share *share, struct error *err)
{
    unsigned parts;
    bool sized = request->memory_bytes || request->time_ppm;
    if (request->profile && sized) {
        error_set(err, -EINVAL, "a profile and --memory or --time are two sizes for one share");
        error_hint(err, "give either --profile, or --memory and --time");
        return -EINVAL;
    }
    if (!request->profile && !sized) {
        error_set(err, -EINVAL, "the share's size is missing");
        error_hint(err, "give --profile 1of4, or --memory 1GiB --time 25%%");
        return -EINVAL;
    }
    if (request->profile) {
        int r = parse_profile(request->profile, &parts, err);
        if (r < 0)
            return r;
        snprintf(share->profile, sizeof share->profile, "1of%u", parts);
        share->memory_bytes = memory_part(gpu->memory_bytes, parts);
        share->time_ppm = MODEL_PPM / parts;
        return 0;
    }
    strcpy(share->profile, "custom");
    uint64_t time = request->time_ppm ? request->time_ppm : scale(request->memory_bytes, MODEL_PPM, gpu->memory_bytes);
    share->time_ppm = time < 1 ? 1 : time > MODEL_PPM ? MODEL_PPM : (uint32_t)time;
    share->memory_bytes = request->memory_bytes ? request->memory_bytes : scale(gpu->memory_bytes, request->time_ppm, MODEL_PPM);
    return 0;
}

static int check_left(const struct gpu *gpu, const struct model_share *held, size_t held_n, const struct model_share *share,
                      struct error *err)
{
    uint64_t memory = 0, time = 0;
    char want[32], left[32], total[32], names[256], holders[288] = "";
    for (size_t i = 0; i < held_n; i++) {
        memory += held[i].memory_bytes;
        time += held[i].time_ppm;
    }
    uint64_t memory_left = gpu->memory_bytes > memory ? gpu->memory_bytes - memory : 0;
    uint64_t time_left = MODEL_PPM > time ? MODEL_PPM - time : 0;
    if (held_n)
        snprintf(holders, sizeof holders, "; the rest is held by %s", model_list_names(held, held_n, names, sizeof names));
    if (share->memory_bytes > memory_left) {
        text_format_size(share->memory_bytes, want, sizeof want);
        text_format_size(memory_left, left, sizeof left);
        text_format_size(gpu->memory_bytes, total, sizeof total);
        error_set(err, -EDQUOT, "%s has %s of %s memory left, which is less than %s%s", gpu->name, left, total, want, holders);
        error_hint(err, held_n ? "ask for less, or remove a share" : "ask for less");
        return -EDQUOT;
    }
    if (share->time_ppm > time_left) {
        error_set(err, -EDQUOT, "%s has %.4g%% of its time left, which is less than %.4g%%%s", gpu->name, (double)time_left / 1e4,
                  share->time_ppm / 1e4, holders);
        error_hint(err, "ask for less, or remove a share");
        return -EDQUOT;
    }
    return 0;
}

static int vgpu_place(const struct gpu *gpu, const struct model_share *held, size_t held_n, const struct model_request *request,
                      struct model_share *share, struct error *err)
{
    int r = choose_size(gpu, request, share, err);
    if (r == 0)
        r = check_left(gpu, held, held_n, share, err);
    if (r < 0)
        return r;
    if (share->memory_bytes < MODEL_MEMORY_MIN)
        return error_set(err, -EINVAL, "%" PRIu64 " bytes of memory are less than 1 MiB", share->memory_bytes);
    bool equal = strcmp(share->policy, "equal-share") == 0;
    share->weight = request->weight ? request->weight : equal ? MODEL_PPM : share->time_ppm;
    return 0;
}

const struct model model_vgpu = {
    "vgpu", "a memory quota and a part of the GPU's time, enforced in software",
    vgpu_possible, vgpu_profiles, vgpu_place,
};

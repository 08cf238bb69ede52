/* SPDX-License-Identifier: Apache-2.0 */
/* What all models have in common: see model.h. */
#include "models/model.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LISTED_NAMES 4

static const struct model *const models[MODEL_COUNT] = {
    [MODEL_PASSTHROUGH] = &model_passthrough, [MODEL_VGPU] = &model_vgpu, [MODEL_MIG] = &model_mig,
};

static const char *const policies[] = { "best-effort", "equal-share", "fixed-share", "none" };
static const char *const classes[] = { "normal", "latency" };

const struct model *model_get(enum model_id id)
{
    return models[id];
}

int model_from_string(const char *text, enum model_id *ret, struct error *err)
{
    for (int i = 0; i < MODEL_COUNT; i++) {
        if (!text_equal(models[i]->name, text))
            continue;
        *ret = (enum model_id)i;
        return 0;
    }
    error_set(err, -EINVAL, "'%.40s' is not a model", text ? text : "");
    error_hint(err, "use passthrough, vgpu or mig");
    return -EINVAL;
}

bool model_is_handed_over(const struct model_share *share)
{
    return share->model == MODEL_PASSTHROUGH && strcmp(share->profile, MODEL_PROFILE_VFIO) == 0;
}

bool model_policy_is_known(const char *policy)
{
    for (size_t i = 0; i < ARRAY_LEN(policies); i++)
        if (text_equal(policies[i], policy))
            return true;
    return false;
}

bool model_class_is_known(const char *class)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (text_equal(classes[i], class))
            return true;
    return false;
}

const char *model_list_names(const struct model_share *held, size_t held_n, char *buf, size_t size)
{
    size_t used = 0, shown = held_n > LISTED_NAMES + 1 ? LISTED_NAMES : held_n;
    buf[0] = '\0';
    for (size_t i = 0; i < shown && used < size; i++)
        used += (size_t)snprintf(buf + used, size - used, "%s%s", i == 0 ? "" : i + 1 == held_n ? " and " : ", ", held[i].name);
    if (shown < held_n && used < size)
        snprintf(buf + used, size - used, " and %zu more", held_n - shown);
    return buf;
}

static int check_model(const struct gpu *gpu, const struct model_share *held, size_t held_n, enum model_id id, struct error *err)
{
    char reason[256], names[256];
    if (held_n && held[0].model != id) {
        model_list_names(held, held_n, names, sizeof names);
        error_set(err, -EBUSY, "%s is shared by %s: %s %s in the way", gpu->name, models[held[0].model]->name, names,
                  held_n == 1 ? "is" : "are");
        error_hint(err, "a GPU is in one model at a time; remove its shares first (tranche rm %s), or ask for --model %s",
                   held[0].name, models[held[0].model]->name);
        return -EBUSY;
    }
    if (!models[id]->possible(gpu, reason, sizeof reason)) {
        error_set(err, -EOPNOTSUPP, "%s cannot be shared by %s: %s", gpu->name, models[id]->name, reason);
        error_hint(err, "tranche gpus shows what each GPU can do");
        return -EOPNOTSUPP;
    }
    return 0;
}

/* The policy and quantum belong to the GPU: what its first share said counts. MIG instances have a scheduler each. */
static int choose_policy(const struct gpu *gpu, const struct model_share *held, size_t held_n, const struct model_request *request,
                         const struct model_defaults *defaults, struct model_share *share, struct error *err)
{
    bool bound = held_n && share->model == MODEL_VGPU;
    const char *policy = request->policy ? request->policy : bound ? held[0].policy : policies[0];
    uint64_t quantum = request->quantum_ns ? request->quantum_ns : bound ? held[0].quantum_ns : defaults->quantum_ns;
    char names[256];
    if (!model_policy_is_known(policy)) {
        error_set(err, -EINVAL, "'%.40s' is not a scheduling policy", policy);
        error_hint(err, "use best-effort, equal-share or fixed-share; none switches time slices off");
        return -EINVAL;
    }
    if (quantum < MODEL_QUANTUM_MIN_NS || quantum > MODEL_QUANTUM_MAX_NS)
        return error_set(err, -EINVAL, "a quantum of %" PRIu64 " ns is outside 1 ms to 30 ms", quantum);
    if (bound && (strcmp(policy, held[0].policy) != 0 || quantum != held[0].quantum_ns)) {
        model_list_names(held, held_n, names, sizeof names);
        error_set(err, -EBUSY, "%s is scheduled %s with a quantum of %" PRIu64 " us, as its first share asked (%s)", gpu->name,
                  held[0].policy, held[0].quantum_ns / 1000, names);
        error_hint(err, "leave --policy and --quantum out, or remove these shares first");
        return -EBUSY;
    }
    strcpy(share->policy, policy);
    share->quantum_ns = quantum;
    return 0;
}

/* The class is the share's own. Only a share that waits for turns beside others can go first. */
static int choose_class(const struct model_request *request, struct model_share *share, struct error *err)
{
    const char *class = request->class ? request->class : classes[0];
    if (!model_class_is_known(class)) {
        error_set(err, -EINVAL, "'%.40s' is not a class of shares", class);
        error_hint(err, "use normal or latency");
        return -EINVAL;
    }
    bool takes_turns = share->model == MODEL_VGPU && !text_equal(share->policy, "none");
    if (!text_equal(class, classes[0]) && !takes_turns) {
        error_set(err, -EINVAL, "the class %s is for vgpu shares with time slices", class);
        error_hint(err, "leave --class out");
        return -EINVAL;
    }
    strcpy(share->class, class);
    return 0;
}

static int check_numbers(const struct model_request *request, struct error *err)
{
    if (request->time_ppm > MODEL_PPM)
        return error_set(err, -EINVAL, "a time of %" PRIu32 " ppm is more than the whole", request->time_ppm);
    if (request->weight > MODEL_PPM)
        return error_set(err, -EINVAL, "a weight of %" PRIu32 " is above %u", request->weight, MODEL_PPM);
    if (request->memory_bytes && request->memory_bytes < MODEL_MEMORY_MIN)
        return error_set(err, -EINVAL, "%" PRIu64 " bytes of memory are less than 1 MiB", request->memory_bytes);
    return 0;
}

static int choose_watchdog(const struct model_request *request, const struct model_defaults *defaults, struct model_share *share,
                           struct error *err)
{
    share->watchdog_ns = request->watchdog_ns ? request->watchdog_ns : defaults->watchdog_ns;
    if (share->watchdog_ns < MODEL_WATCHDOG_MIN_NS || share->watchdog_ns > MODEL_WATCHDOG_MAX_NS)
        return error_set(err, -EINVAL, "a watchdog of %" PRIu64 " ns is outside 100 ms to 24 h", share->watchdog_ns);
    return 0;
}

int model_plan(const struct gpu *gpu, const struct model_share *held, size_t held_n, const struct model_request *request,
               const struct model_defaults *defaults, struct model_share *ret, struct error *err)
{
    struct model_share share = { 0 };
    int r = text_check_name(request->name, err);
    if (r == 0)
        r = model_from_string(request->model, &share.model, err);
    if (r == 0)
        r = check_numbers(request, err);
    if (r == 0)
        r = check_model(gpu, held, held_n, share.model, err);
    if (r == 0)
        r = choose_policy(gpu, held, held_n, request, defaults, &share, err);
    if (r == 0)
        r = choose_class(request, &share, err);
    if (r == 0)
        r = choose_watchdog(request, defaults, &share, err);
    if (r == 0)
        r = models[share.model]->place(gpu, held, held_n, request, &share, err);
    if (r < 0)
        return r;
    strcpy(share.name, request->name);
    *ret = share;
    return 0;
}

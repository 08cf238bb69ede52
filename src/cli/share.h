/* SPDX-License-Identifier: Apache-2.0 */
/* What several verbs say about a SHARE object of the API. */
#pragma once

#include "cli/api.h"
#include "cli/print.h"

#include <string.h>

/* Empty where the model says it all. */
static inline const char *share_profile(json_t *share)
{
    const char *profile = api_text(share, "profile");
    return strcmp(profile, "whole") == 0 ? "" : profile;
}

/* Tenants reach it through workers, so that there is something to count. */
static inline bool share_is_served(json_t *share)
{
    return json_is_string(json_object_get(share, "socket"));
}

/* It is away from the host, for a VM. */
static inline bool share_is_handed_over(json_t *share)
{
    return json_is_object(json_object_get(share, "handover"));
}

/* Only a vgpu has a part of the time; the others have the whole of what is theirs. */
static inline bool share_is_timed(json_t *share)
{
    return strcmp(api_text(share, "model"), "vgpu") == 0;
}

/* Nobody takes turns with this share: policy none. */
static inline bool share_is_unmanaged(json_t *share)
{
    return strcmp(api_text(share, "policy"), "none") == 0;
}

static inline enum print_style share_state_style(json_t *share)
{
    const char *state = api_text(share, "state");
    return strcmp(state, "failed") == 0 ? STYLE_BAD : strcmp(state, "in use") == 0 ? STYLE_GOOD : STYLE_PLAIN;
}

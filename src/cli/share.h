/* SPDX-License-Identifier: Apache-2.0 */
/* What several verbs say about a SHARE object of the API. */
#pragma once

#include "cli/api.h"
#include "cli/print.h"

#include <string.h>

/* Only a vgpu has a part of the time; the others have the whole of what is theirs. */
static inline bool share_is_timed(json_t *share)
{
    return strcmp(api_text(share, "model"), "vgpu") == 0;
}

static inline enum print_style share_state_style(json_t *share)
{
    const char *state = api_text(share, "state");
    return strcmp(state, "failed") == 0 ? STYLE_BAD : strcmp(state, "in use") == 0 ? STYLE_GOOD : STYLE_PLAIN;
}

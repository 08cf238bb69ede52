/* SPDX-License-Identifier: Apache-2.0 */
/* tranche shares: all shares, one line each. */
#include "cli/cli.h"
#include "cli/share.h"

static void add_row(struct table *table, json_t *share)
{
    char text[PRINT_TEXT];
    const char *profile = share_profile(share);
    bool served = share_is_served(share);
    table_cell(table, STYLE_BOLD, "%s", api_text(share, "name"));
    table_cell(table, STYLE_PLAIN, "%s%s", api_text(share, "gpu"), print_stand_in(share));
    table_cell(table, STYLE_PLAIN, "%s", api_text(share, "model"));
    table_cell(table, STYLE_PLAIN, "%s", *profile ? profile : "-");
    table_cell(table, STYLE_PLAIN, "%s", print_gib(api_u64(share, "memory_bytes"), text, sizeof text));
    table_cell(table, STYLE_PLAIN, "%s", served ? print_gib(api_u64(share, "used_bytes"), text, sizeof text) : "-");
    if (share_is_unmanaged(share))
        table_cell(table, STYLE_BAD, "unmanaged");
    else
        table_cell(table, STYLE_PLAIN, "%s", share_is_timed(share) ? print_percent(api_u64(share, "time_ppm"), text, sizeof text) : "-");
    table_cell(table, STYLE_PLAIN, "%s", share_is_timed(share) ? api_text(share, "class") : "-");
    table_cell(table, STYLE_PLAIN, "%s", served ? print_seconds(api_u64(share, "granted_ns"), text, sizeof text) : "-");
    table_cell(table, share_state_style(share), "%s", api_text(share, "state"));
}

int verb_shares(int argc, char **argv, struct cli *cli, struct error *err)
{
    static const char *const headers[] = { "NAME", "GPU", "MODEL", "PROFILE", ">MEMORY", ">USED", ">TIME", "CLASS", ">GRANTED", "STATE", NULL };
    _cleanup_json_ json_t *answer = NULL;
    json_t *shares, *share;
    size_t i;
    int r = api_call(cli, "GET", "/v1/shares", NULL, &answer, err);
    if (r < 0 || (r = api_get_array(answer, "shares", &shares, err)) < 0)
        return r;
    if (cli->json)
        return print_json(answer, err);
    if (json_array_size(shares) == 0) {
        puts("no shares; make one: tranche create GPU --model vgpu --profile 1of4 --name a");
        return 0;
    }
    _cleanup_table_ struct table *table = table_new(headers);
    json_array_foreach(shares, i, share)
        add_row(table, share);
    table_write(table, 0);
    return 0;
}

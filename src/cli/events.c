/* SPDX-License-Identifier: Apache-2.0 */
/* tranche events: what happened, newest last. */
#include "cli/cli.h"

#include "base/text.h"

#include <string.h>

/* Leaves the events of one share in the answer, so that text and JSON agree. */
static void keep_share(json_t *events, const char *name)
{
    for (size_t i = json_array_size(events); i-- > 0;) {
        if (strcmp(api_text(json_array_get(events, i), "share"), name) != 0)
            json_array_remove(events, i);
    }
}

static void print_events(json_t *events)
{
    static const char *const headers[] = { "AT", "SHARE", "KIND", "TEXT", NULL };
    _cleanup_table_ struct table *table = table_new(headers);
    json_t *event;
    char when[PRINT_TEXT];
    size_t i;
    json_array_foreach(events, i, event) {
        const char *share = api_text(event, "share");
        table_cell(table, STYLE_DIM, "%s", print_time(json_object_get(event, "at"), when, sizeof when));
        table_cell(table, STYLE_PLAIN, "%s", *share ? share : "-");
        table_cell(table, STYLE_PLAIN, "%s", api_text(event, "kind"));
        table_cell(table, STYLE_PLAIN, "%s", api_text(event, "text"));
    }
    if (table_rows(table))
        table_write(table, 0);
    else
        puts("no events");
}

int verb_events(int argc, char **argv, struct cli *cli, struct error *err)
{
    _cleanup_json_ json_t *answer = NULL;
    const char *share = cli_option_value(cli, "share");
    json_t *events;
    int r = share ? text_check_name(share, err) : 0;
    if (r < 0)
        return error_wrap(err, "--share");
    r = api_call(cli, "GET", "/v1/events", NULL, &answer, err);
    if (r < 0 || (r = api_get_array(answer, "events", &events, err)) < 0)
        return r;
    if (share)
        keep_share(events, share);
    if (cli->json)
        return print_json(answer, err);
    print_events(events);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* tranche show: one share and the programs that use it. */
#include "cli/cli.h"
#include "cli/share.h"

static void label(const char *name)
{
    print_styled(STYLE_DIM, "  %-11s", name);
}

static void print_memory(json_t *share)
{
    char text[PRINT_TEXT];
    label("memory");
    printf("%s (%llu bytes)\n", print_gib(api_u64(share, "memory_bytes"), text, sizeof text), (unsigned long long)api_u64(share, "memory_bytes"));
    if (!share_is_served(share))
        return;
    label("used");
    printf("%s now", print_gib(api_u64(share, "used_bytes"), text, sizeof text));
    printf(", %s at most", print_gib(api_u64(share, "peak_bytes"), text, sizeof text));
    printf(", refused beyond the quota: %llu\n", (unsigned long long)api_u64(share, "refused"));
}

static void print_rules(json_t *share)
{
    char text[PRINT_TEXT];
    if (share_is_unmanaged(share)) {
        label("time");
        print_styled(STYLE_BAD, "unmanaged");
        puts(" (policy none): no time slices, who comes works at once");
    } else if (share_is_timed(share)) {
        label("time");
        printf("%s, weight %llu, ", print_percent(api_u64(share, "time_ppm"), text, sizeof text), (unsigned long long)api_u64(share, "weight"));
        print_text(stdout, "%s, class %s, quantum %s", api_text(share, "policy"), api_text(share, "class"), print_seconds(api_u64(share, "quantum_ns"), text, sizeof text));
        putchar('\n');
    }
    if (share_is_served(share)) {
        label("watchdog");
        printf("%s\n", print_seconds(api_u64(share, "watchdog_ns"), text, sizeof text));
    }
}

static void print_grants(json_t *share)
{
    char text[PRINT_TEXT];
    label("granted");
    printf("%s in %llu turns", print_seconds(api_u64(share, "granted_ns"), text, sizeof text), (unsigned long long)api_u64(share, "turns"));
    printf(", waited %s", print_seconds(api_u64(share, "waited_ns"), text, sizeof text));
    printf(", overruns %llu\n", (unsigned long long)api_u64(share, "overruns"));
}

static void print_cores(json_t *share)
{
    json_t *cores = json_object_get(share, "cores"), *core;
    size_t i;
    if (json_array_size(cores) == 0)
        return;
    label("cores");
    json_array_foreach(cores, i, core)
        printf("%s%lld", i ? ", " : "", (long long)json_integer_value(core));
    putchar('\n');
}

static void print_line(const char *name, const char *text)
{
    if (!*text)
        return;
    label(name);
    print_text(stdout, "%s", text);
    putchar('\n');
}

static void print_handover(json_t *share)
{
    json_t *handover = json_object_get(share, "handover"), *functions = json_object_get(share, "functions"), *function;
    size_t i;
    if (!share_is_handed_over(share))
        return;
    label("devices");
    json_array_foreach(functions, i, function)
        print_text(stdout, "%s%s", i ? ", " : "", json_string_value(function));
    putchar('\n');
    label("handover");
    printf("%s, %llu of %llu operations begun%s\n", api_text(handover, "state"), (unsigned long long)api_u64(handover, "begun"),
           (unsigned long long)api_u64(handover, "operations"), api_bool(handover, "persist") ? ", again after a reboot" : "");
}

static void print_share(json_t *share)
{
    const char *profile = share_profile(share);
    char text[PRINT_TEXT];
    print_styled(STYLE_BOLD, "%s", api_text(share, "name"));
    print_text(stdout, ": %s%s%s on %s%s", api_text(share, "model"), *profile ? " " : "", profile, api_text(share, "gpu"), print_stand_in(share));
    putchar('\n');
    label("state");
    print_styled(share_state_style(share), "%s", api_text(share, "state"));
    putchar('\n');
    print_line("problem", api_text(share, "problem"));
    print_handover(share);
    print_handover(share);
    print_memory(share);
    print_rules(share);
    print_cores(share);
    if (share_is_served(share))
        print_grants(share);
    label("owner");
    printf("uid %llu\n", (unsigned long long)api_u64(share, "owner_uid"));
    print_line("created", print_time(json_object_get(share, "created"), text, sizeof text));
    print_line("socket", api_text(share, "socket"));
}

static void print_clients(json_t *clients)
{
    static const char *const headers[] = { ">PID", ">WORKER", ">USED", ">GRANTED", ">WAITED", "COMMAND", NULL };
    _cleanup_table_ struct table *table = table_new(headers);
    json_t *client;
    char text[PRINT_TEXT];
    size_t i;
    json_array_foreach(clients, i, client) {
        table_cell(table, STYLE_PLAIN, "%llu", (unsigned long long)api_u64(client, "pid"));
        table_cell(table, STYLE_PLAIN, "%llu", (unsigned long long)api_u64(client, "worker_pid"));
        table_cell(table, STYLE_PLAIN, "%s", print_gib(api_u64(client, "used_bytes"), text, sizeof text));
        table_cell(table, STYLE_PLAIN, "%s", print_seconds(api_u64(client, "granted_ns"), text, sizeof text));
        table_cell(table, STYLE_PLAIN, "%s", print_seconds(api_u64(client, "waited_ns"), text, sizeof text));
        table_cell(table, STYLE_PLAIN, "%s", api_text(client, "command"));
    }
    putchar('\n');
    table_write(table, 2);
}

int verb_show(int argc, char **argv, struct cli *cli, struct error *err)
{
    _cleanup_json_ json_t *share = NULL;
    int r = api_get_share(cli, argv[1], &share, err);
    if (r < 0)
        return r;
    if (cli->json)
        return print_json(share, err);
    print_share(share);
    if (json_array_size(json_object_get(share, "clients")))
        print_clients(json_object_get(share, "clients"));
    return 0;
}

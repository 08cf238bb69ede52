/* SPDX-License-Identifier: Apache-2.0 */
/* tranche create: a new share of a GPU. Numbers and words are checked here; what goes together and what is left, tranched knows. */
#include "cli/cli.h"
#include "cli/share.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

struct wish {
    const char *gpu, *model, *name, *profile, *policy, *class;
    uint64_t memory_bytes, weight, watchdog_ns, quantum_ns, wait_ns;
    uint32_t time_ppm;
    bool flags[4];
};

/* Options without a value, with their keys in the API. */
static const struct { const char *option, *key; } flags[] = {
    { "force", "force" }, { "with-group", "with_group" }, { "persist", "persist" }, { "dry-run", "dry_run" },
};

#define MAX_WEIGHT 1000000

static int read_wish(const struct cli *cli, const char *gpu, struct wish *w, struct error *err)
{
    *w = (struct wish){ .gpu = gpu, .name = cli_option_value(cli, "name"), .profile = cli_option_value(cli, "profile") };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        w->flags[i] = cli_option_given(cli, flags[i].option);
    int r = text_check_name(w->name, err);
    if (r < 0)
        return error_wrap(err, "--name");
    if ((r = cli_option_word(cli, "model", &w->model, err)) < 0 || (r = cli_option_word(cli, "policy", &w->policy, err)) < 0
        || (r = cli_option_word(cli, "class", &w->class, err)) < 0
        || (r = cli_option_size(cli, "memory", &w->memory_bytes, err)) < 0
        || (r = cli_option_percent(cli, "time", &w->time_ppm, err)) < 0
        || (r = cli_option_u64(cli, "weight", 1, MAX_WEIGHT, &w->weight, err)) < 0
        || (r = cli_option_duration(cli, "quantum", &w->quantum_ns, err)) < 0
        || (r = cli_option_duration(cli, "wait", &w->wait_ns, err)) < 0)
        return r;
    return cli_option_duration(cli, "watchdog", &w->watchdog_ns, err);
}

static int set(json_t *body, const char *key, json_t *value)
{
    return json_object_set_new(body, key, value);   /* -1 for a value that could not be made, too */
}

static json_t *make_body(const struct wish *w)
{
    json_t *body = json_pack("{s:s, s:s, s:s}", "gpu", w->gpu, "model", w->model, "name", w->name);
    int bad = !body;
    if (w->profile)
        bad |= set(body, "profile", json_string(w->profile));
    if (w->memory_bytes)
        bad |= set(body, "memory_bytes", json_integer((json_int_t)w->memory_bytes));
    if (w->time_ppm)
        bad |= set(body, "time_ppm", json_integer(w->time_ppm));
    if (w->weight)
        bad |= set(body, "weight", json_integer((json_int_t)w->weight));
    if (w->policy)
        bad |= set(body, "policy", json_string(w->policy));
    if (w->class)
        bad |= set(body, "class", json_string(w->class));
    if (w->watchdog_ns)
        bad |= set(body, "watchdog_ns", json_integer((json_int_t)w->watchdog_ns));
    if (w->quantum_ns)
        bad |= set(body, "quantum_ns", json_integer((json_int_t)w->quantum_ns));
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (w->flags[i])
            bad |= set(body, flags[i].key, json_true());
    if (!bad)
        return body;
    json_decref(body);
    return NULL;
}

static void print_created(json_t *share)
{
    char memory[PRINT_TEXT], part[PRINT_TEXT];
    const char *profile = share_profile(share), *name = api_text(share, "name"), *model = api_text(share, "model");
    print_text(stdout, "created %s: %s%s%s on %s%s, %s", name, model, *profile ? " " : "", profile, api_text(share, "gpu"),
               print_stand_in(share), print_gib(api_u64(share, "memory_bytes"), memory, sizeof memory));
    if (share_is_unmanaged(share))
        print_text(stdout, ", unmanaged: no time slices");
    else if (share_is_timed(share))
        print_text(stdout, ", %s of the time, %s%s", print_percent(api_u64(share, "time_ppm"), part, sizeof part), api_text(share, "policy"),
                   strcmp(api_text(share, "class"), "latency") == 0 ? ", class latency" : "");
    putchar('\n');
    if (share_is_handed_over(share))
        print_text(stdout, "put it into a VM: tranche attach %s --format qemu", name);
    else
        print_text(stdout, "run a program in it: tranche run %s -- COMMAND", name);
    putchar('\n');
}

static void print_plan(json_t *answer)
{
    json_t *list = json_object_get(answer, "operations"), *op;
    size_t i;
    if (json_array_size(list) == 0)
        puts("nothing is done to the machine");
    json_array_foreach(list, i, op) {
        print_text(stdout, "%3zu  %s", i + 1, api_text(op, "text"));
        putchar('\n');
    }
}

int verb_create(int argc, char **argv, struct cli *cli, struct error *err)
{
    _cleanup_json_ json_t *body = NULL, *share = NULL;
    struct wish wish;
    int r = read_wish(cli, argv[1], &wish, err);
    if (r < 0)
        return r;
    if (!(body = make_body(&wish))) {
        error_set(err, -EINVAL, "the GPU's or the profile's name is not valid UTF-8");
        error_hint(err, "tranche gpus lists both");
        return -EINVAL;
    }
    cli->api_timeout_s = API_HANDOVER_TIMEOUT_S;
    r = api_call_waiting(cli, "POST", "/v1/shares", body, wish.wait_ns, &share, err);
    if (r < 0)
        return r;
    if (cli->json)
        return print_json(share, err);
    if (cli_option_given(cli, "dry-run"))
        print_plan(share);
    else
        print_created(share);
    return 0;
}

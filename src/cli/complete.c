/* SPDX-License-Identifier: Apache-2.0 */
/* tranche __complete WORD…: what may stand at the last WORD, from the verb table and the daemon.
 *
 * Called by the small scripts in packaging/completions with the words after "tranche". Each line is "candidate TAB description", or one
 * of ":files", ":dirs" and ":command" (what stands from here on is another command's line). Errors are silent: a shell waits. */
#include "cli/cli.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/machine.h"

#include <string.h>

#define DAEMON_TIMEOUT_S 2

/* The line so far. */
struct line {
    struct cli *cli;
    const struct cli_verb *verb;
    const struct cli_option *pending;   /* waits for its value */
    const char *first;                  /* argument after the verb */
    const char *model;                  /* of --model */
    const char *sysroot;                /* of --sysroot */
    bool given[CLI_MAX_OPTIONS];
    int args;                           /* after the verb */
    bool command;                       /* -- was there */
    const char *prefix;                 /* what is typed of the last word */
};

static void offer(const struct line *line, const char *word, const char *help)
{
    if (strncmp(word, line->prefix, strlen(line->prefix)) == 0) {
        print_text(stdout, "%s", word);
        putchar('\t');
        print_text(stdout, "%s", help);
        putchar('\n');
    }
}

static void offer_options(const struct line *line, const struct cli_option *options, const bool *given)
{
    for (const struct cli_option *o = options; o && o->name; o++) {
        char word[CLI_WORD + 2];
        if (given && given[o - options])
            continue;
        text_format(word, sizeof word, "--%s", o->name);
        offer(line, word, o->help);
    }
}

static void offer_verbs(const struct line *line)
{
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        if (!v->hidden)
            offer(line, v->name, v->help);
    }
}

static void offer_gpus(const struct line *line)
{
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_inventory_ struct inventory *inventory = NULL;
    json_t *gpu;
    size_t i;
    bool alone = line->verb && line->verb->alone;   /* works where no daemon runs, so its GPUs come from the machine */
    if (!alone && api_call(line->cli, "GET", "/v1/gpus", NULL, &answer, NULL) < 0)
        return;
    json_array_foreach(json_object_get(answer, "gpus"), i, gpu)
        offer(line, api_text(gpu, "name"), api_bool(gpu, "stand_in") ? "stand-in GPU" : api_text(gpu, "product"));
    if (alone && inventory_take_files(line->sysroot ? line->sysroot : "", &inventory, NULL) == 0)
        for (i = 0; i < inventory->n; i++)
            offer(line, inventory->gpus[i].name, inventory->gpus[i].product);
}

static void offer_shares(const struct line *line)
{
    _cleanup_json_ json_t *answer = NULL;
    json_t *share;
    size_t i;
    if (api_call(line->cli, "GET", "/v1/shares", NULL, &answer, NULL) < 0)
        return;
    json_array_foreach(json_object_get(answer, "shares"), i, share) {
        char help[128];
        text_format(help, sizeof help, "%s %s on %s", api_text(share, "model"), api_text(share, "profile"), api_text(share, "gpu"));
        offer(line, api_text(share, "name"), help);
    }
}

static void offer_profiles_of(const struct line *line, json_t *gpu)
{
    const char *model;
    json_t *profiles, *profile;
    size_t i;
    json_object_foreach(json_object_get(gpu, "profiles"), model, profiles) {
        if (line->model && strcmp(line->model, model) != 0)
            continue;
        json_array_foreach(profiles, i, profile)
            offer(line, json_is_string(profile) ? json_string_value(profile) : "", model);
    }
}

static void offer_profiles(const struct line *line)
{
    _cleanup_json_ json_t *answer = NULL;
    json_t *gpu;
    size_t i;
    if (api_call(line->cli, "GET", "/v1/gpus", NULL, &answer, NULL) < 0)
        return;
    json_array_foreach(json_object_get(answer, "gpus"), i, gpu) {
        if (!line->first || strcmp(line->first, api_text(gpu, "name")) == 0)
            offer_profiles_of(line, gpu);
    }
}

static void offer_words(const struct line *line, const char *words)
{
    _cleanup_free_ char *copy = strdup(words);
    char *save = NULL;
    for (char *w = copy ? strtok_r(copy, " ", &save) : NULL; w; w = strtok_r(NULL, " ", &save))
        offer(line, w, "");
}

static void offer_what(const struct line *line, const char *what)
{
    if (!what)
        return;
    if (strcmp(what, COMPLETE_GPUS) == 0)
        offer_gpus(line);
    else if (strcmp(what, COMPLETE_SHARES) == 0)
        offer_shares(line);
    else if (strcmp(what, COMPLETE_PROFILES) == 0)
        offer_profiles(line);
    else if (strcmp(what, COMPLETE_VERBS) == 0)
        offer_verbs(line);
    else if (strcmp(what, COMPLETE_FILES) == 0 || strcmp(what, COMPLETE_DIRS) == 0)
        printf(":%s\n", what + 1);
    else
        offer_words(line, what);
}

static const struct cli_option *find_option(const struct line *line, const char *word)
{
    const struct cli_option *lists[] = { line->verb ? line->verb->options : NULL, cli_common_options };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (const struct cli_option *o = lists[i]; o && o->name; o++) {
            size_t n = strlen(o->name);
            if (strncmp(word, "--", 2) == 0 && strncmp(word + 2, o->name, n) == 0 && (!word[2 + n] || word[2 + n] == '='))
                return o;
        }
    }
    return NULL;
}

/* A value that is already there may matter for what is offered later. */
static void take_value(struct line *line, const struct cli_option *option, const char *value)
{
    if (strcmp(option->name, "model") == 0)
        line->model = value;
    else if (strcmp(option->name, "sysroot") == 0)
        line->sysroot = value;
    else if (strcmp(option->name, "run-dir") == 0)
        text_format(line->cli->run_dir, sizeof line->cli->run_dir, "%s", value);
}

static void take_option(struct line *line, const char *word)
{
    const struct cli_option *o = find_option(line, word);
    const char *equals = strchr(word, '=');
    if (!o)
        return;
    if (line->verb && line->verb->options && o >= line->verb->options && o < line->verb->options + CLI_MAX_OPTIONS)
        line->given[o - line->verb->options] = true;
    if (equals)
        take_value(line, o, equals + 1);
    else if (o->arg)
        line->pending = o;
}

static void take_word(struct line *line, const char *word)
{
    if (strcmp(word, "=") == 0)   /* bash takes --name=value apart */
        return;
    if (line->pending) {
        take_value(line, line->pending, word);
        line->pending = NULL;
    } else if (strcmp(word, "--") == 0) {
        line->command = true;
    } else if (word[0] == '-') {
        take_option(line, word);
    } else if (!line->verb) {
        line->verb = cli_verb_find(word);
    } else if (++line->args == 1) {
        line->first = word;
    }
}

/* "--model=v": the candidates carry the option's name, as shells other than bash replace the whole word. */
static bool offer_joined_value(struct line *line)
{
    const struct cli_option *o = find_option(line, line->prefix);
    const char *equals = strchr(line->prefix, '=');
    if (!o || !equals)
        return false;
    if (o->complete && o->complete[0] != '@') {
        _cleanup_free_ char *copy = strdup(o->complete);
        char *save = NULL, word[2 * CLI_WORD];
        for (char *w = copy ? strtok_r(copy, " ", &save) : NULL; w; w = strtok_r(NULL, " ", &save)) {
            text_format(word, sizeof word, "--%s=%s", o->name, w);
            offer(line, word, "");
        }
    }
    return true;
}

static void offer_next(struct line *line)
{
    bool runs = line->verb && line->verb->max_args < 0;
    if (line->command) {
        if (runs && line->args >= 1)
            puts(":command");
    } else if (line->pending) {
        offer_what(line, line->pending->complete);
    } else if (line->prefix[0] == '-') {
        if (offer_joined_value(line))
            return;
        offer_options(line, line->verb ? line->verb->options : NULL, line->given);
        offer_options(line, cli_common_options, NULL);
        if (runs)
            offer(line, "--", "the command follows");
    } else if (!line->verb) {
        offer_verbs(line);
    } else if (line->args == 0) {
        offer_what(line, line->verb->complete);
    } else if (runs) {
        offer(line, "--", "the command follows");
    }
}

int verb_complete(int argc, char **argv, struct cli *cli, struct error *err)
{
    struct line line = { .cli = cli, .prefix = "" };
    cli->api_timeout_s = DAEMON_TIMEOUT_S;
    for (int i = 1; i + 1 < argc; i++)
        take_word(&line, argv[i]);
    if (argc > 1 && strcmp(argv[argc - 1], "=") != 0)
        line.prefix = argv[argc - 1];
    offer_next(&line);
    return 0;
}

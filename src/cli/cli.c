/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the command line by the verb table, runs the verb, prints its error: see cli.h. */
#include "cli/cli.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const struct cli_verb *cli_verb_find(const char *name)
{
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        if (strcmp(v->name, name) == 0)
            return v;
    }
    return NULL;
}

static const struct cli_option *option_find(const struct cli_option *options, const char *name, size_t n)
{
    for (const struct cli_option *o = options; o && o->name; o++) {
        if (strlen(o->name) == n && strncmp(o->name, name, n) == 0)
            return o;
    }
    return NULL;
}

/* The next step after a usage error, where none is known that is nearer. */
static void add_usage_hint(struct error *err, const struct cli_verb *verb)
{
    if (!err->hint[0])
        error_hint(err, verb ? "see: tranche help %s" : "see: tranche help", verb ? verb->name : "");
}

static bool is_nearer(const char *typed, const char *word, const char *best)
{
    return cli_word_is_near(typed, word) && (!best || cli_word_distance(typed, word) < cli_word_distance(typed, best));
}

const struct cli_verb *cli_verb_get(const char *typed, struct error *err)
{
    const struct cli_verb *found = cli_verb_find(typed);
    const char *best = NULL;
    if (found)
        return found;
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        if (!v->hidden && is_nearer(typed, v->name, best))
            best = v->name;
    }
    error_set(err, -EINVAL, "'%.80s' is not a verb of tranche", typed);
    if (best)
        error_hint(err, "did you mean: tranche %s?", best);
    return NULL;
}

static void nearest_option(const struct cli_option *options, const char *typed, const char **best)
{
    for (const struct cli_option *o = options; o && o->name; o++) {
        if (is_nearer(typed, o->name, *best))
            *best = o->name;
    }
}

static int unknown_option(const struct cli_verb *verb, const char *typed, size_t n, struct error *err)
{
    char name[CLI_WORD];
    const char *best = NULL;
    text_format(name, sizeof name, "%.*s", (int)MIN(n, (size_t)CLI_WORD), typed);
    nearest_option(verb ? verb->options : NULL, name, &best);
    nearest_option(cli_common_options, name, &best);
    if (verb)
        error_set(err, -EINVAL, "%s: there is no option --%s", verb->name, name);
    else
        error_set(err, -EINVAL, "there is no option --%s", name);
    if (best)
        error_hint(err, "did you mean --%s?", best);
    else if (verb && verb->max_args < 0)
        error_hint(err, "options of the command come after --: see tranche help %s", verb->name);
    return -EINVAL;
}

static int set_run_dir(struct cli *cli, const char *path, const char *below, struct error *err)
{
    if (text_format(cli->run_dir, sizeof cli->run_dir, "%s%s", path, below) == 0)
        return 0;
    return error_set(err, -EINVAL, "the path of the run dir is too long: %.80s…", path);
}

/* What a common option says is kept at once; values of the verb's own options wait for the verb. */
static int take_common(struct cli *cli, const struct cli_option *option, const char *value, struct error *err)
{
    if (text_equal(option->name, "json"))
        cli->json = true;
    else if (text_equal(option->name, "help"))
        cli->help = true;
    else if (!*value)
        return error_set(err, -EINVAL, "--run-dir needs a directory");
    else
        return set_run_dir(cli, value, "", err);
    return 0;
}

static int take_own(struct cli *cli, const struct cli_option *option, const char *value, struct error *err)
{
    const char **slot = &cli->values[option - cli->verb->options];
    assert(slot < cli->values + CLI_MAX_OPTIONS);
    if (*slot)
        return error_set(err, -EINVAL, "%s: --%s is given twice", cli->verb->name, option->name);
    *slot = value;
    return 0;
}

/* "--name", "--name=value" or "--name value" at argv[*i]; *i moves past a value that stands apart. */
static int take_option(struct cli *cli, int argc, char **argv, int *i, struct error *err)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const struct cli_option *common = option_find(cli_common_options, name, n);
    const struct cli_option *option = common ? common : option_find(cli->verb ? cli->verb->options : NULL, name, n);
    if (!option)
        return unknown_option(cli->verb, name, n, err);
    const char *value = equals ? equals + 1 : "";
    if (!option->arg && equals)
        return error_set(err, -EINVAL, "--%s takes no value", option->name);
    if (option->arg && !equals) {
        if (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)
            return error_set(err, -EINVAL, "--%s needs a value: --%s %s", option->name, option->name, option->arg);
        value = argv[++*i];
    }
    return common ? take_common(cli, option, value, err) : take_own(cli, option, value, err);
}

/* Sorts argv into options and arguments; *ret_argc arguments come to stand at the front of argv, the verb first. */
static int parse(struct cli *cli, int argc, char **argv, int *ret_argc, struct error *err)
{
    int n = 0, i = 1;
    for (int r; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (strncmp(argv[i], "--", 2) == 0) {
            if (!cli->verb && strcmp(argv[i], "--version") == 0)
                argv[i] += 2;   /* the verb of that name */
            else if ((r = take_option(cli, argc, argv, &i, err)) < 0)
                return r;
            else
                continue;
        } else if (strcmp(argv[i], "-h") == 0) {
            cli->help = true;
            continue;
        } else if (argv[i][0] == '-' && argv[i][1]) {
            return error_set(err, -EINVAL, "there is no option %.80s", argv[i]);
        }
        if (!cli->verb && !(cli->verb = cli_verb_get(argv[i], err)))
            return -EINVAL;
        argv[n++] = argv[i];
        if (cli->verb->handler == verb_complete) {   /* its words are another command line */
            i++;
            break;
        }
    }
    while (i < argc)
        argv[n++] = argv[i++];
    *ret_argc = n;
    return 0;
}

static int check_count(const struct cli_verb *verb, int count, struct error *err)
{
    char usage[1024];
    if (count < verb->min_args)
        error_set(err, -EINVAL, "%s: not enough arguments", verb->name);
    else if (verb->max_args >= 0 && count > verb->max_args)
        error_set(err, -EINVAL, "%s: too many arguments", verb->name);
    else
        return 0;
    error_hint(err, "usage: %.240s", cli_verb_usage(verb, usage, sizeof usage));
    return -EINVAL;
}

static int check_required(const struct cli *cli, struct error *err)
{
    for (const struct cli_option *o = cli->verb->options; o && o->name; o++) {
        if (!o->required || cli->values[o - cli->verb->options])
            continue;
        error_set(err, -EINVAL, "%s: --%s is missing", cli->verb->name, o->name);
        if (o->complete)
            error_hint(err, "add --%s with one of: %s", o->name, o->complete);
        else
            error_hint(err, "add --%s %s", o->name, o->arg);
        return -EINVAL;
    }
    return 0;
}

/* /tmp is everybody's: a directory that somebody else made there could hold a socket of his. */
static int check_run_dir_in_tmp(const char *path, struct error *err)
{
    struct stat st;
    if (lstat(path, &st) < 0 || (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022)))
        return 0;
    error_set(err, -EPERM, "%s is not a directory that only you can write to", path);
    error_hint(err, "somebody else made it; give --run-dir");
    return -EPERM;
}

static int find_run_dir(struct cli *cli, struct error *err)
{
    const char *env = getenv("TRANCHE_RUN_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
    if (cli->run_dir[0])
        return 0;
    if (env && *env)
        return set_run_dir(cli, env, "", err);
    if (geteuid() == 0)
        return set_run_dir(cli, "/run/tranche", "", err);
    if (xdg && xdg[0] == '/')
        return set_run_dir(cli, xdg, "/tranche", err);
    text_format(cli->run_dir, sizeof cli->run_dir, "/tmp/tranche-%u", (unsigned)geteuid());
    return check_run_dir_in_tmp(cli->run_dir, err);
}

/* One failure, once, on stderr: what and why, then the next step. */
static void print_error(const struct cli *cli, const struct error *err, int status)
{
    print_progress_clear();
    if (cli->json) {
        json_t *j = json_pack("{s:s, s:s, s:i}", "error", err->text, "hint", err->hint, "code", status);
        if (j)
            json_dumpf(j, stderr, JSON_COMPACT);
        fputc('\n', stderr);
        json_decref(j);
        return;
    }
    print_text(stderr, "tranche: %s", err->text);
    fputc('\n', stderr);
    if (err->hint[0]) {
        print_text(stderr, "hint: %s", err->hint);
        fputc('\n', stderr);
    }
}

static int run_verb(struct cli *cli, int argc, char **argv, struct error *err)
{
    if (cli->help || !cli->verb) {
        char *help[] = { "help", cli->verb ? (char *)cli->verb->name : NULL, NULL };
        bool explain = cli->help && cli->verb && !cli->verb->hidden;
        cli->verb = cli_verb_find("help");
        memset(cli->values, 0, sizeof cli->values);
        return verb_help(explain ? 2 : 1, help, cli, err);
    }
    int r = check_count(cli->verb, argc - 1, err);
    if (r == 0)
        r = check_required(cli, err);
    if (r == 0 && !cli->verb->alone)
        r = find_run_dir(cli, err);
    return r < 0 ? r : cli->verb->handler(argc, argv, cli, err);
}

/* An error in the command line itself must come as JSON too, wherever --json stands in it. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}

int cli_main(int argc, char **argv)
{
    struct cli cli = { .json = wants_json(argc, argv) };
    struct error err = { 0 };
    int count = 0;
    log_init("tranche", LOG_LEVEL_WARNING);
    int r = parse(&cli, argc, argv, &count, &err);
    if (r == 0 && count == 0 && !cli.help) {
        r = error_set(&err, -EINVAL, "no verb is given");
    } else if (r == 0) {
        argv[count] = NULL;
        r = run_verb(&cli, count, argv, &err);
        int flushed = print_flush(r < 0 ? NULL : &err);
        r = r < 0 ? r : flushed;
    }
    print_progress_clear();
    api_free(cli.api);
    if (error_exit_code(r) == EXIT_USAGE)
        add_usage_hint(&err, cli.verb);
    int status = r < 0 && cli.exit_status == 0 ? error_exit_code(r) : cli.exit_status;
    if (r < 0)
        print_error(&cli, &err, status);
    return status;
}

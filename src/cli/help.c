/* SPDX-License-Identifier: Apache-2.0 */
/* tranche help, and usage lines: all made from the verb table. */
#include "cli/cli.h"

#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define LINE_WIDTH 100
#define USAGE_INDENT 11

static size_t append(char *buf, size_t size, size_t at, const char *format, const char *a, const char *b)
{
    if (at >= size)
        return at;
    int n = snprintf(buf + at, size - at, format, a, b);
    return n < 0 ? at : at + (size_t)n;
}

const char *cli_verb_usage(const struct cli_verb *verb, char *buf, size_t size)
{
    const char *tail = strstr(verb->args, "--");   /* options stand before a command to run */
    char head[128];
    text_format(head, sizeof head, "%.*s", (int)(tail ? (size_t)(tail - verb->args) : strlen(verb->args)), verb->args);
    size_t at = append(buf, size, 0, "tranche %s%s", verb->name, *head ? " " : "");
    at = append(buf, size, at, "%s%s", head, "");
    while (at && at < size && buf[at - 1] == ' ')
        buf[--at] = '\0';
    for (const struct cli_option *o = verb->options; o && o->name; o++) {
        const char *format = o->required ? " --%s %s" : o->arg ? " [--%s %s]" : " [--%s%s]";
        at = append(buf, size, at, format, o->name, o->arg ? o->arg : "");
    }
    if (verb->json)
        at = append(buf, size, at, "%s%s", " [--json]", "");
    if (tail)
        append(buf, size, at, " %s%s", tail, "");
    return buf;
}

/* Broken before an option where the line would become longer than a terminal is wide. */
static void print_usage(const struct cli_verb *verb)
{
    char usage[1024], *rest = usage;
    int room = LINE_WIDTH - (int)strlen("usage: ");
    cli_verb_usage(verb, usage, sizeof usage);
    fputs("usage: ", stdout);
    while ((int)strlen(rest) > room) {
        char *cut = NULL;
        for (char *p = rest + 1; p < rest + room; p++) {
            if (strncmp(p, " [", 2) == 0 || strncmp(p, " --", 3) == 0)
                cut = p;
        }
        if (!cut)
            break;
        printf("%.*s\n%*s", (int)(cut - rest), rest, USAGE_INDENT - 1, "");
        rest = cut;
        room = LINE_WIDTH - USAGE_INDENT;
    }
    puts(rest);
}

static void print_options(const struct cli_option *options, bool with_json)
{
    for (const struct cli_option *o = options; o && o->name; o++) {
        char left[CLI_WORD];
        if (strcmp(o->name, "json") == 0 && !with_json)
            continue;
        text_format(left, sizeof left, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        bool words = o->complete && o->complete[0] != '@';
        printf("  %-19s %s%s%s\n", left, o->help, words ? " " : "", words ? o->complete : "");
    }
}

static void print_verb(const struct cli_verb *verb)
{
    print_usage(verb);
    printf("\n%c%s.\n", toupper((unsigned char)verb->help[0]), verb->help + 1);
    if (verb->details)
        printf("%s\n", verb->details);
    puts("\noptions:");
    print_options(verb->options, false);
    print_options(cli_common_options, verb->json);
}

static void print_overview(void)
{
    puts("usage: tranche VERB …\n\n"
         "GPUs of this machine, given to tenants as shares: whole, in slices of time and memory, or in partitions.\n\n"
         "verbs:");
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        if (!v->hidden)
            printf("  %-10s %s\n", v->name, v->help);
    }
    puts("\noptions:");
    print_options(cli_common_options, true);
    puts("\ntranche help VERB explains a verb; man tranche has the words, the files and the exit codes.\n"
         "The daemon must run: tranched");
}

static json_t *option_json(const struct cli_option *o)
{
    return json_pack("{s:s, s:s*, s:s, s:b}", "name", o->name, "arg", o->arg, "help", o->help, "required", o->required);
}

/* For tools, and for the tests that compare the manual page with the table. */
static json_t *verb_json(const struct cli_verb *verb)
{
    char usage[1024];
    json_t *options = json_array();
    for (const struct cli_option *o = verb->options; o && o->name; o++)
        json_array_append_new(options, option_json(o));
    cli_verb_usage(verb, usage, sizeof usage);
    return json_pack("{s:s, s:s, s:s, s:o}", "name", verb->name, "usage", usage, "help", verb->help, "options", options);
}

static int print_help_json(const struct cli_verb *only, struct error *err)
{
    _cleanup_json_ json_t *all = json_object();
    json_t *verbs = json_array();
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        if (!v->hidden && (!only || only == v))
            json_array_append_new(verbs, verb_json(v));
    }
    if (json_object_set_new(all, "verbs", verbs) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    return print_json(all, err);
}

int verb_help(int argc, char **argv, struct cli *cli, struct error *err)
{
    const struct cli_verb *verb = argc > 1 ? cli_verb_get(argv[1], err) : NULL;
    if (argc > 1 && !verb)
        return -EINVAL;
    if (cli->json)
        return print_help_json(verb, err);
    if (verb)
        print_verb(verb);
    else
        print_overview();
    return 0;
}

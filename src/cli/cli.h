/* SPDX-License-Identifier: Apache-2.0 */
/* The `tranche` command: the verb table, the options of a call, and what every verb is handed.
 *
 * This room runs in the operator's process. It changes things only by the control API of tranched (api.h); commands that look at a machine
 * (machine.h) read its files themselves. It prints for people or, with --json, one JSON document (print.h), and owns nothing that
 * outlives the call. It never opens a driver, and whatever the daemon answers is treated as possibly wrong. One file per verb; the surface (names, options, help) stands in verbs.c alone: usage,
 * `tranche help`, shell completions and the checks of the man page are made from that table. */
#pragma once

#include "base/error.h"

#include "cli/api.h"
#include "cli/print.h"
#include "cli/table.h"
#include "cli/words.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli;

/* A handler gets the arguments without options: argv[0] is the verb, argv[1..argc-1] stand within [min_args, max_args] of its row.
 * It returns 0, or a negative errno with *err set; the caller prints the error once (text, or JSON with --json) and exits with
 * error_exit_code(). A handler that needs another exit status sets cli->exit_status. */
typedef int cli_handler(int argc, char **argv, struct cli *cli, struct error *err);

/* What may follow an argument or option in a shell: a list of words "a b c", or one of these. */
#define COMPLETE_GPUS "@gpus"
#define COMPLETE_SHARES "@shares"
#define COMPLETE_FILES "@files"
#define COMPLETE_DIRS "@dirs"
#define COMPLETE_VERBS "@verbs"
#define COMPLETE_PROFILES "@profiles"   /* of the GPU and model that stand on the line */

struct cli_option {
    const char *name;        /* without the dashes */
    const char *arg;         /* what its value is called in usage, or NULL for a flag */
    const char *help;        /* one line; where `complete` is a list of words it is printed after it */
    const char *complete;    /* see above, or NULL */
    bool required;
};

struct cli_verb {
    const char *name;
    const char *args;                  /* arguments as usage shows them, or "" */
    const char *help;                  /* one line */
    cli_handler *handler;
    const struct cli_option *options;  /* ended by a row without name; NULL for none. --json, --run-dir and --help are everybody's */
    int min_args, max_args;            /* without the verb; max_args -1: any number */
    const char *complete;              /* of the first argument */
    const char *details;               /* paragraphs for `tranche help VERB`, or NULL */
    bool json;                         /* prints something that --json makes a document of */
    bool alone;                        /* needs no daemon, so no run dir is looked for */
    bool hidden;                       /* not in usage or completions */
};

/* In the order of usage; ended by a row without name. */
extern const struct cli_verb cli_verbs[];
/* --run-dir, --json, --help: accepted before and after the verb. Ended by a row without name. */
extern const struct cli_option cli_common_options[];

#define CLI_MAX_OPTIONS 16

struct cli {
    const struct cli_verb *verb;
    const char *values[CLI_MAX_OPTIONS];   /* in the order of verb->options; "" for a flag that was given, NULL for not given */
    bool json;
    bool help;
    char run_dir[PATH_MAX];                /* where control.sock stands; resolved before the handler runs */
    int exit_status;                       /* overrides the exit code of an error where it is not 0 */
    int api_timeout_s;                     /* how long an api_call() may take; 0: API_TIMEOUT_S */
    struct api *api;                       /* opened by the first api_call() */
};

/* The value of this verb's option (without dashes), or NULL where it was not given. Asking for an option that is not in the verb's row is
 * a programming error (assert). */
const char *cli_option_value(const struct cli *cli, const char *name);
bool cli_option_given(const struct cli *cli, const char *name);

/* The verb of that name, or NULL; get sets *err with the nearest verb as hint. */
const struct cli_verb *cli_verb_find(const char *name);
const struct cli_verb *cli_verb_get(const char *name, struct error *err);
/* "tranche create GPU --model MODEL …": one line, made from the row. Returns buf. */
const char *cli_verb_usage(const struct cli_verb *verb, char *buf, size_t size);

/* Values of options, checked before the daemon is asked. 0 with *ret untouched where the option was not given;
 * -EINVAL naming the option where the value is nonsense. */
int cli_option_size(const struct cli *cli, const char *name, uint64_t *ret_bytes, struct error *err);
int cli_option_percent(const struct cli *cli, const char *name, uint32_t *ret_ppm, struct error *err);
int cli_option_duration(const struct cli *cli, const char *name, uint64_t *ret_ns, struct error *err);
int cli_option_u64(const struct cli *cli, const char *name, uint64_t min, uint64_t max, uint64_t *ret, struct error *err);
/* The option's value must be one of the words its row completes to; says the nearest one otherwise. */
int cli_option_word(const struct cli *cli, const char *name, const char **ret, struct error *err);

/* The whole program: parses, runs the verb, prints its error. Returns the exit status. */
int cli_main(int argc, char **argv);

cli_handler verb_gpus, verb_doctor, verb_holders, verb_create, verb_shares, verb_show, verb_rm, verb_run, verb_attach, verb_status, verb_events, verb_compare, verb_version, verb_vfs,
    verb_help, verb_complete;

/* SPDX-License-Identifier: Apache-2.0 */
/* Options that a verb was given, read as what they mean: see cli.h. */
#include "cli/cli.h"

#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static size_t option_index(const struct cli *cli, const char *name)
{
    const struct cli_option *o = cli->verb->options;
    for (size_t i = 0; o && o[i].name; i++) {
        if (strcmp(o[i].name, name) == 0)
            return i;
    }
    assert(!"option stands in the verb's row");
    return 0;
}

const char *cli_option_value(const struct cli *cli, const char *name)
{
    return cli->values[option_index(cli, name)];
}

bool cli_option_given(const struct cli *cli, const char *name)
{
    return cli_option_value(cli, name) != NULL;
}

int cli_option_size(const struct cli *cli, const char *name, uint64_t *ret_bytes, struct error *err)
{
    const char *v = cli_option_value(cli, name);
    if (v && text_parse_size(v, ret_bytes, err) < 0)
        return error_wrap(err, "--%s", name);
    return 0;
}

int cli_option_percent(const struct cli *cli, const char *name, uint32_t *ret_ppm, struct error *err)
{
    const char *v = cli_option_value(cli, name);
    if (v && text_parse_percent(v, ret_ppm, err) < 0)
        return error_wrap(err, "--%s", name);
    return 0;
}

int cli_option_duration(const struct cli *cli, const char *name, uint64_t *ret_ns, struct error *err)
{
    const char *v = cli_option_value(cli, name);
    if (v && text_parse_duration(v, ret_ns, err) < 0)
        return error_wrap(err, "--%s", name);
    return 0;
}

int cli_option_u64(const struct cli *cli, const char *name, uint64_t min, uint64_t max, uint64_t *ret, struct error *err)
{
    const char *v = cli_option_value(cli, name);
    if (v && text_parse_u64(v, name, min, max, ret, err) < 0)
        return error_wrap(err, "--%s", name);
    return 0;
}

int cli_option_word(const struct cli *cli, const char *name, const char **ret, struct error *err)
{
    const char *v = cli_option_value(cli, name), *words = cli->verb->options[option_index(cli, name)].complete;
    if (!v)
        return 0;
    if (cli_word_among(v, words)) {
        *ret = v;
        return 0;
    }
    char nearest[CLI_WORD];
    error_set(err, -EINVAL, "--%s: '%.80s' is not one of: %s", name, v, words);
    if (cli_word_nearest(v, words, nearest))
        error_hint(err, "did you mean %s?", nearest);
    else
        error_hint(err, "see: tranche help %s", cli->verb->name);
    return -EINVAL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* tranche status: the daemon itself. */
#include "cli/cli.h"

#include "base/text.h"

static const char *format_uptime(uint64_t s, char *buf, size_t size)
{
    unsigned long long d = s / 86400, h = s / 3600 % 24, m = s / 60 % 60;
    if (s < 60)
        text_format(buf, size, "%llu s", (unsigned long long)s);
    else if (s < 3600)
        text_format(buf, size, "%llu min", m);
    else if (s < 86400)
        text_format(buf, size, "%llu h %llu min", h, m);
    else
        text_format(buf, size, "%llu d %llu h", d, h);
    return buf;
}

static void print_status(json_t *status)
{
    char uptime[PRINT_TEXT];
    print_text(stdout, "tranched %s, pid %llu, up %s", api_text(status, "version"), (unsigned long long)api_u64(status, "pid"),
               format_uptime(api_u64(status, "uptime_s"), uptime, sizeof uptime));
    putchar('\n');
    print_text(stdout, "  run dir    %s", api_text(status, "run_dir"));
    putchar('\n');
    print_text(stdout, "  state dir  %s", api_text(status, "state_dir"));
    putchar('\n');
    print_text(stdout, "  store      %s", api_text(status, "store"));
    putchar('\n');
    printf("  shares     %llu\n", (unsigned long long)api_u64(status, "shares"));
    printf("  clients    %llu\n", (unsigned long long)api_u64(status, "clients"));
}

int verb_status(int argc, char **argv, struct cli *cli, struct error *err)
{
    _cleanup_json_ json_t *status = NULL;
    int r = api_call(cli, "GET", "/v1/status", NULL, &status, err);
    if (r < 0)
        return r;
    if (cli->json)
        return print_json(status, err);
    print_status(status);
    return 0;
}

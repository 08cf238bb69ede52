/* SPDX-License-Identifier: Apache-2.0 */
/* tranche rm: a share goes. */
#include "cli/cli.h"

#include "base/text.h"

int verb_rm(int argc, char **argv, struct cli *cli, struct error *err)
{
    _cleanup_json_ json_t *answer = NULL;
    char path[128];
    uint64_t wait_ns = 0;
    int r = text_check_name(argv[1], err);
    if (r == 0)
        r = cli_option_duration(cli, "wait", &wait_ns, err);
    if (r < 0)
        return r;
    text_format(path, sizeof path, "/v1/shares/%s%s", argv[1], cli_option_given(cli, "force") ? "?force=1" : "");
    cli->api_timeout_s = API_HANDOVER_TIMEOUT_S;
    r = api_call_waiting(cli, "DELETE", path, NULL, wait_ns, &answer, err);
    if (r < 0)
        return r;
    if (cli->json)
        return print_json(answer, err);
    print_text(stdout, "removed %s", argv[1]);
    putchar('\n');
    return 0;
}

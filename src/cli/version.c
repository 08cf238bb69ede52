/* SPDX-License-Identifier: Apache-2.0 */
/* tranche version: of the command itself; `tranche status` says the daemon's. */
#include "cli/cli.h"

int verb_version(int argc, char **argv, struct cli *cli, struct error *err)
{
    if (cli->json) {
        _cleanup_json_ json_t *j = json_pack("{s:s}", "version", TRANCHE_VERSION);
        return print_json(j, err);
    }
    puts("tranche " TRANCHE_VERSION);
    return 0;
}

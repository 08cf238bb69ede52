/* SPDX-License-Identifier: Apache-2.0 */
/* tranche: the command that operators use. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}

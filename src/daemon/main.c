/* SPDX-License-Identifier: Apache-2.0 */
/* tranched: shares the GPUs of this host. One process, one thread, in the foreground. It accepts tenants on the shares' sockets and
 * starts a tranche-worker for each; it may be stopped and started again while they run. */
#include "base/error.h"
#include "base/log.h"
#include "daemon/run.h"
#include "daemon/settings.h"

#include <stdio.h>

static int fail(const struct error *err)
{
    log_error("%s", err->text);
    if (err->hint[0])
        log_error("%s", err->hint);
    return error_exit_code(err->code);
}

int main(int argc, char **argv)
{
    struct settings settings;
    enum settings_action action;
    struct error err = { 0 };
    log_init("tranched", LOG_LEVEL_INFO);
    if (settings_parse(argc, argv, &settings, &action, &err) < 0)
        return fail(&err);
    if (action == SETTINGS_HELP)
        settings_print_help();
    else if (action == SETTINGS_VERSION)
        puts("tranched " TRANCHE_VERSION);
    else if (daemon_run(&settings, &err) < 0)
        return fail(&err);
    return EXIT_DONE;
}

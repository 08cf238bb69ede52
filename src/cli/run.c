/* SPDX-License-Identifier: Apache-2.0 */
/* tranche run: becomes a program whose OpenCL loader finds the share and nothing else. */
#include "cli/cli.h"
#include "cli/share.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* As env(1) and the shell say it. */
#define STATUS_CANNOT_RUN 126
#define STATUS_NOT_FOUND 127

/* Whatever chose an OpenCL driver before, a share around this one included, must not choose now. OCL_ICD_FILENAMES is how the Khronos
 * loader, and later versions of ocl-icd, add drivers beside those of OCL_ICD_VENDORS. */
static void clear_choice(void)
{
    static const char *const names[] = {
        "OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH", "OCL_ICD_FILENAMES", "OCL_ICD_DEFAULT_PLATFORM", "TRANCHE_SOCKET", "TRANCHE_SHARE",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
}

/* ocl-icd takes a path that is neither a directory nor ends in .icd as the driver itself. */
static int choose_share(json_t *share, struct error *err)
{
    const char *icd = api_text(share, "icd"), *socket = api_text(share, "socket"), *name = api_text(share, "name");
    if (icd[0] != '/' || socket[0] != '/')
        return error_set(err, -EPROTO, "tranched names no OpenCL library or socket for share %s", name);
    if (access(icd, R_OK) < 0) {
        error_set(err, -EIO, "read the OpenCL library of tranche, %s: %s", icd, strerror(errno));
        error_hint(err, "install tranche completely, or start tranched from its build folder");
        return -EIO;
    }
    if (setenv("OCL_ICD_VENDORS", icd, 1) < 0 || setenv("TRANCHE_SOCKET", socket, 1) < 0 || setenv("TRANCHE_SHARE", name, 1) < 0)
        return error_set(err, -ENOMEM, "set the program's environment: %s", strerror(errno));
    return 0;
}

static int check_state(json_t *share, struct error *err)
{
    const char *state = api_text(share, "state"), *name = api_text(share, "name");
    if (strcmp(state, "ready") == 0 || strcmp(state, "in use") == 0)
        return 0;
    const char *problem = api_text(share, "problem");
    error_set(err, -EIO, "share %s cannot be used: its state is %s%s%s", name, *state ? state : "unknown", *problem ? ": " : "", problem);
    error_hint(err, "tranche events --share %s says why; tranche rm %s removes it", name, name);
    return -EIO;
}

static int become(char **command, struct cli *cli, struct error *err)
{
    execvp(command[0], command);
    int code = errno;
    cli->exit_status = code == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
    error_set(err, -EIO, "run %s: %s", command[0], strerror(code));
    if (code == ENOENT)
        error_hint(err, "is it installed, and in $PATH?");
    return -EIO;
}

int verb_run(int argc, char **argv, struct cli *cli, struct error *err)
{
    _cleanup_json_ json_t *share = NULL;
    int r = api_get_share(cli, argv[1], &share, err);
    if (r < 0 || (r = check_state(share, err)) < 0)
        return r;
    if (share_is_handed_over(share)) {
        error_set(err, -EOPNOTSUPP, "share %s is a GPU that this host gave to a VM; programs of this host cannot use it", argv[1]);
        error_hint(err, "tranche attach %s --format qemu puts it into a VM; --profile whole makes a share for this host", argv[1]);
        return -EOPNOTSUPP;
    }
    clear_choice();
    if (strcmp(api_text(share, "model"), "passthrough") != 0 && (r = choose_share(share, err)) < 0)
        return r;
    return become(argv + 2, cli, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Roots of machines: see sysroot.h. */
#include "inventory/sysroot.h"

#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int sysroot_path(const char *sysroot, const char *path, char ret[PATH_MAX], struct error *err)
{
    if (text_format(ret, PATH_MAX, "%s/%s", sysroot, path) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", sysroot);
    return 0;
}

int sysroot_check(const char *sysroot, struct error *err)
{
    char path[PATH_MAX];
    struct stat st;
    int r = sysroot_path(sysroot, "sys", path, err);
    if (r < 0 || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
        return r;
    r = -ENOENT;
    error_set(err, r, "%s is not the root of a machine: it has no directory sys", sysroot);
    error_hint(err, "name a directory that holds copies of sys, proc and dev, such as one made by cp -r or for a test");
    return r;
}

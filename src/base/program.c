/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that belong together: see program.h. */
#include "base/program.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static int make_absolute(const char *path, char *ret, size_t size, struct error *err)
{
    char cwd[PATH_MAX];
    int r = path[0] == '/' ? text_format(ret, size, "%s", path) :
            getcwd(cwd, sizeof cwd) ? text_format(ret, size, "%s/%s", cwd, path) : -errno;
    return r < 0 ? error_set(err, r, "program %.100s: %s", path, strerror(-r)) : 0;
}

static bool is_beside(const char *name, char *ret, size_t size)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[MAX(n, 0)] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return text_format(ret, size, "%s/%s", self, name) == 0 && access(ret, F_OK) == 0;
}

int program_find(const char *name, const char *variable, const char *installed, char *ret, size_t size, struct error *err)
{
    const char *given = variable ? getenv(variable) : NULL;
    if (given && *given)
        return make_absolute(given, ret, size, err);
    if (is_beside(name, ret, size) || (text_format(ret, size, "%s/%s", installed, name) == 0 && access(ret, F_OK) == 0))
        return 0;
    error_set(err, -ENOENT, "%s is neither beside this program nor in %s", name, installed);
    error_hint(err, "build or install it%s%s%s", variable ? ", or set " : "", variable ? variable : "", variable ? " to its path" : "");
    return -ENOENT;
}

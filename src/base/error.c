/* SPDX-License-Identifier: Apache-2.0 */
/* Stack errors: see error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *format, ...)
{
    if (!err)
        return code;
    va_list ap;
    va_start(ap, format);
    vsnprintf(err->text, sizeof err->text, format, ap);
    va_end(ap);
    err->code = code;
    err->hint[0] = '\0';
    return code;
}

int error_wrap(struct error *err, const char *format, ...)
{
    if (!err)
        return -EIO;
    char inner[sizeof err->text];
    memcpy(inner, err->text, sizeof inner);
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(err->text, sizeof err->text, format, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < sizeof err->text)
        snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", inner);
    return err->code;
}

void error_hint(struct error *err, const char *format, ...)
{
    if (!err)
        return;
    va_list ap;
    va_start(ap, format);
    vsnprintf(err->hint, sizeof err->hint, format, ap);
    va_end(ap);
}

int error_exit_code(int code)
{
    switch (code) {
    case 0: return EXIT_DONE;
    case -EINVAL: case -ENOENT: case -ERANGE: return EXIT_USAGE;
    case -EBUSY: case -ETXTBSY: case -EEXIST: case -EDQUOT: case -EPERM: case -EACCES: return EXIT_REFUSED;
    case -EOPNOTSUPP: return EXIT_NOT_SUPPORTED;
    default: return EXIT_FAILED;
    }
}

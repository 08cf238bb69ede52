/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing and printing of quantities: see text.h. */
#include "base/text.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit { const char *name; double factor; };

/* A plain decimal number with optional fraction; strtod alone would take "inf", "0x10" and "1e9". */
static const char *scan_number(const char *s, double *ret)
{
    const char *p = s;
    while (isdigit((unsigned char)*p))
        p++;
    if (p == s || p - s > 20)
        return NULL;
    if (*p == '.') {
        const char *frac = ++p;
        while (isdigit((unsigned char)*p))
            p++;
        if (p == frac || p - frac > 9)
            return NULL;
    }
    char buf[40];
    memcpy(buf, s, (size_t)(p - s));
    buf[p - s] = '\0';
    *ret = strtod(buf, NULL);
    return p;
}

static int parse_with_unit(const char *s, const char *what, const char *example, const struct unit *units, double max,
                           double *ret, struct error *err)
{
    double number;
    const char *rest = s ? scan_number(s, &number) : NULL;
    for (; rest && units->name; units++) {
        if (strcmp(rest, units->name) != 0)
            continue;
        double value = number * units->factor;
        if (value > max)
            return error_set(err, -ERANGE, "%s '%s' is too large", what, s);
        if (value <= 0)
            return error_set(err, -EINVAL, "%s '%s' must be more than zero", what, s);
        *ret = value;
        return 0;
    }
    error_set(err, -EINVAL, "'%s' is not a %s", s ? s : "", what);
    error_hint(err, "write for example %s", example);
    return -EINVAL;
}

int text_parse_u64(const char *s, const char *what, uint64_t min, uint64_t max, uint64_t *ret, struct error *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long long v = s && isdigit((unsigned char)*s) ? strtoull(s, &end, 10) : 0;
    if (!end || *end || errno || v < min || v > max) {
        error_set(err, -EINVAL, "%s '%s' is not a whole number from %llu to %llu", what, s ? s : "",
                  (unsigned long long)min, (unsigned long long)max);
        return -EINVAL;
    }
    *ret = v;
    return 0;
}

int text_parse_size(const char *s, uint64_t *ret_bytes, struct error *err)
{
    static const struct unit units[] = {
        { "", 1 }, { "B", 1 }, { "KiB", 0x1p10 }, { "MiB", 0x1p20 }, { "GiB", 0x1p30 }, { "TiB", 0x1p40 },
        { "K", 0x1p10 }, { "M", 0x1p20 }, { "G", 0x1p30 }, { "T", 0x1p40 },
        { "kB", 1e3 }, { "MB", 1e6 }, { "GB", 1e9 }, { "TB", 1e12 }, { NULL, 0 },
    };
    double v;
    int r = parse_with_unit(s, "size of memory", "3GiB or 512MiB", units, 0x1p53, &v, err);
    if (r < 0)
        return r;
    if (v != floor(v))
        return error_set(err, -EINVAL, "size '%s' is not a whole number of bytes", s);
    *ret_bytes = (uint64_t)v;
    return 0;
}

int text_parse_percent(const char *s, uint32_t *ret_ppm, struct error *err)
{
    static const struct unit units[] = { { "%", 1e4 }, { NULL, 0 } };
    double v;
    int r = parse_with_unit(s, "percentage of time", "25%", units, 1e6, &v, err);
    if (r < 0)
        return r;
    if (v < 1)
        return error_set(err, -EINVAL, "percentage '%s' is below 0.0001%%", s);
    *ret_ppm = (uint32_t)lround(v);
    return 0;
}

int text_parse_duration(const char *s, uint64_t *ret_ns, struct error *err)
{
    static const struct unit units[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "min", 60e9 }, { "h", 3600e9 }, { NULL, 0 } };
    double v;
    int r = parse_with_unit(s, "duration", "2ms or 30s", units, 0x1p53, &v, err);
    if (r < 0)
        return r;
    if (v < 1)
        return error_set(err, -EINVAL, "duration '%s' is below a nanosecond", s);
    *ret_ns = (uint64_t)v;
    return 0;
}

int text_check_name(const char *s, struct error *err)
{
    size_t n = s ? strlen(s) : 0;
    bool good = n >= 1 && n <= 63 && (isdigit((unsigned char)s[0]) || (s[0] >= 'a' && s[0] <= 'z'));
    for (size_t i = 0; good && i < n; i++)
        good = isdigit((unsigned char)s[i]) || (s[i] >= 'a' && s[i] <= 'z') || strchr("._-", s[i]);
    if (good)
        return 0;
    error_set(err, -EINVAL, "'%.80s' is not a name for a share", s ? s : "");
    error_hint(err, "use 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit");
    return -EINVAL;
}

const char *text_format_size(uint64_t bytes, char *buf, size_t size)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    double v = (double)bytes;
    size_t u = 0;
    for (; v >= 1024 && u + 1 < ARRAY_LEN(units); u++)
        v /= 1024;
    snprintf(buf, size, v == floor(v) ? "%.0f %s" : "%.1f %s", v, units[u]);
    return buf;
}

int text_format(char *buf, size_t size, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(buf, size, format, ap);
    va_end(ap);
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

bool text_equal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

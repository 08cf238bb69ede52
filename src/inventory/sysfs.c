/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of sysfs: see sysfs.h. */
#include "inventory/sysfs.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "inventory/label.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#define ATTRIBUTE_MAX 4097    /* a page, which no attribute exceeds, and its end */

bool sysfs_read_number(int dir, const char *name, long min, long max, long *ret)
{
    char text[64], *end;
    if (io_read_text(dir, name, text, sizeof text) <= 0)
        return false;
    errno = 0;
    long v = strtol(text, &end, 0);
    if (errno || end == text || *end || v < min || v > max)
        return false;
    *ret = v;
    return true;
}

bool sysfs_read_hex(int dir, const char *name, uint64_t *ret)
{
    char text[64], *end;
    if (io_read_text(dir, name, text, sizeof text) <= 0 || !isxdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 16);
    if (errno || *end)
        return false;
    *ret = v;
    return true;
}

bool sysfs_read_label(int dir, const char *name, char *ret, size_t size)
{
    char text[ATTRIBUTE_MAX];
    bool found = io_read_text(dir, name, text, sizeof text) >= 0;
    label_set(ret, size, found ? text : "");
    return found;
}

void sysfs_read_link_name(int dir, const char *name, char *ret, size_t size)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dir, name, target, sizeof target - 1);
    target[MAX(n, 0)] = '\0';
    const char *slash = strrchr(target, '/');
    label_set(ret, size, slash ? slash + 1 : target);
}

int sysfs_read_link_number(int dir, const char *name)
{
    char text[32], *end;
    sysfs_read_link_name(dir, name, text, sizeof text);
    if (!isdigit((unsigned char)text[0]))
        return -1;
    errno = 0;
    long v = strtol(text, &end, 10);
    return errno || *end || v > INT_MAX ? -1 : (int)v;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign text made printable: see label.h. */
#include "inventory/label.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Length of the valid UTF-8 character at p (RFC 3629), 0 when there is none. */
static size_t utf8_length(const unsigned char *p)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (n <= 1)
        return n;
    if (p[0] >= 0xf5)
        return 0;
    uint32_t v = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (p[i] & 0x3fu);
    }
    return v >= least[n] && v <= 0x10ffff && !(v >= 0xd800 && v < 0xe000) ? n : 0;
}

void label_set(char *dst, size_t size, const char *src)
{
    size_t used = 0;
    for (const unsigned char *p = (const unsigned char *)(src ? src : ""); *p;) {
        size_t n = utf8_length(p);
        bool blank = *p == ' ' || *p == '\t' || *p == '\n' || *p == '\r';
        bool control = !blank && (*p < 0x20 || *p == 0x7f);
        size_t width = n ? n : 1;
        if (used + width >= size)
            break;
        if (blank) {
            if (used && dst[used - 1] != ' ')
                dst[used++] = ' ';
        } else if (!n || control) {
            dst[used++] = '?';
        } else {
            memcpy(dst + used, p, n);
            used += n;
        }
        p += width;
    }
    while (used && dst[used - 1] == ' ')
        used--;
    if (size)
        dst[used] = '\0';
}

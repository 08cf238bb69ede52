/* SPDX-License-Identifier: Apache-2.0 */
/* Names of control groups: see cgroup.h. */
#include "inventory/cgroup.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "inventory/label.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PATH_LIMIT 2048
#define ID_MIN 32               /* container ids have 64 digits; Docker's builders make shorter ones */
#define ID_SHOWN 12             /* as the engines' own commands show them */

/* The path that says most: version 2's, unless a version 1 hierarchy knows a longer one. */
static void choose_path(const char *text, char ret[PATH_LIMIT])
{
    size_t best = 0;
    ret[0] = '\0';
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t length = strcspn(line, "\n"), before = strcspn(line, ":");
        const char *path = before < length ? memchr(line + before + 1, ':', length - before - 1) : NULL;
        size_t n = path ? length - (size_t)(path + 1 - line) : 0;
        if (n <= best || n >= PATH_LIMIT)
            continue;
        memcpy(ret, path + 1, n);
        ret[n] = '\0';
        best = n;
    }
}

static size_t hex_length(const char *s)
{
    return strspn(s, "0123456789abcdef");
}

static bool has_end(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n > m && strcmp(s + n - m, end) == 0;
}

/* systemd writes - in names as \x2d. */
static void unescape(const char *src, char *dst, size_t size)
{
    size_t n = 0;
    for (; *src && n + 1 < size; src++) {
        unsigned code;
        if (src[0] == '\\' && src[1] == 'x' && isxdigit((unsigned char)src[2]) && isxdigit((unsigned char)src[3]) && sscanf(src + 2,
                                                                                                                            "%2x", &code) == 1) {
            dst[n++] = (char)code;
            src += 3;
        } else {
            dst[n++] = *src;
        }
    }
    dst[n] = '\0';
}

static bool set_container(struct cgroup_owner *o, const char *runtime, const char *name, size_t length)
{
    char text[256];
    if (!length || text_format(text, sizeof text, "%.*s", (int)MIN(length, sizeof text - 1), name) < 0)
        return false;
    strcpy(o->runtime, runtime);
    label_set(o->container, sizeof o->container, text);
    return true;
}

/* "docker-4f1e….scope", "libpod-….scope/container", "cri-containerd-….scope" */
static bool take_scope(struct cgroup_owner *o, const char *part)
{
    static const struct { const char *begin, *runtime; } scopes[] = {
        { "docker-", "docker" }, { "libpod-", "podman" }, { "cri-containerd-", "containerd" }, { "crio-", "cri-o" }, { "nerdctl-",
                                                                                                                       "containerd" },
    };
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        const char *id = part + strlen(scopes[i].begin);
        if (strncmp(part, scopes[i].begin, strlen(scopes[i].begin)) == 0 && hex_length(id) >= ID_MIN)
            return set_container(o, scopes[i].runtime, id, ID_SHOWN);
    }
    return false;
}

/* "machine-qemu\x2d3\x2dwin11.scope" is libvirt's VM win11, "machine-web.scope" nspawn's web. */
static bool take_machine(struct cgroup_owner *o, const char *part)
{
    char name[256];
    unescape(part, name, sizeof name);
    if (has_end(name, ".scope"))
        name[strlen(name) - strlen(".scope")] = '\0';
    if (strncmp(name, "machine-", 8) == 0) {
        char *rest = name + 8;
        bool vm = strncmp(rest, "qemu-", 5) == 0, lxc = strncmp(rest, "lxc-", 4) == 0;
        char *number = vm ? rest + 5 : rest + 4;
        size_t digits = strspn(number, "0123456789");
        if ((vm || lxc) && digits && number[digits] == '-')
            return set_container(o, "libvirt", number + digits + 1, strlen(number + digits + 1));
        return set_container(o, "nspawn", rest, strlen(rest));
    }
    if (strncmp(name, "systemd-nspawn@", 15) == 0 && has_end(name, ".service"))
        return set_container(o, "nspawn", name + 15, strlen(name) - 15 - strlen(".service"));
    return false;
}

/* What a part means by the one before it: "docker/ID", "lxc/NAME", "qemu.slice/100.scope", "podUID/ID". */
static bool take_pair(struct cgroup_owner *o, const char *before, const char *part)
{
    if (strncmp(part, "lxc.payload.", 12) == 0)
        return set_container(o, "lxc", part + 12, strlen(part + 12));
    if (strcmp(before, "docker") == 0 && hex_length(part) >= ID_MIN)
        return set_container(o, "docker", part, ID_SHOWN);
    if (strcmp(before, "lxc") == 0)
        return set_container(o, "lxc", part, strlen(part));
    if (strcmp(before, "qemu.slice") == 0 && has_end(part, ".scope"))
        return set_container(o, "proxmox", part, strspn(part, "0123456789"));
    if (o->pod[0] && hex_length(part) >= ID_MIN)
        return set_container(o, "kubernetes", part, ID_SHOWN);
    return false;
}

/* "kubepods-burstable-pod6b1f_….slice" or "pod6b1f-…": uids have 36 characters, or 32 digits for static pods. */
static void take_pod(struct cgroup_owner *o, const char *part)
{
    const char *uid = strncmp(part, "pod", 3) == 0 ? part + 3 : strstr(part, "-pod") ? strstr(part, "-pod") + 4 : NULL;
    size_t n = uid ? strspn(uid, "0123456789abcdef-_") : 0;
    if (n < ID_MIN || n >= sizeof o->pod)
        return;
    memcpy(o->pod, uid, n);
    o->pod[n] = '\0';
    for (char *p = o->pod; (p = strchr(p, '_'));)
        *p = '-';
}

void cgroup_identify(const char *text, struct cgroup_owner *ret)
{
    char path[PATH_LIMIT], *save = NULL;
    const char *before = "";
    struct cgroup_owner o = { .unit = "" };
    choose_path(text, path);
    for (char *part = strtok_r(path, "/", &save); part; before = part, part = strtok_r(NULL, "/", &save)) {
        if (has_end(part, ".service") || has_end(part, ".scope")) {
            char unit[256];
            unescape(part, unit, sizeof unit);
            label_set(o.unit, sizeof o.unit, unit);
        }
        take_pod(&o, part);
        if (!take_scope(&o, part) && !take_machine(&o, part))
            take_pair(&o, before, part);
    }
    *ret = o;
}

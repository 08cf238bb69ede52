/* SPDX-License-Identifier: Apache-2.0 */
/* tranche holders: who keeps a GPU busy. */
#include "cli/cli.h"

#include "base/text.h"
#include "cli/machine.h"
#include "inventory/holders.h"

#include <pwd.h>
#include <string.h>

static bool is_here;    /* this machine's accounts are those of the processes */

static const char *user_name(uid_t uid, char *buf, size_t size)
{
    struct passwd *pw = uid == (uid_t)-1 || !is_here ? NULL : getpwuid(uid);
    if (pw)
        text_format(buf, size, "%.30s", pw->pw_name);
    else
        text_format(buf, size, uid == (uid_t)-1 ? "?" : "%u", (unsigned)uid);
    return buf;
}

/* "docker 4f1e0c2b9a8d", "containerd 4f1e0c2b9a8d, pod 6b1f…", or the unit. */
static const char *belongs_to(const struct cgroup_owner *o, char *buf, size_t size)
{
    if (o->runtime[0])
        text_format(buf, size, "%s %s%s%s", o->runtime, o->container, o->pod[0] ? ", pod " : "", o->pod);
    else
        text_format(buf, size, "%s", o->unit[0] ? o->unit : "-");
    return buf;
}

static const char *join_nodes(const struct holder_process *p, char *buf, size_t size)
{
    size_t used = 0;
    buf[0] = '\0';
    for (unsigned i = 0; i < p->nodes_n && used < size; i++)
        used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? " " : "", p->nodes[i]);
    return buf;
}

static void print_processes(const struct holders *h)
{
    static const char *const headers[] = { ">PID", "USER", "COMMAND", "WHAT IT IS", "UNIT OR CONTAINER", "DEVICE FILES", NULL };
    _cleanup_table_ struct table *table = table_new(headers);
    for (size_t i = 0; i < h->processes_n; i++) {
        const struct holder_process *p = &h->processes[i];
        char user[32], owner[160], nodes[HOLDER_MAX_NODES * 64];
        table_cell(table, STYLE_BOLD, "%d", (int)p->pid);
        table_cell(table, STYLE_PLAIN, "%s", user_name(p->uid, user, sizeof user));
        table_cell(table, STYLE_PLAIN, "%s", p->command);
        table_cell(table, STYLE_PLAIN, "%s", p->role ? p->role : p->owner.runtime[0] || p->other_mounts ? "program in a container" :
                   "program");
        table_cell(table, STYLE_PLAIN, "%s", belongs_to(&p->owner, owner, sizeof owner));
        table_cell(table, STYLE_PLAIN, "%s%s", join_nodes(p, nodes, sizeof nodes), p->descriptors ? "" : " (mapped)");
    }
    table_write(table, 0);
}

static void print_remedies(const struct holders *h)
{
    const char *last = NULL;
    for (size_t i = 0; i < h->processes_n; i++) {
        const struct holder_process *p = &h->processes[i];
        if (!p->remedy || p->remedy == last)
            continue;
        print_styled(STYLE_DIM, "→ %s (%s): %s", p->command, p->role, p->remedy);
        putchar('\n');
        last = p->remedy;
    }
}

static void print_kernel(const struct holders *h)
{
    for (size_t i = 0; i < h->kernel_n; i++) {
        const struct holder_kernel *k = &h->kernel[i];
        print_styled(STYLE_BOLD, "kernel: %s", k->name);
        print_text(stdout, "  %s", k->what);
        putchar('\n');
        if (!k->remedy[0])
            continue;
        print_styled(STYLE_DIM, "→ %s", k->remedy);
        putchar('\n');
    }
}

static void print_holders(const struct machine_gpu *gpu, const struct holders *h)
{
    if (!h->processes_n && !h->kernel_n)
        print_text(stdout, "%s: %s", gpu->function.address, h->hidden || h->confined ? "nobody that can be seen" : "nobody");
    if (!h->processes_n && !h->kernel_n)
        putchar('\n');
    if (h->processes_n)
        print_processes(h);
    print_remedies(h);
    print_kernel(h);
    if (h->confined) {
        print_styled(STYLE_WARN, "only a part of the machine's processes is visible here: ask outside of the container, or as root");
        putchar('\n');
    }
    if (h->hidden) {
        print_styled(STYLE_WARN, "%u process%s may not be looked into by this user; as root the list is complete", h->hidden,
                     h->hidden == 1 ? "" : "es");
        putchar('\n');
    }
}

static json_t *text_or_null(const char *text)
{
    return text && *text ? json_string(text) : json_null();
}

static json_t *process_json(const struct holder_process *p)
{
    char user[32];
    json_t *nodes = json_array();
    for (unsigned i = 0; i < p->nodes_n; i++)
        json_array_append_new(nodes, json_string(p->nodes[i]));
    return json_pack("{s:i, s:i, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:i, s:i}", "pid", (int)p->pid,
                     "inner_pid", (int)p->inner_pid, "command", p->command, "uid", p->uid == (uid_t)-1 ? json_null() : json_integer(p->uid),
                     "user", user_name(p->uid, user, sizeof user), "role", text_or_null(p->role), "remedy", text_or_null(p->remedy),
                     "unit", text_or_null(p->owner.unit), "runtime", text_or_null(p->owner.runtime),
                     "container", text_or_null(p->owner.container), "pod", text_or_null(p->owner.pod), "own_mounts", (int)p->other_mounts,
                     "nodes", nodes, "descriptors", (int)p->descriptors, "mappings", (int)p->mappings);
}

static int print_holders_json(const struct machine_gpu *gpu, const struct holders *h, struct error *err)
{
    json_t *processes = json_array(), *kernel = json_array(), *nodes = json_array();
    for (size_t i = 0; i < h->processes_n; i++)
        json_array_append_new(processes, process_json(&h->processes[i]));
    for (size_t i = 0; i < h->kernel_n; i++)
        json_array_append_new(kernel, json_pack("{s:s, s:s, s:o}", "name", h->kernel[i].name, "what", h->kernel[i].what,
                                                "remedy", text_or_null(h->kernel[i].remedy)));
    for (size_t i = 0; i < h->nodes_n; i++)
        json_array_append_new(nodes, json_string(h->nodes[i].path));
    _cleanup_json_ json_t *all = json_pack("{s:o, s:s, s:b, s:i, s:i, s:b, s:o, s:o, s:o}", "gpu", text_or_null(gpu->name), "pci_address",
                                           gpu->function.address,
                                           "free", (int)holders_is_free(h), "looked", (int)h->looked, "hidden", (int)h->hidden, "confined", (int)h->confined, "nodes", nodes,
                                           "processes", processes, "kernel", kernel);
    return print_json(all, err);
}

int verb_holders(int argc, char **argv, struct cli *cli, struct error *err)
{
    struct machine_gpu gpu;
    struct holders holders;
    const char *sysroot = "";
    int r = machine_sysroot(cli, &sysroot, err);
    if (r == 0)
        r = machine_find_gpu(sysroot, argv[1], &gpu, err);
    if (r == 0)
        r = holders_find(sysroot, &gpu.function, &holders, err);
    if (r < 0)
        return r;
    is_here = !*sysroot;
    if (cli->json)
        r = print_holders_json(&gpu, &holders, err);
    else
        print_holders(&gpu, &holders);
    holders_done(&holders);
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* tranched's command line, one table row per option: see settings.h. */
#include "daemon/settings.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "daemon/paths.h"
#include "models/model.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

struct parse { struct settings *settings; const char *run_dir, *state_dir; enum settings_action action; };

struct option_row {
    const char *name, *argument, *help;
    int (*set)(struct parse *p, const char *value, struct error *err);
};

static int set_run_dir(struct parse *p, const char *v, struct error *err) { p->run_dir = v; return 0; }
static int set_state_dir(struct parse *p, const char *v, struct error *err) { p->state_dir = v; return 0; }
static int set_staged(struct parse *p, const char *v, struct error *err) { p->settings->staged = true; return 0; }
static int set_stand_in(struct parse *p, const char *v, struct error *err) { p->settings->stand_in = true; return 0; }
static int set_help(struct parse *p, const char *v, struct error *err) { p->action = SETTINGS_HELP; return 0; }
static int set_version(struct parse *p, const char *v, struct error *err) { p->action = SETTINGS_VERSION; return 0; }

static int set_duration(const char *v, uint64_t min, uint64_t max, const char *range, uint64_t *ret, struct error *err)
{
    uint64_t ns;
    int r = text_parse_duration(v, &ns, err);
    if (r == 0 && (ns < min || ns > max))
        return error_set(err, -EINVAL, "'%s' is outside %s", v, range);
    if (r == 0)
        *ret = ns;
    return r;
}

static int set_watchdog(struct parse *p, const char *v, struct error *err)
{
    return set_duration(v, MODEL_WATCHDOG_MIN_NS, MODEL_WATCHDOG_MAX_NS, "100ms to 24h", &p->settings->watchdog_ns, err);
}

static int set_quantum(struct parse *p, const char *v, struct error *err)
{
    return set_duration(v, MODEL_QUANTUM_MIN_NS, MODEL_QUANTUM_MAX_NS, "1ms to 30ms", &p->settings->quantum_ns, err);
}

static int set_max_clients(struct parse *p, const char *v, struct error *err)
{
    uint64_t n;
    int r = text_parse_u64(v, "number of clients", 1, SETTINGS_MAX_CLIENTS, &n, err);
    if (r == 0)
        p->settings->max_clients = (unsigned)n;
    return r;
}

static int set_worker_users(struct parse *p, const char *v, struct error *err)
{
    uint64_t first, last;
    char text[32];
    const char *dash = strchr(v, '-');
    p->settings->first_user = 0;
    if (text_equal(v, "none"))
        return 0;
    if (!dash || text_format(text, sizeof text, "%.*s", (int)(dash - v), v) < 0)
        return error_set(err, -EINVAL, "'%s' is neither FIRST-LAST nor none", v);
    int r = text_parse_u64(text, "first id", 1, UINT32_MAX - 1, &first, err);
    if (r == 0)
        r = text_parse_u64(dash + 1, "last id", first, UINT32_MAX - 1, &last, err);
    if (r < 0)
        return r;
    p->settings->first_user = (unsigned)first;
    p->settings->last_user = (unsigned)last;
    p->settings->users_wanted = true;
    return 0;
}

static int set_device(struct parse *p, const char *v, struct error *err)
{
    struct settings *s = p->settings;
    if (s->devices_n == SETTINGS_MAX_DEVICES)
        return error_set(err, -EINVAL, "more than %d devices", SETTINGS_MAX_DEVICES);
    if (!pci_parse_address(v, s->devices[s->devices_n]))
        return error_set(err, -EINVAL, "'%s' is no PCI address such as 0000:01:00.0", v);
    s->devices_n++;
    return 0;
}

static int set_sysroot(struct parse *p, const char *v, struct error *err)
{
    return text_format(p->settings->sysroot, sizeof p->settings->sysroot, "%s", v) < 0 ? error_set(err, -ENAMETOOLONG, "path too long") : 0;
}

static int set_ready_fd(struct parse *p, const char *v, struct error *err)
{
    uint64_t fd;
    int r = text_parse_u64(v, "descriptor", 1, 1023, &fd, err);
    if (r < 0)
        return r;
    if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return error_set(err, -EINVAL, "descriptor %s is not open", v);
    p->settings->ready_fd = (int)fd;
    return 0;
}

static const struct option_row rows[] = {
    { "--run-dir", "DIR", "sockets and scheduler pages ($TRANCHE_RUN_DIR)", set_run_dir },
    { "--state-dir", "DIR", "store of shares and events, program caches ($TRANCHE_STATE_DIR)", set_state_dir },
    { "--watchdog", "TIME", "end a program whose kernel runs longer than this (default 30s)", set_watchdog },
    { "--quantum", "TIME", "longest turn on a GPU while others wait, 1ms to 30ms (default 2ms)", set_quantum },
    { "--max-clients", "N", "programs at the same time per share (default 64)", set_max_clients },
    { "--worker-users", "RANGE", "as root: user ids for the shares' workers, one each (default 60706-61183), or none", set_worker_users },
    { "--stand-in", NULL, "offer the CPU as a stand-in GPU also beside a real one", set_stand_in },
    { "--device", "ADDRESS", "offer this PCI device although its class is no GPU's; may be given several times", set_device },
    { "--sysroot", "DIR", "read PCI devices from DIR/sys, for tests", set_sysroot },
    { "--staged", NULL, "copy as for devices with memory of their own, for tests", set_staged },
    { "--ready-fd", "N", "write a newline to this descriptor when serving", set_ready_fd },
    { "--help", NULL, "print this and exit", set_help },
    { "--version", NULL, "print the version and exit", set_version },
};

void settings_print_help(void)
{
    puts("Usage: tranched [OPTION]...\nShares the GPUs of this host between tenants; runs in the foreground. See tranche(1) for the commands.\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char left[40];
        snprintf(left, sizeof left, "%s%s%s", rows[i].name, rows[i].argument ? " " : "", rows[i].argument ? rows[i].argument : "");
        printf("  %-22s %s\n", left, rows[i].help);
    }
    puts("\nEnvironment: TRANCHE_RUN_DIR, TRANCHE_STATE_DIR, TRANCHE_WORKER (path of tranche-worker), TRANCHE_DEBUG (log more).\n"
         "Exit codes: 0 done, 1 failed, 2 usage, 3 another tranched has these directories.");
}

static const struct option_row *find_row(const char *argument, const char **ret_value)
{
    size_t n = strcspn(argument, "=");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strlen(rows[i].name) != n || strncmp(rows[i].name, argument, n) != 0)
            continue;
        *ret_value = argument[n] ? argument + n + 1 : NULL;
        return &rows[i];
    }
    return NULL;
}

static int parse_argument(int argc, char **argv, int *i, struct parse *p, struct error *err)
{
    const char *value = NULL, *argument = argv[*i];
    const struct option_row *row = find_row(argument, &value);
    if (!row) {
        error_set(err, -EINVAL, "unknown argument '%.80s'", argument);
        error_hint(err, "tranched --help lists the options");
        return -EINVAL;
    }
    if (!row->argument && value)
        return error_set(err, -EINVAL, "%s takes no value", row->name);
    if (row->argument && !value && *i + 1 < argc)
        value = argv[++*i];
    if (row->argument && (!value || !*value))
        return error_set(err, -EINVAL, "%s needs a value: %s %s", row->name, row->name, row->argument);
    return row->set(p, value, err) < 0 ? error_wrap(err, "%s", row->name) : 0;
}

int settings_parse(int argc, char **argv, struct settings *ret, enum settings_action *ret_action, struct error *err)
{
    *ret = (struct settings){ .watchdog_ns = 30 * NS_PER_S, .quantum_ns = 2 * NS_PER_MS, .max_clients = 64, .first_user = SETTINGS_FIRST_USER,
                              .last_user = SETTINGS_LAST_USER, .ready_fd = -1 };
    struct parse p = { .settings = ret, .action = SETTINGS_RUN };
    for (int i = 1; i < argc && p.action == SETTINGS_RUN; i++) {
        int r = parse_argument(argc, argv, &i, &p, err);
        if (r < 0)
            return r;
    }
    *ret_action = p.action;
    if (p.action != SETTINGS_RUN)
        return 0;
    int r = paths_run_dir(p.run_dir, ret->run_dir, sizeof ret->run_dir, err);
    return r < 0 ? r : paths_state_dir(p.state_dir, ret->state_dir, sizeof ret->state_dir, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What tranched was told on its command line. */
#pragma once

#include "base/error.h"
#include "inventory/pci.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Free for local use between systemd's homes and its dynamic users (UIDS-GIDS of systemd), and below 65536, so that containers have them too. */
#define SETTINGS_FIRST_USER 60706
#define SETTINGS_LAST_USER 61183
#define SETTINGS_MAX_CLIENTS 512    /* slots of one sched page */
#define SETTINGS_MAX_DEVICES 32

struct settings {
    char run_dir[PATH_MAX], state_dir[PATH_MAX];
    uint64_t watchdog_ns;     /* default for shares: a kernel that runs longer is ended */
    uint64_t quantum_ns;      /* default for the first share of a GPU */
    unsigned max_clients;     /* programs connected to one share at the same time */
    bool staged;              /* workers take the path of devices with memory of their own, for tests */
    char sysroot[PATH_MAX];   /* read PCI devices below this folder, for tests; empty: the machine's own */
    char devices[SETTINGS_MAX_DEVICES][PCI_ADDRESS_MAX];   /* PCI functions to offer although they are no GPUs */
    unsigned devices_n;
    bool stand_in;            /* offer the CPU also beside a real GPU */
    unsigned first_user, last_user;   /* ids for the workers of shares; first 0: tranched's own */
    bool users_wanted;        /* asked for on the command line */
    int ready_fd;             /* gets a newline when serving; -1 none */
};

enum settings_action { SETTINGS_RUN, SETTINGS_HELP, SETTINGS_VERSION };
/* -EINVAL with the option's name for anything that is not understood. */
int settings_parse(int argc, char **argv, struct settings *ret, enum settings_action *ret_action, struct error *err);
void settings_print_help(void);

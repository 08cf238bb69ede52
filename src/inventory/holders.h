/* SPDX-License-Identifier: Apache-2.0 */
/* Who keeps a GPU busy: processes with one of its device files open or mapped, in whatever mount or pid namespace, and the kernel's own users.
 *
 * Device files are compared by device number, not by path: a container has nodes of its own, under any name. (Below a sysroot that is no real
 * /proc there are only paths to compare.) Reads only. A process that this user may not look into is counted: then nobody can say that the GPU
 * is free. Never blocks on file systems of others: what a descriptor is gets asked without touching the device behind it. */
#pragma once

#include "base/error.h"
#include "inventory/cgroup.h"
#include "inventory/function.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define HOLDERS_MAX_PROCESSES 4096u
#define HOLDERS_MAX_NODES 256u            /* device files of one GPU: some, and up to 135 of MIG instances */
#define HOLDER_MAX_NODES 8u               /* that are kept by name for one process */
#define HOLDERS_MAX_KERNEL 16u

struct holder_node {
    unsigned major, minor;
    char path[64];                        /* on the host: "/dev/nvidia0" */
};

struct holder_process {
    pid_t pid;
    pid_t inner_pid;                      /* in its own pid namespace; the same outside containers */
    uid_t uid;
    char command[32];
    const char *role;                     /* "display server", "VM", …; NULL for a program like any other */
    const char *remedy;                   /* how to make this kind let go; NULL as above */
    bool other_mounts;                    /* it lives in a mount namespace of its own */
    struct cgroup_owner owner;
    char nodes[HOLDER_MAX_NODES][64];
    unsigned nodes_n, descriptors, mappings;
};

/* A user inside the kernel. */
struct holder_kernel { char name[64], what[160], remedy[200]; };

struct holders {
    struct holder_node *nodes;
    size_t nodes_n;
    struct holder_process *processes;     /* by pid */
    size_t processes_n;
    struct holder_kernel kernel[HOLDERS_MAX_KERNEL];
    size_t kernel_n;
    unsigned looked, hidden;              /* processes looked into; those this user may not look into */
    bool confined;                        /* only some processes are in this /proc: a container's, or one mounted with hidepid */
};

/* sysroot as in sysroot.h. -EACCES, -ENOENT: no /proc to look at. */
int holders_find(const char *sysroot, const struct pci_function *function, struct holders *ret, struct error *err);
void holders_done(struct holders *holders);
/* Nobody holds it, and nobody could be hidden. */
bool holders_is_free(const struct holders *holders);

/* The two parts of it: device files and kernel users, from sysfs and the drivers' files; then processes. */
int holders_list_nodes(const char *sysroot, const struct pci_function *function, struct holders *holders, struct error *err);
void holders_list_kernel(const char *sysroot, const struct pci_function *function, struct holders *holders);

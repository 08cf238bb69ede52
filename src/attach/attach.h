/* SPDX-License-Identifier: Apache-2.0 */
/* attach: what a consumer of a passed-through GPU has to be told: QEMU arguments, libvirt XML, Proxmox and VMware commands, KubeVirt YAML.
 *
 * Pure: functions and choices in, text out. Called by the CLI. All functions of a card go together and keep their topology: one slot of the
 * guest for each slot of the host, with the same function numbers, function 0 marked multifunction.
 * Must never happen here: reading or changing the machine; text of the user or the hardware in a command without quotes around it. */
#pragma once

#include "base/error.h"
#include "inventory/function.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATTACH_MAX_FUNCTIONS 64u

enum attach_format { ATTACH_QEMU, ATTACH_LIBVIRT, ATTACH_PROXMOX, ATTACH_VMWARE, ATTACH_KUBEVIRT, ATTACH_FORMATS };

struct attach_request {
    const char *name;                     /* of the share or GPU */
    const char *product;                  /* from pci.ids, for names of resources; may be empty */
    const struct pci_function *functions; /* in address order */
    size_t n;
    bool primary;                         /* the guest's firmware shows its picture on it (x-vga) */
    const char *rom;                      /* file with its ROM; "" hides the ROM from the guest; NULL leaves it as it is */
    const char *vm;                       /* how the consumer calls the VM; NULL: a word in capitals stands for it */
    unsigned guest_bus;                   /* libvirt, for cards of several functions: the guest's bus */
    bool iommufd;                         /* QEMU: use iommufd */
};

/* Where a function comes to lie in the guest. */
struct attach_place {
    unsigned slot;                        /* 0, 1, …: one root port each */
    unsigned function;
    bool multifunction;                   /* function 0 of a card that has more */
};
/* For each function of the request. -E2BIG above ATTACH_MAX_FUNCTIONS. Returns how many slots. */
int attach_place(const struct attach_request *request, struct attach_place *ret, struct error *err);
/* The window for 64-bit BARs that the guest's firmware needs, a power of two. */
uint64_t attach_window_bytes(const struct attach_request *request);
#define ATTACH_WINDOW_DEFAULT (UINT64_C(32) << 30)   /* what OVMF has by itself */

struct attach_list { char **items; size_t n; };
struct attach_section {
    const char *name;                     /* the member of --json: "arguments", "xml", … */
    bool document;                        /* lines of one text, not a list of things */
    struct attach_list lines;
};
#define ATTACH_MAX_SECTIONS 3
struct attach_output {
    struct attach_section sections[ATTACH_MAX_SECTIONS];
    size_t n;
    struct attach_list notes;             /* what to know beside it */
};

/* -EINVAL: a choice that makes no sense for this GPU; -EOPNOTSUPP: the consumer has no way to say it. Fills *ret, to be released by
 * attach_done() also after an error. */
int attach_build(enum attach_format format, const struct attach_request *request, struct attach_output *ret, struct error *err);
void attach_done(struct attach_output *output);

/* The <hostdev> of one function. Freed by the caller; NULL when memory is out. */
char *attach_hostdev(const struct attach_request *request, size_t index, const struct attach_place *place);

int attach_format_from_string(const char *text, enum attach_format *ret, struct error *err);
const char *attach_format_to_string(enum attach_format format);

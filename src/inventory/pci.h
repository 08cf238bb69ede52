/* SPDX-License-Identifier: Apache-2.0 */
/* GPUs on the PCI bus, read from sysfs: class 0x03xxxx (display controllers) and 0x12xxxx (processing accelerators). Reads only; the root directory is a parameter so that
 * tests use a fixture tree. What sysfs says may be wrong: a device whose identity cannot be read is left out, any other missing
 * attribute is just unknown. Kernel documents: Documentation/ABI/testing/sysfs-bus-pci, sysfs-kernel-iommu_groups. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCI_MAX_GPUS 512        /* the largest GPU servers have 16; each may have some dozens of virtual functions */
#define PCI_MAX_COMPANIONS 16u  /* other functions of one IOMMU group that are listed by address */
#define PCI_ADDRESS_MAX 16      /* "0000:01:00.0", with 32-bit domains "10000:e1:00.0" */

struct pci_gpu {
    char address[PCI_ADDRESS_MAX];
    uint32_t class_code;                  /* 0x030000 VGA, 0x030200 3D controller, … */
    uint16_t vendor_id, device_id;
    char vendor[64], device[96];          /* from pci.ids, or "PCI vendor 10de", "device 2330" */
    char driver[32];                      /* bound kernel driver, or empty */
    int iommu_group;                      /* -1 when the IOMMU is off */
    char companions[PCI_MAX_COMPANIONS][PCI_ADDRESS_MAX];
    unsigned companions_n;                /* all others in the group but bridges, also those beyond the list */
    int numa_node;                        /* -1 when unknown */
    unsigned sriov_total, sriov_enabled;  /* virtual functions */
    char physfn[PCI_ADDRESS_MAX];         /* of a virtual function: whose it is; else empty */
};

/* The GPUs in address order: display controllers and processing accelerators; virtual functions are not GPUs of their own and are left out.
 * A system without PCI gives none. pci_ids may be NULL or missing. *ret is the caller's, by free(). */
int pci_list_gpus(const char *sysfs_root, const char *pci_ids, struct pci_gpu **ret, size_t *ret_n, struct error *err);

/* What else counts as a GPU. */
struct pci_filter {
    const char (*also)[PCI_ADDRESS_MAX];  /* functions that an administrator named, of whatever class */
    unsigned also_n;
    bool virtual_functions;               /* those of GPUs, too */
};
int pci_list_filtered(const char *sysfs_root, const char *pci_ids, const struct pci_filter *filter, struct pci_gpu **ret, size_t *ret_n,
                      struct error *err);
/* "0000:01:00.0", also short "01:00.0" and upper case, to the form sysfs uses. False when it is no PCI address. */
bool pci_parse_address(const char *text, char ret[PCI_ADDRESS_MAX]);
/* Below, at or above 0, as for qsort: by domain, bus, device, function. Both as sysfs writes them. */
int pci_compare_addresses(const char *a, const char *b);
/* Names from pci.ids (may be NULL or missing), or "PCI vendor 10de" and "device 2330". */
void pci_name_device(const char *pci_ids, uint16_t vendor_id, uint16_t device_id, char *ret_vendor, size_t vendor_size, char *ret_device,
                     size_t device_size);

/* SPDX-License-Identifier: Apache-2.0 */
/* One PCI function in detail, as handing it to a VM needs it, and the functions that go or stay with it: its IOMMU group, its slot, its
 * virtual functions. Read from sysfs; reads only. The root directory is a parameter, so that tests use a fixture tree.
 * Who the function is (class, vendor, device) must be readable; any other attribute may be missing and is then unknown, as said below.
 * Kernel documents: Documentation/ABI/testing/sysfs-bus-pci, sysfs-kernel-iommu_groups, sysfs-devices-power; Documentation/driver-api/vfio.rst. */
#pragma once

#include "base/error.h"
#include "inventory/pci.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCI_BARS 6
#define PCI_MAX_FUNCTIONS 512    /* in one list: a bus without isolation has 256 functions; an SR-IOV GPU has some dozens */

/* An address window. Absent where size is 0. Flags are the kernel's IORESOURCE_… bits. */
struct pci_bar {
    uint64_t start, size, flags;
    uint64_t resize_mask;        /* bit n: 2^(n+20) bytes can be chosen (resizable BAR). 0: fixed, or the kernel does not tell */
};
#define PCI_BAR_IO UINT64_C(0x100)
#define PCI_BAR_MEMORY UINT64_C(0x200)
#define PCI_BAR_PREFETCH UINT64_C(0x2000)
#define PCI_BAR_64BIT UINT64_C(0x100000)

struct pci_function {
    char address[PCI_ADDRESS_MAX];
    char parent[PCI_ADDRESS_MAX];         /* the bridge above it; empty on a root bus, or when unknown */
    uint32_t class_code;                  /* 0x030000 VGA, 0x040300 audio, … */
    uint16_t vendor_id, device_id;
    uint16_t subsystem_vendor, subsystem_device;   /* 0 when unknown */
    uint8_t revision;
    char driver[32];                      /* bound kernel driver, or empty */
    char override[32];                    /* driver_override; empty when unset (the kernel prints "(null)") */
    int iommu_group;                      /* -1 when the IOMMU is off */
    int numa_node;                        /* -1 when unknown */
    bool bridge;                          /* base class 0x06: host, ISA, PCI-to-PCI, … */
    bool port;                            /* a PCI-to-PCI bridge: never goes to a VM, and its driver does not stop its group from going */
    bool boot_vga;                        /* the firmware's display: what the host shows its console on */
    bool is_vf;
    char physfn[PCI_ADDRESS_MAX];         /* of a virtual function: whose it is; else empty */
    unsigned sriov_total, sriov_enabled;  /* virtual functions: how many there can be, are; 0 without SR-IOV */
    int sriov_autoprobe;                  /* do new virtual functions get a driver; -1 unknown */
    bool has_reset;                       /* the kernel knows a way to reset it */
    char reset_methods[64];               /* in the order they are tried, "flr bus"; empty when none, or the kernel (before 5.15) does not tell */
    int d3cold_allowed;                   /* -1 unknown */
    char power_state[16];                 /* "D0", "D3hot", "D3cold", "unknown"; empty when the kernel (before 5.11) does not tell */
    char runtime_status[16];              /* "active", "suspended", "unsupported", …; empty when unknown */
    struct pci_bar bars[PCI_BARS];
    uint64_t rom_size;                    /* expansion ROM; 0 without one */
    char vfio_device[16];                 /* "vfio3": its node below /dev/vfio/devices (kernel 6.6 or later); empty else */
};

/* The function at this address, in the form of pci_parse_address(). -EINVAL: no address; -ENOENT: no such function here;
 * -EIO: its identity cannot be read. */
int pci_read_function(const char *sysfs_root, const char *address, struct pci_function *ret, struct error *err);

/* All of these give an array in address order, to be freed by free(), of at least one function. A member that cannot be read is an error, not left
 * out: whoever asks wants to know what else would go. -E2BIG above PCI_MAX_FUNCTIONS. */
/* Every function in the group, bridges too. -ENOENT: there is no such group; -EOPNOTSUPP: it has a member that is no PCI function. */
int pci_list_group(const char *sysfs_root, int group, struct pci_function **ret, size_t *ret_n, struct error *err);
/* All functions of the device in the same slot (same domain, bus and device number), itself included. Virtual functions have numbers
 * as if they shared a slot, and do not: of one, only itself; of others, without them. */
int pci_list_slot(const char *sysfs_root, const char *address, struct pci_function **ret, size_t *ret_n, struct error *err);
/* The virtual functions of a physical one; *ret is NULL and *ret_n 0 when it has none. */
int pci_list_vfs(const char *sysfs_root, const char *physfn, struct pci_function **ret, size_t *ret_n, struct error *err);

/* vfio-pci or one of its vendor variants, "nvgrace_gpu_vfio_pci". */
bool pci_driver_is_vfio(const char *driver);
/* Does this member keep its whole group from VMs? The kernel hands out a group only when each member has no driver, a VFIO driver, or one
 * that does no DMA of its own (PCI ports, pci-stub). */
bool pci_function_holds_group(const struct pci_function *function);
/* A display controller (class 03xxxx) or a processing accelerator (12xxxx), as compute-only GPUs call themselves. */
bool pci_function_is_gpu(const struct pci_function *function);

/* SPDX-License-Identifier: Apache-2.0 */
/* ops: what tranche changes on a machine, as enumerated operations.
 *
 * Each sets one attribute of one device from a known value to another. So it can be checked before (is the first value still there?),
 * repeated (is the second there already? then it is done), and undone (the two swapped). Plans are lists of them, the journal keeps
 * them, and tranche-priv is the only one that carries them out (src/priv). Reading here needs no rights and changes nothing.
 * Must never happen here: an operation that is not in the list below; a name of a device or driver that reaches a path unchecked.
 *
 * Kernel documents: Documentation/ABI/testing/sysfs-bus-pci (driver_override, bind, unbind, d3cold_allowed, sriov_*),
 * Documentation/ABI/testing/sysfs-class-vtconsole, Documentation/fb/fbcon.rst. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define OP_DEVICE_MAX 48
#define OP_VALUE_MAX 32

enum op_kind {
    OP_MODULE,          /* device: kernel module; "" or "loaded". Loading is not undone: others may use it meanwhile */
    OP_CONSOLE,         /* device: vtconN; "1" the console draws there, "0" it does not */
    OP_FRAMEBUFFER,     /* device: platform device such as efi-framebuffer.0; name of its driver, or "" */
    OP_PERSISTENCE,     /* device: PCI address of an NVIDIA GPU; "1" the driver keeps it initialised, "0" not */
    OP_D3COLD,          /* device: PCI address; "1" the function may lose power, "0" not */
    OP_DRIVER,          /* device: PCI address; name of the bound driver, or "" */
    OP_OVERRIDE,        /* device: PCI address; the only driver that may bind, or "" */
    OP_VF_PROBE,        /* device: PCI address of a physical function; "1" new virtual functions get drivers, "0" not */
    OP_VF_COUNT,        /* device: PCI address of a physical function; how many virtual functions are enabled */
    OP_KINDS
};

struct op {
    enum op_kind kind;
    char device[OP_DEVICE_MAX];
    char from[OP_VALUE_MAX], to[OP_VALUE_MAX];
};

const char *op_kind_name(enum op_kind kind);
/* -EINVAL naming what is wrong: unknown kind, a device or value that is not of that kind's form, nothing to change. */
int op_check(const struct op *op, struct error *err);
struct op op_undo(const struct op *op);
/* Whether undoing means anything: a loaded module stays. */
bool op_is_undone(const struct op *op);
/* "unbind 0000:01:00.0 from nvidia"; returns buf. */
const char *op_describe(const struct op *op, char *buf, size_t size);

/* What the machine says now, in the words of the operation's values. sysfs_root is "/sys" (a parameter for tests).
 * -ENODEV when the device is not there; -EOPNOTSUPP for kinds that only a driver can tell (OP_PERSISTENCE). */
int op_read(const char *sysfs_root, const struct op *op, char ret[OP_VALUE_MAX], struct error *err);

/* {"kind", "device", "from", "to"}; NULL when memory is out. */
json_t *op_to_json(const struct op *op);
/* From a file, a store or a peer: anything may stand there. As op_check(). */
int op_from_json(const json_t *json, struct op *ret, struct error *err);

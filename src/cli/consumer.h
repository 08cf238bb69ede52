/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that use a passed-through GPU, as far as `tranche attach` runs them: QEMU, asked what it can, and virsh. */
#pragma once

#include "attach/attach.h"

/* Does this QEMU have iommufd? -ENOENT and others where it cannot be run; -EOPNOTSUPP where it has no vfio-pci. */
int consumer_ask_qemu(const char *path, bool *ret_iommufd, struct error *err);
/* Attaches every function to the libvirt domain request->vm, in its configuration or, live, to the running machine; all or none.
 * -EOPNOTSUPP without virsh; -EIO with what virsh said. */
int consumer_attach_domain(const struct attach_request *request, bool live, struct error *err);
/* For a shell; ends the program where memory is out. Freed by the caller. */
char *consumer_quote(const char *text);

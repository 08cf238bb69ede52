/* SPDX-License-Identifier: Apache-2.0 */
/* How the formats of this room write. Running out of memory is remembered by the list and told at the end. */
#pragma once

#include "attach/attach.h"

struct attach_list *output_section(struct attach_output *output, const char *name, bool document);
/* One more item. */
void output_add(struct attach_list *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For a shell: 'quoted' unless it is plainly safe. Freed by the caller. */
char *output_quote(const char *text);

int qemu_build(const struct attach_request *request, const struct attach_place *places, struct attach_output *ret, struct error *err);
int libvirt_build(const struct attach_request *request, const struct attach_place *places, struct attach_output *ret, struct error *err);
int proxmox_build(const struct attach_request *request, const struct attach_place *places, struct attach_output *ret, struct error *err);
int vmware_build(const struct attach_request *request, const struct attach_place *places, struct attach_output *ret, struct error *err);
int kubevirt_build(const struct attach_request *request, const struct attach_place *places, struct attach_output *ret, struct error *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* A host of a test's own: a directory with files, links and PCI functions as sysfs has them. One at a time. */
#pragma once

/* Makes the directory, with an empty PCI bus below sys/; removes it. As cmocka's setup and teardown. */
int tree_setup(void **state);
int tree_teardown(void **state);
/* The full path of this path in the tree; good for the next few calls. */
const char *tree_at(const char *path);
void tree_make_dirs(const char *path);
/* Files and links make the directories that they stand in. */
void tree_put(const char *path, const char *text);
void tree_put_link(const char *target, const char *path);
void tree_add_pci(const char *address, const char *class_code, const char *vendor, const char *device);
/* An attribute of that function. */
void tree_put_pci(const char *address, const char *name, const char *text);
void tree_add_to_group(const char *group, const char *address);

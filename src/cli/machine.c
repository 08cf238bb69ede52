/* SPDX-License-Identifier: Apache-2.0 */
/* GPUs by name, without the daemon: see machine.h. */
#include "cli/machine.h"

#include "base/text.h"
#include "inventory/nvidia.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

int machine_sysroot(const struct cli *cli, const char **ret, struct error *err)
{
    const char *dir = cli_option_value(cli, "sysroot");
    if (dir && !*dir)
        return error_set(err, -EINVAL, "--sysroot needs a directory");
    int r = dir && strcmp(dir, "/") != 0 ? sysroot_check(dir, err) : 0;
    if (r == 0)
        *ret = dir && strcmp(dir, "/") != 0 ? dir : "";
    return r;
}

static int no_such_gpu(const struct inventory *inventory, const char *text, struct error *err)
{
    char names[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < inventory->n && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", inventory->gpus[i].name);
    error_set(err, -ENOENT, "there is no GPU '%.60s' on this machine", text);
    if (inventory->n)
        error_hint(err, "there %s %s; a PCI address such as %s works too", inventory->n == 1 ? "is" : "are", names,
                   inventory->gpus[0].pci.address);
    else
        error_hint(err, "this machine has no GPU on its PCI bus");
    return -ENOENT;
}

static bool has_uuid(const char *sysroot, const char *address, const char *text)
{
    struct nvidia_gpu nvidia;
    return strncasecmp(text, "GPU-", 4) == 0 && nvidia_read_gpu(sysroot, address, &nvidia) && strcasecmp(nvidia.uuid, text) == 0;
}

static const struct gpu *find_listed(const struct inventory *inventory, const char *sysroot, const char *text)
{
    const struct gpu *found = inventory_find(inventory, text);
    for (size_t i = 0; !found && i < inventory->n; i++)
        if (has_uuid(sysroot, inventory->gpus[i].pci.address, text))
            found = &inventory->gpus[i];
    return found;
}

/* Why the function at this address is not in the list. */
static int explain_unlisted(const char *sys, const char *address, struct error *err)
{
    struct pci_function f;
    int r = pci_read_function(sys, address, &f, err);
    if (r < 0)
        return r;
    error_set(err, -EINVAL, "%s is no GPU: its class is %06x%s%s", f.address, f.class_code, *f.driver ? ", its driver " : "", f.driver);
    error_hint(err, "tranche gpus lists the GPUs: display controllers (class 03) and processing accelerators (12)");
    return -EINVAL;
}

int machine_find_gpu(const char *sysroot, const char *text, struct machine_gpu *ret, struct error *err)
{
    _cleanup_inventory_ struct inventory *inventory = NULL;
    struct machine_gpu found = { 0 };
    char sys[PATH_MAX], address[PCI_ADDRESS_MAX];
    int r = sysroot_path(sysroot, "sys", sys, err);
    if (r == 0)
        r = inventory_take_files(sysroot, &inventory, err);
    if (r < 0)
        return r;
    const struct gpu *gpu = find_listed(inventory, sysroot, text);
    if (gpu) {
        strcpy(found.name, gpu->name);
        strcpy(found.product, gpu->product);
        r = pci_read_function(sys, gpu->pci.address, &found.function, err);
    } else if (pci_parse_address(text, address)) {
        r = explain_unlisted(sys, address, err);
    } else {
        r = no_such_gpu(inventory, text, err);
    }
    if (r == 0)
        *ret = found;
    return r;
}

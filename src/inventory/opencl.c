/* SPDX-License-Identifier: Apache-2.0 */
/* OpenCL devices by way of the worker's probe: see opencl.h. */
#include "inventory/opencl.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "inventory/label.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

static int child_body(void *arg)
{
    /* `tranche run` points the loader at our own ICD; the inventory is about the real drivers. */
    unsetenv("OCL_ICD_VENDORS");
    unsetenv("OCL_ICD_FILENAMES");
    unsetenv("LD_PRELOAD");
    execl(arg, arg, "--probe", (char *)NULL);
    return 127;
}

int opencl_start(struct child *child, const char *worker, uint64_t timeout_ns, struct error *err)
{
    if (access(worker, X_OK) < 0) {
        error_set(err, -errno, "cannot run %s: %s", worker, strerror(errno));
        error_hint(err, "set TRANCHE_WORKER to the path of tranche-worker, or install it beside tranched");
        return -errno;
    }
    return child_start(child, "OpenCL probe", timeout_ns, child_body, (void *)worker, err);
}

static bool get_u64(json_t *o, const char *key, uint64_t max, uint64_t *ret)
{
    json_t *v = json_object_get(o, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
        return false;
    *ret = (uint64_t)json_integer_value(v);
    return true;
}

static void get_address(json_t *o, const char *key, char ret[PCI_ADDRESS_MAX])
{
    if (!pci_parse_address(json_string_value(json_object_get(o, key)), ret))
        ret[0] = '\0';
}

static enum opencl_type get_type(json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    return text_equal(type, "cpu") ? OPENCL_CPU :
           text_equal(type, "gpu") || text_equal(type, "accelerator") ? OPENCL_GPU : OPENCL_OTHER;
}

static bool read_device(json_t *o, struct opencl_device *ret)
{
    struct opencl_device d = { .type = get_type(o) };
    const char *platform = json_string_value(json_object_get(o, "platform"));
    uint64_t index, units, sub = 0, vendor_id = 0;
    if (!platform || !*platform || strlen(platform) >= sizeof d.platform ||
        !get_u64(o, "index", OPENCL_MAX_DEVICES, &index) || !get_u64(o, "compute_units", OPENCL_MAX_COMPUTE_UNITS, &units) ||
        !get_u64(o, "global_mem_bytes", INT64_MAX, &d.memory_bytes))
        return false;
    strcpy(d.platform, platform);
    d.index = (unsigned)index;
    d.compute_units = (uint32_t)units;
    get_u64(o, "max_alloc_bytes", INT64_MAX, &d.max_alloc_bytes);
    d.max_sub_devices = get_u64(o, "max_sub_devices", OPENCL_MAX_COMPUTE_UNITS, &sub) ? (uint32_t)sub : 0;
    d.vendor_id = get_u64(o, "vendor_id", UINT32_MAX, &vendor_id) ? (uint32_t)vendor_id : 0;
    d.unified = json_is_true(json_object_get(o, "host_unified_memory"));
    d.partition_by_counts = json_is_true(json_object_get(o, "partition_by_counts"));
    label_set(d.platform_version, sizeof d.platform_version, json_string_value(json_object_get(o, "platform_version")));
    label_set(d.name, sizeof d.name, json_string_value(json_object_get(o, "name")));
    label_set(d.vendor, sizeof d.vendor, json_string_value(json_object_get(o, "vendor")));
    label_set(d.version, sizeof d.version, json_string_value(json_object_get(o, "version")));
    label_set(d.driver_version, sizeof d.driver_version, json_string_value(json_object_get(o, "driver_version")));
    get_address(o, "pci_address", d.pci_address);
    get_address(o, "pci_address_alternative", d.pci_address_alternative);
    *ret = d;
    return true;
}

static void cleanup_json(json_t **j) { json_decref(*j); }

int opencl_collect(struct child *child, struct opencl_device *ret, int max, struct error *err)
{
    if (child_wait(child, err) < 0)
        return err ? err->code : -EIO;
    json_error_t e;
    _cleanup_(cleanup_json) json_t *root = json_loads(child->output ? child->output : "", 0, &e);
    json_t *devices = json_object_get(root, "devices");
    if (!json_is_array(devices))
        return error_set(err, -EPROTO, "the OpenCL probe's answer is not understood%s%s", root ? "" : ": ", root ? "" : e.text);
    int n = 0;
    for (size_t i = 0; i < json_array_size(devices) && n < max; i++)
        if (read_device(json_array_get(devices, i), &ret[n]))
            n++;
    return n;
}

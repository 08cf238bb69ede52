/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the OpenCL loader for all devices and prints them as JSON: see probe.h. */
#include "worker/probe.h"

#include "base/cleanup.h"

#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_MAX_PLATFORMS 32    /* more than any machine has; bounds the arrays below */
#define PROBE_MAX_DEVICES 128
#define PROBE_MAX_TEXT 1024       /* longer answers are cut: names are for people, extension lists are read in full */

/* cl_nv_device_attribute_query, numbers from the Khronos registry; older headers lack the PCI ones. */
#ifndef CL_DEVICE_PCI_BUS_ID_NV
#define CL_DEVICE_PCI_BUS_ID_NV 0x4008
#endif
#ifndef CL_DEVICE_PCI_SLOT_ID_NV
#define CL_DEVICE_PCI_SLOT_ID_NV 0x4009
#endif
#ifndef CL_DEVICE_PCI_DOMAIN_ID_NV
#define CL_DEVICE_PCI_DOMAIN_ID_NV 0x400A
#endif

/* Text of a platform or device in a fresh string, NULL when the driver does not say. */
static char *device_text(cl_device_id device, cl_device_info what)
{
    size_t n = 0;
    if (clGetDeviceInfo(device, what, 0, NULL, &n) != CL_SUCCESS || n == 0 || n > 1 << 20)
        return NULL;
    char *text = calloc(1, n + 1);
    if (text && clGetDeviceInfo(device, what, n, text, NULL) != CL_SUCCESS) {
        free(text);
        return NULL;
    }
    return text;
}

static char *platform_text(cl_platform_id platform, cl_platform_info what)
{
    size_t n = 0;
    if (clGetPlatformInfo(platform, what, 0, NULL, &n) != CL_SUCCESS || n == 0 || n > 1 << 20)
        return NULL;
    char *text = calloc(1, n + 1);
    if (text && clGetPlatformInfo(platform, what, n, text, NULL) != CL_SUCCESS) {
        free(text);
        return NULL;
    }
    return text;
}

/* A JSON string of whatever a driver says; bytes that are no UTF-8 become '?'. Takes ownership of text. */
static json_t *text_json(char *taken)
{
    _cleanup_free_ char *text = taken;
    if (!text)
        return json_string("");
    if (strlen(text) > PROBE_MAX_TEXT)
        text[PROBE_MAX_TEXT] = '\0';
    json_t *s = json_string(text);
    if (s)
        return s;
    for (char *p = text; *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    return json_string(text);
}

static json_int_t device_u32(cl_device_id device, cl_device_info what)
{
    cl_uint v = 0;
    return clGetDeviceInfo(device, what, sizeof v, &v, NULL) == CL_SUCCESS ? (json_int_t)v : 0;
}

static json_int_t device_u64(cl_device_id device, cl_device_info what)
{
    cl_ulong v = 0;
    if (clGetDeviceInfo(device, what, sizeof v, &v, NULL) != CL_SUCCESS || v > INT64_MAX)
        return 0;
    return (json_int_t)v;
}

static bool device_bool(cl_device_id device, cl_device_info what)
{
    cl_bool v = CL_FALSE;
    return clGetDeviceInfo(device, what, sizeof v, &v, NULL) == CL_SUCCESS && v;
}

static bool device_has_extension(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; p && (p = strstr(p, name)); p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

static bool device_partitions_by_counts(cl_device_id device)
{
    cl_device_partition_property kinds[16];
    size_t n = 0;
    if (clGetDeviceInfo(device, CL_DEVICE_PARTITION_PROPERTIES, sizeof kinds, kinds, &n) != CL_SUCCESS)
        return false;
    for (size_t i = 0; i < n / sizeof *kinds && i < ARRAY_LEN(kinds); i++)
        if (kinds[i] == CL_DEVICE_PARTITION_BY_COUNTS)
            return true;
    return false;
}

static const char *device_type_name(cl_device_id device)
{
    cl_device_type type = 0;
    clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    return type & CL_DEVICE_TYPE_GPU ? "gpu" : type & CL_DEVICE_TYPE_ACCELERATOR ? "accelerator" :
           type & CL_DEVICE_TYPE_CPU ? "cpu" : "custom";
}

static json_t *pci_json(unsigned domain, unsigned bus, unsigned device, unsigned function)
{
    if (bus > 0xff || device > 0x1f || function > 7)
        return json_null();
    char text[32];
    snprintf(text, sizeof text, "%04x:%02x:%02x.%x", domain, bus, device, function);
    return json_string(text);
}

/* The PCI address by whichever extension tells it. NVIDIA documents its slot number only as "PCI slot ID"; drivers were seen to mean
 * the device number, or device and function in one byte, so both readings are given and the inventory takes the one that exists. */
static void add_pci_address(json_t *object, cl_device_id device, const char *extensions)
{
    json_t *address = NULL, *alternative = NULL;
    if (device_has_extension(extensions, "cl_khr_pci_bus_info")) {
        cl_device_pci_bus_info_khr i = { 0 };
        if (clGetDeviceInfo(device, CL_DEVICE_PCI_BUS_INFO_KHR, sizeof i, &i, NULL) == CL_SUCCESS)
            address = pci_json(i.pci_domain, i.pci_bus, i.pci_device, i.pci_function);
    } else if (device_has_extension(extensions, "cl_nv_device_attribute_query")) {
        cl_uint bus = 0, slot = 0, domain = 0;
        if (clGetDeviceInfo(device, CL_DEVICE_PCI_BUS_ID_NV, sizeof bus, &bus, NULL) == CL_SUCCESS &&
            clGetDeviceInfo(device, CL_DEVICE_PCI_SLOT_ID_NV, sizeof slot, &slot, NULL) == CL_SUCCESS) {
            clGetDeviceInfo(device, CL_DEVICE_PCI_DOMAIN_ID_NV, sizeof domain, &domain, NULL);
            address = pci_json(domain, bus, slot, 0);
            alternative = pci_json(domain, bus, slot >> 3, slot & 7);
        }
    } else if (device_has_extension(extensions, "cl_amd_device_attribute_query")) {
        cl_device_topology_amd t = { 0 };
        if (clGetDeviceInfo(device, CL_DEVICE_TOPOLOGY_AMD, sizeof t, &t, NULL) == CL_SUCCESS &&
            t.raw.type == CL_DEVICE_TOPOLOGY_TYPE_PCIE_AMD)
            address = pci_json(0, (unsigned char)t.pcie.bus, (unsigned char)t.pcie.device, (unsigned char)t.pcie.function);
    }
    json_object_set_new(object, "pci_address", address ? address : json_null());
    json_object_set_new(object, "pci_address_alternative", alternative ? alternative : json_null());
}

static json_t *device_json(cl_platform_id platform, cl_device_id device, unsigned index)
{
    _cleanup_free_ char *extensions = device_text(device, CL_DEVICE_EXTENSIONS);
    json_t *o = json_object();
    json_object_set_new(o, "platform", text_json(platform_text(platform, CL_PLATFORM_NAME)));
    json_object_set_new(o, "platform_version", text_json(platform_text(platform, CL_PLATFORM_VERSION)));
    json_object_set_new(o, "index", json_integer(index));
    json_object_set_new(o, "name", text_json(device_text(device, CL_DEVICE_NAME)));
    json_object_set_new(o, "vendor", text_json(device_text(device, CL_DEVICE_VENDOR)));
    json_object_set_new(o, "vendor_id", json_integer(device_u32(device, CL_DEVICE_VENDOR_ID)));
    json_object_set_new(o, "version", text_json(device_text(device, CL_DEVICE_VERSION)));
    json_object_set_new(o, "driver_version", text_json(device_text(device, CL_DRIVER_VERSION)));
    json_object_set_new(o, "type", json_string(device_type_name(device)));
    json_object_set_new(o, "compute_units", json_integer(device_u32(device, CL_DEVICE_MAX_COMPUTE_UNITS)));
    json_object_set_new(o, "global_mem_bytes", json_integer(device_u64(device, CL_DEVICE_GLOBAL_MEM_SIZE)));
    json_object_set_new(o, "max_alloc_bytes", json_integer(device_u64(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE)));
    json_object_set_new(o, "host_unified_memory", json_boolean(device_bool(device, CL_DEVICE_HOST_UNIFIED_MEMORY)));
    json_object_set_new(o, "max_sub_devices", json_integer(device_u32(device, CL_DEVICE_PARTITION_MAX_SUB_DEVICES)));
    json_object_set_new(o, "partition_by_counts", json_boolean(device_partitions_by_counts(device)));
    add_pci_address(o, device, extensions);
    return o;
}

/* A tenant's view must never be taken for a device of this machine, or shares would nest. */
static bool platform_is_ours(cl_platform_id platform)
{
    _cleanup_free_ char *name = platform_text(platform, CL_PLATFORM_NAME);
    return name && strcasecmp(name, "tranche") == 0;
}

static void add_platform(json_t *devices, cl_platform_id platform)
{
    cl_device_id ids[PROBE_MAX_DEVICES];
    cl_uint n = 0;
    if (platform_is_ours(platform) || clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, PROBE_MAX_DEVICES, ids, &n) != CL_SUCCESS)
        return;
    for (unsigned i = 0; i < n && i < PROBE_MAX_DEVICES; i++)
        json_array_append_new(devices, device_json(platform, ids[i], i));
}

int probe_run(void)
{
    cl_platform_id platforms[PROBE_MAX_PLATFORMS];
    cl_uint n = 0;
    cl_int status = clGetPlatformIDs(PROBE_MAX_PLATFORMS, platforms, &n);
    json_t *devices = json_array();
    for (unsigned i = 0; status == CL_SUCCESS && i < n && i < PROBE_MAX_PLATFORMS; i++)
        add_platform(devices, platforms[i]);
    json_t *root = json_pack("{s:o}", "devices", devices);
    int r = root ? json_dumpf(root, stdout, JSON_COMPACT) : -1;
    json_decref(root);
    return r == 0 && putchar('\n') != EOF && fflush(stdout) == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Merging what PCI, NVML and OpenCL say into one list of GPUs: see inventory.h. */
#include "inventory/inventory.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "inventory/label.h"
#include "inventory/sysroot.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#define GIB (UINT64_C(1) << 30)
#define VENDOR_NVIDIA 0x10de

static const struct { uint16_t id; const char *name, *package; } known_vendors[] = {
    { 0x10de, "NVIDIA", "nvidia-opencl-icd (non-free)" },
    { 0x1002, "AMD", "mesa-opencl-icd" },
    { 0x8086, "Intel", "intel-opencl-icd" },
};

struct findings {
    struct pci_gpu *pci;
    size_t pci_n;
    struct nvml_gpu *nvml;
    int nvml_n;
    struct opencl_device *opencl;
    int opencl_n;
    bool opencl_used[OPENCL_MAX_DEVICES];
};

static void findings_done(struct findings *f)
{
    free(f->pci);
    free(f->nvml);
    free(f->opencl);
}

void inventory_begin(struct inventory_probe *probe, const struct inventory_sources *sources)
{
    *probe = (struct inventory_probe){ .sources = *sources, .nvml = CHILD_INIT, .opencl = CHILD_INIT };
    if (sources->nvml_library)
        nvml_start(&probe->nvml, sources->nvml_library, sources->timeout_ns, &probe->nvml_error);
    if (sources->worker)
        opencl_start(&probe->opencl, sources->worker, sources->timeout_ns, &probe->opencl_error);
}

bool inventory_pump(struct inventory_probe *probe)
{
    bool nvml = child_pump(&probe->nvml), opencl = child_pump(&probe->opencl);
    return nvml && opencl;
}

void inventory_abort(struct inventory_probe *probe)
{
    child_done(&probe->nvml);
    child_done(&probe->opencl);
}

void inventory_free(struct inventory *inventory)
{
    if (inventory)
        free(inventory->gpus);
    free(inventory);
}

const char *gpu_identity(const struct gpu *gpu)
{
    return gpu->has_pci ? gpu->pci.address : gpu->name;
}

const struct gpu *inventory_find(const struct inventory *inventory, const char *text)
{
    char address[PCI_ADDRESS_MAX];
    bool is_address = pci_parse_address(text, address);
    for (size_t i = 0; inventory && i < inventory->n; i++) {
        const struct gpu *g = &inventory->gpus[i];
        if (text_equal(g->name, text) || (is_address && g->has_pci && strcmp(g->pci.address, address) == 0) ||
            (g->has_nvml && g->nvml.uuid[0] && strcasecmp(g->nvml.uuid, text) == 0))
            return g;
    }
    return NULL;
}

/* The value of the first "key : value" line of a proc file, into ret; false when there is none. */
static bool proc_value(const char *path, const char *key, char *ret, size_t size)
{
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    char line[512];
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, key, strlen(key)) != 0)
            continue;
        label_set(ret, size, colon + 1 + strspn(colon + 1, " \t"));
        return ret[0];
    }
    return false;
}

/* Half of the RAM in whole GiB, at least one: does not float with the load as the driver's figure does. */
static uint64_t stand_in_memory(const char *meminfo)
{
    char text[64];
    uint64_t kib = proc_value(meminfo, "MemTotal", text, sizeof text) ? strtoull(text, NULL, 10) : 0;
    return MAX(kib / 2 / 1024 / 1024, UINT64_C(1)) * GIB;
}

static void use_opencl(struct gpu *gpu, struct findings *f, int i)
{
    gpu->opencl = f->opencl[i];
    gpu->has_opencl = true;
    f->opencl_used[i] = true;
}

static bool opencl_is_at(const struct opencl_device *d, const char *address)
{
    return strcmp(d->pci_address, address) == 0 || strcmp(d->pci_address_alternative, address) == 0;
}

static void match_by_address(struct gpu *gpus, size_t n, struct findings *f)
{
    for (size_t g = 0; g < n; g++)
        for (int i = 0; i < f->opencl_n && !gpus[g].has_opencl; i++)
            if (!f->opencl_used[i] && f->opencl[i].type == OPENCL_GPU && opencl_is_at(&f->opencl[i], gpus[g].pci.address))
                use_opencl(&gpus[g], f, i);
    /* The same GPU by a second platform (a vendor's driver beside Mesa's) is no further GPU. */
    for (size_t g = 0; g < n; g++)
        for (int i = 0; i < f->opencl_n; i++)
            if (f->opencl[i].type == OPENCL_GPU && opencl_is_at(&f->opencl[i], gpus[g].pci.address))
                f->opencl_used[i] = true;
}

/* Drivers that tell no address: unambiguous when one GPU and one device of a vendor are left. */
static void match_by_vendor(struct gpu *gpus, size_t n, struct findings *f)
{
    for (size_t g = 0; g < n; g++) {
        uint32_t vendor = gpus[g].pci.vendor_id;
        int device = -1, devices = 0, peers = 0;
        for (size_t k = 0; k < n; k++)
            peers += gpus[k].pci.vendor_id == vendor && !gpus[k].has_opencl && !gpus[k].pci.physfn[0];
        for (int i = 0; i < f->opencl_n; i++) {
            if (f->opencl_used[i] || f->opencl[i].type != OPENCL_GPU || f->opencl[i].vendor_id != vendor || f->opencl[i].pci_address[0])
                continue;
            device = i;
            devices++;
        }
        if (!gpus[g].has_opencl && peers == 1 && devices == 1)
            use_opencl(&gpus[g], f, device);
    }
}

static void match_nvml(struct gpu *gpu, const char *address, const char *alternative, const struct findings *f)
{
    for (int i = 0; i < f->nvml_n; i++) {
        const char *theirs = f->nvml[i].pci_address;
        if (!theirs[0] || (strcmp(theirs, address) != 0 && strcmp(theirs, alternative) != 0))
            continue;
        gpu->nvml = f->nvml[i];
        gpu->has_nvml = true;
    }
}

static const char *vendor_name(const struct gpu *gpu)
{
    for (size_t i = 0; i < ARRAY_LEN(known_vendors); i++)
        if (known_vendors[i].id == gpu->pci.vendor_id)
            return known_vendors[i].name;
    return gpu->pci.vendor;
}

static void describe_missing_opencl(struct gpu *gpu, const struct error *problem)
{
    const char *package = NULL;
    if (gpu->has_opencl)
        return;
    for (size_t i = 0; i < ARRAY_LEN(known_vendors); i++)
        if (gpu->has_pci && known_vendors[i].id == gpu->pci.vendor_id)
            package = known_vendors[i].package;
    if (gpu->stand_in)
        package = "pocl-opencl-icd";
    if (problem->code)
        label_set(gpu->opencl_missing, sizeof gpu->opencl_missing, problem->text);
    else if (package)
        snprintf(gpu->opencl_missing, sizeof gpu->opencl_missing, "no OpenCL driver serves it; install %s", package);
    else
        snprintf(gpu->opencl_missing, sizeof gpu->opencl_missing, "no OpenCL driver serves it");
}

static void describe_pci_gpu(struct gpu *gpu, const struct error *opencl_problem)
{
    const char *product = gpu->has_nvml && gpu->nvml.name[0] ? gpu->nvml.name :
                          gpu->has_opencl && gpu->opencl.name[0] ? gpu->opencl.name : gpu->pci.device;
    label_set(gpu->vendor, sizeof gpu->vendor, vendor_name(gpu));
    label_set(gpu->product, sizeof gpu->product, product);
    /* What tenants can have is what the OpenCL driver can give, which is somewhat less than what NVML counts. */
    gpu->memory_bytes = gpu->has_opencl ? gpu->opencl.memory_bytes : gpu->has_nvml ? gpu->nvml.memory_bytes : 0;
    gpu->compute_units = gpu->has_opencl ? gpu->opencl.compute_units : 0;
    describe_missing_opencl(gpu, opencl_problem);
}

static size_t add_pci_gpus(struct gpu *gpus, struct findings *f, const struct error *opencl_problem)
{
    size_t n = f->pci_n;
    for (size_t i = 0; i < n; i++) {
        gpus[i].has_pci = true;
        gpus[i].pci = f->pci[i];
        match_nvml(&gpus[i], f->pci[i].address, "", f);
    }
    match_by_address(gpus, n, f);
    match_by_vendor(gpus, n, f);
    for (size_t i = 0; i < n; i++)
        describe_pci_gpu(&gpus[i], opencl_problem);
    return n;
}

/* GPUs that only OpenCL knows: no PCI (systems on a chip), or a container that hides sysfs. */
static size_t add_opencl_gpus(struct gpu *gpus, struct findings *f)
{
    size_t n = 0;
    for (int i = 0; i < f->opencl_n; i++) {
        if (f->opencl_used[i] || f->opencl[i].type != OPENCL_GPU)
            continue;
        struct gpu *g = &gpus[n++];
        use_opencl(g, f, i);
        match_nvml(g, g->opencl.pci_address, g->opencl.pci_address_alternative, f);
        label_set(g->vendor, sizeof g->vendor, g->opencl.vendor);
        label_set(g->product, sizeof g->product, g->opencl.name);
        g->memory_bytes = g->opencl.memory_bytes;
        g->compute_units = g->opencl.compute_units;
    }
    return n;
}

/* PoCL first: what every part of tranche is tested with. */
static int choose_cpu_device(const struct findings *f)
{
    int chosen = -1;
    for (int i = 0; i < f->opencl_n; i++) {
        if (f->opencl[i].type != OPENCL_CPU)
            continue;
        if (strcmp(f->opencl[i].platform, "Portable Computing Language") == 0)
            return i;
        if (chosen < 0)
            chosen = i;
    }
    return chosen;
}

static void add_stand_in(struct gpu *gpu, struct findings *f, const struct inventory_probe *probe)
{
    char model[96];
    int i = choose_cpu_device(f);
    strcpy(gpu->name, "cpu0");
    gpu->stand_in = true;
    if (i >= 0)
        use_opencl(gpu, f, i);
    if (!proc_value(probe->sources.cpuinfo, "model name", model, sizeof model))
        label_set(model, sizeof model, gpu->has_opencl ? gpu->opencl.name : "CPU");
    label_set(gpu->vendor, sizeof gpu->vendor, gpu->has_opencl ? gpu->opencl.vendor : "");
    snprintf(gpu->product, sizeof gpu->product, "%s (CPU as stand-in GPU)", model);
    gpu->memory_bytes = stand_in_memory(probe->sources.meminfo);
    gpu->compute_units = gpu->has_opencl ? gpu->opencl.compute_units : 0;
    describe_missing_opencl(gpu, &probe->opencl_error);
}

static bool any_gpu_is_served(const struct gpu *gpus, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (gpus[i].has_opencl || gpus[i].has_nvml)
            return true;
    return false;
}

static bool is_vf_of(const struct gpu *gpu, const struct gpu *physical)
{
    return gpu->has_pci && physical->has_pci && strcmp(gpu->pci.physfn, physical->pci.address) == 0;
}

static void name_gpus(struct gpu *gpus, size_t n)
{
    unsigned next = 0;
    for (size_t i = 0; i < n; i++)
        if (!gpus[i].has_pci || !gpus[i].pci.physfn[0])
            snprintf(gpus[i].name, sizeof gpus[i].name, "gpu%u", next++);
    for (size_t p = 0; p < n; p++) {
        unsigned vf = 0;
        for (size_t i = 0; i < n; i++)
            if (is_vf_of(&gpus[i], &gpus[p]))
                snprintf(gpus[i].name, sizeof gpus[i].name, "%.10svf%u", gpus[p].name, vf++);
    }
}

static int merge(const struct inventory_probe *probe, struct findings *f, struct inventory **ret, struct error *err)
{
    struct inventory *inv = calloc(1, sizeof *inv);
    struct gpu *gpus = calloc(f->pci_n + (size_t)f->opencl_n + 1, sizeof *gpus);
    if (!inv || !gpus) {
        free(inv);
        free(gpus);
        return error_set(err, -ENOMEM, "no memory for the list of GPUs");
    }
    size_t n = add_pci_gpus(gpus, f, &probe->opencl_error);
    n += add_opencl_gpus(gpus + n, f);
    name_gpus(gpus, n);
    if (probe->sources.worker && (probe->sources.stand_in || !any_gpu_is_served(gpus, n)))
        add_stand_in(&gpus[n++], f, probe);
    inv->gpus = gpus;
    inv->n = n;
    *ret = inv;
    return 0;
}

static int list_pci(const struct inventory_sources *sources, struct findings *f, struct error *err)
{
    const struct pci_filter filter = { .also = sources->devices, .also_n = sources->devices_n, .virtual_functions = true };
    return pci_list_filtered(sources->sysfs_root, sources->pci_ids, &filter, &f->pci, &f->pci_n, err);
}

int inventory_end(struct inventory_probe *probe, struct inventory **ret, struct error *err)
{
    struct findings f = { .nvml = calloc(NVML_MAX_GPUS, sizeof *f.nvml), .opencl = calloc(OPENCL_MAX_DEVICES, sizeof *f.opencl) };
    int r = 0;
    if (!f.nvml || !f.opencl)
        r = error_set(err, -ENOMEM, "no memory for the list of GPUs");
    if (r == 0 && probe->sources.nvml_library && !probe->nvml_error.code)
        f.nvml_n = MAX(nvml_collect(&probe->nvml, f.nvml, NVML_MAX_GPUS, &probe->nvml_error), 0);
    if (r == 0 && probe->sources.worker && !probe->opencl_error.code)
        f.opencl_n = MAX(opencl_collect(&probe->opencl, f.opencl, OPENCL_MAX_DEVICES, &probe->opencl_error), 0);
    if (r == 0)
        r = list_pci(&probe->sources, &f, err);
    if (r == 0)
        r = merge(probe, &f, ret, err);
    findings_done(&f);
    inventory_abort(probe);
    return r;
}

int inventory_take_files(const char *sysroot, struct inventory **ret, struct error *err)
{
    char sys[PATH_MAX], ids[PATH_MAX];
    struct inventory_sources sources = { .sysfs_root = sys, .pci_ids = ids };
    struct inventory_probe probe;
    int r = sysroot_path(sysroot, "sys", sys, err);
    if (r == 0)
        r = sysroot_path(sysroot, "usr/share/misc/pci.ids", ids, err);
    if (r < 0)
        return r;
    inventory_begin(&probe, &sources);
    error_set(&probe.opencl_error, -EOPNOTSUPP, "no OpenCL driver was asked, only files were read");
    return inventory_end(&probe, ret, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* tranche gpus: the GPUs of this machine, and what each model can do on them. */
#include "cli/cli.h"

#include "base/cleanup.h"
#include "cli/machine.h"
#include "models/describe.h"

#include <errno.h>
#include <string.h>

#define MANY 10

static const char *const models[] = { "passthrough", "vgpu", "mig" };

/* A long list is cut in its middle: names of profiles count up. */
static void print_words(json_t *array)
{
    size_t i, n = json_array_size(array);
    json_t *word;
    json_array_foreach(array, i, word) {
        bool cut = n > MANY && i >= 3 && i + 1 < n;
        if (!cut)
            print_text(stdout, "%s%s", i ? ", " : "", json_is_string(word) ? json_string_value(word) : "?");
        else if (i == 3)
            fputs(" …", stdout);
    }
}

static void print_field(const char *label, const char *text)
{
    if (!*text)
        return;
    printf("  %-13s", label);
    print_text(stdout, "%s", text);
    putchar('\n');
}

static void print_title(json_t *gpu)
{
    print_styled(STYLE_BOLD, "%s", api_text(gpu, "name"));
    if (api_bool(gpu, "stand_in"))
        print_styled(STYLE_WARN, "  stand-in GPU: the CPU through OpenCL, its figures are not those of a GPU");
    else
        print_text(stdout, "  %s", api_text(gpu, "product"));
    putchar('\n');
}

static void print_size(json_t *gpu)
{
    char text[PRINT_TEXT];
    if (!api_u64(gpu, "memory_bytes"))
        return;
    printf("  %-13s%s, %llu compute units", "size", print_gib(api_u64(gpu, "memory_bytes"), text, sizeof text),
           (unsigned long long)api_u64(gpu, "compute_units"));
    if (json_is_integer(json_object_get(gpu, "numa_node")))
        printf(", NUMA node %lld", (long long)json_integer_value(json_object_get(gpu, "numa_node")));
    putchar('\n');
}

static void print_opencl(json_t *gpu)
{
    json_t *opencl = json_object_get(gpu, "opencl");
    if (!json_is_object(opencl))
        return;
    printf("  %-13s", "OpenCL");
    print_text(stdout, "%s, %s", api_text(opencl, "platform"), api_text(opencl, "platform_version"));
    putchar('\n');
}

static void print_use(json_t *gpu)
{
    json_t *shares = json_object_get(gpu, "shares");
    const char *model = api_text(gpu, "model"), *policy = api_text(gpu, "policy");
    if (!*model)    /* the files of a machine do not tell its shares */
        return;
    printf("  %-13s", "in use as");
    if (strcmp(model, "host") == 0) {
        print_text(stdout, "host (no shares)");
    } else {
        print_text(stdout, *policy ? "%s, %s" : "%s", model, strcmp(policy, "none") == 0 ? "unmanaged (policy none)" : policy);
        if (json_array_size(shares))
            fputs(": ", stdout);
        print_words(shares);
    }
    putchar('\n');
}

static void print_model(json_t *gpu, const char *model)
{
    json_t *can = json_object_get(json_object_get(gpu, "models"), model);
    json_t *profiles = json_object_get(json_object_get(gpu, "profiles"), model);
    bool possible = api_bool(can, "possible");
    const char *reason = api_text(can, "reason");
    printf("  %-13s", model);
    print_styled(possible ? STYLE_GOOD : STYLE_DIM, possible ? "yes" : "no ");
    if (*reason)
        print_text(stdout, "  %s", reason);
    putchar('\n');
    if (possible && json_array_size(profiles) && strcmp(model, "passthrough") != 0) {
        printf("  %-13s     profiles ", "");
        print_words(profiles);
        putchar('\n');
    }
}

static void print_gpu(json_t *gpu)
{
    print_title(gpu);
    if (api_bool(gpu, "stand_in"))
        print_field("product", api_text(gpu, "product"));
    print_field("vendor", api_text(gpu, "vendor"));
    print_field("PCI address", api_text(gpu, "pci_address"));
    print_field("UUID", api_text(gpu, "uuid"));
    print_field("driver", api_text(gpu, "driver"));
    print_size(gpu);
    print_opencl(gpu);
    print_use(gpu);
    for (size_t i = 0; i < ARRAY_LEN(models) && json_object_size(json_object_get(gpu, "models")); i++)
        print_model(gpu, models[i]);
}

static int ask_daemon(struct cli *cli, json_t **ret, struct error *err)
{
    bool refresh = cli_option_given(cli, "refresh");
    if (refresh)
        print_progress("looking at the machine…");
    int r = api_call(cli, "GET", refresh ? "/v1/gpus?refresh=1" : "/v1/gpus", NULL, ret, err);
    print_progress_clear();
    return r;
}

static int read_files(const char *sysroot, json_t **ret, struct error *err)
{
    _cleanup_inventory_ struct inventory *inventory = NULL;
    int r = inventory_take_files(sysroot, &inventory, err);
    json_t *gpus = json_array();
    for (size_t i = 0; r == 0 && i < inventory->n; i++) {
        json_t *gpu = model_describe_gpu(&inventory->gpus[i]);
        json_object_set_new(gpu, "models", json_object());    /* they depend on drivers, which were not asked */
        json_object_set_new(gpu, "profiles", json_object());
        json_object_set_new(gpu, "model", json_null());
        json_object_set_new(gpu, "policy", json_null());
        json_object_set_new(gpu, "shares", json_array());
        json_array_append_new(gpus, gpu);
    }
    *ret = json_pack("{s:o}", "gpus", gpus);
    return r;
}

int verb_gpus(int argc, char **argv, struct cli *cli, struct error *err)
{
    _cleanup_json_ json_t *answer = NULL;
    json_t *gpus, *gpu;
    size_t i;
    const char *sysroot = "";
    bool files = cli_option_given(cli, "sysroot");
    int r = machine_sysroot(cli, &sysroot, err);
    if (r == 0 && files && cli_option_given(cli, "refresh"))
        r = error_set(err, -EINVAL, "--refresh asks tranched, --sysroot asks nobody");
    if (r == 0)
        r = files ? read_files(sysroot, &answer, err) : ask_daemon(cli, &answer, err);
    if (r < 0 || (r = api_get_array(answer, "gpus", &gpus, err)) < 0)
        return r;
    if (cli->json)
        return print_json(answer, err);
    json_array_foreach(gpus, i, gpu) {
        if (i)
            putchar('\n');
        print_gpu(gpu);
    }
    if (json_array_size(gpus) == 0 && files)
        puts("no GPU on the PCI bus");
    else if (json_array_size(gpus) == 0)
        puts("no GPU, and no OpenCL driver that could make a stand-in of the CPU (Debian: pocl-opencl-icd)");
    return 0;
}

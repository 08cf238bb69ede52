/* SPDX-License-Identifier: Apache-2.0 */
/* tranche vfs: how many virtual functions a GPU has, and which they are. */
#include "cli/cli.h"

#include "base/text.h"

#include <errno.h>
#include <string.h>

static const char *physical_of(json_t *gpu)
{
    return api_text(json_object_get(gpu, "pci"), "physfn");
}

static bool is_meant(json_t *gpu, const char *text)
{
    return strcmp(api_text(gpu, "name"), text) == 0 || strcmp(api_text(gpu, "pci_address"), text) == 0;
}

/* The GPU and its virtual functions out of all GPUs. */
static json_t *choose(json_t *gpus, const char *text)
{
    json_t *chosen = json_array(), *gpu, *physical = NULL;
    size_t i;
    json_array_foreach(gpus, i, gpu) {
        if (!physical && is_meant(gpu, text))
            json_array_append(chosen, physical = gpu);
    }
    json_array_foreach(gpus, i, gpu) {
        if (physical && strcmp(physical_of(gpu), api_text(physical, "pci_address")) == 0)
            json_array_append(chosen, gpu);
    }
    return chosen;
}

static void print_vfs(json_t *gpus)
{
    json_t *gpu, *pci = json_object_get(json_array_get(gpus, 0), "pci");
    size_t i;
    print_text(stdout, "%s (%s): %llu of %llu virtual functions", api_text(json_array_get(gpus, 0), "name"),
               api_text(json_array_get(gpus, 0), "pci_address"), (unsigned long long)api_u64(pci, "sriov_enabled"),
               (unsigned long long)api_u64(pci, "sriov_total"));
    putchar('\n');
    json_array_foreach(gpus, i, gpu) {
        const char *driver = api_text(gpu, "driver");
        if (i == 0)
            continue;
        print_text(stdout, "  %-10s %s  IOMMU group %lld  %s", api_text(gpu, "name"), api_text(gpu, "pci_address"),
                   (long long)json_integer_value(json_object_get(json_object_get(gpu, "pci"), "iommu_group")), *driver ? driver : "no driver");
        putchar('\n');
    }
}

static int get(struct cli *cli, const char *gpu, json_t **ret, struct error *err)
{
    _cleanup_json_ json_t *answer = NULL, *list = NULL;
    int r = api_call(cli, "GET", "/v1/gpus?refresh=1", NULL, &answer, err);
    if (r < 0)
        return r;
    list = choose(json_object_get(answer, "gpus"), gpu);
    if (json_array_size(list) == 0) {
        error_set(err, -ENOENT, "there is no GPU '%.60s'", gpu);
        error_hint(err, "tranche gpus lists them");
        return -ENOENT;
    }
    *ret = json_pack("{s:O}", "gpus", list);
    return 0;
}

static int set(struct cli *cli, const char *gpu, const char *text, json_t **ret, struct error *err)
{
    _cleanup_json_ json_t *body = NULL;
    uint64_t count;
    int r = text_parse_u64(text, "number of virtual functions", 0, 65535, &count, err);
    if (r < 0)
        return r;
    body = json_pack("{s:s, s:I}", "gpu", gpu, "count", (json_int_t)count);
    return body ? api_call(cli, "POST", "/v1/vfs", body, ret, err) : error_set(err, -EINVAL, "the GPU's name is not valid UTF-8");
}

int verb_vfs(int argc, char **argv, struct cli *cli, struct error *err)
{
    _cleanup_json_ json_t *answer = NULL;
    int r = argc > 2 ? set(cli, argv[1], argv[2], &answer, err) : get(cli, argv[1], &answer, err);
    if (r < 0)
        return r;
    if (cli->json)
        return print_json(answer, err);
    print_vfs(json_object_get(answer, "gpus"));
    return 0;
}

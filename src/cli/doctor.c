/* SPDX-License-Identifier: Apache-2.0 */
/* tranche doctor: what stands between the GPUs of a machine and each model. */
#include "cli/cli.h"

#include "base/cleanup.h"
#include "base/program.h"
#include "base/text.h"
#include "cli/machine.h"
#include "doctor/doctor.h"

#include <errno.h>
#include <string.h>

struct selection {
    bool models[DOCTOR_MODELS];
    bool blocked;                /* a check of a chosen model blocks */
};

static int choose_models(const struct cli *cli, struct selection *ret, struct error *err)
{
    const char *model = NULL;
    int r = cli_option_word(cli, "model", &model, err);
    for (int m = 0; m < DOCTOR_MODELS; m++)
        ret->models[m] = !model || strcmp(model, doctor_model_to_string((enum doctor_model)m)) == 0;
    return r;
}

/* The drivers of this machine are asked; of another, only files are there. */
static int take_inventory(const char *sysroot, struct inventory **ret, bool *ret_asked, struct error *err)
{
    if (*sysroot)
        return inventory_take_files(sysroot, ret, err);
    struct inventory_sources sources = INVENTORY_SOURCES_DEFAULT;
    struct inventory_probe probe;
    char worker[PATH_MAX];
    if (program_find("tranche-worker", "TRANCHE_WORKER", TRANCHE_LIBEXECDIR, worker, sizeof worker, NULL) < 0)
        return inventory_take_files(sysroot, ret, err);
    sources.worker = worker;
    print_progress("asking the drivers…");
    *ret_asked = true;
    inventory_begin(&probe, &sources);
    int r = inventory_end(&probe, ret, err);
    print_progress_clear();
    return r;
}

static enum print_style verdict_style(const struct doctor_check *check)
{
    if (check->danger || check->verdict == DOCTOR_BLOCKS)
        return STYLE_BAD;
    return check->verdict == DOCTOR_OK ? STYLE_GOOD : check->verdict == DOCTOR_WARNING ? STYLE_WARN : STYLE_DIM;
}

/* Three columns, the remedy under what was found: remedies are long. */
static void print_check(const struct doctor_check *check)
{
    printf("    %-20s", check->title);
    print_styled(verdict_style(check), "%-8s", doctor_verdict_to_string(check->verdict));
    putchar(' ');
    print_styled(check->danger ? STYLE_BAD : STYLE_PLAIN, "%s", check->found);
    putchar('\n');
    if (!check->remedy[0])
        return;
    printf("    %-20s%-8s ", "", "");
    print_styled(STYLE_DIM, "→ %s", check->remedy);
    putchar('\n');
}

static void print_report(const struct doctor_report *report, const struct selection *chosen)
{
    for (int m = 0; m < DOCTOR_MODELS; m++) {
        bool titled = false;
        for (size_t i = 0; i < report->n; i++) {
            if (!chosen->models[m] || report->checks[i].model != (enum doctor_model)m)
                continue;
            if (!titled)
                printf("  %s\n", doctor_model_to_string((enum doctor_model)m));
            titled = true;
            print_check(&report->checks[i]);
        }
    }
}

static json_t *check_json(const struct doctor_check *check)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:s, s:s?}", "id", check->id, "title", check->title, "verdict",
                     doctor_verdict_to_string(check->verdict),
                     "danger", (int)check->danger, "found", check->found, "remedy", check->remedy[0] ? check->remedy : NULL);
}

static json_t *report_json(const struct doctor_report *report, const struct selection *chosen)
{
    json_t *models = json_object();
    for (int m = 0; m < DOCTOR_MODELS; m++) {
        json_t *checks = json_array();
        for (size_t i = 0; i < report->n; i++)
            if (report->checks[i].model == (enum doctor_model)m)
                json_array_append_new(checks, check_json(&report->checks[i]));
        if (chosen->models[m])
            json_object_set_new(models, doctor_model_to_string((enum doctor_model)m),
                                json_pack("{s:s, s:o}", "verdict", doctor_verdict_to_string(doctor_worst(report, (enum doctor_model)m)),
                                          "checks", checks));
        else
            json_decref(checks);
    }
    return models;
}

static void note_blocked(const struct doctor_report *report, struct selection *chosen)
{
    for (int m = 0; m < DOCTOR_MODELS; m++)
        chosen->blocked |= chosen->models[m] && doctor_worst(report, (enum doctor_model)m) == DOCTOR_BLOCKS;
}

/* What blocks on the machine blocks a model only where a GPU could have it. */
static int report_gpu(const char *sysroot, const struct doctor_host *host, const struct gpu *gpu, struct selection *chosen, json_t *gpus,
                      struct error *err)
{
    struct doctor_gpu facts;
    struct doctor_report report = { .n = 0 };
    int r = doctor_read_gpu(sysroot, gpu, &facts, err);
    if (r < 0)
        return r;
    doctor_check_gpu(host, &facts, &report);
    doctor_gpu_done(&facts);
    note_blocked(&report, chosen);
    if (gpus)
        return json_array_append_new(gpus, json_pack("{s:s, s:s?, s:s, s:b, s:o}", "name", gpu->name, "pci_address", gpu->has_pci ?
                                                     gpu->pci.address : NULL,
                                                     "product", gpu->product, "stand_in", (int)gpu->stand_in, "models", report_json(&report, chosen)));
    putchar('\n');
    print_styled(STYLE_BOLD, "%s", gpu->name);
    print_text(stdout, "  %s%s%s", gpu->has_pci ? gpu->pci.address : "", gpu->has_pci ? "  " : "", gpu->product);
    putchar('\n');
    print_report(&report, chosen);
    return 0;
}

static int find_gpu(const struct inventory *inventory, const char *sysroot, const char *text, const struct gpu **ret, struct error *err)
{
    struct machine_gpu found;
    if (!text || (*ret = inventory_find(inventory, text)))
        return 0;
    int r = machine_find_gpu(sysroot, text, &found, err);    /* a vendor UUID, or the error with its hint */
    if (r == 0 && !(*ret = inventory_find(inventory, found.function.address)))
        r = error_set(err, -ENOENT, "%s is there no more", found.function.address);
    return r;
}

/* A card may have dozens of virtual functions: they are looked at when asked for. */
static bool is_chosen(const struct gpu *gpu, const struct gpu *only)
{
    return only ? gpu == only : !gpu->has_pci || !gpu->pci.physfn[0];
}

int verb_doctor(int argc, char **argv, struct cli *cli, struct error *err)
{
    _cleanup_inventory_ struct inventory *inventory = NULL;
    _cleanup_json_ json_t *gpus = cli->json ? json_array() : NULL;
    struct selection chosen = { 0 };
    struct doctor_report machine = { .n = 0 };
    struct doctor_host host;
    const struct gpu *only = NULL;
    const char *sysroot = "";
    int r = machine_sysroot(cli, &sysroot, err);
    if (r == 0)
        r = choose_models(cli, &chosen, err);
    if (r == 0)
        r = doctor_read_host(sysroot, &host, err);
    if (r == 0)
        r = take_inventory(sysroot, &inventory, &host.asked, err);
    if (r == 0)
        r = find_gpu(inventory, sysroot, argc > 1 ? argv[1] : NULL, &only, err);
    if (r < 0)
        return r;
    doctor_check_host(&host, &machine);
    note_blocked(&machine, &chosen);
    if (!cli->json) {
        print_styled(STYLE_BOLD, *sysroot ? "the machine in %s" : "this machine", sysroot);
        putchar('\n');
        print_report(&machine, &chosen);
    }
    for (size_t i = 0; r == 0 && i < inventory->n; i++)
        if (is_chosen(&inventory->gpus[i], only))
            r = report_gpu(sysroot, &host, &inventory->gpus[i], &chosen, gpus, err);
    if (r < 0)
        return r;
    if (chosen.blocked)
        cli->exit_status = EXIT_NOT_SUPPORTED;
    if (!cli->json && inventory->n == 0)
        puts("\nno GPU on the PCI bus");
    if (!cli->json)
        return 0;
    _cleanup_json_ json_t *all = json_pack("{s:b, s:o, s:O}", "blocked", (int)chosen.blocked, "machine", report_json(&machine, &chosen),
                                           "gpus", gpus);
    return print_json(all, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* tranche compare: measures a tenant alone and beside a neighbour under each model and policy of one GPU.
 *
 * For each row two shares are created through the control API, tranche-bench runs as their tenants by `tranche run`, this same
 * program, and the shares are removed, whatever happens in between. No row knows what its model allows: a neighbour under
 * passthrough is really asked for, and the daemon's refusal is what the table shows. */
#include "cli/cli.h"
#include "cli/compare.h"
#include "cli/compare_tenant.h"
#include "cli/report.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

#define DEFAULT_SECONDS 2.0
#define QUICK_SECONDS 0.7
#define CALIBRATION_SECONDS 0.3
/* Beyond the time that is asked for: building programs, touching memory, a machine that is busy with something else. */
#define GRACE_SECONDS 60.0

static const struct compare_row rows_empty[COMPARE_ROWS] = {
    { "passthrough", "passthrough", "passthrough", NULL },
    { "vgpu-best-effort", "vGPU, best-effort", "vgpu", "best-effort" },
    { "vgpu-equal-share", "vGPU, equal-share", "vgpu", "equal-share" },
    { "vgpu-fixed-share", "vGPU, fixed-share", "vgpu", "fixed-share" },
    { "mig", "MIG", "mig", NULL },
};

/* One of the two temporary shares. */
struct side {
    char name[64];
    bool exists;           /* created by us, to be removed */
};

struct session {
    struct cli *cli;
    struct compare *result;
    json_t *gpu;
    char bench[PATH_MAX], seconds[32], work[48], device[24];
    struct side tenant, neighbour;
    struct compare_row *row;
    int row_index;
};

/* ---- shares ---------------------------------------------------------------------------------------------------------------- */

/* Also ends what still runs in it. The daemon may have lost it already: then there is nothing to do. */
static int side_remove(struct session *s, struct side *side, struct error *err)
{
    char path[128];
    struct error ours;
    if (!side->exists)
        return 0;
    snprintf(path, sizeof path, "/v1/shares/%s?force=1", side->name);
    int r = api_call(s->cli, "DELETE", path, NULL, NULL, &ours);
    if (r < 0 && ours.code != -ENOENT) {
        *err = ours;
        error_wrap(err, "remove the temporary share %s", side->name);
        return err->code;
    }
    side->exists = false;
    return 0;
}

static int remove_both(struct session *s, struct error *err)
{
    struct error second;
    int r = side_remove(s, &s->neighbour, err);
    int r2 = side_remove(s, &s->tenant, r < 0 ? &second : err);
    return r < 0 ? r : r2;
}

/* Whether the daemon understood and said no, as opposed to being gone or broken. */
static bool is_refusal(const struct error *err)
{
    int code = error_exit_code(err->code);
    return code == EXIT_REFUSED || code == EXIT_NOT_SUPPORTED || code == EXIT_USAGE;
}

static int side_create(struct session *s, struct side *side, const char *profile, double *ret_bytes, struct error *err)
{
    _cleanup_json_ json_t *share = NULL, *body = json_pack("{s:s, s:s, s:s}", "gpu", s->result->gpu, "model", s->row->model, "name", side->name);
    if (profile)
        json_object_set_new(body, "profile", json_string(profile));
    if (s->row->policy)
        json_object_set_new(body, "policy", json_string(s->row->policy));
    if (!body)
        return error_set(err, -ENOMEM, "out of memory");
    side->exists = true;   /* until the daemon has said no, it may have done it */
    int r = api_call(s->cli, "POST", "/v1/shares", body, &share, err);
    if (r < 0 && is_refusal(err))
        side->exists = false;
    if (r == 0)
        *ret_bytes = (double)api_u64(share, "memory_bytes");
    return r;
}

static void note(char *ret, const struct error *err)
{
    text_format(ret, COMPARE_TEXT, "%s%s%s", err->text, err->hint[0] ? "; " : "", err->hint);
}

/* Creates the tenant's share and then the neighbour's. A refusal of the first makes the row impossible, of the second leaves the
 * tenant without a neighbour: both are results. */
static int create_pair(struct session *s, const char *profile, struct error *err)
{
    struct compare_row *row = s->row;
    row->impossible[0] = row->refused[0] = '\0';
    snprintf(row->profile, sizeof row->profile, "%s", profile ? profile : "");
    double neighbour_bytes;
    int r = side_create(s, &s->tenant, profile, &row->share_bytes, err);
    if (r < 0 && is_refusal(err)) {
        note(row->impossible, err);
        return 0;
    }
    if (r < 0)
        return r;
    r = side_create(s, &s->neighbour, profile, &neighbour_bytes, err);
    if (r < 0 && is_refusal(err)) {
        note(row->refused, err);
        return 0;
    }
    return r;
}

/* Half of the GPU for each: of the profiles, smallest first, the largest that fits twice. */
static int create_largest_pair(struct session *s, struct error *err)
{
    json_t *profiles = json_object_get(json_object_get(s->gpu, "profiles"), s->row->model);
    for (size_t i = json_array_size(profiles); i-- > 0;) {
        const char *profile = json_string_value(json_array_get(profiles, i));
        int r = profile ? create_pair(s, profile, err) : -EPROTO;
        if (r < 0)
            return profile ? r : error_set(err, -EPROTO, "the daemon's list of profiles makes no sense");
        if ((!s->row->impossible[0] && !s->row->refused[0]) || i == 0)
            return 0;
        r = remove_both(s, err);
        if (r < 0)
            return r;
    }
    snprintf(s->row->impossible, sizeof s->row->impossible, "%s offers no profile for %s", s->result->gpu, s->row->model);
    return 0;
}

/* By its own driver: a GPU in a VM runs no programs of this host. */
static int create_whole(struct session *s, struct error *err)
{
    int r = create_pair(s, "whole", err);
    s->row->profile[0] = '\0';
    return r;
}

static int create_shares(struct session *s, struct error *err)
{
    json_t *model = json_object_get(json_object_get(s->gpu, "models"), s->row->model);
    if (!api_bool(model, "possible")) {
        const char *reason = api_text(model, "reason");
        snprintf(s->row->impossible, sizeof s->row->impossible, "%s", reason[0] ? reason : "the daemon gives no reason");
        return 0;
    }
    if (strcmp(s->row->model, "passthrough") == 0)
        return create_whole(s, err);
    if (strcmp(s->row->model, "vgpu") == 0)
        return create_pair(s, "1of2", err);
    return create_largest_pair(s, err);
}

/* ---- measurements ---------------------------------------------------------------------------------------------------------- */

enum { MAX_ARGS = 32 };
struct args { char *v[MAX_ARGS + 1]; int n; };

static void args_add(struct args *a, const char *text)
{
    if (a->n < MAX_ARGS)
        a->v[a->n++] = (char *)text;   /* execve takes its strings without const and leaves them alone */
}

static void args_add_option(struct args *a, const char *option, const char *value)
{
    args_add(a, option);
    args_add(a, value);
}

/* Under passthrough the tenant sees the native platforms and must be told which device is the GPU; a share shows one device only. */
static struct args bench_args(const struct session *s, const struct side *side)
{
    struct args a = { .n = 0 };
    args_add(&a, "/proc/self/exe");
    args_add_option(&a, "--run-dir", s->cli->run_dir);
    args_add_option(&a, "run", side->name);
    args_add_option(&a, "--", s->bench);
    args_add(&a, "--json");
    if (s->result->quick)
        args_add(&a, "--quick");
    if (strcmp(s->row->model, "passthrough") == 0) {
        args_add_option(&a, "--platform", api_text(json_object_get(s->gpu, "opencl"), "platform"));
        args_add_option(&a, "--device", s->device);
    }
    if (s->work[0])
        args_add_option(&a, "--work", s->work);
    args_add_option(&a, "--period", "10ms");
    args_add_option(&a, "--size", "64MiB");
    return a;
}

static int run_tenant(struct session *s, const char *seconds, const char *const *tests, json_t **ret, struct error *err)
{
    _cleanup_(tenant_done) struct tenant tenant = TENANT_NONE;
    struct args a = bench_args(s, &s->tenant);
    args_add_option(&a, "--seconds", seconds);
    for (; *tests; tests++)
        args_add(&a, *tests);
    int r = tenant_start(&tenant, a.v, false, err);
    return r < 0 ? r : tenant_collect(&tenant, 2 * s->result->seconds_per_figure + GRACE_SECONDS, ret, err);
}

static double figure(json_t *report, const char *test, const char *metric, const char *field)
{
    json_t *v = json_object_get(json_object_get(json_object_get(json_object_get(report, "tests"), test), metric), field);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static struct compare_latency latency(json_t *report, const char *test, const char *metric)
{
    return (struct compare_latency){ figure(report, test, metric, "median"), figure(report, test, metric, "p99") };
}

static struct compare_load load(json_t *report)
{
    return (struct compare_load){ figure(report, "saturate", "rate", "value"), latency(report, "interactive", "latency") };
}

static const char *text_of(json_t *report, const char *test, const char *metric)
{
    return api_text(json_object_get(json_object_get(json_object_get(report, "tests"), test), metric), "text");
}

static void progress(const struct session *s, const char *what)
{
    print_progress("%d/%d  %s: %s", s->row_index + 1, COMPARE_ROWS, s->row->title, what);
}

/* The first row that works decides the work of one kernel; every other row does the same work. */
static int calibrate(struct session *s, struct error *err)
{
    _cleanup_json_ json_t *report = NULL;
    char seconds[32];
    progress(s, "choosing a kernel of 1 ms");
    snprintf(seconds, sizeof seconds, "%g", CALIBRATION_SECONDS);
    int r = run_tenant(s, seconds, (const char *const[]){ "saturate", NULL }, &report, err);
    if (r < 0)
        return r;
    s->result->items = figure(report, "saturate", "items", "value");
    s->result->rounds = figure(report, "saturate", "rounds", "value");
    if (!(s->result->items >= 1 && s->result->rounds >= 1))
        return error_set(err, -EPROTO, "tranche-bench reported no work");
    snprintf(s->work, sizeof s->work, "%.0f:%.0f", s->result->items, s->result->rounds);
    if (api_text(report, "platform_version")[0] && strcmp(s->row->model, "passthrough") == 0)
        snprintf(s->result->platform, sizeof s->result->platform, "%s", api_text(report, "platform_version"));
    return 0;
}

static int measure_alone(struct session *s, struct error *err)
{
    _cleanup_json_ json_t *report = NULL;
    struct compare_row *row = s->row;
    progress(s, "tenant alone");
    int r = run_tenant(s, s->seconds, (const char *const[]){ "launch", "xfer", "memory", "saturate", "interactive", NULL }, &report, err);
    if (r < 0)
        return r;
    row->alone = load(report);
    row->launch = latency(report, "launch", "setarg_launch_read4");
    row->write_gbs = figure(report, "xfer", "write_64MiB", "median");
    row->read_gbs = figure(report, "xfer", "read_64MiB", "median");
    row->seen_bytes = figure(report, "memory", "seen", "value");
    row->accepted_bytes = figure(report, "memory", "accepted", "value");
    row->refused_beyond = figure(report, "memory", "refused", "value") > 0;
    snprintf(row->beyond, sizeof row->beyond, "%s", text_of(report, "memory", "one_byte_more"));
    return 0;
}

static int measure_load(struct session *s, const char *const *tests, struct compare_load *ret, struct error *err)
{
    _cleanup_json_ json_t *report = NULL;
    int r = run_tenant(s, s->seconds, tests, &report, err);
    if (r == 0)
        *ret = load(report);
    return r;
}

static int start_neighbour(struct session *s, struct tenant *neighbour, struct error *err)
{
    struct args a = bench_args(s, &s->neighbour);
    args_add_option(&a, "--seconds", "0");
    args_add_option(&a, "--ready-fd", "3");
    args_add_option(&a, "--go-fd", "0");
    args_add(&a, "saturate");
    int r = tenant_start(neighbour, a.v, true, err);
    return r < 0 ? r : tenant_wait_ready(neighbour, GRACE_SECONDS, err);
}

/* One neighbour process for both conditions: connected and idle first, then, on the word, saturating. */
static int measure_beside(struct session *s, struct error *err)
{
    _cleanup_(tenant_done) struct tenant neighbour = TENANT_NONE;
    _cleanup_json_ json_t *report = NULL;
    progress(s, "beside an idle neighbour");
    int r = start_neighbour(s, &neighbour, err);
    if (r == 0)
        r = measure_load(s, (const char *const[]){ "saturate", NULL }, &s->row->idle, err);
    if (r < 0)
        return r;
    progress(s, "beside a saturating neighbour");
    tenant_go(&neighbour);
    r = measure_load(s, (const char *const[]){ "saturate", "interactive", NULL }, &s->row->beside, err);
    tenant_end(&neighbour);
    if (r < 0)
        return r;
    r = tenant_collect(&neighbour, GRACE_SECONDS, &report, err);
    if (r == 0 && !(figure(report, "saturate", "kernels", "value") > 0))
        r = error_set(err, -EIO, "the neighbour did not get to compute at all");
    return r < 0 ? error_wrap(err, "neighbour") : 0;
}

static int measure_shares(struct session *s, struct error *err)
{
    int r = s->work[0] ? 0 : calibrate(s, err);
    if (r == 0)
        r = measure_alone(s, err);
    if (r == 0 && !s->row->refused[0])
        r = measure_beside(s, err);
    return r;
}

static void row_init(struct compare_row *row, const struct compare_row *empty)
{
    const struct compare_latency none = { NAN, NAN };
    *row = *empty;
    row->alone = row->idle = row->beside = (struct compare_load){ NAN, none };
    row->launch = none;
    row->write_gbs = row->read_gbs = row->share_bytes = row->seen_bytes = row->accepted_bytes = NAN;
}

/* What goes wrong inside one row is written down there, and the others are measured all the same; an interruption, or shares
 * that cannot be removed, end the comparison. */
static int measure_row(struct session *s, struct error *err)
{
    struct error inner;
    progress(s, "creating shares");
    int r = create_shares(s, &inner);
    if (r == 0 && !s->row->impossible[0])
        r = measure_shares(s, &inner);
    if (r < 0 && !tenant_stop)
        note(s->row->failed, &inner);
    int removed = remove_both(s, err);
    if (removed < 0)
        return removed;
    return tenant_stop ? error_set(err, -EINTR, "interrupted; the temporary shares are removed") : 0;
}

/* The first measured row once more: how much the machine itself has changed meanwhile. */
static int measure_drift(struct session *s, struct error *err)
{
    struct compare_row again;
    const struct compare_row *first = &s->result->rows[0];
    struct compare_load then = { NAN, { NAN, NAN } };
    struct error inner;
    if (!(first->alone.rate > 0))
        return 0;
    row_init(&again, &rows_empty[0]);
    s->row = &again;
    s->row_index = COMPARE_ROWS - 1;
    progress(s, "once more, to see the machine's drift");
    if (create_pair(s, NULL, &inner) == 0 && !again.impossible[0])
        measure_load(s, (const char *const[]){ "saturate", NULL }, &then, &inner);
    s->result->drift = compare_ratio(then.rate, first->alone.rate);
    int r = remove_both(s, err);
    if (r < 0)
        return r;
    return tenant_stop ? error_set(err, -EINTR, "interrupted; the temporary shares are removed") : 0;
}

/* A GPU on which nothing can be shared is told at once, by its first reason, instead of by an empty table. */
static int check_any_possible(const struct session *s, struct error *err)
{
    json_t *models = json_object_get(s->gpu, "models");
    for (int i = 0; i < COMPARE_ROWS; i++)
        if (api_bool(json_object_get(models, rows_empty[i].model), "possible"))
            return 0;
    error_set(err, -EOPNOTSUPP, "no model is possible on %s: %s", s->result->gpu, api_text(json_object_get(models, "vgpu"), "reason"));
    error_hint(err, "see: tranche gpus");
    return -EOPNOTSUPP;
}

static int measure_all(struct session *s, struct error *err)
{
    uint64_t start = clock_now_ns();
    for (int i = 0; i < COMPARE_ROWS; i++) {
        s->row = &s->result->rows[i];
        s->row_index = i;
        int r = measure_row(s, err);
        if (r < 0)
            return r;
    }
    int r = measure_drift(s, err);
    s->result->duration_s = (double)(clock_now_ns() - start) / 1e9;
    return r;
}

/* ---- the verb -------------------------------------------------------------------------------------------------------------- */

/* Which shares are in the way, and the command that removes one. */
static int refuse_busy(json_t *gpu, struct error *err)
{
    char names[256] = "";
    size_t i, used = 0;
    json_t *name, *shares = json_object_get(gpu, "shares");
    json_array_foreach(shares, i, name) {
        int n = snprintf(names + used, sizeof names - used, "%s%s", i ? " " : "", json_string_value(name) ? json_string_value(name) : "?");
        if (n < 0 || (size_t)n >= sizeof names - used)
            break;
        used += (size_t)n;
    }
    error_set(err, -EBUSY, "GPU %s is in use (model %s) by: %s", api_text(gpu, "name"), api_text(gpu, "model"), names[0] ? names : "nobody");
    error_hint(err, "compare needs the whole GPU for a while; remove its shares first: tranche rm %s", json_array_size(shares) == 1 ? names : "NAME");
    return -EBUSY;
}

/* The named GPU, or the first. */
static int choose_gpu(struct cli *cli, const char *name, json_t **ret, struct error *err)
{
    _cleanup_json_ json_t *answer = NULL;
    json_t *gpus, *gpu;
    size_t i;
    int r = api_call(cli, "GET", "/v1/gpus", NULL, &answer, err);
    if (r == 0)
        r = api_get_array(answer, "gpus", &gpus, err);
    if (r < 0)
        return r;
    json_array_foreach(gpus, i, gpu) {
        if (name && strcmp(api_text(gpu, "name"), name) != 0)
            continue;
        if (strcmp(api_text(gpu, "model"), "host") != 0)
            return refuse_busy(gpu, err);
        *ret = json_incref(gpu);
        return 0;
    }
    if (!name) {
        error_set(err, -EOPNOTSUPP, "this machine has no GPU, and no OpenCL device to stand in for one");
        error_hint(err, "install an OpenCL driver, for example: apt install pocl-opencl-icd");
        return -EOPNOTSUPP;
    }
    error_set(err, -ENOENT, "there is no GPU '%s' here", name);
    error_hint(err, "see: tranche gpus");
    return -ENOENT;
}

static void on_stop(int sig)
{
    tenant_stop = sig;
}

static void catch_stop(bool on)
{
    const struct sigaction action = { .sa_handler = on ? on_stop : SIG_DFL };
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &action, NULL);
}

static int parse_seconds(const struct cli *cli, bool quick, double *ret, struct error *err)
{
    const char *text = cli_option_value(cli, "seconds");
    char *end;
    *ret = quick ? QUICK_SECONDS : DEFAULT_SECONDS;
    if (!text)
        return 0;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= 0.2 && v <= 600)) {
        error_set(err, -EINVAL, "--seconds '%s' is not a number from 0.2 to 600", text);
        error_hint(err, "it is the time for each figure; the default is %g", DEFAULT_SECONDS);
        return -EINVAL;
    }
    *ret = v;
    return 0;
}

static int session_init(struct session *s, struct cli *cli, const char *gpu_name, struct compare *c, struct error *err)
{
    *s = (struct session){ .cli = cli, .result = c };
    *c = (struct compare){ .quick = cli_option_given(cli, "quick"), .drift = NAN, .items = NAN, .rounds = NAN };
    int r = parse_seconds(cli, c->quick, &c->seconds_per_figure, err);
    if (r == 0)
        r = tenant_find_bench(s->bench, sizeof s->bench, err);
    if (r == 0)
        r = choose_gpu(cli, gpu_name, &s->gpu, err);
    if (r < 0)
        return r;
    json_t *opencl = json_object_get(s->gpu, "opencl");
    snprintf(c->gpu, sizeof c->gpu, "%.40s", api_text(s->gpu, "name"));
    snprintf(c->product, sizeof c->product, "%s", api_text(s->gpu, "product"));
    snprintf(c->platform, sizeof c->platform, "%s, %s", api_text(opencl, "platform"), api_text(opencl, "version"));
    c->stand_in = api_bool(s->gpu, "stand_in");
    snprintf(s->seconds, sizeof s->seconds, "%g", c->seconds_per_figure);
    snprintf(s->device, sizeof s->device, "%u", (unsigned)api_u64(opencl, "index"));
    snprintf(s->tenant.name, sizeof s->tenant.name, "compare-%.40s-tenant", c->gpu);
    snprintf(s->neighbour.name, sizeof s->neighbour.name, "compare-%.40s-neighbour", c->gpu);
    for (int i = 0; i < COMPARE_ROWS; i++)
        row_init(&c->rows[i], &rows_empty[i]);
    compare_describe_machine(&c->machine);
    return 0;
}

static int count_failed(const struct compare *c, const char **ret_first)
{
    int failed = 0;
    for (int i = COMPARE_ROWS - 1; i >= 0; i--) {
        if (!c->rows[i].failed[0])
            continue;
        *ret_first = c->rows[i].failed;
        failed++;
    }
    return failed;
}

static int give_results(struct cli *cli, const struct compare *c, struct report_file *html, struct error *err)
{
    int r = 0;
    const char *first = NULL;
    if (cli->json) {
        _cleanup_json_ json_t *document = compare_to_json(c);
        r = document ? print_json(document, err) : error_set(err, -ENOMEM, "out of memory");
    } else {
        compare_print(c);
        r = print_flush(err);
    }
    if (r == 0 && html->path)
        r = report_write(html, c, err);
    if (r == 0 && html->path && !cli->json)
        printf("Report with plots: %s\n", html->path);
    if (r == 0 && count_failed(c, &first))
        r = error_set(err, -EIO, "%d of %d rows could not be measured; the first: %s", count_failed(c, &first), COMPARE_ROWS, first);
    return r;
}

int verb_compare(int argc, char **argv, struct cli *cli, struct error *err)
{
    struct session s;
    struct compare c;
    _cleanup_(report_close) struct report_file html = { 0 };
    int r = session_init(&s, cli, argc > 1 ? argv[1] : NULL, &c, err);
    if (r == 0)
        r = check_any_possible(&s, err);
    if (r == 0 && cli_option_value(cli, "html"))
        r = report_open(&html, cli_option_value(cli, "html"), err);   /* before the work, so that a wrong path costs nothing */
    if (r == 0) {
        catch_stop(true);
        r = measure_all(&s, err);
        catch_stop(false);
        print_progress(NULL);
    }
    json_decref(s.gpu);
    if (r == 0)
        r = give_results(cli, &c, &html, err);
    if (r < 0 && tenant_stop)
        cli->exit_status = 128 + tenant_stop;
    return r;
}

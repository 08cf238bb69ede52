/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from the measured figures, the machine they belong to, and the JSON form: see compare.h. */
#include "cli/compare.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

double compare_of_whole(const struct compare *c, double rate)
{
    return compare_ratio(rate, c->rows[0].alone.rate);
}

double compare_slowdown(const struct compare_row *row)
{
    return 1 - compare_ratio(row->beside.rate, row->alone.rate);
}

/* "key : value" of a file under /proc. */
static void read_proc_field(const char *path, const char *key, char *ret, size_t size)
{
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    char line[512];
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, key, strlen(key)) != 0)
            continue;
        char *value = colon + 1, *end = value + strlen(value);
        while (isspace((unsigned char)*value))
            value++;
        while (end > value && isspace((unsigned char)end[-1]))
            *--end = '\0';
        snprintf(ret, size, "%s", value);
        return;
    }
}

void compare_describe_machine(struct compare_machine *ret)
{
    struct utsname u;
    char total[64] = "0";
    time_t now = time(NULL);
    struct tm local;
    *ret = (struct compare_machine){ .cores = sysconf(_SC_NPROCESSORS_ONLN), .load = NAN };
    uname(&u);
    snprintf(ret->kernel, sizeof ret->kernel, "%.60s %.60s", u.sysname, u.release);
    snprintf(ret->cpu, sizeof ret->cpu, "%s", u.machine);
    read_proc_field("/proc/cpuinfo", "model name", ret->cpu, sizeof ret->cpu);
    read_proc_field("/proc/meminfo", "MemTotal", total, sizeof total);
    ret->memory_bytes = strtoull(total, NULL, 10) << 10;
    if (getloadavg(&ret->load, 1) != 1)
        ret->load = NAN;
    if (localtime_r(&now, &local))
        strftime(ret->date, sizeof ret->date, "%Y-%m-%d %H:%M:%S %z", &local);
}

/* A figure that was not measured is null. */
static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *text_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

static json_t *latency_to_json(struct compare_latency l)
{
    return json_pack("{s:o, s:o}", "p50", number(l.p50_us), "p99", number(l.p99_us));
}

static json_t *load_to_json(const struct compare *c, const struct compare_load *load)
{
    return json_pack("{s:o, s:o, s:o}", "kernels_per_s", number(load->rate), "of_passthrough", number(compare_of_whole(c, load->rate)),
                     "request_us", latency_to_json(load->request));
}

static json_t *row_to_json(const struct compare *c, const struct compare_row *row)
{
    bool measured = !row->impossible[0] && !row->failed[0];
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o, s:o, s:o}}",
        "key", row->key, "title", row->title, "model", row->model, "policy", text_or_null(row->policy), "profile", text_or_null(row->profile),
        "possible", !row->impossible[0], "reason", text_or_null(row->impossible), "failed", text_or_null(row->failed),
        "neighbour_refused", text_or_null(row->refused),
        "alone", load_to_json(c, &row->alone), "beside_idle", load_to_json(c, &row->idle), "beside_busy", load_to_json(c, &row->beside),
        "slowdown", number(compare_slowdown(row)), "launch_us", latency_to_json(row->launch),
        "write_gbs", number(row->write_gbs), "read_gbs", number(row->read_gbs),
        "memory", "share_bytes", number(row->share_bytes), "seen_bytes", number(row->seen_bytes), "accepted_bytes", number(row->accepted_bytes),
        "one_byte_more_refused", measured && row->beyond[0] ? json_boolean(row->refused_beyond) : json_null(),
        "one_byte_more", text_or_null(row->beyond));
}

json_t *compare_to_json(const struct compare *c)
{
    json_t *rows = json_array();
    for (int i = 0; i < COMPARE_ROWS; i++)
        json_array_append_new(rows, row_to_json(c, &c->rows[i]));
    const struct compare_machine *m = &c->machine;
    return json_pack("{s:{s:s, s:s, s:s, s:b}, s:{s:s, s:I, s:I, s:s, s:o}, s:s, s:s, s:f, s:f, s:b, s:{s:o, s:o}, s:o, s:o}",
        "gpu", "name", c->gpu, "product", c->product, "platform", c->platform, "stand_in", c->stand_in,
        "machine", "cpu", m->cpu, "cores", (json_int_t)m->cores, "memory_bytes", (json_int_t)m->memory_bytes, "kernel", m->kernel,
        "load", number(m->load),
        "version", TRANCHE_VERSION, "date", m->date, "duration_s", c->duration_s, "seconds_per_figure", c->seconds_per_figure, "quick", c->quick,
        "kernel", "items", number(c->items), "rounds", number(c->rounds), "drift", number(c->drift), "rows", rows);
}

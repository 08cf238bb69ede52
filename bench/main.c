/* SPDX-License-Identifier: Apache-2.0 */
/* tranche-bench: measures one OpenCL device. The same program runs on the native driver and as a share's tenant
 * (`tranche run NAME -- tranche-bench …`), so that the two can be compared; it knows nothing of tranche. */
#include "tests.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct test { const char *name, *help; bench_test *run; } bench_tests[] = {
    { "launch", "one launch, waited for: latency", test_launch },
    { "rate", "many launches, one finish: launches per second", test_rate },
    { "xfer", "blocking writes and reads, 4 B to 256 MiB", test_xfer },
    { "map", "map, touch, unmap", test_map },
    { "buffers", "creation and release of buffers", test_buffers },
    { "build", "from source to the first result, unseen and cached", test_build },
    { "objects", "arguments, queries, creation and release of objects", test_objects },
    { "compute", "sgemm, n-body, Jacobi with and without read-back", test_compute },
    { "first", "from the start of the program to its first result", test_first },
    { "memory", "memory seen, accepted, and one byte more", test_memory },
    { "saturate", "a kernel of known length back to back", test_saturate },
    { "interactive", "one such kernel per period: latency", test_interactive },
};

double bench_now_us(void)
{
    return (double)clock_now_ns() / 1e3;
}

float bench_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 16777216.0f - 0.5f;
}

static void print_usage(FILE *f)
{
    fputs("usage: tranche-bench [OPTION…] TEST…   (or: tranche-bench list, for platforms and devices)\n\ntests:\n", f);
    for (size_t i = 0; i < ARRAY_LEN(bench_tests); i++)
        fprintf(f, "  %-14s %s\n", bench_tests[i].name, bench_tests[i].help);
    fputs("  all            the first eight\n"
          "\noptions:\n"
          "  --json                 one JSON document instead of text\n"
          "  --quick                about a tenth of the samples, smaller problems\n"
          "  --platform N|TEXT      platform by number or part of its name (default: the first)\n"
          "  --device N             device of that platform (default 0)\n"
          "  --device-type TYPE     all, cpu, gpu or accelerator (default all)\n"
          "  --max-size SIZE        the largest transfer (default 256MiB)\n"
          "  --size SIZE[,SIZE…]    the only sizes for xfer, map and buffers\n"
          "saturate, interactive and first:\n"
          "  --seconds N            how long; 0 until SIGTERM or SIGINT (default 5)\n"
          "  --kernel DURATION      length that the kernel is calibrated to (default 1ms)\n"
          "  --work ITEMS:ROUNDS    no calibration: exactly this work, as an earlier run reported it\n"
          "  --depth N              saturate: kernels in flight, 0 to 256; 0 waits for each (default 16)\n"
          "  --period DURATION      interactive: time between requests (default 20ms)\n"
          "  --by-group             the kernel asks for its work-group's number, so that it cannot be run in parts\n"
          "  --samples FILE         interactive: writes each request there: its begin (CLOCK_MONOTONIC) and latency, in us\n"
          "  --ready-fd N           writes \"ready\" there when warm\n"
          "  --go-fd N              then waits until this can be read or ends\n"
          "\nexit: 0 done, 1 failed, 2 usage, 3 wrong result\n", f);
}

static void usage_error(const struct error *err)
{
    fprintf(stderr, "tranche-bench: %s\n%s%s%s", err->text, err->hint[0] ? "  " : "", err->hint, err->hint[0] ? "\n" : "");
    exit(EXIT_USAGE);
}

static uint64_t parse_number(const char *text, const char *what, uint64_t max)
{
    struct error err;
    uint64_t v;
    if (text_parse_u64(text, what, 0, max, &v, &err) < 0)
        usage_error(&err);
    return v;
}

static uint64_t parse_duration(const char *text)
{
    struct error err;
    uint64_t ns;
    if (text_parse_duration(text, &ns, &err) < 0)
        usage_error(&err);
    return ns;
}

static size_t parse_size(const char *text)
{
    struct error err;
    uint64_t bytes;
    if (text_parse_size(text, &bytes, &err) < 0)
        usage_error(&err);
    return (size_t)bytes;
}

static void parse_sizes(const char *text, struct bench_options *o)
{
    struct error err;
    _cleanup_free_ char *copy = strdup(text);
    char *rest = NULL;
    for (char *word = copy ? strtok_r(copy, ",", &rest) : NULL; word; word = strtok_r(NULL, ",", &rest)) {
        if (o->nsizes == ARRAY_LEN(o->sizes)) {
            error_set(&err, -EINVAL, "--size takes at most %zu sizes", ARRAY_LEN(o->sizes));
            usage_error(&err);
        }
        o->sizes[o->nsizes++] = parse_size(word);
    }
}

static double parse_seconds(const char *text)
{
    struct error err;
    char *end;
    double v = strtod(text, &end);
    if (end != text && !*end && v >= 0 && v <= 86400)
        return v;
    error_set(&err, -EINVAL, "--seconds '%s' is not a number from 0 to 86400", text);
    usage_error(&err);
    return 0;
}

static void parse_work(const char *text, struct bench_options *o)
{
    struct error err;
    char items[16] = "";
    const char *colon = strchr(text, ':');
    if (colon && colon - text < (long)sizeof items)
        memcpy(items, text, (size_t)(colon - text));
    o->items = (uint32_t)parse_number(items, "ITEMS of --work", 1 << 28);
    o->rounds = (uint32_t)parse_number(colon ? colon + 1 : "", "ROUNDS of --work", 1 << 30);
    if (o->items && o->rounds)
        return;
    error_set(&err, -EINVAL, "--work '%s' must give at least one item and one round", text);
    usage_error(&err);
}

static cl_device_type parse_device_type(const char *text)
{
    static const struct { const char *name; cl_device_type type; } types[] = {
        { "all", CL_DEVICE_TYPE_ALL }, { "cpu", CL_DEVICE_TYPE_CPU }, { "gpu", CL_DEVICE_TYPE_GPU }, { "accelerator", CL_DEVICE_TYPE_ACCELERATOR },
    };
    struct error err;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(text, types[i].name) == 0)
            return types[i].type;
    error_set(&err, -EINVAL, "--device-type '%s' is not all, cpu, gpu or accelerator", text);
    usage_error(&err);
    return 0;
}

enum option_code { OPT_JSON = 256, OPT_QUICK, OPT_PLATFORM, OPT_DEVICE, OPT_DEVICE_TYPE, OPT_MAX_SIZE, OPT_SIZE, OPT_SECONDS, OPT_KERNEL,
              OPT_WORK, OPT_DEPTH, OPT_PERIOD, OPT_BY_GROUP, OPT_SAMPLES, OPT_READY_FD, OPT_GO_FD };

static const struct option long_options[] = {
    { "json", no_argument, NULL, OPT_JSON }, { "quick", no_argument, NULL, OPT_QUICK }, { "help", no_argument, NULL, 'h' },
    { "platform", required_argument, NULL, OPT_PLATFORM }, { "device", required_argument, NULL, OPT_DEVICE },
    { "device-type", required_argument, NULL, OPT_DEVICE_TYPE }, { "max-size", required_argument, NULL, OPT_MAX_SIZE },
    { "size", required_argument, NULL, OPT_SIZE }, { "seconds", required_argument, NULL, OPT_SECONDS },
    { "kernel", required_argument, NULL, OPT_KERNEL }, { "work", required_argument, NULL, OPT_WORK },
    { "depth", required_argument, NULL, OPT_DEPTH }, { "period", required_argument, NULL, OPT_PERIOD },
    { "by-group", no_argument, NULL, OPT_BY_GROUP }, { "samples", required_argument, NULL, OPT_SAMPLES },
    { "ready-fd", required_argument, NULL, OPT_READY_FD }, { "go-fd", required_argument, NULL, OPT_GO_FD }, { 0 },
};

static void parse_options(int argc, char **argv, struct target_choice *choice, struct bench_options *o)
{
    for (int c; (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        switch (c) {
        case OPT_JSON: o->json = true; break;
        case OPT_QUICK: o->quick = true; break;
        case OPT_PLATFORM: choice->platform = optarg; break;
        case OPT_DEVICE: choice->device = (unsigned)parse_number(optarg, "--device", 1000); break;
        case OPT_DEVICE_TYPE: choice->device_type = parse_device_type(optarg); break;
        case OPT_MAX_SIZE: o->max_size = parse_size(optarg); break;
        case OPT_SIZE: parse_sizes(optarg, o); break;
        case OPT_SECONDS: o->seconds = parse_seconds(optarg); break;
        case OPT_KERNEL: o->kernel_ns = parse_duration(optarg); break;
        case OPT_WORK: parse_work(optarg, o); break;
        case OPT_DEPTH: o->depth = (unsigned)parse_number(optarg, "--depth", 256); break;
        case OPT_PERIOD: o->period_ns = parse_duration(optarg); break;
        case OPT_BY_GROUP: o->by_group = true; break;
        case OPT_SAMPLES: o->samples = optarg; break;
        case OPT_READY_FD: o->ready_fd = (int)parse_number(optarg, "--ready-fd", 1 << 20); break;
        case OPT_GO_FD: o->go_fd = (int)parse_number(optarg, "--go-fd", 1 << 20); break;
        case 'h': print_usage(stdout); exit(EXIT_DONE);
        default: fputs("try tranche-bench --help\n", stderr); exit(EXIT_USAGE);
        }
    }
}

/* The tests named on the command line, as a set: they run in the table's order. */
static unsigned select_tests(int n, char **names)
{
    unsigned selected = 0;
    for (int i = 0; i < n; i++) {
        size_t at = 0;
        while (at < ARRAY_LEN(bench_tests) && strcmp(names[i], bench_tests[at].name) != 0)
            at++;
        if (at < ARRAY_LEN(bench_tests)) {
            selected |= 1u << at;
        } else if (strcmp(names[i], "all") == 0) {
            selected |= (1u << 8) - 1;
        } else {
            fprintf(stderr, "tranche-bench: no test is called '%s'; see tranche-bench --help\n", names[i]);
            exit(EXIT_USAGE);
        }
    }
    return selected;
}

int main(int argc, char **argv)
{
    struct target_choice choice = { .device_type = CL_DEVICE_TYPE_ALL };
    struct bench_options o = { .seconds = 5, .kernel_ns = 1000000, .period_ns = 20000000, .depth = 16, .ready_fd = -1, .go_fd = -1,
                               .max_size = (size_t)256 << 20 };
    struct target t;
    o.started_us = bench_now_us();
    parse_options(argc, argv, &choice, &o);
    if (argc - optind == 1 && strcmp(argv[optind], "list") == 0) {
        target_list();
        return EXIT_DONE;
    }
    unsigned selected = select_tests(argc - optind, argv + optind);
    if (!selected) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    target_open(&t, &choice);
    report_open(&t, o.json);
    for (size_t i = 0; i < ARRAY_LEN(bench_tests); i++) {
        if (!(selected & 1u << i))
            continue;
        report_test(bench_tests[i].name);
        bench_tests[i].run(&t, &o);
    }
    report_close();
    target_close(&t);
    return EXIT_DONE;
}

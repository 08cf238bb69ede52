/* SPDX-License-Identifier: Apache-2.0 */
/* The tests of tranche-bench. Each warms up what it measures (drivers compile at the first launch), verifies what it
 * computed (a wrong result ends the program with exit code 3), and reports under its own name. */
#pragma once

#include "report.h"
#include "target.h"

struct bench_options {
    bool json, quick;          /* quick: about a tenth of the samples and smaller problems */
    double seconds;            /* how long saturate and interactive run; 0: until SIGTERM or SIGINT */
    uint32_t items, rounds;    /* the work of one timed kernel; 0: calibrated */
    uint64_t kernel_ns;        /* the length that calibration aims at */
    uint64_t period_ns;        /* between the requests of interactive */
    unsigned depth;            /* kernels in flight in saturate; 0: wait for each */
    bool by_group;             /* the timed kernel knows its place by its work-group's number */
    const char *samples;       /* interactive: a file for each request's begin and latency, or NULL */
    int ready_fd, go_fd;       /* -1: none. "ready\n" goes to the first when warm, then the second is waited for */
    size_t sizes[16], nsizes;  /* the only sizes that xfer, map and buffers measure; none: all up to max_size */
    size_t max_size;
    double started_us;         /* when main() began */
};

/* n samples, or a tenth of it under --quick, but never fewer than `least`. */
static inline size_t bench_samples(const struct bench_options *o, size_t n, size_t least)
{
    return MAX(o->quick ? n / 10 : n, least);
}

/* CLOCK_MONOTONIC in microseconds. */
double bench_now_us(void);
/* Tells the orchestrator that this tenant is warm, and waits for its word: a byte, or the end of the file. */
void bench_synchronise(const struct bench_options *o);
/* A small reproducible sequence in [-0.5, 0.5). */
float bench_random(uint32_t *state);

typedef void bench_test(const struct target *t, const struct bench_options *o);
bench_test test_launch, test_rate, test_xfer, test_map, test_buffers, test_build, test_compute, test_objects, test_first,
    test_memory, test_saturate, test_interactive;

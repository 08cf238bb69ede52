/* SPDX-License-Identifier: Apache-2.0 */
/* The result of `tranche compare`: one row per model and policy, each with the figures of one tenant alone, beside a neighbour
 * that is connected and idle, and beside one that saturates the GPU. A figure that was not measured is NAN. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

enum { COMPARE_ROWS = 5, COMPARE_TEXT = 800 };

struct compare_latency { double p50_us, p99_us; };

/* What the tenant reached under one condition. */
struct compare_load {
    double rate;                       /* kernels per second */
    struct compare_latency request;    /* one calibrated kernel and four bytes of its result, now and then */
};

struct compare_row {
    const char *key, *title, *model, *policy;   /* "vgpu-best-effort", "vGPU, best-effort", "vgpu", "best-effort" or NULL */
    char profile[32];                  /* what tenant and neighbour each hold; "" for the whole GPU */
    char impossible[COMPARE_TEXT];     /* why this GPU cannot do it, or "" */
    char refused[COMPARE_TEXT];        /* why there is no neighbour (the daemon's words), or "" */
    char failed[COMPARE_TEXT];         /* what went wrong while measuring, or "" */
    struct compare_load alone, idle, beside;
    struct compare_latency launch;     /* set an argument, launch an empty kernel, read four bytes; alone */
    double write_gbs, read_gbs;        /* 10^9 bytes per second, blocking transfers of 64 MiB; alone */
    double share_bytes;                /* the size of the share as tranche counts it */
    double seen_bytes, accepted_bytes; /* what the device tells; what could be allocated of it */
    bool refused_beyond;               /* one byte more was refused … */
    char beyond[64];                   /* … with this error */
};

struct compare_machine {
    char cpu[128], kernel[128], date[40];
    long cores;
    uint64_t memory_bytes;
    double load;                       /* of the minute before the run */
};

struct compare {
    char gpu[64], product[128], platform[256];   /* name, product, OpenCL platform and version */
    bool stand_in;
    struct compare_machine machine;
    double seconds_per_figure, duration_s;
    bool quick;
    double items, rounds;              /* the calibrated kernel: the same work in every row */
    double drift;                      /* the first row's rate at the end of the run / at its begin; NAN when not measured */
    struct compare_row rows[COMPARE_ROWS];
};

/* Fractions, NAN where a part is missing. */
static inline double compare_ratio(double part, double whole) { return whole > 0 ? part / whole : NAN; }
/* Rate as a fraction of the passthrough row's rate alone. */
double compare_of_whole(const struct compare *c, double rate);
/* How much the saturating neighbour takes: 0.5 means that half of what the tenant has alone is gone. */
double compare_slowdown(const struct compare_row *row);

/* The first row's rate came out alike at begin and end, so that the other rows' figures can be set against it. */
static inline bool compare_was_quiet(const struct compare *c) { return !isfinite(c->drift) || fabs(c->drift - 1) < 0.1; }

/* The machine as it is now. */
void compare_describe_machine(struct compare_machine *ret);

void compare_print(const struct compare *c);
json_t *compare_to_json(const struct compare *c);

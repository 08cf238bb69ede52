/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel of known length: `items` work-items that each turn a register `rounds` times. It moves no memory, so its time is the
 * device's compute time and nothing else, and two tenants that are given the same items and rounds do identical work. */
#pragma once

#include "target.h"

#include <stdbool.h>

struct burn {
    const struct target *target;
    cl_program program;
    cl_kernel kernel;
    cl_mem out;
    uint32_t items, rounds;
};

/* Builds and warms up. With items or rounds 0 they are chosen: items for the size of the device, rounds so that one kernel
 * takes about kernel_ns from launch to finish on the device as it is now. by_group: the kernel asks for its work-group's number. */
void burn_open(struct burn *b, const struct target *t, uint32_t items, uint32_t rounds, uint64_t kernel_ns, bool by_group);
void burn_close(struct burn *b);
void burn_launch(const struct burn *b, cl_event *ret_event);
/* Compares the last launch's result with the host's. */
void burn_verify(const struct burn *b);

/* SPDX-License-Identifier: Apache-2.0 */
/* How often this process waited for its worker: see statistics.h. */
#include "guest/opencl/statistics.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Atomic uint64_t answers[WIRE_OP_COUNT], waits[STATISTICS_WAITS];

void statistics_answer(enum wire_op op) { atomic_fetch_add_explicit(&answers[op], 1, memory_order_relaxed); }
void statistics_wait(enum statistics_wait what) { atomic_fetch_add_explicit(&waits[what], 1, memory_order_relaxed); }

void statistics_reset(void)
{
    memset(answers, 0, sizeof answers);
    memset(waits, 0, sizeof waits);
}

static void write_line(FILE *f)
{
    const char *comma = "";
    fprintf(f, "{\"pid\": %d, \"answers\": {", (int)getpid());
    for (unsigned op = 0; op < WIRE_OP_COUNT; op++) {
        if (!answers[op])
            continue;
        fprintf(f, "%s\"%s\": %llu", comma, wire_op_to_string(op), (unsigned long long)answers[op]);
        comma = ", ";
    }
    fprintf(f, "}, \"queue_waits\": %llu, \"event_waits\": %llu}\n", (unsigned long long)waits[STATISTICS_QUEUE], (unsigned long long)waits[STATISTICS_EVENT]);
}

__attribute__((destructor)) static void statistics_write(void)
{
    const char *path = secure_getenv("TRANCHE_STATISTICS");      /* not for a program that runs with more rights than its user */
    FILE *f = path && *path ? fopen(path, "ae") : NULL;
    if (!f)
        return;
    write_line(f);
    fclose(f);
}

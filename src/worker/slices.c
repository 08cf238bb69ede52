/* SPDX-License-Identifier: Apache-2.0 */
/* A CPU as the device: the driver's threads compute, and must not keep those that take turns from a processor: see slices.h. */
#include "worker/slices.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define SLICE_NS (20 * NS_PER_MS)       /* far above the usual 3; a thread that compiles has it too, and another tenant's kernel may wait for that */

/* As the kernel has it (sched_setattr(2)); the C library has no declaration. */
struct thread_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

void slices_lengthen(void)
{
    _cleanup_closedir_ DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *d; tasks && (d = readdir(tasks));) {
        pid_t thread = atoi(d->d_name);
        struct thread_attributes a = { .size = sizeof a };
        if (thread <= 0 || thread == getpid() || syscall(SYS_sched_getattr, thread, &a, sizeof a, 0) < 0)
            continue;
        a.size = sizeof a;
        a.runtime_ns = SLICE_NS;
        syscall(SYS_sched_setattr, thread, &a, 0);      /* not there, or not for this class: as before */
    }
}

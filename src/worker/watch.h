/* SPDX-License-Identifier: Apache-2.0 */
/* The main thread's work once the client is served: sees it leave, and is the watchdog. While nothing is on the device it sleeps without a
 * timer, so that an idle tenant costs no processor time; the gate wakes it when work begins. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct session;

struct watch {
    int bell;                   /* eventfd */
    _Atomic bool asleep;        /* without a timer, or about to be */
};

/* 0 or a negative errno. */
int watch_open(struct watch *w);
/* Ends the process when the client leaves or a command has been on the device for longer than the watchdog's time. */
_Noreturn void watch_run(struct session *s);
void watch_wake(struct watch *w);

/* Work begins on the device. */
static inline void watch_note_work(struct watch *w)
{
    if (atomic_load_explicit(&w->asleep, memory_order_relaxed))
        watch_wake(w);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Client and watchdog: see watch.h. */
#include "worker/watch.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/session.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PERIOD_MAX_NS NS_PER_S
#define PERIOD_MIN_NS (10 * NS_PER_MS)

int watch_open(struct watch *w)
{
    w->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return w->bell < 0 ? -errno : 0;
}

void watch_wake(struct watch *w)
{
    if (atomic_exchange(&w->asleep, false))
        eventfd_write(w->bell, 1);
}

static void check_watchdog(const struct session *s)
{
    uint64_t since = sched_busy_since(s->client), now = clock_now_ns();
    if (!since || since > now || now - since < s->options.watchdog_ns)
        return;
    log_error("share %s: a command has been on the device for %.1f s, over the watchdog's %.1f s: ending this client", s->options.share,
              (double)(now - since) / 1e9, (double)s->options.watchdog_ns / 1e9);
    _exit(EXIT_REFUSED);
}

/* One sleep of at most timeout_ms, -1 without end. What the client writes to the socket is read when a message says so. */
static void watch_sleep(struct session *s, int timeout_ms)
{
    struct pollfd p[] = { { .fd = s->options.client_fd, .events = POLLRDHUP }, { .fd = s->watch.bell, .events = POLLIN } };
    eventfd_t n;
    if (poll(p, ARRAY_LEN(p), timeout_ms) <= 0)
        return;
    if (p[0].revents & (POLLRDHUP | POLLHUP | POLLERR))
        _exit(EXIT_DONE);
    eventfd_read(s->watch.bell, &n);
}

/* The bell is heard only after a period without work at its end, so that a busy client rings it once in two periods and not at each launch. */
void watch_run(struct session *s)
{
    uint64_t period_ns = MIN(s->options.watchdog_ns / 4, PERIOD_MAX_NS);
    int period_ms = (int)(MAX(period_ns, PERIOD_MIN_NS) / NS_PER_MS);
    for (;;) {
        atomic_store(&s->watch.asleep, false);
        do {
            watch_sleep(s, period_ms);
            check_watchdog(s);
        } while (sched_busy_since(s->client));
        atomic_store(&s->watch.asleep, true);
        /* With a timer still: work that begins just now may not see the flag, but is seen here. */
        watch_sleep(s, period_ms);
        if (atomic_load(&s->watch.asleep) && !sched_busy_since(s->client))
            watch_sleep(s, -1);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* saturate and interactive: a tenant that never stops, and one that asks now and then. */
#include "burn.h"
#include "tests.h"

#include "base/io.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MAX_DEPTH = 256 };

static volatile sig_atomic_t stop_requested;

static void on_stop(int sig)
{
    stop_requested = 1;
}

static void catch_stop(void)
{
    const struct sigaction action = { .sa_handler = on_stop };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

void bench_synchronise(const struct bench_options *o)
{
    char byte;
    if (o->ready_fd >= 0 && io_write_full(o->ready_fd, "ready\n", 6) < 0)
        bench_fail("cannot write to descriptor %d (--ready-fd)", o->ready_fd);
    while (o->go_fd >= 0 && !stop_requested) {
        if (read(o->go_fd, &byte, 1) >= 0)
            return;
        if (errno != EINTR)
            bench_fail("cannot read from descriptor %d (--go-fd)", o->go_fd);
    }
}

static bool over(double now_us, double end_us)
{
    return stop_requested || (end_us > 0 && now_us >= end_us);
}

/* A ring of launches in flight. */
struct flight { cl_event events[MAX_DEPTH]; unsigned depth, next; };

static void flight_fill(struct flight *f, const struct burn *b)
{
    for (unsigned i = 0; i < f->depth; i++)
        burn_launch(b, &f->events[i]);
    CL_CHECK(clFlush(b->target->queue));
}

/* Waits for the oldest and puts a new one behind the youngest. */
static void flight_turn(struct flight *f, const struct burn *b)
{
    cl_event *oldest = &f->events[f->next];
    CL_CHECK(clWaitForEvents(1, oldest));
    clReleaseEvent(*oldest);
    burn_launch(b, oldest);
    CL_CHECK(clFlush(b->target->queue));
    f->next = (f->next + 1) % f->depth;
}

static void flight_drain(struct flight *f)
{
    for (unsigned i = 0; i < f->depth; i++) {
        cl_event event = f->events[(f->next + i) % f->depth];
        CL_CHECK(clWaitForEvents(1, &event));
        clReleaseEvent(event);
    }
}

static void report_work(const struct burn *b)
{
    report_value("items", "", b->items);
    report_value("rounds", "", b->rounds);
}

/* Counts from the first completion in the window to the last one, so that neither the filling nor the draining of the queue
 * is in the rate. */
void test_saturate(const struct target *t, const struct bench_options *o)
{
    struct burn b;
    struct flight flight = { .depth = MIN(o->depth, (unsigned)MAX_DEPTH) };
    _cleanup_samples_ struct samples gaps;
    samples_init(&gaps, 1 << 16);
    burn_open(&b, t, o->items, o->rounds, o->kernel_ns, o->by_group);
    catch_stop();
    bench_synchronise(o);
    if (flight.depth && !stop_requested) {
        flight_fill(&flight, &b);
        flight_turn(&flight, &b);
    }
    double start = bench_now_us(), end = o->seconds > 0 ? start + o->seconds * 1e6 : 0, last = start;
    while (!over(last, end)) {
        if (flight.depth) {
            flight_turn(&flight, &b);
        } else {
            burn_launch(&b, NULL);
            target_finish(t);
        }
        double now = bench_now_us();
        samples_add(&gaps, now - last);
        last = now;
    }
    if (flight.events[0])
        flight_drain(&flight);
    burn_verify(&b);
    size_t kernels = gaps.n;
    report_value("kernels", "", (double)kernels);
    report_value("seconds", "s", (last - start) / 1e6);
    report_value("rate", "1/s", kernels ? (double)kernels / (last - start) * 1e6 : 0);
    report_samples("gap", "us", BETTER_LOW, &gaps);
    report_work(&b);
    burn_close(&b);
}

static void sleep_until(double us)
{
    uint64_t ns = (uint64_t)(us * 1e3);
    const struct timespec at = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
    while (!stop_requested && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

/* One request: launch, and the first word of the result read back. */
static double request_us(const struct burn *b)
{
    cl_uint word = 0;
    double start = bench_now_us();
    burn_launch(b, NULL);
    target_read(b->target, b->out, sizeof word, &word);
    return bench_now_us() - start;
}

/* In the order in which they came: for those who know when something else disturbed the machine. */
static void write_samples(const char *path, const struct samples *begin, const struct samples *latency)
{
    FILE *f = fopen(path, "we");
    if (!f)
        bench_fail("cannot write %s: %s", path, strerror(errno));
    for (size_t i = 0; i < latency->n; i++)
        fprintf(f, "%.1f %.1f\n", begin->v[i], latency->v[i]);
    if (fclose(f) != 0)
        bench_fail("cannot write %s: %s", path, strerror(errno));
}

/* Requests begin on a fixed grid of times; one that took longer than the period skips the points it missed. */
void test_interactive(const struct target *t, const struct bench_options *o)
{
    struct burn b;
    double period = (double)o->period_ns / 1e3;
    _cleanup_samples_ struct samples begin, latency;
    samples_init(&begin, 1 << 12);
    samples_init(&latency, 1 << 12);
    burn_open(&b, t, o->items, o->rounds, o->kernel_ns, o->by_group);
    catch_stop();
    bench_synchronise(o);
    double start = bench_now_us(), end = o->seconds > 0 ? start + o->seconds * 1e6 : 0, due = start;
    for (double now = start; !over(now, end); now = bench_now_us()) {
        samples_add(&begin, now);
        samples_add(&latency, request_us(&b));
        for (now = bench_now_us(); due <= now;)
            due += period;
        sleep_until(due);
    }
    burn_verify(&b);
    if (o->samples)
        write_samples(o->samples, &begin, &latency);
    report_samples("latency", "us", BETTER_LOW, &latency);
    report_work(&b);
    burn_close(&b);
}

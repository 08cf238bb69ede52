/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's single turn: see gate.h. */
#include "worker/gate.h"

#include "worker/session.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct sched_page *page;
    struct sched_client *client;
    struct watch *watch;
    unsigned inside;
    bool held, acquiring, reserved;
    _Atomic uint64_t quantum_ns;
    _Atomic bool draining;
};

uint64_t gate_quantum_ns(const struct gate *g) { return atomic_load_explicit(&g->quantum_ns, memory_order_relaxed); }

struct gate *gate_new(struct sched_page *page, struct sched_client *client, struct watch *watch)
{
    struct gate *g = calloc(1, sizeof *g);
    if (g) {
        pthread_mutex_init(&g->lock, NULL);
        pthread_cond_init(&g->changed, NULL);
        g->client = client;
        g->page = page;
        g->watch = watch;
        atomic_store(&g->quantum_ns, sched_page_config(page).quantum_ns);
    }
    return g;
}

/* Under the lock. The turn may have been taken away while the worker was idle. */
static bool enter_held(struct gate *g)
{
    if (!g->held || atomic_load(&g->draining))
        return false;
    if (g->inside == 0 && !sched_begin(g->client)) {
        g->held = false;
        return false;
    }
    if (g->inside++ == 0)
        watch_note_work(g->watch);
    return true;
}

bool gate_try_enter(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    bool in = !g->reserved && enter_held(g);
    pthread_mutex_unlock(&g->lock);
    return in;
}

/* Under the lock. */
static void enter(struct gate *g, bool mine)
{
    while ((g->reserved && !mine) || !enter_held(g)) {
        if ((g->reserved && !mine) || g->held || g->acquiring) {
            pthread_cond_wait(&g->changed, &g->lock);
            continue;
        }
        g->acquiring = true;
        pthread_mutex_unlock(&g->lock);
        int r = sched_acquire(g->client);
        pthread_mutex_lock(&g->lock);
        g->acquiring = false;
        if (r < 0)
            session_fail("no more turns: this client's place in the scheduler is gone");
        g->held = true;
        atomic_store(&g->quantum_ns, sched_page_config(g->page).quantum_ns);
        pthread_cond_broadcast(&g->changed);
    }
}

void gate_enter(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    enter(g, false);
    pthread_mutex_unlock(&g->lock);
}

bool gate_reserve(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    bool ok = !g->inside && !g->acquiring && !g->reserved;
    if (ok && g->held)
        sched_release(g->client);
    if (ok) {
        g->held = false;
        g->reserved = true;
    }
    pthread_mutex_unlock(&g->lock);
    return ok;
}

/* Reserved until it is inside: others of this worker may hold the driver's threads that the caller stands on. */
void gate_enter_reserved(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    enter(g, true);
    g->reserved = false;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

bool gate_must_yield(struct gate *g)
{
    if (atomic_load_explicit(&g->draining, memory_order_relaxed))
        return true;
    if (!sched_must_yield(g->client))
        return false;
    atomic_store(&g->draining, true);
    return true;
}

void gate_leave(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    if (--g->inside == 0) {
        sched_end(g->client);
        if (atomic_load(&g->draining) || sched_must_yield(g->client)) {
            sched_release(g->client);
            g->held = false;
            atomic_store(&g->draining, false);
            pthread_cond_broadcast(&g->changed);
        }
    }
    pthread_mutex_unlock(&g->lock);
}

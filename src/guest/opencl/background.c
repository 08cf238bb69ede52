/* SPDX-License-Identifier: Apache-2.0 */
/* One thread per process that runs actions when events change: callbacks of the application, and transfers that must wait for their queue. */
#include "guest/opencl/guest.h"

#include "base/clock.h"

#include <signal.h>
#include <stdlib.h>

struct action {
    struct action *next;
    cl_event event;
    int32_t status;
    background_fn run;
    void *arg;
};

static struct {
    pthread_mutex_t lock;
    struct action *first, **last;
    bool running;
} bg = { .lock = PTHREAD_MUTEX_INITIALIZER, .last = &bg.first };

/* Takes the first action that is due, in order of registration. */
static struct action *take_due(int32_t *ret_status, bool *ret_empty)
{
    struct action *found = NULL;
    pthread_mutex_lock(&bg.lock);
    for (struct action **p = &bg.first; *p; p = &(*p)->next) {
        int32_t s = event_status((*p)->event);
        if (s > (*p)->status)
            continue;
        found = *p;
        *ret_status = s;
        if (!(*p = found->next))
            bg.last = p;
        break;
    }
    *ret_empty = !bg.first;
    pthread_mutex_unlock(&bg.lock);
    return found;
}

static void *background_thread(void *arg)
{
    struct link *l = arg;
    for (;;) {
        bool empty;
        int32_t status;
        uint32_t bell = atomic_load(&l->header->completion_bell);
        atomic_store(&l->header->completion_wait, 1);
        atomic_thread_fence(memory_order_seq_cst);
        link_alive(l);          /* a dead worker completes every event with an error */
        struct action *a = take_due(&status, &empty);
        if (a) {
            a->run(a->event, status, a->arg);
            event_release(a->event);
            free(a);
            continue;
        }
        /* With nothing registered the thread sleeps until it is kicked; otherwise it also looks whether the worker still lives. */
        wire_futex_wait(&l->header->completion_bell, bell, empty ? 3600 * NS_PER_S : 100 * NS_PER_MS);
    }
    return NULL;
}

int thread_start(void *(*run)(void *), void *arg)
{
    pthread_t t;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);     /* the application's signals are not for this thread */
    int r = pthread_create(&t, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r == 0)
        pthread_detach(t);
    return r;
}

void background_kick(void)
{
    struct link *l = link_current();
    if (!l || !bg.running)
        return;
    atomic_fetch_add(&l->header->completion_bell, 1);
    wire_futex_wake(&l->header->completion_bell, 1);
}

cl_int background_add(cl_event e, int32_t status, background_fn run, void *arg)
{
    struct link *l = link_current();
    struct action *a = l ? malloc(sizeof *a) : NULL;
    if (!a)
        return l ? CL_OUT_OF_HOST_MEMORY : CL_OUT_OF_RESOURCES;
    *a = (struct action){ NULL, e, status, run, arg };
    object_ref(e);
    pthread_mutex_lock(&bg.lock);
    if (!bg.running && thread_start(background_thread, l) != 0) {
        pthread_mutex_unlock(&bg.lock);
        event_release(e);
        free(a);
        return CL_OUT_OF_RESOURCES;
    }
    bg.running = true;
    *bg.last = a;
    bg.last = &a->next;
    pthread_mutex_unlock(&bg.lock);
    background_kick();
    return CL_SUCCESS;
}

void background_fork(enum fork_step step)
{
    fork_lock(&bg.lock, step);
    if (step != FORK_CHILD)
        return;
    bg.first = NULL;
    bg.last = &bg.first;
    bg.running = false;
}

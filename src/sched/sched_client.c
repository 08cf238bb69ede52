/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker does on the page: join a share, wait for turns, reserve memory. */
#include "sched/sched_page.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "sched/sched_lock.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static struct sched_core *core_of(const struct sched_client *client)
{
    return &client->page->file->core;
}

static int find_seat(struct sched_page *page, uint32_t *ret_slot, struct error *err)
{
    for (uint32_t slot = 0; slot < SCHED_MAX_CLIENTS; slot++) {
        int r = sched_page_sit(page, slot);
        if (r == 0) {
            *ret_slot = slot;
            return 0;
        }
        if (r != -EAGAIN)
            return error_set(err, r, "lock a byte of the sched page: %s", strerror(-r));
    }
    return error_set(err, -ENOSPC, "the GPU has %d clients already, the most there can be", SCHED_MAX_CLIENTS);
}

/* The seat is ours, so whatever lies in the slot is from somebody who died. */
static int enter_share(struct sched_page *page, uint32_t slot, const char *name, struct error *err)
{
    struct sched_core *core = &page->file->core;
    uint64_t now = sched_page_enter(page);
    struct sched_wake left = sched_core_leave(core, slot, now);
    uint32_t share = sched_core_share_find(core, name);
    struct sched_wake wake = left;
    if (share != SCHED_NONE) {
        wake = sched_core_join(core, slot, share, getpid(), now);
        if (wake.granted == SCHED_NONE)
            wake = left;
    }
    sched_page_leave(page, wake);
    return share != SCHED_NONE ? 0 : error_set(err, -ENOENT, "there is no share %s on this GPU", name);
}

int sched_client_join(struct sched_page *page, const char *share, struct sched_client **ret, struct error *err)
{
    _cleanup_free_ struct sched_client *client = calloc(1, sizeof(*client));
    if (!client)
        return error_set(err, -ENOMEM, "join share %s: out of memory", share);
    client->page = page;
    client->pid = getpid();
    pthread_mutex_lock(&page->joining);
    int r = find_seat(page, &client->slot, err);
    if (r == 0) {
        r = enter_share(page, client->slot, share, err);
        if (r < 0)
            sched_page_stand(page, client->slot);
    }
    pthread_mutex_unlock(&page->joining);
    if (r < 0)
        return r;
    *ret = steal(client);
    return 0;
}

void sched_client_leave(struct sched_client *client)
{
    if (!client)
        return;
    uint64_t now = sched_page_enter(client->page);
    sched_page_leave(client->page, sched_core_leave(core_of(client), client->slot, now));
    sched_page_stand(client->page, client->slot);
    free(client);
}

/* Still ours? A repair may have emptied a slot in which it found nonsense. */
static bool is_member(const struct sched_client *client)
{
    return sched_core_has_client(core_of(client), client->slot) && core_of(client)->clients[client->slot].pid == client->pid;
}

static bool is_cancelled(const struct sched_client *client)
{
    return __atomic_load_n(&client->cancelled, __ATOMIC_ACQUIRE);
}

/* Asks once. True when there is nothing to wait for: *ret is then what acquire returns. */
static bool acquire_once(struct sched_client *client, uint32_t *ret_signal, uint64_t *ret_until, int *ret)
{
    struct sched_core *core = core_of(client);
    struct sched_page *page = client->page;
    bool done = true;
    uint64_t now = sched_page_enter(page);
    struct sched_wake wake = SCHED_WAKE_NONE;
    if (is_cancelled(client) || !is_member(client)) {
        wake = sched_core_cancel(core, client->slot, now);
        *ret = -ECANCELED;
    } else {
        wake = sched_core_request(core, client->slot, now);
        *ret = 0;
        done = sched_core_may_begin(core, client->slot);
        *ret_until = done ? 0 : sched_core_sleep(core, client->slot, now);
        *ret_signal = __atomic_load_n(&page->file->signals[client->slot], __ATOMIC_ACQUIRE);
    }
    if (wake.granted == client->slot)
        wake.granted = SCHED_NONE;
    sched_page_leave(page, wake);
    return done;
}

int sched_acquire(struct sched_client *client)
{
    uint32_t *word = &client->page->file->signals[client->slot];
    uint32_t signal = 0;
    uint64_t until = 0;
    int r;
    while (!acquire_once(client, &signal, &until, &r)) {
        sched_futex_wait(word, signal, until);
        if (clock_now_ns() >= until)
            sched_page_reap_suspects(client->page);
    }
    return r;
}

bool sched_begin(struct sched_client *client)
{
    struct sched_wake wake;
    uint64_t now = sched_page_enter(client->page);
    bool holds = sched_core_begin(core_of(client), client->slot, now, &wake);
    sched_page_leave(client->page, wake);
    return holds;
}

void sched_end(struct sched_client *client)
{
    uint64_t now = sched_page_enter(client->page);
    sched_page_leave(client->page, sched_core_end(core_of(client), client->slot, now));
}

void sched_release(struct sched_client *client)
{
    uint64_t now = sched_page_enter(client->page);
    sched_page_leave(client->page, sched_core_release(core_of(client), client->slot, now));
}

bool sched_must_yield(const struct sched_client *client)
{
    const struct sched_core *core = core_of(client);
    if (sched_get(core->holder) != client->slot)
        return !sched_core_may_begin(core, client->slot);
    uint64_t at = sched_get(core->yield_at_ns);
    return at != SCHED_NEVER && clock_now_ns() >= at;
}

bool sched_is_shared(const struct sched_client *client)
{
    return sched_core_is_shared(core_of(client), client->slot);
}

/* Without the lock: see sched_core_progress. */
void sched_progress(struct sched_client *client)
{
    sched_core_progress(core_of(client), client->slot, clock_now_ns());
}

void sched_client_cancel(struct sched_client *client)
{
    uint32_t *word = &client->page->file->signals[client->slot];
    __atomic_store_n(&client->cancelled, true, __ATOMIC_RELEASE);
    __atomic_add_fetch(word, 1, __ATOMIC_RELEASE);
    sched_futex_wake(word, INT_MAX);
}

uint64_t sched_busy_since(const struct sched_client *client)
{
    return sched_get(core_of(client)->clients[client->slot].busy_since_ns);
}

/* The memory of a sibling that died is counted until somebody notices: before refusing, look. */
int quota_reserve(struct sched_client *client, uint64_t bytes)
{
    if (quota_free(client) < bytes)
        sched_page_reap(client->page);
    sched_page_enter(client->page);
    int r = sched_core_reserve(core_of(client), client->slot, bytes);
    sched_page_leave(client->page, SCHED_WAKE_NONE);
    return r;
}

void quota_release(struct sched_client *client, uint64_t bytes)
{
    sched_page_enter(client->page);
    sched_core_unreserve(core_of(client), client->slot, bytes);
    sched_page_leave(client->page, SCHED_WAKE_NONE);
}

uint64_t quota_free(struct sched_client *client)
{
    sched_page_enter(client->page);
    uint64_t bytes = sched_core_available(core_of(client), client->slot);
    sched_page_leave(client->page, SCHED_WAKE_NONE);
    return bytes;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler's state and rules without a clock, a lock or a system call: time is an argument, the caller excludes others.
 *
 * The state lies in memory that workers share, so nothing read from it is trusted: there are no pointers in it, every index is
 * bounded where it is read, every divisor is made at least one. Nonsense in it can make turns unfair, never a crash or an
 * endless loop. Fields marked "derived" follow from the others and are rebuilt by sched_core_repair(). */
#pragma once

#include "sched/sched.h"

#define SCHED_NONE UINT32_MAX
#define SCHED_NEVER UINT64_MAX
#define SCHED_WHOLE_PPM 1000000u

#define SCHED_GRACE_NS UINT64_C(20000000)      /* beyond a quantum: how long a chosen client may take to wake up and begin */
#define SCHED_CHECK_NS UINT64_C(20000000)      /* the waiter on watch looks this often whether the holder is alive */
#define SCHED_CHECK_FAR_NS UINT64_C(60000000)  /* the other waiters, in case the one on watch died */

/* The holder is SCHED_IDLE, and named by core.holder. SCHED_OVERRUN works without a turn: beyond all patience, or where nothing is managed. */
enum sched_phase { SCHED_FREE, SCHED_IDLE, SCHED_WAITING, SCHED_OVERRUN };

struct sched_core_share {
    char name[SCHED_NAME_MAX];
    uint32_t in_use, weight, time_ppm;
    uint32_t fraction_ppm;                        /* derived: the cap; SCHED_WHOLE_PPM when there is none */
    uint32_t clients, waiting, overrunning;       /* derived */
    uint32_t class;
    uint64_t quota_bytes, peak_bytes, refused;
    uint64_t granted_ns, waited_ns, turns, overruns;
    uint64_t vtime, vtime_rest;                   /* charged time / weight, and what the division left over */
    uint64_t next_ns;                             /* under a cap: eligible from here on; behind now by at most the credit */
    uint64_t ahead_ns;                            /* latency class: goes next from here on */
    uint64_t idle_since_ns;                       /* when one of its clients last stopped to hold or wait */
    uint64_t last_turn;                           /* core.turn_seq of the latest turn: ties go to the one served longest ago */
};

struct sched_core_client {
    uint32_t phase, share;
    int32_t pid;
    uint32_t pad;
    uint64_t used_bytes, granted_ns, waited_ns;
    uint64_t busy_since_ns;     /* 0: no work on the device */
    uint64_t seen_ns;           /* the latest sign of life as holder: grant, begin, end, progress */
    uint64_t wait_since_ns, wake_at_ns;
    uint64_t charged_to_ns;     /* holder or overrunner: everything before is charged */
    uint64_t last_turn;
    uint64_t reserved[4];
};

struct sched_core {
    uint32_t policy, pad;
    uint64_t quantum_ns, linger_ns, patience_ns;

    uint32_t holder;                  /* client slot, or SCHED_NONE */
    uint32_t began;                   /* the holder has begun work in this turn */
    uint32_t shares_end, clients_end; /* derived: one past the highest slot in use */
    uint32_t waiting, overrunning;    /* derived: clients in those phases */
    uint64_t turn_seq, turn_since_ns;
    uint64_t turn_used_ns;            /* charged in this turn */
    uint64_t turn_limit_ns;           /* yields when that much is used; meaningful while contended */
    uint64_t drained_ns;              /* when the holder last ran dry */
    uint64_t contended_ns;            /* since when somebody eligible waits for the holder; 0: nobody */
    uint64_t yield_at_ns;             /* the holder must yield from here on; read without the lock */
    uint64_t vclock;                  /* least vtime among active shares, never goes back; where a share that idled starts */

    struct sched_core_share shares[SCHED_MAX_SHARES];
    struct sched_core_client clients[SCHED_MAX_CLIENTS];
};

/* Whom the caller must wake: the client that got the turn, and the waiter that shall watch an idle holder's linger time. */
struct sched_wake { uint32_t granted, watch; };
#define SCHED_WAKE_NONE ((struct sched_wake){ SCHED_NONE, SCHED_NONE })

/* What other threads read without the lock goes through these. */
#define sched_get(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define sched_put(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

/* State */
void sched_core_init(struct sched_core *core, const struct sched_config *config);
/* Rebuilds the derived fields from the slots after the lock's owner died in the middle of something, empties slots with nonsense
 * in them, and picks a holder. */
struct sched_wake sched_core_repair(struct sched_core *core, uint64_t now_ns);
/* Forgets all points in time, for a page from before a reboot: they lie on another clock. Only without clients. */
void sched_core_forget_times(struct sched_core *core);
struct sched_wake sched_core_configure(struct sched_core *core, const struct sched_config *config, uint64_t now_ns);
struct sched_config sched_core_config(const struct sched_core *core);

/* Shares; find returns the index or SCHED_NONE. Errors as in sched.h. */
uint32_t sched_core_share_find(const struct sched_core *core, const char *name);
int sched_core_share_add(struct sched_core *core, const struct sched_share_config *config, uint64_t now_ns, struct error *err);
int sched_core_share_remove(struct sched_core *core, const char *name, uint64_t now_ns, struct error *err);
/* Up to now, with the turn and the waits that are not over, so that totals do not lag behind a long batch. */
void sched_core_share_stat(struct sched_core *core, uint32_t share, uint64_t now_ns, struct sched_share_stat *ret);

/* Clients. join fills a slot that the caller owns and that is free; leave empties it, whatever it held. */
uint32_t sched_core_clients_end(const struct sched_core *core);                              /* bounded */
uint64_t sched_core_waited(const struct sched_core *core, uint32_t slot, uint64_t now_ns);   /* in the present wait */
bool sched_core_has_client(const struct sched_core *core, uint32_t slot);
struct sched_wake sched_core_join(struct sched_core *core, uint32_t slot, uint32_t share, int32_t pid, uint64_t now_ns);
struct sched_wake sched_core_leave(struct sched_core *core, uint32_t slot, uint64_t now_ns);

/* Turns. request is idempotent: waiters repeat it when they wake, which also takes the turn from a holder whose time is over. */
struct sched_wake sched_core_request(struct sched_core *core, uint32_t slot, uint64_t now_ns);
struct sched_wake sched_core_cancel(struct sched_core *core, uint32_t slot, uint64_t now_ns);
/* The client may begin work: it holds, or nothing is managed. */
bool sched_core_may_begin(const struct sched_core *core, uint32_t slot);
bool sched_core_begin(struct sched_core *core, uint32_t slot, uint64_t now_ns, struct sched_wake *ret_wake);
struct sched_wake sched_core_end(struct sched_core *core, uint32_t slot, uint64_t now_ns);
struct sched_wake sched_core_release(struct sched_core *core, uint32_t slot, uint64_t now_ns);
void sched_core_progress(struct sched_core *core, uint32_t slot, uint64_t now_ns);
bool sched_core_is_shared(const struct sched_core *core, uint32_t slot);                     /* without the lock */
bool sched_core_must_yield(const struct sched_core *core, uint32_t slot, uint64_t now_ns);
/* Until when a waiter may sleep if nobody wakes it; notes it down, so that not every waiter sets the same alarm. */
uint64_t sched_core_sleep(struct sched_core *core, uint32_t slot, uint64_t now_ns);

/* Memory. A share's use is the sum over its clients' slots, so that a process that dies anywhere loses or doubles nothing. */
uint64_t sched_core_used(const struct sched_core *core, uint32_t share);
int sched_core_reserve(struct sched_core *core, uint32_t slot, uint64_t bytes);
void sched_core_unreserve(struct sched_core *core, uint32_t slot, uint64_t bytes);
uint64_t sched_core_available(const struct sched_core *core, uint32_t slot);

/* Between sched_core.c and sched_turn.c */
struct sched_core_share *sched_core_share_at(struct sched_core *core, uint32_t share);       /* NULL when not in use */
struct sched_core_client *sched_core_client_at(struct sched_core *core, uint32_t slot);      /* NULL when free */
void sched_turn_charge(struct sched_core *core, uint64_t now_ns);                            /* holder and overrunners, up to now */
struct sched_wake sched_turn_dispatch(struct sched_core *core, uint64_t now_ns);             /* ends a turn that is over, picks */
void sched_turn_forget(struct sched_core *core, uint32_t slot, uint64_t now_ns);             /* neither holds, waits nor overruns */
void sched_cap_refresh(struct sched_core *core, uint64_t now_ns);                            /* after weights, policy, clients changed */

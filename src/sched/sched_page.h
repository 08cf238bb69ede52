/* SPDX-License-Identifier: Apache-2.0 */
/* The page as a file, and the handle that a process has on it. Inside this room only; others use sched.h.
 *
 * Who lives is told by seats: bytes of the file, each locked (F_OFD_SETLK) for life by whoever sits there and let go by the kernel
 * however the process ends. An opener's seat names it as an owner of the lock, a client's seat is its slot. Such locks belong to
 * an open file description, so every process opens its own and never passes that on (sched_page_fd gives another one away). */
#pragma once

#include "sched/sched_core.h"

#include <pthread.h>

#define SCHED_PAGE_MAGIC "trSCHED"
#define SCHED_PAGE_VERSION 2
#define SCHED_MAX_OPENERS 1024

struct sched_file {
    char magic[8];
    uint32_t version, size;
    char boot_id[40];
    uint32_t repairs;                                                /* how often an owner of the lock died or was stopped in it */
    uint32_t lock __attribute__((aligned(64)));
    uint32_t signals[SCHED_MAX_CLIENTS] __attribute__((aligned(64)));  /* futex words: bumped to wake that client */
    struct sched_core core __attribute__((aligned(64)));
};

struct sched_page {
    int fd;                       /* holds this process's seats: never leaves it */
    int pass_fd;                  /* for others; holds nothing */
    uint32_t opener;              /* seat 1..SCHED_MAX_OPENERS-1, the owner's number in the lock */
    struct sched_file *file;
    pthread_mutex_t joining;      /* locks of one description do not exclude its own threads */
    uint8_t own[SCHED_MAX_CLIENTS];   /* slots of this process: the kernel does not report one's own locks */
};

struct sched_client {
    struct sched_page *page;
    uint32_t slot;
    int32_t pid;
    bool cancelled;
};

/* Excludes all other processes; repairs what a dead owner left. leave unlocks and wakes whom `wake` names. */
uint64_t sched_page_enter(struct sched_page *page);              /* returns the time, read inside */
void sched_page_leave(struct sched_page *page, struct sched_wake wake);
/* Looks at the holder and at overrunners only: what a waiter does from time to time. */
int sched_page_reap_suspects(struct sched_page *page);
bool sched_page_is_alive(struct sched_page *page, uint32_t slot);
/* Takes a client's seat; -EAGAIN when somebody sits there. */
int sched_page_sit(struct sched_page *page, uint32_t slot);
void sched_page_stand(struct sched_page *page, uint32_t slot);

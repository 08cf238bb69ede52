/* SPDX-License-Identifier: Apache-2.0 */
/* worker: a tranche-worker process as tranched sees it. Started with the client's connection, watched by a pidfd (which also works for
 * one that an earlier tranched started), ended only through that pidfd. */
#pragma once

#include "base/error.h"
#include "daemon/daemon.h"
#include "sched/sched.h"

#include <sys/types.h>

struct share;

struct worker {
    struct share *share;
    pid_t pid, client_pid;        /* client_pid 0 when unknown */
    int pidfd;
    sd_event_source *exit_source;
    bool adopted;                 /* not our child: its exit status is unknown */
    bool seen_stopped;            /* at the last health check */
    char killed_because[96];      /* empty unless tranched ended it */
    struct worker *next;
};

/* Starts a worker for this client; the caller closes client_fd. */
int worker_start(struct share *share, int client_fd, pid_t client_pid, struct error *err);
/* Watches a worker that an earlier tranched started. -EPERM when that process is no worker of this share. */
int worker_adopt(struct share *share, pid_t pid, struct error *err);
struct worker *worker_find(struct share *share, pid_t pid);
/* Ends it; the event is written when it is gone. */
void worker_kill(struct worker *worker, const char *because);
/* Stops watching; the process lives on. */
void worker_forget(struct worker *worker);
/* Name of a process for people, from /proc; empty when it is gone. */
void worker_command(pid_t pid, char *ret, size_t size);
/* State letter of a process ('R', 'S', 'T', …), 0 when unknown. */
char worker_process_state(pid_t pid);

/* SPDX-License-Identifier: Apache-2.0 */
/* Helper processes with a deadline: see child.h. */
#include "inventory/child.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define CHILD_KILL_WAIT_NS (200 * NS_PER_MS)   /* a killed process that still runs then hangs in the kernel */
#define CHILD_MAX_LOST 16

/* Children that did not end although killed. Reaped when they do; the table full, a zombie stays until the caller exits. */
static pid_t lost[CHILD_MAX_LOST];

static void reap_lost(void)
{
    for (size_t i = 0; i < CHILD_MAX_LOST; i++)
        if (lost[i] && waitpid(lost[i], NULL, WNOHANG) != 0)
            lost[i] = 0;
}

static void remember_lost(pid_t pid)
{
    for (size_t i = 0; i < CHILD_MAX_LOST; i++) {
        if (lost[i])
            continue;
        lost[i] = pid;
        return;
    }
}

/* In the child: nothing of the caller's may live on here. A hanging driver would otherwise hold its locks and sockets. */
static void child_enter(int out, int (*body)(void *), void *arg)
{
    sigset_t none;
    sigemptyset(&none);
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(126);
    close_range(3, ~0u, 0);
    _exit(body(arg));
}

int child_start(struct child *c, const char *what, uint64_t timeout_ns, int (*body)(void *arg), void *arg, struct error *err)
{
    *c = (struct child)CHILD_INIT;
    reap_lost();
    snprintf(c->what, sizeof c->what, "%s", what);
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return error_set(err, -errno, "pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        child_enter(p[1], body, arg);
    close(p[1]);
    if (pid < 0) {
        int code = errno;
        close(p[0]);
        return error_set(err, -code, "start the %s: %s", what, strerror(code));
    }
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    c->pid = pid;
    c->out = p[0];
    c->deadline_ns = clock_now_ns() + timeout_ns;
    return 0;
}

/* Waits up to wait_ns for the exit status. False when it still runs. */
static bool child_reap(struct child *c, uint64_t wait_ns, int *ret_status)
{
    for (uint64_t end = clock_now_ns() + wait_ns;;) {
        pid_t r = waitpid(c->pid, ret_status, WNOHANG);
        if (r == c->pid || (r < 0 && errno == ECHILD)) {
            if (r < 0)
                *ret_status = 0;
            c->pid = 0;
            return true;
        }
        if (clock_now_ns() >= end)
            return false;
        usleep(1000);
    }
}

static void child_kill(struct child *c)
{
    int status;
    if (!c->pid)
        return;
    kill(c->pid, SIGKILL);
    if (!child_reap(c, CHILD_KILL_WAIT_NS, &status))
        remember_lost(c->pid);
    c->pid = 0;
}

static bool child_fail(struct child *c, int code, const char *why)
{
    c->result = error_set(&c->error, code, "the %s %s", c->what, why);
    child_kill(c);
    if (c->out >= 0)
        close(c->out);
    c->out = -1;
    return true;
}

static bool child_finish(struct child *c)
{
    int status;
    uint64_t now = clock_now_ns();
    if (!child_reap(c, c->deadline_ns > now ? MIN(c->deadline_ns - now, CHILD_KILL_WAIT_NS) : 0, &status))
        return child_fail(c, -ETIMEDOUT, "closed its output but does not end");
    if (WIFSIGNALED(status)) {
        char why[64];
        snprintf(why, sizeof why, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
        return child_fail(c, -EIO, why);
    }
    if (WEXITSTATUS(status) != 0) {
        char why[64];
        snprintf(why, sizeof why, "failed with exit code %d", WEXITSTATUS(status));
        return child_fail(c, -EIO, why);
    }
    close(c->out);
    c->out = -1;
    c->result = 0;
    return true;
}

bool child_pump(struct child *c)
{
    char buf[16384];
    while (c->out >= 0) {
        ssize_t r = read(c->out, buf, sizeof buf);
        if (r == 0)
            return child_finish(c);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0 && errno == EAGAIN)
            return clock_now_ns() < c->deadline_ns ? false : child_fail(c, -ETIMEDOUT, "did not answer in time");
        if (r < 0)
            return child_fail(c, -errno, strerror(errno));
        if (c->length + (size_t)r > CHILD_OUTPUT_MAX)
            return child_fail(c, -EFBIG, "wrote too much");
        char *more = realloc(c->output, c->length + (size_t)r + 1);
        if (!more)
            return child_fail(c, -ENOMEM, "wrote more than memory allows");
        memcpy(more + c->length, buf, (size_t)r);
        c->output = more;
        c->length += (size_t)r;
        c->output[c->length] = '\0';
    }
    return true;
}

int child_wait(struct child *c, struct error *err)
{
    while (!child_pump(c)) {
        uint64_t now = clock_now_ns();
        struct pollfd p = { .fd = c->out, .events = POLLIN };
        poll(&p, 1, now < c->deadline_ns ? (int)((c->deadline_ns - now) / NS_PER_MS) + 1 : 0);
    }
    if (c->result < 0 && err)
        *err = c->error;
    return c->result;
}

void child_done(struct child *c)
{
    child_kill(c);
    if (c->out >= 0 && c->deadline_ns)
        close(c->out);
    free(c->output);
    *c = (struct child)CHILD_INIT;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes of `tranche compare`: see compare_tenant.h. */
#include "cli/compare_tenant.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* In the child: 0 is the word to go, 3 takes the word "ready"; stdout and stderr are files in memory. */
enum { CHILD_READY_FD = 3 };

volatile sig_atomic_t tenant_stop;

int tenant_find_bench(char *ret, size_t size, struct error *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        if (slash && text_format(ret, size, "%.*s/tranche-bench", (int)(slash - self), self) == 0 && access(ret, X_OK) == 0)
            return 0;
    }
    if (text_format(ret, size, "%s/tranche-bench", TRANCHE_LIBEXECDIR) == 0 && access(ret, X_OK) == 0)
        return 0;
    error_set(err, -ENOENT, "tranche-bench is neither beside tranche nor in %s", TRANCHE_LIBEXECDIR);
    error_hint(err, "build it: ninja -C BUILD tranche-bench");
    err->code = -EIO;
    return -EIO;
}

static void __attribute__((noreturn)) child_exec(char *const argv[], int go, int ready, int out, int log, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    /* Its own group: a Ctrl-C is for compare, which ends its tenants in good order. If compare is killed, so are they. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    if (dup2(go, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0) {
        /* dup2 onto itself would keep close-on-exec. */
        if (ready == CHILD_READY_FD ? fcntl(ready, F_SETFD, 0) >= 0 : dup2(ready, CHILD_READY_FD) >= 0) {
            execv(argv[0], argv);
            dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
        }
    }
    _exit(127);
}

static int make_files(struct tenant *t, int go[2], int ready[2], struct error *err)
{
    t->out = memfd_create("tranche-bench-out", MFD_CLOEXEC);
    t->log = memfd_create("tranche-bench-log", MFD_CLOEXEC);
    if (t->out < 0 || t->log < 0 || pipe2(go, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0)
        return error_set(err, -errno, "no files for a child process: %s", strerror(errno));
    return 0;
}

int tenant_start(struct tenant *t, char *const argv[], bool wait_for_go, struct error *err)
{
    int go[2] = { -1, -1 }, ready[2] = { -1, -1 };
    pid_t parent = getpid();
    int r = make_files(t, go, ready, err);
    if (r == 0) {
        t->pid = fork();
        if (t->pid == 0)
            child_exec(argv, go[0], ready[1], t->out, t->log, parent);
        if (t->pid < 0) {
            r = error_set(err, -errno, "cannot start a process: %s", strerror(errno));
            t->pid = 0;
        }
    }
    cleanup_close(&go[0]);
    cleanup_close(&ready[1]);
    t->go = go[1];
    t->ready = ready[0];
    if (r < 0)
        tenant_done(t);
    else if (!wait_for_go)
        tenant_go(t);
    return r;
}

/* The last line the tenant wrote to stderr: its reason. */
static void read_reason(struct tenant *t, char *ret, size_t size)
{
    char text[4096];
    off_t end = lseek(t->log, 0, SEEK_END);
    ssize_t n = pread(t->log, text, sizeof text - 1, end > (off_t)sizeof text - 1 ? end - (off_t)sizeof text + 1 : 0);
    text[MAX(n, 0)] = '\0';
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 && *p != '\n')
            *p = ' ';
    while (*text && text[strlen(text) - 1] == '\n')
        text[strlen(text) - 1] = '\0';
    char *line = strrchr(text, '\n');
    snprintf(ret, size, "%s", line ? line + 1 : text);
}

static int fail(struct tenant *t, int code, const char *what, struct error *err)
{
    char reason[300];
    read_reason(t, reason, sizeof reason);
    return reason[0] ? error_set(err, code, "%s: %s", what, reason) : error_set(err, code, "%s", what);
}

/* Reaps the child once it has ended. */
static bool has_ended(struct tenant *t, int *ret_status)
{
    pid_t r = waitpid(t->pid, ret_status, WNOHANG);
    if (r == 0 || (r < 0 && errno == EINTR))
        return false;
    if (r < 0)
        *ret_status = 0xff00;
    t->pid = 0;
    return true;
}

int tenant_wait_ready(struct tenant *t, double timeout_s, struct error *err)
{
    uint64_t end = clock_now_ns() + (uint64_t)(timeout_s * 1e9);
    char word[8];
    while (!tenant_stop && clock_now_ns() < end) {
        struct pollfd p = { .fd = t->ready, .events = POLLIN };
        if (poll(&p, 1, 50) <= 0)
            continue;
        if (read(t->ready, word, sizeof word) > 0)
            return 0;
        return fail(t, -EIO, "the neighbour ended before it was ready", err);
    }
    if (tenant_stop)
        return error_set(err, -EINTR, "interrupted");
    return fail(t, -ETIMEDOUT, "the neighbour did not become ready", err);
}

void tenant_go(struct tenant *t)
{
    cleanup_close(&t->go);
    t->go = -1;
}

void tenant_end(struct tenant *t)
{
    tenant_go(t);
    if (t->pid > 0)
        kill(t->pid, SIGTERM);
}

static int read_report(struct tenant *t, json_t **ret, struct error *err)
{
    json_error_t where = { .text = "" };
    lseek(t->out, 0, SEEK_SET);
    json_t *document = json_loadfd(t->out, 0, &where);
    if (!json_is_object(document)) {
        json_decref(document);
        return error_set(err, -EPROTO, "tranche-bench gave no report: %s", where.text);
    }
    if (ret)
        *ret = document;
    else
        json_decref(document);
    return 0;
}

int tenant_collect(struct tenant *t, double timeout_s, json_t **ret, struct error *err)
{
    uint64_t end = clock_now_ns() + (uint64_t)(timeout_s * 1e9);
    int status;
    while (!has_ended(t, &status)) {
        if (tenant_stop)
            return error_set(err, -EINTR, "interrupted");
        if (clock_now_ns() >= end) {
            char what[80];
            snprintf(what, sizeof what, "the tenant did not finish within %.0f s", timeout_s);
            return fail(t, -ETIMEDOUT, what, err);
        }
        usleep(2000);
    }
    if (WIFSIGNALED(status)) {
        char what[80];
        snprintf(what, sizeof what, "the tenant was ended by signal %d", WTERMSIG(status));
        return fail(t, -EIO, what, err);
    }
    if (WEXITSTATUS(status) != 0)
        return fail(t, -EIO, "the tenant failed", err);
    return read_report(t, ret, err);
}

void tenant_done(struct tenant *t)
{
    if (t->pid > 0) {
        kill(t->pid, SIGKILL);
        while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    cleanup_close(&t->ready);
    cleanup_close(&t->go);
    cleanup_close(&t->out);
    cleanup_close(&t->log);
    *t = (struct tenant)TENANT_NONE;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* tranche-priv as tranched sees it: see privlink.h. */
#include "daemon/privlink.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "daemon/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SYSTEM_SOCKET "/run/tranche-priv.sock"
#define ANSWER_MAX 4096

struct privlink {
    int fd;
    sd_event_source *io;
    json_int_t id;
    privlink_done done;
    void *user;
};

/* ---- starting it ---- */

static int connect_socket(const char *path, int *ret_fd, struct error *err)
{
    if (io_connect_unix_messages(path, ret_fd, err) == 0)
        return 0;
    err->code = -EOPNOTSUPP;
    error_wrap(err, "reach tranche-priv");
    error_hint(err, "systemctl status tranche-priv.socket says more");
    return -EOPNOTSUPP;
}

static int on_ended(sd_event_source *source, const siginfo_t *info, void *user)
{
    sd_event_source_disable_unref(source);
    return 0;
}

static void watch_exit(sd_event *loop, pid_t pid)
{
    sd_event_source *source;
    _cleanup_close_ int pidfd = pidfd_open(pid, 0);
    if (pidfd >= 0 && sd_event_add_child_pidfd(loop, &source, pidfd, WEXITED, on_ended, NULL) >= 0) {
        sd_event_source_set_child_pidfd_own(source, 1);
        pidfd = -1;
    }
}

static int start_program(struct daemon *d, const char *path, int *ret_fd, struct error *err)
{
    char *argv[4 + 2 * SETTINGS_MAX_DEVICES] = { "tranche-priv", "--fd", "3" };
    int pair[2];
    for (unsigned i = 0; i < d->settings.devices_n; i++) {
        argv[3 + 2 * i] = "--device";
        argv[4 + 2 * i] = d->settings.devices[i];
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(err, -errno, "socket pair for tranche-priv: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        int null = open("/dev/null", O_RDWR), fd = fcntl(pair[1], F_DUPFD, 10);
        if (null < 0 || fd < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || dup2(fd, 3) < 0)
            _exit(126);
        close_range(4, ~0u, 0);
        /* A session of its own: a signal to tranched's must not stop it in the middle. */
        setsid();
        execv(path, argv);
        _exit(127);
    }
    close(pair[1]);
    if (pid < 0) {
        int code = errno;
        close(pair[0]);
        return error_set(err, -code, "start tranche-priv: %s", strerror(code));
    }
    watch_exit(d->loop, pid);
    *ret_fd = pair[0];
    return 0;
}

static int get_fd(struct daemon *d, int *ret_fd, struct error *err)
{
    char program[PATH_MAX];
    struct stat st;
    const char *given = getenv("TRANCHE_PRIV");
    const char *path = given && *given ? given : SYSTEM_SOCKET;
    if (stat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        return connect_socket(path, ret_fd, err);
    if (given && *given)
        return error_set(err, -EOPNOTSUPP, "TRANCHE_PRIV names %.100s, which is no socket", given);
    if (geteuid() != 0) {
        error_set(err, -EOPNOTSUPP, "tranched runs without root and there is no tranche-priv to do what needs it");
        error_hint(err, "systemctl enable --now tranche-priv.socket, or run tranched as root");
        return -EOPNOTSUPP;
    }
    int r = paths_priv(program, sizeof program, err);
    return r < 0 ? r : start_program(d, program, ret_fd, err);
}

/* ---- talking to it ---- */

static void finish(struct privlink *link, const struct error *err)
{
    privlink_done done = link->done;
    link->done = NULL;
    if (done)
        done(err, link->user);
}

static int read_answer(struct privlink *link, const char *message, size_t n, struct error *ret)
{
    json_int_t id = -1;
    int code = 0;
    const char *text = "", *hint = "";
    json_t *answer = json_loadb(message, n, JSON_REJECT_DUPLICATES, NULL);
    if (!answer || json_unpack(answer, "{s:I, s:i, s?s, s?s}", "id", &id, "code", &code, "text", &text, "hint", &hint) != 0 || id != link->id || code > 0)
        error_set(ret, -EPROTO, "tranche-priv gave no sensible answer");
    else if (code < 0) {
        error_set(ret, code, "%s", text);
        if (*hint)
            error_hint(ret, "%s", hint);
    }
    json_decref(answer);
    return ret->code;
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *user)
{
    struct privlink *link = user;
    struct error err = { 0 };
    char message[ANSWER_MAX];
    ssize_t n = recv(fd, message, sizeof message, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        error_set(&err, -EPIPE, "tranche-priv ended without an answer");
        error_hint(&err, "the journal of tranche-priv says more");
    } else if (link->done) {
        read_answer(link, message, (size_t)n, &err);
    }
    finish(link, &err);
    return 0;
}

int privlink_open(struct daemon *d, struct privlink **ret, struct error *err)
{
    struct privlink *link = calloc(1, sizeof *link);
    if (!link)
        return error_set(err, -ENOMEM, "no memory for the line to tranche-priv");
    link->fd = -1;
    int r = get_fd(d, &link->fd, err);
    if (r == 0 && (r = sd_event_add_io(d->loop, &link->io, link->fd, EPOLLIN, on_answer, link)) < 0)
        error_set(err, r, "watch tranche-priv: %s", strerror(-r));
    if (r < 0) {
        privlink_close(link);
        return r;
    }
    *ret = link;
    return 0;
}

int privlink_call(struct privlink *link, const struct op *op, privlink_done done, void *user, struct error *err)
{
    json_t *request = json_pack("{s:I, s:o}", "id", ++link->id, "op", op_to_json(op));
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    json_decref(request);
    ssize_t n = text ? send(link->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
    int code = !text ? ENOMEM : errno;
    free(text);
    if (n < 0)
        return error_set(err, -code, "ask tranche-priv: %s", strerror(code));
    link->done = done;
    link->user = user;
    return 0;
}

void privlink_close(struct privlink *link)
{
    if (!link)
        return;
    sd_event_source_disable_unref(link->io);
    if (link->fd >= 0)
        close(link->fd);
    free(link);
}

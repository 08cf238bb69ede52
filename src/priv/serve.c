/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, one after the other: see serve.h. */
#include "priv/serve.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "inventory/child.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* {"code", "text", "hint"} of a result. */
static json_t *result_json(int code, const struct error *err)
{
    return code == 0 ? json_pack("{s:i}", "code", 0) : json_pack("{s:i, s:s, s:s}", "code", code, "text", err->text, "hint", err->hint);
}

struct task { const struct priv *priv; const struct op *op; };

/* In the child; its output is the answer. */
static int run_op(void *arg)
{
    const struct task *task = arg;
    struct error err = { 0 };
    int r = carry_op(&task->priv->roots, task->op, &err);
    json_t *result = result_json(r, &err);
    char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
    if (!text || puts(text) < 0 || fflush(stdout) != 0)
        return EXIT_FAILED;
    return EXIT_DONE;
}

static int read_result(const char *text, struct error *err)
{
    int code;
    const char *message = "", *hint = "";
    json_t *result = json_loads(text ? text : "", 0, NULL);
    if (!result || json_unpack(result, "{s:i, s?s, s?s}", "code", &code, "text", &message, "hint", &hint) != 0)
        code = error_set(err, -EIO, "the helper process gave no result");
    else if (code < 0) {
        error_set(err, code, "%s", message);
        if (*hint)
            error_hint(err, "%s", hint);
    } else {
        code = 0;
    }
    json_decref(result);
    return code;
}

static int carry_in_child(const struct priv *priv, const struct op *op, struct error *err)
{
    struct task task = { priv, op };
    struct child child;
    char what[128];
    int r = child_start(&child, "operation", priv->deadline_ns, run_op, &task, err);
    if (r < 0)
        return r;
    pid_t pid = child.pid;
    r = child_wait(&child, err);
    if (r == 0)
        r = read_result(child.output, err);
    child_done(&child);
    if (r == -ETIMEDOUT) {
        error_set(err, r, "%s: the kernel has not finished it after %g s; it hangs in the driver", op_describe(op, what, sizeof what),
                  (double)priv->deadline_ns / 1e9);
        error_hint(err, "dmesg and /proc/%d/stack show where; often only a reboot helps. Nothing else of tranche is held up", (int)pid);
    }
    return r;
}

static int handle_op(const struct priv *priv, const json_t *json, struct error *err)
{
    struct op op;
    char what[128];
    int r = op_from_json(json, &op, err);
    if (r == 0)
        r = allow_op(priv->roots.sysfs, &priv->allow, &op, err);
    if (r == 0)
        r = carry_in_child(priv, &op, err);
    if (r == 0)
        log_info("done: %s", op_describe(&op, what, sizeof what));
    else
        log_error("%s", err->text);
    return r;
}

static json_t *answer(const struct priv *priv, const char *message, size_t n)
{
    struct error err = { 0 };
    json_int_t id = -1;
    json_t *op = NULL, *request = json_loadb(message, n, JSON_REJECT_DUPLICATES, NULL);
    int r;
    if (!request || json_unpack(request, "{s:I, s:o !}", "id", &id, "op", &op) != 0)
        r = error_set(&err, -EINVAL, "a request is {\"id\": number, \"op\": {…}}");
    else
        r = handle_op(priv, op, &err);
    json_t *result = result_json(r, &err);
    json_object_set_new(result, "id", json_integer(id));
    json_decref(request);
    return result;
}

int serve_peer(const struct priv *priv, int fd, struct error *err)
{
    char message[PRIV_MESSAGE_MAX];
    for (;;) {
        ssize_t n = recv(fd, message, sizeof message, MSG_TRUNC);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(err, -errno, "read a request: %s", strerror(errno));
        if ((size_t)n > sizeof message)
            return error_set(err, -EMSGSIZE, "a request of %zd bytes is too long", n);
        json_t *result = answer(priv, message, (size_t)n);
        char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
        json_decref(result);
        ssize_t sent = text ? send(fd, text, strlen(text), MSG_NOSIGNAL) : -1;
        free(text);
        if (sent < 0)
            return error_set(err, -errno, "answer a request: %s", strerror(errno));
    }
}

static bool may_ask(const struct priv *priv, int fd)
{
    struct ucred who;
    socklen_t n = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && (who.uid == 0 || who.uid == priv->user);
}

/* One process per peer: a second tranched that starts while the first one leaves need not wait. */
static void start_peer(const struct priv *priv, int listen_fd, int fd)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct error err = { 0 };
        close(listen_fd);
        int r = serve_peer(priv, fd, &err);
        if (r < 0)
            log_error("%s", err.text);
        _exit(r < 0 ? EXIT_FAILED : EXIT_DONE);
    }
    if (pid < 0)
        log_error("start a process for a peer: %s", strerror(errno));
}

int serve_listen(const struct priv *priv, int fd, struct error *err)
{
    for (;;) {
        _cleanup_close_ int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (peer >= 0 && may_ask(priv, peer))
            start_peer(priv, fd, peer);
        else if (peer >= 0)
            log_warning("a peer that may not ask was turned away");
        else if (errno != EINTR && errno != ECONNABORTED)
            return error_set(err, -errno, "accept a peer: %s", strerror(errno));
    }
}

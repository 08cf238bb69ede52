/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors, small files and unix sockets: see io.h. */
#include "base/io.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

int io_read_full(int fd, void *buf, size_t n)
{
    for (char *p = buf; n;) {
        ssize_t r = read(fd, p, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return r < 0 ? -errno : -EPIPE;
        p += r;
        n -= (size_t)r;
    }
    return 0;
}

int io_write_full(int fd, const void *buf, size_t n)
{
    for (const char *p = buf; n;) {
        ssize_t r = write(fd, p, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        p += r;
        n -= (size_t)r;
    }
    return 0;
}

ssize_t io_read_text(int dir, const char *path, char *buf, size_t size)
{
    _cleanup_close_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    size_t len = 0;
    for (;;) {
        ssize_t r = read(fd, buf + len, size - len);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        len += (size_t)r;
        if (len == size)
            return -EFBIG;
    }
    while (len && buf[len - 1] == '\n')
        len--;
    buf[len] = '\0';
    return (ssize_t)len;
}

int io_make_dirs(const char *path, struct error *err)
{
    char buf[4096];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof buf)
        return error_set(err, -ENAMETOOLONG, "path too long: %.100s…", path);
    memcpy(buf, path, n + 1);
    for (char *p = buf + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char saved = *p;
        *p = '\0';
        if (mkdir(buf, 0700) < 0 && errno != EEXIST)
            return error_set(err, -errno, "make directory %s: %s", buf, strerror(errno));
        *p = saved;
        if (!saved)
            return 0;
    }
}

static int unix_address(const char *path, struct sockaddr_un *sa, struct error *err)
{
    *sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof sa->sun_path)
        return error_set(err, -ENAMETOOLONG, "socket path is longer than %zu characters: %s", sizeof sa->sun_path - 1, path);
    strcpy(sa->sun_path, path);
    return 0;
}

static int connect_unix(const char *path, int type, int *ret_fd, struct error *err)
{
    struct sockaddr_un sa;
    int r = unix_address(path, &sa, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(err, -errno, "socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        return error_set(err, -errno, "connect to %s: %s", path, strerror(errno));
    *ret_fd = steal_fd(fd);
    return 0;
}

int io_connect_unix(const char *path, int *ret_fd, struct error *err)
{
    return connect_unix(path, SOCK_STREAM, ret_fd, err);
}

int io_connect_unix_messages(const char *path, int *ret_fd, struct error *err)
{
    return connect_unix(path, SOCK_SEQPACKET, ret_fd, err);
}

int io_listen_unix(const char *path, int backlog, int *ret_fd, struct error *err)
{
    struct sockaddr_un sa;
    int r = unix_address(path, &sa, err), probe = -1;
    if (r < 0)
        return r;
    if (io_connect_unix(path, &probe, NULL) == 0) {
        close(probe);
        return error_set(err, -EADDRINUSE, "%s is served by another process", path);
    }
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set(err, -errno, "remove stale %s: %s", path, strerror(errno));
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(err, -errno, "socket: %s", strerror(errno));
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, backlog) < 0)
        return error_set(err, -errno, "listen on %s: %s", path, strerror(errno));
    *ret_fd = steal_fd(fd);
    return 0;
}

int io_send_fds(int sock, const void *buf, size_t n, const int *fds, int nfds)
{
    union { struct cmsghdr align; char space[CMSG_SPACE(sizeof(int) * IO_MAX_FDS)]; } control = { 0 };
    struct iovec iov = { .iov_base = (void *)buf, .iov_len = n };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (nfds > IO_MAX_FDS)
        return -EINVAL;
    if (nfds > 0) {
        msg.msg_control = control.space;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nfds);
    }
    ssize_t r;
    do
        r = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return -errno;
    return (size_t)r == n ? 0 : -EIO;
}

ssize_t io_recv_fds(int sock, void *buf, size_t n, int *ret_fds, int *inout_nfds)
{
    union { struct cmsghdr align; char space[CMSG_SPACE(sizeof(int) * IO_MAX_FDS)]; } control;
    struct iovec iov = { .iov_base = buf, .iov_len = n };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space };
    int want = inout_nfds ? *inout_nfds : 0, got = 0;
    ssize_t r;
    do
        r = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (got < want)
                ret_fds[got++] = fd;
            else
                close(fd);
        }
    }
    if (inout_nfds)
        *inout_nfds = got;
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* churn SOCKET CYCLES SEED: clients that come and die. Each cycle connects to a share and does as much as chance says: nothing, half a hello, a whole one, or
 * it waits until the driver is open and is killed as a process with the region mapped. A cycle is over when the worker has closed the connection. Prints
 * `CYCLES opened N refused N`: drivers opened, and connections that the daemon turned away because too many were still ending. */
#include "wire/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOGETHER 16         /* connections at the same time */
#define OPEN_ONE_IN 40      /* opening a driver takes a hundred times what starting a worker does */

struct totals { unsigned long opened, refused; };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    return fd;
}

static void hello(int fd, size_t bytes)
{
    struct wire_hello h = { .magic = WIRE_MAGIC, .version = WIRE_VERSION, .pid = (uint32_t)getpid() };
    if (send(fd, &h, bytes, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        die("send");
}

/* To the worker's end of the connection; whether it was turned away. */
static int wait_for_end(int fd)
{
    struct wire_welcome w = { 0 };
    ssize_t n = recv(fd, &w, sizeof w, MSG_WAITALL);
    int refused = n == sizeof w && w.status == WIRE_REFUSED_FULL;
    char rest[64];
    while (n > 0)
        n = recv(fd, rest, sizeof rest, 0);
    close(fd);
    return refused;
}

/* In a process of its own: the region mapped and touched, then killed. */
static void open_and_die(const char *path)
{
    union { struct cmsghdr align; char space[CMSG_SPACE(sizeof(int))]; } control;
    struct wire_welcome w;
    struct iovec iov = { &w, sizeof w };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space };
    int fd = connect_to(path), region;
    hello(fd, sizeof(struct wire_hello));
    if (recvmsg(fd, &msg, MSG_WAITALL) != sizeof w || w.status != WIRE_OK || !CMSG_FIRSTHDR(&msg))
        _exit(1);
    memcpy(&region, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof region);
    char *p = mmap(NULL, w.region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
    if (p == MAP_FAILED)
        _exit(1);
    memset(p + w.region_bytes - 65536, 1, 65536);
    kill(getpid(), SIGKILL);
}

static void one_that_opens(const char *path, struct totals *t)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        open_and_die(path);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        die("fork");
    if (WIFSIGNALED(status))
        t->opened++;
    else
        t->refused++;
}

static void together(const char *path, unsigned n, struct totals *t)
{
    int fds[TOGETHER];
    for (unsigned i = 0; i < n; i++)
        fds[i] = connect_to(path);
    for (unsigned i = 0; i < n; i++) {
        unsigned how = (unsigned)rand() % 4;
        if (how)
            hello(fds[i], how == 1 ? (size_t)(rand() % 16) : how == 2 ? 8 : 15);
        shutdown(fds[i], SHUT_WR);
    }
    for (unsigned i = 0; i < n; i++)
        t->refused += (unsigned long)wait_for_end(fds[i]);
}

int main(int argc, char **argv)
{
    struct totals t = { 0 };
    if (argc != 4)
        return fprintf(stderr, "usage: churn SOCKET CYCLES SEED\n"), 2;
    unsigned long cycles = strtoul(argv[2], NULL, 10), done = 0;
    srand((unsigned)strtoul(argv[3], NULL, 10));
    while (done < cycles) {
        if (rand() % OPEN_ONE_IN < TOGETHER) {
            one_that_opens(argv[1], &t);
            done++;
        }
        unsigned n = cycles - done < TOGETHER ? (unsigned)(cycles - done) : TOGETHER;
        together(argv[1], n, &t);
        done += n;
    }
    printf("%lu opened %lu refused %lu\n", done, t.opened, t.refused);
    return 0;
}

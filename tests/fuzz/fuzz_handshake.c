/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: the first bytes of a connection, before a worker knows who is there, with descriptors beside them. Beside the sanitizers: only a hello is
 * taken for one, another version is told so, and no descriptor is left open. */
#include <setjmp.h>
#include <unistd.h>

static jmp_buf ended;
static _Noreturn void fuzz_exit(int status) { longjmp(ended, status + 1); }
#define _exit(status) fuzz_exit(status)
#define main worker_main
#include "../../src/worker/main.c"
#undef main
#undef _exit

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define MUST(condition) ({ if (!(condition)) { fprintf(stderr, "not so: %s\n", #condition); abort(); } })

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    session.options.share = "fuzz";
    log_init("fuzz", LOG_LEVEL_ERROR);
    return 0;
}

static void send_all(int sock, const uint8_t *data, size_t size, unsigned nfds)
{
    union { struct cmsghdr align; char space[CMSG_SPACE(sizeof(int) * 16)]; } control = { 0 };
    struct iovec iov = { (void *)(uintptr_t)data, size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (nfds) {
        msg.msg_control = control.space;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        for (unsigned i = 0; i < nfds; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &(int){ sock }, sizeof(int));
    }
    MUST(sendmsg(sock, &msg, 0) == (ssize_t)size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t hello[] = { WIRE_MAGIC & 0xff, WIRE_MAGIC >> 8 & 0xff, WIRE_MAGIC >> 16 & 0xff, WIRE_MAGIC >> 24, WIRE_VERSION & 0xff, WIRE_VERSION >> 8 };
    int pair[2];
    if (size < 2 || size > 4096)
        return 0;
    unsigned nfds = data[0] % 17;
    data++, size--;
    int before = dup(STDERR_FILENO);
    close(before);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    send_all(pair[0], data, size, nfds);
    shutdown(pair[0], SHUT_WR);
    session.options.client_fd = pair[1];
    bool taken = false;
    if (setjmp(ended) == 0) {
        read_hello(pair[1]);
        taken = true;
    }
    close(pair[0]);
    close(pair[1]);
    MUST(taken == (size >= sizeof(struct wire_hello) && memcmp(data, hello, sizeof hello) == 0));
    int after = dup(STDERR_FILENO);
    close(after);
    MUST(after == before);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors for real: pipes, small files, unix sockets with passed descriptors, stale and living socket files. */
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state)
{
    strcpy(folder, "/tmp/tranche-io.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    static char path[4][256];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static void write_file(const char *path, const char *text)
{
    _cleanup_fclose_ FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
}

static int count_fds(void)
{
    _cleanup_closedir_ DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(d))
        n++;
    return n;
}

static void *write_slowly(void *arg)
{
    const char *text = "hello, world";
    for (size_t i = 0; text[i]; i++) {
        usleep(500);
        assert_int_equal(write(*(int *)arg, text + i, 1), 1);
    }
    close(*(int *)arg);
    return NULL;
}

static void test_read_full_waits_for_all_bytes(void **state)
{
    int p[2];
    char buf[13] = { 0 };
    pthread_t writer;
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_slowly, &p[1]), 0);
    assert_int_equal(io_read_full(p[0], buf, 12), 0);
    assert_string_equal(buf, "hello, world");
    pthread_join(writer, NULL);
    assert_int_equal(io_read_full(p[0], buf, 1), -EPIPE);
    assert_int_equal(io_read_full(p[0], buf, 0), 0);
    close(p[0]);
    assert_int_equal(io_read_full(-1, buf, 1), -EBADF);
    assert_int_equal(io_write_full(-1, buf, 1), -EBADF);
}

static void test_small_files(void **state)
{
    char buf[8];
    write_file(in_folder("seven"), "1234567");
    assert_int_equal(io_read_text(AT_FDCWD, in_folder("seven"), buf, sizeof buf), 7);
    assert_string_equal(buf, "1234567");
    write_file(in_folder("eight"), "12345678");
    assert_int_equal(io_read_text(AT_FDCWD, in_folder("eight"), buf, sizeof buf), -EFBIG);
    write_file(in_folder("line"), "0x0300\n");
    assert_int_equal(io_read_text(AT_FDCWD, in_folder("line"), buf, sizeof buf), 6);
    assert_string_equal(buf, "0x0300");
    write_file(in_folder("empty"), "");
    assert_int_equal(io_read_text(AT_FDCWD, in_folder("empty"), buf, sizeof buf), 0);
    assert_string_equal(buf, "");
    assert_int_equal(io_read_text(AT_FDCWD, in_folder("absent"), buf, sizeof buf), -ENOENT);
    assert_int_equal(io_read_text(AT_FDCWD, folder, buf, sizeof buf), -EISDIR);
}

static void test_directories(void **state)
{
    struct error err = { 0 };
    struct stat st;
    assert_int_equal(io_make_dirs(in_folder("one/two/three"), &err), 0);
    assert_int_equal(stat(in_folder("one/two/three"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(io_make_dirs(in_folder("one/two/three"), &err), 0);
    write_file(in_folder("file"), "");
    assert_int_equal(io_make_dirs(in_folder("file/below"), &err), -ENOTDIR);
    assert_non_null(strstr(err.text, "file/below"));
    assert_true(io_make_dirs("", &err) < 0);
    char longest[5000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(io_make_dirs(longest, &err), -ENAMETOOLONG);
}

static void test_socket_that_is_not_there(void **state)
{
    struct error err = { 0 };
    int fd = -7;
    assert_int_equal(io_connect_unix(in_folder("nobody.sock"), &fd, &err), -ENOENT);
    assert_int_equal(fd, -7);
    assert_non_null(strstr(err.text, "nobody.sock"));
    char longest[200];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(io_connect_unix(longest, &fd, &err), -ENAMETOOLONG);
    assert_int_equal(io_listen_unix(longest, 1, &fd, &err), -ENAMETOOLONG);
}

static void test_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
    struct error err = { 0 };
    const char *path = in_folder("a.sock");
    int first, second;
    assert_int_equal(io_listen_unix(path, 4, &first, &err), 0);
    assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(io_listen_unix(path, 4, &second, &err), -EADDRINUSE);
    close(first);
    assert_int_equal(io_listen_unix(path, 4, &second, &err), 0);
    _cleanup_close_ int client = -1;
    assert_int_equal(io_connect_unix(path, &client, &err), 0);
    close(second);
}

static void test_passed_descriptors(void **state)
{
    int pair[2], p[2], got[IO_MAX_FDS], n = 2;
    char buf[16];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    assert_int_equal(io_send_fds(pair[0], "take", 4, p, 2), 0);
    assert_int_equal(io_recv_fds(pair[1], buf, sizeof buf, got, &n), 4);
    assert_int_equal(n, 2);
    for (int i = 0; i < 2; i++)
        assert_true(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(got[1], "x", 1), 1);
    assert_int_equal(read(p[0], buf, 1), 1);
    for (int i = 0; i < 2; i++) {
        close(got[i]);
        close(p[i]);
    }
    close(pair[0]);
    n = 0;
    assert_int_equal(io_recv_fds(pair[1], buf, sizeof buf, got, &n), 0);
    assert_int_equal(io_send_fds(pair[1], "x", 1, NULL, 0), -EPIPE);
    close(pair[1]);
}

/* A tenant that passes a flood of descriptors must not fill our table. */
static void test_unwanted_descriptors_are_closed(void **state)
{
    int pair[2], many[32], got[IO_MAX_FDS];
    char buf[4];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    int before = count_fds();
    for (int want = 0; want <= 1; want++)
        for (size_t count = 1; count <= ARRAY_LEN(many); count *= 2) {
            union { struct cmsghdr align; char space[CMSG_SPACE(sizeof many)]; } control = { 0 };
            struct iovec iov = { "x", 1 };
            struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
            struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(count * sizeof(int));
            for (size_t i = 0; i < count; i++)
                many[i] = pair[0];
            memcpy(CMSG_DATA(c), many, count * sizeof(int));
            assert_int_equal(sendmsg(pair[0], &msg, 0), 1);
            int n = want;
            assert_int_equal(io_recv_fds(pair[1], buf, sizeof buf, got, &n), 1);
            assert_true(n <= want);
            for (int i = 0; i < n; i++)
                close(got[i]);
            assert_int_equal(count_fds(), before);
        }
    int five[IO_MAX_FDS + 1] = { 0 };
    assert_int_equal(io_send_fds(pair[0], "x", 1, five, IO_MAX_FDS + 1), -EINVAL);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_full_waits_for_all_bytes), cmocka_unit_test(test_small_files), cmocka_unit_test(test_directories),
        cmocka_unit_test(test_socket_that_is_not_there), cmocka_unit_test(test_stale_socket_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(test_passed_descriptors), cmocka_unit_test(test_unwanted_descriptors_are_closed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

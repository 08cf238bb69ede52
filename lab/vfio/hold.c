/* SPDX-License-Identifier: Apache-2.0 */
/* hold GROUP ADDRESS [hidden]: opens a device through VFIO as a VM does, says "held", and keeps it until its stdin ends. With `hidden` the
 * descriptor is kept in a socket's queue, where nobody who looks through /proc can see it. For the lab's guests. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int send_fds(int sock, const int *fds, int n)
{
    char control[CMSG_SPACE(8 * sizeof(int))] = "", byte = 'x';
    struct iovec iov = { &byte, 1 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE((size_t)n * sizeof(int)) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
    memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
    return sendmsg(sock, &m, 0) == 1 ? 0 : -1;
}

int main(int argc, char **argv)
{
    char path[64], byte;
    int fds[3], pair[2];
    if (argc < 3)
        return 2;
    snprintf(path, sizeof path, "/dev/vfio/%s", argv[1]);
    fds[0] = open("/dev/vfio/vfio", O_RDWR);
    fds[1] = open(path, O_RDWR);
    if (fds[0] < 0 || fds[1] < 0 || ioctl(fds[1], VFIO_GROUP_SET_CONTAINER, &fds[0]) || ioctl(fds[0], VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
        perror("open the group");
        return 1;
    }
    fds[2] = ioctl(fds[1], VFIO_GROUP_GET_DEVICE_FD, argv[2]);
    if (fds[2] < 0) {
        perror("open the device");
        return 1;
    }
    if (argc > 3) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || send_fds(pair[0], fds, 3))
            return 1;
        close(fds[0]);
        close(fds[1]);
        close(fds[2]);
    }
    puts("held");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Where kernels print: drivers write to the process's stdout, so that is made the client's. */
#include "worker/session.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <unistd.h>

ssize_t output_receive(int sock, void *data, size_t n)
{
    _cleanup_close_ int out = -1;
    int nfds = 1;
    ssize_t r = io_recv_fds(sock, data, n, &out, &nfds);
    if (r > 0 && nfds == 0)
        out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (out >= 0)
        dup2(out, STDOUT_FILENO);
    return r;
}

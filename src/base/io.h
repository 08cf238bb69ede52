/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors: whole reads and writes, small files, unix sockets with passed descriptors. */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <sys/types.h>

/* Exactly n bytes, restarted after EINTR. 0, -EPIPE at end of file, or a negative errno. */
int io_read_full(int fd, void *buf, size_t n);
int io_write_full(int fd, const void *buf, size_t n);

/* A small text file (sysfs, procfs) under directory fd `dir` (or AT_FDCWD), trailing newline cut, always terminated.
 * Returns its length, or a negative errno; -EFBIG where it does not fit. */
ssize_t io_read_text(int dir, const char *path, char *buf, size_t size);
/* mkdir -p with mode 0700 for what is missing. */
int io_make_dirs(const char *path, struct error *err);

/* Stream sockets on the file system, close-on-exec. listen replaces a stale socket file that nobody serves; a live one gives -EADDRINUSE. */
int io_listen_unix(const char *path, int backlog, int *ret_fd, struct error *err);
int io_connect_unix(const char *path, int *ret_fd, struct error *err);
/* The same for a socket that keeps messages apart (SOCK_SEQPACKET). */
int io_connect_unix_messages(const char *path, int *ret_fd, struct error *err);

#define IO_MAX_FDS 4
/* One message with up to IO_MAX_FDS descriptors. recv returns the bytes read (0 at end of file) or a negative errno; the
 * descriptors come close-on-exec and are the caller's. The peer may be hostile: more descriptors than asked for are closed. */
int io_send_fds(int sock, const void *buf, size_t n, const int *fds, int nfds);
ssize_t io_recv_fds(int sock, void *buf, size_t n, int *ret_fds, int *inout_nfds);

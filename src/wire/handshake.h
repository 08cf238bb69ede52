/* SPDX-License-Identifier: Apache-2.0 */
/* The first messages on a share's socket: the client says hello, the worker (or tranched, when it refuses) answers welcome.
 * Both sides treat the other as possibly hostile: fixed sizes, everything checked. Little-endian, as the whole wire (x86-64, arm64). */
#pragma once

#include <stdint.h>

#define WIRE_MAGIC UINT32_C(0x31435254)   /* "TRC1" */
#define WIRE_VERSION 1

enum wire_status {
    WIRE_OK = 0,
    WIRE_REFUSED_VERSION = 1,     /* another protocol version: upgrade the older side */
    WIRE_REFUSED_FULL = 2,        /* too many clients on this share or GPU */
    WIRE_REFUSED_DRIVER = 3,      /* the real driver could not be opened */
    WIRE_REFUSED_PEER = 4,        /* this user may not use this share */
};

struct wire_hello {               /* client -> worker; may carry one descriptor: the client's stdout, for printf in kernels (later: `output` in opencl.calls) */
    uint32_t magic;
    uint16_t version, flags;
    uint32_t pid;                 /* for display only */
    uint32_t reserved;
};
_Static_assert(sizeof(struct wire_hello) == 16, "hello is 16 bytes on the wire");

struct wire_welcome {             /* worker -> client; with WIRE_OK carries one descriptor: the shared region */
    uint32_t magic;
    uint16_t version, status;
    uint64_t region_bytes;
    uint64_t address;             /* where the worker has the region, if shared virtual memory is offered: the client maps it there too; 0 otherwise */
    char text[104];               /* why not, terminated */
};
_Static_assert(sizeof(struct wire_welcome) == 128, "welcome is 128 bytes on the wire");

/* Answers a client that is not to be served; never blocks (MSG_DONTWAIT), errors are ignored: the caller closes next. */
void wire_refuse(int sock, enum wire_status status, const char *text);

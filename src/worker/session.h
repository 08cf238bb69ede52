/* SPDX-License-Identifier: Apache-2.0 */
/* worker: serves one client with the real OpenCL driver (tranche-worker).
 *
 * Started by tranched with the client's connection; ends when that closes. Every byte of the shared region may be hostile: frames are copied out
 * once, decoded with bounds, handles are looked up by kind and referenced. A protocol error ends the worker, and with it only this client.
 * Never: a driver call with a size or handle that was not checked here; device work outside a turn of the sched page; memory beyond the quota. */
#pragma once

#include "sched/sched.h"
#include "wire/messages.h"
#include "wire/ring.h"
#include "worker/watch.h"

#include <CL/cl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct options {
    int client_fd, page_fd;
    const char *share, *platform, *label, *cache, *cores;
    unsigned device;
    uint64_t memory_bytes, watchdog_ns, spin_ns;
    uid_t user;                /* what to become; 0: stay */
    bool staged;
};

struct driver {
    cl_platform_id platform;
    cl_device_id device;
    cl_context context;
    bool unified;              /* kernels see host memory in place */
    cl_device_svm_capabilities svm;   /* what a share can carry of them: kernels may follow the worker's own pointers */
    bool compiles_ahead;       /* see ahead.h */
    bool on_cpus;              /* kernels run on the host's processors: a stand-in GPU */
    cl_ulong max_alloc;
    cl_uint base_align;        /* bytes */
    cl_uint compute_units;
    cl_uint parts_max;         /* sub-devices that it can have, 0 where their queues would need a context of their own */
};

struct arena;
struct intake;
struct gate;
struct svm;

struct session {
    struct options options;
    struct driver driver;
    struct wire_header *header;
    int region_fd;
    uint64_t region_bytes;
    struct arena *arena;
    struct svm *svm;           /* NULL where the device has none */
    struct intake *intake;
    struct gate *gate;
    struct watch watch;
    struct sched_page *page;
    struct sched_client *client;
    _Atomic uint64_t zombie_bytes;      /* of buffers that the client has released while commands still use them */
    _Atomic uint32_t in_flight;         /* commands given to the driver and not seen finished */
};

/* Ends the worker: the client broke the protocol, or the driver cannot go on. */
_Noreturn void session_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

int driver_open(struct driver *d, const struct options *o, struct error *err);
/* Receives n bytes from the client's socket; the descriptor beside them, the client's stdout, becomes ours: kernels print there. None: nowhere.
 * What io_recv_fds() gives. */
ssize_t output_receive(int sock, void *data, size_t n);
/* Everything that the client may ask about platform and device, for the facts message. */
void facts_collect(const struct session *s, struct wire_out *out);
/* What a sub-device answers otherwise than the whole device: {u32 name, blob value} and so on. */
void facts_of_part(const struct session *s, cl_device_id part, struct wire_out *out);

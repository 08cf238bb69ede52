/* SPDX-License-Identifier: Apache-2.0 */
/* tranche-worker: one process per client.
 *
 * The main thread greets the client, opens the driver, makes the shared region, gives up rights, starts the first reader (intake.c) and then only
 * watches the socket and the watchdog. The process ends with _exit: drivers' exit handlers wait for work that may never end. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "wire/handshake.h"
#include "worker/arena.h"
#include "worker/gate.h"
#include "worker/intake.h"
#include "worker/probe.h"
#include "worker/sandbox.h"
#include "worker/slices.h"
#include "worker/svm.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define HELLO_TIMEOUT_S 5
#define DEFAULT_SPIN_NS (30 * NS_PER_US)

static struct session session;

void session_fail(const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    log_error("share %s: %s", session.options.share ? session.options.share : "?", text);
    _exit(EXIT_FAILED);
}

/* ---- options ---- */

static int parse_options(int argc, char **argv, struct options *o, struct error *err)
{
    static const struct option longs[] = {
        { "client-fd", 1, NULL, 'c' }, { "page-fd", 1, NULL, 'p' }, { "share", 1, NULL, 's' }, { "platform", 1, NULL, 'P' }, { "device", 1, NULL, 'd' },
        { "memory", 1, NULL, 'm' }, { "label", 1, NULL, 'l' }, { "cache", 1, NULL, 'C' }, { "watchdog", 1, NULL, 'w' }, { "cores", 1, NULL, 'k' },
        { "user", 1, NULL, 'u' }, { "client-pid", 1, NULL, 'i' }, { "staged", 0, NULL, 'S' }, { NULL, 0, NULL, 0 },
    };
    uint64_t n = 0;
    const char *spin = getenv("TRANCHE_SPIN_US");
    *o = (struct options){ .client_fd = -1, .page_fd = -1, .label = "share", .watchdog_ns = 30 * NS_PER_S, .spin_ns = DEFAULT_SPIN_NS };
    if (spin && text_parse_u64(spin, "TRANCHE_SPIN_US", 0, 1000000, &n, err) == 0)
        o->spin_ns = n * NS_PER_US;
    for (int c, r = 0; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 'c': r = text_parse_u64(optarg, "--client-fd", 0, 1024, &n, err); o->client_fd = (int)n; break;
        case 'p': r = text_parse_u64(optarg, "--page-fd", 0, 1024, &n, err); o->page_fd = (int)n; break;
        case 'd': r = text_parse_u64(optarg, "--device", 0, 63, &n, err); o->device = (unsigned)n; break;
        case 'm': r = text_parse_u64(optarg, "--memory", 1, UINT64_C(1) << 50, &o->memory_bytes, err); break;
        case 'w': r = text_parse_u64(optarg, "--watchdog", 1, UINT64_MAX, &o->watchdog_ns, err); break;
        case 'u': r = text_parse_u64(optarg, "--user", 1, UINT32_MAX - 1, &n, err); o->user = (uid_t)n; break;
        case 'i': break;                /* for a restarted tranched to read */
        case 's': o->share = optarg; break;
        case 'P': o->platform = optarg; break;
        case 'l': o->label = optarg; break;
        case 'C': o->cache = optarg; break;
        case 'k': o->cores = optarg; break;
        case 'S': o->staged = true; break;
        default: r = error_set(err, -EINVAL, "unknown option"); break;
        }
        if (r < 0)
            return r;
    }
    if (o->client_fd < 0 || o->page_fd < 0 || !o->share || !o->platform || !o->memory_bytes) {
        error_set(err, -EINVAL, "--client-fd, --page-fd, --share, --platform and --memory are needed");
        error_hint(err, "tranched starts workers; by hand, use tranche run NAME -- COMMAND");
        return -EINVAL;
    }
    return 0;
}

/* ---- the client ---- */

static void refuse(enum wire_status status, const char *text)
{
    log_warning("share %s: client refused: %s", session.options.share, text);
    wire_refuse(session.options.client_fd, status, text);
    _exit(EXIT_FAILED);
}

static void read_hello(int sock)
{
    struct wire_hello hello;
    struct timeval limit = { HELLO_TIMEOUT_S, 0 };
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ssize_t r = output_receive(sock, &hello, sizeof hello);
    if (r == 0)
        _exit(EXIT_DONE);
    if (r != sizeof hello || hello.magic != WIRE_MAGIC)
        session_fail("what connected is no tranche client");
    if (hello.version != WIRE_VERSION)
        refuse(WIRE_REFUSED_VERSION, "the client speaks another protocol version: install the same version of tranche on both sides");
}

/* ---- the region ---- */

static uint64_t arena_bytes(const struct session *s)
{
    /* Room beyond the quota so that fragments do not keep a tenant from its last bytes. */
    uint64_t quota = s->options.memory_bytes, slack = quota / 16 + (UINT64_C(16) << 20);
    return WIRE_STREAM_BYTES + (s->driver.unified ? quota + slack : 0);
}

static int make_region(struct session *s, struct error *err)
{
    s->region_bytes = WIRE_ALIGN(WIRE_ARENA_OFFSET + arena_bytes(s));
    _cleanup_close_ int fd = memfd_create("tranche", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)s->region_bytes) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return error_set(err, -errno, "make the shared region: %s", strerror(errno));
    void *p = mmap(NULL, s->region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED)
        return error_set(err, -errno, "map %llu bytes: %s", (unsigned long long)s->region_bytes, strerror(errno));
    s->header = p;
    s->header->version = WIRE_VERSION;
    s->header->flags = s->driver.unified ? WIRE_UNIFIED : 0;
    s->header->region_bytes = s->region_bytes;
    s->header->arena_offset = WIRE_ARENA_OFFSET;
    s->header->arena_bytes = s->region_bytes - WIRE_ARENA_OFFSET;
    atomic_store(&s->header->client_cpu, UINT32_MAX);
    atomic_store(&s->header->worker_cpu, UINT32_MAX);
    s->region_fd = steal_fd(fd);
    return 0;
}

#define CLOCK_SAMPLES 5

/* The device's profiling clock against ours: a marker is queued between two looks at ours. The sample with the nearest looks counts. */
static int64_t device_clock_offset(const struct driver *d)
{
    cl_queue_properties list[] = { CL_QUEUE_PROPERTIES, CL_QUEUE_PROFILING_ENABLE, 0 };
    cl_int e;
    int64_t offset = 0;
    uint64_t nearest = UINT64_MAX;
    cl_command_queue q = clCreateCommandQueueWithProperties(d->context, d->device, list, &e);
    if (!q)
        return 0;
    for (int i = 0; i < CLOCK_SAMPLES; i++) {
        cl_event event = NULL;
        cl_ulong queued = 0;
        uint64_t before = clock_now_ns();
        e = clEnqueueMarkerWithWaitList(q, 0, NULL, &event);
        uint64_t after = clock_now_ns();
        if (e == CL_SUCCESS && clWaitForEvents(1, &event) == CL_SUCCESS && after - before < nearest &&
            clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_QUEUED, sizeof queued, &queued, NULL) == CL_SUCCESS) {
            nearest = after - before;
            offset = (int64_t)(queued - before - nearest / 2);
        }
        if (event)
            clReleaseEvent(event);
    }
    clReleaseCommandQueue(q);
    return offset;
}

/* ---- cores of a MIG instance on a stand-in GPU ---- */

/* The driver counts the cores it may use when it opens, so it opens unbound; its threads are bound afterwards. */
static void unbind_cores(void)
{
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    unsetenv("POCL_AFFINITY");
    sched_setaffinity(0, sizeof all, &all);
}

static void bind_cores(const char *cores)
{
    unsigned first = 0, last = 0;
    cpu_set_t set;
    if (sscanf(cores, "%u-%u", &first, &last) != 2)
        last = first;
    CPU_ZERO(&set);
    for (unsigned i = first; i <= last && i < CPU_SETSIZE; i++)
        CPU_SET(i, &set);
    _cleanup_closedir_ DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *d; tasks && (d = readdir(tasks));)
        if (d->d_name[0] != '.' && sched_setaffinity(atoi(d->d_name), sizeof set, &set) < 0)
            session_fail("bind to cores %s: %s", cores, strerror(errno));
}

/* ---- life ---- */

static void open_all(struct session *s)
{
    struct error err;
    if (sched_page_open(s->options.page_fd, &s->page, &err) < 0 || sched_client_join(s->page, s->options.share, &s->client, &err) < 0)
        refuse(WIRE_REFUSED_FULL, err.text);
    close(s->options.page_fd);          /* the page holds its own */
    if (sandbox_enter(&s->options, &err) < 0)
        refuse(WIRE_REFUSED_DRIVER, err.text);
    if (s->options.cores)
        unbind_cores();
    if (driver_open(&s->driver, &s->options, &err) < 0)
        refuse(WIRE_REFUSED_DRIVER, err.text);
    if (make_region(s, &err) < 0)
        refuse(WIRE_REFUSED_DRIVER, err.text);
    s->header->device_clock_minus_monotonic_ns = device_clock_offset(&s->driver);
    if (s->options.cores)
        bind_cores(s->options.cores);
    if (s->driver.on_cpus)
        slices_lengthen();
    uint8_t *arena = (uint8_t *)s->header + WIRE_ARENA_OFFSET;
    s->arena = s->driver.unified ? arena_new(arena, WIRE_STREAM_BYTES, s->header->arena_bytes - WIRE_STREAM_BYTES) : NULL;
    if (watch_open(&s->watch) < 0)
        refuse(WIRE_REFUSED_DRIVER, "out of descriptors");
    s->gate = gate_new(s->page, s->client, &s->watch);
    s->intake = intake_new(s);
    if ((s->driver.unified && !s->arena) || !s->gate || !s->intake)
        refuse(WIRE_REFUSED_DRIVER, "out of memory");
    s->svm = s->driver.svm ? svm_new(s) : NULL;
}

static void send_welcome(struct session *s)
{
    struct wire_welcome w = { .magic = WIRE_MAGIC, .version = WIRE_VERSION, .status = WIRE_OK, .region_bytes = s->region_bytes,
                              .address = s->svm ? (uintptr_t)s->header : 0 };
    if (io_send_fds(s->options.client_fd, &w, sizeof w, &s->region_fd, 1) < 0)
        _exit(EXIT_DONE);           /* the client left while the driver was opening */
    if (!s->svm)
        close(s->region_fd);
}

/* After the welcome, since no worker sends on its socket any more; before the first byte of the ring is read. */
static void close_sandbox(const struct session *s)
{
    struct error err;
    if (sandbox_close(s, &err) < 0)
        session_fail("%s", err.text);
}

int main(int argc, char **argv)
{
    struct error err = { 0 };
    log_init("tranche-worker", LOG_LEVEL_WARNING);
    if (argc == 2 && text_equal(argv[1], "--probe"))
        return probe_run();
    if (argc == 2 && text_equal(argv[1], "--version"))
        return puts("tranche-worker " TRANCHE_VERSION) < 0;
    if (parse_options(argc, argv, &session.options, &err) < 0) {
        log_error("%s", err.text);
        if (err.hint[0])
            log_error("hint: %s", err.hint);
        return EXIT_USAGE;
    }
    read_hello(session.options.client_fd);
    open_all(&session);
    send_welcome(&session);
    close_sandbox(&session);
    intake_start(session.intake);
    watch_run(&session);
}

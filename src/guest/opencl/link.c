/* SPDX-License-Identifier: Apache-2.0 */
/* Connection to the worker: see link.h. */
#include "guest/opencl/link.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "guest/opencl/guest.h"
#include "guest/opencl/statistics.h"
#include "wire/handshake.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define DEFAULT_SPIN_US 50      /* a launch that is waited for takes 10 to 40 us on PoCL (bench/native) */
#define WAIT_MAX_NS (2 * NS_PER_MS)
#define SHORT_WAITS 4               /* budgets: a wait that sleeps takes longer than one that spins, and must not settle the matter for ever */
#define CHECK_ALIVE_NS (100 * NS_PER_MS)

#define LINK_INITIALIZER { .sock = -1, .output = -1, .push_lock = PTHREAD_MUTEX_INITIALIZER, .call_lock = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER }, \
    .reply_lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER, \
                           .output_lock = PTHREAD_MUTEX_INITIALIZER }
static struct link the_link = LINK_INITIALIZER;
static pthread_mutex_t connect_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int connect_state;    /* 0 not tried, 1 connected, -1 failed */

static struct { pthread_mutex_t lock; uint32_t *free; uint32_t nfree, next; } ids = { .lock = PTHREAD_MUTEX_INITIALIZER, .next = 1 };

#define DEVICE_FACTS 256
static struct { struct wire_blob platform[16], device[DEVICE_FACTS]; uint32_t nextra; struct { uint32_t name; struct wire_blob value; } extra[64]; void *owner; } facts;

uint64_t link_device_now(const struct link *l) { return clock_now_ns() + (uint64_t)l->header->device_clock_minus_monotonic_ns; }

bool link_alive(struct link *l)
{
    if (atomic_load_explicit(&l->dead, memory_order_relaxed))
        return false;
    struct pollfd p = { .fd = l->sock, .events = POLLRDHUP };
    if (poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)))
        atomic_store(&l->dead, true);
    return !atomic_load(&l->dead);
}

static bool alive_cb(void *arg) { return link_alive(arg); }

static void ring_open(struct link *l, struct wire_end *end, struct wire_ring *ring, uint64_t offset, uint64_t bytes)
{
    *end = (struct wire_end){ .ring = ring, .data = (uint8_t *)l->header + offset, .size = bytes, .alive = alive_cb, .alive_arg = l };
}

/* Sends data and, while it is open, our stdout, and keeps that. */
static int send_with_output(struct link *l, int sock, const void *data, size_t bytes)
{
    if (l->output >= 0)
        close(l->output);
    l->output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return io_send_fds(sock, data, bytes, &l->output, l->output >= 0);
}

static int shake_hands(struct link *l, int sock, struct wire_welcome *w, int *ret_region)
{
    struct wire_hello hello = { .magic = WIRE_MAGIC, .version = WIRE_VERSION, .pid = (uint32_t)getpid() };
    int n = 1, r = send_with_output(l, sock, &hello, sizeof hello);
    if (r < 0 && r != -EPIPE)    /* EPIPE: refused before we spoke; why, is there to be read */
        return r;
    ssize_t got = io_recv_fds(sock, w, sizeof *w, ret_region, &n);
    if (n == 0)
        *ret_region = -1;
    w->text[sizeof w->text - 1] = '\0';
    if (got != sizeof *w || w->magic != WIRE_MAGIC)
        return got < 0 ? (int)got : -EPROTO;
    return 0;
}

/* Where the worker has it, if something else does not lie there. */
static int map_region(struct link *l, int fd, uint64_t bytes, uint64_t address)
{
    if (fd < 0 || bytes <= WIRE_ARENA_OFFSET)
        return -EPROTO;
    void *p = mmap((void *)(uintptr_t)address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    madvise(p, bytes, MADV_DONTFORK);
    l->header = p;
    if (l->header->version != WIRE_VERSION || l->header->arena_offset >= bytes)
        return -EPROTO;
    l->arena = (uint8_t *)p + l->header->arena_offset;
    l->svm_arena = (uintptr_t)p == address ? l->arena : NULL;
    ring_open(l, &l->command, &l->header->command, WIRE_COMMAND_OFFSET, WIRE_COMMAND_RING_BYTES);
    ring_open(l, &l->reply, &l->header->reply, WIRE_REPLY_OFFSET, WIRE_REPLY_RING_BYTES);
    return 0;
}

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000     /* Linux 4.17; earlier kernels take the address as a hint */
#endif

/* Maps the region once more, where the worker finds room and this process has some. */
static void place_svm(struct link *l, int fd, uint64_t bytes)
{
    struct wire_svm_place_answer a = { 0 };
    while (!l->svm_arena) {
        void *buf = NULL;
        int r = LINK_CALL(l, svm_place, &a, &buf, 0);
        free(buf);
        if (r < 0 || !a.address)
            return;
        void *p = mmap((void *)(uintptr_t)a.address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
        if (p == MAP_FAILED)
            continue;
        if ((uintptr_t)p == a.address) {
            madvise(p, bytes, MADV_DONTFORK);
            l->svm_arena = (uint8_t *)p + l->header->arena_offset;
        } else
            munmap(p, bytes);
    }
}

static void fact_store(uint32_t space, uint32_t name, struct wire_blob value)
{
    if (space == 0 && name - CL_PLATFORM_PROFILE < ARRAY_LEN(facts.platform))
        facts.platform[name - CL_PLATFORM_PROFILE] = value;
    else if (space == 1 && name - CL_DEVICE_TYPE < DEVICE_FACTS)
        facts.device[name - CL_DEVICE_TYPE] = value;
    else if (space == 1 && facts.nextra < ARRAY_LEN(facts.extra)) {
        facts.extra[facts.nextra].name = name;
        facts.extra[facts.nextra++].value = value;
    }
}

static int fetch_facts(struct link *l)
{
    struct wire_facts_answer a = { 0 };
    void *buf = NULL;
    int r = LINK_CALL(l, facts, &a, &buf, 0);
    if (r < 0) {
        free(buf);
        return r;
    }
    facts.owner = buf;      /* the blobs point into it for the life of the process */
    struct wire_in in = { a.entries.data, a.entries.size, 0, false };
    while (!in.bad && in.pos < in.len) {
        uint32_t space, name;
        struct wire_blob value;
        wire_get_u32(&in, &space);
        wire_get_u32(&in, &name);
        wire_get_blob(&in, &value);
        if (!in.bad)
            fact_store(space, name, value);
    }
    return in.bad ? -EPROTO : 0;
}

const struct wire_blob *link_fact(uint32_t space, uint32_t name)
{
    const struct wire_blob *b = NULL;
    if (space == 0 && name - CL_PLATFORM_PROFILE < ARRAY_LEN(facts.platform))
        b = &facts.platform[name - CL_PLATFORM_PROFILE];
    else if (space == 1 && name - CL_DEVICE_TYPE < DEVICE_FACTS)
        b = &facts.device[name - CL_DEVICE_TYPE];
    else
        for (uint32_t i = 0; space == 1 && i < facts.nextra; i++)
            if (facts.extra[i].name == name)
                b = &facts.extra[i].value;
    return b && b->data ? b : NULL;
}

static int connect_to(struct link *l, const char *path, struct error *err)
{
    _cleanup_close_ int sock = -1, region = -1;
    struct wire_welcome w = { 0 };
    int r = io_connect_unix(path, &sock, err);
    if (r < 0)
        return r;
    r = shake_hands(l, sock, &w, &region);
    if (r < 0)
        return error_set(err, r, "no worker answered on %s: %s", path, strerror(-r));
    if (w.status != WIRE_OK || w.version != WIRE_VERSION)
        return error_set(err, -EACCES, "refused: %s", w.text[0] ? w.text : "another protocol version");
    r = map_region(l, region, w.region_bytes, w.address);
    if (r < 0)
        return error_set(err, r, "map the shared region of %s: %s", path, strerror(-r));
    l->sock = steal_fd(sock);
    atomic_store(&l->dead, false);
    r = fetch_facts(l);
    if (r == 0 && w.address)
        place_svm(l, region, w.region_bytes);
    return r < 0 ? error_set(err, r, "the worker of %s ended before it answered", path) : 0;
}

static void fork_all(enum fork_step step)
{
    transfers_fork(step);
    background_fork(step);
    queues_fork(step);
    events_fork(step);
    known_fork(step);
    svm_fork(step);
    fork_lock(&ids.lock, step);
}
static void before_fork(void) { fork_all(FORK_BEFORE); }
static void after_fork_in_parent(void) { fork_all(FORK_PARENT); }

/* A child process starts without a connection: its objects are the parent's, and its first call connects anew. */
static void after_fork_in_child(void)
{
    fork_all(FORK_CHILD);
    statistics_reset();
    if (atomic_load(&connect_state) == 0)
        return;
    close(the_link.sock);
    if (the_link.output >= 0)
        close(the_link.output);
    the_link = (struct link)LINK_INITIALIZER;
    pthread_mutex_init(&connect_lock, NULL);
    atomic_store(&connect_state, 0);
    memset(&facts, 0, sizeof facts);
}

static void connect_once(void)
{
    static bool fork_handler;
    struct error err = { 0 };
    const char *path = getenv("TRANCHE_SOCKET"), *spin = getenv("TRANCHE_SPIN_US"), *name = getenv("TRANCHE_SHARE");
    if (!path) {
        atomic_store(&connect_state, -1);
        return;
    }
    the_link.spin_ns = (spin ? strtoul(spin, NULL, 10) : DEFAULT_SPIN_US) * NS_PER_US;
    if (!fork_handler)
        fork_handler = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
    int r = connect_to(&the_link, path, &err);
    if (r < 0)
        fprintf(stderr, "tranche: share %s: %s\n", name ? name : path, err.text);
    atomic_store(&connect_state, r < 0 ? -1 : 1);
}

struct link *link_current(void)
{
    return atomic_load_explicit(&connect_state, memory_order_acquire) == 1 ? &the_link : NULL;
}

struct link *link_get(void)
{
    if (atomic_load_explicit(&connect_state, memory_order_acquire) == 0) {
        pthread_mutex_lock(&connect_lock);
        if (atomic_load(&connect_state) == 0)
            connect_once();
        pthread_mutex_unlock(&connect_lock);
    }
    return link_current();
}

uint32_t link_id_new(void)
{
    pthread_mutex_lock(&ids.lock);
    uint32_t id = ids.nfree ? ids.free[--ids.nfree] : ids.next < WIRE_MAX_OBJECTS ? ids.next++ : 0;
    pthread_mutex_unlock(&ids.lock);
    return id;
}

void link_id_free(uint32_t id)
{
    if (!id)
        return;
    pthread_mutex_lock(&ids.lock);
    /* Room for every handle ever taken, grown in steps. Without memory the handle is simply not used again. */
    if (ids.nfree % 1024 == 0) {
        uint32_t *p = realloc(ids.free, (ids.nfree + 1024) * sizeof *p);
        if (p)
            ids.free = p;
        else
            id = 0;
    }
    if (id)
        ids.free[ids.nfree++] = id;
    pthread_mutex_unlock(&ids.lock);
}

int link_post(struct link *l, enum wire_op op, const struct wire_out *out)
{
    if (out->bad)
        return -ENOMEM;
    pthread_mutex_lock(&l->push_lock);
    int r = atomic_load_explicit(&l->dead, memory_order_relaxed) ? -EPIPE
          : wire_ring_write(&l->command, (uint16_t)op, 0, out->buf, (uint32_t)out->len);
    if (r < 0)
        atomic_store(&l->dead, true);
    pthread_mutex_unlock(&l->push_lock);
    return r;
}

/* Spinning pays where answers come within its budget, and takes a processor from the kernel where they do not: the budget is full while
 * waits have lately been short, and a fraction of it, to notice when they become so again, otherwise. */
static struct wire_spin spin_begin(struct link *l)
{
    wire_note_cpu(&l->header->client_cpu);
    bool pays = atomic_load_explicit(&l->wait_ns, memory_order_relaxed) <= SHORT_WAITS * l->spin_ns;
    return (struct wire_spin){ .limit = wire_spin_ns(&l->header->worker_cpu, pays ? l->spin_ns : l->spin_ns / 8) };
}

static void spin_end(struct link *l, uint64_t begun_ns)
{
    uint64_t took = clock_now_ns() - begun_ns, average = atomic_load_explicit(&l->wait_ns, memory_order_relaxed);
    atomic_store_explicit(&l->wait_ns, (7 * average + MIN(took, WAIT_MAX_NS)) / 8, memory_order_relaxed);
}

/* Which of the two kinds of questions: the worker builds beside everything else, so an answer to the one may overtake the other's. */
static unsigned question_kind(unsigned op) { return op == WIRE_OP_program_build || op == WIRE_OP_program_compile || op == WIRE_OP_program_link; }

/* The next answer from the ring; by one thread at a time. */
static int answer_read(struct link *l, struct answer *a)
{
    struct wire_frame f;
    uint64_t begun = clock_now_ns();
    int r = wire_ring_wait(&l->reply, spin_begin(l).limit);
    spin_end(l, begun);
    if (r == 0)
        r = wire_ring_take(&l->reply, &f, sizeof f);
    if (r == 0 && (f.bytes > WIRE_FRAME_MAX || !(a->buf = malloc(f.bytes + 1))))
        r = -EPROTO;
    if (r == 0)
        r = wire_ring_take(&l->reply, a->buf, f.bytes);
    if (r == 0) {
        a->op = f.op;
        a->bytes = f.bytes;
    }
    return r;
}

/* Waits for the answer of this kind. Whoever finds nobody reading the ring does so, for all. */
static int answer_wait(struct link *l, unsigned kind, struct answer *ret)
{
    int r = 0;
    pthread_mutex_lock(&l->reply_lock);
    while (r == 0 && !l->answers[kind].buf) {
        struct answer a = { 0 };
        if (l->reading) {
            pthread_cond_wait(&l->answered, &l->reply_lock);
            r = atomic_load(&l->dead) ? -EPIPE : 0;
            continue;
        }
        l->reading = true;
        pthread_mutex_unlock(&l->reply_lock);
        r = answer_read(l, &a);
        pthread_mutex_lock(&l->reply_lock);
        if (r == 0 && l->answers[question_kind(a.op)].buf)
            r = -EPROTO;
        if (r == 0)
            l->answers[question_kind(a.op)] = a;
        else {
            free(a.buf);
            atomic_store(&l->dead, true);
        }
        l->reading = false;
        pthread_cond_broadcast(&l->answered);
    }
    if (r == 0) {
        *ret = l->answers[kind];
        l->answers[kind].buf = NULL;
    }
    pthread_mutex_unlock(&l->reply_lock);
    return r;
}

int link_call(struct link *l, enum wire_op op, const struct wire_out *out, struct wire_in *in, void **ret_buf)
{
    struct answer a = { 0 };
    unsigned kind = question_kind(op);
    *ret_buf = NULL;
    statistics_answer(op);
    pthread_mutex_lock(&l->call_lock[kind]);
    int r = link_post(l, op, out);
    if (r == 0)
        r = answer_wait(l, kind, &a);
    pthread_mutex_unlock(&l->call_lock[kind]);
    if (r == 0 && a.op != op)
        r = -EPROTO;
    if (r < 0) {
        free(a.buf);
        if (r != -ENOMEM)
            atomic_store(&l->dead, true);
        return r;
    }
    *in = (struct wire_in){ a.buf, a.bytes, 0, false };
    *ret_buf = a.buf;
    return 0;
}

/* The same open file, not only the same path: one that was opened anew has its own place in it. Where kcmp(2) is refused, never. */
static bool output_unchanged(const struct link *l)
{
    pid_t self = getpid();
    return l->output >= 0 && syscall(SYS_kcmp, self, self, KCMP_FILE, STDOUT_FILENO, l->output) == 0;
}

int link_follow_output(struct link *l)
{
    struct wire_output_answer a;
    void *buf = NULL;
    int r = 0;
    pthread_mutex_lock(&l->output_lock);
    if (!output_unchanged(l)) {
        r = send_with_output(l, l->sock, "", 1);
        if (r == 0)
            r = LINK_CALL(l, output, &a, &buf, 0);
    }
    pthread_mutex_unlock(&l->output_lock);
    free(buf);
    return r;
}

/* Whether to look again; sleeps on the word when spinning is over. The first sleep needs no look at the socket: it ends after 100 ms anyway. */
struct wait { struct wire_spin spin; uint64_t begun; bool slept; };

static struct wait wait_begin(struct link *l) { return (struct wait){ .spin = spin_begin(l), .begun = clock_now_ns() }; }

static bool wait_on(struct link *l, struct wait *w)
{
    bool first = !w->slept;
    w->slept = true;
    return first ? !atomic_load_explicit(&l->dead, memory_order_relaxed) : link_alive(l);
}

static int wait_queue_slowly(struct link *l, struct wire_queue_state *q, uint64_t sequence)
{
    struct wait w = wait_begin(l);
    statistics_wait(STATISTICS_QUEUE);
    while (atomic_load_explicit(&q->completed, memory_order_acquire) < sequence) {
        if (wire_spin(&w.spin))
            continue;
        if (!wait_on(l, &w))
            return -EPIPE;
        uint32_t bell = atomic_load(&q->bell);
        atomic_store(&q->waiters, 1);
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load(&q->completed) < sequence)
            wire_futex_wait(&q->bell, bell, CHECK_ALIVE_NS);
    }
    spin_end(l, w.begun);
    return 0;
}

int link_wait_queue(struct link *l, uint32_t state, uint64_t sequence)
{
    struct wire_queue_state *q = wire_queue_state(l->header, state);
    return atomic_load_explicit(&q->completed, memory_order_acquire) >= sequence ? 0 : wait_queue_slowly(l, q, sequence);
}

/* Whether the event has come as far as `status`, or its slot belongs to another event by now; *ret is what to answer. */
static bool event_reached(uint64_t state, uint32_t generation, int32_t status, int32_t *ret)
{
    *ret = wire_event_generation(state) != generation ? CL_COMPLETE : wire_event_status(state);
    return *ret <= status;
}

int32_t link_wait_event(struct link *l, uint32_t slot, uint32_t generation, int32_t status)
{
    struct wire_event *e = wire_event(l->header, slot);
    uint64_t s = atomic_load_explicit(&e->state, memory_order_acquire);
    int32_t reached;
    if (event_reached(s, generation, status, &reached))
        return reached;
    struct wait w = wait_begin(l);
    statistics_wait(STATISTICS_EVENT);
    for (; !event_reached(s, generation, status, &reached); s = atomic_load_explicit(&e->state, memory_order_acquire)) {
        if (wire_spin(&w.spin))
            continue;
        if (!wait_on(l, &w))
            return LINK_LOST;
        atomic_store(&e->waiters, 1);
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load(&e->state) == s)
            wire_futex_wait((_Atomic uint32_t *)&e->state, (uint32_t)s, CHECK_ALIVE_NS);
    }
    spin_end(l, w.begun);
    return reached;
}

void link_set_event(struct link *l, uint32_t slot, uint32_t generation, int32_t status)
{
    struct wire_event *e = wire_event(l->header, slot);
    atomic_store(&e->state, wire_event_state(generation, status));
    if (atomic_exchange(&e->waiters, 0))
        wire_futex_wake((_Atomic uint32_t *)&e->state, INT32_MAX);
    wire_ring_bell(&l->header->change_bell, &l->header->change_wait, INT32_MAX);
}

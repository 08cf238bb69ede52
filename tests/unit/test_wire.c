/* SPDX-License-Identifier: Apache-2.0 */
/* The codec against every cut and every message; rings between real threads and processes, with pauses, with liars, with the dead. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "wire/messages.h"
#include "wire/ring.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096u

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
static uint64_t below(uint64_t *state, uint64_t n) { return (next_random(state) >> 8) % n; }

/* `bytes` of shared memory between two pages that may not be touched: a step outside ends the test. */
static uint8_t *fenced(size_t bytes)
{
    size_t whole = (bytes + PAGE - 1) / PAGE * PAGE;
    uint8_t *p = mmap(NULL, whole + 2 * PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + PAGE, whole, PROT_READ | PROT_WRITE), 0);
    return p + PAGE;
}
static void unfence(uint8_t *p, size_t bytes) { munmap(p - PAGE, (bytes + PAGE - 1) / PAGE * PAGE + 2 * PAGE); }

/* ---- codec ---- */

union any_message {
#define MEMBER(name) struct wire_##name name;
#define MEMBERS(name) struct wire_##name name; struct wire_##name##_answer name##_answer;
    WIRE_SYNC_MESSAGES(MEMBERS) WIRE_ASYNC_MESSAGES(MEMBER) WIRE_COMMAND_MESSAGES(MEMBER)
};

struct codec {
    const char *name;
    void (*get)(struct wire_in *in, union any_message *m);
    void (*put)(struct wire_out *out, const union any_message *m);
};

#define CODEC_FUNCTIONS(name) \
    static void get_##name(struct wire_in *in, union any_message *m) { wire_get_##name(in, &m->name); } \
    static void put_##name(struct wire_out *out, const union any_message *m) { wire_put_##name(out, &m->name); }
#define CODEC_FUNCTIONS_BOTH(name) CODEC_FUNCTIONS(name) CODEC_FUNCTIONS(name##_answer)
WIRE_SYNC_MESSAGES(CODEC_FUNCTIONS_BOTH)
WIRE_ASYNC_MESSAGES(CODEC_FUNCTIONS)
WIRE_COMMAND_MESSAGES(CODEC_FUNCTIONS)

#define CODEC(name) { #name, get_##name, put_##name },
#define CODEC_BOTH(name) CODEC(name) { #name "_answer", get_##name##_answer, put_##name##_answer },
static const struct codec codecs[] = { WIRE_SYNC_MESSAGES(CODEC_BOTH) WIRE_ASYNC_MESSAGES(CODEC) WIRE_COMMAND_MESSAGES(CODEC) };

/* Bytes that often decode: mostly zeros, so that the lengths of blobs are small. */
static void sparse_bytes(uint64_t *random, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = below(random, 4) ? 0 : (uint8_t)below(random, 8);
}

/* What was decoded from a cut message: the fields in front of the cut as they were, nothing but zeros after them. */
static void check_zeros_after_cut(const struct codec *c, const union any_message *m, const uint8_t *whole, size_t cut)
{
    struct wire_out out = { 0 };
    c->put(&out, m);
    assert_false(out.bad);
    size_t same = 0;
    while (same < out.len && same < cut && out.buf[same] == whole[same])
        same++;
    for (size_t i = same; i < out.len; i++)
        if (out.buf[i])
            fail_msg("%s cut to %zu bytes: byte %zu decodes as %u", c->name, cut, i, out.buf[i]);
    wire_out_done(&out);
}

/* Every shorter piece of a good message, each lying right before a page that may not be read. */
static void check_cuts(const struct codec *c, const uint8_t *whole, size_t n, uint8_t *page)
{
    for (size_t cut = 0; cut < n; cut++) {
        union any_message m;
        struct wire_in in = { page + PAGE - cut, cut, 0, false };
        memset(&m, 0xff, sizeof m);
        memcpy(page + PAGE - cut, whole, cut);
        c->get(&in, &m);
        if (!in.bad)
            fail_msg("%s of %zu bytes is taken although it was cut to %zu", c->name, n, cut);
        assert_true(in.pos <= in.len);
        check_zeros_after_cut(c, &m, whole, cut);
    }
}

static void messages_survive_every_cut(void **state)
{
    uint64_t random = 42;
    uint8_t *page = fenced(PAGE), bytes[512];
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
        for (int good = 0, tries = 0; good < 30; tries++) {
            union any_message m;
            struct wire_in in = { bytes, sizeof bytes, 0, false };
            struct wire_out out = { 0 };
            if (tries > 100000)
                fail_msg("%s never decodes", codecs[i].name);
            sparse_bytes(&random, bytes, sizeof bytes);
            codecs[i].get(&in, &m);
            if (in.bad)
                continue;
            codecs[i].put(&out, &m);
            assert_false(out.bad);
            assert_int_equal(out.len, in.pos);
            if (out.len)
                assert_memory_equal(out.buf, bytes, out.len);
            check_cuts(&codecs[i], bytes, in.pos, page);
            wire_out_done(&out);
            good++;
        }
    }
    unfence(page, PAGE);
}

static void random_bytes_never_read_outside(void **state)
{
    uint64_t random = 7;
    uint8_t *page = fenced(PAGE);
    for (int round = 0; round < 200000; round++) {
        const struct codec *c = &codecs[below(&random, ARRAY_LEN(codecs))];
        size_t n = below(&random, 200);
        union any_message m;
        uint8_t *p = page + PAGE - n;
        for (size_t i = 0; i < n; i++)
            p[i] = (uint8_t)next_random(&random);
        struct wire_in in = { p, n, 0, false };
        c->get(&in, &m);
        assert_true(in.pos <= n);
    }
    unfence(page, PAGE);
}

static void blobs_end_where_the_frame_ends(void **state)
{
    uint8_t frame[12] = { 8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8 };
    struct wire_blob b;
    struct wire_in in = { frame, sizeof frame, 0, false };
    wire_get_blob(&in, &b);
    assert_false(in.bad);
    assert_int_equal(b.size, 8);
    assert_ptr_equal(b.data, frame + 4);
    static const uint32_t lies[] = { 9, 255, 65536, INT32_MAX, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        uint32_t after = 1;
        memcpy(frame, &lies[i], 4);
        in = (struct wire_in){ frame, sizeof frame, 0, false };
        wire_get_blob(&in, &b);
        assert_true(in.bad);
        assert_int_equal(b.size, 0);
        wire_get_u32(&in, &after);          /* the flag sticks, also where bytes are left */
        assert_int_equal(after, 0);
    }
}

static void encoder_grows_to_its_limit_and_no_further(void **state)
{
    uint8_t small[16], *big = calloc(1, 1 << 20);
    struct wire_out out = { small, 0, sizeof small, false, false };
    memset(big, 0x5a, 1 << 20);
    wire_put_u64(&out, UINT64_C(0x0102030405060708));
    for (int i = 0; i < 63; i++)
        wire_put_bytes(&out, big, 1 << 20);
    assert_false(out.bad);
    assert_true(out.heap);
    assert_int_equal(out.len, 8 + (63u << 20));
    assert_int_equal(out.buf[0], 8);
    assert_int_equal(out.buf[out.len - 1], 0x5a);
    wire_put_bytes(&out, big, 1 << 20);     /* 8 bytes over WIRE_FRAME_MAX */
    assert_true(out.bad);
    size_t len = out.len;
    wire_put_u32(&out, 1);
    assert_int_equal(out.len, len);
    wire_out_done(&out);
    struct wire_out huge = { 0 };
    assert_null(wire_put_space(&huge, SIZE_MAX - 4));
    assert_true(huge.bad);
    wire_out_done(&huge);
    free(big);
}

static void operations_have_names(void **state)
{
    assert_string_equal(wire_op_to_string(WIRE_OP_ndrange), "ndrange");
    assert_string_equal(wire_op_to_string(0), "unknown");
    assert_string_equal(wire_op_to_string(WIRE_OP_COUNT), "unknown");
    assert_string_equal(wire_op_to_string(UINT32_MAX), "unknown");
    assert_true(wire_op_is_command(WIRE_OP_marker));
    assert_false(wire_op_is_command(WIRE_OP_facts));
    assert_false(wire_op_is_command(0));
}

/* ---- rings ---- */

static bool always(void *arg) { return true; }
static bool never(void *arg) { return false; }

struct pair {
    struct wire_ring *ring;
    uint8_t *data;
    uint64_t size;
    struct wire_end producer, consumer;
};

static void pair_open(struct pair *p, uint64_t size)
{
    p->size = size;
    p->ring = (struct wire_ring *)fenced(sizeof *p->ring);
    p->data = fenced(size);
    p->producer = p->consumer = (struct wire_end){ .ring = p->ring, .data = p->data, .size = size, .alive = always };
}

static void pair_close(struct pair *p)
{
    unfence((uint8_t *)p->ring, sizeof *p->ring);
    unfence(p->data, p->size);
}

/* Begins the pair anew with the position near a wrap of the ring and, at -1 - small, of the counter itself. */
static void pair_begin_at(struct pair *p, uint64_t position)
{
    memset((void *)p->ring, 0, sizeof *p->ring);
    atomic_store(&p->ring->head, position);
    atomic_store(&p->ring->tail, position);
    p->producer.position = p->producer.peer = p->consumer.position = p->consumer.peer = position;
}

struct traffic {
    struct pair *pair;
    uint64_t seed, frames, max_bytes;
    unsigned pause_one_in;            /* 0: never */
    uint64_t max_pause_us;
    bool stamped;                     /* the first 8 bytes of a frame say when it was written */
    uint64_t late;                    /* frames that a sleeping consumer met long after they were written */
    uint64_t poll_ns;
};

static void maybe_pause(const struct traffic *t, uint64_t *random)
{
    if (t->pause_one_in && below(random, t->pause_one_in) == 0)
        usleep((useconds_t)below(random, t->max_pause_us + 1));
}

static void fill(uint64_t *random, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = i % 8 ? (uint8_t)(p[i - 1] * 5 + 1) : (uint8_t)next_random(random);
}

static void *produce(void *arg)
{
    struct traffic *t = arg;
    uint64_t random = t->seed, pauses = t->seed + 1;
    uint8_t *buf = malloc(t->max_bytes + 8);
    for (uint64_t i = 0; i < t->frames; i++) {
        uint32_t n = (uint32_t)below(&random, t->max_bytes + 1);
        fill(&random, buf, n);
        if (t->stamped && n >= 8)
            memcpy(buf, &(uint64_t){ clock_now_ns() }, 8);
        maybe_pause(t, &pauses);
        if (wire_ring_write(&t->pair->producer, (uint16_t)(i % 60000 + 1), (uint16_t)n, buf, n) != 0) {
            free(buf);
            return (void *)"write failed";
        }
    }
    free(buf);
    return NULL;
}

#define LATE_NS (90 * NS_PER_MS)      /* a sleep looks again after 100 ms: a lost wake-up shows as about that */

static void note_lateness(struct traffic *t, uint8_t *buf, uint64_t slept_since, uint64_t random_first)
{
    uint64_t written, now = clock_now_ns();
    memcpy(&written, buf, 8);
    t->late += slept_since < written && now - written > LATE_NS;
    memcpy(buf, &random_first, 8);
}

static const char *consume(struct traffic *t)
{
    uint64_t random = t->seed, pauses = t->seed + 2;
    _cleanup_free_ uint8_t *want = malloc(t->max_bytes + 8), *got = malloc(t->max_bytes + 8);
    for (uint64_t i = 0; i < t->frames; i++) {
        struct wire_frame f;
        uint32_t n = (uint32_t)below(&random, t->max_bytes + 1);
        fill(&random, want, n);
        maybe_pause(t, &pauses);
        uint64_t begun = clock_now_ns();
        if (wire_ring_wait(&t->pair->consumer, i % 3 ? 0 : 20000) != 0 || wire_ring_take(&t->pair->consumer, &f, sizeof f) != 0)
            return "waiting failed";
        if (f.bytes != n || f.op != i % 60000 + 1 || f.flags != (uint16_t)n)
            return "another frame than the one written";
        if (wire_ring_take(&t->pair->consumer, got, n) != 0)
            return "taking failed";
        if (t->stamped && n >= 8) {
            uint64_t first;
            memcpy(&first, want, 8);
            note_lateness(t, got, begun, first);
        }
        if (memcmp(want, got, n))
            return "other bytes than those written";
    }
    return wire_ring_available(&t->pair->consumer) == 0 ? NULL : "bytes are left";
}

static void run_traffic(struct traffic *t)
{
    pthread_t thread;
    void *problem;
    t->pair->consumer.poll_ns = t->poll_ns;
    assert_int_equal(pthread_create(&thread, NULL, produce, t), 0);
    const char *own = consume(t);
    if (own)
        fail_msg("%s", own);
    assert_int_equal(pthread_join(thread, &problem), 0);
    if (problem)
        fail_msg("%s", (const char *)problem);
}

static void frames_of_any_size_pass_unchanged(void **state)
{
    static const struct { uint64_t ring, max_bytes, frames; } cases[] = {
        { 64, 20, 20000 },              /* several wraps a frame or two */
        { 4096, 300, 100000 },
        { 4096, 3 * 4096, 4000 },       /* many larger than the ring */
        { 4096, 4096 - sizeof(struct wire_frame), 10000 },
        { 1 << 16, 1 << 20, 120 },
    };
    static const uint64_t starts[] = { 0, 17, UINT64_MAX - 1000 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
            struct pair p;
            pair_open(&p, cases[i].ring);
            pair_begin_at(&p, starts[s]);
            run_traffic(&(struct traffic){ .pair = &p, .seed = 99 + i + 10 * s, .frames = cases[i].frames, .max_bytes = cases[i].max_bytes });
            pair_close(&p);
        }
}

/* Both sides fall asleep and are woken hundreds of thousands of times. Losing one shows as a frame met about 100 ms after it was written. A
 * crowded machine may delay a few as long; a wake-up that is missing in the code delays thousands. */
static void wake_ups_are_not_lost(void **state)
{
    static const struct { uint64_t ring, frames; unsigned pause_one_in; uint64_t max_pause_us; } cases[] = {
        { 1 << 16, 300000, 100, 80 },   /* the consumer sleeps for data */
        { 256, 200000, 200, 60 },       /* the producer sleeps for room as well */
        { 4096, 100000, 0, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pair p;
        pair_open(&p, cases[i].ring);
        struct traffic t = { .pair = &p, .seed = 5 + i, .frames = cases[i].frames, .max_bytes = 40, .pause_one_in = cases[i].pause_one_in,
                             .max_pause_us = cases[i].max_pause_us, .stamped = true };
        run_traffic(&t);
        if (t.late > 20)
            fail_msg("ring of %d bytes: %d frames were met 90 ms or more after they were written", (int)p.size, (int)t.late);
        pair_close(&p);
    }
}

/* As the worker reads a frame larger than the ring: it polls, since the bell is another thread's. */
static void polling_consumer_needs_no_bell(void **state)
{
    struct pair p;
    pair_open(&p, 4096);
    run_traffic(&(struct traffic){ .pair = &p, .seed = 3, .frames = 300, .max_bytes = 20000, .poll_ns = 50 * NS_PER_US });
    assert_int_equal(atomic_load(&p.ring->data_wait), 0);
    pair_close(&p);
}

static void frame_that_fits_appears_at_once(void **state)
{
    struct pair p;
    struct wire_frame f;
    uint8_t payload[1000], got[1000];
    pair_open(&p, 1024);
    pair_begin_at(&p, 900);
    fill(&(uint64_t){ 1 }, payload, sizeof payload);
    assert_int_equal(wire_ring_write(&p.producer, 9, 8, payload, 500), 0);
    assert_int_equal(wire_ring_available(&p.consumer), sizeof f + 500);
    assert_int_equal(atomic_load(&p.ring->head), 900 + sizeof f + 500);
    wire_ring_peek(&p.consumer, &f, sizeof f);
    assert_int_equal(f.bytes, 500);
    assert_int_equal(atomic_load(&p.ring->tail), 900);       /* a look takes nothing */
    assert_int_equal(wire_ring_take(&p.consumer, &f, sizeof f), 0);
    assert_int_equal(wire_ring_take(&p.consumer, got, 500), 0);
    assert_memory_equal(got, payload, 500);
    assert_int_equal(wire_ring_write(&p.producer, 1, 0, NULL, 0), 0);
    assert_int_equal(wire_ring_available(&p.consumer), sizeof f);
    pair_close(&p);
}

/* ---- the peer lies, or is gone ---- */

static void impossible_positions_are_refused(void **state)
{
    static const uint64_t lies[] = { 4097, 5000, UINT64_C(1) << 40, UINT64_MAX, UINT64_MAX - 4096, (uint64_t)INT64_MAX };
    struct pair p;
    uint8_t buf[4096];
    pair_open(&p, 4096);
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        pair_begin_at(&p, 1000);
        atomic_store(&p.ring->head, 1000 + lies[i]);         /* far ahead, or (wrapped) backwards */
        assert_int_equal(wire_ring_available(&p.consumer), -EPROTO);
        assert_int_equal(wire_ring_take(&p.consumer, buf, 8), -EPROTO);
        assert_int_equal(wire_ring_wait(&p.consumer, 0), -EPROTO);
        pair_begin_at(&p, 1000);
        assert_int_equal(wire_ring_write(&p.producer, 1, 0, buf, 4080), 0);
        atomic_store(&p.ring->tail, 1000 + 4088 + lies[i]);  /* took more than there was, or gives some back */
        if (lies[i] != UINT64_MAX)
            assert_int_equal(wire_ring_write(&p.producer, 1, 0, buf, 100), -EPROTO);
    }
    pair_close(&p);
}

static _Atomic bool scribbling;

static void *scribble(void *arg)
{
    struct pair *p = arg;
    uint64_t random = 11;
    while (atomic_load(&scribbling)) {
        _Atomic uint64_t *word = below(&random, 2) ? &p->ring->head : &p->ring->tail;
        atomic_store(word, below(&random, 3) ? atomic_load(word) + below(&random, 9000) - 4500 : next_random(&random));
        p->data[below(&random, p->size)] ^= 0xff;
    }
    return NULL;
}

/* Whatever stands in the shared words, an end stays inside its memory (the fences see to that) and comes back. */
static void scribbled_ring_does_no_harm(void **state)
{
    struct pair p;
    pthread_t thread;
    uint8_t buf[6000] = { 0 };
    uint64_t random = 12;
    int errors = 0;
    pair_open(&p, 4096);
    atomic_store(&scribbling, true);
    assert_int_equal(pthread_create(&thread, NULL, scribble, &p), 0);
    for (int i = 0; i < 20000; i++) {
        uint32_t n = (uint32_t)below(&random, sizeof buf);
        uint64_t at = atomic_load(&p.ring->tail);
        p.producer.position = p.producer.peer = p.consumer.position = p.consumer.peer = at;
        p.producer.alive = p.consumer.alive = never;
        if (i % 2) {
            int r = wire_ring_write(&p.producer, 1, 0, buf, n);
            assert_true(r == 0 || r == -EPROTO || r == -EPIPE);
            errors += r < 0;
        } else {
            /* What is there at this moment may be gone in the next: then taking waits, and finds nobody alive. */
            int64_t have = wire_ring_available(&p.consumer);
            int r = have < 0 ? (int)have : wire_ring_take(&p.consumer, buf, MIN(n, (uint64_t)have));
            assert_true(r == 0 || r == -EPROTO || r == -EPIPE);
            errors += r < 0;
        }
    }
    atomic_store(&scribbling, false);
    pthread_join(thread, NULL);
    assert_true(errors > 0);
    pair_close(&p);
}

static void dead_peer_ends_every_wait(void **state)
{
    struct pair p;
    uint8_t buf[8192] = { 0 };
    pair_open(&p, 4096);
    p.producer.alive = p.consumer.alive = never;
    assert_int_equal(wire_ring_wait(&p.consumer, 0), -EPIPE);
    assert_int_equal(wire_ring_wait(&p.consumer, 1000), -EPIPE);
    assert_int_equal(wire_ring_take(&p.consumer, buf, 1), -EPIPE);
    assert_int_equal(wire_ring_write(&p.producer, 1, 0, buf, 4000), 0);      /* there is room: no wait, no question */
    assert_int_equal(wire_ring_write(&p.producer, 1, 0, buf, 4000), -EPIPE);
    assert_int_equal(wire_ring_take(&p.consumer, buf, 4008), 0);
    assert_int_equal(wire_ring_write(&p.producer, 1, 0, buf, sizeof buf), -EPIPE);   /* larger than the ring: stops half-way */
    pair_close(&p);
}

static bool child_lives(void *arg) { return waitpid(*(pid_t *)arg, NULL, WNOHANG) == 0; }

static pid_t child_that(void (*body)(struct pair *), struct pair *p)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        body(p);
        _exit(0);
    }
    return pid;
}

static void write_all(struct pair *p)
{
    struct traffic t = { .pair = p, .seed = 77, .frames = 50000, .max_bytes = 600, .pause_one_in = 300, .max_pause_us = 100 };
    _exit(produce(&t) != NULL);
}

static void frames_pass_between_processes(void **state)
{
    struct pair p;
    int status = 0;
    pair_open(&p, 4096);
    pid_t pid = child_that(write_all, &p);
    struct traffic t = { .pair = &p, .seed = 77, .frames = 50000, .max_bytes = 600, .pause_one_in = 500, .max_pause_us = 100 };
    const char *problem = consume(&t);
    if (problem)
        fail_msg("%s", problem);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    pair_close(&p);
}

static void write_half_and_hang(struct pair *p)
{
    struct wire_frame f = { 5000, 1, 0 };
    memcpy(p->data, &f, sizeof f);
    atomic_store(&p->ring->head, 100);
    for (;;)
        pause();
}

static void *kill_soon(void *arg)
{
    usleep(30000);
    kill(*(pid_t *)arg, SIGKILL);
    return NULL;
}

/* The peer is killed in the middle of a frame, while this end sleeps. */
static void killed_peer_ends_a_sleep(void **state)
{
    struct pair p;
    pthread_t thread;
    uint8_t buf[6000];
    struct wire_frame f;
    pair_open(&p, 4096);
    pid_t pid = child_that(write_half_and_hang, &p);
    p.consumer.alive = child_lives;
    p.consumer.alive_arg = &pid;
    assert_int_equal(wire_ring_wait(&p.consumer, 0), 0);
    assert_int_equal(wire_ring_take(&p.consumer, &f, sizeof f), 0);
    assert_int_equal(pthread_create(&thread, NULL, kill_soon, &pid), 0);
    assert_int_equal(wire_ring_take(&p.consumer, buf, f.bytes), -EPIPE);
    pthread_join(thread, NULL);
    pair_close(&p);
}

/* ---- the generator ---- */

/* What generate.py says of a spec: its exit status, its words in `said`. */
static int generate(const char *spec, const char *target, char *said, size_t size)
{
    char folder[] = "/tmp/tranche-wire.XXXXXX", path[64], command[1024];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/spec", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(spec, f);
    fclose(f);
    snprintf(command, sizeof command, "'%s' '%s' %s %s %s/out 2>&1", getenv("PYTHON"), getenv("GENERATE"), path, target, folder);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    said[fread(said, 1, size - 1, pipe)] = '\0';
    int status = pclose(pipe);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    return WEXITSTATUS(status);
}

static void bad_spec_lines_fail(void **state)
{
    static const struct { const char *spec, *word; } cases[] = {
        { "sync broken", "broken" },
        { "banana x (u32 a)", "banana" },
        { "sync asks (u32 a)", "asks" },                       /* a question without an answer */
        { "async tells (u32 a) -> (u32 b)", "tells" },
        { "async odd (u128 a)", "u128" },
        { "async odd (u32)", "odd" },
        { "async twice (u32 a)\nasync twice (u32 a)", "twice" },
        { "async one (u32 a)\ncall clFlush two", "two" },      /* carried by a message that is not there */
    };
    char said[4096];
    if (!getenv("GENERATE"))
        skip();
    assert_int_equal(generate("# a comment\n\nasync one (u32 a)\nsync two (id a, blob b) -> (i32 error)\n", "messages", said, sizeof said), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int status = generate(cases[i].spec, "messages", said, sizeof said);
        if (status != 1 || !strstr(said, cases[i].word) || strstr(said, "Traceback"))
            fail_msg("'%s' ends with %d and says: %s", cases[i].spec, status, said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_survive_every_cut), cmocka_unit_test(random_bytes_never_read_outside), cmocka_unit_test(blobs_end_where_the_frame_ends),
        cmocka_unit_test(encoder_grows_to_its_limit_and_no_further), cmocka_unit_test(operations_have_names),
        cmocka_unit_test(frames_of_any_size_pass_unchanged), cmocka_unit_test(frame_that_fits_appears_at_once), cmocka_unit_test(wake_ups_are_not_lost),
        cmocka_unit_test(polling_consumer_needs_no_bell), cmocka_unit_test(impossible_positions_are_refused), cmocka_unit_test(scribbled_ring_does_no_harm),
        cmocka_unit_test(dead_peer_ends_every_wait), cmocka_unit_test(frames_pass_between_processes), cmocka_unit_test(killed_peer_ends_a_sleep),
        cmocka_unit_test(bad_spec_lines_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

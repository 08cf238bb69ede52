/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers to and from objects that do not live in the arena: chunks of a buffer, or bands of an image, through the windows at the arena's start. */
#include "guest/opencl/guest.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <string.h>

static struct { pthread_mutex_t lock; pthread_cond_t freed; unsigned used; cl_command_queue queue; } streams =
    { .lock = PTHREAD_MUTEX_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER };

void transfers_fork(enum fork_step step)
{
    fork_lock(&streams.lock, step);
    if (step != FORK_CHILD)
        return;
    pthread_cond_init(&streams.freed, NULL);
    streams.used = 0;
    streams.queue = NULL;
}

/* All streams share one queue in the worker, made at the first use: what must come before has been waited for. */
static cl_command_queue stream_queue(void)
{
    pthread_mutex_lock(&streams.lock);
    if (!streams.queue)
        streams.queue = queue_internal();
    pthread_mutex_unlock(&streams.lock);
    return streams.queue;
}

static uint32_t channel_take(void)
{
    pthread_mutex_lock(&streams.lock);
    while (streams.used == (1u << WIRE_STREAM_CHANNELS) - 1)
        pthread_cond_wait(&streams.freed, &streams.lock);
    uint32_t c = (uint32_t)__builtin_ctz(~streams.used);
    streams.used |= 1u << c;
    pthread_mutex_unlock(&streams.lock);
    return c;
}

static void channel_give(uint32_t c)
{
    pthread_mutex_lock(&streams.lock);
    streams.used &= ~(1u << c);
    pthread_cond_signal(&streams.freed);
    pthread_mutex_unlock(&streams.lock);
}

/* Waits until *counter has reached n (modulo 2^32). */
static bool channel_wait(struct link *l, _Atomic uint32_t *counter, _Atomic uint32_t *waiting, uint32_t n)
{
    struct wire_spin spin = { .limit = wire_spin_ns(&l->header->worker_cpu, l->spin_ns) };
    for (;;) {
        uint32_t now = atomic_load_explicit(counter, memory_order_acquire);
        if ((int32_t)(now - n) >= 0)
            return true;
        if (wire_spin(&spin))
            continue;
        if (!link_alive(l))
            return false;
        atomic_store(waiting, 1);
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load(counter) == now)
            wire_futex_wait(counter, now, 100 * NS_PER_MS);
    }
}

static void channel_advance(_Atomic uint32_t *counter, _Atomic uint32_t *waiting)
{
    atomic_fetch_add(counter, 1);
    if (atomic_exchange(waiting, 0))
        wire_futex_wake(counter, 1);
}

static cl_int stream(cl_mem mem, bool write, uint8_t *host, uint64_t offset, uint64_t size)
{
    struct link *l = link_current();
    cl_command_queue q = l ? stream_queue() : NULL;
    struct command c;
    if (!q)
        return CL_OUT_OF_RESOURCES;
    uint32_t channel = channel_take(), chunks = (uint32_t)((size + WIRE_STREAM_CHUNK_BYTES - 1) / WIRE_STREAM_CHUNK_BYTES);
    struct wire_channel *ch = &l->header->channels[channel];
    uint8_t *window = l->arena + channel * WIRE_STREAM_CHUNKS * WIRE_STREAM_CHUNK_BYTES;
    atomic_store(&ch->filled, 0);
    atomic_store(&ch->drained, 0);
    command_begin(&c, 0, NULL);
    if (write)
        wire_put_stream_write(&c.out, &(struct wire_stream_write){ mem->base.id, offset, size, channel });
    else
        wire_put_stream_read(&c.out, &(struct wire_stream_read){ mem->base.id, offset, size, channel });
    cl_int r = command_push(&c, write ? WIRE_OP_stream_write : WIRE_OP_stream_read, q, 0, NULL);
    for (uint32_t i = 0; r == CL_SUCCESS && i < chunks; i++) {
        uint8_t *at = window + i % WIRE_STREAM_CHUNKS * WIRE_STREAM_CHUNK_BYTES, *mine = host + i * WIRE_STREAM_CHUNK_BYTES;
        uint64_t n = MIN(WIRE_STREAM_CHUNK_BYTES, size - i * WIRE_STREAM_CHUNK_BYTES);
        if (write) {
            if (i >= WIRE_STREAM_CHUNKS && !channel_wait(l, &ch->drained, &ch->drained_wait, i + 1 - WIRE_STREAM_CHUNKS))
                r = CL_OUT_OF_RESOURCES;
            else
                memcpy(at, mine, n);
            channel_advance(&ch->filled, &ch->filled_wait);
        } else {
            if (!channel_wait(l, &ch->filled, &ch->filled_wait, i + 1))
                r = CL_OUT_OF_RESOURCES;
            else
                memcpy(mine, at, n);
            channel_advance(&ch->drained, &ch->drained_wait);
        }
    }
    if (r == CL_SUCCESS)
        r = queue_drain(q);
    channel_give(channel);
    return r;
}

/* ---- images ---- */

/* A part of the transfer's region that fits a chunk, in pixels: whole rows, or a piece of one. */
struct band { size_t origin[3], region[3]; };

/* The band at `at`, which moves on; false at the end. */
static bool next_band(const struct transfer *t, size_t at[3], struct band *ret)
{
    size_t element = t->mem->image->element, width = t->region[0] / element, height = t->region[1], most = WIRE_STREAM_CHUNK_BYTES / element;
    if (at[2] == t->region[2])
        return false;
    size_t rows = width <= most ? MIN(most / width, height - at[1]) : 1, n = MIN(width - at[0], most);
    *ret = (struct band){ { at[0], at[1], at[2] }, { n, rows, 1 } };
    at[0] += n;
    if (at[0] < width)
        return true;
    at[0] = 0;
    at[1] += rows;
    if (at[1] == height) {
        at[1] = 0;
        at[2]++;
    }
    return true;
}

/* Between the application's memory and a window, where rows stand without gaps. */
static void copy_band(const struct transfer *t, const struct band *b, uint8_t *window)
{
    size_t element = t->mem->image->element, n = b->region[0] * element;
    uint8_t *host = t->host + t->host_start + b->origin[2] * t->host_slice + b->origin[1] * t->host_row + b->origin[0] * element;
    for (size_t y = 0; y < b->region[1]; y++, host += t->host_row, window += n)
        memcpy(t->write ? window : host, t->write ? host : window, n);
}

static cl_int push_band(const struct transfer *t, const struct band *b, uint32_t window, cl_command_queue q, uint64_t *ret_sequence)
{
    struct command c;
    struct wire_write_image m = { .image = t->mem->base.id, .window = window };
    for (int i = 0; i < 3; i++) {
        m.origin[i] = t->origin[i] + b->origin[i];
        m.region[i] = b->region[i];
    }
    command_begin(&c, 0, NULL);
    wire_put_write_image(&c.out, &m);        /* both directions have the same fields */
    cl_int r = command_push(&c, t->write ? WIRE_OP_write_image : WIRE_OP_read_image, q, 0, NULL);
    *ret_sequence = queue_last(q);           /* this one's, or that of a later one of another thread */
    return r;
}

static cl_int stream_image(const struct transfer *t)
{
    struct link *l = link_current();
    cl_command_queue q = l ? stream_queue() : NULL;
    struct band bands[WIRE_STREAM_CHUNKS];
    uint64_t sequence[WIRE_STREAM_CHUNKS];
    size_t at[3] = { 0 };
    cl_int r = CL_SUCCESS;
    if (!q)
        return CL_OUT_OF_RESOURCES;
    uint32_t channel = channel_take(), pushed = 0, done = 0;
    for (bool more = true; r == CL_SUCCESS && (more || done < pushed);) {
        uint32_t i = (more && pushed - done < WIRE_STREAM_CHUNKS ? pushed : done) % WIRE_STREAM_CHUNKS, window = channel * WIRE_STREAM_CHUNKS + i;
        uint8_t *memory = l->arena + window * WIRE_STREAM_CHUNK_BYTES;
        if (more && pushed - done < WIRE_STREAM_CHUNKS) {
            if (!(more = next_band(t, at, &bands[i])))
                continue;
            if (t->write)
                copy_band(t, &bands[i], memory);
            r = push_band(t, &bands[i], window, q, &sequence[i]);
            pushed++;
        } else {
            if (link_wait_queue(l, q->state, sequence[i]) < 0)
                r = CL_OUT_OF_RESOURCES;
            else if (!t->write)
                copy_band(t, &bands[i], memory);
            done++;
        }
    }
    channel_give(channel);
    return r;
}

cl_int transfer_stream(const struct transfer *t)
{
    if (t->mem->image)
        return stream_image(t);
    cl_int r = CL_SUCCESS;
    for (uint64_t z = 0; r == CL_SUCCESS && z < t->region[2]; z++)
        for (uint64_t y = 0; r == CL_SUCCESS && y < t->region[1]; y++)
            r = stream(t->mem, t->write, t->host + t->host_start + z * t->host_slice + y * t->host_row,
                       t->mem_start + z * t->mem_slice + y * t->mem_row, t->region[0]);
    return r;
}

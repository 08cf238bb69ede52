/* SPDX-License-Identifier: Apache-2.0 */
/* Prints where the words of the shared region are, a "NAME NUMBER" a line, for the tests that write them by hand. */
#include "wire/handshake.h"
#include "wire/messages.h"
#include "wire/ring.h"

#include <stddef.h>
#include <stdio.h>

#define AT(member) printf("%s %zu\n", #member, offsetof(struct wire_header, member))
#define NUMBER(name) printf("%s %llu\n", #name, (unsigned long long)(name))

static void print_ring(const char *name, size_t at)
{
#define IN_RING(member) printf("%s.%s %zu\n", name, #member, at + offsetof(struct wire_ring, member))
    IN_RING(head);
    IN_RING(tail);
    IN_RING(data_bell);
    IN_RING(data_wait);
    IN_RING(space_bell);
    IN_RING(space_wait);
}

static void print_channels(void)
{
    for (size_t i = 0; i < WIRE_STREAM_CHANNELS; i++) {
        size_t at = offsetof(struct wire_header, channels) + i * sizeof(struct wire_channel);
        printf("channel%zu.filled %zu\n", i, at + offsetof(struct wire_channel, filled));
        printf("channel%zu.drained %zu\n", i, at + offsetof(struct wire_channel, drained));
    }
}

int main(void)
{
    AT(version);
    AT(flags);
    AT(region_bytes);
    AT(arena_offset);
    AT(arena_bytes);
    AT(device_clock_minus_monotonic_ns);
    AT(worker_cpu);
    AT(client_cpu);
    AT(completion_bell);
    AT(completion_wait);
    print_ring("command", offsetof(struct wire_header, command));
    print_ring("reply", offsetof(struct wire_header, reply));
    print_channels();
    NUMBER(WIRE_MAGIC);
    NUMBER(WIRE_VERSION);
    NUMBER(WIRE_COMMAND_RING_BYTES);
    NUMBER(WIRE_REPLY_RING_BYTES);
    NUMBER(WIRE_COMMAND_OFFSET);
    NUMBER(WIRE_REPLY_OFFSET);
    NUMBER(WIRE_QUEUES_OFFSET);
    NUMBER(WIRE_EVENTS_OFFSET);
    NUMBER(WIRE_ARENA_OFFSET);
    NUMBER(WIRE_MAX_QUEUES);
    NUMBER(WIRE_MAX_EVENTS);
    NUMBER(WIRE_MAX_OBJECTS);
    NUMBER(WIRE_MAX_WAIT_LIST);
    NUMBER(WIRE_FRAME_MAX);
    NUMBER(WIRE_NO_EVENT);
    for (unsigned op = 1; op < WIRE_OP_COUNT; op++)
        printf("op.%s %u\n", wire_op_to_string(op), op);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: what a tenant's bytes meet in the worker before any driver call. The first byte chooses the way in: a message's decoder, or a whole command
 * with its wait list, handles and kernel arguments. Beside the sanitizers: what was decoded encodes to the same bytes, no reference is lost, and a command
 * that counts as staying inside its buffers does so in 128-bit arithmetic. */
#include "worker/commands.c"
#include "worker/cut.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct session fuzz_session;
static struct object *all[8];
enum { QUEUE_ID = 1, BUFFER_ID, OTHER_ID, IMAGE_ID, KERNEL_ID, SAMPLER_ID, PROGRAM_ID };

#define MUST(condition) ({ if (!(condition)) { fprintf(stderr, "not so: %s\n", #condition); abort(); } })

/* In a worker this ends the process; nothing here may get so far. */
void session_fail(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    abort();
}

static void give(uint32_t id, enum object_kind kind)
{
    all[id] = object_new(&fuzz_session, kind);
    objects_put(id, all[id]);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    give(QUEUE_ID, OBJECT_QUEUE);
    give(BUFFER_ID, OBJECT_MEM);
    give(OTHER_ID, OBJECT_MEM);
    give(IMAGE_ID, OBJECT_MEM);
    give(KERNEL_ID, OBJECT_KERNEL);
    give(SAMPLER_ID, OBJECT_SAMPLER);
    give(PROGRAM_ID, OBJECT_PROGRAM);
    all[BUFFER_ID]->u.mem.size = 65536;
    all[OTHER_ID]->u.mem.size = 1;
    all[IMAGE_ID]->u.mem.size = 4096;
    all[IMAGE_ID]->u.mem.image = true;
    all[KERNEL_ID]->u.kernel.nargs = 3;
    return 0;
}

/* ---- messages ---- */

#define ROUND_TRIP(name) { \
        struct wire_##name m; \
        struct wire_out out = { 0 }; \
        wire_get_##name(&in, &m); \
        wire_put_##name(&out, &m); \
        MUST(in.pos <= in.len); \
        MUST(in.bad || (out.len == in.pos && (out.len == 0 || memcmp(out.buf, in.buf, out.len) == 0))); \
        wire_out_done(&out); \
        break; }
#define MESSAGE(name) case WIRE_OP_##name: ROUND_TRIP(name)
#define ANSWER(name) case WIRE_OP_COUNT + WIRE_OP_##name: ROUND_TRIP(name##_answer)

static void decode_message(unsigned op, const uint8_t *data, size_t size)
{
    struct wire_in in = { data, size, 0, false };
    switch (op % (2 * WIRE_OP_COUNT)) {
    WIRE_SYNC_MESSAGES(MESSAGE)
    WIRE_ASYNC_MESSAGES(MESSAGE)
    WIRE_COMMAND_MESSAGES(MESSAGE)
    WIRE_SYNC_MESSAGES(ANSWER)
    }
}

/* ---- commands ---- */

typedef unsigned __int128 wide;

static bool wide_rect_inside(const struct object *mem, const uint64_t origin[3], const uint64_t region[3], uint64_t row, uint64_t slice)
{
    wide r = row ? row : region[0], s = slice ? slice : r * region[1], size = mem->u.mem.size;
    for (int i = 0; i < 3; i++)
        if (!region[i])
            return false;
    wide y = (wide)origin[1] + region[1] - 1, z = (wide)origin[2] + region[2] - 1;
    /* One step beyond the memory settles it; without this three factors of 64 bits would wrap around even here. */
    if ((y && r > size) || (z && s > size))
        return false;
    return (z ? z * s : 0) + (y ? y * r : 0) + origin[0] + region[0] <= size;
}

static bool wide_inside(const struct object *mem, uint64_t offset, uint64_t size) { return (wide)offset + size <= mem->u.mem.size; }

static bool stays_inside_widely(const struct command *c)
{
    const struct object *a = c->objects[0], *b = c->objects[1];
    const struct wire_copy_rect *r = &c->u.copy_rect;
    switch (c->op) {
    case WIRE_OP_write_inline: return wide_inside(a, c->u.write_inline.offset, c->u.write_inline.data.size);
    case WIRE_OP_fill: return wide_inside(a, c->u.fill.offset, c->u.fill.size);
    case WIRE_OP_copy: return wide_inside(a, c->u.copy.source_offset, c->u.copy.size) && wide_inside(b, c->u.copy.target_offset, c->u.copy.size);
    case WIRE_OP_copy_rect:
        return wide_rect_inside(a, r->source_origin, r->region, r->source_row, r->source_slice) &&
               wide_rect_inside(b, r->target_origin, r->region, r->target_row, r->target_slice);
    default: return stays_inside(c);
    }
}

static void check_command(const struct command *c, const uint8_t *frame, uint32_t bytes)
{
    MUST(c->nwaits <= WIRE_MAX_WAIT_LIST);
    MUST(c->nwaits == 0 || (c->waits >= frame && c->waits + c->nwaits * sizeof(struct wire_event_ref) <= frame + bytes));
    MUST(c->event.slot == WIRE_NO_EVENT || c->event.slot < WIRE_MAX_EVENTS);
    for (uint32_t i = 0; i < c->nobjects; i++)
        MUST(c->objects[i] || (c->op == WIRE_OP_ndrange && i > 0));
    if (c->op != WIRE_OP_ndrange && c->op != WIRE_OP_marker)
        MUST(stays_inside(c) == stays_inside_widely(c));
}

static void decode_command(unsigned op, const uint8_t *data, size_t size)
{
    if (size > 100000 || !wire_op_is_command(op))
        return;
    struct command *c = command_new((uint32_t)size);
    c->op = op;
    memcpy(c->frame, data, size);
    if (command_decode(&fuzz_session, c, (uint32_t)size))
        check_command(c, c->frame, (uint32_t)size);
    command_free(c);
    MUST(commands_held_bytes() == 0);
    for (uint32_t id = QUEUE_ID; id <= PROGRAM_ID; id++)
        MUST(atomic_load(&all[id]->refs) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    /* Exactly as long as it is, so that the sanitizer sees the first byte behind it. */
    uint8_t *copy = malloc(size);
    memcpy(copy, data, size);
    switch (copy[0] % 4) {
    case 0: decode_message(copy[1], copy + 2, size - 2); break;
    case 1: cut_from_text((const char *)copy + 1, size - 1); break;
    default: decode_command(copy[1] % WIRE_OP_COUNT, copy + 2, size - 2); break;
    }
    free(copy);
    return 0;
}

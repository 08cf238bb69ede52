/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: maps, host pointers, sub-buffers. */
#include "cl_check.h"

enum { N = 100000 };

static void triple(cl_mem m, size_t items)
{
    cl_kernel k = kernel("triple");
    set_args(k, 1, ARG(m));
    run_kernel(queue, k, items);
    CL(clReleaseKernel(k));
}

static uint32_t *map(cl_mem m, cl_bool blocking, cl_map_flags flags, size_t offset, size_t size, cl_event *event)
{
    return MAKE(clEnqueueMapBuffer(queue, m, blocking, flags, offset, size, 0, NULL, event, &error_));
}

static void read_and_write_maps(void)
{
    static uint32_t data[N];
    for (uint32_t i = 0; i < N; i++)
        data[i] = i;
    cl_mem m = buffer_with(sizeof data, data);
    triple(m, N);
    uint32_t *p = map(m, CL_TRUE, CL_MAP_READ, 0, sizeof data, NULL);
    for (uint32_t i = 0; i < N; i++)
        CHECK(p[i] == 3 * i + 1, "item %u", i);
    CL(clEnqueueUnmapMemObject(queue, m, p, 0, NULL, NULL));
    p = map(m, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 4000, 8000, NULL);
    CHECK(p[0] == 3001);
    for (uint32_t i = 0; i < 2000; i++)
        p[i] = 7 * i;
    CL(clEnqueueUnmapMemObject(queue, m, p, 0, NULL, NULL));
    triple(m, N);
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, sizeof data, data, 0, NULL, NULL));
    CHECK(data[999] == 3 * (3 * 999 + 1) + 1);
    CHECK(data[1000] == 1 && data[2999] == 3 * 7 * 1999 + 1);
    CHECK(data[3000] == 3 * (3 * 3000 + 1) + 1);
}

static void invalidating_map(void)
{
    static uint32_t data[N];
    cl_mem m = buffer_with(sizeof data, data);
    uint32_t *p = map(m, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, 400, 4000, NULL);
    for (uint32_t i = 0; i < 1000; i++)
        p[i] = i + 1;
    CL(clEnqueueUnmapMemObject(queue, m, p, 0, NULL, NULL));
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, sizeof data, data, 0, NULL, NULL));
    CHECK(data[99] == 0 && data[100] == 1 && data[1099] == 1000 && data[1100] == 0);
}

static void map_waits_for_what_is_before_it(void)
{
    static uint32_t data[N];
    cl_mem m = buffer_with(sizeof data, data);
    cl_kernel k = kernel("triple");
    cl_event gate = user_event(), mapped;
    set_args(k, 1, ARG(m));
    CL(clReleaseEvent(launch(queue, k, N, 1, &gate)));
    uint32_t *p = map(m, CL_FALSE, CL_MAP_READ, 0, sizeof data, &mapped);
    CL(clFlush(queue));
    pause_ms(10);
    CHECK(status_of(mapped) > CL_COMPLETE);
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clWaitForEvents(1, &mapped));
    CHECK(p[0] == 1 && p[N - 1] == 1);
    CL(clEnqueueUnmapMemObject(queue, m, p, 0, NULL, NULL));
    CL(clFinish(queue));
}

/* The unmap stands behind a command that this very thread lets go later: enqueueing it must not wait. */
static void unmap_behind_a_user_event_does_not_block(void)
{
    static uint32_t data[N], back[N];
    cl_mem m = buffer_with(sizeof data, data);
    cl_event gate = user_event(), unmapped;
    uint32_t *p = map(m, CL_TRUE, CL_MAP_WRITE, 0, sizeof data, NULL);
    for (uint32_t i = 0; i < N; i++)
        p[i] = i;
    CL(clEnqueueMarkerWithWaitList(queue, 1, &gate, NULL));
    CL(clEnqueueUnmapMemObject(queue, m, p, 0, NULL, &unmapped));
    CL(clFlush(queue));
    CHECK(status_of(unmapped) > CL_COMPLETE);
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    CL(clWaitForEvents(1, &unmapped));
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, sizeof back, back, 0, NULL, NULL));
    CHECK(back[1] == 1 && back[N - 1] == N - 1);
}

static void unmap_events_order_other_queues(void)
{
    static uint32_t data[N], back[N];
    cl_command_queue other = queue_with(0);
    cl_mem m = buffer_with(sizeof data, data);
    for (uint32_t round = 1; round <= 10; round++) {
        cl_event unmapped;
        uint32_t *p = map(m, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, 0, sizeof data, NULL);
        for (uint32_t i = 0; i < N; i++)
            p[i] = i * round;
        CL(clEnqueueUnmapMemObject(queue, m, p, 0, NULL, &unmapped));
        CL(clFlush(queue));
        CL(clEnqueueReadBuffer(other, m, CL_TRUE, 0, sizeof back, back, 1, &unmapped, NULL));
        CHECK(back[N - 1] == (N - 1) * round);
        CL(clReleaseEvent(unmapped));
    }
    CL(clReleaseCommandQueue(other));
}

static cl_uint map_count(cl_mem m)
{
    cl_uint n = 99;
    CL(clGetMemObjectInfo(m, CL_MEM_MAP_COUNT, sizeof n, &n, NULL));
    return n;
}

static void several_maps_at_once(void)
{
    enum { PARTS = 8, EACH = 4096 };
    static uint32_t data[PARTS * EACH / 4];
    uint32_t *part[PARTS];
    cl_mem m = buffer_with(sizeof data, data);
    for (uint32_t i = 0; i < PARTS; i++)
        part[i] = map(m, CL_TRUE, CL_MAP_WRITE, i * EACH, EACH, NULL);
    for (uint32_t i = 0; i < PARTS; i++)
        for (uint32_t j = 0; j < EACH / 4; j++)
            part[i][j] = i * 10000 + j;
    for (uint32_t i = 0; i < PARTS; i++)
        CL(clEnqueueUnmapMemObject(queue, m, part[(i * 3) % PARTS], 0, NULL, NULL));
    uint32_t *first = map(m, CL_TRUE, CL_MAP_READ, 0, sizeof data, NULL), *second = map(m, CL_TRUE, CL_MAP_READ, 0, sizeof data, NULL);
    for (uint32_t i = 0; i < PARTS * EACH / 4; i++)
        CHECK(first[i] == i / (EACH / 4) * 10000 + (i & (EACH / 4 - 1)) && second[i] == first[i], "item %u", i);
    CL(clEnqueueUnmapMemObject(queue, m, first, 0, NULL, NULL));
    CL(clEnqueueUnmapMemObject(queue, m, second, 0, NULL, NULL));
    CL(clFinish(queue));
    CHECK(map_count(m) == 0, "%u", map_count(m));
}

static void maps_are_counted(void)
{
    cl_mem m = buffer(4096);
    CHECK(map_count(m) == 0);
    uint32_t *a = map(m, CL_TRUE, CL_MAP_READ, 0, 100, NULL), *b = map(m, CL_TRUE, CL_MAP_READ, 200, 100, NULL);
    CHECK(map_count(m) == 2);
    CL(clEnqueueUnmapMemObject(queue, m, a, 0, NULL, NULL));
    CL(clEnqueueUnmapMemObject(queue, m, b, 0, NULL, NULL));
    CL(clFinish(queue));
    CHECK(map_count(m) == 0);
    EXPECT(CL_INVALID_VALUE, clEnqueueUnmapMemObject(queue, m, (char *)b + 1, 0, NULL, NULL));
}

static void maps_that_make_no_sense(void)
{
    cl_mem m = buffer(1000), none = MAKE(clCreateBuffer(context, CL_MEM_HOST_NO_ACCESS, 64, NULL, &error_)),
           wonly = MAKE(clCreateBuffer(context, CL_MEM_HOST_WRITE_ONLY, 64, NULL, &error_));
    REFUSED(CL_INVALID_VALUE, clEnqueueMapBuffer(queue, m, CL_TRUE, CL_MAP_READ, 0, 1001, 0, NULL, NULL, &error_));
    REFUSED(CL_INVALID_VALUE, clEnqueueMapBuffer(queue, m, CL_TRUE, CL_MAP_READ, 0, 0, 0, NULL, NULL, &error_));
    if (on_share)                  /* PoCL takes the two flags together */
        REFUSED(CL_INVALID_VALUE, clEnqueueMapBuffer(queue, m, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE_INVALIDATE_REGION, 0, 10, 0, NULL, NULL, &error_));
    REFUSED(CL_INVALID_OPERATION, clEnqueueMapBuffer(queue, none, CL_TRUE, CL_MAP_READ, 0, 10, 0, NULL, NULL, &error_));
    REFUSED(CL_INVALID_OPERATION, clEnqueueMapBuffer(queue, wonly, CL_TRUE, CL_MAP_READ, 0, 10, 0, NULL, NULL, &error_));
}

/* ---- host pointers ---- */

static void use_host_pointer(void)
{
    static uint32_t mine[N];
    void *told = NULL;
    for (uint32_t i = 0; i < N; i++)
        mine[i] = i;
    cl_mem m = MAKE(clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, sizeof mine, mine, &error_));
    CL(clGetMemObjectInfo(m, CL_MEM_HOST_PTR, sizeof told, &told, NULL));
    CHECK(told == mine);
    triple(m, N);
    uint32_t *p = map(m, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 400, 40000, NULL);
    CHECK(p == mine + 100, "a map of such a buffer is the program's own memory");
    CHECK(mine[100] == 301 && mine[10099] == 3 * 10099 + 1);
    mine[100] = 5;
    CL(clEnqueueUnmapMemObject(queue, m, p, 0, NULL, NULL));
    triple(m, N);
    p = map(m, CL_TRUE, CL_MAP_READ, 0, sizeof mine, NULL);
    CHECK(p == mine);
    CHECK(mine[100] == 16 && mine[101] == 3 * 304 + 1, "%u %u", mine[100], mine[101]);
    CL(clEnqueueUnmapMemObject(queue, m, p, 0, NULL, NULL));
    CL(clFinish(queue));
    CL(clReleaseMemObject(m));
}

static void alloc_host_pointer(void)
{
    static uint32_t data[N], back[N];
    for (uint32_t i = 0; i < N; i++)
        data[i] = ~i;
    cl_mem m = MAKE(clCreateBuffer(context, CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR, sizeof data, data, &error_));
    memset(data, 0, sizeof data);                 /* the copy was made when the buffer was */
    uint32_t *p = map(m, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, sizeof data, NULL);
    for (uint32_t i = 0; i < N; i++)
        CHECK(p[i] == ~i);
    p[17] = 4;
    CL(clEnqueueUnmapMemObject(queue, m, p, 0, NULL, NULL));
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, sizeof back, back, 0, NULL, NULL));
    CHECK(back[17] == 4 && back[18] == ~18u);
}

static void host_pointer_flags(void)
{
    char data[64];
    REFUSED(CL_INVALID_HOST_PTR, clCreateBuffer(context, CL_MEM_USE_HOST_PTR, 64, NULL, &error_));
    REFUSED(CL_INVALID_HOST_PTR, clCreateBuffer(context, CL_MEM_READ_WRITE, 64, data, &error_));
    REFUSED(CL_INVALID_VALUE, clCreateBuffer(context, CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR, 64, data, &error_));
    REFUSED(CL_INVALID_VALUE, clCreateBuffer(context, CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY, 64, NULL, &error_));
    REFUSED(CL_INVALID_VALUE, clCreateBuffer(context, CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS, 64, NULL, &error_));
    REFUSED(CL_INVALID_BUFFER_SIZE, clCreateBuffer(context, CL_MEM_READ_WRITE, 0, NULL, &error_));
    REFUSED(CL_INVALID_BUFFER_SIZE, clCreateBuffer(context, CL_MEM_READ_WRITE, SIZE_MAX / 2, NULL, &error_));
}

/* ---- sub-buffers ---- */

static size_t base_align(void)
{
    cl_uint bits = 0;
    CL(clGetDeviceInfo(device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, NULL));
    return bits / 8;
}

static cl_mem sub_buffer(cl_mem m, size_t origin, size_t size)
{
    cl_buffer_region r = { origin, size };
    return MAKE(clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &r, &error_));
}

static void sub_buffers_share_memory(void)
{
    static uint32_t data[N], back[N];
    size_t align = base_align();
    for (uint32_t i = 0; i < N; i++)
        data[i] = i;
    cl_mem m = buffer_with(sizeof data, data), low = sub_buffer(m, 0, 16 * align), high = sub_buffer(m, 16 * align, 16 * align);
    uint32_t first = (uint32_t)(16 * align / 4);
    triple(high, first);
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, sizeof back, back, 0, NULL, NULL));
    CHECK(back[first - 1] == first - 1 && back[first] == 3 * first + 1 && back[2 * first - 1] == 3 * (2 * first - 1) + 1 && back[2 * first] == 2 * first);
    CL(clEnqueueWriteBuffer(queue, m, CL_TRUE, 16, 4, &(uint32_t){ 1234 }, 0, NULL, NULL));
    CL(clEnqueueReadBuffer(queue, low, CL_TRUE, 16, 4, back, 0, NULL, NULL));
    CHECK(back[0] == 1234);
    uint32_t *p = map(high, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 4, 8, NULL);
    CHECK(p[0] == 3 * (first + 1) + 1);
    p[1] = 77;
    CL(clEnqueueUnmapMemObject(queue, high, p, 0, NULL, NULL));
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 16 * align + 8, 4, back, 0, NULL, NULL));
    CHECK(back[0] == 77);
}

static void sub_buffer_outlives_its_parent_handle(void)
{
    static uint32_t data[1024];
    uint32_t back = 0;
    data[256] = 41;
    cl_mem m = buffer_with(sizeof data, data), s = sub_buffer(m, 1024, 1024);
    CL(clReleaseMemObject(m));
    cl_mem others[20];
    for (int i = 0; i < 20; i++)
        others[i] = buffer_with(sizeof data, data);
    triple(s, 1);
    CL(clEnqueueReadBuffer(queue, s, CL_TRUE, 0, 4, &back, 0, NULL, NULL));
    CHECK(back == 124);
    for (int i = 0; i < 20; i++)
        CL(clReleaseMemObject(others[i]));
    CL(clReleaseMemObject(s));
}

static void sub_buffers_of_use_host_pointer(void)
{
    static uint32_t mine[4096];
    cl_mem m = MAKE(clCreateBuffer(context, CL_MEM_USE_HOST_PTR, sizeof mine, mine, &error_)), s = sub_buffer(m, 4096, 4096);
    uint32_t *p = map(s, CL_TRUE, CL_MAP_WRITE, 0, 4096, NULL);
    CHECK(p == mine + 1024);
    p[3] = 9;
    CL(clEnqueueUnmapMemObject(queue, s, p, 0, NULL, NULL));
    triple(s, 4);
    p = map(m, CL_TRUE, CL_MAP_READ, 0, sizeof mine, NULL);
    CHECK(mine[1027] == 28);
    CL(clEnqueueUnmapMemObject(queue, m, p, 0, NULL, NULL));
    CL(clFinish(queue));
}

static void sub_buffers_that_make_no_sense(void)
{
    cl_mem m = buffer(65536), s = sub_buffer(m, 4096, 4096), ronly = MAKE(clCreateBuffer(context, CL_MEM_READ_ONLY, 4096, NULL, &error_));
    cl_buffer_region odd = { 1, 100 }, out = { 65536, 4096 }, empty = { 0, 0 }, good = { 0, 64 };
    REFUSED(CL_MISALIGNED_SUB_BUFFER_OFFSET, clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &odd, &error_));
    REFUSED(CL_INVALID_VALUE, clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &out, &error_));
    REFUSED(CL_INVALID_BUFFER_SIZE, clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &empty, &error_));
    REFUSED(CL_INVALID_VALUE, clCreateSubBuffer(m, 0, 0x1234, &good, &error_));
    REFUSED(CL_INVALID_VALUE, clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, NULL, &error_));
    REFUSED(CL_INVALID_MEM_OBJECT, clCreateSubBuffer(s, 0, CL_BUFFER_CREATE_TYPE_REGION, &good, &error_));
    REFUSED(CL_INVALID_VALUE, clCreateSubBuffer(ronly, CL_MEM_WRITE_ONLY, CL_BUFFER_CREATE_TYPE_REGION, &good, &error_));
}

static void buffers_tell_of_themselves(void)
{
    cl_mem m = MAKE(clCreateBuffer(context, CL_MEM_READ_ONLY | CL_MEM_HOST_WRITE_ONLY, 8192, NULL, &error_)), s = sub_buffer(m, 4096, 512), parent;
    size_t size = 0, offset = 0;
    cl_mem_flags flags = 0;
    cl_mem_object_type type = 0;
    cl_uint refs = 0;
    CL(clGetMemObjectInfo(s, CL_MEM_SIZE, sizeof size, &size, NULL));
    CL(clGetMemObjectInfo(s, CL_MEM_OFFSET, sizeof offset, &offset, NULL));
    CL(clGetMemObjectInfo(s, CL_MEM_FLAGS, sizeof flags, &flags, NULL));
    CL(clGetMemObjectInfo(s, CL_MEM_TYPE, sizeof type, &type, NULL));
    CL(clGetMemObjectInfo(s, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof parent, &parent, NULL));
    CHECK(size == 512 && offset == 4096 && type == CL_MEM_OBJECT_BUFFER && parent == m);
    CHECK(flags == (CL_MEM_READ_ONLY | CL_MEM_HOST_WRITE_ONLY), "%lx", (unsigned long)flags);
    CL(clRetainMemObject(s));
    CL(clGetMemObjectInfo(s, CL_MEM_REFERENCE_COUNT, sizeof refs, &refs, NULL));
    CHECK(refs == 2);
}

static char order[8];
static void CL_CALLBACK destroyed(cl_mem m, void *user) { strncat(order, user, 1); }

static void destructors_run_in_reverse(void)
{
    cl_mem m = buffer(64);
    order[0] = '\0';
    CL(clSetMemObjectDestructorCallback(m, destroyed, "a"));
    CL(clSetMemObjectDestructorCallback(m, destroyed, "b"));
    CL(clSetMemObjectDestructorCallback(m, destroyed, "c"));
    CL(clReleaseMemObject(m));
    for (double end = now() + 10; strlen(order) < 3 && now() < end;)
        pause_ms(1);
    CHECK(strcmp(order, "cba") == 0, "%s", order);
}

static const struct check list[] = {
    { "read_and_write_maps", read_and_write_maps },
    { "invalidating_map", invalidating_map },
    { "map_waits_for_what_is_before_it", map_waits_for_what_is_before_it },
    { "unmap_behind_a_user_event_does_not_block", unmap_behind_a_user_event_does_not_block },
    { "unmap_events_order_other_queues", unmap_events_order_other_queues },
    { "several_maps_at_once", several_maps_at_once },
    { "maps_are_counted", maps_are_counted },
    { "maps_that_make_no_sense", maps_that_make_no_sense },
    { "use_host_pointer", use_host_pointer },
    { "alloc_host_pointer", alloc_host_pointer },
    { "host_pointer_flags", host_pointer_flags },
    { "sub_buffers_share_memory", sub_buffers_share_memory },
    { "sub_buffer_outlives_its_parent_handle", sub_buffer_outlives_its_parent_handle },
    { "sub_buffers_of_use_host_pointer", sub_buffers_of_use_host_pointer },
    { "sub_buffers_that_make_no_sense", sub_buffers_that_make_no_sense },
    { "buffers_tell_of_themselves", buffers_tell_of_themselves },
    { "destructors_run_in_reverse", destructors_run_in_reverse },
};
GROUP(maps, list);

/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: images of every type, moved in every way, compared with a model in our own memory. */
#include "cl_check.h"

static const cl_image_format rgba8 = { CL_RGBA, CL_UNSIGNED_INT8 }, rgba32 = { CL_RGBA, CL_FLOAT };

struct type { const char *name; cl_image_desc desc; };
/* The extent as origins and regions count it stands in width, height and depth. */
static const struct type types[] = {
    { "1d", { .image_type = CL_MEM_OBJECT_IMAGE1D, .image_width = 97 } },
    { "1d array", { .image_type = CL_MEM_OBJECT_IMAGE1D_ARRAY, .image_width = 33, .image_array_size = 7 } },
    { "1d buffer", { .image_type = CL_MEM_OBJECT_IMAGE1D_BUFFER, .image_width = 64 } },
    { "2d", { .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 37, .image_height = 19 } },
    { "2d array", { .image_type = CL_MEM_OBJECT_IMAGE2D_ARRAY, .image_width = 11, .image_height = 9, .image_array_size = 5 } },
    { "3d", { .image_type = CL_MEM_OBJECT_IMAGE3D, .image_width = 13, .image_height = 8, .image_depth = 6 } },
};

static void extent(const cl_image_desc *d, size_t ret[3])
{
    ret[0] = d->image_width;
    ret[1] = d->image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY ? d->image_array_size : d->image_height ? d->image_height : 1;
    ret[2] = d->image_type == CL_MEM_OBJECT_IMAGE2D_ARRAY ? d->image_array_size : d->image_depth ? d->image_depth : 1;
}

static cl_mem image(const cl_image_desc *d, const cl_image_format *f, cl_mem_flags flags, void *host)
{
    cl_image_desc own = *d;
    if (own.image_type == CL_MEM_OBJECT_IMAGE1D_BUFFER)
        own.buffer = buffer(own.image_width * 16);
    return MAKE(clCreateImage(context, CL_MEM_READ_WRITE | flags, f, &own, own.buffer ? NULL : host, &error_));
}

/* A random box within n. */
static void box(uint64_t *state, const size_t n[3], size_t origin[3], size_t region[3])
{
    for (int i = 0; i < 3; i++) {
        origin[i] = random_below(state, n[i]);
        region[i] = 1 + random_below(state, n[i] - origin[i]);
    }
}

static bool is_1d_array(const cl_image_desc *d) { return d->image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY; }

/* The model is tight: pixel (x, y, z) at (z * n[1] + y) * n[0] + x. */
static uint32_t *at(uint32_t *model, const size_t n[3], const size_t origin[3], size_t x, size_t y, size_t z)
{
    return model + ((origin[2] + z) * n[1] + origin[1] + y) * n[0] + origin[0] + x;
}

#define EACH(region) for (size_t z = 0; z < (region)[2]; z++) for (size_t y = 0; y < (region)[1]; y++) for (size_t x = 0; x < (region)[0]; x++)

static void reads_and_writes(void)
{
    uint64_t state = 5;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const cl_image_desc *d = &types[t].desc;
        size_t n[3], origin[3], region[3];
        uint32_t model[4096] = { 0 }, mine[8192];
        extent(d, n);
        cl_mem m = image(d, &rgba8, 0, NULL);
        CL(clEnqueueWriteImage(queue, m, CL_TRUE, (size_t[3]){ 0 }, n, 0, 0, model, 0, NULL, NULL));
        for (int round = 0; round < 60; round++) {
            box(&state, n, origin, region);
            size_t gap = random_below(&state, 3), row = region[0] + gap, rows = region[1] + random_below(&state, 2);
            bool pitched = random_below(&state, 2);
            size_t slice = d->image_depth || (d->image_array_size && !is_1d_array(d)) ? row * rows : is_1d_array(d) ? row : 0;
            size_t step_y = pitched ? row : region[0], step_z = pitched && slice && !is_1d_array(d) ? slice : step_y * region[1];
            random_fill(&state, mine, sizeof mine - 8);
            bool blocking = random_below(&state, 2);
            CL(clEnqueueWriteImage(queue, m, blocking, origin, region, pitched ? row * 4 : 0, pitched ? slice * 4 : 0, mine, 0, NULL, NULL));
            EACH(region)
                *at(model, n, origin, x, y, z) = mine[z * step_z + y * step_y + x];
            uint32_t got[8192];
            box(&state, n, origin, region);
            CL(clEnqueueReadImage(queue, m, CL_TRUE, origin, region, 0, 0, got, 0, NULL, NULL));
            EACH(region)
                CHECK(got[(z * region[1] + y) * region[0] + x] == *at(model, n, origin, x, y, z), "%s round %d at %zu %zu %zu", types[t].name, round, x, y, z);
        }
        CL(clReleaseMemObject(m));
    }
}

static void in_turn(void)
{
    /* Reads and writes behind an event that is not there yet, in the queue's order. */
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        size_t n[3], zero[3] = { 0 };
        uint32_t first[4096], second[4096], got[2][4096];
        extent(&types[t].desc, n);
        for (int i = 0; i < 4096; i++) {
            first[i] = (uint32_t)i;
            second[i] = ~(uint32_t)i;
        }
        cl_mem m = image(&types[t].desc, &rgba8, 0, NULL);
        cl_event gate = user_event();
        CL(clEnqueueMarkerWithWaitList(queue, 1, &gate, NULL));
        CL(clEnqueueWriteImage(queue, m, CL_FALSE, zero, n, 0, 0, first, 0, NULL, NULL));
        CL(clEnqueueReadImage(queue, m, CL_FALSE, zero, n, 0, 0, got[0], 0, NULL, NULL));
        CL(clEnqueueWriteImage(queue, m, CL_FALSE, zero, n, 0, 0, second, 0, NULL, NULL));
        CL(clEnqueueReadImage(queue, m, CL_FALSE, zero, n, 0, 0, got[1], 0, NULL, NULL));
        CL(clSetUserEventStatus(gate, CL_COMPLETE));
        CL(clFinish(queue));
        CHECK(memcmp(got[0], first, n[0] * n[1] * n[2] * 4) == 0 && memcmp(got[1], second, n[0] * n[1] * n[2] * 4) == 0, "%s", types[t].name);
        CL(clReleaseMemObject(m));
    }
}

static void large(void)
{
    cl_image_desc d = { .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 1500, .image_height = 700 };
    const size_t zero[3] = { 0 }, n[3] = { 1500, 700, 1 }, bytes = 1500 * 700 * 16;
    uint64_t state = 9;
    float *data = malloc(bytes + 8), *got = malloc(bytes + 8);
    random_fill(&state, data, bytes);
    cl_mem m = image(&d, &rgba32, CL_MEM_COPY_HOST_PTR, data);
    CL(clEnqueueReadImage(queue, m, CL_TRUE, zero, n, 0, 0, got, 0, NULL, NULL));
    CHECK(memcmp(data, got, bytes) == 0);
    random_fill(&state, data, bytes);
    CL(clEnqueueWriteImage(queue, m, CL_TRUE, zero, n, 0, 0, data, 0, NULL, NULL));
    CL(clEnqueueReadImage(queue, m, CL_TRUE, (size_t[3]){ 3, 5, 0 }, (size_t[3]){ 1400, 600, 1 }, 0, 0, got, 0, NULL, NULL));
    for (size_t y = 0; y < 600; y++)
        CHECK(memcmp(got + y * 1400 * 4, data + ((y + 5) * 1500 + 3) * 4, 1400 * 16) == 0, "row %zu", y);
    CL(clReleaseMemObject(m));
    free(data);
    free(got);
}

static void copies_and_fills(void)
{
    uint64_t state = 21;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        size_t n[3], from[3], to[3], region[3], zero[3] = { 0 };
        uint32_t a[4096], b[4096], got[4096], linear[4096];
        const uint32_t color[4] = { 1, 2, 3, 4 };
        if (types[t].desc.image_type == CL_MEM_OBJECT_IMAGE1D_BUFFER)
            continue;           /* PoCL refuses to copy them, and crashes when it fills them */
        extent(&types[t].desc, n);
        random_fill(&state, a, sizeof a - 8);
        random_fill(&state, b, sizeof b - 8);
        cl_mem source = image(&types[t].desc, &rgba8, 0, NULL), target = image(&types[t].desc, &rgba8, 0, NULL), plain = buffer(sizeof linear);
        CL(clEnqueueWriteImage(queue, source, CL_TRUE, zero, n, 0, 0, a, 0, NULL, NULL));
        CL(clEnqueueWriteImage(queue, target, CL_TRUE, zero, n, 0, 0, b, 0, NULL, NULL));
        for (int round = 0; round < 20; round++) {
            box(&state, n, from, region);
            for (int i = 0; i < 3; i++)
                to[i] = random_below(&state, n[i] - region[i] + 1);
            size_t offset = 4 * random_below(&state, 16);
            CL(clEnqueueCopyImage(queue, source, target, from, to, region, 0, NULL, NULL));
            EACH(region)
                *at(b, n, to, x, y, z) = *at(a, n, from, x, y, z);
            CL(clEnqueueCopyImageToBuffer(queue, source, plain, from, region, offset, 0, NULL, NULL));
            CL(clEnqueueReadBuffer(queue, plain, CL_TRUE, offset, region[0] * region[1] * region[2] * 4, linear, 0, NULL, NULL));
            EACH(region)
                CHECK(linear[(z * region[1] + y) * region[0] + x] == *at(a, n, from, x, y, z), "%s to buffer", types[t].name);
            CL(clEnqueueCopyBufferToImage(queue, plain, target, offset, to, region, 0, NULL, NULL));
            if (round % 5 == 4) {
                box(&state, n, to, region);
                CL(clEnqueueFillImage(queue, target, color, to, region, 0, NULL, NULL));
                EACH(region)
                    *at(b, n, to, x, y, z) = 0x04030201;
            }
            CL(clEnqueueReadImage(queue, target, CL_TRUE, zero, n, 0, 0, got, 0, NULL, NULL));
            CHECK(memcmp(got, b, n[0] * n[1] * n[2] * 4) == 0, "%s round %d", types[t].name, round);
        }
        CL(clReleaseMemObject(source));
        CL(clReleaseMemObject(target));
        CL(clReleaseMemObject(plain));
    }
}

static void maps_of(const struct type *t, bool own)
{
    uint64_t state = 33;
    size_t n[3], origin[3], region[3], zero[3] = { 0 }, row = 0, slice = 0;
    static uint32_t model[4096], got[4096], host[4096];
    extent(&t->desc, n);
    random_fill(&state, model, sizeof model - 8);
    memcpy(host, model, sizeof host);
    cl_mem m = image(&t->desc, &rgba8, own && t->desc.image_type != CL_MEM_OBJECT_IMAGE1D_BUFFER ? CL_MEM_USE_HOST_PTR : 0, own ? host : NULL);
    CL(clEnqueueWriteImage(queue, m, CL_TRUE, zero, n, 0, 0, model, 0, NULL, NULL));
    for (int round = 0; round < 20; round++) {
        bool discard = round % 4 == 3;
        box(&state, n, origin, region);
        uint8_t *p = MAKE(clEnqueueMapImage(queue, m, CL_TRUE, discard ? CL_MAP_WRITE_INVALIDATE_REGION : CL_MAP_READ | CL_MAP_WRITE, origin, region, &row, &slice,
                                            0, NULL, NULL, &error_));
        size_t step_y = t->desc.image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY ? slice : row;
        EACH(region) {
            uint32_t *pixel = (uint32_t *)(p + z * slice + y * step_y) + x, *mine = at(model, n, origin, x, y, z);
            CHECK(discard || *pixel == *mine, "%s round %d at %zu %zu %zu", t->name, round, x, y, z);
            *pixel = *mine = (uint32_t)random_next(&state);
        }
        CL(clEnqueueUnmapMemObject(queue, m, p, 0, NULL, NULL));
        CL(clEnqueueReadImage(queue, m, CL_TRUE, zero, n, 0, 0, got, 0, NULL, NULL));
        CHECK(memcmp(got, model, n[0] * n[1] * n[2] * 4) == 0, "%s round %d", t->name, round);
    }
    CL(clReleaseMemObject(m));
}

static void maps_of_all(void)
{
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        maps_of(&types[t], false);
}

static void maps_of_our_memory(void)
{
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        maps_of(&types[t], true);
}

static void infos(void)
{
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        static const cl_image_info names[] = { CL_IMAGE_ELEMENT_SIZE, CL_IMAGE_WIDTH, CL_IMAGE_HEIGHT, CL_IMAGE_DEPTH, CL_IMAGE_ARRAY_SIZE, CL_IMAGE_ROW_PITCH,
                                               CL_IMAGE_SLICE_PITCH };
        cl_mem m = image(&types[t].desc, &rgba8, 0, NULL);
        cl_mem_object_type type = 0;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            size_t value = 99;
            CL(clGetImageInfo(m, names[i], sizeof value, &value, NULL));
            see("%s 0x%x: %zu", types[t].name, names[i], value);
        }
        CL(clGetMemObjectInfo(m, CL_MEM_TYPE, sizeof type, &type, NULL));
        CHECK(type == types[t].desc.image_type);
        CL(clReleaseMemObject(m));
    }
}

static void kernels_see_them(void)
{
    static const char source[] =
        "constant sampler_t s = CLK_NORMALIZED_COORDS_FALSE | CLK_ADDRESS_CLAMP_TO_EDGE | CLK_FILTER_NEAREST;\n"
        "kernel void flip(read_only image2d_t in, write_only image2d_t out) {\n"
        "    int x = get_global_id(0), y = get_global_id(1);\n"
        "    write_imageui(out, (int2)(x, y), read_imageui(in, s, (int2)(get_image_width(in) - 1 - x, y)) + (uint4)(0, 0, 0, 1)); }\n"
        "kernel void layers(read_only image2d_array_t in, global uint *out) {\n"
        "    int x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);\n"
        "    out[(z * get_global_size(1) + y) * get_global_size(0) + x] = read_imageui(in, s, (int4)(x, y, z, 0)).x + get_image_array_size(in); }\n"
        "kernel void volume(read_only image3d_t in, global uint *out) {\n"
        "    int x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);\n"
        "    out[(z * get_global_size(1) + y) * get_global_size(0) + x] = read_imageui(in, s, (int4)(x, y, z, 0)).y; }\n";
    size_t n[3] = { 37, 19, 1 }, zero[3] = { 0 };
    uint32_t a[4096], got[4096];
    uint64_t state = 3;
    cl_program p = MAKE(clCreateProgramWithSource(context, 1, &(const char *){ source }, NULL, &error_));
    CL(clBuildProgram(p, 0, NULL, NULL, NULL, NULL));
    random_fill(&state, a, sizeof a - 8);
    cl_mem in = image(&types[3].desc, &rgba8, CL_MEM_COPY_HOST_PTR, a), out = image(&types[3].desc, &rgba8, 0, NULL), plain = buffer(sizeof got);
    cl_kernel k = MAKE(clCreateKernel(p, "flip", &error_));
    set_args(k, 2, ARG(in), ARG(out));
    CL(clEnqueueNDRangeKernel(queue, k, 2, NULL, n, NULL, 0, NULL, NULL));
    CL(clEnqueueReadImage(queue, out, CL_TRUE, zero, n, 0, 0, got, 0, NULL, NULL));
    EACH(n) {
        uint32_t v = a[y * 37 + 36 - x], alpha = v >> 24 == 255 ? 255 : (v >> 24) + 1;
        CHECK(got[y * 37 + x] == ((v & 0xffffff) | alpha << 24), "%zu %zu", x, y);
    }
    for (int t = 4; t <= 5; t++) {
        cl_mem m = image(&types[t].desc, &rgba8, CL_MEM_COPY_HOST_PTR, a);
        extent(&types[t].desc, n);
        k = MAKE(clCreateKernel(p, t == 4 ? "layers" : "volume", &error_));
        set_args(k, 2, ARG(m), ARG(plain));
        CL(clEnqueueNDRangeKernel(queue, k, 3, NULL, n, NULL, 0, NULL, NULL));
        CL(clEnqueueReadBuffer(queue, plain, CL_TRUE, 0, n[0] * n[1] * n[2] * 4, got, 0, NULL, NULL));
        for (size_t i = 0; i < n[0] * n[1] * n[2]; i++)
            CHECK(got[i] == (t == 4 ? (a[i] & 0xff) + 5 : (a[i] >> 8 & 0xff)), "%s %zu", types[t].name, i);
        CL(clReleaseMemObject(m));
    }
}

static const struct check list[] = {
    { "reads_and_writes", reads_and_writes },
    { "in_turn", in_turn },
    { "large", large },
    { "copies_and_fills", copies_and_fills },
    { "maps", maps_of_all },
    { "maps_of_our_memory", maps_of_our_memory },
    { "infos", infos },
    { "kernels_see_them", kernels_see_them },
};
GROUP(pixels, list);

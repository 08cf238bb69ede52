/* SPDX-License-Identifier: Apache-2.0 */
/* cl_semantics: images as kernel arguments. Devices without images pass without a check. */
#include "cl_check.h"

static const char source[] =
    "kernel void put(write_only image2d_t image, uint value) { write_imageui(image, (int2)(get_global_id(0), get_global_id(1)), (uint4)(value)); }\n"
    "kernel void take(read_only image2d_t image, global uint *out) {\n"
    "    const sampler_t s = CLK_NORMALIZED_COORDS_FALSE | CLK_ADDRESS_NONE | CLK_FILTER_NEAREST;\n"
    "    size_t x = get_global_id(0), y = get_global_id(1);\n"
    "    out[y * get_global_size(0) + x] = read_imageui(image, s, (int2)(x, y)).x; }\n";

enum { WIDTH = 16, HEIGHT = 4 };

static bool has_images(void)
{
    cl_bool yes = CL_FALSE;
    CL(clGetDeviceInfo(device, CL_DEVICE_IMAGE_SUPPORT, sizeof yes, &yes, NULL));
    return yes;
}

static cl_mem image_with(cl_mem_flags flags)
{
    cl_image_format format = { CL_RGBA, CL_UNSIGNED_INT32 };
    cl_image_desc desc = { .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = WIDTH, .image_height = HEIGHT };
    return MAKE(clCreateImage(context, flags, &format, &desc, NULL, &error_));
}

static cl_kernel image_kernel(const char *name)
{
    const char *text = source;
    cl_program p = MAKE(clCreateProgramWithSource(context, 1, &text, NULL, &error_));
    CL(clBuildProgram(p, 1, &device, "", NULL, NULL));
    return MAKE(clCreateKernel(p, name, &error_));
}

static void kernels_write_and_read_images(void)
{
    cl_uint out[WIDTH * HEIGHT] = { 0 };
    if (!has_images())
        return;
    cl_kernel put = image_kernel("put"), take = image_kernel("take");
    cl_mem image = image_with(CL_MEM_READ_WRITE), m = buffer_with(sizeof out, out);
    size_t global[2] = { WIDTH, HEIGHT };
    set_args(put, 2, ARG(image), sizeof(cl_uint), &(cl_uint){ 77 });
    set_args(take, 2, ARG(image), ARG(m));
    CL(clEnqueueNDRangeKernel(queue, put, 2, NULL, global, NULL, 0, NULL, NULL));
    CL(clEnqueueNDRangeKernel(queue, take, 2, NULL, global, NULL, 0, NULL, NULL));
    CL(clEnqueueReadBuffer(queue, m, CL_TRUE, 0, sizeof out, out, 0, NULL, NULL));
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        CHECK(out[i] == 77, "pixel %d: %u", i, out[i]);
}

/* What a kernel only writes it must be allowed to write, and only an image is one. */
static void image_arguments_that_make_no_sense(void)
{
    if (!has_images() || !on_share)       /* PoCL takes them all */
        return;
    cl_kernel put = image_kernel("put"), take = image_kernel("take");
    cl_mem written = image_with(CL_MEM_WRITE_ONLY), read = image_with(CL_MEM_READ_ONLY), m = buffer(64), none = NULL;
    EXPECT(CL_INVALID_ARG_VALUE, clSetKernelArg(put, 0, sizeof read, &read));
    EXPECT(CL_INVALID_ARG_VALUE, clSetKernelArg(take, 0, sizeof written, &written));
    EXPECT(CL_INVALID_MEM_OBJECT, clSetKernelArg(put, 0, sizeof m, &m));
    EXPECT(CL_INVALID_MEM_OBJECT, clSetKernelArg(put, 0, sizeof none, &none));
    EXPECT(CL_INVALID_ARG_SIZE, clSetKernelArg(put, 0, 4, &read));
    CL(clSetKernelArg(put, 0, sizeof written, &written));
    CL(clSetKernelArg(take, 0, sizeof read, &read));
}

static const struct check list[] = {
    { "kernels_write_and_read_images", kernels_write_and_read_images },
    { "image_arguments_that_make_no_sense", image_arguments_that_make_no_sense },
};
GROUP(images, list);

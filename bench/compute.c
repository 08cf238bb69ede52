/* SPDX-License-Identifier: Apache-2.0 */
/* compute: three small programs as users write them: one long kernel, a chain of kernels, and a solver that looks at its
 * result after every step. Each result is compared with the host's own. */
#include "tests.h"

#include <math.h>
#include <string.h>

static float *host_floats(size_t n)
{
    float *p = calloc(n, sizeof *p);
    if (!p)
        bench_fail("out of memory for %zu numbers", n);
    return p;
}

static void set_mem(cl_kernel kernel, cl_uint index, cl_mem mem)
{
    CL_CHECK(clSetKernelArg(kernel, index, sizeof mem, &mem));
}

static void set_int(cl_kernel kernel, cl_uint index, cl_int value)
{
    CL_CHECK(clSetKernelArg(kernel, index, sizeof value, &value));
}

static void launch_2d(const struct target *t, cl_kernel kernel, size_t n, size_t local_x, size_t local_y)
{
    const size_t global[2] = { n, n }, local[2] = { local_x, local_y };
    CL_CHECK(clEnqueueNDRangeKernel(t->queue, kernel, 2, NULL, global, local, 0, NULL, NULL));
}

static const char sgemm_source[] =
    "__kernel void sgemm(__global const float *a, __global const float *b, __global float *c, int n) {\n"
    "    int x = get_global_id(0), y = get_global_id(1);\n"
    "    float s = 0.0f;\n"
    "    for (int k = 0; k < n; k++) s += a[y * n + k] * b[k * n + x];\n"
    "    c[y * n + x] = s;\n"
    "}\n";

static void verify_sgemm(const float *a, const float *b, const float *c, int n)
{
    for (int i = 0; i < 64; i++) {
        int y = i * 37 % n, x = i * 91 % n;
        double s = 0;
        for (int k = 0; k < n; k++)
            s += (double)a[y * n + k] * b[k * n + x];
        if (!(fabs(s - c[y * n + x]) < 1e-2))
            bench_wrong_result("sgemm: element %d,%d is %g, not %g", y, x, c[y * n + x], s);
    }
}

static void run_sgemm(const struct target *t, int n, size_t repeats)
{
    size_t count = (size_t)n * (size_t)n, bytes = count * sizeof(float);
    _cleanup_free_ float *a = host_floats(count), *b = host_floats(count), *c = host_floats(count);
    uint32_t seed = 1;
    for (size_t i = 0; i < count; i++) {
        a[i] = bench_random(&seed);
        b[i] = bench_random(&seed);
    }
    _cleanup_program_ cl_program program = target_build(t, sgemm_source, "");
    _cleanup_kernel_ cl_kernel kernel = target_kernel(program, "sgemm");
    _cleanup_mem_ cl_mem da = target_buffer(t, CL_MEM_READ_ONLY, bytes), db = target_buffer(t, CL_MEM_READ_ONLY, bytes),
                         dc = target_buffer(t, CL_MEM_READ_WRITE, bytes);
    set_mem(kernel, 0, da);
    set_mem(kernel, 1, db);
    set_mem(kernel, 2, dc);
    set_int(kernel, 3, n);
    target_write(t, da, bytes, a);
    target_write(t, db, bytes, b);
    _cleanup_samples_ struct samples ms;
    samples_init(&ms, repeats);
    for (size_t i = 0; i <= repeats; i++) {
        double start = bench_now_us();
        launch_2d(t, kernel, (size_t)n, 16, 16);
        target_finish(t);
        if (i)
            samples_add(&ms, (bench_now_us() - start) / 1e3);
    }
    target_read(t, dc, bytes, c);
    verify_sgemm(a, b, c, n);
    report_samples("sgemm", "ms", BETTER_LOW, &ms);
}

/* Bodies are x, y, z, mass. */
static const char nbody_source[] =
    "__kernel void nbody(__global const float4 *in, __global float4 *out, __global float4 *speed, int n) {\n"
    "    int i = get_global_id(0);\n"
    "    float4 p = in[i], v = speed[i];\n"
    "    float3 f = (float3)(0.0f);\n"
    "    for (int j = 0; j < n; j++) {\n"
    "        float3 d = in[j].xyz - p.xyz;\n"
    "        float inv = 1.0f / sqrt(dot(d, d) + 1e-2f);\n"
    "        f += d * (in[j].w * inv * inv * inv);\n"
    "    }\n"
    "    v.xyz += f * 1e-3f; speed[i] = v; p.xyz += v.xyz * 1e-3f; out[i] = p;\n"
    "}\n";

static void host_nbody(const float *in, float *out, float *speed, int n)
{
    for (int i = 0; i < n; i++) {
        const float *p = in + 4 * i;
        double f[3] = { 0 };
        for (int j = 0; j < n; j++) {
            const float *q = in + 4 * j;
            double d[3] = { q[0] - p[0], q[1] - p[1], q[2] - p[2] };
            double inv = 1.0 / sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + 1e-2);
            for (int k = 0; k < 3; k++)
                f[k] += d[k] * q[3] * inv * inv * inv;
        }
        for (int k = 0; k < 3; k++) {
            speed[4 * i + k] += (float)(f[k] * 1e-3);
            out[4 * i + k] = p[k] + speed[4 * i + k] * 1e-3f;
        }
        out[4 * i + 3] = p[3];
    }
}

struct nbody {
    int n, steps;
    cl_kernel kernel;
    cl_mem bodies[2], speed;
    float *start, *zero, *result;
};

static double nbody_run(const struct target *t, const struct nbody *b, int steps)
{
    size_t bytes = (size_t)b->n * 4 * sizeof(float);
    target_write(t, b->speed, bytes, b->zero);
    double start = bench_now_us();
    target_write(t, b->bodies[0], bytes, b->start);
    for (int i = 0; i < steps; i++) {
        set_mem(b->kernel, 0, b->bodies[i & 1]);
        set_mem(b->kernel, 1, b->bodies[!(i & 1)]);
        target_launch(t, b->kernel, (size_t)b->n, 64, NULL);
    }
    target_read(t, b->bodies[steps & 1], bytes, b->result);
    return (bench_now_us() - start) / 1e3;
}

static void nbody_verify(const struct target *t, const struct nbody *b)
{
    enum { STEPS = 2 };
    size_t count = (size_t)b->n * 4;
    _cleanup_free_ float *from = host_floats(count), *to = host_floats(count), *speed = host_floats(count);
    memcpy(to, b->start, count * sizeof *to);
    for (int i = 0; i < STEPS; i++) {
        memcpy(from, to, count * sizeof *to);
        host_nbody(from, to, speed, b->n);
    }
    nbody_run(t, b, STEPS);
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(to[i] - b->result[i]) < 1e-3f))
            bench_wrong_result("nbody: coordinate %zu is %g, not %g", i, b->result[i], to[i]);
}

static void run_nbody(const struct target *t, int n, int steps, size_t repeats)
{
    size_t count = (size_t)n * 4, bytes = count * sizeof(float);
    _cleanup_free_ float *start = host_floats(count), *zero = host_floats(count), *result = host_floats(count);
    uint32_t seed = 7;
    for (size_t i = 0; i < count; i++)
        start[i] = i % 4 == 3 ? 1.0f : bench_random(&seed);
    _cleanup_program_ cl_program program = target_build(t, nbody_source, "");
    _cleanup_kernel_ cl_kernel kernel = target_kernel(program, "nbody");
    _cleanup_mem_ cl_mem x0 = target_buffer(t, CL_MEM_READ_WRITE, bytes), x1 = target_buffer(t, CL_MEM_READ_WRITE, bytes),
                         speed = target_buffer(t, CL_MEM_READ_WRITE, bytes);
    const struct nbody b = { n, steps, kernel, { x0, x1 }, speed, start, zero, result };
    set_mem(kernel, 2, speed);
    set_int(kernel, 3, n);
    nbody_verify(t, &b);
    _cleanup_samples_ struct samples ms;
    samples_init(&ms, repeats);
    for (size_t i = 0; i < repeats; i++)
        samples_add(&ms, nbody_run(t, &b, steps));
    report_samples("nbody", "ms", BETTER_LOW, &ms);
}

static const char jacobi_source[] =
    "__kernel void jacobi(__global const float *a, __global float *b, int n) {\n"
    "    int x = get_global_id(0), y = get_global_id(1), i = y * n + x;\n"
    "    if (x == 0 || y == 0 || x == n - 1 || y == n - 1) b[i] = a[i];\n"
    "    else b[i] = 0.25f * (a[i - 1] + a[i + 1] + a[i - n] + a[i + n]);\n"
    "}\n";

static void host_jacobi(float *result, int n, int steps)
{
    size_t count = (size_t)n * (size_t)n;
    _cleanup_free_ float *old = host_floats(count);
    for (int step = 0; step < steps; step++) {
        memcpy(old, result, count * sizeof *old);
        for (int y = 1; y < n - 1; y++)
            for (int x = 1; x < n - 1; x++) {
                const float *p = old + y * n + x;
                result[y * n + x] = 0.25f * (p[-1] + p[1] + p[-n] + p[n]);
            }
    }
}

struct jacobi { int n, steps; cl_kernel kernel; cl_mem grids[2]; const float *start, *expected; };

/* read_back: four bytes after each step, as a loop that watches its convergence does. */
static double jacobi_run(const struct target *t, const struct jacobi *j, bool read_back)
{
    size_t count = (size_t)j->n * (size_t)j->n, bytes = count * sizeof(float);
    _cleanup_free_ float *result = host_floats(count);
    float seen;
    double start = bench_now_us();
    target_write(t, j->grids[0], bytes, j->start);
    for (int i = 0; i < j->steps; i++) {
        set_mem(j->kernel, 0, j->grids[i & 1]);
        set_mem(j->kernel, 1, j->grids[!(i & 1)]);
        launch_2d(t, j->kernel, (size_t)j->n, 32, 8);
        if (read_back)
            target_read(t, j->grids[!(i & 1)], sizeof seen, &seen);
    }
    target_read(t, j->grids[j->steps & 1], bytes, result);
    double took = (bench_now_us() - start) / 1e3;
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(result[i] - j->expected[i]) < 1e-4f))
            bench_wrong_result("jacobi: cell %zu is %g, not %g", i, result[i], j->expected[i]);
    return took;
}

static void run_jacobi(const struct target *t, int n, int steps, size_t repeats)
{
    size_t count = (size_t)n * (size_t)n, bytes = count * sizeof(float);
    _cleanup_free_ float *start = host_floats(count), *expected = host_floats(count);
    for (int i = 0; i < n; i++)
        start[i] = 1.0f;   /* a hot top edge */
    memcpy(expected, start, bytes);
    host_jacobi(expected, n, steps);
    _cleanup_program_ cl_program program = target_build(t, jacobi_source, "");
    _cleanup_kernel_ cl_kernel kernel = target_kernel(program, "jacobi");
    _cleanup_mem_ cl_mem g0 = target_buffer(t, CL_MEM_READ_WRITE, bytes), g1 = target_buffer(t, CL_MEM_READ_WRITE, bytes);
    const struct jacobi j = { n, steps, kernel, { g0, g1 }, start, expected };
    set_int(kernel, 2, n);
    for (int read_back = 0; read_back < 2; read_back++) {
        _cleanup_samples_ struct samples ms;
        samples_init(&ms, repeats);
        for (size_t i = 0; i <= repeats; i++) {
            double took = jacobi_run(t, &j, read_back);
            if (i)
                samples_add(&ms, took);
        }
        report_samples(read_back ? "jacobi_read4" : "jacobi", "ms", BETTER_LOW, &ms);
    }
}

void test_compute(const struct target *t, const struct bench_options *o)
{
    run_sgemm(t, o->quick ? 256 : 512, bench_samples(o, 10, 3));
    run_nbody(t, o->quick ? 1024 : 2048, 20, bench_samples(o, 10, 3));
    run_jacobi(t, 128, 500, bench_samples(o, 20, 3));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the models say of a GPU and make of a request, and random requests against a naive sum. */
#include "base/cleanup.h"
#include "models/model.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
#define MAX_HELD 64

static const struct model_defaults defaults = { 2000000, 30000000000 };

static struct gpu stand_in(unsigned cores)
{
    struct gpu g = { .name = "cpu0", .stand_in = true, .memory_bytes = 11 * GIB, .compute_units = cores, .has_opencl = true };
    strcpy(g.opencl.platform, "PoCL");
    g.opencl.compute_units = g.opencl.max_sub_devices = cores;
    g.opencl.partition_by_counts = true;
    return g;
}

static struct gpu pci_gpu(bool opencl)
{
    struct gpu g = { .name = "gpu0", .has_pci = true, .has_opencl = opencl, .memory_bytes = opencl ? 80 * GIB : 0, .pci = { .iommu_group = -1 } };
    strcpy(g.opencl.platform, "NVIDIA CUDA");
    if (!opencl)
        strcpy(g.opencl_missing, "no OpenCL driver serves it; install nvidia-opencl-icd");
    return g;
}

/* ---- requests ---- */

static struct model_share held[MAX_HELD];
static size_t held_n;
static struct error err;

static int setup(void **state)
{
    held_n = 0;
    err = (struct error){ 0 };
    return 0;
}

static int plan(const struct gpu *gpu, struct model_request request)
{
    struct model_share share;
    char name[16];
    snprintf(name, sizeof name, "s%zu", held_n);
    request.name = request.name ? request.name : name;
    int r = model_plan(gpu, held, held_n, &request, &defaults, &share, &err);
    if (r == 0 && held_n < MAX_HELD)
        held[held_n++] = share;
    return r;
}

#define vgpu(...) ((struct model_request){ .model = "vgpu", __VA_ARGS__ })
#define mig(...) ((struct model_request){ .model = "mig", __VA_ARGS__ })
#define whole(...) ((struct model_request){ .model = "passthrough", __VA_ARGS__ })

static void drop(size_t i)
{
    memmove(&held[i], &held[i + 1], (--held_n - i) * sizeof *held);
}

/* ---- what is possible ---- */

static bool says(enum model_id id, const struct gpu *gpu, const char *part)
{
    char reason[512] = "";
    bool possible = model_get(id)->possible(gpu, reason, sizeof reason);
    assert_true(reason[0]);
    if (!strstr(reason, part))
        fail_msg("'%s' is not in '%s'", part, reason);
    return possible;
}

static void a_stand_in_can_do_all(void **state)
{
    struct gpu g = stand_in(4);
    assert_true(says(MODEL_PASSTHROUGH, &g, "PoCL"));
    assert_true(says(MODEL_VGPU, &g, "software"));
    assert_true(says(MODEL_MIG, &g, "up to 4"));
    g.opencl.partition_by_counts = false;
    assert_false(says(MODEL_MIG, &g, "does not partition"));
}

static void reasons_are_concrete(void **state)
{
    struct gpu bare = pci_gpu(false), served = pci_gpu(true);
    assert_false(says(MODEL_VGPU, &bare, "install nvidia-opencl-icd"));
    assert_false(says(MODEL_PASSTHROUGH, &bare, "IOMMU is off"));
    assert_true(says(MODEL_PASSTHROUGH, &served, "not to a VM: the IOMMU is off"));
    served.pci.iommu_group = 12;
    served.pci.companions_n = 2;
    assert_true(says(MODEL_PASSTHROUGH, &served, "IOMMU group 12, with 2 other devices"));
    strcpy(served.pci.driver, "vfio-pci");
    assert_true(says(MODEL_PASSTHROUGH, &served, "not to programs of this host: it is bound to vfio-pci"));
    assert_false(says(MODEL_MIG, &served, "does not partition"));
    served.has_nvml = true;
    served.nvml.mig_current = -1;
    assert_false(says(MODEL_MIG, &served, "no MIG"));
    served.nvml.mig_current = 1;
    assert_false(says(MODEL_MIG, &served, "does not partition through NVML yet"));
}

static void profiles_are_listed_where_the_model_is_possible(void **state)
{
    struct gpu g = stand_in(3), bare = pci_gpu(false);
    char names[MODEL_MAX_PROFILES][MODEL_PROFILE_MAX];
    assert_int_equal(model_vgpu.profiles(&g, names, MODEL_MAX_PROFILES), 16);
    assert_string_equal(names[15], "1of16");
    assert_int_equal(model_mig.profiles(&g, names, MODEL_MAX_PROFILES), 3);
    assert_string_equal(names[2], "3c");
    assert_int_equal(model_mig.profiles(&g, names, 2), 2);
    for (int i = 0; i < MODEL_COUNT; i++)
        assert_int_equal(model_get((enum model_id)i)->profiles(&bare, names, MODEL_MAX_PROFILES), 0);
}

/* ---- vgpu ---- */

static void parts_of_a_gpu_fit_as_often_as_they_say(void **state)
{
    struct gpu g = stand_in(2);
    for (unsigned parts = 1; parts <= 16; parts++) {
        char profile[16];
        snprintf(profile, sizeof profile, "1of%u", parts);
        held_n = 0;
        for (unsigned i = 0; i < parts; i++)
            assert_int_equal(plan(&g, vgpu(.profile = profile)), 0);
        assert_true(held[0].memory_bytes * parts > 11 * GIB - parts * MIB);
        assert_int_equal(held[0].weight, held[0].time_ppm);
        assert_int_equal(plan(&g, vgpu(.profile = profile)), -EDQUOT);
    }
}

static void sizes_may_be_said_in_bytes_and_time(void **state)
{
    struct gpu g = stand_in(2);
    assert_int_equal(plan(&g, vgpu(.memory_bytes = 3 * GIB + 5, .time_ppm = 125000)), 0);
    assert_int_equal(held[0].memory_bytes, 3 * GIB + 5);
    assert_int_equal(held[0].time_ppm, 125000);
    assert_string_equal(held[0].profile, "custom");
    assert_int_equal(plan(&g, vgpu(.time_ppm = 500000)), 0);
    assert_int_equal(held[1].memory_bytes, 11 * GIB / 2);
    assert_int_equal(plan(&g, vgpu(.memory_bytes = GIB, .weight = 7)), 0);
    assert_int_equal(held[2].time_ppm, 1000000 / 11);
    assert_int_equal(held[2].weight, 7);
}

static void a_refusal_says_how_much_is_left_and_who_has_the_rest(void **state)
{
    struct gpu g = stand_in(2);
    assert_int_equal(plan(&g, vgpu(.name = "a", .memory_bytes = 10 * GIB, .time_ppm = 900000)), 0);
    assert_int_equal(plan(&g, vgpu(.memory_bytes = 2 * GIB, .time_ppm = 100000)), -EDQUOT);
    assert_string_equal(err.text, "cpu0 has 1 GiB of 11 GiB memory left, which is less than 2 GiB; the rest is held by a");
    assert_int_equal(plan(&g, vgpu(.memory_bytes = GIB, .time_ppm = 100001)), -EDQUOT);
    assert_non_null(strstr(err.text, "10% of its time left"));
    assert_int_equal(plan(&g, vgpu(.memory_bytes = GIB, .time_ppm = 100000)), 0);    /* to the last byte */
    assert_int_equal(plan(&g, vgpu(.memory_bytes = MIB, .time_ppm = 1)), -EDQUOT);
}

static void nonsense_is_a_usage_error(void **state)
{
    struct gpu g = stand_in(2);
    static const struct model_request bad[] = {
        vgpu(.profile = "1of0"), vgpu(.profile = "1of17"), vgpu(.profile = "1of"), vgpu(.profile = "2of4"), vgpu(.profile = "1of04"),
        vgpu(.profile = ""), vgpu(.profile = "1of4x"), vgpu(), vgpu(.profile = "1of4", .time_ppm = 5), vgpu(.profile = "1c"),
        vgpu(.memory_bytes = 5), vgpu(.time_ppm = 1), vgpu(.memory_bytes = GIB, .time_ppm = 1000001), vgpu(.profile = "1of4", .weight = 1000001),
        vgpu(.profile = "1of4", .policy = "fair"), vgpu(.profile = "1of4", .class = "batch"), vgpu(.profile = "1of4", .policy = "none", .class = "latency"),
        mig(.profile = "1c", .class = "latency"), whole(.class = "latency"), vgpu(.profile = "1of4", .quantum_ns = 999999), vgpu(.profile = "1of4", .quantum_ns = 30000001),
        vgpu(.profile = "1of4", .watchdog_ns = 5), vgpu(.profile = "1of4", .name = "A b"), vgpu(.profile = "1of4", .name = "../x"),
        mig(), mig(.profile = "0c"), mig(.profile = "3c"), mig(.profile = "c"), mig(.profile = "1"), mig(.profile = "1of4"),
        mig(.profile = "99999999999999999999c"), mig(.profile = "1c", .memory_bytes = GIB), whole(.profile = "1of1"), whole(.time_ppm = 5),
        { .model = "shared", .profile = "1of4" }, { .model = NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err = (struct error){ 0 };
        if (plan(&g, bad[i]) != -EINVAL || !err.text[0])
            fail_msg("request %zu was not refused as nonsense: %d %s", i, err.code, err.text);
    }
}

/* ---- one model, one policy ---- */

static void a_gpu_is_in_one_model_at_a_time(void **state)
{
    struct gpu g = stand_in(2);
    assert_int_equal(plan(&g, vgpu(.name = "a", .profile = "1of4")), 0);
    assert_int_equal(plan(&g, vgpu(.name = "b", .profile = "1of4")), 0);
    assert_int_equal(plan(&g, mig(.profile = "1c")), -EBUSY);
    assert_non_null(strstr(err.text, "a and b"));
    assert_non_null(strstr(err.hint, "tranche rm a"));
    assert_int_equal(plan(&g, whole()), -EBUSY);
    held_n = 0;
    assert_int_equal(plan(&g, whole(.name = "w")), 0);
    assert_int_equal(held[0].memory_bytes, 11 * GIB);
    assert_int_equal(plan(&g, whole()), -EBUSY);
    assert_non_null(strstr(err.text, "w"));
    assert_int_equal(plan(&g, vgpu(.profile = "1of4")), -EBUSY);
}

static void the_first_share_decides_the_policy(void **state)
{
    struct gpu g = stand_in(2);
    assert_int_equal(plan(&g, vgpu(.profile = "1of4", .policy = "equal-share", .quantum_ns = 5000000)), 0);
    assert_int_equal(held[0].weight, 1000000);
    assert_int_equal(plan(&g, vgpu(.profile = "1of4", .policy = "fixed-share")), -EBUSY);
    assert_int_equal(plan(&g, vgpu(.profile = "1of4", .quantum_ns = 2000000)), -EBUSY);
    assert_int_equal(plan(&g, vgpu(.profile = "1of8")), 0);
    assert_string_equal(held[1].policy, "equal-share");
    assert_int_equal(held[1].quantum_ns, 5000000);
    assert_int_equal(held[1].weight, held[0].weight);
    held_n = 0;
    assert_int_equal(plan(&g, mig(.profile = "1c", .policy = "fixed-share")), 0);
    assert_int_equal(plan(&g, mig(.profile = "1c")), 0);    /* instances schedule by themselves */
    assert_string_equal(held[1].policy, "best-effort");
}

static void what_is_not_possible_is_not_supported(void **state)
{
    struct gpu g = pci_gpu(false);
    assert_int_equal(plan(&g, vgpu(.profile = "1of4")), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "nvidia-opencl-icd"));
    assert_int_equal(plan(&g, mig(.profile = "1c")), -EOPNOTSUPP);
    assert_int_equal(plan(&g, whole()), -EOPNOTSUPP);
}

/* ---- mig ---- */

static void instances_take_the_lowest_free_run_of_cores(void **state)
{
    struct gpu g = stand_in(8);
    assert_int_equal(plan(&g, mig(.profile = "2c")), 0);
    assert_int_equal(plan(&g, mig(.profile = "1c")), 0);
    assert_int_equal(plan(&g, mig(.profile = "3c")), 0);
    assert_int_equal(held[0].first_core, 0);
    assert_int_equal(held[1].first_core, 2);
    assert_int_equal(held[2].first_core, 3);
    assert_int_equal(held[0].memory_bytes, 11 * GIB / 8 * 2);
    drop(1);
    assert_int_equal(plan(&g, mig(.profile = "2c")), 0);
    assert_int_equal(held[2].first_core, 6);    /* the hole of one is too small */
    assert_int_equal(plan(&g, mig(.profile = "2c")), -EDQUOT);
    assert_non_null(strstr(err.text, "1 of 8 cores left"));
    assert_int_equal(plan(&g, mig(.profile = "1c")), 0);
    assert_int_equal(held[3].first_core, 2);
    drop(3);
    drop(1);
    drop(1);
    assert_int_equal(plan(&g, mig(.profile = "1c", .name = "x")), 0);
    assert_int_equal(plan(&g, mig(.profile = "6c")), -EDQUOT);
    assert_int_equal(plan(&g, mig(.profile = "5c")), 0);
}

static void scattered_cores_are_called_so(void **state)
{
    struct gpu g = stand_in(4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(plan(&g, mig(.profile = "1c")), 0);
    drop(2);
    drop(0);
    assert_int_equal(plan(&g, mig(.profile = "2c")), -EDQUOT);
    assert_non_null(strstr(err.text, "in one run"));
}

/* ---- random requests against a naive sum ---- */

static uint64_t seed = 1;
static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

static void check_sums(const struct gpu *g)
{
    uint64_t memory = 0, time = 0, cores = 0;
    for (size_t i = 0; i < held_n; i++) {
        assert_int_equal(held[i].model, held[0].model);
        memory += held[i].memory_bytes;
        time += held[i].cores ? 0 : held[i].time_ppm;
        for (unsigned c = held[i].first_core; c < held[i].first_core + held[i].cores; c++) {
            assert_true(c < g->opencl.compute_units && c < 64 && !(cores >> c & 1));
            cores |= UINT64_C(1) << c;
        }
    }
    assert_true(memory <= g->memory_bytes && time <= MODEL_PPM);
}

static void no_sequence_of_requests_gives_more_than_there_is(void **state)
{
    for (int round = 0; round < 300; round++) {
        struct gpu g = stand_in(1 + (unsigned)draw(16));
        g.memory_bytes = (1 + draw(64)) * GIB + draw(GIB);
        held_n = 0;
        for (int step = 0; step < 60; step++) {
            char profile[16];
            struct model_request r = vgpu();
            snprintf(profile, sizeof profile, draw(2) ? "1of%u" : "%uc", (unsigned)draw(18));
            r.model = draw(3) ? (strchr(profile, 'c') ? "mig" : "vgpu") : "passthrough";
            r.profile = draw(3) ? profile : NULL;
            r.memory_bytes = draw(2) ? draw(g.memory_bytes * 5 / 4) : 0;
            r.time_ppm = draw(2) ? (uint32_t)draw(1100000) : 0;
            if (held_n && draw(3) == 0)
                drop(draw(held_n));
            else
                plan(&g, r);
            check_sums(&g);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_stand_in_can_do_all, setup),
        cmocka_unit_test_setup(reasons_are_concrete, setup),
        cmocka_unit_test_setup(profiles_are_listed_where_the_model_is_possible, setup),
        cmocka_unit_test_setup(parts_of_a_gpu_fit_as_often_as_they_say, setup),
        cmocka_unit_test_setup(sizes_may_be_said_in_bytes_and_time, setup),
        cmocka_unit_test_setup(a_refusal_says_how_much_is_left_and_who_has_the_rest, setup),
        cmocka_unit_test_setup(nonsense_is_a_usage_error, setup),
        cmocka_unit_test_setup(a_gpu_is_in_one_model_at_a_time, setup),
        cmocka_unit_test_setup(the_first_share_decides_the_policy, setup),
        cmocka_unit_test_setup(what_is_not_possible_is_not_supported, setup),
        cmocka_unit_test_setup(instances_take_the_lowest_free_run_of_cores, setup),
        cmocka_unit_test_setup(scattered_cores_are_called_so, setup),
        cmocka_unit_test_setup(no_sequence_of_requests_gives_more_than_there_is, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

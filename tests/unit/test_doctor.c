/* SPDX-License-Identifier: Apache-2.0 */
/* Checks on facts that no fixture has: pure functions, so facts are made up here. */
#include "base/cleanup.h"
#include "doctor/doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct doctor_check *find(const struct doctor_report *report, const char *id)
{
    for (size_t i = 0; i < report->n; i++)
        if (strcmp(report->checks[i].id, id) == 0)
            return &report->checks[i];
    return NULL;
}

static struct doctor_host healthy(void)
{
    return (struct doctor_host){ .cpu = CPU_INTEL, .iommu_groups = 20, .iommu_units = 1, .iommu_kind = "VT-d", .interrupt_remapping = 1, .unsafe_interrupts = 0,
                                 .vfio_pci = MODULE_PRESENT, .vfio_type1 = MODULE_PRESENT, .iommufd = MODULE_PRESENT, .node_kvm = true, .cpu_virtualizes = true,
                                 .ram_bytes = UINT64_C(1) << 36, .memlock_bytes = UINT64_MAX, .seccomp = 1, .landlock = 1 };
}

static void a_healthy_machine_has_nothing_to_do(void **state)
{
    struct doctor_host h = healthy();
    struct doctor_report r = { .n = 0 };
    doctor_check_host(&h, &r);
    assert_int_equal(doctor_worst(&r, DOCTOR_PASSTHROUGH), DOCTOR_OK);
    assert_int_equal(doctor_worst(&r, DOCTOR_VGPU), DOCTOR_OK);
    for (size_t i = 0; i < r.n; i++)
        assert_string_equal(r.checks[i].remedy, "");
}

static void the_command_line_is_read_word_by_word(void **state)
{
    static const struct { const char *cmdline, *id; enum doctor_verdict verdict; bool danger; } cases[] = {
        { "quiet pcie_acs_override=downstream", "acs-override", DOCTOR_WARNING, true }, { "pcie_acs_override", "acs-override", DOCTOR_WARNING, true },
        { "xpcie_acs_override=downstream pcie_acs_overrides=1", "acs-override", DOCTOR_OK, false },
        { "  vfio_iommu_type1.allow_unsafe_interrupts=1  ", "interrupts", DOCTOR_WARNING, true },
        { "vfio_iommu_type1.allow_unsafe_interrupts=0", "interrupts", DOCTOR_OK, false }, { "", "interrupts", DOCTOR_OK, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct doctor_host h = healthy();
        struct doctor_report r = { .n = 0 };
        strcpy(h.cmdline, cases[i].cmdline);
        doctor_check_host(&h, &r);
        assert_int_equal(find(&r, cases[i].id)->verdict, cases[i].verdict);
        assert_int_equal(find(&r, cases[i].id)->danger, cases[i].danger);
    }
}

static void an_iommu_that_is_off_says_how_to_switch_it_on(void **state)
{
    static const struct { enum doctor_cpu cpu; bool table; const char *cmdline, *found, *remedy; } cases[] = {
        { CPU_INTEL, true, "quiet", "the firmware describes one", "intel_iommu=on" }, { CPU_AMD, true, "", "the firmware describes one", "amd_iommu=on" },
        { CPU_INTEL, false, "", "neither", "VT-d" }, { CPU_AMD, false, "", "neither", "AMD-Vi" }, { CPU_ARM, false, "", "neither", "SMMU" },
        { CPU_INTEL, true, "intel_iommu=off", "started with intel_iommu=off", "take intel_iommu=off off" }, { CPU_AMD, true, "iommu=off", "started with iommu=off", "iommu=off" },
        { CPU_INTEL, true, "intel_iommu=on,off_by_one", "the firmware describes one", "intel_iommu=on" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct doctor_host h = healthy();
        struct doctor_report r = { .n = 0 };
        h.iommu_groups = h.iommu_units = 0;
        h.cpu = cases[i].cpu;
        h.iommu_table = cases[i].table;
        strcpy(h.cmdline, cases[i].cmdline);
        doctor_check_host(&h, &r);
        const struct doctor_check *c = find(&r, "iommu");
        assert_int_equal(c->verdict, DOCTOR_BLOCKS);
        assert_non_null(strstr(c->found, cases[i].found));
        assert_non_null(strstr(c->remedy, cases[i].remedy));
        assert_null(find(&r, "acs-override"));    /* without groups there is nothing to say of them */
    }
}

static void what_nothing_tells_is_never_ok(void **state)
{
    struct doctor_host h = { .interrupt_remapping = -1, .unsafe_interrupts = -1, .noiommu = -1, .iommu_groups = 1, .cpu = CPU_INTEL, .seccomp = -1, .landlock = -1 };
    struct doctor_report r = { .n = 0 };
    doctor_check_host(&h, &r);
    static const char *const unknown[] = { "interrupts", "vfio", "vfio-type1", "memlock", "sandbox" };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_int_equal(find(&r, unknown[i])->verdict, DOCTOR_UNKNOWN);
}

static void a_group_as_large_as_a_bus_shows_who_blocks_first(void **state)
{
    struct gpu gpu = { .name = "gpu0", .has_pci = true };
    struct doctor_gpu g = { .gpu = &gpu, .function = { .address = "0000:ff:00.0", .iommu_group = 1, .numa_node = -1 }, .group_n = 300 };
    struct doctor_host h = healthy();
    struct doctor_report r = { .n = 0 };
    g.group = calloc(g.group_n, sizeof *g.group);
    assert_non_null(g.group);
    for (size_t i = 0; i < g.group_n; i++)
        snprintf(g.group[i].address, sizeof g.group[i].address, "0000:%02x:%02x.%x", (unsigned)(i >> 8), (unsigned)(i >> 3 & 0x1f), (unsigned)(i & 7));
    strcpy(g.group[299].driver, "nvme");
    doctor_check_gpu(&h, &g, &r);
    assert_int_equal(find(&r, "companion")->verdict, DOCTOR_BLOCKS);
    assert_non_null(strstr(find(&r, "companion")->found, "nvme"));
    assert_string_equal(find(&r, "companions")->found, "252 more are not listed");
    assert_non_null(find(&r, "numa"));    /* nothing that comes after was pushed out */
    assert_true(r.n < DOCTOR_MAX_CHECKS);
    doctor_gpu_done(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_machine_has_nothing_to_do), cmocka_unit_test(the_command_line_is_read_word_by_word),
        cmocka_unit_test(an_iommu_that_is_off_says_how_to_switch_it_on), cmocka_unit_test(what_nothing_tells_is_never_ok),
        cmocka_unit_test(a_group_as_large_as_a_bus_shows_who_blocks_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

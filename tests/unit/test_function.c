/* SPDX-License-Identifier: Apache-2.0 */
/* PCI functions and the lists they stand in, from healthy and from hostile sysfs trees. */
#include "base/cleanup.h"
#include "inventory/function.h"
#include "tree.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define GPU "0000:0a:00.0"
#define NO_WINDOW "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"

/* As the kernel lays a function out: the directory stands below its bridge, the bus has a link to it. */
static void add_behind(const char *bridge, const char *address, const char *class_code)
{
    char path[128], target[160];
    snprintf(path, sizeof path, "sys/devices/pci0000:00/%s/%s", bridge, address);
    tree_make_dirs(path);
    snprintf(target, sizeof target, "../../../devices/pci0000:00/%s/%s", bridge, address);
    snprintf(path, sizeof path, "sys/bus/pci/devices/%s", address);
    tree_put_link(target, path);
    tree_add_pci(address, class_code, "0x10de\n", "0x2684\n");
}

static struct pci_function read_ok(const char *address)
{
    struct pci_function f;
    struct error err = { 0 };
    if (pci_read_function(tree_at("sys"), address, &f, &err) != 0)
        fail_msg("%s", err.text);
    return f;
}

static void a_function_comes_with_all_its_facts(void **state)
{
    add_behind("0000:00:01.0", GPU, "0x030000\n");
    tree_put_pci(GPU, "subsystem_vendor", "0x1043\n");
    tree_put_pci(GPU, "subsystem_device", "0x889d\n");
    tree_put_pci(GPU, "revision", "0xa1\n");
    tree_put_pci(GPU, "driver_override", "vfio-pci\n");
    tree_put_link("../../../../bus/pci/drivers/nvidia", "sys/bus/pci/devices/" GPU "/driver");
    tree_add_to_group("17", GPU);
    tree_put_pci(GPU, "numa_node", "1\n");
    tree_put_pci(GPU, "boot_vga", "1\n");
    tree_put_pci(GPU, "sriov_totalvfs", "32\n");
    tree_put_pci(GPU, "sriov_numvfs", "4\n");
    tree_put_pci(GPU, "sriov_drivers_autoprobe", "1\n");
    tree_put_pci(GPU, "reset_method", "flr bus\n");
    tree_put_pci(GPU, "d3cold_allowed", "1\n");
    tree_put_pci(GPU, "power_state", "D0\n");
    tree_put_pci(GPU, "power/runtime_status", "active\n");
    tree_put_pci(GPU, "resource", "0x0000000084000000 0x0000000084ffffff 0x0000000000040200\n"
                                  "0x0000006000000000 0x00000067ffffffff 0x000000000014220c\n" NO_WINDOW
                                  "0x0000006800000000 0x0000006801ffffff 0x000000000014220c\n" NO_WINDOW
                                  "0x0000000000003000 0x000000000000307f 0x0000000000040101\n"
                                  "0x0000000085000000 0x000000008507ffff 0x0000000000046200\n" NO_WINDOW);
    tree_put_pci(GPU, "resource1_resize", "000000000000ffc0\n");
    tree_make_dirs("sys/bus/pci/devices/" GPU "/vfio-dev/vfio2");    /* without a file of its own */
    tree_put_pci(GPU, "vfio-dev/vfio3/dev", "241:3\n");
    struct pci_function f = read_ok("0A:00.0");
    assert_string_equal(f.address, GPU);
    assert_string_equal(f.parent, "0000:00:01.0");
    assert_int_equal(f.class_code, 0x030000);
    assert_int_equal(f.vendor_id, 0x10de);
    assert_int_equal(f.device_id, 0x2684);
    assert_int_equal(f.subsystem_vendor, 0x1043);
    assert_int_equal(f.subsystem_device, 0x889d);
    assert_int_equal(f.revision, 0xa1);
    assert_string_equal(f.driver, "nvidia");
    assert_string_equal(f.override, "vfio-pci");
    assert_int_equal(f.iommu_group, 17);
    assert_int_equal(f.numa_node, 1);
    assert_true(f.boot_vga && !f.bridge && !f.port && !f.is_vf);
    assert_int_equal(f.sriov_total, 32);
    assert_int_equal(f.sriov_enabled, 4);
    assert_int_equal(f.sriov_autoprobe, 1);
    assert_true(f.has_reset);
    assert_string_equal(f.reset_methods, "flr bus");
    assert_int_equal(f.d3cold_allowed, 1);
    assert_string_equal(f.power_state, "D0");
    assert_string_equal(f.runtime_status, "active");
    assert_int_equal(f.bars[0].size, 16 << 20);
    assert_true(f.bars[0].flags & PCI_BAR_MEMORY && !(f.bars[0].flags & PCI_BAR_64BIT));
    assert_int_equal(f.bars[1].start, 0x6000000000);
    assert_int_equal(f.bars[1].size, 32ull << 30);
    assert_true(f.bars[1].flags & PCI_BAR_64BIT && f.bars[1].flags & PCI_BAR_PREFETCH);
    assert_int_equal(f.bars[1].resize_mask, 0xffc0);
    assert_int_equal(f.bars[2].size, 0);
    assert_int_equal(f.bars[5].size, 128);
    assert_true(f.bars[5].flags & PCI_BAR_IO);
    assert_int_equal(f.rom_size, 512 << 10);
    assert_string_equal(f.vfio_device, "vfio3");
}

static void what_is_not_told_is_unknown(void **state)
{
    tree_add_pci(GPU, "0x030200\n", "0x10de\n", "0x2330\n");
    struct pci_function f = read_ok(GPU);
    assert_string_equal(f.parent, "");
    assert_string_equal(f.driver, "");
    assert_string_equal(f.override, "");
    assert_int_equal(f.iommu_group, -1);
    assert_int_equal(f.numa_node, -1);
    assert_int_equal(f.d3cold_allowed, -1);
    assert_int_equal(f.sriov_autoprobe, -1);
    assert_false(f.has_reset);
    assert_int_equal(f.bars[0].size, 0);
    tree_put_pci(GPU, "driver_override", "(null)\n");
    tree_put_pci(GPU, "reset", "");    /* before Linux 5.15 there is only this */
    f = read_ok(GPU);
    assert_string_equal(f.override, "");
    assert_true(f.has_reset);
    assert_string_equal(f.reset_methods, "");
}

static void nonsense_in_attributes_is_unknown_too(void **state)
{
    char flood[9000];
    memset(flood, '1', sizeof flood - 1);
    flood[sizeof flood - 1] = '\0';
    tree_add_pci(GPU, "0x030200\n", "0x10de\n", "0x2330\n");
    tree_put_pci(GPU, "numa_node", "99999999999999999999\n");
    tree_put_pci(GPU, "sriov_numvfs", "-4\n");
    tree_put_pci(GPU, "boot_vga", "yes\n");
    tree_put_pci(GPU, "driver_override", flood);
    tree_put_pci(GPU, "reset_method", "\x1b[31mflr\xff a-name-that-is-much-longer-than-any-list-of-methods-that-the-kernel-has-ever-had\n");
    tree_put_pci(GPU, "resource", "garbage\n0xffff 0x0 0x200\n0x0 0xffffffffffffffff 0x200\n0x1000 0x1fff 0x200");
    tree_put_pci(GPU, "resource3_resize", "not hex\n");
    tree_put_link("/nowhere/deep/" GPU "x", "sys/bus/pci/devices/" GPU "/physfn");
    tree_put_pci(GPU, "vfio-dev/vfio-or-not/dev", "241:3\n");
    tree_put_pci(GPU, "vfio-dev/vfio99999999999999999999/dev", "241:3\n");
    struct pci_function f = read_ok(GPU);
    assert_int_equal(f.numa_node, -1);
    assert_int_equal(f.sriov_enabled, 0);
    assert_false(f.boot_vga);
    assert_string_equal(f.override, "");
    assert_true(strlen(f.reset_methods) < sizeof f.reset_methods && strncmp(f.reset_methods, "?[31mflr? a-name", 16) == 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(f.bars[i].size, 0);
    assert_int_equal(f.bars[3].size, 4096);
    assert_int_equal(f.bars[3].resize_mask, 0);
    assert_true(f.is_vf);
    assert_string_equal(f.physfn, "");
    assert_string_equal(f.vfio_device, "");
}

static int code_of(const char *address, struct error *err)
{
    struct pci_function f;
    *err = (struct error){ 0 };
    int r = pci_read_function(tree_at("sys"), address, &f, err);
    assert_int_equal(r, err->code);
    return r;
}

static void errors_name_the_function_and_the_next_step(void **state)
{
    struct error err;
    tree_add_pci("0000:01:00.0", "0x030000\n", "\n", "0x1\n");
    assert_int_equal(code_of("gpu0", &err), -EINVAL);
    assert_non_null(strstr(err.hint, "lspci"));
    assert_int_equal(code_of("../../../etc", &err), -EINVAL);
    assert_int_equal(code_of(NULL, &err), -EINVAL);
    assert_int_equal(code_of("0000:02:00.0", &err), -ENOENT);
    assert_non_null(strstr(err.text, "0000:02:00.0"));
    assert_non_null(strstr(err.hint, "lspci"));
    assert_int_equal(code_of("0000:01:00.0", &err), -EIO);
    struct pci_function f;
    assert_int_equal(pci_read_function(tree_at("nothing"), "0000:01:00.0", &f, &err), -ENOENT);
}

static void a_group_is_listed_whole(void **state)
{
    _cleanup_free_ struct pci_function *all = NULL;
    size_t n = 0;
    struct error err = { 0 };
    tree_add_pci("0000:01:00.1", "0x040300\n", "0x10de\n", "0x22ba\n");
    tree_add_pci("0000:01:00.0", "0x030000\n", "0x10de\n", "0x2684\n");
    tree_add_pci("0000:00:01.0", "0x060400\n", "0x8086\n", "0x460d\n");
    tree_add_pci("0000:02:00.0", "0x010802\n", "0x144d\n", "0xa80a\n");
    tree_add_to_group("2", "0000:01:00.1");
    tree_add_to_group("2", "0000:01:00.0");
    tree_add_to_group("2", "0000:00:01.0");
    tree_put_link("../../../../bus/pci/drivers/pcieport", "sys/bus/pci/devices/0000:00:01.0/driver");
    tree_put_link("../../../../bus/pci/drivers/snd_hda_intel", "sys/bus/pci/devices/0000:01:00.1/driver");
    assert_int_equal(pci_list_group(tree_at("sys"), 2, &all, &n, &err), 0);
    assert_int_equal(n, 3);
    assert_string_equal(all[0].address, "0000:00:01.0");
    assert_string_equal(all[1].address, "0000:01:00.0");
    assert_string_equal(all[2].address, "0000:01:00.1");
    assert_true(all[0].bridge && all[0].port && !pci_function_holds_group(&all[0]));
    assert_false(pci_function_holds_group(&all[1]));    /* no driver */
    assert_true(pci_function_holds_group(&all[2]));
}

static void a_group_with_unknown_members_is_an_error(void **state)
{
    struct pci_function *all = (void *)1;
    size_t n = 7;
    struct error err = { 0 };
    tree_add_pci(GPU, "0x030000\n", "0x10de\n", "0x2684\n");
    tree_add_to_group("2", GPU);
    tree_make_dirs("sys/kernel/iommu_groups/3/devices");
    assert_int_equal(pci_list_group(tree_at("sys"), 4, &all, &n, &err), -ENOENT);
    assert_int_equal(pci_list_group(tree_at("sys"), -1, &all, &n, &err), -ENOENT);
    assert_int_equal(pci_list_group(tree_at("sys"), 3, &all, &n, &err), -ENOENT);
    tree_make_dirs("sys/kernel/iommu_groups/2/devices/0000:0a:00.7");    /* of which sysfs tells nothing */
    assert_int_equal(pci_list_group(tree_at("sys"), 2, &all, &n, &err), -ENOENT);
    assert_non_null(strstr(err.text, "0000:0a:00.7"));
    tree_add_pci("0000:0a:00.7", "0x0c0330\n", "0x10de\n", "0x1\n");
    tree_make_dirs("sys/kernel/iommu_groups/2/devices/fe8c0000.dma");
    assert_int_equal(pci_list_group(tree_at("sys"), 2, &all, &n, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "fe8c0000.dma"));
    assert_true(all == (void *)1 && n == 7);    /* set on success only */
}

static void a_group_without_end_is_cut_off(void **state)
{
    struct pci_function *all;
    size_t n;
    struct error err = { 0 };
    for (unsigned i = 0; i < PCI_MAX_FUNCTIONS + 1; i++) {
        char address[PCI_ADDRESS_MAX];
        snprintf(address, sizeof address, "0001:%02x:%02x.%x", i >> 8, i >> 3 & 0x1f, i & 7);
        if (i < 1)
            tree_add_pci(address, "0x030000\n", "0x1\n", "0x1\n");
        else {
            char path[128], target[64];
            snprintf(path, sizeof path, "sys/bus/pci/devices/%s", address);
            snprintf(target, sizeof target, "0001:00:00.0");
            tree_put_link(target, path);
        }
        char member[128];
        snprintf(member, sizeof member, "sys/kernel/iommu_groups/0/devices/%s", address);
        tree_put(member, "");
    }
    assert_int_equal(pci_list_group(tree_at("sys"), 0, &all, &n, &err), -E2BIG);
}

static void a_slot_has_the_functions_of_one_device(void **state)
{
    _cleanup_free_ struct pci_function *all = NULL, *vf = NULL;
    size_t n = 0;
    tree_add_pci("0000:01:00.3", "0x0c8000\n", "0x10de\n", "0x1adb\n");
    tree_add_pci("0000:01:00.0", "0x030000\n", "0x10de\n", "0x2684\n");
    tree_add_pci("0000:01:00.1", "0x040300\n", "0x10de\n", "0x22ba\n");
    tree_add_pci("0000:01:00.4", "0x030200\n", "0x10de\n", "0x2684\n");
    tree_put_link("../0000:01:00.0", "sys/bus/pci/devices/0000:01:00.4/physfn");
    tree_add_pci("0000:01:01.0", "0x030000\n", "0x10de\n", "0x2684\n");
    tree_add_pci("0001:01:00.2", "0x030000\n", "0x10de\n", "0x2684\n");
    assert_int_equal(pci_list_slot(tree_at("sys"), "01:00.1", &all, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_string_equal(all[0].address, "0000:01:00.0");
    assert_string_equal(all[2].address, "0000:01:00.3");
    assert_int_equal(pci_list_slot(tree_at("sys"), "0000:01:00.4", &vf, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_string_equal(vf[0].address, "0000:01:00.4");
    assert_string_equal(vf[0].physfn, "0000:01:00.0");
}

static void virtual_functions_are_found_from_their_physical_one(void **state)
{
    _cleanup_free_ struct pci_function *all = NULL;
    struct pci_function *none = (void *)1;
    size_t n = 7;
    struct error err = { 0 };
    tree_add_pci("0000:41:00.0", "0x030200\n", "0x10de\n", "0x26b9\n");
    assert_int_equal(pci_list_vfs(tree_at("sys"), "0000:41:00.0", &none, &n, NULL), 0);
    assert_null(none);
    assert_int_equal(n, 0);
    tree_add_pci("0000:41:01.0", "0x030200\n", "0x10de\n", "0x26b9\n");
    tree_add_pci("0000:41:00.4", "0x030200\n", "0x10de\n", "0x26b9\n");
    tree_put_link("../0000:41:01.0", "sys/bus/pci/devices/0000:41:00.0/virtfn1");
    tree_put_link("../0000:41:00.4", "sys/bus/pci/devices/0000:41:00.0/virtfn0");
    assert_int_equal(pci_list_vfs(tree_at("sys"), "41:00.0", &all, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_string_equal(all[0].address, "0000:41:00.4");
    tree_put_link("../0000:41:01.1", "sys/bus/pci/devices/0000:41:00.0/virtfn2");
    assert_int_equal(pci_list_vfs(tree_at("sys"), "41:00.0", &none, &n, &err), -ENOENT);
}

static void gpus_are_known_by_class(void **state)
{
    static const struct { uint32_t code; bool gpu; } classes[] = { { 0x030000, true }, { 0x030200, true }, { 0x038000, true }, { 0x120000, true }, { 0x040300, false } };
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        assert_int_equal(pci_function_is_gpu(&(struct pci_function){ .class_code = classes[i].code }), classes[i].gpu);
}

static void vfio_drivers_are_known_by_name(void **state)
{
    static const char *const yes[] = { "vfio-pci", "nvgrace_gpu_vfio_pci", "mlx5_vfio_pci" }, *const no[] = { "", "vfio", "nvidia", "vfio-pci-x" };
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(pci_driver_is_vfio(yes[i]));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(pci_driver_is_vfio(no[i]));
}

#define TREE_TEST(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE_TEST(a_function_comes_with_all_its_facts),
        TREE_TEST(what_is_not_told_is_unknown),
        TREE_TEST(nonsense_in_attributes_is_unknown_too),
        TREE_TEST(errors_name_the_function_and_the_next_step),
        TREE_TEST(a_group_is_listed_whole),
        TREE_TEST(a_group_with_unknown_members_is_an_error),
        TREE_TEST(a_group_without_end_is_cut_off),
        TREE_TEST(a_slot_has_the_functions_of_one_device),
        TREE_TEST(virtual_functions_are_found_from_their_physical_one),
        cmocka_unit_test(vfio_drivers_are_known_by_name),
        cmocka_unit_test(gpus_are_known_by_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

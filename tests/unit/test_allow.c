/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices tranche-priv touches: GPUs and what belongs to them, never bridges, nothing else. */
#include "priv/allow.h"
#include "tree.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define GPU "0000:01:00.0"
#define SOUND "0000:01:00.1"
#define PORT "0000:00:01.0"
#define NIC "0000:02:00.0"
#define DISK "0000:03:00.0"
#define VF "0000:01:10.0"

static void make_host(void)
{
    tree_add_pci(GPU, "0x030000\n", "0x10de\n", "0x2684\n");
    tree_add_pci(SOUND, "0x040300\n", "0x10de\n", "0x22ba\n");
    tree_add_pci(PORT, "0x060400\n", "0x8086\n", "0x4601\n");
    tree_add_pci(NIC, "0x020000\n", "0x8086\n", "0x100e\n");
    tree_add_pci(DISK, "0x010802\n", "0x144d\n", "0xa80a\n");
    tree_add_pci(VF, "0x028000\n", "0x10de\n", "0x2684\n");
    tree_add_to_group("1", PORT);
    tree_add_to_group("1", GPU);
    tree_add_to_group("1", NIC);
    tree_add_to_group("2", SOUND);
    tree_add_to_group("3", DISK);
    tree_add_to_group("4", VF);
    tree_put_link("../" GPU, "sys/bus/pci/devices/" VF "/physfn");
}

static int ask(const struct allow *allow, const char *device)
{
    struct op op = { .kind = OP_OVERRIDE, .to = "vfio-pci" };
    strcpy(op.device, device);
    return allow_op(tree_at("sys"), allow, &op, NULL);
}

static void gpus_and_what_belongs_to_them(void **state)
{
    struct allow allow = { 0 };
    make_host();
    assert_int_equal(ask(&allow, GPU), 0);
    assert_int_equal(ask(&allow, SOUND), 0);    /* by its slot alone */
    assert_int_equal(ask(&allow, NIC), 0);      /* by the group alone */
    assert_int_equal(ask(&allow, VF), 0);       /* by its physical function alone */
}

static void nothing_else(void **state)
{
    struct allow allow = { 0 };
    make_host();
    assert_int_equal(ask(&allow, DISK), -EPERM);
    assert_int_equal(ask(&allow, PORT), -EPERM);
    assert_int_equal(ask(&allow, "0000:09:00.0"), -ENODEV);
    assert_int_equal(ask(&allow, "../../../etc"), -EINVAL);
}

static void named_devices_but_no_bridges(void **state)
{
    struct allow allow = { .named = { DISK, PORT }, .named_n = 2 };
    make_host();
    assert_int_equal(ask(&allow, DISK), 0);
    assert_int_equal(ask(&allow, PORT), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gpus_and_what_belongs_to_them, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(nothing_else, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(named_devices_but_no_bridges, tree_setup, tree_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

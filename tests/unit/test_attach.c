/* SPDX-License-Identifier: Apache-2.0 */
/* Places in the guest, windows and quoting, for cards that fixtures do not have. */
#include "attach/attach.h"
#include "attach/output.h"
#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct pci_function function(const char *address, uint32_t class_code, bool is_vf)
{
    struct pci_function f = { .class_code = class_code, .is_vf = is_vf, .iommu_group = -1, .numa_node = -1 };
    snprintf(f.address, sizeof f.address, "%s", address);
    return f;
}

static void a_slot_of_the_host_is_a_slot_of_the_guest(void **state)
{
    struct pci_function all[] = {
        function("0000:01:00.0", 0x030000, false), function("0000:01:00.1", 0x040300, false), function("0000:02:00.1", 0x030200, false),
        function("0000:02:00.3", 0x040300, false), function("0000:41:00.4", 0x030200, true), function("0000:41:00.5", 0x030200, true),
        function("0001:41:00.0", 0x030200, false),
    };
    struct attach_place p[ARRAY_LEN(all)];
    struct attach_request q = { .functions = all, .n = ARRAY_LEN(all) };
    assert_int_equal(attach_place(&q, p, NULL), 5);
    static const struct attach_place expect[] = {
        { 0, 0, true }, { 0, 1, false }, { 1, 0, true }, { 1, 1, false },    /* without a function 0 a guest would see nothing: numbers move down */
        { 2, 0, false }, { 3, 0, false }, { 4, 0, false },                  /* virtual functions are devices of their own */
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_int_equal(p[i].slot, expect[i].slot);
        assert_int_equal(p[i].function, expect[i].function);
        assert_int_equal(p[i].multifunction, expect[i].multifunction);
    }
    q.n = 0;
    assert_int_equal(attach_place(&q, p, NULL), -E2BIG);
    q.n = ATTACH_MAX_FUNCTIONS + 1;
    assert_int_equal(attach_place(&q, p, NULL), -E2BIG);
}

static uint64_t window_of(uint64_t a, uint64_t b)
{
    struct pci_function f = function("0000:01:00.0", 0x030200, false);
    struct attach_request q = { .functions = &f, .n = 1 };
    f.bars[0] = (struct pci_bar){ 0, a, PCI_BAR_MEMORY | PCI_BAR_64BIT };
    f.bars[2] = (struct pci_bar){ 0, b, PCI_BAR_MEMORY | PCI_BAR_64BIT };
    f.bars[4] = (struct pci_bar){ 0, UINT64_C(1) << 40, PCI_BAR_MEMORY };    /* below 4 GiB: not in this window */
    return attach_window_bytes(&q);
}

static void windows_are_powers_of_two_with_room(void **state)
{
    const uint64_t GIB = UINT64_C(1) << 30;
    assert_int_equal(window_of(128 * GIB, GIB / 8), 256 * GIB);
    assert_int_equal(window_of(16 * GIB, 0), 32 * GIB);
    assert_int_equal(window_of(64 * GIB, 48 * GIB), 256 * GIB);    /* 112 of 128 leave too little for the guest's other devices */
    assert_int_equal(window_of(UINT64_MAX, 16 * GIB), 32 * GIB);   /* nonsense from sysfs does not loop */
}

static void commands_are_quoted(void **state)
{
    static const struct { const char *text, *expect; } cases[] = {
        { "0000:01:00,pcie=1", "0000:01:00,pcie=1" }, { "a b", "'a b'" }, { "it's", "'it'\\''s'" }, { "", "''" }, { "$(x);`y`", "'$(x);`y`'" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_free_ char *got = output_quote(cases[i].text);
        assert_string_equal(got, cases[i].expect);
    }
}

static void choices_that_make_no_sense_are_refused(void **state)
{
    struct pci_function f = function("0000:01:00.0", 0x030200, false);
    struct attach_request q = { .name = "gpu0", .product = "", .functions = &f, .n = 1, .primary = true };
    struct attach_output out;
    struct error err = { 0 };
    assert_int_equal(attach_build(ATTACH_QEMU, &q, &out, &err), -EINVAL);
    assert_non_null(strstr(err.text, "no VGA function"));
    attach_done(&out);
    f.class_code = 0x030000;
    assert_int_equal(attach_build(ATTACH_QEMU, &q, &out, &err), 0);
    attach_done(&out);
    assert_int_equal(attach_build(ATTACH_LIBVIRT, &q, &out, &err), -EOPNOTSUPP);
    attach_done(&out);
    assert_int_equal(attach_build(ATTACH_KUBEVIRT, &q, &out, &err), -EOPNOTSUPP);
    attach_done(&out);
    q.primary = false;
    q.rom = "/roms/a,b.rom";
    assert_int_equal(attach_build(ATTACH_PROXMOX, &q, &out, &err), -EINVAL);
    attach_done(&out);
    assert_int_equal(attach_build(ATTACH_QEMU, &q, &out, &err), 0);
    assert_non_null(strstr(out.sections[0].lines.items[3], ",romfile=/roms/a,,b.rom"));
    attach_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_of_the_host_is_a_slot_of_the_guest), cmocka_unit_test(windows_are_powers_of_two_with_room),
        cmocka_unit_test(commands_are_quoted), cmocka_unit_test(choices_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

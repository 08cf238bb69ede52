/* SPDX-License-Identifier: Apache-2.0 */
/* The inventory on hosts that are made here: a sysfs tree, an NVML library and a probe, healthy and hostile. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "inventory/inventory.h"
#include "inventory/label.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#define MS NS_PER_MS
#define CPU_DEVICE "{\"platform\":\"Portable Computing Language\",\"index\":0,\"name\":\"pthread-x\",\"vendor\":\"AuthenticAMD\"," \
    "\"type\":\"cpu\",\"compute_units\":4,\"global_mem_bytes\":4294967296,\"max_sub_devices\":4,\"partition_by_counts\":true}"
#define GPU_DEVICE(platform, vendor, address, alternative) "{\"platform\":\"" platform "\",\"index\":0,\"name\":\"" platform " device\"," \
    "\"vendor\":\"V\",\"vendor_id\":" vendor ",\"type\":\"gpu\",\"compute_units\":132,\"global_mem_bytes\":150000000000," \
    "\"pci_address\":" address ",\"pci_address_alternative\":" alternative "}"

/* ---- a host of our own ---- */

/* A probe that prints this; `before` is shell to run first. */
static void put_probe(const char *before, const char *json)
{
    char text[16384];
    snprintf(text, sizeof text, "#!/bin/sh\n%s\ncat <<'END'\n%s\nEND\n", before, json);
    tree_put("worker", text);
    assert_int_equal(chmod(tree_at("worker"), 0700), 0);
}

static int host_setup(void **state)
{
    tree_setup(state);
    tree_put("cpuinfo", "processor\t: 0\nmodel name\t: Test  CPU 9000\n");
    tree_put("meminfo", "MemTotal:       24110872 kB\nMemFree: 1 kB\n");
    tree_put("pci.ids", "# comment\n10de  NVIDIA Corporation\n\t2335  GH100 [H200]\n\t\t10de 1234  sub\n\t1eb8  TU104GL [Tesla T4]\n"
                   "1234  Technical Corp.\n\t1111  Bochs VGA\nC 03  Display controller\n\t00  VGA\n");
    put_probe("", "{\"devices\":[" CPU_DEVICE "]}");
    unsetenv("FAKE_NVML");
    return 0;
}

static struct inventory *take(bool stand_in, const char *nvml)
{
    struct inventory_sources s = INVENTORY_SOURCES_DEFAULT;
    struct inventory_probe probe;
    struct inventory *inventory = NULL;
    struct error err = { 0 };
    s = (struct inventory_sources){ tree_at("sys"), tree_at("cpuinfo"), tree_at("meminfo"), tree_at("pci.ids"), nvml ? nvml : "libnothing-here.so.9",
                                    tree_at("worker"), stand_in, NULL, 0, 2000 * MS };
    inventory_begin(&probe, &s);
    assert_int_equal(inventory_end(&probe, &inventory, &err), 0);
    return inventory;
}

/* ---- pci ---- */

static void addresses_are_read_in_all_their_forms(void **state)
{
    static const struct { const char *text, *expect; } cases[] = {
        { "0000:01:00.0", "0000:01:00.0" }, { "01:00.0", "0000:01:00.0" }, { "0000:0A:1f.7", "0000:0a:1f.7" },
        { "10000:e1:00.0", "10000:e1:00.0" }, { "gpu0", NULL }, { "", NULL }, { "01:20.0", NULL }, { "01:00.8", NULL },
        { "0000:01:00.0x", NULL }, { "0000:01:00", NULL }, { "-1:00.0", NULL }, { "0000:01:00.0000000000000000", NULL }, { NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char got[PCI_ADDRESS_MAX];
        assert_int_equal(pci_parse_address(cases[i].text, got), cases[i].expect != NULL);
        if (cases[i].expect)
            assert_string_equal(got, cases[i].expect);
    }
}

static void pci_gpus_come_with_their_facts_in_address_order(void **state)
{
    struct pci_gpu *gpus;
    size_t n;
    tree_add_pci("0000:82:00.0", "0x030200\n", "0x10de\n", "0x1eb8\n");
    tree_add_pci("0000:0a:00.0", "0x030200\n", "0x10de\n", "0x2335\n");
    tree_add_pci("0000:0a:00.1", "0x040300\n", "0x10de\n", "0x22e8\n");
    tree_add_pci("0000:09:00.0", "0x060400\n", "0x8086\n", "0x1901\n");
    tree_add_pci("0001:00:00.0", "0x030000\n", "0x4242\n", "0x0001\n");
    tree_add_to_group("12", "0000:0a:00.0");
    tree_make_dirs("sys/kernel/iommu_groups/12/devices/0000:0a:00.1");
    tree_make_dirs("sys/kernel/iommu_groups/12/devices/0000:09:00.0");
    tree_put_link("../../../../bus/pci/drivers/vfio-pci", "sys/bus/pci/devices/0000:0a:00.0/driver");
    tree_put("sys/bus/pci/devices/0000:0a:00.0/numa_node", "1\n");
    tree_put("sys/bus/pci/devices/0000:0a:00.0/sriov_totalvfs", "32\n");
    tree_put("sys/bus/pci/devices/0000:0a:00.0/sriov_numvfs", "2\n");
    tree_put("sys/bus/pci/devices/0000:82:00.0/numa_node", "-1\n");
    assert_int_equal(pci_list_gpus(tree_at("sys"), tree_at("pci.ids"), &gpus, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_string_equal(gpus[0].address, "0000:0a:00.0");
    assert_string_equal(gpus[0].vendor, "NVIDIA Corporation");
    assert_string_equal(gpus[0].device, "GH100 [H200]");
    assert_string_equal(gpus[0].driver, "vfio-pci");
    assert_int_equal(gpus[0].iommu_group, 12);
    assert_int_equal(gpus[0].companions_n, 1);    /* the audio function; the bridge is none */
    assert_string_equal(gpus[0].companions[0], "0000:0a:00.1");
    assert_int_equal(gpus[0].numa_node, 1);
    assert_int_equal(gpus[0].sriov_total, 32);
    assert_int_equal(gpus[0].sriov_enabled, 2);
    assert_string_equal(gpus[1].address, "0000:82:00.0");
    assert_string_equal(gpus[1].device, "TU104GL [Tesla T4]");
    assert_int_equal(gpus[1].iommu_group, -1);
    assert_int_equal(gpus[1].numa_node, -1);
    assert_string_equal(gpus[2].address, "0001:00:00.0");
    assert_string_equal(gpus[2].vendor, "PCI vendor 4242");
    assert_string_equal(gpus[2].device, "device 0001");
    free(gpus);
}

static void what_is_no_gpu_or_nonsense_is_left_out(void **state)
{
    char long_text[300];
    struct pci_gpu *gpus;
    size_t n;
    memset(long_text, '9', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    tree_add_pci("0000:01:00.0", "0x020000\n", "0x8086\n", "0x1\n");
    tree_add_pci("0000:02:00.0", "0x03zz00\n", "0x10de\n", "0x1\n");
    tree_add_pci("0000:03:00.0", long_text, "0x10de\n", "0x1\n");
    tree_add_pci("0000:04:00.0", "0x030000\n", "0x10de10de\n", "0x1\n");
    tree_add_pci("0000:05:00.0", "0x030000\n", "\n", "0x1\n");
    tree_add_pci("0000:06:00.0", "-0x30000\n", "0x10de\n", "0x1\n");
    tree_add_pci("not an address", "0x030000\n", "0x10de\n", "0x1\n");
    tree_add_pci("0000:07:00.4", "0x030000\n", "0x10de\n", "0x1\n");
    tree_put_link("../0000:07:00.0", "sys/bus/pci/devices/0000:07:00.4/physfn");    /* a virtual function */
    assert_int_equal(pci_list_gpus(tree_at("sys"), tree_at("pci.ids"), &gpus, &n, NULL), 0);
    assert_int_equal(n, 0);
    free(gpus);
    assert_int_equal(pci_list_gpus(tree_at("nothing"), NULL, &gpus, &n, NULL), 0);
    assert_int_equal(n, 0);
}

static void a_bad_attribute_costs_only_itself(void **state)
{
    struct pci_gpu *gpus;
    size_t n;
    tree_add_pci("0000:01:00.0", "0x030000\n", "0x10de\n", "0x2335\n");
    tree_make_dirs("sys/bus/pci/devices/0000:01:00.0/numa_node");
    tree_put("sys/bus/pci/devices/0000:01:00.0/sriov_totalvfs", "many\n");
    tree_put_link("../../../../bus/pci/drivers/\x1b[31mevil\xff", "sys/bus/pci/devices/0000:01:00.0/driver");
    tree_put_link("../nonsense", "sys/bus/pci/devices/0000:01:00.0/iommu_group");
    assert_int_equal(pci_list_gpus(tree_at("sys"), tree_at("missing.ids"), &gpus, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(gpus[0].numa_node, -1);
    assert_int_equal(gpus[0].sriov_total, 0);
    assert_int_equal(gpus[0].iommu_group, -1);
    assert_string_equal(gpus[0].driver, "?[31mevil?");
    free(gpus);
}

static void labels_are_valid_text(void **state)
{
    char small[8], text[32];
    label_set(text, sizeof text, "  a\t\tb\n ");
    assert_string_equal(text, "a b");
    label_set(text, sizeof text, "Radeon\xe2\x84\xa2");
    assert_string_equal(text, "Radeon\xe2\x84\xa2");
    label_set(text, sizeof text, "\xc0\x80 \xed\xa0\x80 \xf8x \xe2\x84");
    assert_string_equal(text, "?? ??? ?x ??");
    label_set(small, sizeof small, "123456\xe2\x84\xa2");    /* never half a character */
    assert_string_equal(small, "123456");
    label_set(small, sizeof small, NULL);
    assert_string_equal(small, "");
}

/* ---- children ---- */

static int body_hang(void *arg) { return pause(); }
static int body_crash(void *arg) { abort(); }
static int body_fail(void *arg) { return 3; }
static int body_shut_and_hang(void *arg) { close(1); return pause(); }
static int body_flood(void *arg) { while (puts("0123456789012345678901234567890123456789") != EOF); return 0; }
static int body_hello(void *arg) { printf("hello %s", (char *)arg); return fflush(stdout); }
static int body_descriptors(void *arg)
{
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return 1;
    return 0;
}

static void children_end_by_their_deadline_whatever_they_do(void **state)
{
    static const struct { int (*body)(void *); int expect; uint64_t timeout_ns; const char *says; } cases[] = {
        { body_hello, 0, 2000 * MS, NULL }, { body_hang, -ETIMEDOUT, 150 * MS, "did not answer in time" },
        { body_crash, -EIO, 2000 * MS, "signal 6" }, { body_fail, -EIO, 2000 * MS, "exit code 3" },
        { body_shut_and_hang, -ETIMEDOUT, 300 * MS, "does not end" }, { body_flood, -EFBIG, 5000 * MS, "too much" },
        { body_descriptors, 0, 2000 * MS, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct child c;
        struct error err = { 0 };
        uint64_t begin = clock_now_ns();
        assert_int_equal(child_start(&c, "child", cases[i].timeout_ns, cases[i].body, "you", &err), 0);
        pid_t pid = c.pid;
        assert_int_equal(child_wait(&c, &err), cases[i].expect);
        assert_true(clock_now_ns() - begin < cases[i].timeout_ns + 1000 * MS);
        if (cases[i].says)
            assert_non_null(strstr(err.text, cases[i].says));
        if (cases[i].body == body_hello)
            assert_string_equal(c.output, "hello you");
        child_done(&c);
        child_done(&c);
        assert_int_equal(kill(pid, 0), -1);    /* gone, and no zombie */
    }
}

/* ---- nvml ---- */

static int ask_nvml(const char *library, const char *mode, struct nvml_gpu *ret, struct error *err)
{
    struct child c;
    mode ? setenv("FAKE_NVML", mode, 1) : unsetenv("FAKE_NVML");
    assert_int_equal(nvml_start(&c, library, 400 * MS, err), 0);
    int n = nvml_collect(&c, ret, 2, err);
    child_done(&c);
    return n;
}

static void nvml_tells_its_gpus(void **state)
{
    struct nvml_gpu g[2];
    struct error err = { 0 };
    assert_int_equal(ask_nvml(FAKE_NVML_LIBRARY, NULL, g, &err), 2);
    assert_string_equal(g[0].name, "NVIDIA H200");
    assert_string_equal(g[0].uuid, "GPU-00000000-1111-2222-3333-444444444440");
    assert_string_equal(g[0].pci_address, "0000:0a:00.0");
    assert_string_equal(g[0].driver_version, "580.65.06");
    assert_int_equal(g[0].memory_bytes, 143771ull << 20);
    assert_int_equal(g[0].compute_major, 9);
    assert_int_equal(g[0].mig_current, 0);
    assert_int_equal(g[0].mig_pending, 1);
    assert_string_equal(g[1].name, "NVIDIA T4 ? ?");
    assert_int_equal(g[1].mig_current, -1);
}

static void nvml_may_lack_anything(void **state)
{
    struct nvml_gpu g[2];
    struct error err = { 0 };
    assert_int_equal(ask_nvml("libnothing-here.so.9", NULL, g, &err), 0);
    assert_int_equal(ask_nvml(FAKE_NVML_LIBRARY, "bare", g, &err), 2);
    assert_int_equal(g[0].memory_bytes, 0);
    assert_string_equal(g[0].pci_address, "");
    assert_int_equal(g[0].mig_current, -1);
    assert_int_equal(ask_nvml("libc.so.6", NULL, g, &err), -EIO);
    assert_non_null(strstr(err.text, "lacks"));
    assert_int_equal(ask_nvml(FAKE_NVML_LIBRARY, "unhealthy", g, &err), -EIO);
    assert_non_null(strstr(err.text, "Driver Not Loaded"));
    assert_int_equal(ask_nvml(FAKE_NVML_LIBRARY, "hang", g, &err), -ETIMEDOUT);
    assert_int_equal(ask_nvml(FAKE_NVML_LIBRARY, "crash", g, &err), -EIO);
}

/* ---- opencl ---- */

static int ask_probe(const char *before, const char *json, struct opencl_device *ret, int max, struct error *err)
{
    struct child c;
    put_probe(before, json);
    assert_int_equal(opencl_start(&c, tree_at("worker"), 2000 * MS, err), 0);
    int n = opencl_collect(&c, ret, max, err);
    child_done(&c);
    return n;
}

static void the_probe_runs_with_native_drivers(void **state)
{
    struct opencl_device d[2];
    struct error err = { 0 };
    setenv("OCL_ICD_VENDORS", "/ours.so", 1);
    assert_int_equal(ask_probe("test \"$1\" = --probe || exit 1; test -z \"$OCL_ICD_VENDORS\" || exit 1", "{\"devices\":[" CPU_DEVICE "]}", d, 2, &err), 1);
    unsetenv("OCL_ICD_VENDORS");
    assert_string_equal(d[0].platform, "Portable Computing Language");
    assert_int_equal(d[0].type, OPENCL_CPU);
    assert_int_equal(d[0].compute_units, 4);
    assert_true(d[0].partition_by_counts);
    assert_string_equal(d[0].pci_address, "");
}

static void a_hostile_probe_is_not_believed(void **state)
{
    struct opencl_device d[2];
    struct error err = { 0 };
    assert_int_equal(ask_probe("", "no json", d, 2, &err), -EPROTO);
    assert_int_equal(ask_probe("", "[1,2]", d, 2, &err), -EPROTO);
    assert_int_equal(ask_probe("", "{\"devices\":{}}", d, 2, &err), -EPROTO);
    assert_int_equal(ask_probe("exit 7", "", d, 2, &err), -EIO);
    assert_int_equal(ask_probe("", "{\"devices\":[1,null,{},\"x\",{\"platform\":5}]}", d, 2, &err), 0);
    assert_int_equal(ask_probe("", "{\"devices\":[{\"platform\":\"P\",\"index\":-1,\"compute_units\":1,\"global_mem_bytes\":1},"
        "{\"platform\":\"P\",\"index\":0,\"compute_units\":99999999999,\"global_mem_bytes\":1},"
        "{\"platform\":\"P\",\"index\":0,\"compute_units\":1,\"global_mem_bytes\":-5},"
        "{\"platform\":\"\",\"index\":0,\"compute_units\":1,\"global_mem_bytes\":5},"
        "{\"platform\":\"P\",\"index\":0,\"compute_units\":1.5,\"global_mem_bytes\":5}]}", d, 2, &err), 0);
    assert_int_equal(ask_probe("", "{\"devices\":[" CPU_DEVICE "," CPU_DEVICE "," CPU_DEVICE "]}", d, 2, &err), 2);    /* no more than there is room */
    struct child c;
    assert_int_equal(opencl_start(&c, tree_at("no-such-worker"), 1000 * MS, &err), -ENOENT);
    assert_true(err.hint[0]);
}

/* ---- merging ---- */

static void a_host_without_a_gpu_gets_its_cpu_as_stand_in(void **state)
{
    struct inventory *i = take(false, NULL);
    assert_int_equal(i->n, 1);
    assert_string_equal(i->gpus[0].name, "cpu0");
    assert_true(i->gpus[0].stand_in);
    assert_string_equal(i->gpus[0].product, "Test CPU 9000 (CPU as stand-in GPU)");
    assert_int_equal(i->gpus[0].memory_bytes, 11ull << 30);
    assert_int_equal(i->gpus[0].compute_units, 4);
    assert_string_equal(gpu_identity(&i->gpus[0]), "cpu0");
    inventory_free(i);
}

static void without_any_driver_the_stand_in_says_what_to_install(void **state)
{
    put_probe("", "{\"devices\":[]}");
    struct inventory *i = take(false, NULL);
    assert_int_equal(i->n, 1);
    assert_false(i->gpus[0].has_opencl);
    assert_non_null(strstr(i->gpus[0].opencl_missing, "pocl-opencl-icd"));
    inventory_free(i);
    put_probe("exec sleep 60", "");
    i = take(false, NULL);
    assert_non_null(strstr(i->gpus[0].opencl_missing, "did not answer in time"));
    inventory_free(i);
}

static void an_emulated_display_is_listed_and_the_cpu_still_offered(void **state)
{
    tree_add_pci("0000:00:02.0", "0x030000\n", "0x1234\n", "0x1111\n");
    struct inventory *i = take(false, NULL);
    assert_int_equal(i->n, 2);
    assert_string_equal(i->gpus[0].name, "gpu0");
    assert_string_equal(i->gpus[0].product, "Bochs VGA");
    assert_false(i->gpus[0].has_opencl);
    assert_string_equal(i->gpus[1].name, "cpu0");
    assert_true(i->gpus[1].has_opencl);
    inventory_free(i);
}

static void gpus_meet_their_nvml_and_opencl_sides_by_address(void **state)
{
    tree_add_pci("0000:82:00.0", "0x030200\n", "0x10de\n", "0x1eb8\n");
    tree_add_pci("0000:0a:00.0", "0x030200\n", "0x10de\n", "0x2335\n");
    put_probe("", "{\"devices\":[" GPU_DEVICE("CUDA", "4318", "\"0000:82:00.0\"", "null") "," GPU_DEVICE("CUDA", "4318", "\"0000:0a:01.0\"", "\"0000:0a:00.0\"")
              "," GPU_DEVICE("Other", "4318", "\"0000:82:00.0\"", "null") "," CPU_DEVICE "]}");
    struct inventory *i = take(false, FAKE_NVML_LIBRARY);
    assert_int_equal(i->n, 2);    /* no stand-in beside real GPUs, no GPU twice by a second platform */
    assert_string_equal(i->gpus[0].pci.address, "0000:0a:00.0");
    assert_string_equal(i->gpus[0].product, "NVIDIA H200");
    assert_string_equal(i->gpus[0].vendor, "NVIDIA");
    assert_true(i->gpus[0].has_opencl);
    assert_string_equal(i->gpus[1].opencl.platform, "CUDA");
    assert_int_equal(i->gpus[1].memory_bytes, 150000000000);
    assert_ptr_equal(inventory_find(i, "gpu1"), &i->gpus[1]);
    assert_ptr_equal(inventory_find(i, "82:00.0"), &i->gpus[1]);
    assert_ptr_equal(inventory_find(i, "gpu-00000000-1111-2222-3333-444444444440"), &i->gpus[0]);
    assert_null(inventory_find(i, "gpu2"));
    assert_null(inventory_find(i, ""));
    assert_null(inventory_find(NULL, "gpu0"));
    inventory_free(i);
    i = take(true, FAKE_NVML_LIBRARY);
    assert_int_equal(i->n, 3);
    assert_string_equal(i->gpus[2].name, "cpu0");
    inventory_free(i);
}

static void a_driver_that_tells_no_address_is_matched_when_that_is_clear(void **state)
{
    tree_add_pci("0000:01:00.0", "0x030000\n", "0x1002\n", "0x1\n");
    put_probe("", "{\"devices\":[" GPU_DEVICE("Clover", "4098", "null", "null") "]}");
    struct inventory *i = take(false, NULL);
    assert_int_equal(i->n, 1);
    assert_string_equal(i->gpus[0].opencl.platform, "Clover");
    inventory_free(i);
    tree_add_pci("0000:02:00.0", "0x030000\n", "0x1002\n", "0x1\n");    /* now it is not: the device is listed by itself */
    i = take(false, NULL);
    assert_int_equal(i->n, 3);
    assert_false(i->gpus[0].has_opencl);
    assert_false(i->gpus[2].has_pci);
    assert_non_null(strstr(i->gpus[0].opencl_missing, "mesa-opencl-icd"));
    inventory_free(i);
}

static void a_container_that_hides_sysfs_still_shows_the_gpu(void **state)
{
    put_probe("", "{\"devices\":[" GPU_DEVICE("CUDA", "4318", "\"0000:0a:00.0\"", "null") "," CPU_DEVICE "]}");
    struct inventory *i = take(false, FAKE_NVML_LIBRARY);
    assert_int_equal(i->n, 1);
    assert_string_equal(i->gpus[0].name, "gpu0");
    assert_false(i->gpus[0].has_pci);
    assert_string_equal(i->gpus[0].nvml.name, "NVIDIA H200");
    inventory_free(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_in_all_their_forms),
        cmocka_unit_test_setup_teardown(pci_gpus_come_with_their_facts_in_address_order, host_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_gpu_or_nonsense_is_left_out, host_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(a_bad_attribute_costs_only_itself, host_setup, tree_teardown),
        cmocka_unit_test(labels_are_valid_text),
        cmocka_unit_test(children_end_by_their_deadline_whatever_they_do),
        cmocka_unit_test(nvml_tells_its_gpus),
        cmocka_unit_test(nvml_may_lack_anything),
        cmocka_unit_test_setup_teardown(the_probe_runs_with_native_drivers, host_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(a_hostile_probe_is_not_believed, host_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(a_host_without_a_gpu_gets_its_cpu_as_stand_in, host_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(without_any_driver_the_stand_in_says_what_to_install, host_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(an_emulated_display_is_listed_and_the_cpu_still_offered, host_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(gpus_meet_their_nvml_and_opencl_sides_by_address, host_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(a_container_that_hides_sysfs_still_shows_the_gpu, host_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(a_driver_that_tells_no_address_is_matched_when_that_is_clear, host_setup, tree_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

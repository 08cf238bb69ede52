/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups of the engines that there are, and of nobody. */
#include "base/cleanup.h"
#include "inventory/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define ID "4f1e0c2b9a8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f"
#define SHORT "4f1e0c2b9a8d"
#define POD_ "6b1f2a3c_0d4e_4f5a_8b6c_7d8e9f0a1b2c"
#define POD "6b1f2a3c-0d4e-4f5a-8b6c-7d8e9f0a1b2c"

static void owners_are_recognized(void **state)
{
    static const struct { const char *text, *runtime, *container, *pod, *unit; } cases[] = {
        { "0::/\n", "", "", "", "" },
        { "", "", "", "", "" },
        { "0::/system.slice/nvidia-persistenced.service\n", "", "", "", "nvidia-persistenced.service" },
        { "0::/user.slice/user-1000.slice/session-4.scope\n", "", "", "", "session-4.scope" },
        { "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope", "", "", "", "vte-spawn-1.scope" },
        { "0::/system.slice/docker-" ID ".scope\n", "docker", SHORT, "", "docker-" ID ".scope" },
        { "12:devices:/docker/" ID "\n11:cpu:/docker/" ID "\n0::/system.slice/containerd.service\n", "docker", SHORT, "", "" },
        { "0::/machine.slice/libpod-" ID ".scope/container\n", "podman", SHORT, "", "libpod-" ID ".scope" },
        { "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope\n", "podman", SHORT, "", "libpod-" ID ".scope" },
        { "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_ ".slice/cri-containerd-" ID ".scope\n", "containerd", SHORT, POD, "cri-containerd-" ID ".scope" },
        { "0::/kubepods.slice/kubepods-pod" POD_ ".slice/crio-" ID ".scope\n", "cri-o", SHORT, POD, "crio-" ID ".scope" },
        { "3:cpu:/kubepods/besteffort/pod" POD "/" ID "\n", "kubernetes", SHORT, POD, "" },
        { "0::/lxc.payload.web/system.slice/nginx.service\n", "lxc", "web", "", "nginx.service" },
        { "0::/lxc/101/ns/system.slice/app.service\n", "lxc", "101", "", "app.service" },
        { "0::/qemu.slice/100.scope\n", "proxmox", "100", "", "100.scope" },
        { "0::/machine.slice/machine-qemu\\x2d3\\x2dwin11\\x2dgames.scope/libvirt/emulator\n", "libvirt", "win11-games", "", "machine-qemu-3-win11-games.scope" },
        { "0::/machine.slice/machine-build.scope/payload\n", "nspawn", "build", "", "machine-build.scope" },
        { "0::/machine.slice/systemd-nspawn@build.service/payload\n", "nspawn", "build", "", "systemd-nspawn@build.service" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cgroup_owner o;
        cgroup_identify(cases[i].text, &o);
        assert_string_equal(o.runtime, cases[i].runtime);
        assert_string_equal(o.container, cases[i].container);
        assert_string_equal(o.pod, cases[i].pod);
        if (strlen(cases[i].unit) < sizeof o.unit)
            assert_string_equal(o.unit, cases[i].unit);
    }
}

/* A container chooses the names of its own groups. */
static void hostile_names_do_no_harm(void **state)
{
    static const char *const texts[] = {
        "0::/docker-zz.scope", "0::/docker/../../etc", "0::////", ":::", "no colon at all", "0::/machine-qemu\\x2d.scope", "0::/machine-.scope",
        "0::/\\x", "0::/\\xZZ.service", "0::/kubepods-pod.slice", "0::/pod-pod-pod-", "0::/lxc", "0::/\x1b[31m.service", "0::/lxc/\xff\xfe", "0::/qemu.slice/.scope",
    };
    struct cgroup_owner o;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        cgroup_identify(texts[i], &o);
        assert_true(strlen(o.unit) < sizeof o.unit && strlen(o.container) < sizeof o.container);
        assert_null(strchr(o.unit, '\x1b'));
    }
    char *flood = malloc(100000);
    memset(flood, 'a', 99999);
    memcpy(flood, "0::/docker/", 11);
    flood[99999] = '\0';
    cgroup_identify(flood, &o);
    flood[1900] = '\0';    /* one that just fits: a name of 1.9 KB, all of it hexadecimal */
    cgroup_identify(flood, &o);
    assert_string_equal(o.container, "aaaaaaaaaaaa");
    free(flood);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(owners_are_recognized), cmocka_unit_test(hostile_names_do_no_harm) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

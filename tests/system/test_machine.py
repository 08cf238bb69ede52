# SPDX-License-Identifier: Apache-2.0
"""Commands that look at a machine without a daemon, on the hosts of tests/fixtures/hosts.py and on this one."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from random import Random

import pytest
from conftest import wait_until
from test_cli import TOP, compare_golden, failed, http, impostor
from test_handover import ONE, SOUND, host  # noqa: F401  (a fixture)

sys.path.insert(0, str(TOP / "tests/fixtures"))
import hosts as fixtures  # noqa: E402  (found through the line above)


@pytest.fixture(scope="session")
def hosts(tmp_path_factory):
    """{name: folder} of every host."""
    top = tmp_path_factory.mktemp("hosts")
    for name in fixtures.HOSTS:
        fixtures.write(name, top / name)
    return {name: top / name for name in fixtures.HOSTS}


@pytest.fixture
def tranche(build, tmp_path):
    """Runs tranche where no daemon is."""
    def run(*arguments, env=None, **options):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TRANCHE_")}
        return subprocess.run([build / "tranche", *map(str, arguments)], env=dict(kept, TRANCHE_RUN_DIR=str(tmp_path), **(env or {})), text=True, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, **options)
    return run


def answer(done, code=0):
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_gpus_of_another_machine(tranche, hosts):
    gpus = answer(tranche("gpus", "--sysroot", hosts["desktop"], "--json"))["gpus"]
    assert [(gpu["name"], gpu["pci_address"], gpu["vendor"], gpu["driver"]) for gpu in gpus] == \
        [("gpu0", "0000:00:02.0", "Intel", "i915"), ("gpu1", "0000:01:00.0", "NVIDIA", "nouveau")]
    assert gpus[1]["product"] == "GA106 [GeForce RTX 3060 Lite Hash Rate]"
    assert gpus[1]["pci"]["companions"] == ["0000:01:00.1"]
    assert not any(gpu["stand_in"] or gpu["models"] for gpu in gpus), "what depends on drivers or on this machine is not told"
    text = tranche("gpus", "--sysroot", hosts["hgx"]).stdout
    assert text.count("H100 SXM5 80GB") == 8 and "in use as" not in text


def test_sysroot_that_is_none(tranche, tmp_path):
    failed(tranche("gpus", "--sysroot", tmp_path / "nothing"), 2, "nothing is not the root of a machine")
    failed(tranche("gpus", "--sysroot", ""), 2, "needs a directory")
    failed(tranche("gpus", "--sysroot", tmp_path, "--refresh"), 2, "hint: ")
    (tmp_path / "sys").mkdir()
    assert answer(tranche("gpus", "--sysroot", tmp_path, "--json")) == {"gpus": []}
    assert tranche("gpus", "--sysroot", tmp_path).stdout == "no GPU on the PCI bus\n"


def checks(report, gpu, model="passthrough"):
    """{id: check} of one GPU and of the machine; companions as a list."""
    found = {"companion": []}
    for check in report["machine"][model]["checks"] + next(one for one in report["gpus"] if one["name"] == gpu)["models"][model]["checks"]:
        if check["id"] == "companion":
            found["companion"].append(check)
        else:
            found[check["id"]] = check
    return found


def doctor(tranche, folder, *arguments, code=4):
    return answer(tranche("doctor", "--sysroot", folder, "--json", *arguments), code)


@pytest.mark.parametrize("name", fixtures.HOSTS)
def test_doctor_golden(tranche, hosts, name):
    done = tranche("doctor", "--sysroot", hosts[name])
    assert done.returncode == 4 and not done.stderr
    text = done.stdout.replace(str(hosts[name]), "DIR")
    if name == "hgx":
        text = text[:text.index("\ngpu2")] + "…\n"
    compare_golden(f"doctor-{name}.txt", text)


@pytest.mark.parametrize("name, gpu, blocking", [
    ("desktop", "gpu1", []), ("hgx", "gpu7", []), ("multifunction", "gpu0", []), ("grace", "gpu0", []), ("acs-override", "gpu1", []),
    ("boot-vga", "gpu0", ["boot-vga"]), ("shared-group", "gpu0", ["companion", "companion"]), ("sriov", "gpu0", ["sriov"]), ("mig", "gpu0", ["mig-instances"]),
    ("iommu-off", "gpu0", ["boot-vga", "iommu", "iommu-group", "vfio", "vfio-type1"]),
])
def test_what_blocks_passthrough(tranche, hosts, name, gpu, blocking):
    report = doctor(tranche, hosts[name], gpu, "--model", "passthrough", code=4 if blocking else 0)
    assert list(report["machine"]) == ["passthrough"] and [one["name"] for one in report["gpus"]] == [gpu]
    everything = report["machine"]["passthrough"]["checks"] + report["gpus"][0]["models"]["passthrough"]["checks"]
    assert sorted(check["id"] for check in everything if check["verdict"] == "blocks") == blocking
    assert all(check["remedy"] for check in everything if check["verdict"] in ("blocks", "warning"))
    assert report["blocked"] == bool(blocking)


def test_companions_are_told_apart(tranche, hosts):
    found = checks(doctor(tranche, hosts["shared-group"]), "gpu0")
    said = {check["found"].split()[0]: (check["verdict"], check["found"]) for check in found["companion"]}
    assert said["0000:05:00.1"][0] == "ok" and "same card" in said["0000:05:00.1"][1]
    assert said["0000:04:00.0"] == ("blocks", "0000:04:00.0 NVMe disk: this machine uses it (nvme)")
    assert said["0000:06:00.0"][0] == "blocks"
    assert len(said) == 3, "bridges are none"


def test_virtual_functions_are_looked_at_when_asked_for(tranche, hosts):
    assert [gpu["name"] for gpu in doctor(tranche, hosts["sriov"])["gpus"]] == ["gpu0"]
    for name in ("gpu0vf1", "0000:41:00.5"):
        report = doctor(tranche, hosts["sriov"], name, "--model", "passthrough", code=0)
        assert [gpu["pci_address"] for gpu in report["gpus"]] == ["0000:41:00.5"]
        assert "stays with it" in checks(report, "gpu0vf1")["driver"]["found"]


def test_forged_isolation_is_red(tranche, hosts, build):
    found = checks(doctor(tranche, hosts["acs-override"], "gpu1", "--model", "passthrough", code=0), "gpu1")
    assert [key for key in ("acs-override", "interrupts") if found[key]["danger"]] == ["acs-override", "interrupts"]
    assert "pcie_acs_override=downstream,multifunction" in found["acs-override"]["found"]
    leader, follower = os.openpty()
    process = subprocess.Popen([build / "tranche", "doctor", "--sysroot", hosts["acs-override"]], stdout=follower, stdin=subprocess.DEVNULL,
                               env=dict(os.environ, TERM="xterm", NO_COLOR=""))
    os.close(follower)
    shown = b""
    try:
        while data := os.read(leader, 65536):
            shown += data
    except OSError:
        pass    # the end of a terminal
    process.wait(20)
    os.close(leader)
    assert b"\033[31mFORGED: pcie_acs_override" in shown
    assert "\033" not in tranche("doctor", "--sysroot", hosts["acs-override"]).stdout


def test_doctor_names_the_kind_of_iommu(tranche, hosts):
    for name, kind in (("desktop", "VT-d"), ("mig", "AMD-Vi"), ("grace", "SMMU")):
        assert kind in checks(doctor(tranche, hosts[name]), "gpu0")["iommu"]["found"]
    assert "intel_iommu=on" in checks(doctor(tranche, hosts["iommu-off"]), "gpu0")["iommu"]["remedy"]


@pytest.mark.parametrize("change, check, verdict, word", [
    (lambda root: (root / "proc/cmdline").write_text("quiet intel_iommu=off\n"), "iommu", "ok", "VT-d"),
    (lambda root: (root / "sys/bus/pci/devices/0000:01:00.0/reset_method").write_text("\n"), "reset", "warning", "no way"),
    (lambda root: (root / "sys/bus/pci/devices/0000:01:00.0/power_state").write_text("D3cold\n"), "power", "warning", "D3cold"),
    (lambda root: (root / "sys/bus/pci/devices/0000:01:00.0/resource").write_text("0x0 0x3ffffffff 0x14220c\n"), "bars", "blocks", "16 GiB"),
    (lambda root: (root / "dev/kvm").unlink(), "kvm", "warning", "/dev/kvm"),
    (lambda root: (root / "sys/kernel/iommu_groups/1/devices/0000:07:00.0").mkdir(), "iommu-group", "unknown", "0000:07:00.0"),
])
def test_doctor_sees_a_change(tranche, tmp_path, change, check, verdict, word):
    fixtures.write("desktop", tmp_path / "host")
    change(tmp_path / "host")
    done = tranche("doctor", "gpu1", "--sysroot", tmp_path / "host", "--json")
    found = checks(json.loads(done.stdout), "gpu1")[check]
    assert found["verdict"] == verdict and word in found["found"], found


def test_doctor_of_this_machine(tranche):
    report = answer(tranche("doctor", "--json"), 4)
    assert report["gpus"] and all(set(gpu["models"]) == {"passthrough", "vgpu", "mig"} for gpu in report["gpus"])
    verdicts = {check["verdict"] for gpu in report["gpus"] for model in gpu["models"].values() for check in model["checks"]}
    assert verdicts <= {"ok", "unknown", "warning", "blocks"}
    assert any(gpu["models"]["vgpu"]["verdict"] != "blocks" for gpu in report["gpus"]), "the stand-in GPU at least can be a vgpu"


@pytest.mark.parametrize("verb", ["doctor", "holders", "attach"])
@pytest.mark.parametrize("gpu, words", [
    ("gpu9", ["no GPU 'gpu9'", "there are gpu0, gpu1"]), ("0000:77:00.0", ["no PCI function 0000:77:00.0", "lspci"]),
    ("0000:04:00.0", ["0000:04:00.0 is no GPU", "010802", "nvme"]), ("../../etc", ["no GPU '../../etc'"]),
])
def test_what_is_no_gpu(tranche, hosts, verb, gpu, words):
    more = ["--format", "qemu"] if verb == "attach" else []
    failed(tranche(verb, gpu, "--sysroot", hosts["shared-group"], *more), 2, *words)


def holders(tranche, folder, gpu):
    return answer(tranche("holders", gpu, "--sysroot", folder, "--json"))


def test_holders_golden(tranche, hosts):
    for name, gpu in (("hgx", "gpu3"), ("desktop", "gpu1"), ("boot-vga", "gpu0"), ("mig", "gpu0"), ("multifunction", "gpu0"), ("sriov", "gpu0"), ("grace", "gpu0")):
        compare_golden(f"holders-{name}.txt", tranche("holders", gpu, "--sysroot", hosts[name]).stdout)


def test_holders_are_those_of_this_gpu(tranche, hosts):
    by_gpu = {gpu: [one["pid"] for one in holders(tranche, hosts["hgx"], gpu)["processes"]] for gpu in ("gpu3", "gpu4")}
    assert by_gpu == {"gpu3": [1480, 1490, 20331], "gpu4": [1480, 1490]}
    assert holders(tranche, hosts["hgx"], "GPU-00000003-1111-2222-3333-444444444444")["pci_address"] == "0000:5d:00.0"
    job = holders(tranche, hosts["hgx"], "0000:5d:00.0")["processes"][2]
    assert (job["runtime"], job["container"], job["pod"], job["descriptors"]) == ("containerd", "4f1e0c2b9a8d", "6b1f2a3c-0d4e-4f5a-8b6c-7d8e9f0a1b2c", 2)
    roles = {one["command"]: one["role"] for one in holders(tranche, hosts["hgx"], "gpu0")["processes"]}
    assert roles == {"nv-fabricmanage": "Fabric Manager", "nvidia-persiste": "persistence daemon"}


def test_holders_of_a_mig_gpu_count_its_instances(tranche, hosts):
    job = holders(tranche, hosts["mig"], "gpu0")["processes"][0]
    assert job["nodes"] == ["/dev/nvidia-caps/nvidia-cap12", "/dev/nvidia-caps/nvidia-cap13", "/dev/nvidia0"]
    assert (job["descriptors"], job["mappings"], job["runtime"]) == (2, 1, "docker")


def test_kernel_clients_are_named(tranche, hosts):
    named = [one["name"] for one in holders(tranche, hosts["boot-vga"], "gpu0")["kernel"]]
    assert named == ["efi-framebuffer", "nvidia_drm"]
    assert [one["name"] for one in holders(tranche, hosts["desktop"], "gpu0")["kernel"]] == ["framebuffer console"]
    assert holders(tranche, hosts["desktop"], "gpu1")["kernel"] == []


def test_a_gpu_that_nobody_holds(tranche, hosts):
    report = holders(tranche, hosts["grace"], "gpu0")
    assert report["free"] and report["processes"] == [] and "/dev/nvidia0" in report["nodes"]
    assert tranche("holders", "gpu0", "--sysroot", hosts["grace"]).stdout == "0009:01:00.0: nobody\n"


# From here on real processes: the host's sysfs is a fixture whose GPU has the device numbers of /dev/full, and its /proc is this machine's.
# Few programs have /dev/full open; `sleep` in its own namespaces does, by a node of another name.

@pytest.fixture
def real(tmp_path):
    root = tmp_path / "host"
    host = fixtures.Host(root)
    gpu = fixtures.Function("0000:01:00.0", 0x030000, "1002:164e", (), "amdgpu", 1)
    host.add(gpu)
    host.drm(gpu, 0, {"card": "1:7"})
    (root / "proc").symlink_to("/proc")
    return root


def can_unshare():
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode == 0


def running(tranche, root, pid_of):
    """What is told of the process with this command, once it is there."""
    def look():
        report = holders(tranche, root, "gpu0")
        return [(report, one) for one in report["processes"] if pid_of(one)]
    return wait_until(look, 10, "the process is found")[0]


def test_whoever_asks_is_no_holder(tranche, real):
    with open("/dev/full", "wb", buffering=0) as inherited:
        pids = [one["pid"] for one in answer(tranche("holders", "gpu0", "--sysroot", real, "--json", pass_fds=[inherited.fileno()]))["processes"]]
        assert os.getpid() in pids and "tranche" not in [pathlib.Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids if pid != os.getpid()]


def test_a_real_process_is_found_by_device_number(tranche, real):
    before = holders(tranche, real, "gpu0")
    assert before["looked"] > 1
    with open("/dev/full", "wb", buffering=0), subprocess.Popen(["sleep", "60"], stdout=open("/dev/full", "wb", buffering=0), stdin=subprocess.DEVNULL) as process:
        try:
            report, found = running(tranche, real, lambda one: one["pid"] == process.pid)
        finally:
            process.kill()
        assert (found["command"], found["uid"], found["nodes"], found["own_mounts"]) == ("sleep", os.geteuid(), ["/dev/dri/card0"], False)
        assert os.getpid() in [one["pid"] for one in report["processes"]] and not report["free"]
    assert process.pid not in [one["pid"] for one in holders(tranche, real, "gpu0")["processes"]]


@pytest.mark.skipif(not can_unshare(), reason="mount and pid namespaces need root")
def test_a_process_in_other_namespaces_is_found(tranche, real, tmp_path):
    marker = tmp_path / "opened"
    script = f"mount -t tmpfs none /mnt && mknod /mnt/gpu c 1 7 && exec 5>/mnt/gpu && umount -l /mnt && touch {marker} && exec sleep 61"
    process = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: marker.exists() or process.poll() is not None, 10, "the process has its node open")
        assert process.poll() is None, process.stderr.read()
        _, found = running(tranche, real, lambda one: one["command"] == "sleep" and one["own_mounts"])
    finally:
        process.kill()
        process.wait()
    assert found["inner_pid"] != found["pid"] and found["nodes"] == ["/dev/dri/card0"] and found["descriptors"] >= 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not look")
def test_what_may_not_be_seen_is_counted(tranche, real):
    for path in (real.parent, *real.parent.parents):    # pytest's folders are for their user alone
        if path.stat().st_uid == os.geteuid() and path != path.parent:
            path.chmod(path.stat().st_mode | 0o055)
    done = tranche("holders", "gpu0", "--sysroot", real, "--json", user=65534, group=65534, extra_groups=[])
    report = answer(done)
    assert report["hidden"] > 0 and not report["free"]
    done = tranche("holders", "gpu0", "--sysroot", real, user=65534, group=65534, extra_groups=[])
    assert "may not be looked into" in done.stdout and "as root the list is complete" in done.stdout


@pytest.mark.skipif(not can_unshare(), reason="mount and pid namespaces need root")
def test_a_container_cannot_say_that_a_gpu_is_free(build, hosts, tmp_path):
    """In a pid namespace of its own /proc has a few processes only, all of them readable."""
    root = tmp_path / "host"
    fixtures.write("grace", root)
    shutil.rmtree(root / "proc")
    (root / "proc").symlink_to("/proc")
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", build / "tranche", "holders", "gpu0", "--sysroot", root]
    report = answer(subprocess.run([*command, "--json"], capture_output=True, text=True))
    assert report["confined"] and not report["free"] and report["hidden"] == 0 and report["processes"] == []
    assert "outside of the container" in subprocess.run(command, capture_output=True, text=True).stdout


MAPS = """import ctypes, os, sys, time
os.mknod(sys.argv[1], 0o20600, os.makedev(1, 5))
fd, libc = os.open(sys.argv[1], os.O_RDWR), ctypes.CDLL(None)
libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
assert libc.mmap(None, 4096, 3, 2, fd, 0) != 2 ** 64 - 1
os.close(fd)
open(sys.argv[2], "w").close()
time.sleep(60)"""


@pytest.mark.skipif(not can_unshare(), reason="device nodes need root")
def test_a_mapping_without_descriptor_is_found(tranche, real, tmp_path):
    """A closed descriptor leaves its mapping, which holds the device as well; the node has a name that nobody knows."""
    (real / "sys/bus/pci/devices/0000:01:00.0/drm/card0/dev").write_text("1:5\n")
    marker = tmp_path / "mapped"
    process = subprocess.Popen(["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /mnt && exec "$@"', "sh", sys.executable, "-c", MAPS, "/mnt/gpu", marker],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: marker.exists() or process.poll() is not None, 10, "the process has its node mapped")
        assert process.poll() is None, process.stderr.read()
        _, found = running(tranche, real, lambda one: one["pid"] == process.pid)
    finally:
        process.kill()
        process.wait()
    assert (found["descriptors"], found["mappings"], found["nodes"]) == (0, 1, ["/dev/dri/card0"])


FORMATS = ("qemu", "libvirt", "proxmox", "vmware", "kubevirt")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name, gpu", [("multifunction", "gpu0"), ("desktop", "gpu1"), ("hgx", "gpu5")])
def test_attach_golden(tranche, hosts, name, gpu, form):
    done = tranche("attach", gpu, "--format", form, "--sysroot", hosts[name])
    assert done.returncode == 0 and all(line.startswith("note: ") for line in done.stderr.splitlines())
    compare_golden(f"attach-{name}-{form}.txt", done.stdout + done.stderr)


def test_attach_json_has_the_same_things(tranche, hosts):
    said = answer(tranche("attach", "gpu0", "--format", "qemu", "--sysroot", hosts["multifunction"], "--json"))
    assert [(one["pci_address"], one["guest_slot"], one["guest_function"], one["multifunction"]) for one in said["functions"]] == \
        [("0000:41:00.0", 0, 0, True), ("0000:41:00.1", 0, 1, False), ("0000:41:00.2", 0, 2, False), ("0000:41:00.3", 0, 3, False)]
    text = tranche("attach", "gpu0", "--format", "qemu", "--sysroot", hosts["multifunction"]).stdout
    assert text.replace("\\\n", "").split() == said["arguments"]
    assert said["functions"][0]["rom_bytes"] == 512 << 10 and said["functions"][0]["bars"][1]["resize_mask"] == 0x1c0
    for form, members in (("libvirt", {"xml"}), ("proxmox", {"commands"}), ("vmware", {"esxcli", "vmx"}), ("kubevirt", {"kubevirt", "virtual_machine"})):
        said = answer(tranche("attach", "gpu0", "--format", form, "--sysroot", hosts["multifunction"], "--json"))
        assert set(said) == {"name", "format", "functions", "window_bytes", "notes"} | members


DOMAIN = """<domain type='kvm'><name>t</name><memory unit='MiB'>512</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os>
<devices>{}</devices></domain>"""


@pytest.mark.skipif(not shutil.which("virt-xml-validate"), reason="libvirt-clients is not installed")
@pytest.mark.parametrize("name, gpu, options", [("multifunction", "gpu0", []), ("desktop", "gpu1", ["--rom", "/roms/it's <odd> & \"so\".rom"]),
                                                ("hgx", "gpu0", ["--rom", "off"]), ("sriov", "0000:41:00.5", []), ("grace", "gpu0", ["--guest-bus", "255"])])
def test_libvirt_takes_the_xml(tranche, hosts, tmp_path, name, gpu, options):
    xml = tranche("attach", gpu, "--format", "libvirt", "--sysroot", hosts[name], *options).stdout
    (tmp_path / "domain.xml").write_text(DOMAIN.format(xml))
    done = subprocess.run(["virt-xml-validate", tmp_path / "domain.xml", "domain"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr + xml
    (tmp_path / "domain.xml").write_text(DOMAIN.format(xml.replace("hostdev", "hostdevice")))
    assert subprocess.run(["virt-xml-validate", tmp_path / "domain.xml", "domain"], capture_output=True).returncode, "the check can fail"


def program(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    return folder / name


QEMU = """#!/bin/sh
case "$1 $2" in
"-object help") printf 'List of user creatable objects:\\n  filter-mirror\\n%s' "$OBJECTS";;
"-device vfio-pci,help") printf 'vfio-pci options:\\n  host=<str>\\n%s' "$OPTIONS"; exit ${STATUS:-0};;
esac
"""


def with_all_devices(tmp_path):
    """A card all of which is with VFIO, on a kernel that gives each function a node."""
    host = fixtures.write("multifunction", tmp_path / "host")
    for i in range(4):
        host.put(f"sys/bus/pci/devices/0000:41:00.{i}/vfio-dev/vfio{i}/dev", f"241:{i}")
    return tmp_path / "host"


def test_iommufd_where_the_qemu_has_it(tranche, hosts, tmp_path):
    qemu, root = program(tmp_path / "bin", "qemu", QEMU), with_all_devices(tmp_path)
    new = {"OBJECTS": "  iommufd\n", "OPTIONS": "  iommufd=<link<iommufd>>\n"}
    text = tranche("attach", "gpu0", "--format", "qemu", "--qemu", qemu, "--sysroot", root, env=new).stdout
    assert text.startswith("-object iommufd,id=tranche-iommufd \\\n") and text.count("iommufd=tranche-iommufd") == 4
    old = tranche("attach", "gpu0", "--format", "qemu", "--qemu", qemu, "--sysroot", root, env={"OBJECTS": "", "OPTIONS": ""})
    assert old.returncode == 0 and "iommufd" not in old.stdout
    partly = tranche("attach", "gpu0", "--format", "qemu", "--qemu", qemu, "--sysroot", hosts["multifunction"], env=new)
    assert "iommufd" not in partly.stdout and "the VFIO group is used\n" in partly.stderr
    failed(tranche("attach", "gpu0", "--format", "qemu", "--qemu", qemu, "--sysroot", root, env={"STATUS": "1"}), 4, "no vfio-pci")
    failed(tranche("attach", "gpu0", "--format", "qemu", "--qemu", tmp_path / "none", "--sysroot", root), 2, "cannot run")


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")
def test_a_real_qemu_answers_and_knows_the_options(tranche, tmp_path):
    done = tranche("attach", "gpu0", "--format", "qemu", "--qemu", shutil.which("qemu-system-x86_64"), "--primary", "--sysroot", with_all_devices(tmp_path), "--json")
    arguments = answer(done)["arguments"]
    known = {kind: subprocess.run(["qemu-system-x86_64", "-device", f"{kind},help"], text=True, capture_output=True).stdout for kind in ("vfio-pci", "pcie-root-port")}
    for value in (value for option, value in zip(arguments[::2], arguments[1::2]) if option == "-device"):
        kind, *settings = value.split(",")
        for key in (setting.split("=")[0] for setting in settings):
            assert key in ("id", "bus") or f"  {key}=" in known[kind], f"{kind} has no {key}"


VIRSH = """#!/bin/sh
verb=$1 domain=$3 file=$5 mode=$6
function=$(sed -n "s/.*<address domain.*function='0x\\(.\\)'.*/\\1/p" "$file" | head -1)
echo "$verb $domain $function $mode" >> "$LOG"
[ "$verb $function" != "attach-device $REFUSE" ] || { echo "error: Requested operation is not valid: PCI device is in use" >&2; exit 1; }
"""


def test_attach_to_a_domain(tranche, hosts, tmp_path):
    program(tmp_path / "bin", "virsh", VIRSH)
    env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "LOG": str(tmp_path / "log"), "REFUSE": ""}
    done = tranche("attach", "gpu1", "--vm", "win11", "--live", "--sysroot", hosts["desktop"], env=env)
    assert (done.returncode, done.stdout) == (0, "gpu1 is attached to win11, which runs\n"), done.stderr
    assert (tmp_path / "log").read_text() == "attach-device win11 1 --live\nattach-device win11 0 --live\n", "function 0 is seen last"
    (tmp_path / "log").unlink()
    assert answer(tranche("attach", "gpu1", "--vm", "win11", "--sysroot", hosts["desktop"], "--json", env=env)) == {"attached": "gpu1", "vm": "win11", "live": False}
    assert (tmp_path / "log").read_text().count("--config") == 2


def test_a_domain_that_refuses_keeps_nothing(tranche, hosts, tmp_path):
    program(tmp_path / "bin", "virsh", VIRSH)
    env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "LOG": str(tmp_path / "log"), "REFUSE": "1"}
    failed(tranche("attach", "gpu0", "--vm", "win11", "--sysroot", hosts["multifunction"], env=env), 1, "PCI device is in use", "nothing stays attached")
    assert re.sub(" win11| --config", "", (tmp_path / "log").read_text()).splitlines() == \
        ["attach-device 3", "attach-device 2", "attach-device 1", "detach-device 2", "detach-device 3"]


def test_attach_without_virsh(tranche, hosts, tmp_path):
    failed(tranche("attach", "gpu1", "--vm", "x", "--sysroot", hosts["desktop"], env={"PATH": str(tmp_path)}), 4, "virsh is not installed", "libvirt-clients")


@pytest.mark.skipif(not shutil.which("virsh"), reason="libvirt-clients is not installed")
def test_a_real_virsh_reads_what_it_is_given(tranche, hosts):
    """libvirt's test driver knows a domain `test`, and attaches no devices: the refusal is its own, after it read the XML."""
    done = tranche("attach", "gpu1", "--vm", "test", "--sysroot", hosts["desktop"], env={"LIBVIRT_DEFAULT_URI": "test:///default"})
    failed(done, 1, "attach-device 0000:01:00.1", "not supported by the connection driver")
    failed(tranche("attach", "gpu1", "--vm", "nobody", "--sysroot", hosts["desktop"], env={"LIBVIRT_DEFAULT_URI": "test:///default"}), 1, "'nobody'")


@pytest.mark.parametrize("arguments, code, words", [
    (["gpu1"], 2, ["--format is missing", "qemu libvirt"]), (["gpu1", "--format", "xen"], 2, ["'xen'"]), (["gpu1", "--format", "qemu", "--vm", "x"], 2, ["--vm is for"]),
    (["gpu1", "--format", "libvirt", "--live"], 2, ["--live is for --vm"]), (["gpu1", "--format", "libvirt", "--qemu", "/bin/true"], 2, ["--qemu is for"]),
    (["gpu1", "--format", "qemu", "--rom", ""], 2, ["--rom needs"]), (["gpu1", "--format", "libvirt", "--guest-bus", "0"], 2, ["guest-bus"]),
    (["gpu1", "--format", "libvirt", "--primary"], 4, ["x-vga", "OVMF"]), (["gpu1", "--format", "kubevirt", "--rom", "x"], 4, ["no field for a ROM"]),
])
def test_choices_that_attach_refuses(tranche, hosts, arguments, code, words):
    failed(tranche("attach", *arguments, "--sysroot", hosts["desktop"]), code, *words)


def test_attach_of_a_share(tranched):
    with tranched.share("whole", model="passthrough"):
        failed(tranched.tranche("attach", "whole", "--format", "qemu"), 4, "stand-in GPU")
    with tranched.share("part", profile="1of4"):
        failed(tranched.tranche("attach", "part", "--format", "qemu"), 4, "stand-in GPU")
    failed(tranched.tranche("attach", "nobody", "--format", "qemu"), 2, "nobody")


def test_attach_of_a_share_that_was_handed_over(host):
    """tranched gave the card to VFIO on its model of a kernel; attach names what it gave."""
    done = host.hand_over(ONE, "vm")
    assert done.returncode == 0, done.stderr
    said = json.loads(host.tranche("attach", "vm", "--format", "libvirt", "--sysroot", host.folder, "--json", check=True).stdout)
    assert [(one["pci_address"], one["driver"], one["multifunction"]) for one in said["functions"]] == [(ONE, "vfio-pci", True), (SOUND, "vfio-pci", False)]
    assert said["xml"].count("managed='no'") == 2 and said["name"] == "vm"
    report = json.loads(host.tranche("doctor", "gpu0", "--sysroot", host.folder, "--json").stdout)
    assert "ready for a VM" in checks(report, "gpu0")["driver"]["found"]


@pytest.mark.parametrize("share, code, words", [
    ({"model": "vgpu"}, 2, ["share s is a vgpu", "--profile vfio"]), ({"model": "passthrough"}, 2, ["programs of this host"]),
    ({"model": "passthrough", "functions": ["0000:ff:1f.7"]}, 2, ["share s", "no PCI"]), ({"model": "passthrough", "functions": ["../../etc", 5]}, 2, ["no PCI"]),
    ({"model": "passthrough", "functions": [None]}, 2, ["no PCI"]), ({"model": "passthrough", "functions": ["0000:00:00.0"] * 65}, 1, ["65 functions"]),
])
def test_attach_of_what_a_daemon_says(tranche, tmp_path, share, code, words):
    with impostor(tmp_path, http(dict({"name": "s", "gpu": "gpu0", "stand_in": False}, **share))):
        done = tranche("attach", "s", "--format", "qemu")
        assert done.returncode == code and all(word in done.stderr for word in words), done.stderr


def test_completion_without_a_daemon(tranche, hosts):
    for verb in ("doctor", "holders"):
        offered = [line.split("\t")[0] for line in tranche("__complete", verb, "--sysroot", hosts["desktop"], "").stdout.splitlines()]
        assert offered == ["gpu0", "gpu1"]
    assert "libvirt" in tranche("__complete", "attach", "gpu0", "--format", "").stdout


GARBAGE = [b"", b"\n", b"-1\n", b"99999999999999999999999\n", b"0xzz\n", b"\x1b[31m\xff\xfe\n", b"a" * 20000, b"1:2:3:4\n" * 3000, b"%s%n%s\n", b"\0\0\0", b"../../../etc/passwd\n"]


def spoil(root, random):
    """Replaces some of the tree's files by garbage, directories, links to nowhere or to themselves, or nothing."""
    files = sorted(path for path in root.rglob("*") if path.is_file() or path.is_symlink())
    for path in random.sample(files, 12):
        path.unlink()
        kind = random.randrange(8)
        if kind == 0:
            path.mkdir()
        elif kind == 1:
            path.symlink_to(random.choice(["nowhere", path.name, "..", "/dev/null"]))
        elif kind > 2:
            path.write_bytes(random.choice(GARBAGE))


@pytest.mark.parametrize("seed", range(8))
def test_spoilt_files_do_no_harm(tranche, tmp_path, seed):
    random = Random(seed)
    name = random.choice(list(fixtures.HOSTS))
    fixtures.write(name, tmp_path / "host")
    for _ in range(3):
        spoil(tmp_path / "host", random)
        for arguments in (["gpus"], ["doctor"], ["doctor", "gpu0"], ["holders", "gpu0"], *(["attach", "gpu0", "--format", form] for form in FORMATS)):
            done = tranche(*arguments, "--sysroot", tmp_path / "host", "--json")
            assert done.returncode in (0, 1, 2, 4), f"{name} {arguments}: {done.returncode} {done.stderr}"
            json.loads(done.stdout or done.stderr)
            text = tranche(*arguments, "--sysroot", tmp_path / "host")
            assert text.returncode == done.returncode and "\x1b" not in text.stdout + text.stderr

# SPDX-License-Identifier: Apache-2.0
"""Commands that look at a machine without a daemon, on the hosts of tests/fixtures/hosts.py and on this one."""
import json
import os
import pathlib
import subprocess
import sys

import pytest
from test_cli import TOP, compare_golden, failed

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


@pytest.mark.parametrize("verb", ["doctor"])
@pytest.mark.parametrize("gpu, words", [
    ("gpu9", ["no GPU 'gpu9'", "there are gpu0, gpu1"]), ("0000:77:00.0", ["no PCI function 0000:77:00.0", "lspci"]),
    ("0000:04:00.0", ["0000:04:00.0 is no GPU", "010802", "nvme"]), ("../../etc", ["no GPU '../../etc'"]),
])
def test_what_is_no_gpu(tranche, hosts, verb, gpu, words):
    failed(tranche(verb, gpu, "--sysroot", hosts["shared-group"]), 2, *words)

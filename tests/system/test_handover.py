# SPDX-License-Identifier: Apache-2.0
"""Handing GPUs to VMs and back: plans, errors, and above all crashes at every step, against a model of the kernel (model_kernel.py)."""
import os
import random
import signal
import socket

import pytest

from conftest import Daemon, wait_until
from model_kernel import AUDIO, BRIDGE, DIES_AFTER, DIES_BEFORE, DISK, GPU, Function, ModelKernel

ONE, TWO, SOUND = "0000:01:00.0", "0000:02:00.0", "0000:01:00.1"


def machine():
    """A GPU with its sound function in one group, a second GPU that shares its group with a disk, the port above them."""
    return [
        Function("0000:00:01.0", BRIDGE, "pcieport", 1),
        Function(ONE, GPU, "nvidia", 1, d3cold_allowed="1"),
        Function(SOUND, AUDIO, "snd_hda_intel", 1),
        Function(TWO, GPU, "amdgpu", 2),
        Function("0000:03:00.0", DISK, "nvme", 2),
    ]


class Host(Daemon):
    """tranched on the model kernel. No OpenCL is looked for: what is tested here has none."""

    def __init__(self, build, functions):
        super().__init__(build)
        self.kernel = ModelKernel(self.folder, functions)
        self.arguments = ["--sysroot", self.folder]
        self.env.update(TRANCHE_PRIV=str(self.kernel.socket_path), TRANCHE_WORKER="/bin/false")

    def hand_over(self, gpu=ONE, name="vm", *more):
        return self.tranche("create", gpu, "--model", "passthrough", "--name", name, *more)

    def shares(self):
        return {share["name"]: share for share in self.json("shares")["shares"]}

    def settled(self):
        """Nothing is on its way any more."""
        return all(share["state"] not in ("taking", "returning") for share in self.shares().values())

    def dies_at(self, point):
        self.env["TRANCHE_DIE_AT"] = str(point)

    def lives(self):
        self.env.pop("TRANCHE_DIE_AT", None)

    def has_died(self, done):
        """After a command that got no answer; its own process is seen dead a moment later than the connection."""
        lost = done.returncode != 0 and "refused" not in done.stderr
        if lost:
            self.process.wait(10)
        return lost

    def start_to_die(self):
        """Going on with the journal may kill it before it answers."""
        try:
            self.start()
        except AssertionError:
            assert self.process.poll() == -signal.SIGKILL, self.read_log()

    def start_again(self):
        if self.process.poll() is None:
            self.kill()
        self.lives()
        self.start()
        wait_until(self.settled, 10, "the journal is worked off")

    def close(self):
        wrong = super().close()
        self.kernel.close()
        return wrong + self.kernel.broken


@pytest.fixture
def host(build, request):
    daemon = Host(build, machine())
    try:
        daemon.start()
        yield daemon
    finally:
        log = daemon.read_log()
        wrong = daemon.close()
        request.node.add_report_section("teardown", "tranched", log[-8000:])
    assert not wrong, "\n".join(wrong)


def assert_whole(host):
    """Every function is on one side, as the list of shares says."""
    shares = host.shares()
    held = {address for share in shares.values() for address in share["functions"]}
    for address, f in host.kernel.functions.items():
        expected = ("vfio-pci", "vfio-pci") if address in held else (f.native, "")
        assert (f.driver, f.override) == expected, (address, shares, host.kernel.state())
    assert all(share["state"] == "ready" for share in shares.values()), shares


def test_there_and_back(host):
    done = host.hand_over()
    assert done.returncode == 0, done.stderr
    share = host.shares()["vm"]
    assert share["functions"] == [ONE, SOUND] and share["profile"] == "vfio" and share["state"] == "ready"
    assert share["handover"]["state"] == "held"
    assert_whole(host)
    assert host.kernel.drivers()["0000:00:01.0"] == "pcieport"
    assert (host.kernel.device(ONE) / "d3cold_allowed").read_text() == "0\n"
    assert host.tranche("rm", "vm").returncode == 0
    assert host.kernel.is_native() and host.shares() == {}
    assert (host.kernel.device(ONE) / "d3cold_allowed").read_text() == "1\n"


def test_order_of_operations(host):
    host.hand_over()
    gpu = [(kind, to) for kind, device, to in host.kernel.done if device == ONE]
    assert gpu == [("d3cold", "0"), ("driver", ""), ("override", "vfio-pci"), ("driver", "vfio-pci")]
    host.kernel.done.clear()
    host.tranche("rm", "vm")
    gpu = [(kind, to) for kind, device, to in host.kernel.done if device == ONE]
    assert gpu == [("driver", ""), ("override", ""), ("driver", "nvidia"), ("d3cold", "1")]


def test_dry_run_changes_nothing(host):
    done = host.hand_over(ONE, "vm", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"unbind {ONE} from nvidia" in done.stdout and f"bind {SOUND} to vfio-pci" in done.stdout
    assert host.kernel.done == [] and host.shares() == {} and host.kernel.is_native()


@pytest.mark.parametrize("arguments, status, words", [
    (("0000:09:00.0",), 2, ["there is no GPU"]),
    ((TWO,), 3, ["0000:03:00.0", "nvme", "IOMMU group 2", "--with-group"]),
    ((ONE, "vm", "--memory", "1GiB"), 2, ["it has no sizes"]),
    ((ONE, "vm", "--profile", "1of4"), 2, ["no profile '1of4'", "vfio"]),
    ((ONE, "vm", "--profile", "whole"), 4, ["not to programs of this host"]),
])
def test_bad_input(host, arguments, status, words):
    done = host.hand_over(*arguments)
    assert done.returncode == status, done.stderr
    for word in words:
        assert word in done.stderr
    assert host.kernel.done == [] and host.shares() == {}


def test_group_goes_along_when_asked(host):
    done = host.hand_over(TWO, "vm", "--with-group")
    assert done.returncode == 0, done.stderr
    assert host.shares()["vm"]["functions"] == [TWO, "0000:03:00.0"]
    assert_whole(host)


def test_a_disk_in_use_never_goes(host):
    device = host.kernel.device("0000:03:00.0").resolve()
    (device / "nvme/nvme0/nvme0n1").mkdir(parents=True)
    (device / "nvme/nvme0/nvme0n1/dev").write_text("259:0\n")
    block = host.folder / "sys/class/block"
    block.mkdir(parents=True)
    (block / "nvme0n1").symlink_to(device / "nvme/nvme0/nvme0n1")
    (host.folder / "proc/self").mkdir()
    (host.folder / "proc/self/mountinfo").write_text("29 1 259:0 / / rw shared:1 - ext4 /dev/nvme0n1 rw\n")
    done = host.hand_over(TWO, "vm", "--with-group", "--force")
    assert done.returncode == 3 and "disk nvme0n1 is mounted" in done.stderr
    assert host.kernel.done == [] and host.kernel.is_native()


def test_only_display_needs_force(host):
    (host.kernel.device(ONE) / "boot_vga").write_text("1\n")
    (host.kernel.device(TWO) / "driver").unlink()
    done = host.hand_over()
    assert done.returncode == 3 and "only display" in done.stderr and "--force" in done.stderr
    assert host.hand_over(ONE, "vm", "--force").returncode == 0


def test_an_accelerator_is_no_other_display(host):
    (host.kernel.device(ONE) / "boot_vga").write_text("1\n")
    (host.kernel.device(TWO) / "class").write_text("0x120000\n")
    done = host.hand_over()
    assert done.returncode == 3 and "only display" in done.stderr
    assert host.kernel.done == [] and host.kernel.is_native()


def test_taken_name_and_gpu(host):
    assert host.hand_over().returncode == 0
    again = host.hand_over()
    assert again.returncode == 3 and "there is a share vm already" in again.stderr
    other = host.hand_over(ONE, "other")
    assert other.returncode == 3 and "given away whole to vm" in other.stderr
    run = host.tranche("run", "vm", "--", "true")
    assert run.returncode == 4 and "gave to a VM" in run.stderr


def test_no_iommu(host):
    for address in (ONE, SOUND):
        (host.kernel.device(address) / "iommu_group").unlink()
    host.json("gpus", "--refresh")
    done = host.hand_over(ONE, "vm", "--profile", "vfio")
    assert done.returncode == 4 and "IOMMU is off" in done.stderr


@pytest.mark.parametrize("where", [f"driver {ONE} nvidia>", f"override {ONE}", f"driver {ONE} >vfio-pci", f"driver {SOUND} snd", f"driver {SOUND} >vfio-pci"])
def test_a_refused_step_is_undone(host, where):
    host.kernel.failures.append((where, -5))
    done = host.hand_over()
    assert done.returncode == 1 and "refused" in done.stderr
    assert host.kernel.is_native() and host.shares() == {}
    assert host.hand_over().returncode == 0


@pytest.mark.parametrize("when", [DIES_BEFORE, DIES_AFTER])
@pytest.mark.parametrize("where", [f"override {ONE}", f"driver {ONE} >vfio-pci", f"driver {SOUND} snd"])
def test_tranche_priv_dies(host, where, when):
    """Whether it was done or not, nobody knows: what was begun is undone."""
    host.kernel.failures.append((where, when))
    done = host.hand_over()
    assert done.returncode == 1 and "tranche-priv ended" in done.stderr
    assert host.kernel.is_native() and host.shares() == {}
    assert host.hand_over().returncode == 0
    host.kernel.failures.append((where.split()[0] + " " + where.split()[1], when))
    assert host.tranche("rm", "vm").returncode == 1
    wait_until(lambda: host.shares() == {}, 10, "giving back goes on by itself")
    assert host.kernel.is_native()


def test_a_hanging_unbind_is_told_and_tried_again(host):
    host.kernel.failures.append((f"driver {SOUND} snd", -110))
    done = host.hand_over()
    assert done.returncode == 1 and "has not finished" in done.stderr
    share = host.shares()["vm"]
    assert share["state"] == "failed" and "has not finished" in share["problem"]
    # The daemon tries again by itself, and so it does when asked.
    wait_until(lambda: host.shares() == {}, 10, "the GPU is given back")
    assert host.kernel.is_native()


def test_giving_back_that_fails_is_tried_again(host):
    assert host.hand_over().returncode == 0
    host.kernel.failures.append((f"driver {ONE} >nvidia", -5))
    done = host.tranche("rm", "vm")
    assert done.returncode == 1 and "refused" in done.stderr
    assert host.shares()["vm"]["state"] == "failed"
    assert host.tranche("rm", "vm").returncode == 0
    assert host.kernel.is_native() and host.shares() == {}


def test_no_tranche_priv(host):
    host.kernel.close()
    host.kernel.socket_path.rename(host.folder / "gone")
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    dead.bind(str(host.kernel.socket_path))
    dead.close()
    done = host.hand_over()
    assert done.returncode == 4 and "reach tranche-priv" in done.stderr and "systemctl" in done.stderr
    assert host.kernel.is_native() and host.shares() == {}


def test_programs_that_use_it_are_waited_for(host):
    host.kernel.failures += [(f"driver {ONE} nvidia>", -26)]
    done = host.hand_over()
    assert done.returncode == 3 and "in use by process 7" in done.stderr
    assert host.kernel.is_native() and host.shares() == {}
    host.kernel.failures += [(f"driver {ONE} nvidia>", -26)] * 3
    done = host.hand_over(ONE, "vm", "--wait", "20s")
    assert done.returncode == 0 and done.stderr.count("waiting: ") == 1, done.stderr


def test_a_gpu_in_a_vm_stays(host):
    """The sound function is given back before the GPU turns out to be in use: all of it is the VM's again."""
    assert host.hand_over().returncode == 0
    host.kernel.failures += [(f"driver {ONE} vfio-pci>", -26)]
    done = host.tranche("rm", "vm")
    assert done.returncode == 3 and "in use by process 7" in done.stderr
    assert_whole(host)
    assert host.shares()["vm"]["handover"]["state"] == "held"
    assert host.tranche("rm", "vm", "--wait", "5s").returncode == 0
    assert host.kernel.is_native() and host.shares() == {}


def test_somebody_else_changed_it(host):
    assert host.hand_over().returncode == 0
    gpu = host.kernel.functions[ONE]
    gpu.driver, gpu.override = "nvidia", ""
    host.kernel.show(gpu)
    host.start_again()
    share = host.shares()["vm"]
    assert share["state"] == "failed" and "somebody else" in share["problem"]
    assert host.tranche("rm", "vm").returncode == 0
    assert host.kernel.is_native()


def test_a_reboot_ends_a_share_unless_it_persists(host):
    assert host.hand_over().returncode == 0
    assert host.hand_over(TWO, "kept", "--with-group", "--persist").returncode == 0
    host.kill()
    host.kernel.boot("boot-2")
    host.start_again()
    assert set(host.shares()) == {"kept"}
    assert_whole(host)
    assert host.kernel.functions[ONE].driver == "nvidia"


def crash_points(host, act):
    """Runs act() with tranched killed at point 1, 2, … until it comes through; yields after each restart."""
    for point in range(1, 200):
        host.kill()
        host.dies_at(point)
        host.start()
        died = host.has_died(act())
        host.start_again()
        yield point, died
        if not died:
            return
    pytest.fail("it never comes through")


def test_killed_at_every_step_of_taking(host):
    points = 0
    for point, died in crash_points(host, host.hand_over):
        assert_whole(host)
        # The last point is past the journal's last word: then the share is there, though nobody was told.
        host.tranche("rm", "vm")
        assert host.kernel.is_native() and host.shares() == {}
        points += died
    operations = 7
    assert points == 2 * operations + 1


def test_killed_at_every_step_of_giving_back(host):
    assert host.hand_over().returncode == 0
    points = 0
    for point, died in crash_points(host, lambda: host.tranche("rm", "vm")):
        assert host.kernel.is_native() and host.shares() == {}
        points += died
        if died:
            assert host.hand_over().returncode == 0
    operations = 7
    assert points == 2 * operations + 1


def test_killed_while_undoing(host):
    """The third function's bind fails, and tranched dies at each point of undoing what was done."""
    points = 0
    for point in range(1, 60):
        host.kill()
        host.dies_at(point)
        host.start()
        host.kernel.failures.append((f"driver {SOUND} >vfio-pci", -5))
        died = host.has_died(host.hand_over())
        host.kernel.failures.clear()
        host.start_again()
        assert host.kernel.is_native() and host.shares() == {}, point
        points += died
        if not died:
            break
    assert points > 20


def test_random_sequences(host):
    """Create, remove, kill anywhere, restart, refuse a step, reboot, in any order: nothing is ever lost. TRANCHE_SEQUENCES says how many."""
    chance = random.Random(int(os.environ.get("TRANCHE_SEED", "1")))
    for sequence in range(int(os.environ.get("TRANCHE_SEQUENCES", "25"))):
        for _ in range(chance.randint(2, 5)):
            action = chance.choice(["create", "create", "rm", "kill", "refuse", "reboot", "persist"])
            if action in ("create", "persist") and host.process.poll() is None:
                host.hand_over(chance.choice([ONE, TWO]), chance.choice("ab"), "--with-group", *(["--persist"] if action == "persist" else []))
            elif action == "rm" and host.process.poll() is None:
                host.tranche("rm", chance.choice("ab"))
            elif action == "kill":
                host.start_again() if chance.random() < 0.3 else host.kill()
                if host.process.poll() is not None:
                    host.dies_at(chance.randint(1, 20))
                    host.start_to_die()
            elif action == "refuse":
                host.kernel.failures.append((chance.choice([f"driver {ONE}", f"override {TWO}", "driver 0000:03", f"driver {SOUND}"]), -5))
            elif action == "reboot":
                if host.process.poll() is None:
                    host.kill()
                host.kernel.boot(f"boot-{sequence}-{chance.random()}")
                host.lives()
                host.start()
        host.kernel.failures.clear()
        host.start_again()
        wait_until(lambda: all(share["state"] == "ready" for share in host.shares().values()), 20, "all shares are well")
        assert_whole(host)
    for name in list(host.shares()):
        assert host.tranche("rm", name).returncode == 0
    assert host.kernel.is_native()

# SPDX-License-Identifier: Apache-2.0
"""tranche on a real kernel with an IOMMU: lab/vfio in QEMU under software emulation. Two boots.

Costs: about 100 s of CPU time, three to five minutes on a busy machine, nearly all for the kills at every step."""
import re
import subprocess

import pytest

from conftest import TOP

EXPECTED = 47    # PASS and FAIL lines of lab/vfio/host.init: fewer means that a part was left out


def boot(part, build, folder):
    log = folder / "console"
    done = subprocess.run([TOP / "lab/vfio/run", part, "--build", build, "--log", log], text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=900,
                          errors="replace")
    return done, log.read_text(errors="replace")


def check(done, console, expected):
    failed = re.findall(r"(?m)^FAIL.*(?:\n     .*)*", console)
    assert not failed, "\n".join(failed)
    assert done.returncode == 0, console[-3000:] + done.stdout + done.stderr
    assert len(re.findall(r"(?m)^PASS ", console)) == expected


@pytest.fixture(scope="module")
def lab(build, tmp_path_factory):
    return boot("host", build, tmp_path_factory.mktemp("lab"))


def test_every_step_on_a_real_kernel(lab):
    check(*lab, EXPECTED)


def test_a_vm_inside_uses_what_attach_prints(build, tmp_path):
    done, console = boot("nested", build, tmp_path)
    check(done, console, 6)
    assert "BAR identification 010000ed, inverse right" in console


@pytest.mark.parametrize("what", ["give 0000:01:00.0", "tranche rm vm"])
def test_killed_at_all_points(lab, what):
    """Two operations per function, and the journal's entries around each: a plan that got shorter would be noticed here."""
    points = re.search(rf"KILLED {re.escape(what)} at (\d+) points", lab[1])
    assert points and int(points[1]) >= 13

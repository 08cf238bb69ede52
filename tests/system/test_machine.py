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

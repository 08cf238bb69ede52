# SPDX-License-Identifier: Apache-2.0
"""Files that a tenant's source includes: they lie with the tenant, and its worker's compiler may read none of them."""
import os
import subprocess
import sys

import pytest

from conftest import TOP

PROGRAM = TOP / "tests/system/progs/includes.py"
SETTINGS = {"PYOPENCL_NO_CACHE": "1", "PYTHONWARNINGS": "ignore"}


def ended_well(done):
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(autouse=True)
def needs_pyopencl():
    pytest.importorskip("pyopencl", reason="pyopencl is not installed; ./check installs it")


def test_natively():
    ended_well(subprocess.run([sys.executable, PROGRAM], env={**os.environ, **SETTINGS}, capture_output=True, text=True, timeout=120))


def test_through_a_share(tranched):
    with tranched.share("a", profile="1of4") as share:
        ended_well(share.run(sys.executable, PROGRAM, env=SETTINGS, timeout=120))

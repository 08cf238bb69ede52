# SPDX-License-Identifier: Apache-2.0
"""piglit's OpenCL tests (Debian's package), run by piglit itself natively and as tenants of a share: every test and subtest ends the same.

TRANCHE_PIGLIT=all takes every generated program too (some 700 tests, half an hour); otherwise each of them by a fixed sample."""
import bz2
import gzip
import json
import os
import pathlib
import shutil
import xml.etree.ElementTree as xml
import zlib

import pytest

ONE_IN = 1 if os.environ.get("TRANCHE_PIGLIT") == "all" else 16     # of the programs to execute: each is compiled, which takes most of a second

# Tests that end otherwise in a share than natively: (natively, share), and why. One that ends the same after all fails the test too.
NOT_AS_NATIVE = {
    # PoCL ends the whole program at the first queue on the device ("Device side queue is unimplemented"); a share gives the error that the test wants.
    "api@clcreatecommandqueue": ("fail", "pass"),
}

GROUPS = {
    "calls": lambda name: not name.startswith("program@"),
    "programs": lambda name: name.startswith("program@") and not name.startswith("program@execute@"),
    "kernels": lambda name: name.startswith("program@execute@") and zlib.crc32(name.encode()) % ONE_IN == 0,
}


@pytest.fixture
def share(tranched):
    with tranched.share("a", memory="2GiB", time="100%") as share:
        yield share


def piglit_tests():
    """The names of all tests in piglit's own list of them."""
    lists = sorted(pathlib.Path("/usr/lib").glob("*/piglit/tests/cl.xml.gz"))
    if not shutil.which("piglit") or not lists:
        pytest.skip("piglit is not installed; ./check installs it")
    with gzip.open(lists[0]) as file:
        return [test.get("name") for test in xml.parse(file).iter("Test")]


def results(folder):
    """{test: status} and {test/subtest: status} of piglit's own results."""
    with bz2.open(folder / "results.json.bz2", "rt") as file:
        tests = json.load(file)["tests"]
    subtests = {f"{name}/{sub}": status for name, test in tests.items() for sub, status in test["subtests"].items() if sub != "__type__"}
    return {name: test["result"] for name, test in tests.items()} | subtests


@pytest.mark.parametrize("group", GROUPS)
def test_piglit(share, tmp_path, group):
    names = [name for name in piglit_tests() if GROUPS[group](name)]
    assert len(names) > 15
    (tmp_path / "names").write_text("".join(f"{name}\n" for name in names))
    found = {}
    for how, run in (("natively", share.daemon.native), ("share", share.run)):
        done = run("piglit", "run", "cl", "--test-list", tmp_path / "names", "--timeout", "120", "-j", "2", tmp_path / how, timeout=3600)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        found[how] = results(tmp_path / how)
    assert set(names) <= found["natively"].keys() and found["natively"].keys() == found["share"].keys()
    assert sum(status == "pass" for status in found["share"].values()) > len(names) / 2
    differences = {name: (status, found["share"][name]) for name, status in found["natively"].items() if status != found["share"][name]}
    assert differences == {name: statuses for name, statuses in NOT_AS_NATIVE.items() if name in names}

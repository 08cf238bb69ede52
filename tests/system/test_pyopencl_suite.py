# SPDX-License-Identifier: Apache-2.0
"""pyopencl's own tests (Debian ships them in python-pyopencl-doc), natively and as a tenant of a share: each test ends the same."""
import contextlib
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml

import pytest

EXAMPLES = pathlib.Path("usr/share/doc/python-pyopencl-doc/examples")

# {file: pytest's -k}: what compiles dozens of kernels per test is left out, PoCL takes a second for each.
SUITE = {
    "test_wrapper.py": "",
    "test_enqueue_copy.py": "",
    "test_arrays_in_structs.py": "",
    "test_array.py": "stride_preservation or mem_pool or map_to_host or event_management or outoforder or transpose or multi_put or zero_size or svm_alloc",
    "test_algorithm.py": "elwise_kernel or take or copy_if or key_value_sorter or with_memoryobject or struct_reduce",
}

# Tests that may end otherwise in a share than natively, and why.
MAY_DIFFER = {
    "test_image_2d": "skips itself where the platform calls itself PoCL",
    "test_image_3d": "skips itself where the platform calls itself PoCL",
    "test_coarse_grain_svm": "skips itself where a share offers less shared virtual memory than the device",
    "test_fine_grain_svm": "skips itself where a share offers less shared virtual memory than the device",
}


@pytest.fixture
def share(tranched):
    with tranched.share("a", memory="2GiB", time="100%") as share:
        yield share


@pytest.fixture
def examples(tmp_path):
    """A copy of the tests, which write beside themselves. Small Debian images leave out /usr/share/doc: then the package is unpacked here."""
    pytest.importorskip("pyopencl", reason="pyopencl is not installed; ./check installs it")
    installed = "/" / EXAMPLES
    if not installed.exists():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["apt-get", "-q", "download", "python-pyopencl-doc"], cwd=tmp_path, capture_output=True, timeout=120)
            subprocess.run(["dpkg-deb", "-x", *tmp_path.glob("*.deb"), tmp_path / "package"], capture_output=True, timeout=60)
        installed = tmp_path / "package" / EXAMPLES
    if not installed.exists():
        pytest.skip("no tests of pyopencl here: python-pyopencl-doc is not installed; ./check installs it")
    return shutil.copytree(installed, tmp_path / "examples")


def results(path):
    """{test: "passed" | "failed" | "skipped"}. Parameters name the device: it is called differently in a share."""
    found = {}
    for case in xml.parse(path).iter("testcase"):
        name = re.sub(r"<(?:context factory for <)?pyopencl\.\w+ '.*?'(?: on '.*?')?(?: at 0x\w+)?>+", "DEVICE", case.get("name"))
        status = next((word for tag, word in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")) if case.find(tag) is not None), "passed")
        assert name not in found, f"two tests of one name: {name}"
        found[name] = status
    return found


@pytest.mark.parametrize("file", SUITE)
def test_pyopencl_suite(share, examples, file):
    settings = {"PYOPENCL_NO_CACHE": "1", "PYOPENCL_COMPILER_OUTPUT": "0", "XDG_CACHE_HOME": str(examples.parent / "cache")}
    found = {}
    for how, run in (("natively", share.daemon.native), ("share", share.run)):
        done = run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", examples, "--junitxml", examples / f"{how}.xml",
                   "-k", SUITE[file], examples / file, timeout=900, env=settings)
        assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-2000:]
        found[how] = results(examples / f"{how}.xml")
    assert found["natively"].keys() == found["share"].keys()
    assert "passed" in found["share"].values()
    differences = {name: (status, found["share"][name]) for name, status in found["natively"].items() if status != found["share"][name]}
    assert {name for name in differences if name.split("[")[0] not in MAY_DIFFER} == set(), differences
    assert "failed" not in {found["share"][name] for name in differences}, differences

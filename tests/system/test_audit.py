# SPDX-License-Identifier: Apache-2.0
"""Every info query of OpenCL, natively and through a share (progs/cl_audit.c): a tenant is told what the driver says, but for the short list here."""
import pathlib
import re
import struct
import subprocess

import pytest

from conftest import Daemon
from test_semantics import StagedDaemon

PLATFORM = "the platform is tranche"
MEMORY = "the share's memory, not the GPU's"
CARRIED = "only what a share carries"
BUILT_IN = "kernels that the driver has built in are not carried"

# What is told otherwise, and why. One that is the same after all fails the test.
DIFFERENCES = {
    "platform CL_PLATFORM_VERSION": PLATFORM, "platform CL_PLATFORM_NAME": PLATFORM, "platform CL_PLATFORM_VENDOR": PLATFORM,
    "platform CL_PLATFORM_EXTENSIONS": CARRIED, "platform CL_PLATFORM_EXTENSIONS_WITH_VERSION": CARRIED, "platform CL_PLATFORM_ICD_SUFFIX_KHR": PLATFORM,
    "platform CL_PLATFORM_HOST_TIMER_RESOLUTION": "a share has the timers of OpenCL 2.1, PoCL has not",
    "device CL_DEVICE_NAME": "names the share too", "device CL_DEVICE_GLOBAL_MEM_SIZE": MEMORY, "device CL_DEVICE_MAX_MEM_ALLOC_SIZE": MEMORY,
    "device CL_DEVICE_EXECUTION_CAPABILITIES": "a function of the tenant's process cannot run in the worker's",
    "device CL_DEVICE_EXTENSIONS": CARRIED, "device CL_DEVICE_EXTENSIONS_WITH_VERSION": CARRIED,
    "device CL_DEVICE_BUILT_IN_KERNELS": BUILT_IN, "device CL_DEVICE_BUILT_IN_KERNELS_WITH_VERSION": BUILT_IN,
    "device CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES": "8 bytes, as specified; PoCL gives 4",
    "device CL_DEVICE_COMMAND_BUFFER_CAPABILITIES_KHR": CARRIED, "device CL_DEVICE_COMMAND_BUFFER_REQUIRED_QUEUE_PROPERTIES_KHR": CARRIED,
    "function clCreateCommandBufferKHR": CARRIED, "function clFinalizeCommandBufferKHR": CARRIED,
    "function clCreateProgramWithILKHR": CARRIED, "function clSetContentSizeBufferPoCL": PLATFORM,
}
STAGED = {"device CL_DEVICE_SVM_CAPABILITIES": "the memory of the device is not the tenant's"}


def names():
    """{(kind, number): name} of what is asked of platforms and devices, from the headers."""
    found = {}
    for header in ("cl.h", "cl_ext.h"):
        content = pathlib.Path("/usr/include/CL", header).read_text()
        for name, kind, number in re.findall(r"#define\s+(CL_(PLATFORM|DEVICE)_\w+)\s+(0x[0-9A-Fa-f]{3,4})\b", content):
            found.setdefault((kind.lower(), int(number, 16)), name)
    return found


def answers(output):
    """{what: answer} of the program's lines."""
    known, found = names(), {}
    for line in output.splitlines():
        what, answer = line.split(": ", 1)
        kind, _, number = what.rpartition(" ")
        if (kind, int(number, 16) if number.startswith("0x") else -1) in known:
            what = f"{kind} {known[kind, int(number, 16)]}"
        found[what] = answer
    return found


@pytest.fixture(scope="module")
def natively(build):
    return answers(subprocess.run([build / "tests/system/cl_audit"], capture_output=True, text=True, check=True, timeout=120).stdout)


@pytest.fixture(scope="module", params=["unified", "staged"])
def told(request, build):
    daemon = (Daemon if request.param == "unified" else StagedDaemon)(build)
    try:
        daemon.start()
        with daemon.share("a", memory="1GiB", time="100%") as share:
            done = share.run(build / "tests/system/cl_audit", timeout=120)
            assert done.returncode == 0, done.stderr + daemon.read_log()
            yield request.param, answers(done.stdout)
    finally:
        wrong = daemon.close()
    assert not wrong, wrong


def test_a_share_says_what_the_driver_says(natively, told):
    how, found = told
    assert len(found) > 600 and found.keys() == natively.keys()
    differences = {what: (answer, natively[what]) for what, answer in found.items() if answer != natively[what]}
    allowed = DIFFERENCES.keys() | (STAGED.keys() if how == "staged" else set())
    assert differences.keys() == allowed, {what: differences.get(what) for what in differences.keys() ^ allowed}


def text(answer):
    return bytes.fromhex(answer.split()[1]).rstrip(b"\0").decode()


def versions(answer):
    """[(name, version)] of a list of cl_name_version."""
    data = bytes.fromhex(answer.split()[1])
    return [(name.rstrip(b"\0").decode(), version) for version, name in struct.iter_unpack("<I64s", data)]


def test_extensions_and_versions_agree(natively, told):
    _, found = told
    extensions = text(found["device CL_DEVICE_EXTENSIONS"]).split()
    assert sorted(extensions) == sorted(name for name, _ in versions(found["device CL_DEVICE_EXTENSIONS_WITH_VERSION"]))
    assert set(extensions) <= set(text(natively["device CL_DEVICE_EXTENSIONS"]).split())
    assert set(versions(found["device CL_DEVICE_OPENCL_C_FEATURES"])) <= set(versions(natively["device CL_DEVICE_OPENCL_C_FEATURES"]))
    assert text(found["platform CL_PLATFORM_EXTENSIONS"]).split() == [name for name, _ in versions(found["platform CL_PLATFORM_EXTENSIONS_WITH_VERSION"])]
    major, minor = map(int, re.match(r"OpenCL (\d)\.(\d)", text(found["device CL_DEVICE_VERSION"])).groups())
    number = struct.unpack("<I", bytes.fromhex(found["device CL_DEVICE_NUMERIC_VERSION"].split()[1]))[0]
    assert number >> 22 == major and number >> 12 & 0x3FF == minor

# SPDX-License-Identifier: Apache-2.0
"""OpenCL's rules, hundreds of small checks by one program (progs/cl_semantics.c), natively and as a tenant of a share, whose buffers lie in shared memory
(`unified`) or are streamed to a device with its own (`staged`). Every check passes as a tenant, and what can be compared is the same as natively."""
import subprocess

import pytest

from conftest import Daemon, wait_until

GROUPS = ["events", "transfers", "maps", "kernels", "images", "programs", "errors", "threads", "lifetime", "absent", "processes", "svm", "parts", "pixels"]

# Checks that do not pass as a tenant, and why. One that passes after all fails the test, so that this list stays true.
NOT_AS_A_TENANT = {}

# What is not the same natively, and why. One that is the same after all fails the test too.
NOT_AS_NATIVE = {
    "events.failed_event_calls_back_with_its_error": "PoCL does not call back when a command failed because of its wait list",
    "errors.platforms_and_devices.clGetDeviceIDs(platform, 0, 1, devices, NULL)": "PoCL takes 0 for a type that no device has; no type is not a valid type",
    "errors.contexts.clCreateContextFromType(good, CL_DEVICE_TYPE_ACCELERATOR, NULL, NULL, &error_)": "PoCL returns an object beside the error",
}


class StagedDaemon(Daemon):
    """A tranched that treats the stand-in GPU as a device with its own memory."""

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.build / "tranched", "--stand-in", "--staged", "--run-dir", self.run_dir, "--state-dir", self.state_dir],
                                            env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.answers() or self.process.poll() is not None, 20, "tranched answers on its control socket")
        assert self.process.poll() is None, self.read_log()


@pytest.fixture(scope="module", params=["unified", "staged"])
def share(request, build):
    daemon = (Daemon if request.param == "unified" else StagedDaemon)(build)
    try:
        daemon.start()
        with daemon.share("a", memory="1GiB", time="100%") as share:
            yield share
    finally:
        log, wrong = daemon.read_log(), daemon.close()
    assert not wrong, "\n".join([*wrong, log[-8000:]])


def results(output):
    """{name: result} of the program's lines; what a kernel prints counts too."""
    return dict(line.rsplit(": ", 1) if ": fail " not in line else line.split(": ", 1) for line in output.splitlines() if ": " in line)


@pytest.fixture(scope="module")
def natively(build):
    """natively(group) runs a group without a share, once."""
    known = {}

    def run(share, group):
        if group not in known:
            process = share.daemon.popen(build / "tests/system/cl_semantics", group, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            output, errors = process.communicate(timeout=240)
            assert process.returncode == 0, output + errors
            known[group] = results(output)
        return known[group]

    return run


def of_group(names, group):
    return {name for name in names if name.startswith(group + ".")}


@pytest.mark.parametrize("group", GROUPS)
def test_semantics(share, natively, build, group):
    done = share.run(build / "tests/system/cl_semantics", group, timeout=300)
    found = results(done.stdout)
    assert done.returncode == 0 and found.get("end") == "ok", done.stdout[-3000:] + done.stderr[-3000:] + share.daemon.read_log()[-2000:]
    failed = {name: result for name, result in found.items() if result.startswith("fail")}
    assert of_group(failed, group) == of_group(NOT_AS_A_TENANT, group), failed
    native = natively(share, group)
    assert native.keys() == found.keys()
    differences = {name: (result, native[name]) for name, result in found.items() if result != native[name]}
    assert of_group(differences, group) == of_group(NOT_AS_NATIVE, group), differences
    wait_until(lambda: share.used() == 0 and not share.workers(), 10, "what the tenant held is given back")


def test_printf_in_a_kernel_reaches_the_programs_stdout(share, build):
    done = share.run(build / "tests/system/cl_semantics", "kernels", "printf_reaches_our_stdout")
    assert "kernels.printf.said: 4242 0.25\n" in done.stdout


@pytest.mark.parametrize("places", [0, 3, 99], ids=["elsewhere", "after-three-tries", "nowhere"])
def test_shared_virtual_memory_where_there_is_room(share, build, places):
    """The worker's address is taken in the tenant's process, and some or all others that it proposes."""
    done = share.run("env", f"LD_PRELOAD={build / 'tests/system/libcrowded.so'}", f"CROWDED={places}", build / "tests/system/cl_semantics", "svm")
    found = results(done.stdout)
    assert done.returncode == 0 and set(found.values()) == {"ok"}, done.stdout + done.stderr
    crowded = results(done.stderr).get("crowded")
    if not isinstance(share.daemon, StagedDaemon):
        assert crowded == {0: "0", 3: "3", 99: "16"}[places]


@pytest.mark.parametrize("how", ["return", "exit", "_exit", "unload", "gated", "thread", "exec"])
def test_leaving_without_a_word(share, build, how):
    """Programs that release nothing, with kernels running, with commands that wait for ever, with libOpenCL unloaded."""
    done = share.run(build / "tests/system/cl_leave", how)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    wait_until(lambda: share.used() == 0 and not share.workers(), 20, "what the tenant held is given back")

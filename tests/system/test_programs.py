# SPDX-License-Identifier: Apache-2.0
"""Programs that know nothing of tranche, unmodified, as tenants of a share: clinfo, clpeak, pyopencl, our own bench."""
import json
import re
import shutil
import sys
import textwrap

import pytest

GIB = 1 << 30


@pytest.fixture
def share(tranched):
    with tranched.share("a", memory="1GiB", time="100%") as share:
        yield share


def program(name):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed; ./check installs it")
    return name


def test_clinfo_lists_the_share_and_nothing_else(share):
    done = share.run(program("clinfo"))
    assert done.returncode == 0, done.stderr
    assert re.search(r"Number of platforms\s+1\n", done.stdout)
    assert re.search(r"Number of devices\s+1\n", done.stdout)
    assert re.search(rf"Global memory size\s+{GIB} ", done.stdout), "the memory that it sees is the quota"
    assert "stand-in" in done.stdout, "a stand-in GPU is labelled"
    unknown = [line.strip() for line in done.stdout.splitlines() if "clGetDeviceInfo(" in line or "clGetPlatformInfo(" in line]
    native = share.daemon.popen("clinfo", stdout=-1, text=True).communicate(timeout=60)[0]
    assert len(unknown) <= native.count("clGetDeviceInfo(") + native.count("clGetPlatformInfo("), f"queries that fail: {unknown}"


def test_clinfo_in_raw_form_has_every_property_of_the_native_device(share):
    raw = share.run(program("clinfo"), "--raw", check=True).stdout
    native = share.daemon.popen("clinfo", "--raw", stdout=-1, text=True).communicate(timeout=60)[0]
    names = [set(re.findall(r"^\s*(?:\[\S*\]\s+)?(CL_DEVICE_\w+)", text, re.M)) for text in (raw, native)]
    extensions = re.compile("_(KHR|POCL|ARM|INTEL|NV|AMD|EXT)$|SPIR_VERSIONS$")     # come with the extensions that the platform names
    assert len(names[1]) > 50
    missing = {name for name in names[1] - names[0] if not extensions.search(name)}
    assert not missing


def test_clpeak_measures_everything(share):
    done = share.run(program("clpeak"), timeout=240)
    assert done.returncode == 0, done.stderr
    figures = re.findall(r"^\s+(\w[\w() -]*?)\s*: ([0-9.]+)", done.stdout, re.M)
    measured = {name: float(value) for name, value in figures}
    for name in ("float16", "int16", "enqueueWriteBuffer", "enqueueReadBuffer", "enqueueMapBuffer(for read)", "Kernel launch latency"):
        assert measured.get(name, 0) > 0, done.stdout


PYOPENCL = """
    import numpy as np
    import pyopencl as cl
    import pyopencl.array

    context = cl.create_some_context(interactive=False)
    queue = cl.CommandQueue(context, properties=cl.command_queue_properties.PROFILING_ENABLE)
    rng = np.random.default_rng(1)
    a, b = rng.random(100_000, dtype=np.float32), rng.random(100_000, dtype=np.float32)
    flags = cl.mem_flags
    a_dev = cl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=a)
    b_dev = cl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=b)
    sum_dev = cl.Buffer(context, flags.WRITE_ONLY, a.nbytes)
    program = cl.Program(context, '''
        kernel void add(global const float *a, global const float *b, global float *sum) {
            size_t i = get_global_id(0);
            sum[i] = a[i] + b[i];
        }''').build()
    event = program.add(queue, a.shape, None, a_dev, b_dev, sum_dev)
    event.wait()
    assert event.profile.end >= event.profile.start > 0
    total = np.empty_like(a)
    cl.enqueue_copy(queue, total, sum_dev)
    assert np.array_equal(total, a + b)

    mapped, _ = cl.enqueue_map_buffer(queue, sum_dev, cl.map_flags.READ, 0, a.shape, a.dtype)
    assert np.array_equal(mapped, a + b)
    mapped.base.release(queue)

    x = cl.array.to_device(queue, a)
    y = (2 * x + 1).get()
    assert np.allclose(y, 2 * a + 1)
    assert abs(float(cl.array.sum(x).get()) - a.sum(dtype=np.float64)) < 1

    try:
        cl.Program(context, "kernel void broken( {").build()
    except cl.RuntimeError as problem:
        assert "error" in str(problem)
    else:
        raise SystemExit("nonsense was compiled")

    try:
        cl.Buffer(context, flags.READ_WRITE, 2 << 30)
        queue.finish()
    except (cl.MemoryError, cl.LogicError):
        pass
    else:
        raise SystemExit("twice the quota was given")
    print("all is well", context.devices[0].global_mem_size)
"""


def test_pyopencl(share):
    pytest.importorskip("pyopencl", reason="pyopencl is not installed; ./check installs it")
    done = share.run(sys.executable, "-c", textwrap.dedent(PYOPENCL), env={"PYOPENCL_NO_CACHE": "1", "PYOPENCL_COMPILER_OUTPUT": "0"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"all is well {GIB}"


def test_our_bench_has_correct_results_through_a_share(share):
    done = share.run(share.daemon.build / "tranche-bench", "--quick", "--json", "--max-size", "64MiB", "all", timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    tests = json.loads(done.stdout)["tests"]
    assert {"launch", "rate", "xfer", "map", "buffers", "build", "objects", "compute"} <= tests.keys()


def test_arguments_queries_kernels_and_events_wait_for_no_answer(share, tmp_path):
    """Counted by the library itself (TRANCHE_STATISTICS), over thousands of calls of each kind."""
    file = tmp_path / "statistics"
    done = share.run(share.daemon.build / "tranche-bench", "--quick", "--json", "objects", env={"TRANCHE_STATISTICS": str(file)})
    assert done.returncode == 0, done.stderr
    calls = json.loads(done.stdout)["tests"]["objects"]["calls_of_each"]["value"]
    answers = json.loads(file.read_text())["answers"]
    assert calls >= 1000
    assert answers["facts"] == 1 and answers["program_build"] == 1, "those that need an answer are counted"
    assert answers.keys() <= {"facts", "program_build", "queue_create", "buffer_create", "subbuffer_create"}


def test_the_programs_exit_status_and_streams_are_its_own(share):
    done = share.run("sh", "-c", "echo out; echo err >&2; exit 42")
    assert (done.returncode, done.stdout, done.stderr) == (42, "out\n", "err\n")

# SPDX-License-Identifier: Apache-2.0
"""Programs that know nothing of tranche, unmodified, as tenants of a share: clinfo, clpeak, pyopencl, ffmpeg, OpenMM, CLBlast, clFFT,
hashcat, our own bench. What they print is what they print natively, where that does not change from run to run."""
import hashlib
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
    native = share.daemon.native("clinfo").stdout
    assert len(unknown) <= native.count("clGetDeviceInfo(") + native.count("clGetPlatformInfo("), f"queries that fail: {unknown}"


def test_clinfo_in_raw_form_has_every_property_of_the_native_device(share):
    raw = share.run(program("clinfo"), "--raw", check=True).stdout
    native = share.daemon.native("clinfo", "--raw").stdout
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


def natively_and_as_tenant(share, *command, **options):
    """The results of the same command natively and in a share; both succeed."""
    results = share.daemon.native(*command, **options), share.run(*command, **options)
    for done in results:
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return results


@pytest.mark.parametrize("filters", [
    "hwupload,avgblur_opencl=5,unsharp_opencl,hwdownload",
    "hwupload,convolution_opencl='0 1 0 1 -4 1 0 1 0',transpose_opencl=clock,hwdownload",
    "hwupload,colorkey_opencl=blue:0.4:0.1,hwdownload",
])
def test_ffmpeg_makes_the_same_pictures(share, filters):
    pixels = "rgba" if "colorkey" in filters else "yuv420p"
    native, tenant = natively_and_as_tenant(
        share, program("ffmpeg"), "-hide_banner", "-nostdin", "-loglevel", "error", "-init_hw_device", "opencl=gpu:0.0", "-filter_hw_device", "gpu",
        "-f", "lavfi", "-i", "testsrc2=size=352x288:rate=10:duration=1", "-vf", f"format={pixels},{filters},format={pixels}", "-f", "framemd5", "-",
        timeout=120)
    assert len(re.findall("^0, ", tenant.stdout, re.M)) == 10
    assert tenant.stdout == native.stdout


def test_openmm_computes_the_same_forces(share):
    """OpenMM's check of its installation: forces on a protein's atoms on OpenCL beside its reference in plain C++."""
    pytest.importorskip("openmm", reason="OpenMM is not installed; ./check installs it")
    native, tenant = natively_and_as_tenant(share, sys.executable, "-m", "openmm.testInstallation", timeout=240)
    verdict = re.compile(r"^(?:Reference vs\. OpenCL: .*|All differences are within tolerance\.)$", re.M)
    assert len(verdict.findall(tenant.stdout)) == 2, tenant.stdout
    assert verdict.findall(tenant.stdout) == verdict.findall(native.stdout)


@pytest.mark.parametrize("routine", ["xaxpy", "xgemv", "xger"])
def test_clblast_passes_its_own_tests(share, routine):
    """Against a reference BLAS on the host, in all precisions; the counts of passed and skipped cases are the native ones."""
    counts = []
    for done in natively_and_as_tenant(share, program(f"clblast_test_{routine}"), "-platform", "0", "-device", "0", timeout=240):
        counts.append(re.findall(r"(\d+) test\(s\) (passed|skipped|failed)", done.stdout))
    assert sum(int(count) for count, what in counts[1] if what == "passed") > 100
    assert all(count == "0" for count, what in counts[1] if what == "failed")
    assert counts[0] == counts[1]


@pytest.mark.parametrize("transform", [["-x", "4096"], ["-x", "64", "-y", "48"], ["-x", "16", "-y", "15", "-z", "9", "--double"], ["-x", "1024", "--inv", "-o"]],
                         ids=" ".join)
def test_clfft_passes_its_own_check(share, transform):
    done = share.run(program("clFFT-client"), *transform, timeout=120)
    assert done.returncode == 0 and "Internal Client Test *****PASS*****" in done.stdout, done.stdout + done.stderr


def test_hashcat_finds_a_known_word(share, tmp_path):
    """A mask attack on the CPU type of device (-D 1) that the stand-in GPU is; its kernels take half a minute to compile."""
    hashed = hashlib.md5(b"tr4n").hexdigest()
    done = share.run(program("hashcat"), "-D", "1", "-m", "0", "-a", "3", "--potfile-disable", "--quiet", hashed, "?l?l?d?l", timeout=300,
                     env={"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)})
    assert (done.returncode, done.stdout.split()) == (0, [f"{hashed}:tr4n"]), done.stdout + done.stderr


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

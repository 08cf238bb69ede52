# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests: real daemons, workers and tenants on the stand-in GPU, each test with files of its own.

`build` is the folder with the executables ($TRANCHE_BUILD, else the newest build), `tranched` a private running daemon. What a
test leaves behind is ended here by process id, and a worker that outlives its daemon's shares fails the test."""
import contextlib
import http.client
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]


# Files whose tests take minutes in all: they begin first, so that neither of ./check's two lanes is left with one of them at the end.
LONG = ["test_vfio_lab.py", "test_semantics.py", "test_piglit.py", "test_pyopencl_suite.py", "test_programs.py", "test_hostile.py"]


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: promises times, so that ./check runs it when nothing else runs")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def wait_until(condition, timeout=5.0, what="condition"):
    """Polls until condition() is truthy and returns that; fails the test after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"after {timeout} s still not: {what}")
        time.sleep(0.02)


def is_alive(pid):
    """Whether the process exists and is more than a zombie that waits to be collected."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def processes_naming(text):
    """{pid: arguments} of live processes with `text` in their arguments, this one excepted."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            arguments = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if text in arguments and is_alive(int(entry.name)):
                found[int(entry.name)] = arguments.strip()
    return found


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Tenant:
    """progs/tenant.c as the tenant of a share (or native): ask("alloc 100") gives its answer as a list of words."""

    def __init__(self, process):
        self.process = process
        self.pid = process.pid
        self.pending = b""

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, timeout=20):
        end = time.monotonic() + timeout
        while b"\n" not in self.pending:
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                pytest.fail(f"the tenant gave no answer within {timeout} s: it hangs")
            data = os.read(self.process.stdout.fileno(), 4096)
            if not data:
                return ["gone", str(self.process.wait(5))]
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode().split()

    def ask(self, line, timeout=20):
        self.send(line)
        return self.answer(timeout)


class Share:
    def __init__(self, daemon, name):
        self.daemon, self.name = daemon, name

    def show(self):
        return self.daemon.json("show", self.name)

    def used(self):
        return self.show()["used_bytes"]

    def run(self, *command, **options):
        return self.daemon.tranche("run", self.name, "--", *command, **options)

    def spawn(self, *command, **options):
        return self.daemon.spawn(self.name, *command, **options)

    def tenant(self):
        tenant = Tenant(self.spawn(self.daemon.build / "tests/system/tenant", stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0))
        assert tenant.answer() == ["ready"]
        return tenant

    def workers(self):
        return sorted(client["worker_pid"] for client in self.show()["clients"])

    def worker_of(self, tenant):
        """The worker of one tenant: `pid` in the answer is what the client said of itself."""
        found = [client["worker_pid"] for client in self.show()["clients"] if client["pid"] == tenant.pid]
        assert len(found) == 1, self.show()["clients"]
        return found[0]


class Daemon:
    """One private tranched. Everything of it lies in a folder with a short name: socket paths end at 107 characters."""

    def __init__(self, build):
        self.build = build
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tranche-t.", dir="/tmp"))
        self.run_dir, self.state_dir, self.log = self.folder / "run", self.folder / "state", self.folder / "log"
        for folder in (self.run_dir, self.state_dir):
            folder.mkdir(mode=0o700)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TRANCHE_", "OCL_ICD_", "POCL_"))}
        self.env = dict(kept, TRANCHE_RUN_DIR=str(self.run_dir), TRANCHE_STATE_DIR=str(self.state_dir))
        self.arguments = []    # more of them for tranched
        self.process = None
        self.children = []

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.build / "tranched", "--stand-in", "--run-dir", self.run_dir, "--state-dir", self.state_dir,
                                             *self.arguments], env=self.env,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.answers() or self.process.poll() is not None, 20, "tranched answers on its control socket")
        assert self.process.poll() is None, f"tranched ended with {self.process.returncode}:\n{self.read_log()}"

    def answers(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.api("GET", "/v1/status")[0] == 200
        return False

    def stop(self, timeout=10):
        """SIGTERM; the exit status. Shares and tenants are left as they are."""
        self.process.terminate()
        return self.process.wait(timeout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        assert self.stop() == 0, self.read_log()
        self.start()

    def api(self, method, path, body=None, timeout=20):
        """(status, answer) of one call of the control API."""
        connection = UnixConnection(self.run_dir / "control.sock", timeout)
        try:
            connection.request(method, path, body if body is None or isinstance(body, (bytes, str)) else json.dumps(body))
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def tranche(self, *arguments, check=False, timeout=60, **options):
        done = subprocess.run([self.build / "tranche", *arguments], env=dict(self.env, **options.pop("env", {})), text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=timeout, **options)
        if check:
            assert done.returncode == 0, f"tranche {' '.join(map(str, arguments))} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def native(self, *command, timeout=60, env=None):
        """Runs a program without a share, on the driver itself, with a program cache of its own so that it is as cold as a new share's."""
        env = dict(self.env, POCL_CACHE_DIR=str(self.folder / "native"), **(env or {}))
        return subprocess.run(command, env=env, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout)

    def json(self, *arguments):
        return json.loads(self.tranche(*arguments, "--json", check=True).stdout)

    def popen(self, *command, **options):
        """A child that is ended with the test."""
        process = subprocess.Popen([str(word) for word in command], env=dict(self.env, **options.pop("env", {})), start_new_session=True,
                                   **{"stdin": subprocess.DEVNULL, **options})
        self.children.append(process)
        return process

    def spawn(self, share, *command, **options):
        return self.popen(self.build / "tranche", "run", share, "--", *command, **options)

    @contextlib.contextmanager
    def share(self, name, gpu="cpu0", model="vgpu", **options):
        """A share for the time of a `with`. Options as on the command line: share("a", profile="1of4", policy="fixed-share")."""
        arguments = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
        self.tranche("create", gpu, "--model", model, "--name", name, *arguments, check=True)
        try:
            yield Share(self, name)
        finally:
            if self.process.poll() is None:
                self.tranche("rm", name, "--force")

    def workers(self):
        return {pid: arguments for pid, arguments in processes_naming(str(self.state_dir)).items() if "tranche-worker" in arguments}

    def read_log(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def close(self):
        """Ends everything; returns what was wrong with how it ended."""
        wrong = []
        for child in self.children:
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                with contextlib.suppress(OSError):
                    stream and stream.close()
        if self.process and self.process.poll() is None:
            wrong += self.close_daemon()
        left = self.workers()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if left:
            wrong.append(f"workers were left: {left}")
        shutil.rmtree(self.folder, ignore_errors=True)
        return wrong

    def close_daemon(self):
        wrong = []
        try:
            for share in self.json("shares")["shares"]:
                done = self.tranche("rm", share["name"], "--force")
                if done.returncode:
                    wrong.append(f"tranche rm {share['name']} --force: {done.stderr}")
            status = self.stop()
            if status:
                wrong.append(f"tranched ended with {status}")
        except (subprocess.TimeoutExpired, AssertionError) as problem:
            wrong.append(f"tranched did not end well: {problem}")
            self.kill()
        end = time.monotonic() + 5
        while self.workers() and time.monotonic() < end:
            time.sleep(0.02)
        return wrong


def find_build():
    if "TRANCHE_BUILD" in os.environ:
        return pathlib.Path(os.environ["TRANCHE_BUILD"]).resolve()
    complete = [path.parent for path in TOP.glob("build*/tranched") if all((path.parent / other).exists() for other in ("tranche", "tests/system/tenant"))]
    return max(complete, key=lambda folder: (folder / "tranched").stat().st_mtime, default=None)


@pytest.fixture(scope="session")
def build():
    folder = find_build()
    if not folder or not (folder / "tranched").exists():
        pytest.fail("no build is there: run ./check, or name one with TRANCHE_BUILD")
    return folder


@pytest.fixture
def tranched(build, request):
    daemon = Daemon(build)
    try:
        daemon.start()
        yield daemon
    finally:
        log = daemon.read_log()
        wrong = daemon.close()
        if log:
            request.node.add_report_section("teardown", "tranched", log[-8000:])
    assert not wrong, "\n".join(wrong)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the daemon's words with a failure, while they are still there."""
    report = (yield).get_result()
    daemon = getattr(item, "funcargs", {}).get("tranched")
    if report.failed and daemon:
        report.sections.append(("tranched", daemon.read_log()[-8000:]))

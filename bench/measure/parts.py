# SPDX-License-Identifier: Apache-2.0
"""What is run for each part: a side goes in, {test: {metric: {"median" or "value", "unit", …}}} comes out."""
import contextlib
import json
import os
import pathlib
import select
import statistics
import subprocess
import tempfile
import time

from measure import Failed, machine

MIB = 1 << 20
IDLE_SHARES, IDLE_SHARES_QUICK = 64, 4
IDLE_S, IDLE_S_QUICK = 20, 2


class Side:
    """One way to run tranche-bench: natively, as a tenant, as a client of PoCL-remote. `daemon`: whose workers do the work, or None;
    `pids`: other processes that work for it."""

    def __init__(self, name, words, environment=None, daemon=None, share=None, pids=()):
        self.name, self.words, self.daemon, self.share, self.pids = name, words, daemon, share, list(pids)
        self.environment = environment or {}

    def processes(self):
        return self.pids + ([self.daemon.pid] if self.daemon else [])

    def popen(self, *words, environment=None, **options):
        return subprocess.Popen([*self.words, *words], env={**os.environ, **self.environment, **(environment or {})}, **options)

    def bench(self, *words, environment=None):
        """One run; the tests of its report."""
        process = self.popen("--json", *words, environment=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(timeout=300)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode:
            raise Failed(f"tranche-bench {' '.join(words)} ({self.name}) ended with {process.returncode}: {err.strip()}")
        return json.loads(out)["tests"]

    @contextlib.contextmanager
    def holder(self):
        """A program that has had its first result and holds still: (process, seconds from its start to that result)."""
        ready_out, ready_in = os.pipe()
        go_out, go_in = os.pipe()
        start = time.monotonic()
        process = self.popen("--ready-fd", str(ready_in), "--go-fd", str(go_out), "first", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, pass_fds=(ready_in, go_out))
        os.close(ready_in)
        os.close(go_out)
        try:
            if not select.select([ready_out], [], [], 120)[0] or not os.read(ready_out, 16):
                process.kill()
                raise Failed(f"tranche-bench first ({self.name}): {process.communicate()[1].decode(errors='replace').strip()}")
            yield process, time.monotonic() - start
        finally:
            os.close(go_in)
            os.close(ready_out)
            process.communicate(timeout=60)


def value(x, unit, better="low"):
    return {"value": x, "unit": unit, "better": better}


def quick(arguments):
    return ["--quick"] if arguments.quick else []


def run_launch(side, arguments):
    return side.bench(*quick(arguments), "launch", "rate")


def run_data(side, arguments):
    return {**side.bench(*quick(arguments), "--size", "4B,16MiB,256MiB", "xfer"), **side.bench(*quick(arguments), "--size", "4KiB,64MiB", "map")}


def run_build(side, arguments):
    return side.bench(*quick(arguments), "build")


def run_compute(side, arguments):
    return side.bench(*quick(arguments), "compute")


def run_objects(side, arguments):
    """The library counts itself what it waited for; a driver without such a count reports none."""
    with tempfile.TemporaryDirectory(prefix="tranche-bench.") as folder:
        file = pathlib.Path(folder) / "statistics"
        tests = side.bench(*quick(arguments), "objects", environment={"TRANCHE_STATISTICS": str(file)})
        if file.exists():
            tests["objects"]["answers"] = value(sum(json.loads(file.read_text())["answers"].values()), "")
    return tests


def run_start(side, arguments):
    seconds = []
    for _ in range(3 if arguments.quick else 8):
        with side.holder() as (_, took):
            seconds.append(took)
    return {"start": {"first_result": value(statistics.median(seconds) * 1e3, "ms")}}


def run_memory(side, arguments):
    """Two of a kind at the same time, so that pages of libraries count as shared for all sides alike. For a tenant, the worker is what is
    compared with a native program, which has the driver in itself."""
    with side.holder() as (process, _), side.holder():
        time.sleep(0.2)
        program = machine.memory_bytes(process.pid)
        driver = machine.memory_bytes(side.daemon.workers(side.share)[0]) if side.daemon else program
    return {"memory": {"private": value(driver["private"] / MIB, "MiB"), "pss": value(driver["pss"] / MIB, "MiB"),
                       "program_private": value(program["private"] / MIB, "MiB")}}


def run_idle(side, arguments):
    """Many shares with a tenant each that has used the device and does nothing: processor time and wake-ups of all of it together."""
    if not side.daemon:
        return {}
    count, seconds = (IDLE_SHARES_QUICK, IDLE_S_QUICK) if arguments.quick else (IDLE_SHARES, IDLE_S)
    daemon, names = side.daemon, [f"idle-{i}" for i in range(count)]
    daemon.remove(side.share)       # it has the whole GPU
    try:
        with contextlib.ExitStack() as stack:
            programs = []
            for name in names:
                daemon.create(name, "--memory", "32MiB", "--time", "1%")
                tenant = Side(name, daemon.command("run", name, "--", daemon.build / "tranche-bench"))
                programs.append(stack.enter_context(tenant.holder())[0].pid)
            pids = [daemon.pid, *programs, *[pid for name in names for pid in daemon.workers(name)]]
            time.sleep(3)           # past what follows a start
            before = [(machine.run_seconds(pid), machine.wake_ups(pid)) for pid in pids]
            start = time.monotonic()
            time.sleep(seconds)
            took = time.monotonic() - start
            used, woken = (sum(after) - sum(old) for after, old in zip(zip(*[(machine.run_seconds(pid), machine.wake_ups(pid)) for pid in pids]), zip(*before)))
    finally:
        for name in set(names) & set(daemon.shares):
            daemon.remove(name)
        daemon.create(side.share, "--profile", "1of1")
    return {"idle": {"shares": value(count, ""), "cpu": value(100 * used / took, "%"), "wake_ups": value(woken / took, "1/s")}}


RUN = {"launch": run_launch, "data": run_data, "objects": run_objects, "build": run_build, "compute": run_compute, "start": run_start,
       "memory": run_memory, "idle": run_idle}


def run_part(part, side, arguments):
    """(report, what the machine did meanwhile), repeated while others disturb it."""
    for attempt in range(arguments.repeats + 1):
        watch = machine.Watch(side.processes())
        report = RUN[part](side, arguments)
        if side.daemon:
            side.daemon.settle()
        seen = watch.result()
        if not seen["disturbed"]:
            break
    return report, {**seen, "repeats": attempt}

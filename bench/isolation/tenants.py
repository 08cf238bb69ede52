# SPDX-License-Identifier: Apache-2.0
"""A private tranched and its tenants: tranche-bench as one that saturates the GPU, as one that asks now and then, and natively."""
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

from isolation import Failed

PROGRAMS = ("tranche", "tranched", "tranche-worker", "tranche-bench", "libtranche-opencl.so")
NATIVE = None               # as a share's name: no share, the driver itself


class Machine:
    """The daemon, ended with all that it started; `with` it."""

    def __init__(self, build, gpu=None):
        self.build, self.wanted = build, gpu
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tranche-noisy."))
        self.shares = []

    def __enter__(self):
        for name in ("run", "state"):
            (self.folder / name).mkdir(mode=0o700)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(("OCL_ICD_", "TRANCHE_"))}
        self.log = open(self.folder / "log", "w+b")
        self.process = subprocess.Popen([self.build / "tranched", "--run-dir", self.folder / "run", "--state-dir", self.folder / "state"],
                                        env=self.environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            self.wait()
            self.gpu = self.choose()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.suppress(Failed, subprocess.TimeoutExpired):
            self.remove_shares()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait(self):
        for _ in range(400):
            if self.process.poll() is not None:
                self.log.seek(0)
                raise Failed(f"tranched ended at once: {self.log.read().decode(errors='replace').strip()}")
            with contextlib.suppress(Failed):
                return self.tranche("status")
            time.sleep(0.05)
        raise Failed("tranched does not answer")

    def choose(self):
        gpus = [gpu for gpu in json.loads(self.tranche("gpus", "--json"))["gpus"] if self.wanted in (None, gpu["name"])]
        if not gpus:
            raise Failed(f"there is no GPU {self.wanted or ''} here; see: tranche gpus")
        if not gpus[0]["models"]["vgpu"]["possible"]:
            raise Failed(f"no vGPU on {gpus[0]['name']}: {gpus[0]['models']['vgpu']['reason']}")
        return gpus[0]

    def command(self, *words):
        return [self.build / "tranche", "--run-dir", self.folder / "run", *words]

    def tranche(self, *words):
        done = subprocess.run(self.command(*words), env=self.environment, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise Failed(f"tranche {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def create(self, name, *options):
        self.tranche("create", self.gpu["name"], "--model", "vgpu", "--name", name, *options)
        self.shares.append(name)

    def remove_shares(self):
        while self.shares:
            self.tranche("rm", self.shares.pop(), "--force")

    def bench(self, share, *words):
        """The words that run tranche-bench in a share, or natively on the same device."""
        if share is NATIVE:
            opencl = self.gpu["opencl"]
            return [self.build / "tranche-bench", "--platform", opencl["platform"], "--device", str(opencl["index"]), "--json", *words]
        return self.command("run", share, "--", self.build / "tranche-bench", "--json", *words)

    def calibrate(self, kernel):
        """A kernel of that length on the device as it is now, as "ITEMS:ROUNDS"."""
        report = self.run(NATIVE, "--seconds", "0.3", "--kernel", kernel, "saturate")["saturate"]
        return f"{int(report['items']['value'])}:{int(report['rounds']['value'])}"

    def run(self, share, *words):
        done = subprocess.run(self.bench(share, *words), env=self.environment, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise Failed(f"tranche-bench {' '.join(map(str, words))} ended with {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)["tests"]

    def requests(self, share, work, seconds):
        """[(begin, latency), …] in us of a tenant that runs a kernel of that work every 20 ms."""
        path = self.folder / "samples"
        self.run(share, "--seconds", str(seconds), "--work", work, "--period", "20ms", "--samples", path, "interactive")
        return [tuple(map(float, line.split())) for line in path.read_text().splitlines()]


class Load:
    """A tenant that saturates the GPU; ready and waiting when made, works from go() to end()."""

    def __init__(self, machine, share, work, *options):
        ready, ready_end = os.pipe()
        go_end, self.go_fd = os.pipe()
        words = machine.bench(share, "--seconds", "0", "--work", work, *options, "--ready-fd", str(ready_end), "--go-fd", str(go_end), "saturate")
        self.process = subprocess.Popen(words, env=machine.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        pass_fds=(ready_end, go_end))
        os.close(ready_end)
        os.close(go_end)
        warm = select.select([ready], [], [], 120)[0] and os.read(ready, 6)
        os.close(ready)
        if not warm:
            self.process.kill()
            raise Failed(f"a load did not get ready: {self.process.communicate()[1].strip()}")

    def go(self):
        os.close(self.go_fd)

    def end(self):
        self.process.send_signal(signal.SIGTERM)

    def rate(self):
        out, err = self.process.communicate(timeout=120)
        if self.process.returncode:
            raise Failed(f"a load ended with {self.process.returncode}: {err.strip()}")
        return json.loads(out)["tests"]["saturate"]["rate"]["value"]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

# SPDX-License-Identifier: Apache-2.0
"""A private tranched, started from the build folder and ended again; nothing of it is left."""
import contextlib
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

from measure import Failed


def pinned(cpu):
    return [] if cpu is None else ["taskset", "-c", str(cpu)]


class Daemon:
    """`cpu`: everything of it runs on that processor alone. `staged`: its shares work as on a device with its own memory."""

    def __init__(self, build, gpu=None, cpu=None, staged=False):
        self.build, self.cpu = build, cpu
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tranche-bench."))
        for name in ("run", "state"):
            (self.folder / name).mkdir(mode=0o700)
        self.log = open(self.folder / "log", "w+b")
        self.process = subprocess.Popen([*pinned(cpu), build / "tranched", "--run-dir", self.folder / "run", "--state-dir", self.folder / "state",
                                         *(["--staged"] if staged else [])], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        start_new_session=True)     # ended here, not by a ^C that is for us
        self.shares = []
        try:
            self.wait()
            self.gpu = self.choose(gpu)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self):
        return self.process.pid

    def command(self, *words):
        return [*pinned(self.cpu), self.build / "tranche", "--run-dir", self.folder / "run", *words]

    def tranche(self, *words):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise Failed(f"tranche {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def create(self, name, *options):
        self.tranche("create", self.gpu["name"], "--model", "vgpu", "--name", name, *options)
        self.shares.append(name)

    def remove(self, name):
        self.tranche("rm", name, "--force")
        self.shares.remove(name)

    def workers(self, share):
        """The worker's process id of each client."""
        return [client["worker_pid"] for client in json.loads(self.tranche("show", share, "--json"))["clients"]]

    def has_children(self):
        with contextlib.suppress(OSError):
            return bool(pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().strip())
        return False

    def settle(self):
        """Waits until workers whose clients have ended are collected, so that their processor time is known."""
        for _ in range(200):
            if not self.has_children():
                return
            time.sleep(0.005)

    def wait(self):
        for _ in range(200):
            if self.process.poll() is not None:
                self.log.seek(0)
                raise Failed(f"tranched ended at once: {self.log.read().decode(errors='replace').strip()}")
            with contextlib.suppress(Failed):
                self.tranche("status")
                return
            time.sleep(0.05)
        raise Failed("tranched does not answer")

    def choose(self, name):
        gpus = [gpu for gpu in json.loads(self.tranche("gpus", "--json"))["gpus"] if name in (None, gpu["name"])]
        if not gpus:
            raise Failed(f"there is no GPU {name or ''} here; see: tranche gpus")
        if not gpus[0]["models"]["vgpu"]["possible"]:
            raise Failed(f"no vGPU on {gpus[0]['name']}: {gpus[0]['models']['vgpu']['reason']}")
        return gpus[0]

    def close(self):
        for name in list(self.shares):
            with contextlib.suppress(Failed, subprocess.TimeoutExpired):
                self.remove(name)
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

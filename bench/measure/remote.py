# SPDX-License-Identifier: Apache-2.0
"""PoCL-remote as a side to compare with, where somebody has built it: its client library, and its server on this machine with the native
driver behind it, so that both ways end on the same device. Its server listens on this machine's address only; another port, which it opens
for servers among themselves, is open to the network while this runs."""
import os
import socket
import subprocess
import time

from measure import Failed
from measure.daemon import pinned
from measure.parts import Side


def find(folder, *names):
    for name in names:
        for path in sorted(folder.glob(f"**/{name}")):
            if path.is_file():
                return path.resolve()
    raise Failed(f"there is no {' or '.join(names)} under {folder}; build PoCL with -DENABLE_REMOTE_CLIENT=1 -DENABLE_REMOTE_SERVER=1")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, folder, cpu):
        self.port = free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("POCL_", "OCL_ICD_"))}
        self.process = subprocess.Popen([*pinned(cpu), find(folder, "pocld"), "-a", "127.0.0.1", "-p", str(self.port)], env=clean,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.wait()
        except BaseException:
            self.close()
            raise

    def wait(self):
        for _ in range(200):
            if self.process.poll() is not None:
                raise Failed(f"pocld ended at once with {self.process.returncode}")
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise Failed(f"pocld does not listen on port {self.port}")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def open_side(stack, folder, build, cpu):
    server = Server(folder, cpu)
    stack.callback(server.close)
    # POCL_BUILDING: a build folder that is not installed finds its drivers in itself
    environment = {"POCL_BUILDING": "1", "OCL_ICD_VENDORS": str(find(folder, "libpocl.so", "libpocl.so.2")), "POCL_DEVICES": "remote",
                   "POCL_REMOTE0_PARAMETERS": f"127.0.0.1:{server.port}/0"}
    return Side("remote", [*pinned(cpu), build / "tranche-bench"], environment, pids=[server.process.pid])

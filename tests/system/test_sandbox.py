# SPDX-License-Identifier: Apache-2.0
"""What a worker has given up once it serves: read off the kernel's own account of the process."""
import os
import pathlib
import re


def status_of(path):
    return dict(line.split(":\t", 1) for line in pathlib.Path(path, "status").read_text().splitlines() if ":\t" in line)


def test_a_serving_worker_holds_little(tranched):
    with tranched.share("a", profile="1of4") as share:
        tenant = share.tenant()
        assert tenant.ask("alloc 4096")[0] == "ok"
        folder = pathlib.Path("/proc", str(share.worker_of(tenant)))
        threads = list((folder / "task").iterdir())
        assert len(threads) > 1, "the driver has threads, and they run the tenant's kernels"
        for thread in threads:
            status = status_of(thread)
            assert status["NoNewPrivs"] == "1", thread
            assert status["Seccomp"] == "2", f"{thread} {status['Name']} may call anything"
        limits = (folder / "limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0\s", limits), limits
        open_files = {os.readlink(fd) for fd in (folder / "fd").iterdir()}
        own = {str(tranched.log), "/dev/null"}
        strange = {name for name in open_files - own if not name.startswith(("socket:", "pipe:", str(tranched.run_dir / "sched"), "/memfd:"))}
        assert not strange, strange
        assert sum(name.startswith("socket:") for name in open_files) == 1, "only the client's own connection"

# SPDX-License-Identifier: Apache-2.0
"""What a worker has given up once it serves: read off the kernel's own account of the process, and tried from inside. On the stand-in GPU a tenant's
kernel is code in its worker, so a kernel that makes system calls is what an attacker who took over a driver would be."""
import errno
import os
import pathlib
import re
import signal
import socket
import struct

import pytest

from conftest import is_alive, wait_until
from hostile import Client, Gone, Layout, blob, u32, u64

# Six arguments and then a bit for each that is counted from the buffer's own address.
SYSTEM_CALLS = b"""
long call(long n, long a, long b, long c, long d) {
    long result;
    __asm__ volatile("movq %5, %%r10; xorq %%r8, %%r8; xorq %%r9, %%r9; syscall" : "=a"(result)
        : "a"(n), "D"(a), "S"(b), "d"(c), "r"(d) : "rcx", "r11", "r10", "r8", "r9", "memory");
    return result;
}
long at(global long *x, int i) { return x[i] + (x[7] & 1 << i ? (long)x : 0); }
kernel void ask(global long *x) { x[0] = call(x[0], at(x, 1), at(x, 2), at(x, 3), at(x, 4)); }
kernel void leave_a_child(global long *x) {
    long child = call(57, 0, 0, 0, 0);
    if (child == 0) for (;;) call(34, 0, 0, 0, 0);
    x[0] = child;
}
"""
OPEN, FCNTL, DUP, KILL, PTRACE, SOCKET, SENDMSG, FTRUNCATE = 2, 72, 32, 62, 101, 41, 46, 77
SETUID, SETSID, UNSHARE, CLONE, SETRLIMIT, PRCTL, SETAFFINITY, MKDIR, MMAP = 105, 112, 272, 56, 160, 157, 203, 83, 9
O_RDONLY, O_RDWR, O_CREAT = 0, 2, 64

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the system calls of these kernels are x86-64's")


def status_of(path):
    return dict(line.split(":\t", 1) for line in pathlib.Path(path, "status").read_text().splitlines() if ":\t" in line)


class Inside(Client):
    """A client whose kernels make system calls in its worker."""

    def open(self):
        assert self.error("queue_create", u32(1, 0) + u64(2) + u32(0)) == 0
        error, self.base = struct.unpack("<iQ", self.call("buffer_create", u32(2) + u64(1, 65536)))
        assert error == 0
        self.base += self.at["WIRE_ARENA_OFFSET"]
        self.post("program_from_source", u32(4) + blob(SYSTEM_CALLS))
        built = self.call("program_build", u32(4) + blob(b""), 60)
        assert struct.unpack_from("<i", built)[0] == 0, built
        for handle, name in ((5, b"ask"), (6, b"leave_a_child")):
            self.post("kernel_create", u32(handle, 4) + blob(name))
        return self

    def launch(self, kernel, words=()):
        self.region[self.base:self.base + 8 * len(words)] = struct.pack(f"<{len(words)}q", *words)
        if self.run("ndrange", self.ndrange(u32(3, 8, 2), kernel=kernel)) != 0:
            raise Gone
        return struct.unpack_from("<q", self.region, self.base)[0]

    def system_call(self, number, *arguments):
        """What the kernel answers; text and bytes are arguments by address."""
        words, relative, place = [number], 0, 1024
        for i, argument in enumerate(arguments, 1):
            if isinstance(argument, (str, bytes, os.PathLike)):
                data = os.fsencode(argument) + b"\0"
                self.region[self.base + place:self.base + place + len(data)] = data
                relative, argument, place = relative | 1 << i, place, place + len(data)
            words.append(argument)
        return self.launch(5, [*words, *[0] * (7 - len(words)), relative])

    def opens(self, path, flags=O_RDONLY, mode=0o600):
        """A descriptor or a negative error number."""
        return self.system_call(OPEN, path, flags, mode)


@pytest.fixture
def inside(tranched):
    """A client inside its worker, and its share."""
    with tranched.share("a", memory="256MiB", time="50%") as share:
        client = Inside(share, Layout(tranched.build)).connect().open()
        client.share = share
        yield client
        client.close()


@pytest.fixture
def neighbour(tranched):
    with tranched.share("b", memory="256MiB", time="50%") as share:
        tenant = share.tenant()
        assert tenant.ask("alloc 4096")[0] == "ok"
        yield share


def refused(answer):
    return answer in (-errno.EACCES, -errno.EPERM, -errno.ENOSYS)


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
            for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                assert int(status[capabilities], 16) == 0, (thread, capabilities)
        limits = (folder / "limits").read_text()
        for name, value in (("core file size", "0"), ("open files", "1024"), ("file size", str(1 << 30)), ("realtime priority", "0")):
            assert re.search(rf"Max {name}\s+{value}\s+{value}\s", limits), (name, limits)
        assert not re.search(r"Max data size\s+unlimited", limits), limits
        open_files = {os.readlink(fd) for fd in (folder / "fd").iterdir()}
        own = {str(tranched.log), "/dev/null", "anon_inode:[eventfd]"}      # the last wakes its main thread
        strange = {name for name in open_files - own if not name.startswith(("socket:", "pipe:", str(tranched.run_dir / "sched"), "/memfd:"))}
        assert not strange, strange
        assert sum(name.startswith("socket:") for name in open_files) == 1, "only the client's own connection"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users to give")
def test_each_share_has_a_user_of_its_own(tranched, neighbour):
    users = set()
    with tranched.share("a", memory="256MiB", time="50%") as share:
        for each in (share, neighbour):
            tenants = [each.tenant() for _ in range(2)]
            found = {tuple(status_of(f"/proc/{worker}")[key] for key in ("Uid", "Gid")) for worker in each.workers()}
            assert len(found) == 1, "of one share"
            uid = found.pop()[0].split()
            assert len(set(uid)) == 1 and 60706 <= int(uid[0]) <= 61183
            users.add(uid[0])
            cache = tranched.state_dir / "cache" / each.name
            assert (cache.stat().st_uid, cache.stat().st_mode & 0o777) == (int(uid[0]), 0o700)
            assert int(status_of(f"/proc/{each.workers()[0]}")["CapBnd"], 16) == 0
            for tenant in tenants:
                tenant.process.kill()
    assert len(users) == 2
    tranched.restart()
    tenant = neighbour.tenant()
    assert tenant.ask("alloc 4096")[0] == "ok"
    assert status_of(f"/proc/{neighbour.workers()[0]}")["Uid"].split()[0] in users, "as before"


def test_nothing_of_tranched_s_environment(tranched):
    tranched.stop()
    tranched.env["A_PASSWORD"] = "of the host"
    tranched.start()
    with tranched.share("a", profile="1of4") as share:
        share.tenant()
        environment = pathlib.Path(f"/proc/{share.workers()[0]}/environ").read_bytes()
        assert b"PASSWORD" not in environment and b"PATH=" in environment


def test_the_calls_of_these_kernels_work(inside):
    """Else every refusal below would mean nothing."""
    assert inside.system_call(39) == inside.share.workers()[0]
    assert inside.opens("/usr/bin/env") > 2
    assert inside.opens("/proc/self/status") > 2
    assert inside.opens("/dev/null", O_RDWR) > 2
    made = inside.opens("of my own", O_RDWR | O_CREAT)
    assert made > 2 and inside.system_call(FTRUNCATE, made, 4096) == 0 and inside.system_call(DUP, made) > made
    assert (inside.share.daemon.state_dir / "cache/a/of my own").stat().st_size == 4096


def test_files_of_the_host(inside, neighbour, tmp_path):
    daemon = inside.share.daemon
    secret = daemon.folder / "secret"
    secret.write_text("of the host")
    others = [f"/proc/{pid}/{name}" for pid in (neighbour.workers()[0], daemon.pid, 1) for name in ("environ", "mem", "maps", "cmdline", "fd", "root", "task")]
    for path in (secret, "/etc/passwd", "/etc/shadow", "/etc/hostname", "/root", "/home", "/tmp", "/var/lib", "/run", "/", "/proc", "/dev", "/dev/shm", "/boot",
                 daemon.run_dir / "control.sock", daemon.state_dir / "tranche.db", daemon.state_dir / "cache/b", daemon.run_dir / "sched/cpu0.page",
                 *others, "/proc/self/fd/0/../..", "../../tranche.db", "/proc/self/root/etc/passwd"):
        answer = inside.opens(path)
        assert answer < 0, f"{path} can be opened"
        assert refused(answer) or answer in (-errno.ENOENT, -errno.ENXIO, -errno.ENOTDIR), (path, answer)


def test_writing_to_the_host(inside):
    daemon = inside.share.daemon
    for folder in ("/tmp", "/dev/shm", "/var/tmp", "/usr", "/usr/lib", daemon.folder, daemon.run_dir / "shares", daemon.state_dir / "cache", "/proc/self"):
        assert inside.opens(pathlib.Path(folder, "by a tenant"), O_RDWR | O_CREAT) < 0, folder
        assert inside.system_call(MKDIR, pathlib.Path(folder, "by a tenant"), 0o777) < 0, folder
    for path in ("/proc/self/oom_score_adj", "/usr/bin/env", "/proc/self/exe"):
        assert inside.opens(path, O_RDWR) < 0, path
    assert inside.opens("x" * 200, O_RDWR | O_CREAT) > 0


def sched_page_descriptors(worker):
    return [int(fd.name) for fd in pathlib.Path(f"/proc/{worker}/fd").iterdir() if "sched/" in os.readlink(fd)]


def test_the_sched_page_keeps_its_size(inside):
    fds = sched_page_descriptors(inside.share.workers()[0])
    assert fds
    for fd in fds:
        for number in (fd, fd | 1 << 32):       # the kernel looks at the lower half
            assert inside.system_call(FTRUNCATE, number, 0) == -errno.EPERM
            assert inside.system_call(DUP, number) == -errno.EPERM
            assert inside.system_call(FCNTL, number, 0, 0) == -errno.EPERM
            assert inside.system_call(FCNTL, number, 1030, 0) == -errno.EPERM
        assert inside.opens(f"/proc/self/fd/{fd}", O_RDWR) < 0


def test_network_and_sockets(inside):
    for family, kind in ((socket.AF_UNIX, 1), (socket.AF_INET, 1), (socket.AF_INET6, 2), (socket.AF_NETLINK, 3), (40, 1)):
        assert inside.system_call(SOCKET, family, kind, 0) == -errno.EPERM
    assert inside.system_call(SENDMSG, 3, 0, 0) == -errno.EPERM, "no descriptors to the tenant either"


def test_other_processes(inside, neighbour):
    for pid in (neighbour.workers()[0], inside.share.daemon.pid, 0, -1, 1):
        assert refused(inside.system_call(KILL, pid, 0)), pid
    assert inside.system_call(KILL, inside.share.workers()[0], 0) == 0


def test_calls(inside):
    for name, arguments in (
        ("setuid", (SETUID, 0)), ("setsid", (SETSID,)), ("user namespace", (CLONE, 0x10000000 | signal.SIGCHLD, 0, 0, 0)), ("clone3", (435, 0, 0)),
        ("affinity", (SETAFFINITY, 0, 8, b"\xff" * 8)), ("dumpable", (PRCTL, 4, 1)), ("mm", (PRCTL, 35, 1)), ("io_uring", (425, 8, 0)), ("perf", (298, 0, 0)),
        ("typing", (16, 1, 0x5412, b"x")), ("new call", (1000,)), ("pidfd_open", (434, inside.share.daemon.pid, 0)),
    ):
        assert refused(inside.system_call(*arguments)), name


def test_calls_of_another_architecture(inside):
    with pytest.raises(Gone):
        inside.system_call(0x40000000 | 41, 1, 1, 0)     # x32


def test_limits_stay(inside):
    for which in (2, 4, 7):
        assert inside.system_call(SETRLIMIT, which, struct.pack("<QQ", 1 << 40, 1 << 40)) < 0


@pytest.mark.parametrize("name,number", [("ptrace", PTRACE), ("bpf", 321), ("mount", 165), ("unshare", UNSHARE), ("process_vm_readv", 310)])
def test_an_attack_ends_the_client_and_is_named(inside, name, number):
    worker = inside.share.workers()[0]
    with pytest.raises(Gone):
        inside.system_call(number, 0, 0, 0, 0)
    wait_until(lambda: not is_alive(worker), 20, "the worker ends")
    assert f"share a: code in this worker called {name}," in inside.share.daemon.read_log()


def test_private_memory_has_an_end(inside):
    """16 GiB in pieces: beyond quota and working memory the kernel says no, and the host keeps its own."""
    anonymous, total = 0x22, 0
    for _ in range(64):
        if inside.system_call(MMAP, 0, 256 << 20, 3, anonymous) < 0:
            break
        total += 256 << 20
    assert total <= (4 << 30) + (256 << 20), "quota and what stands in sandbox.c"


def test_what_a_worker_leaves_behind_ends_with_it(inside):
    child = inside.launch(6)
    assert child > 1 and is_alive(child), "the kernel forks"
    worker = inside.share.workers()[0]
    inside.close()
    wait_until(lambda: not is_alive(worker), 20, "the worker ends")
    wait_until(lambda: not is_alive(child), 5, "and its child with it")


def test_a_kernel_that_forks_for_ever(inside, neighbour):
    """Of the share's own user, so that only its own share runs out of processes; all of them end with the worker."""
    children = [inside.launch(6) for _ in range(200)]
    worker = inside.share.workers()[0]
    assert neighbour.tenant().ask("alloc 4096")[0] == "ok"
    inside.close()
    wait_until(lambda: not is_alive(worker) and not any(is_alive(child) for child in children if child > 0), 20, "all end")

# SPDX-License-Identifier: Apache-2.0
"""tranched by its own sockets: the control API byte by byte, what it keeps, how it starts, watches and ends workers.

Clients here greet a share's socket by hand and then keep still: a real worker with a real driver, and no OpenCL program in the way."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import threading
import time

import pytest
from conftest import is_alive, wait_until

GIB = 1 << 30
HELLO = struct.pack("<IHHII", 0x31435254, 1, 0, 1, 0)
VGPU = {"gpu": "cpu0", "model": "vgpu", "profile": "1of8"}


class Client:
    """A connection to a share that a worker has welcomed, or refused (`status`, `text`)."""

    def __init__(self, share, hello=HELLO):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(share["socket"])
        if hello:
            with contextlib.suppress(BrokenPipeError):    # refused already: the answer is there to be read
                self.sock.sendall(hello)

    def welcome(self):
        data, _, _, _ = socket.recv_fds(self.sock, 128, 1)
        if not data:
            return None, ""
        assert len(data) == 128
        return struct.unpack("<IHH", data[:8])[2], data[24:].split(b"\0")[0].decode()

    def greeted(self):
        assert self.welcome() == (0, "")
        return self

    def is_cut(self, timeout=5):
        """Whether the other end is gone within that time."""
        self.sock.settimeout(timeout)
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.sock.close()


def create(daemon, name, expect=201, **body):
    status, answer = daemon.api("POST", "/v1/shares", {**VGPU, "name": name, **body})
    assert status == expect, answer
    return answer


def show(daemon, name):
    status, answer = daemon.api("GET", f"/v1/shares/{name}")
    assert status == 200, answer
    return answer


def kinds(daemon, share=None):
    return [event["kind"] for event in daemon.api("GET", "/v1/events")[1]["events"] if share is None or event["share"] == share]


def texts(daemon, kind):
    return [event["text"] for event in daemon.api("GET", "/v1/events")[1]["events"] if event["kind"] == kind]


def worker_pid(daemon, name):
    return show(daemon, name)["clients"][0]["worker_pid"]


@contextlib.contextmanager
def tranched_with(daemon, *options, env=None):
    """The fixture's files served by a tranched with other options."""
    daemon.stop()
    read, write = os.pipe()
    log = open(daemon.log, "ab")
    daemon.process = subprocess.Popen([daemon.build / "tranched", "--stand-in", "--ready-fd", str(write), *options], pass_fds=[write],
                                      env={**daemon.env, **(env or {})}, stdin=subprocess.DEVNULL, stderr=log)
    os.close(write)
    try:
        assert os.read(read, 1) == b"\n", daemon.read_log()
        yield daemon
    finally:
        os.close(read)
        log.close()


# -- the API ---------------------------------------------------------------------------------------------------------------------

def test_a_gpu_has_every_field(tranched):
    status, answer = tranched.api("GET", "/v1/gpus")
    assert status == 200
    gpu = [gpu for gpu in answer["gpus"] if gpu["name"] == "cpu0"][0]
    assert gpu["kind"] == "stand-in" and gpu["stand_in"] and "stand-in" in gpu["product"]
    assert gpu["memory_bytes"] % GIB == 0 and gpu["compute_units"] > 0
    assert gpu["opencl"]["platform"] and gpu["opencl"]["index"] >= 0
    assert gpu["model"] == "host" and gpu["policy"] is None and gpu["shares"] == []
    assert set(gpu["models"]) == set(gpu["profiles"]) == {"passthrough", "vgpu", "mig"}
    assert all(model["possible"] and model["reason"] for model in gpu["models"].values())
    assert gpu["profiles"]["vgpu"] == [f"1of{n}" for n in range(1, 17)]
    assert {"pci_address", "uuid", "numa_node", "driver", "nvml", "pci", "vendor"} <= set(gpu)


def test_a_share_has_every_field(tranched):
    made = create(tranched, "a", profile="1of4", policy="fixed-share", quantum_ns=5_000_000, watchdog_ns=10**9, weight=7)
    assert made == show(tranched, "a") == tranched.api("GET", "/v1/shares")[1]["shares"][0]
    expected = {"name": "a", "gpu": "cpu0", "model": "vgpu", "profile": "1of4", "stand_in": True, "state": "ready", "problem": None,
                "time_ppm": 250_000, "weight": 7, "policy": "fixed-share", "quantum_ns": 5_000_000, "watchdog_ns": 10**9,
                "owner_uid": os.getuid(), "cores": None, "used_bytes": 0, "peak_bytes": 0, "refused": 0, "granted_ns": 0, "waited_ns": 0,
                "turns": 0, "overruns": 0, "clients": []}
    assert {key: made[key] for key in expected} == expected
    assert pathlib.Path(made["socket"]).is_socket() and os.stat(made["socket"]).st_mode & 0o077 == 0
    assert pathlib.Path(made["icd"]).is_file() and made["created"].endswith("Z")
    gpu = [gpu for gpu in tranched.api("GET", "/v1/gpus")[1]["gpus"] if gpu["name"] == "cpu0"][0]
    assert (gpu["model"], gpu["policy"], gpu["shares"]) == ("vgpu", "fixed-share", ["a"])


def test_passthrough_has_no_socket_and_mig_has_cores(tranched):
    whole = create(tranched, "w", model="passthrough", profile=None)
    assert whole["socket"] is None and whole["icd"] is None and whole["profile"] == "whole" and whole["time_ppm"] == 1_000_000
    assert tranched.api("DELETE", "/v1/shares/w") == (200, {"removed": "w"})
    one = create(tranched, "m", model="mig", profile="1c")
    assert one["cores"] == [0] and one["socket"]
    assert (tranched.run_dir / "sched" / "cpu0:m.page").exists()
    assert tranched.api("DELETE", "/v1/shares/m")[0] == 200
    assert not list((tranched.run_dir / "sched").glob("*.page"))


@pytest.mark.parametrize("method,path,status,allow", [
    ("PUT", "/v1/shares", 405, "GET, POST"), ("POST", "/v1/gpus", 405, "GET"), ("PATCH", "/v1/shares/a", 405, "GET, DELETE"),
    ("GET", "/", 404, None), ("GET", "/v1", 404, None), ("GET", "/v1/shares/", 404, None), ("GET", "/v1/shares/a/b", 404, None),
    ("GET", "/v1/shares/nope", 404, None), ("DELETE", "/v1/shares/nope", 404, None), ("GET", "/v1/shares/%2e%2e%2f", 404, None),
    ("GET", "/v1/shares/" + "x" * 4000, 404, None), ("GET", "/v1/shares/%ff%00", 404, None),
])
def test_what_is_not_there(tranched, method, path, status, allow):
    done = subprocess.run(["curl", "-sS", "-i", "-X", method, "--unix-socket", tranched.run_dir / "control.sock", "http://x" + path],
                          capture_output=True, text=True, timeout=20)
    head, body = done.stdout.split("\n\n", 1) if "\n\n" in done.stdout else done.stdout.split("\r\n\r\n", 1)
    assert f" {status} " in head.splitlines()[0]
    assert json.loads(body)["code"] == 2 and json.loads(body)["error"]
    assert (f"Allow: {allow}" in head) == (allow is not None)


@pytest.mark.parametrize("body,word", [
    ("", "no JSON"), ("{", "no JSON"), ("[]", "JSON object"), ("3", "JSON"), ('{"gpu":"cpu0"}', '"name" is missing'),
    ('{"gpu":"cpu0","gpu":"cpu0"}', "no JSON"), ({"name": "a", "nonsense": 1}, "unknown key"), ({"name": 5}, "must be text"),
    ({"name": "a", "memory_bytes": -1}, "whole number above 0"), ({"name": "a", "memory_bytes": 1.5}, "whole number"),
    ({"name": "a", "memory_bytes": "1GiB"}, "whole number"), ({"name": "a", "time_ppm": 2**40}, "whole number"),
    ({"name": "a", "profile": "1of99"}, "not a vgpu profile"), ({"name": "a", "model": "magic"}, "not a model"),
    ({"name": "a", "policy": "fair"}, "policy"), ({"name": "../../etc"}, "not a name"), ({"name": "a\0b"}, "no JSON"),
    (b"\xff\xfe", "no JSON"), (b"[" * 50000, "no JSON"), ({"name": "a", "quantum_ns": 1}, "quantum"), ({"name": "a", "watchdog_ns": 1}, "watchdog"),
])
def test_bodies_that_make_no_sense(tranched, body, word):
    status, answer = tranched.api("POST", "/v1/shares", {**VGPU, **body} if isinstance(body, dict) else body)
    assert status == 400 and answer["code"] == 2 and word in answer["error"], answer
    assert tranched.api("GET", "/v1/shares")[1] == {"shares": []}


def test_sizes_and_types_of_requests(tranched):
    assert tranched.api("POST", "/v1/shares", b"x" * 70_000)[0] == 413
    done = subprocess.run(["curl", "-sS", "--unix-socket", tranched.run_dir / "control.sock", "-d", json.dumps({**VGPU, "name": "a"}), "-w", "%{http_code}",
                           "http://x/v1/shares"], capture_output=True, text=True, timeout=20)
    assert done.stdout.endswith("415")    # curl's own type is a form
    chunks = subprocess.run(["curl", "-sS", "--unix-socket", tranched.run_dir / "control.sock", "-T", "-", "-X", "POST", "-w", "%{http_code}", "http://x/v1/shares"],
                            input="y" * 200_000, capture_output=True, text=True, timeout=20)
    assert chunks.stdout.endswith("413")
    assert tranched.api("GET", "/v1/shares")[1] == {"shares": []}


def test_refusals_have_their_status(tranched):
    create(tranched, "a", profile="1of2")
    for expect, body in ((409, {"name": "a"}), (409, {"name": "b", "profile": "1of1"}), (409, {"name": "b", "model": "mig", "profile": "1c"}),
                         (409, {"name": "b", "policy": "fixed-share"}), (404, {"name": "b", "gpu": "gpu99"})):
        answer = create(tranched, expect=expect, **body)
        assert answer["code"] == (3 if expect == 409 else 2) and answer["hint"], answer
    assert [share["name"] for share in tranched.api("GET", "/v1/shares")[1]["shares"]] == ["a"]


def test_garbage_on_the_control_socket(tranched):
    for data in (b"\0" * 5000, b"GET " + b"A" * 100_000, os.urandom(4000), b"POST /v1/shares HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"POST /v1/shares HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(tranched.run_dir / "control.sock"))
            with contextlib.suppress(OSError):
                sock.sendall(data)
    assert tranched.api("GET", "/v1/status")[0] == 200


def test_many_callers_at_once(tranched):
    create(tranched, "a")
    wrong = []

    def call(i):
        try:
            for path in ("/v1/gpus?refresh=1" if i % 4 == 0 else "/v1/gpus", "/v1/shares/a", "/v1/events"):
                if tranched.api("GET", path)[0] != 200:
                    wrong.append(path)
        except Exception as problem:    # noqa: BLE001 - a thread's exception would be lost
            wrong.append(repr(problem))
    threads = [threading.Thread(target=call, args=(i,)) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can call as somebody else")
def test_another_user_is_turned_away(tranched):
    share = create(tranched, "a")
    for path in (tranched.folder, tranched.run_dir, tranched.run_dir / "shares"):
        os.chmod(path, 0o755)
    for path in (tranched.run_dir / "control.sock", share["socket"]):
        os.chmod(path, 0o777)    # so that only the peer's user stands in the way
    code = f"""
import http.client, os, socket, sys
os.setgid(65534); os.setuid(65534)
c = http.client.HTTPConnection("x"); c.sock = socket.socket(socket.AF_UNIX); c.sock.connect({str(tranched.run_dir / "control.sock")!r})
c.request("GET", "/v1/status"); print(c.getresponse().status)
s = socket.socket(socket.AF_UNIX); s.connect({share["socket"]!r}); d = s.recv(128); print(d[6], d[24:].split(b"\\0")[0].decode())
"""
    done = subprocess.run(["python3", "-c", code], capture_output=True, text=True, timeout=20)
    assert done.stdout.splitlines() == ["403", "4 this user may not use this share"], done
    assert kinds(tranched, "a") == ["share.created", "client.refused"]


# -- clients and workers ---------------------------------------------------------------------------------------------------------

def test_a_client_is_shown_and_forgotten(tranched):
    share = create(tranched, "a")
    client = Client(share).greeted()
    shown = show(tranched, "a")
    assert shown["state"] == "in use" and len(shown["clients"]) == 1
    assert shown["clients"][0]["pid"] == os.getpid() and is_alive(shown["clients"][0]["worker_pid"])
    assert shown["clients"][0]["command"] == pathlib.Path("/proc/self/comm").read_text().strip()
    assert tranched.api("GET", "/v1/status")[1]["clients"] == 1
    client.close()
    wait_until(lambda: show(tranched, "a")["state"] == "ready", what="the client is gone")
    assert kinds(tranched, "a") == ["share.created", "client.connected", "client.disconnected"]


def test_a_worker_gets_its_two_descriptors_and_the_native_drivers(tranched):
    with tranched_with(tranched, env={"OCL_ICD_VENDORS": "/nowhere", "LD_PRELOAD": "", "POCL_AFFINITY": "1", "NOTIFY_SOCKET": "@x"}):
        share = create(tranched, "a", memory_bytes=GIB + 5, time_ppm=10_000, profile=None)
        client = Client(share, hello=b"")
        wait_until(lambda: show(tranched, "a")["clients"], what="the worker is there")
        proc = pathlib.Path(f"/proc/{worker_pid(tranched, 'a')}")
        wait_until(lambda: b"--client-fd" in (proc / "cmdline").read_bytes(), what="the worker runs")
        environment = (proc / "environ").read_bytes().decode().split("\0")
        gpu = [gpu for gpu in tranched.api("GET", "/v1/gpus")[1]["gpus"] if gpu["name"] == "cpu0"][0]
        whole = -(-gpu["memory_bytes"] // GIB)      # the largest buffer follows from it; the quota is counted by the worker
        assert f"POCL_MEMORY_LIMIT={whole}" in environment
        assert not [entry for entry in environment if entry.split("=")[0] in ("OCL_ICD_VENDORS", "LD_PRELOAD", "POCL_AFFINITY", "NOTIFY_SOCKET")]
        arguments = (proc / "cmdline").read_bytes().decode().split("\0")
        assert arguments[arguments.index("--memory") + 1] == str(GIB + 5)
        assert os.readlink(proc / "fd/0") == "/dev/null" and os.readlink(proc / "fd/3").startswith("socket:")
        assert os.readlink(proc / "fd/4") == str(tranched.run_dir / "sched/cpu0.page")
        paths = [os.readlink(fd) for fd in (proc / "fd").iterdir()]
        assert not [path for path in paths if path.startswith(str(tranched.state_dir)) and not path.startswith(f"{tranched.state_dir}/cache/a")]
        assert not [path for path in paths if "lock" in path and "tranched" in path]
        assert os.getsid(int(proc.name)) == int(proc.name)
        client.close()


def test_mig_workers_are_bound_to_their_cores(tranched):
    share = create(tranched, "m", model="mig", profile="1c")
    client = Client(share).greeted()
    pid = worker_pid(tranched, "m")
    assert os.sched_getaffinity(pid) == {sorted(os.sched_getaffinity(0))[0]}
    arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    assert arguments[arguments.index("--cores") + 1] == "0-0"
    client.close()


def test_no_more_clients_than_allowed(tranched):
    with tranched_with(tranched, "--max-clients", "2"):
        share = create(tranched, "a")
        clients = [Client(share).greeted() for _ in range(2)]
        status, text = Client(share).welcome()
        assert status == 2 and "2 clients already" in text
        clients.pop().close()
        wait_until(lambda: len(show(tranched, "a")["clients"]) == 1, what="one has left")
        Client(share).greeted()
        assert kinds(tranched, "a").count("client.refused") == 1


def test_a_worker_that_cannot_be_started_is_told_to_the_client(tranched):
    bad = tranched.folder / "bad-worker"
    bad.write_text('#!/bin/sh\ntest "$1" = --probe && exec ' + str(tranched.build / "tranche-worker") + ' --probe\nexit 9\n')
    bad.chmod(0o700)
    with tranched_with(tranched, env={"TRANCHE_WORKER": str(bad)}):
        share = create(tranched, "a")
        assert Client(share).is_cut()
        wait_until(lambda: "worker.failed" in kinds(tranched, "a"), what="the event")
        assert "exit code 9" in texts(tranched, "worker.failed")[0]
        bad.chmod(0o600)
        if os.getuid() != 0 or not os.access(bad, os.X_OK):
            status, text = Client(share).welcome()
            assert status == 3 and "cannot start tranche-worker" in text


@pytest.mark.parametrize("signal_number,kind", [(signal.SIGKILL, "worker.failed"), (signal.SIGTERM, "worker.failed"), (signal.SIGSTOP, "worker.killed")])
def test_a_worker_that_dies_or_is_stopped_is_noticed(tranched, signal_number, kind):
    share = create(tranched, "a")
    client, other = Client(share).greeted(), None
    pid = worker_pid(tranched, "a")
    other = Client(share).greeted()
    os.kill(pid, signal_number)
    assert client.is_cut(5)
    wait_until(lambda: len(show(tranched, "a")["clients"]) == 1, what="the worker is gone")
    assert kind in kinds(tranched, "a") and not is_alive(pid)
    assert not other.is_cut(0.3)
    other.close()


def test_a_short_stop_costs_nothing(tranched):
    share = create(tranched, "a")
    client = Client(share).greeted()
    pid = worker_pid(tranched, "a")
    for _ in range(4):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.1)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.6)
    assert is_alive(pid) and not client.is_cut(0.1)
    client.close()


def test_removal_in_use(tranched):
    share = create(tranched, "a")
    clients = [Client(share).greeted() for _ in range(3)]
    status, answer = tranched.api("DELETE", "/v1/shares/a")
    assert status == 409 and answer["code"] == 3 and str(os.getpid()) in answer["error"] and "--force" in answer["hint"]
    assert show(tranched, "a")["state"] == "in use"
    status, answer = tranched.api("DELETE", "/v1/shares/a?force=1")
    assert (status, answer) == (200, {"removed": "a"})
    assert all(client.is_cut(1) for client in clients)
    assert tranched.api("GET", "/v1/shares/a")[0] == 404 and not pathlib.Path(share["socket"]).exists()
    assert not (tranched.state_dir / "cache/a").exists() and not (tranched.run_dir / "sched/cpu0.page").exists()
    assert kinds(tranched, "a").count("worker.killed") == 3


# -- starting, stopping, starting again ------------------------------------------------------------------------------------------

def run_tranched(tranched, *options, env=None):
    return subprocess.run([tranched.build / "tranched", *options], env={**tranched.env, **(env or {})}, capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("options,word", [
    (["--nonsense"], "--nonsense"), (["extra"], "extra"), (["--watchdog"], "needs a value"), (["--watchdog", "soon"], "--watchdog"),
    (["--watchdog=1ns"], "100ms to 24h"), (["--quantum", "31ms"], "1ms to 30ms"), (["--max-clients", "0"], "--max-clients"),
    (["--max-clients", "513"], "512"), (["--ready-fd", "99"], "not open"), (["--staged=1"], "takes no value"), (["--run-dir="], "needs a value"),
])
def test_usage(tranched, options, word):
    done = run_tranched(tranched, *options)
    assert done.returncode == 2 and word in done.stderr, done


def test_help_and_version(tranched):
    done = run_tranched(tranched, "--help")
    assert done.returncode == 0
    for option in ("--run-dir", "--state-dir", "--watchdog", "--quantum", "--max-clients", "--staged", "--stand-in", "--ready-fd"):
        assert option in done.stdout
    assert run_tranched(tranched, "--version").stdout.startswith("tranched ")


def test_a_second_one_is_refused_by_either_directory(tranched, tmp_path):
    for other in ({"TRANCHE_RUN_DIR": str(tmp_path / "r")}, {"TRANCHE_STATE_DIR": str(tmp_path / "s")}, {}):
        done = run_tranched(tranched, env=other)
        assert done.returncode == 3 and str(tranched.pid) in done.stderr and "another tranched" in done.stderr, done
    assert tranched.api("GET", "/v1/status")[1]["pid"] == tranched.pid


def test_directories_that_others_can_write_are_refused(tranched, tmp_path):
    tmp_path.chmod(0o777)
    done = run_tranched(tranched, "--run-dir", tmp_path)
    assert done.returncode == 3 and "chmod" in done.stderr
    done = run_tranched(tranched, "--state-dir", tmp_path / "state", "--run-dir", tmp_path / ("d" * 120))
    assert done.returncode == 1 and "longer than 107" in done.stderr and "shorter --run-dir" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_tenants_outlive_tranched_and_are_found_again(tranched, how):
    share = create(tranched, "a", policy="equal-share", quantum_ns=4_000_000)
    create(tranched, "b")
    client = Client(share).greeted()
    before = show(tranched, "a")
    tranched.process.send_signal(how)
    assert tranched.process.wait(10) == (-9 if how == signal.SIGKILL else 0)
    assert pathlib.Path(share["socket"]).exists() == (how == signal.SIGKILL)
    assert not client.is_cut(0.3) and is_alive(before["clients"][0]["worker_pid"])
    tranched.start()
    assert show(tranched, "a") == before
    assert "share.adopted" in kinds(tranched, "a")
    second = Client(share).greeted()
    os.kill(before["clients"][0]["worker_pid"], signal.SIGKILL)    # no child of this tranched
    wait_until(lambda: len(show(tranched, "a")["clients"]) == 1, what="the adopted worker's end was seen")
    assert client.is_cut(1)
    second.close()


def test_an_adopted_worker_is_watched_and_removed_with_its_share(tranched):
    share = create(tranched, "a")
    clients = [Client(share).greeted() for _ in range(2)]
    tranched.kill()
    tranched.start()
    os.kill(worker_pid(tranched, "a"), signal.SIGSTOP)
    wait_until(lambda: "worker.killed" in kinds(tranched, "a"), what="the stopped one was ended")
    assert tranched.api("DELETE", "/v1/shares/a")[0] == 409
    assert tranched.api("DELETE", "/v1/shares/a?force=1")[0] == 200
    assert all(client.is_cut(1) for client in clients)


def test_a_pid_on_the_page_that_is_no_worker_is_left_alone(tranched):
    """The page can be written by workers; whatever pid stands there, only workers of the share are ever ended."""
    share = create(tranched, "a")
    client = Client(share).greeted()
    pid = worker_pid(tranched, "a")
    bystander = tranched.popen("sleep", "60")
    tranched.kill()
    page = tranched.run_dir / "sched/cpu0.page"
    data = page.read_bytes()
    at = data.find(struct.pack("<i", pid))
    assert at > 0
    with open(page, "r+b") as file:
        file.seek(at)
        file.write(struct.pack("<i", bystander.pid))
    tranched.start()
    assert tranched.api("DELETE", "/v1/shares/a?force=1")[0] in (200, 500)
    assert bystander.poll() is None
    client.close()
    wait_until(lambda: not is_alive(pid), what="the worker left with its client")


def test_a_mig_share_comes_back_where_it_was(tranched):
    create(tranched, "m0", model="mig", profile="1c")
    one = create(tranched, "m1", model="mig", profile="1c")
    assert tranched.api("DELETE", "/v1/shares/m0")[0] == 200
    client = Client(one).greeted()
    tranched.kill()
    tranched.start()
    assert show(tranched, "m1")["cores"] == [1] and len(show(tranched, "m1")["clients"]) == 1
    assert create(tranched, "m2", model="mig", profile="1c")["cores"] == [0]
    client.close()


def test_events_and_options_are_kept(tranched):
    create(tranched, "a", watchdog_ns=5 * 10**9)
    with tranched_with(tranched, "--watchdog", "7s", "--quantum=3ms"):
        assert show(tranched, "a")["watchdog_ns"] == 5 * 10**9
        assert create(tranched, "b")["watchdog_ns"] == 7 * 10**9
        assert show(tranched, "b")["quantum_ns"] == 2_000_000    # the GPU's, as its first share began
        assert kinds(tranched) == ["daemon.started", "share.created", "daemon.stopped", "daemon.started", "share.created"]


# -- damage ----------------------------------------------------------------------------------------------------------------------

def test_a_store_that_is_none_stops_the_start_and_nothing_else(tranched):
    share = create(tranched, "a")
    client = Client(share).greeted()
    tranched.kill()
    store = tranched.state_dir / "tranche.db"
    good = {path: path.read_bytes() for path in tranched.state_dir.glob("tranche.db*")}
    for path in good:
        path.unlink()
    store.write_bytes(b"this is no database, but it is long enough to look at" * 100)
    done = run_tranched(tranched)
    assert done.returncode == 1 and "tranche.db" in done.stderr and "move the file away" in done.stderr, done
    assert not client.is_cut(0.1)
    store.unlink()
    for path, data in good.items():
        path.write_bytes(data)
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.execute("PRAGMA user_version=99")
        db.commit()
    done = run_tranched(tranched)
    assert done.returncode == 1 and "version 99" in done.stderr
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.execute("PRAGMA user_version=2")
        db.commit()
    tranched.start()
    assert len(show(tranched, "a")["clients"]) == 1
    client.close()


@pytest.mark.parametrize("column,value", [("model", "magic"), ("memory_bytes", -5), ("memory_bytes", "text"), ("policy", "fair"), ("class", "first"), ("name", "../x"),
                                          ("weight", 0), ("cores", 10**9), ("gpu", "../../cpu0"), ("watchdog_ns", 1)])
def test_a_row_with_nonsense_is_left_out_and_kept(tranched, column, value):
    create(tranched, "a")
    create(tranched, "b")
    tranched.stop()
    with contextlib.closing(sqlite3.connect(tranched.state_dir / "tranche.db")) as db:
        db.execute(f"UPDATE shares SET {column} = ? WHERE name = 'a'", (value,))
        db.commit()
    tranched.start()
    assert [share["name"] for share in tranched.api("GET", "/v1/shares")[1]["shares"]] == ["b"]
    assert "left out" in tranched.read_log()
    with contextlib.closing(sqlite3.connect(tranched.state_dir / "tranche.db")) as db:
        assert db.execute("SELECT count(*) FROM shares").fetchone() == (2,)


def test_a_store_of_version_1_is_taken_over(tranched):
    create(tranched, "a")
    tranched.stop()
    with contextlib.closing(sqlite3.connect(tranched.state_dir / "tranche.db")) as db:
        db.execute("ALTER TABLE shares DROP COLUMN class")
        db.execute("PRAGMA user_version=1")
        db.commit()
    tranched.start()
    assert show(tranched, "a")["class"] == "normal"
    assert create(tranched, "b", **{"class": "latency"})["class"] == "latency"
    tranched.restart()
    assert show(tranched, "b")["class"] == "latency"


def test_a_store_that_cannot_be_written_refuses_changes_only(tranched):
    share = create(tranched, "a")
    # A second writer that never finishes: what SQLite says then is what it says of a full or read-only disk, in the same places.
    with contextlib.closing(sqlite3.connect(tranched.state_dir / "tranche.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        status, answer = tranched.api("POST", "/v1/shares", {**VGPU, "name": "b"})
        assert status == 500 and answer["code"] == 1 and "save the share" in answer["error"]
        Client(share).greeted().close()
        assert tranched.api("GET", "/v1/status")[1]["store"] != "ok"
        db.execute("ROLLBACK")
    assert [s["name"] for s in tranched.api("GET", "/v1/shares")[1]["shares"]] == ["a"]
    create(tranched, "b")
    assert tranched.api("GET", "/v1/status")[1]["store"] == "ok"


def test_a_share_whose_gpu_is_gone_is_failed_and_can_be_removed(tranched):
    create(tranched, "a")
    tranched.stop()
    with contextlib.closing(sqlite3.connect(tranched.state_dir / "tranche.db")) as db:
        db.execute("UPDATE shares SET gpu = 'gpu7', gpu_identity = '0000:17:00.0'")
        db.commit()
    tranched.start()
    share = show(tranched, "a")
    assert share["state"] == "failed" and "0000:17:00.0" in share["problem"] and share["socket"] is None
    create(tranched, "b")
    assert tranched.api("DELETE", "/v1/shares/a")[0] == 200


def test_a_share_on_cores_that_are_gone_is_failed(tranched):
    create(tranched, "m", model="mig", profile="1c")
    tranched.stop()
    with contextlib.closing(sqlite3.connect(tranched.state_dir / "tranche.db")) as db:
        db.execute("UPDATE shares SET first_core = 200")
        db.commit()
    tranched.start()
    assert show(tranched, "m")["state"] == "failed" and "cores now" in show(tranched, "m")["problem"]
    assert create(tranched, "m2", model="mig", profile="1c")["cores"] == [0]


def test_old_events_are_forgotten(tranched):
    tranched.stop()
    with contextlib.closing(sqlite3.connect(tranched.state_dir / "tranche.db")) as db:
        db.executemany("INSERT INTO events (at, kind, share, text) VALUES (?, 'old', NULL, 'x')", [(i,) for i in range(12_000)])
        db.commit()
        tranched.start()
        assert db.execute("SELECT count(*) FROM events").fetchone()[0] <= 10_001
    events = tranched.api("GET", "/v1/events")[1]["events"]
    assert len(events) == 1000 and events[-1]["kind"] == "daemon.started"


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="no systemd-socket-activate")
def test_the_control_socket_can_come_from_systemd(tranched):
    tranched.stop()
    path = tranched.run_dir / "control.sock"
    environment = [f"--setenv={key}={value}" for key, value in tranched.env.items()]
    tranched.process = subprocess.Popen(["systemd-socket-activate", *environment, "-l", path, tranched.build / "tranched", "--stand-in"], stderr=subprocess.DEVNULL)
    wait_until(path.exists, what="the socket is there")
    assert tranched.api("GET", "/v1/status")[1]["pid"] == tranched.pid
    assert tranched.stop() == 0 and path.exists()
    path.unlink()
    tranched.start()


def test_a_share_that_cannot_run_now_is_tried_again(tranched):
    create(tranched, "a")
    tranched.stop()
    with tranched_with(tranched, env={"TRANCHE_WORKER": "/nonexistent/tranche-worker"}):
        share = show(tranched, "a")
        assert share["state"] == "failed" and "nonexistent" in share["problem"]
        gpu = [gpu for gpu in tranched.api("GET", "/v1/gpus")[1]["gpus"] if gpu["name"] == "cpu0"][0]
        assert not gpu["models"]["vgpu"]["possible"] and "nonexistent" in gpu["models"]["vgpu"]["reason"]
        assert create(tranched, "b", expect=501)["code"] == 4
    tranched.restart()
    assert show(tranched, "a")["state"] == "ready"


def test_a_share_whose_driver_comes_late_runs_by_itself(tranched):
    create(tranched, "a")
    worker, flag = tranched.folder / "worker", tranched.folder / "broken"
    worker.write_text(f'#!/bin/sh\ntest -e {flag} && exit 5\nexec {tranched.build / "tranche-worker"} "$@"\n')
    worker.chmod(0o700)
    flag.touch()
    with tranched_with(tranched, env={"TRANCHE_WORKER": str(worker)}):
        assert show(tranched, "a")["state"] == "failed"
        flag.unlink()
        wait_until(lambda: show(tranched, "a")["state"] == "ready", 15, "the share runs again")
        Client(show(tranched, "a")).greeted().close()
        assert kinds(tranched, "a").count("share.failed") == 1 and "share.recovered" in kinds(tranched, "a")


def test_pages_that_are_missing_or_nonsense_are_made_again(tranched):
    create(tranched, "a")
    page = tranched.run_dir / "sched/cpu0.page"
    for damage in (lambda: page.unlink(), lambda: page.write_bytes(os.urandom(5000)), lambda: page.write_bytes(b"")):
        tranched.stop()
        damage()
        tranched.start()
        assert show(tranched, "a")["state"] == "ready"
        Client(show(tranched, "a")).greeted().close()


def test_leftover_pages_are_cleaned(tranched):
    tranched.stop()
    (tranched.run_dir / "sched/gpu3.page").write_bytes(b"x" * 100)
    tranched.start()
    assert not (tranched.run_dir / "sched/gpu3.page").exists()


@pytest.mark.parametrize("probe", ["sleep 60", "kill -SEGV $$", "echo nonsense", "yes", "exit 5"])
def test_a_probe_gone_wrong_harms_nobody(tranched, probe):
    worker, flag = tranched.folder / "worker", tranched.folder / "broken"
    real = tranched.build / "tranche-worker"
    worker.write_text(f'#!/bin/sh\ntest "$1" = --probe && test -e {flag} && {{ {probe}; exit; }}\nexec {real} "$@"\n')
    worker.chmod(0o700)
    with tranched_with(tranched, env={"TRANCHE_WORKER": str(worker)}):
        share = create(tranched, "a")
        client = Client(share).greeted()
        flag.touch()
        looking = threading.Thread(target=tranched.api, args=("GET", "/v1/gpus?refresh=1"), kwargs={"timeout": 40})
        looking.start()
        for _ in range(5):    # the loop goes on meanwhile
            begin = time.monotonic()
            assert tranched.api("GET", "/v1/status")[0] == 200
            assert time.monotonic() - begin < 2
        looking.join(40)
        assert not looking.is_alive()
        gpu = [gpu for gpu in tranched.api("GET", "/v1/gpus")[1]["gpus"] if gpu["name"] == "cpu0"][0]
        assert not gpu["models"]["vgpu"]["possible"] and gpu["models"]["vgpu"]["reason"]
        assert not client.is_cut(0.1)
        flag.unlink()
        assert tranched.api("GET", "/v1/gpus?refresh=1")[0] == 200
        Client(share).greeted().close()
        client.close()


def test_out_of_descriptors_and_back(tranched):
    share = create(tranched, "a")
    soft, hard = 24, 24
    subprocess.run(["prlimit", f"--pid={tranched.pid}", f"--nofile={soft}:{hard}"], check=True)
    held = []
    for _ in range(20):
        with contextlib.suppress(OSError):
            held.append(Client(share))
    time.sleep(1)
    assert tranched.process.poll() is None
    for client in held:
        client.close()
    wait_until(lambda: show(tranched, "a")["state"] == "ready", 20, "all have left")
    Client(share).greeted().close()

# SPDX-License-Identifier: Apache-2.0
"""What happens when parts die, hang, or are told nonsense: the client gets an error, everything goes back, nobody else notices."""
import array
import contextlib
import mmap
import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest
from conftest import is_alive, wait_until

MIB = 1 << 20
MAGIC, VERSION = 0x31435254, 1
WELCOME_BYTES = 128

# A holder that overruns its turn by `patience` (250 ms) no longer stops the others; the rest is room for a busy machine.
LARGEST_GAP_US = 1_000_000


@pytest.fixture
def pair(tranched):
    """Two shares of the GPU, `a` with a short watchdog, that know nothing of each other."""
    with tranched.share("a", memory="256MiB", time="50%", watchdog="1500ms") as a, tranched.share("b", memory="256MiB", time="50%") as b:
        yield a, b


@contextlib.contextmanager
def beating(share, ms):
    """The share's tenant launches and waits all the time; afterwards it has to be done without an error and without a long gap."""
    tenant = share.tenant()
    assert tenant.ask("launch 20") == ["ok"]
    tenant.send(f"beat {ms}")
    yield tenant
    word, count, gap = tenant.answer(ms / 1000 + 20)
    print(f"the neighbour had {count} results, the largest gap was {gap} us")
    assert word == "beat" and int(count) > 0
    assert int(gap) < LARGEST_GAP_US
    tenant.process.kill()


def assert_error(answer):
    assert answer[0] == "error" and int(answer[2]) < 0, answer


def assert_share_is_whole(share):
    """Nothing is held by the dead, and a new client can use all of it."""
    wait_until(lambda: share.used() == 0 and not share.show()["clients"], what=f"share {share.name} is empty again")
    tenant = share.tenant()
    assert tenant.ask("launch 5") == ["ok"]
    assert tenant.ask(f"alloc {200 * MIB}")[0] == "ok"
    assert tenant.ask("quit") == ["ok"]
    wait_until(lambda: not share.show()["clients"], what=f"share {share.name} is empty at the end")


# -- workers ---------------------------------------------------------------------------------------------------------------------

def test_a_killed_worker_is_an_error_for_its_client_alone(pair):
    a, b = pair
    tenant = a.tenant()
    assert tenant.ask(f"alloc {100 * MIB}")[0] == "ok"
    with beating(b, 3000):
        tenant.send("beat 60000")
        time.sleep(0.5)
        os.kill(a.worker_of(tenant), signal.SIGKILL)
        assert_error(tenant.answer(5))
        wait_until(lambda: a.used() == 0, what="the dead worker's memory is free")
        assert_error(tenant.ask("launch 1"))     # and it stays an error, not a hang
    tenant.process.kill()
    assert_share_is_whole(a)


def test_a_worker_killed_in_its_turn_gives_the_gpu_back(pair):
    a, b = pair
    tenant = a.tenant()
    assert tenant.ask("launch 1") == ["ok"]
    with beating(b, 3000):
        tenant.send("forever")
        time.sleep(0.3)
        os.kill(a.worker_of(tenant), signal.SIGKILL)
        assert_error(tenant.answer(5))
    tenant.process.kill()
    assert_share_is_whole(a)


def test_a_kernel_that_never_ends_is_ended_by_the_watchdog(pair):
    a, b = pair
    tenant = a.tenant()
    assert tenant.ask("launch 1") == ["ok"]
    with beating(b, 5000):
        begin = time.monotonic()
        tenant.send("forever")
        assert_error(tenant.answer(10))
        taken = time.monotonic() - begin
    assert taken > 1.4, "ended before the watchdog's time was over"
    assert b.show()["overruns"] == 0
    tenant.process.kill()
    assert_share_is_whole(a)
    assert any(event["share"] == "a" and "watchdog" in (event["kind"] + event["text"]) for event in a.daemon.json("events")["events"])


def test_a_worker_stopped_in_its_turn_does_not_stop_the_others(pair):
    a, b = pair
    tenant = a.tenant()
    with beating(b, 6000):
        tenant.send("beat 60000")
        time.sleep(0.5)
        worker = a.worker_of(tenant)
        os.kill(worker, signal.SIGSTOP)
        assert_error(tenant.answer(12))
        wait_until(lambda: not is_alive(worker), what="the stopped worker was ended")
    tenant.process.kill()
    assert_share_is_whole(a)


def test_a_worker_stopped_while_idle_is_noticed_when_it_is_needed(pair):
    a, b = pair
    tenant = a.tenant()
    assert tenant.ask("launch 1") == ["ok"]
    os.kill(a.worker_of(tenant), signal.SIGSTOP)
    with beating(b, 1000):
        pass
    assert_error(tenant.ask("launch 1", timeout=12))
    tenant.process.kill()
    assert_share_is_whole(a)


def test_a_short_stop_is_no_harm(pair):
    a, _ = pair
    tenant = a.tenant()
    tenant.send("beat 2000")
    time.sleep(0.5)
    worker = a.worker_of(tenant)
    os.kill(worker, signal.SIGSTOP)
    time.sleep(0.4)
    os.kill(worker, signal.SIGCONT)
    assert tenant.answer(10)[0] == "beat"
    assert tenant.ask("launch 3") == ["ok"]


def wake_ups(pid):
    """Voluntary context switches of all threads: each is a sleep that somebody ended."""
    status = [path.read_text() for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(line.split()[1]) for text in status for line in text.splitlines() if line.startswith("voluntary_ctxt_switches"))


def test_an_idle_tenant_wakes_nobody(pair):
    """No timer runs for a client that does nothing, and the watchdog is there again once it works."""
    a, b = pair
    tenant = a.tenant()
    assert tenant.ask("launch 3") == ["ok"]
    worker = a.worker_of(tenant)
    wait_until(lambda: a.daemon.json("status")["uptime_s"] > 11, 20, "tranched has settled")     # past its looks for workers of an earlier one
    time.sleep(5)
    before = [wake_ups(pid) for pid in (worker, tenant.pid, a.daemon.pid)]
    time.sleep(6)
    woken = [wake_ups(pid) - old for pid, old in zip((worker, tenant.pid, a.daemon.pid), before)]
    assert woken[:2] == [0, 0] and woken[2] <= 4, "worker, tenant, tranched"
    tenant.send("forever")
    assert_error(tenant.answer(20))
    wait_until(lambda: not is_alive(worker), what="the watchdog ended the worker")


@pytest.mark.parametrize("doing", ["idle", "beat 60000", "forever"])
def test_a_killed_client_leaves_nothing(pair, doing):
    a, b = pair
    tenant = a.tenant()
    assert tenant.ask(f"alloc {100 * MIB}")[0] == "ok" and tenant.ask("launch 1") == ["ok"]
    worker = a.worker_of(tenant)
    with beating(b, 2500):
        if doing != "idle":
            tenant.send(doing)
            time.sleep(0.3)
        tenant.process.kill()
        wait_until(lambda: not is_alive(worker), 6, "the worker ended with its client")
    assert_share_is_whole(a)


def test_removing_a_share_in_use_needs_force(pair):
    a, b = pair
    tenant = a.tenant()
    done = a.daemon.tranche("rm", "a")
    assert done.returncode == 3 and "--force" in done.stderr
    assert tenant.ask("launch 1") == ["ok"]
    with beating(b, 1500):
        assert a.daemon.tranche("rm", "a", "--force").returncode == 0
        assert_error(tenant.ask("launch 1", timeout=5))
    assert [share["name"] for share in b.daemon.json("shares")["shares"]] == ["b"]


# -- the daemon ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_a_restarted_daemon_finds_shares_and_tenants(pair, how):
    a, b = pair
    daemon = a.daemon
    holder = a.tenant()
    assert holder.ask(f"alloc {100 * MIB}")[0] == "ok"
    worker = a.worker_of(holder)
    assert holder.ask("launch 5") == ["ok"]
    before = {share["name"]: share for share in daemon.json("shares")["shares"]}
    with beating(b, 4000) as neighbour:
        time.sleep(0.5)
        if how == "SIGKILL":
            daemon.kill()
        else:
            assert daemon.stop() == 0
        assert holder.ask("launch 5") == ["ok"]      # without any daemon
        time.sleep(0.5)
        daemon.start()
        after = {share["name"]: share for share in daemon.json("shares")["shares"]}
        for key in ("name", "gpu", "model", "memory_bytes", "time_ppm", "weight", "policy", "watchdog_ns", "created"):
            assert {name: share[key] for name, share in after.items()} == {name: share[key] for name, share in before.items()}, key
        assert a.used() == before["a"]["used_bytes"] >= 100 * MIB and a.workers() == [worker]
        assert [client["pid"] for client in b.show()["clients"]] == [neighbour.pid]
        assert b.show()["granted_ns"] > before["b"]["granted_ns"]
    newcomer = a.tenant()
    left = before["a"]["memory_bytes"] - before["a"]["used_bytes"]
    assert newcomer.ask(f"alloc {left + 1}")[0] == "error"      # the quota still counts what the old client holds
    assert newcomer.ask(f"alloc {left}")[0] == "ok"
    # Workers of an earlier daemon are not its children; they are watched and ended all the same.
    holder.process.kill()
    wait_until(lambda: not is_alive(worker), what="the adopted worker ended with its client")
    newcomer.process.kill()
    assert_share_is_whole(a)


def test_what_died_while_no_daemon_ran_is_given_back(pair):
    a, _ = pair
    tenant = a.tenant()
    assert tenant.ask(f"alloc {100 * MIB}")[0] == "ok"
    worker = a.worker_of(tenant)
    a.daemon.kill()
    os.kill(worker, signal.SIGKILL)
    tenant.process.kill()
    a.daemon.start()
    assert_share_is_whole(a)


def test_the_watchdog_watches_adopted_workers(pair):
    a, b = pair
    tenant = a.tenant()
    assert tenant.ask("launch 1") == ["ok"]
    tenant.send("forever")
    time.sleep(0.2)
    a.daemon.kill()
    a.daemon.start()
    assert_error(tenant.answer(10))
    tenant.process.kill()
    assert_share_is_whole(a)


def test_shares_survive_without_tenants(tranched):
    tranched.tranche("create", "cpu0", "--model", "vgpu", "--profile", "1of4", "--name", "kept", "--policy", "fixed-share", check=True)
    before = tranched.json("show", "kept")
    tranched.kill()
    tranched.start()
    after = tranched.json("show", "kept")
    assert {key: after[key] for key in ("gpu", "profile", "memory_bytes", "time_ppm", "policy", "created", "state")} == \
           {key: before[key] for key in ("gpu", "profile", "memory_bytes", "time_ppm", "policy", "created", "state")}
    assert tranched.tranche("create", "cpu0", "--model", "mig", "--profile", "1c", "--name", "m").returncode == 3


def test_a_second_daemon_on_the_same_files_is_refused(tranched):
    done = subprocess.run([tranched.build / "tranched", "--run-dir", tranched.run_dir, "--state-dir", tranched.state_dir], env=tranched.env,
                          capture_output=True, text=True, timeout=20)
    assert done.returncode not in (0, None) and str(tranched.run_dir) in done.stderr
    assert tranched.answers()


def test_without_a_daemon_every_verb_says_how_to_start_one(tranched):
    assert tranched.stop() == 0
    for arguments in (["gpus"], ["shares"], ["show", "a"], ["rm", "a"], ["run", "a", "--", "true"], ["create", "cpu0", "--model", "vgpu", "--name", "a"]):
        done = tranched.tranche(*arguments)
        assert done.returncode == 1, arguments
        assert "tranched" in done.stderr and str(tranched.run_dir) in done.stderr, done.stderr
    tranched.start()


# -- nonsense from the operator ---------------------------------------------------------------------------------------------------

BAD_INPUT = [
    # arguments, exit status, words that the message has to have
    (["create", "gpu9", "--model", "vgpu", "--profile", "1of4", "--name", "x"], 2, ["gpu9", "cpu0"]),
    (["create", "cpu0", "--model", "vgpu", "--profile", "1of99", "--name", "x"], 2, ["1of99"]),
    (["create", "cpu0", "--model", "vgpu", "--profile", "../../etc", "--name", "x"], 2, ["../../etc"]),
    (["create", "cpu0", "--model", "sriov", "--name", "x"], 2, ["sriov", "vgpu"]),
    (["create", "cpu0", "--model", "vgpu", "--profile", "1of4", "--name", "taken"], 3, ["taken"]),
    (["create", "cpu0", "--model", "vgpu", "--profile", "1of4", "--name", "../x"], 2, ["../x"]),
    (["create", "cpu0", "--model", "vgpu", "--profile", "1of4", "--name", ""], 2, []),
    (["create", "cpu0", "--model", "vgpu", "--profile", "1of4", "--name", "x" * 64], 2, []),
    (["create", "cpu0", "--model", "vgpu", "--memory", "1000TiB", "--time", "25%", "--name", "x"], 3, ["1000"]),
    (["create", "cpu0", "--model", "vgpu", "--memory", "99999999999999GiB", "--time", "25%", "--name", "x"], 2, ["99999999999999GiB"]),
    (["create", "cpu0", "--model", "vgpu", "--memory", "-1GiB", "--time", "25%", "--name", "x"], 2, ["-1GiB"]),
    (["create", "cpu0", "--model", "vgpu", "--memory", "0", "--time", "25%", "--name", "x"], 2, ["0"]),
    (["create", "cpu0", "--model", "vgpu", "--memory", "nan", "--time", "25%", "--name", "x"], 2, ["nan"]),
    (["create", "cpu0", "--model", "vgpu", "--memory", "64MiB", "--time", "90%", "--name", "x"], 3, ["time"]),
    (["create", "cpu0", "--model", "vgpu", "--memory", "64MiB", "--time", "101%", "--name", "x"], 2, ["101%"]),
    (["create", "cpu0", "--model", "vgpu", "--memory", "64MiB", "--time", "1e9%", "--name", "x"], 2, ["1e9%"]),
    (["create", "cpu0", "--model", "vgpu", "--profile", "1of4", "--weight", "0", "--name", "x"], 2, ["weight"]),
    (["create", "cpu0", "--model", "vgpu", "--profile", "1of4", "--policy", "fair", "--name", "x"], 2, ["fair", "best-effort"]),
    (["create", "cpu0", "--model", "vgpu", "--profile", "1of4", "--policy", "fixed-share", "--name", "x"], 3, ["best-effort"]),
    (["create", "cpu0", "--model", "vgpu", "--profile", "1of4", "--watchdog", "soon", "--name", "x"], 2, ["soon"]),
    (["create", "cpu0", "--model", "mig", "--profile", "1c", "--name", "x"], 3, ["taken"]),
    (["create", "cpu0", "--model", "mig", "--profile", "77c", "--name", "x"], None, []),
    (["create", "cpu0", "--model", "passthrough", "--name", "x"], 3, ["taken"]),
    (["create", "cpu0", "--model", "vgpu"], 2, []),
    (["create"], 2, []),
    (["show", "nobody"], 2, ["nobody", "tranche shares"]),
    (["rm", "nobody"], 2, ["nobody"]),
    (["rm", "../taken"], 2, []),
    (["run", "nobody", "--", "true"], 2, ["nobody"]),
    (["run", "taken", "--"], 2, []),
    (["run", "taken", "--", "/nonexistent/program"], None, ["/nonexistent/program"]),
    (["no-such-verb"], 2, ["no-such-verb"]),
    (["shares", "--no-such-option"], 2, ["no-such-option"]),
    (["--run-dir", "/nonexistent/run", "shares"], 1, ["/nonexistent/run"]),
    (["--run-dir", "/" + "x" * 200, "shares"], None, []),
    ([], 2, []),
]


def test_bad_input_gives_a_clear_message_and_the_documented_status(tranched):
    with tranched.share("taken", profile="1of2") as taken:
        tenant = taken.tenant()
        wrong = []
        for arguments, status, words in BAD_INPUT:
            done = tranched.tranche(*arguments)
            said = done.stdout + done.stderr
            good = done.returncode == status if status is not None else done.returncode not in (0, -6, -11)
            if not good or not said.strip() or not all(word in said for word in words):
                wrong.append(f"tranche {' '.join(arguments)}: status {done.returncode}, wanted {status} with {words}\n  {said.strip()}")
            elif done.returncode < 0 or "Assertion" in said:
                wrong.append(f"tranche {' '.join(arguments)} crashed: {said}")
        assert not wrong, "\n".join(wrong)
        assert [share["name"] for share in tranched.json("shares")["shares"]] == ["taken"], "a refused request left something"
        assert tenant.ask("launch 3") == ["ok"]


def test_errors_are_json_where_json_was_asked_for(tranched):
    import json
    done = tranched.tranche("show", "nobody", "--json")
    assert done.returncode == 2
    told = json.loads(done.stdout or done.stderr)
    assert "nobody" in told["error"] and told["code"] == 2


BAD_REQUESTS = [
    ("GET", "/", None), ("GET", "/v1/nothing", None), ("GET", "/v1/shares/../../etc/passwd", None), ("GET", "/v1/shares/%2e%2e%2fx", None),
    ("GET", "/v1/shares/" + "x" * 5000, None), ("DELETE", "/v1/shares", None), ("PUT", "/v1/shares", "{}"), ("POST", "/v1/shares", None),
    ("POST", "/v1/shares", ""), ("POST", "/v1/shares", "{"), ("POST", "/v1/shares", "[]"), ("POST", "/v1/shares", "null"),
    ("POST", "/v1/shares", '{"gpu": 7}'), ("POST", "/v1/shares", '{"gpu": "cpu0", "model": "vgpu", "name": "x", "memory_bytes": -1, "time_ppm": 250000}'),
    ("POST", "/v1/shares", '{"gpu": "cpu0", "model": "vgpu", "name": "x", "memory_bytes": 1e30, "time_ppm": 250000}'),
    ("POST", "/v1/shares", '{"gpu": "cpu0", "model": "vgpu", "name": "x", "memory_bytes": "much", "time_ppm": 250000}'),
    ("POST", "/v1/shares", '{"gpu": "cpu0", "model": "vgpu", "name": "x", "memory_bytes": 1048576, "time_ppm": 99999999}'),
    ("POST", "/v1/shares", '{"gpu": "cpu0", "model": "vgpu", "name": "a\\u0000b", "profile": "1of4"}'),
    ("POST", "/v1/shares", '{"gpu": "cpu0", "model": "vgpu", "name": "x", "profile": "1of4", "unheard_of": 1}'),
    ("POST", "/v1/shares", '{"a":' * 5000 + "1" + "}" * 5000), ("POST", "/v1/shares", b"\xff\xfe\x00" * 1000),
    ("POST", "/v1/shares", "x" * (8 << 20)),
]


def test_bad_requests_are_refused_and_change_nothing(tranched):
    for method, path, body in BAD_REQUESTS:
        try:
            status, answer = tranched.api(method, path, body)
        except (ConnectionError, OSError) as problem:
            assert len(body or "") > 1 << 20, f"{method} {path}: {problem}"      # too much to read may be cut off
            continue
        assert 400 <= status < 500, (method, path, str(body)[:80], status)
        assert answer["error"] and answer["code"] in (1, 2, 3), answer
    assert tranched.json("shares")["shares"] == []
    with tranched.share("a", profile="1of4"):
        pass


# -- nonsense from a tenant ---------------------------------------------------------------------------------------------------------

def hello(magic=MAGIC, version=VERSION, flags=0, pid=1, reserved=0):
    return struct.pack("<IHHII", magic, version, flags, pid, reserved)


def say(path, data, passed=()):
    """Connects, sends, closes for writing, returns what comes back until the end (at most a second)."""
    with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(ConnectionError, TimeoutError):
        connection.settimeout(1)
        connection.connect(str(path))
        if passed and data:
            socket.send_fds(connection, [data], list(passed))
        else:
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(WELCOME_BYTES)
    return b""


def random_handshake(dice):
    kind = dice.randrange(10)
    if kind < 4:
        return dice.randbytes(dice.choice([0, 1, 3, 4, 8, 15, 16, 17, 64, 4096]))
    if kind < 6:
        return hello(magic=dice.getrandbits(32), version=dice.getrandbits(16), flags=dice.getrandbits(16), reserved=dice.getrandbits(32))
    if kind < 8:
        return hello(version=dice.choice([0, 2, 99, 0xFFFF]), pid=dice.getrandbits(32))
    if kind < 9:
        return hello()[:dice.randrange(16)]
    mutated = bytearray(hello())
    mutated[dice.randrange(6)] ^= 1 << dice.randrange(8)      # magic or version: never a valid greeting
    return bytes(mutated)


def count_fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_thousands_of_nonsense_greetings_cost_nothing(pair):
    a, b = pair
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    path = pathlib.Path(a.show()["socket"])
    say(path, b"warm up")
    wait_until(lambda: not a.show()["clients"], what="no client is left")
    fds, daemon_pid = count_fds(a.daemon.pid), a.daemon.pid
    with beating(b, 8000):
        end = time.monotonic() + 30
        for done in range(2500):
            say(path, random_handshake(dice), passed=[0, 1, 2] if done % 50 == 0 else ())
            assert time.monotonic() < end, f"only {done} greetings in 30 s"
    wait_until(lambda: not a.show()["clients"] and not any(" a " in args for args in a.daemon.workers().values()), 10, "the workers are gone")
    assert a.daemon.process.poll() is None and a.daemon.pid == daemon_pid
    wait_until(lambda: count_fds(daemon_pid) <= fds + 2, what="the daemon's descriptors are closed")
    assert_share_is_whole(a)


def test_an_older_or_newer_peer_is_told_so(pair):
    a, _ = pair
    answer = say(a.show()["socket"], hello(version=VERSION + 1))
    magic, _version, status = struct.unpack_from("<IHH", answer)
    assert (magic, status) == (MAGIC, 1) and b"version" in answer[16:], answer


def test_silent_connections_do_not_keep_others_out(pair):
    """Clients that connect and say nothing hold a place only for a while, and other shares are served meanwhile."""
    a, b = pair
    silent = []
    for _ in range(100):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(2)
        try:
            connection.connect(a.show()["socket"] if not silent else silent[0].getpeername())
        except (TimeoutError, BlockingIOError, ConnectionError):
            connection.close()
            break
        silent.append(connection)
    tenant = b.tenant()
    assert tenant.ask("launch 3") == ["ok"]
    assert a.daemon.answers()
    for connection in silent:
        connection.close()
    wait_until(lambda: not a.show()["clients"], 15, "the silent clients are gone")
    assert_share_is_whole(a)


def open_region(path):
    """A correct greeting; the connection and the shared region that the worker passed."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(path)
    connection.sendall(hello(pid=os.getpid()))
    answer, control, _flags, _address = connection.recvmsg(WELCOME_BYTES, socket.CMSG_SPACE(16))
    assert struct.unpack_from("<IHH", answer)[2] == 0, answer
    fds = array.array("i")
    for _level, _type, data in control:
        fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
    assert len(fds) == 1
    size = struct.unpack_from("<Q", answer, 8)[0]
    return connection, fds[0], size


def test_a_client_cannot_resize_what_it_shares_with_its_worker(pair):
    a, _ = pair
    connection, fd, size = open_region(a.show()["socket"])
    with connection:
        assert os.fstat(fd).st_size == size
        for length in (0, size // 2, size + 4096):
            with pytest.raises(OSError):
                os.ftruncate(fd, length)
    os.close(fd)
    assert_share_is_whole(a)


def test_garbage_in_the_shared_region_harms_only_its_own_worker(pair):
    """Random bytes over the rings while the worker reads them, and nonsense on the socket after a good greeting."""
    a, b = pair
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    path = a.show()["socket"]
    with beating(b, 8000):
        for _ in range(25):
            connection, fd, size = open_region(path)
            with connection, mmap.mmap(fd, size) as region:
                os.close(fd)
                head = min(size, 1 << 20)
                for _ in range(40):
                    where, length = dice.randrange(head - 4096), dice.choice([4, 8, 64, 4096])
                    region[where:where + length] = dice.randbytes(length)
                with contextlib.suppress(OSError):
                    connection.sendall(dice.randbytes(dice.choice([1, 64, 4096])))
                time.sleep(0.02)
    wait_until(lambda: not a.show()["clients"], 15, "the workers of the garbage are gone")
    assert a.used() == 0
    assert_share_is_whole(a)


def test_a_storm_of_clients_that_come_and_go(pair):
    """Eight threads connect, greet and die; quota and slots are as before."""
    a, b = pair
    path = a.show()["socket"]
    problems = []

    def storm(number):
        dice = random.Random(number)
        for _ in range(6):
            try:
                connection, fd, _size = open_region(path)
            except (OSError, AssertionError) as problem:
                problems.append(problem)
                continue
            time.sleep(dice.random() * 0.05)
            os.close(fd)
            connection.close()

    threads = [threading.Thread(target=storm, args=(number,)) for number in range(8)]
    with beating(b, 6000):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not problems
    assert_share_is_whole(a)

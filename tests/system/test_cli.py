# SPDX-License-Identifier: Apache-2.0
"""The tranche command: what it prints (golden/), what it refuses and how, its exit codes, its manual pages and its completions.

Everything runs the real tranche against the real tranched. Only what a healthy tranched never says (garbage, half an answer, escape
codes) comes from an Impostor on the socket. TRANCHE_UPDATE_GOLDEN=1 writes the golden files instead of comparing them."""
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import pytest
from conftest import Daemon

TOP = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = pathlib.Path(__file__).parent / "golden"
MIB = 1 << 20

# Members of the API whose values depend on the machine, the moment or the process.
VOLATILE = {"vendor", "product", "numa_node", "driver", "uuid", "pci_address", "platform", "platform_version", "device", "version",
            "driver_version", "index", "max_alloc_bytes", "max_sub_devices", "unified", "created", "owner_uid", "pid", "uptime_s", "run_dir", "state_dir", "socket", "icd", "at"}
# The same in text: what stands behind these labels, and what looks like one of these things.
VOLATILE_TEXT = [(r"(?m)^(  (?:product|vendor|driver|OpenCL|size|owner|created|socket|run dir|state dir) +).*$", r"\1…"),
                 (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "YYYY-MM-DD HH:MM:SS"), (r"pid \d+, up .*", "pid N, up …"), (r"tranched [0-9.]+", "tranched VERSION"),
                 (r"tranche [0-9]+\.[0-9.]+", "tranche VERSION"), (r"(?m)\b1c(?:, \d+c)*(?: …, \d+c)?$", "1c…"), (r"up to \d+ instances?", "up to N instances"), (r"serves /\S+", "serves RUN_DIR")]


@pytest.fixture
def cli(build):
    """Runs tranche where no daemon is: cli("gpus") -> CompletedProcess."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tranche-c.", dir="/tmp"))

    def run(*arguments, env=None, **options):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TRANCHE_")}
        return subprocess.run([build / "tranche", *arguments], env=dict(kept, TRANCHE_RUN_DIR=str(folder), **(env or {})), text=True, timeout=60,
                              stdin=subprocess.DEVNULL, **({"capture_output": True} | options))

    run.folder = folder
    yield run
    shutil.rmtree(folder, ignore_errors=True)


class Impostor:
    """Serves control.sock in a folder with the same bytes for whoever asks; `requests` has what was asked."""

    def __init__(self, folder, answer):
        self.answer, self.requests = answer, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "control.sock"))
        self.listener.listen(8)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                self.requests.append(peer.recv(65536))
                peer.sendall(self.answer)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


@contextlib.contextmanager
def impostor(folder, answer):
    served = Impostor(folder, answer)
    try:
        yield served
    finally:
        served.close()
        (folder / "control.sock").unlink()


def http(body, status="200 OK", length=None):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\nConnection: close\r\n\r\n".encode() + body


def steady_text(text):
    for pattern, replacement in VOLATILE_TEXT:
        text = re.sub(pattern, replacement, text)
    return text


def steady_json(value, key=None):
    if key in VOLATILE and not isinstance(value, (dict, list)):
        return None if value is None else f"<{key}>"
    if key == "mig" and isinstance(value, list):
        return value[:1] + ["…"]
    if isinstance(value, dict):
        return {k: steady_json(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [steady_json(item) for item in value]
    return steady_text(value) if isinstance(value, str) else value


def compare_golden(name, text):
    path = GOLDEN / name
    if os.environ.get("TRANCHE_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs; TRANCHE_UPDATE_GOLDEN=1 accepts what is printed now"


def check_golden(daemon, name, *arguments, change=lambda value: value):
    """Text and --json of one command against golden/NAME.txt and golden/NAME.json."""
    compare_golden(f"{name}.txt", change(steady_text(daemon.tranche(*arguments, check=True).stdout)))
    document = json.loads(daemon.tranche(*arguments, "--json", check=True).stdout)
    compare_golden(f"{name}.json", change(json.dumps(steady_json(document), indent=2, ensure_ascii=False) + "\n"))


def failed(done, code, *words):
    """It ended with this code, said nothing on stdout and on stderr one error line and at most one hint, with these words."""
    assert done.returncode == code, f"{done.returncode} instead of {code}: {done.stdout}{done.stderr}"
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("tranche: ") and len(lines) <= 2, done.stderr
    assert len(lines) == 1 or lines[1].startswith("hint: "), done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    return True


def table(build):
    return json.loads(subprocess.run([build / "tranche", "help", "--json"], text=True, capture_output=True, check=True).stdout)["verbs"]


# ---- what it prints


def test_help_lists_every_verb(cli, build):
    done = cli("help")
    assert done.returncode == 0 and done.stderr == ""
    compare_golden("help.txt", done.stdout)
    assert [row["name"] for row in table(build)] == re.findall(r"(?m)^  (\w+) ", done.stdout.split("verbs:")[1].split("\noptions:")[0])


def test_help_of_every_verb_is_its_row(cli, build):
    for row in table(build):
        for arguments in (("help", row["name"]), (row["name"], "--help"), (row["name"], "-h")):
            done = cli(*arguments)
            assert done.returncode == 0 and done.stderr == "", arguments
            assert " ".join(done.stdout.split("\n\n")[0].split()) == "usage: " + row["usage"]
            for option in row["options"]:
                assert f"\n  --{option['name']}" in done.stdout and option["help"] in done.stdout


def test_help_create(cli):
    compare_golden("help-create.txt", cli("help", "create").stdout)


def test_version(cli):
    declared = re.search(r"version: '([^']+)'", (TOP / "meson.build").read_text())[1]
    for arguments in (("version",), ("--version",)):
        assert cli(*arguments).stdout == f"tranche {declared}\n"
    assert json.loads(cli("version", "--json").stdout) == {"version": declared}


def test_gpus(tranched):
    check_golden(tranched, "gpus", "gpus", change=lambda text: re.sub(r'("memory_bytes"|"compute_units"): \d+', r'\1: "…"', text))


def test_gpus_without_and_with_refresh_agree(tranched):
    assert tranched.json("gpus") == tranched.json("gpus", "--refresh")


def test_gpus_json_is_the_api(tranched):
    assert tranched.json("gpus") == tranched.api("GET", "/v1/gpus")[1]


def test_shares_when_there_are_none(tranched):
    check_golden(tranched, "shares-none", "shares")


def test_create_shares_show_rm(tranched):
    done = tranched.tranche("create", "cpu0", "--model", "vgpu", "--memory", "512MiB", "--time", "25%", "--name", "a", "--weight", "7", "--quantum", "3ms",
                            "--policy", "fixed-share", "--watchdog=20s", check=True)
    compare_golden("create.txt", done.stdout)
    compare_golden("create.json", json.dumps(steady_json(tranched.json("create", "cpu0", "--model", "vgpu", "--memory", "256MiB", "--time", "12.5%", "--name",
                                                                       "b")), indent=2) + "\n")
    check_golden(tranched, "shares", "shares")
    check_golden(tranched, "show", "show", "a")
    compare_golden("rm.txt", tranched.tranche("rm", "a", check=True).stdout)
    assert tranched.json("rm", "b") == {"removed": "b"}
    assert tranched.json("shares") == {"shares": []}


def test_a_class_is_shown_wherever_its_share_is(tranched):
    done = tranched.tranche("create", "cpu0", "--model", "vgpu", "--profile", "1of4", "--name", "a", "--class", "latency", check=True)
    assert "class latency" in done.stdout
    assert tranched.json("show", "a")["class"] == "latency" and "class latency" in tranched.tranche("show", "a", check=True).stdout
    assert "latency" in tranched.tranche("shares", check=True).stdout


def test_unmanaged_is_said_wherever_it_is(tranched):
    done = tranched.tranche("create", "cpu0", "--model", "vgpu", "--profile", "1of4", "--name", "a", "--policy", "none", check=True)
    assert "unmanaged" in done.stdout
    for words in (("show", "a"), ("shares",), ("gpus",), ("events",)):
        assert "unmanaged" in tranched.tranche(*words, check=True).stdout, words
    assert tranched.json("show", "a")["policy"] == "none"
    done = tranched.tranche("create", "cpu0", "--model", "vgpu", "--profile", "1of4", "--name", "b", "--class", "latency")
    assert done.returncode == 2 and "time slices" in done.stderr


def test_sizes_arrive_exactly(tranched):
    share = tranched.json("create", "cpu0", "--model", "vgpu", "--memory", "1.5MiB", "--time", "0.5%", "--name", "small", "--weight", "3", "--watchdog", "1.5s",
                          "--quantum", "1500us")
    assert (share["memory_bytes"], share["time_ppm"], share["weight"]) == (MIB * 3 // 2, 5000, 3)
    assert (share["watchdog_ns"], share["quantum_ns"]) == (1_500_000_000, 1_500_000)


def test_show_other_models(tranched):
    def no_sizes(text):
        return re.sub(r"(memory +).*", r"\1…", re.sub(r'("memory_bytes"): \d+', r'\1: "…"', re.sub(r"[0-9.]+ GiB", "N GiB", text)))
    created = tranched.tranche("create", "cpu0", "--model", "mig", "--profile", "1c", "--name", "m", check=True).stdout
    compare_golden("create-mig.txt", no_sizes(created))
    check_golden(tranched, "show-mig", "show", "m", change=lambda text: re.sub(r'(cores +|"cores": \[\s*)\d+', r"\1N", no_sizes(text)))
    tranched.tranche("rm", "m", check=True)
    created = tranched.tranche("create", "cpu0", "--model", "passthrough", "--name", "whole", check=True).stdout
    compare_golden("create-passthrough.txt", no_sizes(created))
    check_golden(tranched, "show-passthrough", "show", "whole", change=no_sizes)
    compare_golden("shares-passthrough.txt", re.sub(r" +(MEMORY|N GiB)", r"  \1", no_sizes(tranched.tranche("shares", check=True).stdout)))


def test_status(tranched):
    check_golden(tranched, "status", "status")
    status = tranched.json("status")
    assert (status["pid"], status["run_dir"], status["state_dir"]) == (tranched.pid, str(tranched.run_dir), str(tranched.state_dir))


def test_events(tranched):
    with tranched.share("a", memory="64MiB", time="10%"), tranched.share("b", memory="64MiB", time="10%"):
        pass
    check_golden(tranched, "events", "events")
    everything, of_a = tranched.json("events")["events"], tranched.json("events", "--share", "a")["events"]
    assert of_a and of_a == [event for event in everything if event["share"] == "a"] and of_a != everything
    assert all(set(event) == {"at", "kind", "share", "text"} for event in everything)
    lines = tranched.tranche("events", "--share", "a", check=True).stdout.splitlines()
    assert lines[0].split() == ["AT", "SHARE", "KIND", "TEXT"]
    assert [line.split()[2:4] for line in lines[1:]] == [["a", event["kind"].split()[0]] for event in of_a]


def test_the_stand_in_is_labelled_everywhere(tranched):
    with tranched.share("a", profile="1of4") as share:
        assert "stand-in GPU" in tranched.tranche("gpus").stdout and "(stand-in GPU)" in tranched.tranche("shares").stdout
        assert "(stand-in GPU)" in tranched.tranche("show", "a").stdout
        assert share.show()["stand_in"] is True and tranched.json("gpus")["gpus"][0]["stand_in"] is True


# ---- what it refuses before it asks the daemon: all of it without one

CREATE = ("create", "cpu0", "--model", "vgpu", "--name", "a")


@pytest.mark.parametrize("arguments, words", [
    ((), ["no verb", "tranche help"]),
    (("crate",), ["'crate' is not a verb", "did you mean: tranche create"]),
    (("frobnicate",), ["'frobnicate' is not a verb", "tranche help"]),
    (("help", "share"), ["'share' is not a verb", "did you mean: tranche shares"]),
    (("gpus", "--jsno"), ["gpus: there is no option --jsno", "did you mean --json"]),
    (("gpus", "--frobnicate"), ["no option --frobnicate", "tranche help gpus"]),
    (("gpus", "-x"), ["no option -x", "tranche help gpus"]),
    (("--frobnicate", "gpus"), ["no option --frobnicate"]),
    (("gpus", "cpu0"), ["gpus: too many arguments", "usage: tranche gpus"]),
    (("show",), ["show: not enough arguments", "usage: tranche show NAME"]),
    (("show", "a", "b"), ["show: too many arguments"]),
    (("show", "A/../b"), ["'A/../b' is not a name", "a-z 0-9"]),
    (("rm", ""), ["'' is not a name"]),
    (("run", "a"), ["run: not enough arguments", "COMMAND"]),
    (("run", "a", "clinfo", "--list"), ["run: there is no option --list", "--"]),
    (("run", "x" * 64, "--", "true"), ["is not a name"]),
    (("--run-dir",), ["--run-dir needs a value"]),
    (("gpus", "--run-dir="), ["--run-dir needs a directory"]),
    (("gpus", "--json=yes"), ["--json takes no value"]),
    (("events", "--share", "Ä"), ["--share", "is not a name"]),
    (("create", "cpu0", "--model", "vgpu"), ["create: --name is missing", "--name NAME"]),
    (("create", "cpu0", "--name", "a"), ["create: --model is missing", "passthrough vgpu mig"]),
    (("create", "--model", "vgpu", "--name", "a"), ["create: not enough arguments", "usage: tranche create GPU"]),
    (("create", "cpu0", "--model", "--name", "a"), ["--model needs a value"]),
    (("create", "cpu0", "--model", "vgpus", "--name", "a"), ["--model: 'vgpus' is not one of", "did you mean vgpu?"]),
    (("create", "cpu0", "--model", "xyz", "--name", "a"), ["--model: 'xyz' is not one of: passthrough vgpu mig"]),
    (("create", "cpu0", "--model", "vgpu", "--name", "A b"), ["--name: 'A b' is not a name"]),
    ((*CREATE, "--name", "b"), ["--name is given twice"]),
    ((*CREATE, "--policy", "fair-share"), ["--policy: 'fair-share' is not one of: best-effort equal-share fixed-share"]),
    *(((*CREATE, "--memory", value), ["--memory: ", f"'{value}'"]) for value in ("x", "-1GiB", "1e9", "nan", "0", "1Gib", "0x10", "99999999999999999999",
                                                                                 "1.0000000001GiB", "", " 1GiB", "1 GiB")),
    *(((*CREATE, "--time", value), ["--time: ", f"'{value}'"]) for value in ("25", "0%", "101%", "-5%", "25%%", "inf%", "")),
    *(((*CREATE, "--weight", value), ["--weight: ", f"'{value}'"]) for value in ("0", "-1", "1.5", "1e3", "1000001", "99999999999999999999999", "")),
    *(((*CREATE, "--quantum", value), ["--quantum: ", f"'{value}'"]) for value in ("2", "2 ms", "0ms", "-2ms", "2msec", "nan")),
    *(((*CREATE, "--watchdog", value), ["--watchdog: ", f"'{value}'"]) for value in ("30", "0s", "forever")),
])
def test_usage(cli, arguments, words):
    assert failed(cli(*arguments), 2, *words)
    as_json = cli("--json", *arguments)
    error = json.loads(as_json.stderr)
    assert (as_json.returncode, as_json.stdout, error["code"]) == (2, "", 2)
    assert set(error) == {"error", "hint", "code"} and error["error"]


def test_json_errors_wherever_json_stands(cli):
    for arguments in (("--json", "shwo"), ("shwo", "--json"), ("show", "a", "--json")):
        assert set(json.loads(cli(*arguments).stderr)) == {"error", "hint", "code"}
    assert cli("run", "a", "--", "x", "--json").stderr.startswith("tranche: ")   # there it is the command's


# ---- no daemon, or something else in its place

DAEMON_VERBS = [("gpus",), ("shares",), ("show", "a"), ("rm", "a"), ("run", "a", "--", "true"), ("status",), ("events",), (*CREATE, "--profile", "1of2")]


@pytest.mark.parametrize("arguments", DAEMON_VERBS, ids=lambda arguments: arguments[0])
def test_no_daemon(cli, arguments):
    assert failed(cli(*arguments), 1, "connect to tranched", "control.sock", "start tranched, or give --run-dir")


def test_the_socket_of_a_daemon_that_is_gone(cli):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(cli.folder / "control.sock"))
    listener.close()
    assert failed(cli("gpus"), 1, "nobody serves", "start tranched")


def test_run_dir_option_goes_before_the_environment(tranched, cli):
    assert failed(cli("status"), 1)
    for arguments in (("--run-dir", tranched.run_dir, "status"), ("status", f"--run-dir={tranched.run_dir}")):
        assert cli(*arguments, "--json").returncode == 0


def test_run_dir_with_a_long_name(cli):
    assert failed(cli("gpus", "--run-dir", "/tmp/" + "x" * 200), 1, "107 characters", "shorter name")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_run_dir_of_somebody_else_in_tmp(cli, build):
    """Rootless without XDG_RUNTIME_DIR: whoever makes /tmp/tranche-UID first must not be taken for this user's daemon."""
    uid = 54321
    shutil.copy(build / "tranche", cli.folder / "tranche")
    cli.folder.chmod(0o755)
    place = pathlib.Path(f"/tmp/tranche-{uid}")
    place.mkdir(mode=0o755)
    try:
        done = subprocess.run([cli.folder / "tranche", "status"], env={"PATH": "/usr/bin"}, user=uid, group=uid, text=True, capture_output=True)
        assert failed(done, 3, str(place), "only you can write to", "--run-dir")
        os.chown(place, uid, uid)
        done = subprocess.run([cli.folder / "tranche", "status"], env={"PATH": "/usr/bin"}, user=uid, group=uid, text=True, capture_output=True)
        assert failed(done, 1, f"there is no {place}/control.sock")
    finally:
        place.rmdir()


@pytest.mark.parametrize("answer, words", [
    (b"", ["broke off its answer"]),
    (b"\x00\xff\x13garbage" * 50, ["does not speak like tranched"]),
    (b"SSH-2.0-OpenSSH_9.2\r\n", ["does not speak like tranched"]),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"gpu", ["broke off its answer after 5 bytes"]),
    (http(b"not json"), ["(status 200) makes no sense"]),
    (http(b""), ["(status 200) makes no sense"]),
    (http(b"[]"), ["not a JSON object"]),
    (http({}), ["no list of gpus in it", "same version"]),
    (http({"gpus": 5}), ["no list of gpus in it"]),
    (http(b'{"gpus": ' + b"[" * 100000), ["makes no sense"]),
    (http(b"<html>", "502 Bad Gateway"), ["(status 502) makes no sense"]),
    (http({}, "500 Internal Server Error"), ["error without explanation"]),
    (http({}, "302 Found"), ["error without explanation"]),
    (http(b"x" * 10, length=10**9), ["broke off its answer after 10 bytes"]),
])
def test_answers_that_make_no_sense(cli, answer, words):
    with impostor(cli.folder, answer):
        assert failed(cli("gpus"), 1, *words)


@pytest.mark.parametrize("status, code, expected", [("400 X", 2, 2), ("404 X", 2, 2), ("409 X", 3, 3), ("501 X", 4, 4), ("500 X", 1, 1), ("409 X", None, 3),
                                                    ("501 X", None, 4), ("404 X", None, 2), ("403 X", None, 3), ("500 X", 77, 1)])
def test_exit_codes_of_error_answers(cli, status, code, expected):
    with impostor(cli.folder, http({"error": "it is so", "hint": "do this", "code": code}, status)):
        done = cli("gpus")
        assert (done.returncode, done.stderr) == (expected, "tranche: it is so\nhint: do this\n")
        assert json.loads(cli("gpus", "--json").stderr) == {"error": "it is so", "hint": "do this", "code": expected}


def test_requests_ignore_a_proxy(cli):
    with impostor(cli.folder, http({"gpus": []})) as served:
        done = cli("gpus", env={"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"})
        assert done.returncode == 0 and "no GPU" in done.stdout
        assert served.requests[0].startswith(b"GET /v1/gpus HTTP/1.1\r\n")


def test_objects_without_members_do_no_harm(cli):
    for document in ({"gpus": [{}, None, 5, "x", []]}, {"shares": [{}, None]}, {"events": [{}, None]}):
        with impostor(cli.folder, http(document)):
            done = cli(next(iter(document)))
            assert done.returncode == 0, done.stderr
    with impostor(cli.folder, http({})):
        assert cli("show", "a").returncode == 0 and cli("status").returncode == 0
        assert failed(cli("run", "a", "--", "true"), 1, "cannot be used")


def test_a_failed_share_runs_nothing(cli):
    with impostor(cli.folder, http({"name": "a", "model": "vgpu", "state": "failed", "icd": "/bin/true", "socket": "/x"})):
        assert failed(cli("run", "a", "--", "touch", cli.folder / "ran"), 1, "its state is failed", "tranche events --share a")
        assert not (cli.folder / "ran").exists()


def test_a_missing_opencl_library_is_named(cli):
    with impostor(cli.folder, http({"name": "a", "model": "vgpu", "state": "ready", "icd": "/nowhere/lib.so", "socket": "/x"})):
        assert failed(cli("run", "a", "--", "true"), 1, "/nowhere/lib.so", "install tranche completely")


# ---- terminals

HOSTILE = "a\x1b]0;owned\x07\x1b[31m\n\r\u009b31mü"


def in_terminal(build, folder, *arguments, **env):
    master, slave = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "TRANCHE_RUN_DIR": str(folder)} | env
    process = subprocess.Popen([build / "tranche", *arguments], env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    text = b""
    with contextlib.suppress(OSError):
        while select.select([master], [], [], 20)[0]:
            data = os.read(master, 65536)
            if not data:
                break
            text += data
    os.close(master)
    assert process.wait(20) == 0
    return text.decode()


def test_control_characters_never_reach_the_terminal(cli, build):
    share = {"name": "a", "model": "vgpu", "state": HOSTILE, "clients": [{"pid": 1, "command": HOSTILE}]}
    with impostor(cli.folder, http(share)):
        text = cli("show", "a").stdout
        assert "a?]0;owned??[31m????31mü" in text
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\x80-\x9f]", text)
        assert json.loads(cli("show", "a", "--json").stdout) == share
    with impostor(cli.folder, http({"error": HOSTILE, "hint": HOSTILE, "code": 1}, "500 X")):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\x80-\x9f]", cli("show", "a").stderr)


def test_colours_only_for_people(cli, build):
    with impostor(cli.folder, http({"name": "a", "model": "vgpu", "state": "failed"})):
        assert "\x1b[31mfailed\x1b[0m" in in_terminal(build, cli.folder, "show", "a")
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            assert "\x1b" not in in_terminal(build, cli.folder, "show", "a", **env)
        assert "\x1b" not in in_terminal(build, cli.folder, "show", "a", "--json")
        assert "\x1b" not in cli("show", "a").stdout


def test_a_slow_daemon_is_waited_for_and_people_are_told(tranched, build):
    os.kill(tranched.pid, signal.SIGSTOP)
    goes_on = threading.Timer(2.8, os.kill, (tranched.pid, signal.SIGCONT))
    goes_on.start()
    text = in_terminal(build, tranched.run_dir, "status")
    goes_on.join()
    before, after = text.split("waiting for tranched… 2 s")
    assert before == "\r\x1b[K" and after.endswith("clients    0\r\n") and "\r\x1b[Ktranched" in after


@pytest.mark.parametrize("arguments", [("help",), ("help", "--json"), ("version",)])
def test_output_that_cannot_be_written(cli, arguments):
    with open("/dev/full", "w") as full:
        done = cli(*arguments, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 1 and "write output: No space left on device" in done.stderr


# ---- what the daemon refuses, as the operator sees it; and nothing is lost by it


@pytest.fixture(scope="module")
def refusing(build):
    """One daemon for all refusals: none of them may change anything."""
    daemon = Daemon(build)
    try:
        daemon.start()
        daemon.tranche("create", "cpu0", "--model", "vgpu", "--memory", "512MiB", "--time", "50%", "--name", "a", check=True)
        yield daemon
    finally:
        wrong = daemon.close()
    assert not wrong, wrong


@pytest.fixture
def with_share(refusing):
    before = refusing.json("shares")
    yield refusing
    assert refusing.json("shares") == before


@pytest.mark.parametrize("arguments, code, words", [
    (("create", "gpu77", "--model", "vgpu", "--profile", "1of4", "--name", "b"), 2, ["gpu77"]),
    (("create", "ÿ", "--model", "vgpu", "--profile", "1of4", "--name", "b"), 2, ["ÿ"]),
    (("create", "cpu0", "--model", "vgpu", "--profile", "1of17", "--name", "b"), 2, ["'1of17'", "1of16"]),
    (("create", "cpu0", "--model", "vgpu", "--profile", "1c", "--name", "b"), 2, ["'1c'"]),
    (("create", "cpu0", "--model", "vgpu", "--profile", "", "--name", "b"), 2, ["''"]),
    (("create", "cpu0", "--model", "vgpu", "--name", "b"), 2, ["--profile", "--memory"]),
    (("create", "cpu0", "--model", "vgpu", "--profile", "1of8", "--memory", "1MiB", "--name", "b"), 2, ["--profile", "--memory"]),
    (("create", "cpu0", "--model", "vgpu", "--memory", "1000", "--name", "b"), 2, ["1 MiB"]),
    (("create", "cpu0", "--model", "vgpu", "--profile", "1of8", "--quantum", "31ms", "--name", "b"), 2, ["quantum", "30 ms"]),
    (("create", "cpu0", "--model", "vgpu", "--profile", "1of8", "--watchdog", "1ms", "--name", "b"), 2, ["watchdog", "100 ms"]),
    (("create", "cpu0", "--model", "vgpu", "--profile", "1of8", "--name", "a"), 3, ["a"]),
    (("create", "cpu0", "--model", "vgpu", "--memory", "900TiB", "--time", "1%", "--name", "b"), 3, ["left", "held by a"]),
    (("create", "cpu0", "--model", "vgpu", "--memory", "1MiB", "--time", "50.0001%", "--name", "b"), 3, ["left", "held by a"]),
    (("create", "cpu0", "--model", "vgpu", "--profile", "1of8", "--policy", "fixed-share", "--name", "b"), 3, ["best-effort", "--policy"]),
    (("create", "cpu0", "--model", "mig", "--profile", "1c", "--name", "b"), 3, ["vgpu: a is in the way", "tranche rm a"]),
    (("create", "cpu0", "--model", "passthrough", "--name", "b"), 3, ["vgpu: a is in the way", "tranche rm a"]),
    (("show", "nobody"), 2, ["nobody"]),
    (("rm", "nobody"), 2, ["nobody"]),
    (("rm", "nobody", "--force"), 2, ["nobody"]),
    (("run", "nobody", "--", "true"), 2, ["nobody"]),
])
def test_refusals(with_share, arguments, code, words):
    done = with_share.tranche(*arguments)
    assert failed(done, code, *words)
    assert done.stderr.count("hint: ") == 1, "the next step is missing"
    error = json.loads(with_share.tranche(*arguments, "--json").stderr if "--" not in arguments else
                       with_share.tranche("--json", *arguments).stderr)
    assert f"tranche: {error['error']}\nhint: {error['hint']}\n" == done.stderr and error["code"] == code


def test_not_utf8(with_share):
    assert failed(with_share.tranche("create", b"\xff", "--model", "vgpu", "--profile", "1of4", "--name", "b", errors="replace"), 2, "UTF-8")


def test_rm_of_a_share_in_use(tranched):
    with tranched.share("a", profile="1of4") as share:
        tenant = share.tenant()
        assert share.show()["state"] == "in use"
        assert failed(tranched.tranche("rm", "a"), 3, "a", "--force")
        assert tenant.ask("info")[0] != "gone"
        shown = tranched.tranche("show", "a", check=True).stdout
        assert re.search(r"PID +WORKER +USED +GRANTED +WAITED +COMMAND", shown) and re.search(rf"(?m)^ +{tenant.pid} ", shown)
        assert tranched.tranche("rm", "a", "--force").returncode == 0
        assert failed(tranched.tranche("show", "a"), 2, "a")


# ---- run


def environment_in(share, **env):
    return dict(line.split("=", 1) for line in share.run("env", env=env, check=True).stdout.splitlines() if "=" in line)


ELSEWHERE = {"OCL_ICD_VENDORS": "/elsewhere", "OPENCL_VENDOR_PATH": "/elsewhere", "OCL_ICD_FILENAMES": "/elsewhere.so", "TRANCHE_SOCKET": "/elsewhere",
             "TRANCHE_SHARE": "other", "KEPT": "yes"}


def test_run_chooses_the_share(tranched, build):
    with tranched.share("a", profile="1of4") as share:
        found, shown = environment_in(share, **ELSEWHERE), share.show()
        assert (found["OCL_ICD_VENDORS"], found["TRANCHE_SOCKET"], found["TRANCHE_SHARE"]) == (shown["icd"], shown["socket"], "a")
        assert pathlib.Path(shown["icd"]).samefile(build / "libtranche-opencl.so")
        assert "OPENCL_VENDOR_PATH" not in found and "OCL_ICD_FILENAMES" not in found and found["KEPT"] == "yes"


def test_run_under_passthrough_leaves_the_native_driver(tranched):
    with tranched.share("whole", model="passthrough") as share:
        found = environment_in(share, **ELSEWHERE)
        assert not {"OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH", "OCL_ICD_FILENAMES", "TRANCHE_SOCKET", "TRANCHE_SHARE"} & set(found)
        assert found["KEPT"] == "yes"


def test_run_ends_as_its_command(tranched, cli):
    with tranched.share("a", profile="1of4") as share:
        assert [share.run("sh", "-c", f"exit {n}").returncode for n in (0, 1, 3, 42, 255)] == [0, 1, 3, 42, 255]
        assert share.run("sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
        done = share.run("sh", "-c", "echo out; echo err >&2")
        assert (done.stdout, done.stderr) == ("out\n", "err\n")
        assert share.run("printf", "%s|", "--json", "--", "a b", "").stdout == "--json|--|a b||"
        assert failed(share.run("no-such-command-here"), 127, "run no-such-command-here: No such file or directory")
        assert failed(share.run("/etc/passwd"), 126, "Permission denied")
        assert failed(share.run("/"), 126)


# ---- the manual pages and the completions are those of the verb table


def synopsis(page):
    """{line without markup} of a page's SYNOPSIS."""
    text = (TOP / "man" / page).read_text().split("# SYNOPSIS\n")[1].split("\n# ")[0]
    return [re.sub(r"[*_\\]|\+\+$", "", line) for line in text.splitlines() if line]


def section(page, title):
    return (TOP / "man" / page).read_text().split(f"\n# {title}\n")[1].split("\n# ")[0]


def test_man_synopsis_is_the_table(build):
    assert synopsis("tranche.1.scd") == [row["usage"] for row in table(build)]
    assert synopsis("tranche-compare.1.scd") == [row["usage"] for row in table(build) if row["name"] == "compare"]


def test_man_explains_every_option(build):
    for row in table(build):
        found = re.search(rf"(?ms)^\*{row['name']}\*.*?(?=^\*|\Z)", section("tranche.1.scd", "VERBS"))
        assert found, row["name"]
        assert set(re.findall(r"\*--([\w-]+)\*", found[0])) >= {option["name"] for option in row["options"]}, row["name"]


def test_man_of_the_daemon_has_its_options(build):
    said = subprocess.run([build / "tranched", "--help"], text=True, capture_output=True, check=True).stdout
    assert set(re.findall(r"(?m)^  (--[\w-]+)", said)) == set(re.findall(r"\*(--[\w-]+)\*", section("tranched.8.scd", "OPTIONS")))


@pytest.mark.skipif(not shutil.which("scdoc"), reason="scdoc is not installed")
def test_man_pages_are_well_formed():
    for page in (TOP / "man").glob("*.scd"):
        done = subprocess.run(["scdoc"], stdin=page.open(), text=True, capture_output=True)
        assert done.returncode == 0 and done.stderr == "", f"{page.name}: {done.stderr}"


def offered(run, *words):
    done = run("__complete", *words)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def test_completion_follows_the_table(cli, build):
    assert offered(cli, "") == [row["name"] for row in table(build)]
    common = ["--json", "--run-dir", "--help"]
    for row in table(build):
        expected = [f"--{option['name']}" for option in row["options"]] + common + (["--"] if row["name"] == "run" else [])
        assert offered(cli, row["name"], "-") == expected
    assert offered(cli, "s") == ["shares", "show", "status"]
    assert offered(cli, "create", "cpu0", "--name", "x", "--policy", "f") == ["fixed-share"]
    assert offered(cli, "create", "cpu0", "--policy=f") == ["--policy=fixed-share"]
    assert "--model" not in offered(cli, "create", "cpu0", "--model", "mig", "--")
    assert offered(cli, "compare", "--html", "") == [":files"] and offered(cli, "--run-dir", "") == [":dirs"]
    assert offered(cli, "run", "a", "") == ["--"] and offered(cli, "run", "a", "--", "") == [":command"]
    assert offered(cli, "help", "ver") == ["version"]
    assert offered(cli, "show", "") == []   # no daemon, no words, no error


def test_completion_asks_the_daemon(tranched):
    with tranched.share("alpha", memory="64MiB", time="5%"), tranched.share("beta", memory="64MiB", time="5%"):
        assert offered(tranched.tranche, "show", "") == ["alpha", "beta"] and offered(tranched.tranche, "run", "b") == ["beta"]
        assert "cpu0" in offered(tranched.tranche, "create", "")
        assert offered(tranched.tranche, "create", "cpu0", "--model", "vgpu", "--profile", "1of1") == ["1of1"] + [f"1of{n}" for n in range(10, 17)]
        assert offered(tranched.tranche, "create", "cpu0", "--model", "mig", "--profile", "")[0] == "1c"


def complete_in_bash(build, env, *words):
    quoted = " ".join(f"'{word}'" for word in ("tranche", *words))
    script = f"""source '{TOP}/packaging/completions/tranche.bash'
COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _tranche 2>/dev/null; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "--norc", "-c", script], env=dict(env, PATH=f"{build}:{os.environ['PATH']}"), text=True, capture_output=True, check=True)
    return done.stdout.split()


def test_completion_in_bash(tranched, build):
    with tranched.share("alpha", memory="64MiB", time="5%"):
        assert complete_in_bash(build, tranched.env, "show", "a") == ["alpha"]
        assert complete_in_bash(build, tranched.env, "create", "cpu0", "--model", "v") == ["vgpu"]
        assert complete_in_bash(build, tranched.env, "create", "cpu0", "--model", "=", "v") == ["vgpu"]
        assert complete_in_bash(build, tranched.env, "cre") == ["create"]
        assert "bash" in complete_in_bash(build, tranched.env, "run", "alpha", "--", "bas")
        assert complete_in_bash(build, tranched.env, "run", "alpha", "--", "cat", f"{TOP}/LICEN") == [f"{TOP}/LICENSE"]


@pytest.mark.parametrize("shell, script", [("zsh", "_tranche"), ("fish", "tranche.fish"), ("bash", "tranche.bash")])
def test_completion_scripts_parse(shell, script):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n", TOP / "packaging/completions" / script], text=True, capture_output=True)
    assert done.returncode == 0 and done.stderr == ""

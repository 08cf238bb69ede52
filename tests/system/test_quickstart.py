# SPDX-License-Identifier: Apache-2.0
"""The scripts that users meet first: they install nothing here, run on the build under test, and leave nothing behind."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import TOP, processes_naming, wait_until


def bash(script, **options):
    return subprocess.run(["bash", "-euo", "pipefail", "-c", f"top={TOP}; . {TOP}/scripts/functions.bash; {script}"], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60, **options)


def leftovers():
    return set(pathlib.Path("/tmp").glob("tranche.*"))


@pytest.fixture
def interrupted(build, tmp_path):
    """Starts ./quickstart in the background; ends it if the test does not."""
    process = subprocess.Popen([TOP / "quickstart", "--no-install", "--build-dir", build, "--html", tmp_path / "report.html"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    yield process
    if process.poll() is None:
        process.terminate()
        process.wait(30)
    process.stdout.close()


def test_help_and_usage():
    for script in ("quickstart", "check"):
        done = subprocess.run([TOP / script, "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.startswith(f"usage: ./{script}")
        done = subprocess.run([TOP / script, "--no-such-option"], capture_output=True, text=True)
        assert done.returncode == 2 and "usage" in done.stderr


def test_packages_are_listed_with_reasons():
    why = subprocess.run([TOP / "scripts/packages", "--why", "build", "run", "tests"], capture_output=True, text=True, check=True).stdout.splitlines()
    names = subprocess.run([TOP / "scripts/packages", "build", "run", "tests"], capture_output=True, text=True, check=True).stdout.split()
    assert [line.split()[0] for line in why] == names and len(set(names)) == len(names)
    assert all(len(line.split()) > 2 for line in why)
    assert subprocess.run([TOP / "scripts/packages", "nonsense"], capture_output=True).returncode == 2


def test_the_packages_cover_what_meson_asks_for():
    """A dependency() without a package in the list would break a fresh machine, and this one would never notice."""
    known = {"threads": None, "OpenCL": "ocl-icd-opencl-dev", "jansson": "libjansson-dev", "libmicrohttpd": "libmicrohttpd-dev",
             "sqlite3": "libsqlite3-dev", "libsystemd": "libsystemd-dev", "cmocka": "libcmocka-dev", "libcurl": "libcurl4-gnutls-dev",
             "libseccomp": "libseccomp-dev", "scdoc": "scdoc"}
    listed = subprocess.run([TOP / "scripts/packages", "build", "run", "tests"], capture_output=True, text=True, check=True).stdout.split()
    asked = set()
    for path in [TOP / "meson.build", *TOP.glob("src/**/meson.build"), *TOP.glob("tests/**/meson.build"), *TOP.glob("bench/meson.build"), *TOP.glob("man/meson.build")]:
        asked |= set(re.findall(r"\bdependency\('([^']+)'", path.read_text()))
    assert asked <= known.keys(), f"which Debian package has {asked - known.keys()}?"
    assert {known[name] for name in asked if known[name]} <= set(listed)


def test_a_build_without_cmocka_leaves_the_unit_tests_out(tmp_path):
    """quickstart installs no packages for tests: nothing that it builds may need one."""
    tool = tmp_path / "pkg-config"
    tool.write_text('#!/bin/sh\ncase "$*" in *cmocka*) exit 1;; esac\nexec /usr/bin/pkg-config "$@"\n')
    tool.chmod(0o755)
    subprocess.run(["meson", "setup", tmp_path / "build", TOP], env=dict(os.environ, PKG_CONFIG=str(tool), CMAKE="false"), capture_output=True, check=True)
    targets = json.loads(subprocess.run(["meson", "introspect", "--targets", tmp_path / "build"], capture_output=True, text=True, check=True).stdout)
    assert any(target["name"] == "tranched" for target in targets)
    assert not [target["name"] for target in targets if "/tests/unit/" in target["defined_in"] and target["type"] == "executable"]


def test_missing_packages_are_found_missing(tmp_path):
    """dpkg-query is the machine's own; a package database without anything in it is a real one too."""
    (tmp_path / "info").mkdir()
    (tmp_path / "status").touch()
    done = subprocess.run([TOP / "scripts/packages", "--missing", "build"], capture_output=True, text=True, check=True, env=dict(os.environ, DPKG_ADMINDIR=str(tmp_path)))
    everything = subprocess.run([TOP / "scripts/packages", "build"], capture_output=True, text=True, check=True)
    assert done.stdout == everything.stdout


def test_a_private_daemon_starts_and_leaves_nothing(build):
    before = leftovers()
    done = bash(f'daemon_start {build}; echo "$daemon_dir"; {build}/tranche create cpu0 --model vgpu --profile 1of4 --name a >/dev/null; '
                'test -S "$TRANCHE_RUN_DIR/control.sock"; daemon_shares; daemon_stop; echo "pid<$daemon_pid>"')
    assert done.returncode == 0, done.stdout + done.stderr
    folder, shares, pid = done.stdout.splitlines()
    assert shares == "a" and pid == "pid<>"
    assert not pathlib.Path(folder).exists() and not processes_naming(folder)
    assert leftovers() == before


def test_a_daemon_that_cannot_start_is_reported(tmp_path):
    done = bash(f"daemon_start {tmp_path} || {{ echo refused; daemon_stop; }}")
    assert "refused" in done.stdout


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_quickstart_leaves_nothing(interrupted, sent):
    before = leftovers()
    folder = None
    for line in interrupted.stdout:
        found = re.search(r"files in (/tmp/tranche\.\w+)", line)
        folder = found[1] if found else folder
        if "compare the models" in line:
            break
    assert folder, "quickstart ended before it had compared anything"
    wait_until(lambda: any("tranche-worker" in arguments for arguments in processes_naming(folder).values()), 60, "a tenant is being measured")
    time.sleep(0.3)
    os.kill(interrupted.pid, sent)
    interrupted.stdout.read()
    assert interrupted.wait(30) == 128 + sent
    wait_until(lambda: not processes_naming(folder), 5, f"no process of {folder} is left")
    assert not pathlib.Path(folder).exists() and leftovers() <= before


@pytest.mark.parametrize("unit, system, expected, status", [
    (["OK", "OK"], "<testcase/>", "3 passed, 0 failed", 0),
    (["OK", "FAIL"], "<testcase/>", "2 passed, 1 failed", 1),
    (["OK", "TIMEOUT"], "<testcase><failure/></testcase>", "1 passed, 2 failed", 1),
    (["SKIP"], '<testcase/><testcase><skipped message="no GPU"/></testcase>', "1 passed, 0 failed, 2 skipped", 0),
    (["OK"], "<testcase><error/></testcase>", "1 passed, 1 failed", 1),
    ([], "<testcase/>", "1 passed, 1 failed", 1),
    (None, "<testcase/>", "1 passed, 1 failed", 1),
    (["OK"], None, "1 passed, 1 failed", 1),
])
def test_results_are_counted(tmp_path, unit, system, expected, status):
    if unit is not None:
        (tmp_path / "unit.json").write_text("".join(json.dumps({"name": f"t{i}", "result": result}) + "\n" for i, result in enumerate(unit)))
    if system is not None:
        (tmp_path / "system-together.xml").write_text(f"<testsuites><testsuite>{system}</testsuite></testsuites>")
        (tmp_path / "system-alone.xml").write_text("<testsuites><testsuite/></testsuites>")
    done = subprocess.run([sys.executable, TOP / "scripts/count-tests", tmp_path, "unit", "system"], capture_output=True, text=True)
    assert (done.stdout.splitlines()[-1], done.returncode) == (expected, status)

# SPDX-License-Identifier: Apache-2.0
"""tranche compare on the stand-in GPU: its table, JSON and report, what it refuses, and that nothing of it is left."""
import html.parser
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from conftest import is_alive, processes_naming, wait_until

pytestmark = pytest.mark.alone

KEYS = ["passthrough", "vgpu-best-effort", "vgpu-equal-share", "vgpu-fixed-share", "mig"]
VOID = {"meta", "link", "br", "hr", "img", "input"}


def shares(tranched):
    return [share["name"] for share in tranched.json("shares")["shares"]]


def tenants(tranched):
    """Processes that compare started: tranche-bench of this build as a tenant of this daemon."""
    found = {}
    for pid, arguments in processes_naming(str(tranched.build / "tranche-bench")).items():
        try:
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if str(tranched.run_dir).encode() in environment:
            found[pid] = arguments
    return found


def assert_nothing_left(tranched):
    assert shares(tranched) == []
    wait_until(lambda: not tranched.workers() and not tenants(tranched), 5, "workers and tenants have ended")
    gpu = next(gpu for gpu in tranched.json("gpus")["gpus"] if gpu["name"] == "cpu0")
    assert gpu["model"] == "host" and gpu["shares"] == []


@pytest.fixture(scope="module")
def compared(build, tmp_path_factory):
    """One quick run for all the tests that only look at its results."""
    from conftest import Daemon
    daemon = Daemon(build)
    report = tmp_path_factory.mktemp("compare") / "report.html"
    try:
        daemon.start()
        begin = time.monotonic()
        done = daemon.tranche("compare", "cpu0", "--quick", "--json", "--html", report, timeout=170)
        took = time.monotonic() - begin
        assert done.returncode == 0, done.stderr
        assert_nothing_left(daemon)
        yield {"document": json.loads(done.stdout), "html": report.read_text(), "folder": report.parent, "took": took, "stderr": done.stderr}
    finally:
        wrong = daemon.close()
    assert not wrong, "\n".join(wrong)


def rows_of(compared):
    return {row["key"]: row for row in compared["document"]["rows"]}


def numbers_in(value):
    """Every number of a JSON value, nulls included as None."""
    if isinstance(value, dict):
        return [number for member in value.values() for number in numbers_in(member)]
    return [value] if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) else []


def test_one_row_per_model_and_policy(compared):
    assert [row["key"] for row in compared["document"]["rows"]] == KEYS
    assert all(row["failed"] is None for row in compared["document"]["rows"])
    assert compared["took"] < 120   # 45 s on a quiet machine; the tests may share theirs


def test_names_the_machine_and_the_stand_in(compared):
    document = compared["document"]
    assert document["gpu"]["name"] == "cpu0" and document["gpu"]["stand_in"] is True
    assert document["machine"]["cores"] == os.cpu_count()
    assert document["machine"]["kernel"] == f"Linux {os.uname().release}"
    assert document["machine"]["memory_bytes"] > 1 << 28
    assert "OpenCL" in document["gpu"]["platform"]
    assert re.match(r"\d{4}-\d\d-\d\d ", document["date"])
    assert 0 < document["duration_s"] <= compared["took"]


def test_passthrough_has_no_neighbour(compared):
    row = rows_of(compared)["passthrough"]
    assert "compare-cpu0-tenant" in row["neighbour_refused"], "the daemon's refusal names the share in the way"
    assert row["alone"]["of_passthrough"] == 1
    assert set(numbers_in(row["beside_idle"]) + numbers_in(row["beside_busy"])) == {None}
    assert row["slowdown"] is None


@pytest.mark.parametrize("key", KEYS[1:])
def test_shared_models_have_every_figure(compared, key):
    row = rows_of(compared)[key]
    if not row["possible"]:
        assert key == "mig" and os.cpu_count() < 2 and row["reason"]
        return
    assert row["neighbour_refused"] is None
    for condition in ("alone", "beside_idle", "beside_busy"):
        assert row[condition]["kernels_per_s"] > 0
    for condition in ("alone", "beside_busy"):
        assert 0 < row[condition]["request_us"]["p50"] <= row[condition]["request_us"]["p99"]
    assert 0 < row["launch_us"]["p50"] <= row["launch_us"]["p99"]
    assert row["write_gbs"] > 0 and row["read_gbs"] > 0
    assert row["slowdown"] == pytest.approx(1 - row["beside_busy"]["kernels_per_s"] / row["alone"]["kernels_per_s"], rel=1e-6)


@pytest.mark.parametrize("key", KEYS[1:])
def test_memory_is_the_quota_to_the_byte(compared, key):
    row = rows_of(compared)[key]
    if not row["possible"]:
        pytest.skip(row["reason"])
    memory = row["memory"]
    assert memory["seen_bytes"] == memory["share_bytes"] == memory["accepted_bytes"] > 0
    assert memory["one_byte_more_refused"] is True
    assert memory["one_byte_more"] == "CL_MEM_OBJECT_ALLOCATION_FAILURE"


def policies_wrong(document):
    """What the figures say against the policies. Wide bounds: each figure is one of a few on a machine that others use too."""
    rows = {row["key"]: row for row in document["rows"]}
    rate = lambda key, condition: rows[f"vgpu-{key}"][condition]["kernels_per_s"]
    checks = [
        ("best-effort: an idle neighbour costs nothing", rate("best-effort", "beside_idle") > 0.75 * rate("best-effort", "alone")),
        ("best-effort: a saturating one takes its half", 0.3 < rate("best-effort", "beside_busy") / rate("best-effort", "alone") < 0.7),
        ("equal-share: a connected neighbour has its part", rate("equal-share", "beside_idle") < 0.75 * rate("equal-share", "alone")),
        ("fixed-share: its own part is all it gets, also alone", rate("fixed-share", "alone") < 0.75 * rate("best-effort", "alone")),
        ("fixed-share: the neighbour does not take from it", rate("fixed-share", "beside_busy") > 0.6 * rate("fixed-share", "alone")),
    ]
    return [text for text, holds in checks if not holds] and {"wrong": [text for text, holds in checks if not holds], "drift": document["drift"]}


def test_policies_differ_as_they_should(compared, tranched):
    """Figures of one run are set against each other, and a build beside it can spoil one: a run that says something else is repeated
    twice. A policy that does nothing fails all three."""
    wrong = [policies_wrong(compared["document"])]
    while wrong[-1] and len(wrong) < 3:
        wrong.append(policies_wrong(json.loads(tranched.tranche("compare", "cpu0", "--quick", "--seconds", "1.5", "--json", check=True, timeout=170).stdout)))
    assert not wrong[-1], wrong


class Page(html.parser.HTMLParser):
    """Checks that elements nest, and collects attributes and the letters outside of <style>."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.words = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)


def parse(text):
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return page


def test_report_is_well_formed_and_alone(compared):
    page = parse(compared["html"])
    assert compared["html"].startswith("<!DOCTYPE html>")
    assert page.tags.count("svg") == 4 and page.tags.count("figure") == 4
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
    assert not [(tag, name) for tag, name, value in page.attributes if name in ("src", "href", "style") or name.startswith("on")]
    assert "url(" not in compared["html"] and "@import" not in compared["html"] and "://" not in compared["html"]
    assert "prefers-color-scheme:dark" in compared["html"] and 'name="viewport"' in compared["html"]


def test_report_tells_what_the_table_tells(compared):
    page = parse(compared["html"])
    words = " ".join(page.words)
    for expected in ("Stand-in GPU", "vGPU, fixed-share", "CL_MEM_OBJECT_ALLOCATION_FAILURE", rows_of(compared)["passthrough"]["neighbour_refused"]):
        assert expected in words
    assert page.tags.count("table") == 5, "one of all figures, one beside each plot"
    assert len([value for tag, name, value in page.attributes if tag == "svg" and name == "aria-label" and value]) == 4
    assert not re.search(r"\b(nan|inf)\b", compared["html"]), "what was not measured is said in words"


def test_report_has_no_unfinished_files_beside_it(compared):
    assert [path.name for path in compared["folder"].iterdir()] == ["report.html"]


def test_no_progress_without_a_terminal(compared):
    assert compared["stderr"] == ""


def test_refused_while_the_gpu_is_in_use(tranched, tmp_path):
    with tranched.share("mine", profile="1of4"):
        done = tranched.tranche("compare", "cpu0", "--quick", "--html", tmp_path / "report.html")
        assert done.returncode == 3
        assert "mine" in done.stderr and "tranche rm" in done.stderr
        assert shares(tranched) == ["mine"]
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments, word", [(["cpu9"], "cpu9"), (["--seconds", "0"], "--seconds"), (["--seconds", "nan"], "--seconds"),
                                             (["--seconds", "1x"], "--seconds"), (["cpu0", "cpu1"], "too many")])
def test_usage(tranched, arguments, word):
    done = tranched.tranche("compare", *arguments)
    assert done.returncode == 2 and word in done.stderr
    assert shares(tranched) == []


def test_report_that_cannot_be_written_is_noticed_before_the_work(tranched):
    begin = time.monotonic()
    done = tranched.tranche("compare", "cpu0", "--quick", "--html", "/proc/no/report.html")
    assert done.returncode == 1 and "/proc/no/report.html" in done.stderr
    assert time.monotonic() - begin < 5
    assert_nothing_left(tranched)


def start_compare(tranched, *arguments, **options):
    return tranched.popen(tranched.build / "tranche", "compare", "cpu0", "--quick", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["passthrough", "vgpu"])
def test_interrupted_it_leaves_nothing(tranched, tmp_path, number, moment):
    compare = start_compare(tranched, "--html", tmp_path / "report.html")
    model = lambda: next(gpu["model"] for gpu in tranched.json("gpus")["gpus"] if gpu["name"] == "cpu0")
    wait_until(lambda: model() == moment and tenants(tranched), 60, f"a tenant of {moment} runs")
    running = tenants(tranched)
    compare.send_signal(number)
    assert compare.wait(15) == 128 + number
    assert b"interrupted" in compare.stderr.read()
    assert not any(is_alive(pid) for pid in running)
    assert_nothing_left(tranched)
    assert list(tmp_path.iterdir()) == []


def test_killed_it_takes_its_tenants_along_and_the_next_says_what_to_remove(tranched):
    compare = start_compare(tranched)
    wait_until(lambda: tenants(tranched), 30, "a tenant runs")
    compare.kill()
    compare.wait()
    wait_until(lambda: not tenants(tranched), 5, "the tenant has ended with it")
    left = shares(tranched)
    assert left and all(name.startswith("compare-cpu0-") for name in left)
    again = tranched.tranche("compare", "cpu0", "--quick")
    assert again.returncode == 3 and left[0] in again.stderr and "tranche rm" in again.stderr
    for name in left:
        tranched.tranche("rm", name, check=True)


def test_a_tenant_that_fails_is_a_failed_row_and_not_the_end(tranched):
    """The first tenant is killed: its row says so, the others are measured, the exit status tells, the shares are gone."""
    compare = start_compare(tranched, "--json")
    victim = next(iter(wait_until(lambda: tenants(tranched), 30, "a tenant runs")))
    os.kill(victim, signal.SIGKILL)
    out, err = compare.communicate(timeout=170)
    assert compare.returncode == 1
    rows = {row["key"]: row for row in json.loads(out)["rows"]}
    assert "signal 9" in rows["passthrough"]["failed"]
    assert rows["vgpu-best-effort"]["alone"]["kernels_per_s"] > 0
    assert "1 of 5 rows" in json.loads(err)["error"]
    assert_nothing_left(tranched)

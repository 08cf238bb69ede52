# SPDX-License-Identifier: Apache-2.0
"""bench/native in its quick form: every figure is reported for every side, and nothing is left. Not the values: those need a quiet machine."""
import json
import math
import subprocess
import sys

from conftest import TOP, processes_naming

sys.path.insert(0, str(TOP / "bench"))
from measure import figures  # noqa: E402


def run(build, *options, timeout=600):
    return subprocess.run([TOP / "bench/native", "--build", build, *options], text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout)


def rows_of(report, title):
    return {(row["test"], row["metric"]): row for result in report["passes"] if result["pass"] == title for row in result["rows"]}


def check_row(figure, row):
    alone = figure.how in ("count", "percent")
    assert alone == (row["native"] is None) and row["label"] == figure.label
    assert row["sides"].keys() == {"share", "staged"}
    for side in row["sides"].values():
        assert math.isfinite(side["value"]) and math.isfinite(side["result"]) and side["value"] >= 0
        assert alone or row["native"]["value"] > 0
        assert (side["met"] is None) == (side["target"] is None)


def test_every_figure_is_reported(build, tmp_path):
    done = run(build, "--quick", "--rounds", "1", "--repeats", "0", "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "figures.json").read_text())
    everywhere, one = rows_of(report, "all CPUs"), rows_of(report, "one CPU")
    for figure in figures.FIGURES:
        assert figure.label in done.stdout
        check_row(figure, everywhere[figure.test, figure.metric])
        assert ((figure.test, figure.metric) in one) == (figure.part not in figures.ONCE)
    assert {run["side"] for run in report["runs"]} == {"native", "share", "staged"}
    assert not processes_naming("tranche-bench."), "the private daemons and their workers are gone"


def test_one_part_of_one_pass(build, tmp_path):
    done = run(build, "--quick", "--rounds", "2", "--part", "build", "--pass", "one", "--no-staged", "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "figures.json").read_text())
    assert [result["pass"] for result in report["passes"]] == ["one CPU"]
    rows = report["passes"][0]["rows"]
    assert {row["part"] for row in rows} == {"build"} and all(row["sides"].keys() == {"share"} for row in rows)
    assert all(len(row["native"]["rounds"]) == 2 for row in rows)


def test_wrong_arguments_are_refused(build):
    for words, said in ((("--part", "speed"), "speed"), (("--rounds", "0"), "--rounds"), (("--gpu", "nothing"), "there is no GPU nothing")):
        done = run(build, *words)
        assert done.returncode != 0 and said in done.stderr

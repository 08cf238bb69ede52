# SPDX-License-Identifier: Apache-2.0
"""The figures that bench/native reports, with the project's targets, and how a share is compared with the native driver."""
import dataclasses
import statistics

SAME = object()


@dataclasses.dataclass
class Figure:
    """`how`: "more" = share - native in the figure's unit, at most the target; "times" = share's time as a multiple of native's, at most;
    "speed" = how fast the share is as a part of native, at least; "count" and "percent" = a figure of its own, at most. A target of None
    is shown without one. `staged`: the target on the path for devices with their own memory, where data is copied once more."""
    part: str
    label: str
    test: str
    metric: str
    how: str
    target: float | None
    staged: object = SAME

    def target_of(self, side):
        return None if side == "remote" else self.staged if side == "staged" and self.staged is not SAME else self.target

    def result(self, native, side):
        if self.how in ("count", "percent"):
            return side["value"]
        if self.how == "more":
            return side["value"] - native["value"]
        low = native["better"] == "low"
        times = side["value"] / native["value"] if low else native["value"] / side["value"]
        return times if self.how == "times" else 1 / times

    def met(self, result, side):
        target = self.target_of(side)
        return None if target is None else result >= target if self.how == "speed" else result <= target


def _maps():
    for size, label in (("4KiB", "4 KiB"), ("64MiB", "64 MiB")):
        for what in ("read", "write"):
            yield Figure("data", f"map {label} for {what}", "map", f"{what}_{size}", "times", 2.0, None)
            yield Figure("data", f"unmap {label} after {what}", "map", f"{what}_unmap_{size}", "times", 2.0, None)


def _transfers():
    for what in ("write", "read"):
        yield Figure("data", f"{what} 4 B, blocking", "xfer", f"{what}_4B", "more", 6.0)
    for size, label in (("16MiB", "16 MiB"), ("256MiB", "256 MiB")):
        for what in ("write", "read"):
            yield Figure("data", f"{what} {label}, blocking", "xfer", f"{what}_{size}", "speed", 0.9, 0.45)


OBJECTS = {"set_int": "set an int argument", "set_buffer": "set a buffer argument", "set_64B": "set a 64 B argument", "query_device": "query the device",
           "query_kernel": "query a kernel", "query_buffer": "query a buffer", "query_queue": "query a queue", "retain_release": "retain and release",
           "finish_idle": "finish an idle queue", "buffer": "create, release a buffer", "subbuffer": "create, release a sub-buffer",
           "queue": "create, release a queue", "event": "create, release a user event", "program": "create, release a program",
           "kernel": "create, release a kernel", "context": "create, release a context"}

FIGURES = [
    Figure("launch", "launch + finish", "launch", "noop_finish", "more", 6.0),
    Figure("launch", "launch + wait for its event", "launch", "noop_wait", "more", None),
    Figure("launch", "set argument, launch, read 4 B", "launch", "setarg_launch_read4", "more", None),
    Figure("launch", "1000 launches, one finish", "rate", "launch_x1000", "speed", 0.95),
    Figure("launch", "10000 launches, one finish", "rate", "launch_x10000", "speed", 0.95),
    Figure("launch", "1000 x set argument and launch", "rate", "setarg_launch_x1000", "speed", None),
    Figure("launch", "enqueue call alone, of 1000", "rate", "enqueue_x1000", "times", 1.0),
    Figure("launch", "enqueue call alone, of 10000", "rate", "enqueue_x10000", "times", 1.0),
    *_transfers(),
    *_maps(),
    Figure("objects", "answers waited for, all of the below", "objects", "answers", "count", 8),
    *[Figure("objects", label, "objects", name, "speed", None) for name, label in OBJECTS.items()],
    Figure("build", "build, unseen source", "build", "unseen_build", "times", 1.1),
    Figure("build", "unseen source to first result", "build", "unseen_to_result", "times", 1.1),
    Figure("build", "build, cached", "build", "cached_build", "times", 1.1),
    Figure("build", "cached source to first result", "build", "cached_to_result", "times", 1.1),
    Figure("compute", "sgemm", "compute", "sgemm", "speed", 0.98),
    Figure("compute", "n-body", "compute", "nbody", "speed", 0.98),
    Figure("compute", "Jacobi, 500 launches", "compute", "jacobi", "speed", 0.98),
    Figure("compute", "Jacobi, 500 x launch and read 4 B", "compute", "jacobi_read4", "speed", 0.98),
    Figure("start", "start of the program to first result", "start", "first_result", "more", 70.0),
    Figure("memory", "private memory of the worker", "memory", "private", "more", 20.0),
    Figure("memory", "proportional memory of the worker", "memory", "pss", "more", 20.0),
    Figure("memory", "private memory of the program", "memory", "program_private", "more", 0.0),
    Figure("idle", "idle shares with a client each", "idle", "shares", "count", None),
    Figure("idle", "all of them together, of one core", "idle", "cpu", "percent", 1.0),
    Figure("idle", "wake-ups per second, all together", "idle", "wake_ups", "count", None),
]
PARTS = list(dict.fromkeys(figure.part for figure in FIGURES))
# Not a matter of which CPUs: measured once, with the first pass.
ONCE = {"start", "memory", "idle"}


def median_of(reports, figure):
    """Median over the rounds of what each reported as its median; None when no round has the figure."""
    found = [report[figure.test][figure.metric] for report in reports if figure.metric in report.get(figure.test, {})]
    if not found:
        return None
    values = [value.get("median", value.get("value")) for value in found]
    return {"value": statistics.median(values), "unit": found[0]["unit"], "better": found[0].get("better", "low"), "rounds": values}


def compare(reports, parts):
    """Rows for the table: {"label", "part", "unit", "how", "native", "sides": {name: {"value", "result", "target", "met"}}}."""
    rows = []
    for figure in FIGURES:
        medians = {side: median_of(reports[side], figure) for side in reports}
        present = {side: median for side, median in medians.items() if median}
        alone = figure.how in ("count", "percent")
        if figure.part not in parts or not present or ("native" not in present and not alone):
            continue
        row = {"part": figure.part, "label": figure.label, "test": figure.test, "metric": figure.metric, "how": figure.how,
               "unit": next(iter(present.values()))["unit"], "native": medians["native"], "sides": {}}
        for side, median in present.items():
            if side == "native":
                continue
            result = figure.result(medians["native"], median)
            row["sides"][side] = {"value": median["value"], "rounds": median["rounds"], "result": result, "target": figure.target_of(side),
                                  "met": figure.met(result, side)}
        rows.append(row)
    return rows

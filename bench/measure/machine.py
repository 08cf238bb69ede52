# SPDX-License-Identifier: Apache-2.0
"""The machine: what it is, and whether anybody else used it while something was measured."""
import contextlib
import datetime
import os
import pathlib
import platform
import resource
import time

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
FOREIGN_LIMIT = 0.04        # of the machine's processor time; the rest below is the resolution of /proc/stat
FOREIGN_SLACK_S = 0.04
STEAL_LIMIT = 0.01


def describe():
    model = platform.machine()
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[0],
            "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds")}


def cpu_seconds(pid):
    """Of a process, all its threads, and the children that it has collected. 0 for one that is not there."""
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) * TICK_S
    return 0


def run_seconds(pid):
    """Time on a processor of all threads of a process, to the nanosecond where the kernel keeps it (schedstat)."""
    total = 0
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
    return total or cpu_seconds(pid)


def wake_ups(pid):
    """Voluntary context switches of all threads of a process: each is a sleep, and so a wake-up."""
    total = 0
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                for line in (task / "status").read_text().splitlines():
                    if line.startswith("voluntary_ctxt_switches"):
                        total += int(line.split()[1])
    return total


def memory_bytes(pid):
    """{"rss", "pss", "private"} of a process. Private is what would be given back if it ended: pages that nobody else has mapped."""
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        fields[name] = int(value.split()[0]) * 1024
    return {"rss": fields["Rss"], "pss": fields["Pss"], "private": fields["Private_Clean"] + fields["Private_Dirty"]}


def all_cpus():
    """(idle seconds, stolen seconds) of all processors since the start of the machine."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (fields[3] + fields[4]) * TICK_S, fields[7] * TICK_S


class Watch:
    """Processor time used by others while something runs. `pids`: processes of ours that are not children of this one."""

    def __init__(self, pids):
        self.pids = pids
        self.before = self.look()

    def look(self):
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own = sum(usage.ru_utime + usage.ru_stime for usage in used) + sum(cpu_seconds(pid) for pid in self.pids)
        return (time.monotonic(), own, *all_cpus())

    def result(self):
        wall, own, idle, stolen = (after - before for before, after in zip(self.before, self.look()))
        whole = wall * os.cpu_count()
        foreign = max(whole - idle - stolen - own, 0.0)
        disturbed = foreign > FOREIGN_LIMIT * whole + FOREIGN_SLACK_S or stolen > STEAL_LIMIT * whole + 2 * TICK_S
        return {"wall_s": round(wall, 3), "foreign_s": round(foreign, 3), "stolen_s": round(stolen, 3), "disturbed": disturbed}

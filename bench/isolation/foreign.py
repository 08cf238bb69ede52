# SPDX-License-Identifier: Apache-2.0
"""Who else used the processors, and when: the stand-in GPU is the CPU, so that a stranger on it delays tenants that nobody else disturbs."""
import contextlib
import os
import pathlib
import threading
import time

PERIOD_S = 0.02             # between two looks at the strangers that were busy lately
SCAN_S = 4.0                # between two looks at everybody
SECOND_SCAN_S = 0.3         # the second one comes soon: it tells who is busy
BUSY_NS = 100_000           # in one scan: looked at more often from then on
DISTURBS_NS = 300_000       # of strangers' time around a request: its latency says more of them than of the GPU


class Watch:
    """Samples the processor time of all threads that do not descend from this process, between start() and stop()."""

    def __init__(self):
        self.samples = []           # (CLOCK_MONOTONIC in us, strangers' time so far in ns)
        self.seen, self.files, self.total = {}, {}, 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        for file in self.files.values():
            file.close()

    def run(self):
        scanned, scans = 0, 0
        while not self.stopping.is_set():
            now = time.monotonic()
            if now - scanned >= (SECOND_SCAN_S if scans == 1 else SCAN_S):
                self.scan(first=not scans)
                scanned, scans = now, scans + 1
            for path, file in self.files.items():
                self.count(path, file)
            self.samples.append((time.monotonic() * 1e6, self.total))
            self.stopping.wait(PERIOD_S)

    def count(self, path, file, first=False):
        with contextlib.suppress(OSError, IndexError, ValueError):
            now = int(os.pread(file.fileno(), 64, 0).split()[0])
            before = self.seen.get(path, now if first else 0)
            self.seen[path] = now
            self.total += now - before
            return now - before
        return 0

    def scan(self, first):
        ours = descendants(os.getpid())
        for process in pathlib.Path("/proc").iterdir():
            if not process.name.isdigit() or int(process.name) in ours:
                continue
            with contextlib.suppress(OSError):
                for task in (process / "task").iterdir():
                    path = str(task / "schedstat")
                    if path not in self.files:
                        file = open(path, "rb", buffering=0)
                        if self.count(path, file, first or path not in self.seen) >= BUSY_NS:
                            self.files[path] = file
                        else:
                            file.close()

    def undisturbed(self, requests):
        """The latencies of [(begin, latency), …] beside which no stranger worked."""
        kept, at = [], 0
        for begin, latency in requests:
            while at + 1 < len(self.samples) and self.samples[at + 1][0] <= begin:
                at += 1
            end = at
            while end + 1 < len(self.samples) and self.samples[end][0] < begin + latency:
                end += 1
            if self.samples and self.samples[end][1] - self.samples[at][1] <= DISTURBS_NS:
                kept.append(latency)
        return kept


def descendants(pid):
    """This process and all that come of it."""
    parents = {}
    for process in pathlib.Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(process.name)] = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found and child not in found}:
        found |= more
    return found

# SPDX-License-Identifier: Apache-2.0
"""What is measured: the latency of an interactive tenant beside a noisy one, the parts of time of saturating tenants, the memory quota."""
import contextlib
import statistics
import time

from isolation.foreign import Watch
from isolation.tenants import NATIVE, Load

QUANTUM_US = 2000
MIB = 1 << 20

# The interactive tenant's share and the noisy one's: name, how they are shared (None: two native processes), options of the first.
WAYS = [
    ("native", None, ()),
    ("none", "none", ()),
    ("best-effort", "best-effort", ()),
    ("best-effort, class latency", "best-effort", ("--class", "latency")),
    ("equal-share", "equal-share", ()),
    ("fixed-share", "fixed-share", ()),
]
MANAGED = [name for name, policy, _ in WAYS if policy not in (None, "none")]
# How many neighbours, with kernels that may run in pieces or such as cannot.
NOISE = [("one, cuttable", 1, ()), ("one, whole", 1, ("--by-group",)), ("four, cuttable", 4, ())]


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def latency(machine, share, work, seconds):
    """Requests beside which a stranger used the machine are left out, unless that is nearly all of them: "quiet" is then false."""
    with Watch() as watch:
        requests = machine.requests(share, work, seconds)
    kept = watch.undisturbed(requests)
    every = [took for _, took in requests]
    quiet, disturbed = len(kept) >= len(every) / 4, len(every) - len(kept)
    kept = kept if quiet else every
    return {"requests": len(every), "disturbed": disturbed, "quiet": quiet, "median_us": statistics.median(kept), "p99_us": percentile(kept, 0.99),
            "worst_us": max(kept), "p99_with_disturbed_us": percentile(every, 0.99)}


def make_shares(machine, policy, options, neighbours):
    """The interactive tenant's share, and its neighbours', which have the other half of the time; NATIVE where there is no policy."""
    if policy is None:
        return NATIVE, [NATIVE] * neighbours
    machine.create("asks", "--memory", "256MiB", "--time", "50%", "--policy", policy, *options)
    names = [f"noisy{i}" for i in range(neighbours)]
    for name in names:
        machine.create(name, "--memory", "64MiB", "--time", f"{50 / neighbours}%")
    return "asks", names


def latency_beside(machine, way, noise, short, heavy, seconds):
    """One row of the table: the interactive tenant beside neighbours of that kind, shared in that way."""
    _, policy, options = next(found for found in WAYS if found[0] == way)
    _, neighbours, how = next(found for found in NOISE if found[0] == noise)
    asks, noisy = make_shares(machine, policy, options, neighbours)
    with contextlib.ExitStack() as stack:
        stack.callback(machine.remove_shares)
        loads = []
        for share in noisy:
            loads.append(Load(machine, share, heavy, *how))
            stack.callback(loads[-1].kill)
        for load in loads:
            load.go()
        time.sleep(0.5)
        return {"way": way, "noise": noise, **latency(machine, asks, short, seconds)}


def noisy_neighbour(machine, seconds, heavy_ms, say):
    """[{"way", "noise", …}]: an interactive tenant alone, and beside one that saturates the GPU with long kernels, shared in each way."""
    short, heavy, rows = machine.calibrate("1ms"), machine.calibrate(f"{heavy_ms}ms"), []
    machine.create("asks", "--memory", "256MiB", "--time", "50%")
    say("alone")
    rows.append({"way": "alone", "noise": None, **latency(machine, "asks", short, seconds)})
    machine.remove_shares()
    for noise, _, _ in NOISE:
        for way, _, _ in WAYS:
            say(f"{way}, beside kernels of {heavy_ms} ms ({noise})")
            rows.append(latency_beside(machine, way, noise, short, heavy, seconds))
    return rows


def weights_of(n):
    """2: 3 to 1. More: half of them have twice the weight of the other half."""
    return [3, 1] if n == 2 else [2] * (n // 2) + [1] * (n - n // 2)


def rates_of(machine, shares, work, seconds):
    with contextlib.ExitStack() as stack:
        loads = []
        for share in shares:
            loads.append(Load(machine, share, work))
            stack.callback(loads[-1].kill)
        for load in loads:
            load.go()
        time.sleep(seconds)
        for load in loads:
            load.end()
        return [load.rate() for load in loads]


def parts_of_time(machine, seconds, say, tenants=(2, 4, 16)):
    """[{"way", "tenants", "error_points", …}]: kernels completed by saturating tenants against their weights; the error is the largest of
    all tenants, in hundredths of the whole."""
    work, rows = machine.calibrate("1ms"), []
    for n in tenants:
        weights = weights_of(n)
        for way in ("native", "best-effort"):
            say(f"{n} tenants, {way}")
            shares = [NATIVE] * n
            if way != "native":
                shares = [f"t{i}" for i in range(n)]
                for name, weight in zip(shares, weights):
                    machine.create(name, "--memory", "64MiB", "--time", f"{weight * 100 / sum(weights):.4f}%", "--weight", str(weight), "--policy", way)
            rates = rates_of(machine, shares, work, seconds)
            machine.remove_shares()
            got = [100 * rate / sum(rates) for rate in rates]
            wanted = [100 * weight / sum(weights) for weight in weights]
            rows.append({"way": way, "tenants": n, "weights": weights, "parts": got, "error_points": max(abs(g - w) for g, w in zip(got, wanted))})
    return rows


def memory_quota(machine, say):
    """[{"way", "seen_bytes", "accepted_bytes", "one_byte_more", "held"}]: what a tenant whose share has 256 MiB is told, gets, and gets beyond."""
    rows, quota = [], 256 * MIB
    machine.create("asks", "--memory", str(quota), "--time", "50%")
    for way, share in (("share", "asks"), ("native", NATIVE)):
        say(f"memory, {way}")
        report = machine.run(share, "memory")["memory"]
        accepted, more = int(report["accepted"]["value"]), report["one_byte_more"]["text"]
        rows.append({"way": way, "seen_bytes": int(report["seen"]["value"]), "accepted_bytes": accepted, "one_byte_more": more,
                     "held": accepted == quota and more != "CL_SUCCESS"})
    machine.remove_shares()
    return rows

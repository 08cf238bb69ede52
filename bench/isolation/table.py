# SPDX-License-Identifier: Apache-2.0
"""The table for people, and what it comes to."""
from isolation.cases import MANAGED, QUANTUM_US

NAMES = {"alone": "alone", "native": "two native processes (no share)", "none": "shares, policy none (unmanaged)"}


def name_of(way):
    return NAMES.get(way, f"shares, {way}")


def ms(us):
    return f"{us / 1000:.2f}"


def bound_us(rows, row, heavy_ms):
    """What is promised: half as much again as alone, and a quantum; beside kernels that cannot be cut, one of those more."""
    alone = rows[0]["p99_us"]
    return 1.5 * alone + QUANTUM_US + (heavy_ms * 1000 if "whole" in row["noise"] else 0)


def print_latency(rows, heavy_ms):
    print(f"\nA kernel of 1 ms every 20 ms, beside a tenant that saturates the GPU with kernels of {heavy_ms} ms: latency in ms, requests disturbed by others left out")
    print(f"  {'':34} {'neighbours':15} {'median':>8} {'p99':>8} {'worst':>8} {'promised p99':>13}  {'requests':>8} {'left out':>8}")
    for row in rows:
        promise = f"{ms(bound_us(rows, row, heavy_ms)):>9}{' met' if row['p99_us'] <= bound_us(rows, row, heavy_ms) else ' NO '}" if row["way"] in MANAGED else ""
        print(f"  {name_of(row['way']):34} {row['noise'] or '':15} {ms(row['median_us']):>8} {ms(row['p99_us']):>8} {ms(row['worst_us']):>8} {promise:>13}"
              f"  {row['requests']:8} {row['disturbed']:8}{'' if row['quiet'] else '  others used the machine nearly all the time: nothing is left out'}")


def print_parts(rows):
    print("\nSaturating tenants: kernels completed against weights, largest error of a tenant in points (hundredths of the whole)")
    for row in rows:
        parts = " ".join(f"{part:.1f}" for part in row["parts"])
        print(f"  {row['tenants']:2} tenants, {name_of(row['way']):34} error {row['error_points']:5.2f}   parts {parts}")


def print_memory(rows):
    print("\nMemory of a tenant that is to have 256 MiB")
    for row in rows:
        print(f"  {name_of(row['way']) if row['way'] == 'native' else 'share':34} sees {row['seen_bytes'] >> 20} MiB, gets {row['accepted_bytes'] >> 20} MiB, one byte more: "
              f"{row['one_byte_more']}: {'held' if row['held'] else 'not held'}")


def verdicts(result):
    """[(what, with enforcement, without, whether it made the difference that it must)]."""
    found, latency = [], result["latency"]
    # Beside one neighbour on a stand-in GPU the operating system's own time slices do much the same, and cut whole kernels as no GPU does.
    median = {row["way"]: row["median_us"] for row in latency if row["noise"] == "four, cuttable"}
    found += [(f"latency beside four neighbours, {way}", median[way], min(median["native"], median["none"])) for way in MANAGED if way in median]
    errors = {(row["tenants"], row["way"]): row["error_points"] for row in result["parts"]}
    found += [(f"error of the parts of {n} tenants", error, errors[n, "native"]) for (n, way), error in errors.items() if way != "native"]
    found += [("memory beyond the quota", 0 if row["held"] else 1, 1) for row in result["memory"] if row["way"] == "share"]
    return [(what, managed, unmanaged, unmanaged > 1.3 * managed) for what, managed, unmanaged in found]

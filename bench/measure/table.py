# SPDX-License-Identifier: Apache-2.0
"""The table for people."""

NAMES = {"share": "share", "staged": "staged share", "remote": "PoCL-remote"}


def number(value):
    size = abs(value)
    return f"{value:,.0f}" if size >= 10000 else f"{value:.1f}" if size >= 100 else f"{value:.2f}"


def result_text(row, result):
    if row["how"] in ("count", "percent"):
        return ""
    return f"{result:+.1f} {row['unit']}" if row["how"] == "more" else f"{result:.2f} x"


def target_text(row, target):
    if target is None:
        return ""
    words = {"more": f"at most {target:+g} {row['unit']}", "times": f"at most {target:g} x", "speed": f"at least {target:g} x"}
    return words.get(row["how"], f"at most {target:g} {row['unit']}".rstrip())


def cell(row, side):
    found = row["sides"].get(side)
    if not found:
        return f"{'-':>12} {'':>11} {'':6}"
    verdict = {None: "", True: "met", False: "MISSED"}[found["met"]]
    return f"{number(found['value']):>12} {result_text(row, found['result']):>11} {verdict:6}"


def print_table(title, rows, sides):
    print(f"\n{title}")
    print(f"  {'':38} {'native':>12}" + "".join(f" {NAMES[side]:>12} {'':>11} {'':6}" for side in sides) + f" {'unit':5} target")
    part = None
    for row in rows:
        if part not in (None, row["part"]):
            print()
        part = row["part"]
        native = number(row["native"]["value"]) if row["native"] else "-"
        target = target_text(row, next((row["sides"][side]["target"] for side in sides if side in row["sides"]), None))
        print(f"  {row['label']:38} {native:>12}" + "".join(f" {cell(row, side)}" for side in sides) + f" {row['unit']:5} {target}".rstrip())


def print_runs(runs):
    kept = [run for run in runs if run["disturbed"]]
    again = sum(run["repeats"] for run in runs)
    foreign = sum(run["foreign_s"] for run in runs)
    print(f"\n{len(runs)} runs, {again} repeated because others used the machine; {len(kept)} kept although disturbed; "
          f"{foreign:.1f} s of others' processor time in {sum(run['wall_s'] for run in runs):.0f} s")
    for run in kept:
        print(f"  disturbed: {run['pass']}, {run['part']}, round {run['round']}, {run['side']}: {run['foreign_s']} s of others, {run['stolen_s']} s stolen "
              f"in {run['wall_s']} s")

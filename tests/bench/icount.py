#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instruction counts of bench --json against a baseline.

usage: tests/bench/icount.py ROUNDS BASELINE [--update]

A figure is the median operation of the median round: instructions per operation, or per MiB. Exit
status 1 when one is more than 3 % above the baseline. A kernel other than the baseline's is told.
"""
import argparse
import json
import statistics
import sys

BOUND = 0.03


def figures(data):
    out = {}
    for row in data["rows"]:
        if row["unit"] == "op":
            values = [r["p50_ns"] for r in row["rounds"]]
        else:
            values = [1e9 * r["seconds"] / r["amount"] for r in row["rounds"]]
        out[f"{row['workload']}, {row['target']}"] = round(statistics.median(values))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds")
    parser.add_argument("baseline")
    parser.add_argument("--update", action="store_true", help="write the baseline")
    args = parser.parse_args()
    with open(args.rounds, encoding="utf-8") as f:
        data = json.load(f)
    now = figures(data)
    if args.update:
        with open(args.baseline, "w", encoding="utf-8") as f:
            json.dump({"kernel": data["kernel"], "instructions": now}, f, indent=1)
            f.write("\n")
        print(f"{len(now)} figures written to {args.baseline}")
        return 0
    with open(args.baseline, encoding="utf-8") as f:
        baseline = json.load(f)
    if baseline["kernel"] != data["kernel"]:
        print(f"note: the baseline was counted on kernel {baseline['kernel']}, this is {data['kernel']}")
    failed = 0
    for name, was in baseline["instructions"].items():
        count = now.get(name)
        change = None if count is None else count / was - 1
        if count is None:
            print(f"not ok {name} - was not counted")
        elif change > BOUND:
            print(f"not ok {name} - {count:,} instructions, {100 * change:+.1f} % against {was:,}")
        else:
            print(f"ok {name} ({count:,} instructions{f', {100 * change:+.1f} %' if abs(change) > BOUND else ''})")
        failed += count is None or change > BOUND
    for name in now.keys() - baseline["instructions"].keys():
        print(f"note: {name} is not in the baseline: {now[name]:,} instructions")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tracing costs: instruction counts of bench --json without tracepoints, with them off, with BPF.

usage: tests/bench/trace_cost.py DIRECTORY

DIRECTORY has trace-CONFIGURATION-PASS.json of tests/bench/trace_cost.sh. A figure is the median of
all rounds of all passes. Exit status 1 when a bound is exceeded.
"""
import collections
import glob
import json
import re
import statistics
import sys

# name, workload, dearer configuration, against, bound
BOUNDS = [
    ("tracepoints-off-cached-stat", "stat, cached", "off", "none", 0.005),
    ("bpf-cached-stat", "stat, cached", "bpf", "off", 0.02),
    ("bpf-miss", "stat of an absent name", "bpf", "off", 0.08),
    ("bpf-streaming-read", "read 1 MiB, cold", "bpf", "off", 0.01),
]


def figures(directory):
    """(configuration, workload) -> instructions per operation of each round"""
    out = collections.defaultdict(list)
    for path in sorted(glob.glob(f"{directory}/trace-*-*.json")):
        configuration = re.search(r"trace-(\w+)-\d+\.json$", path)[1]
        with open(path, encoding="utf-8") as f:
            for row in json.load(f)["rows"]:
                per_op = row["unit"] == "op"
                out[configuration, row["workload"]] += [
                    r["p50_ns"] if per_op else 1e9 * r["seconds"] / r["amount"] for r in row["rounds"]]
    return out


def programs(directory):
    """name -> (runs, instructions per run) of our BPF programs"""
    out = {}
    for path in sorted(glob.glob(f"{directory}/programs-*.json")):
        with open(path, encoding="utf-8") as f:
            for program in json.load(f):
                if program.get("run_cnt") and program.get("type") == "tracing":
                    out[program["name"]] = program["run_cnt"], program["run_time_ns"] / program["run_cnt"]
    return out


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    seen = figures(sys.argv[1])
    failed = 0
    for name, workload, dearer, against, bound in BOUNDS:
        if not seen[dearer, workload] or not seen[against, workload]:
            print(f"not ok {name} - was not counted")
            failed = 1
            continue
        cost, base = (statistics.median(seen[c, workload]) for c in (dearer, against))
        share = cost / base - 1
        text = f"{workload}: {against} {base:,.0f}, {dearer} {cost:,.0f} instructions, {100 * share:+.2f} %, bound {100 * bound:g} %"
        print(f"ok {name} ({text})" if share <= bound else f"not ok {name} - {text}")
        failed |= share > bound
    for (configuration, workload), rounds in sorted(seen.items(), key=lambda i: (i[0][1], i[0][0])):
        if workload in (b[1] for b in BOUNDS):
            print(f"# {workload}, {configuration}: {' '.join(f'{r:,.0f}' for r in sorted(rounds))}")
    for name, (runs, instructions) in programs(sys.argv[1]).items():
        print(f"# program {name}: {instructions:,.0f} instructions a run ({runs} runs)")
    return failed


if __name__ == "__main__":
    sys.exit(main())

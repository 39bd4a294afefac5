#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The report of the benchmark: DIR/bench.json to DIR/bench.md and plots.

usage: tests/bench/report.py DIR [--note TEXT] [--baseline TARGET]

A ratio is the median of the rounds' ratios: what disturbs a round disturbs both of its targets.
Processor time is the sum of all rounds, because one round is short against the kernel's clock.
"""
import argparse
import json
import os
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import plot  # noqa: E402

GROUPS = {
    "names": "Names: cached and cold metadata", "small": "Small files, one thread", "threads": "Small files, many threads",
    "large": "Large file, sequential", "random": "Large file, random, direct I/O", "tree": "A source tree",
    "many": "A tree of very many files",
}
FLOORS = {"tmpfs", "ext4", "ceiling", "bare TCP"}


class Row:
    """Figures of one workload on one target; `unit` says what an operation is: op, MiB, run (of a program)."""

    def __init__(self, raw):
        self.group, self.workload, self.target, self.unit = (raw[k] for k in ("group", "workload", "target", "unit"))
        self.rounds = raw["rounds"]
        self.seconds = [r["seconds"] / r["amount"] for r in self.rounds]
        self.rates = [1 / s for s in self.seconds]

    def median(self, key):
        return statistics.median(r[key] for r in self.rounds)

    def per_op(self, key):
        return sum(r[key] for r in self.rounds) / sum(r["amount"] for r in self.rounds)

    def speed_against(self, base):
        ratios = [b / s for s, b in zip(self.seconds, base.seconds)]
        return statistics.median(ratios), min(ratios), max(ratios)

    def cpu_against(self, base):
        return self.per_op("cpu_seconds") / base.per_op("cpu_seconds") if base.per_op("cpu_seconds") > 0 else None


def of_group(rows, group):
    """{workload: [rows]}: workloads in the order of the run, targets in that of the colours."""
    order = list(plot.COLOURS)
    out = {}
    for row in rows:
        if row.group == group:
            out.setdefault(row.workload, []).append(row)
    return {w: sorted(r, key=lambda x: order.index(x.target) if x.target in order else len(order)) for w, r in out.items()}


def base_of(rows, baseline):
    return next((r for r in rows if r.target == baseline), None)


def cells(row, base):
    n = plot.number
    times = row.seconds if row.unit == "run" else row.rates
    spread = f"{n(min(times))} - {n(max(times))}"
    speed = cpu_ratio = "-"
    if base and base is not row:
        speed = "{} ({} - {})".format(*(n(v) for v in row.speed_against(base)))
        ratio = row.cpu_against(base)
        cpu_ratio = n(ratio) if ratio is not None else "-"
    requests = n(max(0, row.per_op("requests"))) if row.rounds[0]["requests"] >= 0 else "-"
    head = [row.workload, row.target]
    if row.unit == "op":
        head += [n(row.median("p50_ns") / 1e3), n(row.median("p99_ns") / 1e3)]
    cpu = n(row.per_op("cpu_seconds") * {"op": 1e6, "MiB": 1024, "run": 1}[row.unit])
    return head + [n(statistics.median(times)), spread, speed, cpu, cpu_ratio, requests, n(row.per_op("context_switches"))]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    return lines + ["| " + " | ".join(r) + " |" for r in rows] + [""]


def group_table(workloads, baseline):
    unit = next(iter(workloads.values()))[0].unit
    rate, cpu = {"op": (["p50 us", "p99 us", "op/s"], "CPU us/op"), "MiB": (["MiB/s"], "CPU s/GiB"), "run": (["s"], "CPU s")}[unit]
    head = ["workload", "target", *rate, "min - max", f"speed / {baseline}", cpu, f"CPU / {baseline}",
            f"requests/{unit}", f"switches/{unit}"]
    return table(head, [cells(r, base_of(rows, baseline)) for rows in workloads.values() for r in rows])


def memory_table(memory):
    rows = [[name, "cfsd", plot.number(m.get("resident_kib", 0) / 1024), plot.number(m.get("peak_kib", 0) / 1024)]
            for name, m in memory.items()]
    return ["## Memory of the daemons", ""] + table(["front end", "process", "resident MiB", "peak MiB"], rows) if rows else []


class Goals:
    """What was promised, and what this run says of it. A ratio is the median of the rounds' ratios."""

    def __init__(self, rows, sizes, moved):
        self.rows = {(r.workload, r.target): r for r in rows}
        self.sizes = sizes
        self.moved = moved
        self.lines = []

    def add(self, goal, value, limit, at_most=True):
        if value is None:
            return
        met = "-" if limit is None else "met" if (value <= limit if at_most else value >= limit) else "MISSED"
        bound = "-" if limit is None else ("at most " if at_most else "at least ") + plot.number(limit)
        self.lines.append([goal, plot.number(value), bound, met])

    def times(self, workload, target, base, of=None):
        """How many times as long as on `base`, for which `of` may name other work."""
        row, other = self.rows.get((workload, target)), self.rows.get((of or workload, base))
        if not row or not other:
            return None
        return statistics.median(a["p50_ns"] / b["p50_ns"] if a["p50_ns"] and b["p50_ns"] and row.unit == "op" else x / y
                                 for a, b, x, y in zip(row.rounds, other.rounds, row.seconds, other.seconds))

    def speed(self, workload, target, base):
        row, other = self.rows.get((workload, target)), self.rows.get((workload, base))
        return row.speed_against(other)[0] if row and other else None

    def cpu(self, workload, target, base):
        row, other = self.rows.get((workload, target)), self.rows.get((workload, base))
        return row.cpu_against(other) if row and other else None

    def scaling(self, target):
        one, two = self.rows.get(("stat, cached", target)), self.rows.get(("stat, cached, 2 threads", target))
        return [a / b for a, b in zip(one.seconds, two.seconds)] if one and two else None

    def requests(self, workload, target):
        row = self.rows.get((workload, target))
        return max(0, row.per_op("requests")) if row and row.rounds[0]["requests"] >= 0 else None

    def file_data(self):
        for work in ("create, write 4 KiB, close", "open, read 4 KiB, close, cold", "unlink"):
            self.add(f"{work}: latency, times the FUSE front end", self.times(work, "kernel", "fuse"), 0.5)
            self.add("its processor time", self.cpu(work, "kernel", "fuse"), 0.5)
        work = "open, read 4 KiB, close, cached"
        self.add(f"{work}: speed where a policy grants opens, times the FUSE front end", self.speed(work, "rules", "fuse"), 3, False)
        self.add("the same by default, with the request of an open", self.speed(work, "kernel", "fuse"), 3, False)
        for work in ("write 1 MiB, fsync", "read 1 MiB, cold"):
            self.add(f"{work}: speed, times the FUSE front end", self.speed(work, "kernel", "fuse"), 2, False)
            self.add("its processor time", self.cpu(work, "kernel", "fuse"), 0.5)
            self.add("its speed, times the ceiling's", self.speed(work, "kernel", "ceiling"), 0.9, False)
        self.add("read 1 MiB, cached: speed, times tmpfs", self.speed("read 1 MiB, cached", "kernel", "tmpfs"), 0.95, False)

    def copies(self):
        """Of all file data that the kernel front end has sent in this run."""
        sent = self.moved.get("append_wire_bytes", 0) + self.moved.get("overwrite_wire_bytes", 0)
        if sent:
            self.add("bytes copied to send one, beyond the program's own copy", self.moved["copied_bytes"] / sent, 0.001)
            self.add("bytes sent by reference, of one sent", self.moved["spliced_bytes"] / sent, 0.99, False)

    def table(self):
        self.metadata()
        self.file_data()
        self.copies()
        if self.sizes:
            self.add("inode and dentry of a cached file, bytes", self.sizes["inode_and_dentry_bytes"], 1229)
            self.add("entry of the maps for a cached file, bytes", self.sizes["map_entry_bytes"], 512)
            self.add("mount of a volume, daemon running, ms", self.sizes.get("mount_ms"), 300)
            for daemon, percent in self.sizes.get("idle_percent", {}).items():
                self.add(f"processor time of the idle {daemon} daemon, %", percent, 0.1)
        return ["## Goals", ""] + table(["goal", "measured", "bound", "verdict"], self.lines) if self.lines else []

    def metadata(self):
        self.add("stat of a believed name, times tmpfs", self.times("stat, cached", "rules", "tmpfs"), 1.10)
        self.add("the same without rules", self.times("stat, cached", "kernel", "tmpfs"), 1.10)
        self.add("stat of a name believed to be absent, times tmpfs", self.times("stat of an absent name", "rules", "tmpfs"), 1.15)
        self.add("open and close where a policy grants it, times tmpfs", self.times("open, close, cached", "rules", "tmpfs"), 1.30)
        self.add("requests of such an open", self.requests("open, close, cached", "rules"), 0.001)
        self.add("requests of an open by default", self.requests("open, close, cached", "kernel"), 1.01)
        self.add("requests of a stat after its dentry was dropped", self.requests("stat, cold", "rules"), 0.02)
        self.add("that stat, times one that asks the daemon", self.times("stat, cold", "rules", "nobpf"), None)
        self.add("that stat, times the FUSE front end", self.times("stat, cold", "rules", "fuse"), None)
        self.add("that stat, times one of a believed name", self.times("stat, cold", "rules", "rules", "stat, cached"), None)
        self.add("policy on, times nobpf, stat of a believed name", self.times("stat, cached", "kernel", "nobpf"), 1.05)
        ours, theirs = self.scaling("rules"), self.scaling("tmpfs")
        if ours and theirs:
            self.add("gain of a second thread, times that of tmpfs", statistics.median(a / b for a, b in zip(ours, theirs)), 0.95, False)


def latency_plot(rows):
    sections = []
    for group in ("names", "small", "threads", "random"):
        for workload, of_workload in of_group(rows, group).items():
            bars = [(r.target, *(r.median(k) / 1e3 for k in ("p50_ns", "p50_ns", "p99_ns"))) for r in of_workload]
            sections.append((workload, bars))
    return "latency", "Latency: p50, line to p99; shorter is better", "microseconds", sections, True, None


def throughput_plot(rows):
    sections = [(w, [(r.target, statistics.median(r.rates), min(r.rates), max(r.rates)) for r in of_workload])
                for w, of_workload in of_group(rows, "large").items()]
    return "throughput", "Sequential throughput: median, min to max; longer is better", "MiB/s", sections, True, None


def ratio_plot(rows, baseline, name, title, ratio):
    sections = []
    for group in GROUPS:
        for workload, of_workload in of_group(rows, group).items():
            base = base_of(of_workload, baseline)
            bars = [(r.target, *ratio(r, base)) for r in of_workload if base and r is not base and r.target not in FLOORS]
            if bars:
                sections.append((workload, bars))
    return name, title, f"times {baseline}", sections, True, 1


def cpu_bar(row, base):
    value = row.cpu_against(base) or 0
    return value, value, value


def plots(rows, baseline):
    return [
        latency_plot(rows), throughput_plot(rows),
        ratio_plot(rows, baseline, "speed", f"Speed against {baseline}; longer is better", Row.speed_against),
        ratio_plot(rows, baseline, "cpu", f"Processor time against {baseline}; shorter is better", cpu_bar),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir")
    parser.add_argument("--note", action="append", default=[], help="one more line for the head of the report")
    parser.add_argument("--baseline", default="fuse", help="target that ratios are against (default: fuse)")
    args = parser.parse_args()
    with open(os.path.join(args.dir, "bench.json"), encoding="utf-8") as f:
        data = json.load(f)
    moved = {}
    if os.path.exists(os.path.join(args.dir, "sizes.json")):
        with open(os.path.join(args.dir, "sizes.json"), encoding="utf-8") as f:
            data["sizes"] = json.load(f)
    if os.path.exists(os.path.join(args.dir, "stats.json")):
        with open(os.path.join(args.dir, "stats.json"), encoding="utf-8") as f:
            moved = json.load(f)["mounts"][0]["kernel"]
    rows = [Row(r) for r in data["rows"]]
    lines = ["<!-- SPDX-License-Identifier: Apache-2.0 -->", "# Benchmark", "",
             f"Kernel {data['kernel']}, {data['processors']} processors, {data['rounds']} interleaved rounds. Processor time and context "
             "switches are those of the whole machine or guest.", "", *args.note, ""]
    lines += Goals(rows, data.get("sizes"), moved).table()
    for group, title in GROUPS.items():
        workloads = of_group(rows, group)
        if workloads:
            lines += [f"## {title}", ""] + group_table(workloads, args.baseline)
    lines += memory_table(data["memory"])
    for name, title, unit, sections, log, reference in plots(rows, args.baseline):
        if not sections:
            continue
        with open(os.path.join(args.dir, name + ".svg"), "w", encoding="utf-8") as f:
            f.write(plot.chart(title, unit, sections, log, reference))
        lines += [f"![{title}]({name}.svg)", ""]
    with open(os.path.join(args.dir, "bench.md"), "w", encoding="utf-8") as f:
        f.write("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()

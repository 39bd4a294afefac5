#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where processor time goes: samples of perf, laid beside the rounds of the benchmark that ran meanwhile.

usage: perf script -F comm,time,ip,sym,dso ... | tests/bench/profile.py DIR [--instructions]

Reads DIR/bench.json, writes DIR/profile.md: for each work, microseconds of processor time for each operation, by place and
target. Times of both are CLOCK_MONOTONIC. Idle processors are left out.
With --instructions the clock counts instructions (icount.sh): thousands of them for each operation, then the functions of cfsd that
take most. What executes with interrupts off is counted where they go on again.
"""
import collections
import json
import os
import re
import sys

RATE = 997  # samples a second and processor, as perf record -F has it
ICOUNT_RATE = 50000
FUNCTIONS = 25

IDLE = re.compile(r"default_idle|native_safe_halt|pv_native_safe_halt|acpi_idle|acpi_safe_halt|mwait_idle|cpu_idle_poll")
# The first that matches a symbol of the kernel's own image.
KERNEL = [(name, re.compile(pattern)) for name, pattern in (
    ("copying, clearing", r"copy_|_copy|memcpy|memset|memmove|clear_page|rep_movs|rep_stos|csum_partial_copy|iov_iter"),
    ("CRC", r"crc32"),
    ("network", r"tcp|^_*ip_|^_*inet|^_*sk_|skb|^_*sock|napi|^_*net(if|dev|_)|^_*dev_|virtnet|virtqueue|vring|vp_|eth_|loopback|dst_|"
                r"sch_|qdisc|fib_|neigh|^validate_xmit|^_*nf_|csum|gro|page_pool|page_frag"),
    ("scheduler, waking, workqueues", r"sched|schedule|wake|ttwu|pick_|enqueue|dequeue|^update_(curr|load|rq|cfs|se)|entity|runnable|switch|task|"
                                      r"work|futex|rcu|tick|hrtimer|timer|cpuidle|idle|select_|swait|psi_|load_avg|vruntime|kthread|"
                                      r"^(set|place|reweight)_"),
    ("interrupts", r"irq|apic|ipi|interrupt|asm_"),
    ("io_uring", r"^_*io_"),
    ("system calls", r"syscall|entry_|^ret_from|exit_to_user|^do_sys|^__x64"),
    ("locks", r"lock|mutex|rwsem|down_|up_"),
    ("memory", r"kmem|slab|slub|kmalloc|kfree|kvfree|alloc_page|page_alloc|get_page|free_|rmqueue|lru|memcg|mem_cgroup|obj_|cgroup|charge"),
    ("page cache and files", r"filemap|folio|page|writeback|xa_|xas_|vfs|path|dentry|^d_|dput|lookup|inode|link|namei|file|fput|fget|fs_|mnt|iget|open|"
                             r"read|write|mas_|mt_|fault|mm_|pte|vma"),
)]
MODULES = {"[cubefs]": "cubefs.ko", "[fuse]": "fuse.ko", "[netfs]": "netfs"}
SAMPLE = re.compile(r"^\s*(?P<comm>.+?)\s+(?P<time>\d+\.\d+):\s+[0-9a-f]+\s+(?P<symbol>.*?)\s+\((?P<dso>[^()]*)\)\s*$")


def place(comm, symbol, dso):
    """The place of a sample; None: an idle processor, or the measurement itself."""
    if comm.startswith("perf"):
        return None
    if comm.startswith("cfs-minicluster"):
        return "servers, with their part of the kernel"
    if dso in MODULES:
        return MODULES[dso]
    if dso.startswith("["):
        if IDLE.search(symbol):
            return None
        if "bpf" in dso or "bpf" in symbol:
            return "BPF"
        return next((name for name, pattern in KERNEL if pattern.search(symbol)), "rest of the kernel")
    return "cfsd, its own code and libraries" if comm.startswith("cfsd") else "the program" if comm == "bench" else "other programs"


def intervals(rows):
    """[(start, end, work, target)] in seconds, in order, and {(work, target): (operations, unit)}."""
    times, amounts = [], {}
    for row in rows:
        key = (row["workload"], row["target"])
        amounts[key] = (sum(r["amount"] for r in row["rounds"]), row["unit"])
        times += [(r["start_s"], r["start_s"] + r["seconds"], *key) for r in row["rounds"]]
    return sorted(times), amounts


def count(lines, times):
    """{(work, target): {place: samples}} and the same of functions of cfsd; the lines are in the order of time within a
    processor only."""
    counts, functions = {}, collections.defaultdict(collections.Counter)
    for line in lines:
        sample = SAMPLE.match(line)
        if not sample:
            continue
        at = float(sample["time"])
        key = next((t[2:] for t in times if t[0] <= at < t[1]), None)
        where = place(sample["comm"], sample["symbol"], sample["dso"]) if key else None
        if where:
            of_key = counts.setdefault(key, {})
            of_key[where] = of_key.get(where, 0) + 1
            if where.startswith("cfsd"):
                functions[key][(short(sample["symbol"]), os.path.basename(sample["dso"]))] += 1
    return counts, functions


def short(symbol):
    """A function without its arguments; a coroutine's resume function without what it repeats."""
    symbol = re.sub(r"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >", "string", symbol)
    return re.sub(r"\(.*", "", symbol).replace("(anonymous namespace)::", "") or symbol


def tables(counts, amounts, scale, unit_name):
    out = []
    for work in dict.fromkeys(w for w, _ in amounts):
        targets = [t for w, t in amounts if w == work and (w, t) in counts]
        if not targets:
            continue
        unit = amounts[work, targets[0]][1]
        micros = {t: {p: n * scale / amounts[work, t][0] for p, n in counts[work, t].items()} for t in targets}
        places = sorted({p for t in targets for p in micros[t]}, key=lambda p: -max(micros[t].get(p, 0) for t in targets))
        out += [f"## {work}", "", f"| {unit_name} for one {unit} | " + " | ".join(targets) + " |", "|---|" + "---:|" * len(targets)]
        out += ["| " + " | ".join([p, *(f"{micros[t].get(p, 0):,.0f}" for t in targets)]) + " |" for p in places]
        out += ["| **all** | " + " | ".join(f"**{sum(micros[t].values()):,.0f}**" for t in targets) + " |", ""]
    return out


def function_tables(functions, amounts, scale):
    out = []
    for (work, target), counted in functions.items():
        amount, unit = amounts[work, target]
        out += [f"## Functions of cfsd: {work}, {target}", "", f"| thousand instructions for one {unit} | | |", "|---:|---|---|"]
        out += [f"| {n * scale / amount:.2f} | `{name}` | {dso} |" for (name, dso), n in counted.most_common(FUNCTIONS)] + [""]
    return out


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--instructions"]):
        sys.exit(__doc__)
    with open(os.path.join(sys.argv[1], "bench.json"), encoding="utf-8") as f:
        times, amounts = intervals(json.load(f)["rows"])
    counts, functions = count(sys.stdin, times)
    if not counts:
        sys.exit("no sample lies within a round: was perf record run with -k CLOCK_MONOTONIC?")
    if len(sys.argv) == 3:
        scale = 1e6 / ICOUNT_RATE  # an instruction is a nanosecond there
        lines = tables(counts, amounts, scale, "thousand instructions") + function_tables(functions, amounts, scale)
    else:
        lines = tables(counts, amounts, 1e6 / RATE, "microseconds")
    text = "\n".join(["<!-- SPDX-License-Identifier: Apache-2.0 -->", "# Where processor time goes", "", *lines])
    with open(os.path.join(sys.argv[1], "profile.md"), "w", encoding="utf-8") as f:
        f.write(text)
    print(text)


if __name__ == "__main__":
    main()

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The benchmark's own tests: figures of two directories come into the report and the plots; a dearer instruction count is told.
# If it fails, reports of performance are not to be believed. Needs root: caches are dropped.
set -u
cd "$(dirname "$0")/../.." || exit 2
BENCH=${CFS_BUILD:-$PWD/build/release}/tests/bench/bench
# shellcheck source=tests/lib.sh
. tests/lib.sh
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT

measures() {
  mkdir "$T/a" "$T/b" "$T/c"
  "$BENCH" --target "fuse=$T/a" --target "kernel=$T/b" --small-target "rules=$T/c" --group names --group small --group tree \
    --group many --tree "$T/tree.tar" --many "$T/tree.tar" --rounds 2 --files 5 --calls 50 --pause 0 --daemon me=$$ --json "$T/bench.json"
}
leaves_nothing() { [ -z "$(find "$T/a" "$T/b" "$T/c" -mindepth 1)" ]; }
a_failing_call_fails() { ! "$BENCH" --target "x=$T/none" --json "$T/x.json"; }
# Names, bounds and verdicts of the goals; what was not measured (tmpfs, requests) is not judged.
judges() {
  echo '{"inode_and_dentry_bytes": 1000, "map_entry_bytes": 600, "mount_ms": 250, "idle_percent": {"kernel": 0.2}}' >"$T/sizes.json"
  echo '{"mounts": [{"kernel": {"append_wire_bytes": 900, "overwrite_wire_bytes": 100, "spliced_bytes": 995, "copied_bytes": 5}}]}' >"$T/stats.json"
  tests/bench/report.py "$T" >"$T/out" &&
    grep -q "^| bytes copied to send one, beyond the program's own copy | 0.00500 | at most 0.00100 | MISSED |$" "$T/out" &&
    grep -q '^| bytes sent by reference, of one sent | 0.995 | at least 0.990 | met |$' "$T/out" &&
    grep -Eq '^\| that stat, times the FUSE front end \| [0-9.,]+ \| - \| - \|$' "$T/out" && ! grep -q tmpfs "$T/out" &&
    grep -q '^| inode and dentry of a cached file, bytes | 1,000 | at most 1,229 | met |$' "$T/out" &&
    grep -q '^| entry of the maps for a cached file, bytes | 600 | at most 512 | MISSED |$' "$T/out" &&
    grep -q '^| mount of a volume, daemon running, ms | 250 | at most 300 | met |$' "$T/out" &&
    grep -q '^| processor time of the idle kernel daemon, % | 0.200 | at most 0.100 | MISSED |$' "$T/out" &&
    grep -Eq '^\| unlink: latency, times the FUSE front end \| [0-9.,]+ \| at most 0.500 \| (met|MISSED) \|$' "$T/out" &&
    grep -Eq '^\| ls -lR, names dropped \| rules \|' "$T/out"
}
reports() {
  tests/bench/report.py "$T" --note noted >"$T/out" && cmp "$T/out" <(cat "$T/bench.md"; echo) && grep -q '^noted$' "$T/out" &&
    grep -Eq '^\| stat, cached \| rules( \| [0-9.,]+){3} \| [0-9.,]+ - [0-9.,]+ \| [0-9.,]+ \([0-9.,]+ - [0-9.,]+\) \|' "$T/out" &&
    grep -Eq '^\| rm -r a source tree \| kernel \| [0-9.]+ \|' "$T/out" && grep -Eq '^\| me \| cfsd \| [0-9.]+ ' "$T/out"
}
plots() {
  python3 - "$T" <<'PY'
import sys, xml.etree.ElementTree as x
for name, bars in (("latency", 20), ("speed", 10), ("cpu", 10)):
    rects = x.parse(f"{sys.argv[1]}/{name}.svg").getroot().iter("{http://www.w3.org/2000/svg}rect")
    assert sum(len(r) for r in rects) >= bars, name   # a bar has a title
PY
}
# Rows of one figure: the clock of bench --json is scaled.
scaled() { sed -E "s/(\"p50_ns\": )[0-9.]+/\1$1/" "$T/bench.json" >"$T/$1.json"; }
counts_are_compared() {
  scaled 10000 && scaled 10200 && scaled 10500 && scaled 9000
  tests/bench/icount.py "$T/10000.json" "$T/base" --update && tests/bench/icount.py "$T/10200.json" "$T/base" &&
    ! tests/bench/icount.py "$T/10500.json" "$T/base" >"$T/dearer" && grep -q '^not ok stat, cached, kernel - .*+5.0 %' "$T/dearer" &&
    tests/bench/icount.py "$T/9000.json" "$T/base" | grep -q '^ok stat, cached, kernel (9,000 instructions, -10.0 %)'
}
what_is_not_counted_fails() {
  sed 's/"stat, cached"/"stat, kept"/' "$T/10000.json" >"$T/other.json"
  ! tests/bench/icount.py "$T/other.json" "$T/base" >"$T/lost" && grep -q "^not ok stat, cached, kernel - was not counted" "$T/lost"
}
# Samples of a round are counted, by place; idle ones and others are not.
profiles() {
  mkdir "$T/profile" || return 1
  echo '{"rows": [{"workload": "w", "target": "kernel", "unit": "op", "rounds": [{"amount": 10, "start_s": 5.5, "seconds": 1}]}]}' \
    >"$T/profile/bench.json"
  cat >"$T/samples" <<'PERF'
         swapper     5.600000:  ffffffff8a15e0d5 pv_native_safe_halt ([kernel.kallsyms])
           bench     5.600100:  ffffffffc0401234 cfs_lookup ([cubefs])
     kworker/0:1     5.700000:  ffffffffc0401234 cfs_rx (int) ([cubefs])
            cfsd     5.700000:      7f0012345678 std::string::append(char const*) (/usr/lib/libstdc++.so.6)
            cfsd     5.800000:  ffffffff8a15e0d5 tcp_sendmsg ([kernel.kallsyms])
            cfsd     6.600000:  ffffffff8a15e0d5 tcp_sendmsg ([kernel.kallsyms])
            perf     5.900000:  ffffffff8a15e0d5 tcp_sendmsg ([kernel.kallsyms])
 cfs-minicluster     5.900000:  ffffffff8a15e0d5 tcp_sendmsg ([kernel.kallsyms])
PERF
  tests/bench/profile.py "$T/profile" <"$T/samples" >"$T/out" || return 1
  grep -q '^| cubefs.ko | 201 |$' "$T/out" && grep -q '^| network | 100 |$' "$T/out" && grep -q '^| cfsd, its own .* | 100 |$' "$T/out" &&
    grep -q '^| \*\*all\*\* | \*\*502\*\* |$' "$T/out" &&
    grep -q '^| servers, .* | 100 |$' "$T/out" &&
    tests/bench/profile.py "$T/profile" --instructions <"$T/samples" >"$T/out" && grep -q '^| cubefs.ko | 4 |$' "$T/out" &&
    grep -q '^| 2.00 | `std::string::append` | libstdc++.so.6 |$' "$T/out" && ! tests/bench/profile.py "$T/profile" </dev/null 2>/dev/null
}

mkdir "$T/tree" && git -C "$T/tree" init -q && echo x >"$T/tree/x" && tar -C "$T/tree" -cf "$T/tree.tar" .
check bench-measures measures
check bench-leaves-nothing leaves_nothing
check bench-failing-call a_failing_call_fails
check bench-goals judges
check bench-report reports
check bench-plots plots
check bench-profile profiles
check icount-compares counts_are_compared
check icount-misses-nothing what_is_not_counted_fails
exit $failed

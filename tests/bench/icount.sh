#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The micro benchmarks counted in guest instructions: mini cluster, daemons and work on one emulated processor whose clock is the
# number of executed instructions. A busy host changes nothing, so what changes is the code.
#   tests/bench/icount.sh [--update] [--profile] [--report DIR]
# Compares with tests/bench/icount-baseline.json, prints "ok NAME" for each figure and "not ok NAME" for those that became more than
# 3 % dearer; --update writes the baseline. Ends with status 1 if there is one. docs/performance.md says more.
# --profile: where the instructions of small files go, by place and by function of cfsd: DIR/profile.md
set -eu
cd "$(dirname "$0")/../.."
B=$PWD/build/release

in_guest() {
  local report=$1 kind perf=()
  "$B/tools/minicluster/cfs-minicluster" --dir /tmp/cluster --ip 127.0.0.1 --tiny-ready-ms 0 --ready-file /tmp/ready \
    --volume kernel:bench:1 --volume fuse:bench:1 >"$report/minicluster.log" 2>&1 &
  [ -e /dev/fuse ] || modprobe fuse
  mkdir -p /mnt/{fuse,kernel,tmpfs}
  mount -t tmpfs bench /mnt/tmpfs
  while [ ! -e /tmp/ready ]; do sleep 0.1; done
  for kind in kernel fuse; do
    "$B/daemon/app/cfsd" --socket "/run/$kind.sock" --no-trace >"$report/cfsd-$kind.log" 2>&1 &
    while [ ! -S "/run/$kind.sock" ]; do sleep 0.1; done
  done
  cfsctl() { CFSD_SOCKET=/run/$1.sock "$B/tools/cfsctl/cfsctl" "${@:2}"; }
  # no lifetime ends while the clock runs as it likes
  for kind in kernel fuse; do
    cfsctl $kind mount $kind@127.0.0.1:17010 /mnt/$kind --owner bench --frontend $kind -o attrvalid=100000,lookupvalid=100000
  done
  while [ ! -e /sys/fs/bpf/cubefs/policy ]; do sleep 0.1; done
  mkdir /mnt/kernel/rules
  cfsctl kernel policy rule set /mnt/kernel/rules --entry 80000 --attr 80000 --absent 80000 --open 80000
  local work=(--target tmpfs=/mnt/tmpfs --small-target rules=/mnt/kernel/rules --group names --group small --group large
    --rounds 3 --files 20 --calls 200 --mib 4 --json "$report/icount-rounds.json")
  if [ -e "$report/kallsyms" ]; then
    cat /proc/kallsyms >"$report/kallsyms"
    echo 200000 >/proc/sys/kernel/perf_event_max_sample_rate
    echo 0 >/proc/sys/kernel/perf_cpu_time_max_percent # no sample is left out
    work=(--group small --rounds 2 --files 40 --json "$report/bench.json")
    perf=(perf record -q -a -F 50000 -e cpu-clock -k CLOCK_MONOTONIC -o "$report/perf.data" --)
  fi
  "${perf[@]}" "$B/tests/bench/bench" --target fuse=/mnt/fuse --target kernel=/mnt/kernel "${work[@]}"
  for kind in fuse kernel; do cfsctl $kind umount /mnt/$kind; done
}

if [ "${1:-}" = --in-guest ]; then
  in_guest "$2"
  exit
fi
report=$PWD/build/bench-icount options=() profile=
while [ $# -gt 0 ]; do
  case $1 in
    --report) report=$2; shift 2 ;;
    --update) options+=(--update); shift ;;
    --profile) profile=1; shift ;;
    *) sed -n '3,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done
mkdir -p "$report"
report=$(realpath "$report")
rm -f "$report/kallsyms"
[ -z "$profile" ] || : >"$report/kallsyms"
tests/vm/kbuild stock kmod build/kmod-stock >/dev/null
tests/vm/run --instructions --net none --memory 2G --time-limit 3000 --module build/kmod-stock/kmod/cubefs.ko --bind "$report" \
  -- tests/bench/icount.sh --in-guest "$report"
if [ -n "$profile" ]; then
  perf script --kallsyms "$report/kallsyms" -i "$report/perf.data" -F comm,time,ip,sym,dso 2>/dev/null | tests/bench/profile.py "$report" --instructions
  rm -f "$report/kallsyms"
  exit
fi
tests/bench/icount.py "$report/icount-rounds.json" tests/bench/icount-baseline.json "${options[@]}"

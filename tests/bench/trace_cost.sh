#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What tracing costs, counted in guest instructions (as tests/bench/icount.sh does): the same work with a module that has no
# tracepoints, with tracepoints that are off, and with the BPF program that cfsd attaches by default.
#   tests/bench/trace_cost.sh [--report DIR]
# Prints "ok NAME" or "not ok NAME - why" for each bound of tests/bench/trace_cost.py and, for a look at the causes, what each
# program of trace.bpf.c takes per run.
set -eu
cd "$(dirname "$0")/../.."
B=$PWD/build/release
CFSCTL=$B/tools/cfsctl/cfsctl
PASSES=1

# measure NAME PASS MODULE CFSD-OPTION: figures of one mount with a daemon of its own
measure() {
  local name=$1
  insmod "$3"
  "$B/daemon/app/cfsd" --foreground "$4" </dev/null >"$report/cfsd-$name.log" 2>&1 &
  until "$CFSCTL" status >/dev/null 2>&1; do sleep 0.1; done
  # no lifetime ends while the clock runs as it likes
  "$CFSCTL" mount trace@127.0.0.1:17010 /mnt/trace --owner bench --frontend kernel -o attrvalid=100000,lookupvalid=100000
  while [ ! -e /sys/fs/bpf/cubefs/policy ]; do sleep 0.1; done
  [ "$4" = --no-trace ] || until "$CFSCTL" latency >/dev/null 2>&1; do sleep 0.1; done
  "$B/tests/bench/bench" --target "$name=/mnt/trace" --work "stat, cached" --work "stat of an absent name" \
    --work "write 1 MiB, fsync" --work "read 1 MiB, cold" --rounds 5 --calls 1000 --mib 8 --json "$report/trace-$name-$2.json"
  if [ "$4" != --no-trace ]; then
    echo 1 >/proc/sys/kernel/bpf_stats_enabled
    if stat /mnt/trace/none-{1..50} >/dev/null 2>&1; then echo "absent names are there" >&2; exit 1; fi
    dd if=/dev/zero of=/mnt/trace/some bs=1M count=4 conv=fsync 2>/dev/null
    dd if=/mnt/trace/some of=/dev/null bs=1M iflag=direct 2>/dev/null
    echo 0 >/proc/sys/kernel/bpf_stats_enabled
    bpftool prog show --json >"$report/programs-$2.json"
    rm /mnt/trace/some
  fi
  "$CFSCTL" umount /mnt/trace
  "$CFSCTL" module unload
}

in_guest() {
  local pass
  "$B/tools/minicluster/cfs-minicluster" --dir /tmp/cluster --ip 127.0.0.1 --tiny-ready-ms 0 --ready-file /tmp/ready \
    --volume trace:bench:1 >"$report/minicluster.log" 2>&1 &
  mkdir -p /mnt/trace
  while [ ! -e /tmp/ready ]; do sleep 0.1; done
  modprobe netfs
  for ((pass = 1; pass <= PASSES; pass++)); do
    measure none $pass "$PWD/build/kmod-notrace/kmod/cubefs.ko" --no-trace
    measure off $pass "$PWD/build/kmod-stock/kmod/cubefs.ko" --no-trace
    measure bpf $pass "$PWD/build/kmod-stock/kmod/cubefs.ko" --trace
  done
}

report=$PWD/build/trace-cost
if [ "${1:-}" = --in-guest ]; then
  report=$2
  in_guest
  exit
fi
while [ $# -gt 0 ]; do
  case $1 in
    --report) report=$2; shift 2 ;;
    *) sed -n '3,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done
mkdir -p "$report"
report=$(realpath "$report")
rm -f "$report"/trace-*.json "$report"/programs-*.json
tests/vm/kbuild stock kmod build/kmod-stock >/dev/null
tests/vm/kbuild stock kmod build/kmod-notrace KCFLAGS=-DNOTRACE >/dev/null
tests/vm/run --instructions --net none --memory 2G --time-limit 3000 --bind "$report" \
  -- tests/bench/trace_cost.sh --in-guest "$report"
tests/bench/trace_cost.py "$report"

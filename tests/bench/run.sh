#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The benchmark: kernel front end (with BPF, without), FUSE front end, tmpfs and ext4 in one guest, interleaved rounds.
#   tests/bench/run.sh [--quick] [--profile] [--replicas N] [--report DIR] [--many-files N] [BENCH OPTIONS]...
# BENCH OPTIONS: --rounds N (default 7), --group names|small|threads|large|random|tree|many (may be repeated), see bench --help.
# --many-files: of the tree of the group many (default: no such group; with --quick, 2000 at most)
# --profile: where processor time goes, by perf, for five kinds of work through fuse and kernel: DIR/profile.md
# Leaves DIR/bench.md, bench.json and plots (default DIR: build/bench). docs/performance.md says how to read them.
#   BENCH_PEER_MOUNT='COMMAND'  run in the guest; mounts volume "peer" of owner "bench" at $MASTER on $DIR, and is measured as "peer"
#   BENCH_PEER=DIR              no guest: this machine, DIR ("peer") beside BENCH_OURS=DIR ("fuse") and /dev/shm
set -eu
cd "$(dirname "$0")/../.."
B=$PWD/build/release
BENCH=$B/tests/bench/bench

# A part of this source tree with a git repository.
make_tree() {
  local dir=$1
  mkdir "$dir/tree"
  cp -r daemon kmod include bpf tools "$dir/tree"
  (
    cd "$dir/tree"
    git init -q --template=
    git add .
    git -c user.name=bench -c user.email=bench@localhost commit -qm bench
    git gc -q
  )
  tar -C "$dir/tree" -cf "$report/tree.tar" .
  rm -rf "$dir/tree"
}

# A tree of so many files, 100 in a directory, with a git repository. They are empty: only names and attributes are looked at, and to unpack
# files with data would take several times as long as everything that is measured.
make_many() {
  local dir=$1/many
  mkdir "$dir"
  (
    cd "$dir"
    python3 - "$many_files" <<'PY'
import os, sys
for i in range(int(sys.argv[1])):
    if i % 100 == 0:
        os.makedirs(f"src/{i // 5000}/{i // 100}")
    open(f"src/{i // 5000}/{i // 100}/file{i}.c", "w").close()
PY
    git init -q --template=
    git add .
    git -c user.name=bench -c user.email=bench@localhost commit -qm bench
    git gc -q
  )
  tar -C "$dir" -cf "$report/many.tar" .
  rm -rf "$dir"
}

# Milliseconds of a mount, the daemon running: one in a line.
mount_times() {
  local _ start
  for _ in 1 2 3 4 5 6 7; do
    start=$(date +%s%N)
    cfsctl kernel mount "nobpf@$MASTER" /mnt/nobpf --owner bench --frontend kernel >/dev/null
    echo $((($(date +%s%N) - start) / 1000000))
    cfsctl kernel umount /mnt/nobpf
  done
}
# Nanoseconds that the daemon of a kind has run.
ran() { cat "/proc/$(cat "/run/$1.pid")/task/"*/schedstat | awk '{n += $1} END {printf "%d", n}'; }
# What is measured once: a mount, daemons that have nothing to do, and what a cached file takes: objects of the slabs with their
# share of the pages, an entry of each of two maps.
sizes() {
  local maps kernel fuse
  kernel=$(ran kernel) fuse=$(ran fuse)
  sleep 30
  kernel=$(($(ran kernel) - kernel)) fuse=$(($(ran fuse) - fuse))
  maps=$(cfsctl kernel cache stats --json)
  python3 - "$maps" "$mounts" "$kernel" "$fuse" >"$report/sizes.json" <<'PY'
import json, statistics, sys
maps, mounts, kernel, fuse = sys.argv[1:]
slabs = {}
with open("/proc/slabinfo") as f:
    for line in f:
        w = line.split()
        if w[0] in ("dentry", "cubefs_inode", "cfs_data"):
            slabs[w[0]] = int(w[5]) * 4096 / int(w[4])
maps = {m["name"]: m["memory_bytes"] / m["entries_max"] for m in json.loads(maps)["maps"]}
print(json.dumps({"inode_and_dentry_bytes": slabs["dentry"] + slabs["cubefs_inode"], "data_bytes": slabs.get("cfs_data", 0),
                  "map_entry_bytes": maps["cfs_names"] + maps["cfs_attrs"], "mount_ms": statistics.median(map(int, mounts.split())),
                  "idle_percent": {"kernel": int(kernel) / 30e7, "FUSE": int(fuse) / 30e7}}))
PY
}

in_guest() {
  local kind
  MASTER=$CUBEFS_HOST_IP:17010
  until curl -sf "http://$MASTER/admin/getIp" >/dev/null; do sleep 0.2; done
  [ -e /dev/fuse ] || modprobe fuse
  modprobe -a loop ext4
  mkdir -p /mnt/{fuse,kernel,nobpf,peer,tmpfs,ext4}
  # a daemon each, so that each one's memory can be told; the first one is attached to the module
  for kind in kernel fuse; do
    "$B/daemon/app/cfsd" --socket "/run/$kind.sock" --pid-file "/run/$kind.pid" >"$report/cfsd-$kind.log" 2>&1 &
    until [ -S "/run/$kind.sock" ]; do sleep 0.1; done
  done
  cfsctl() { CFSD_SOCKET=/run/$1.sock "$B/tools/cfsctl/cfsctl" "${@:2}"; }
  # what is cached stays so: under emulation a round takes longer than the five seconds that names are believed by default
  lifetimes=attrvalid=60,lookupvalid=60
  cfsctl fuse mount "fuse@$MASTER" /mnt/fuse --owner bench --frontend fuse -o "$lifetimes"
  cfsctl kernel mount "kernel@$MASTER" /mnt/kernel --owner bench --frontend kernel -o "$lifetimes"
  mounts=$(mount_times)
  cfsctl kernel mount "nobpf@$MASTER" /mnt/nobpf --owner bench --frontend kernel -o "nobpf,$lifetimes"
  until [ -e /sys/fs/bpf/cubefs/policy ]; do sleep 0.2; done
  mkdir /mnt/kernel/rules
  cfsctl kernel policy rule set /mnt/kernel/rules --entry 3600 --attr 3600 --absent 3600 --open 3600
  mount -t tmpfs bench /mnt/tmpfs
  truncate -s 1G /tmp/ext4.img
  mkfs.ext4 -q /tmp/ext4.img
  mount -o loop /tmp/ext4.img /mnt/ext4
  local perf=() targets=(--target fuse=/mnt/fuse --target kernel=/mnt/kernel --target nobpf=/mnt/nobpf
    --small-target rules=/mnt/kernel/rules --target tmpfs=/mnt/tmpfs --target ext4=/mnt/ext4)
  if [ -n "${BENCH_PEER_MOUNT:-}" ]; then
    MASTER=$MASTER DIR=/mnt/peer bash -c "$BENCH_PEER_MOUNT"
    targets+=(--target peer=/mnt/peer)
  fi
  if [ -e "$report/kallsyms" ]; then
    cat /proc/kallsyms >"$report/kallsyms"
    targets=(--target fuse=/mnt/fuse --target kernel=/mnt/kernel)
    perf=(perf record -q -a -F 997 -e cpu-clock -k CLOCK_MONOTONIC -o "$report/perf.data" --)
  else
    sizes
  fi
  [ ! -e "$report/many.tar" ] || targets+=(--many "$report/many.tar")
  "${perf[@]}" "$BENCH" "${targets[@]}" --tree "$report/tree.tar" --servers "$MASTER" --ceiling "kernel@$MASTER" --owner bench \
    --tcp "$CUBEFS_HOST_IP:17999" --daemon "fuse=$(cat /run/fuse.pid)" --daemon "kernel=$(cat /run/kernel.pid)" \
    --json "$report/bench.json" "$@"
  cfsctl kernel stats /mnt/kernel --json >"$report/stats.json"
  [ -z "${BENCH_PEER_MOUNT:-}" ] || umount /mnt/peer
  cfsctl kernel umount /mnt/nobpf
  cfsctl kernel umount /mnt/kernel
  cfsctl fuse umount /mnt/fuse
}

on_this_machine() {
  mkdir /dev/shm/cubefs-bench
  "$BENCH" ${BENCH_OURS:+--target "fuse=$BENCH_OURS"} --target "peer=$BENCH_PEER" --target tmpfs=/dev/shm/cubefs-bench \
    --tree "$report/tree.tar" --json "$report/bench.json" "$@" || { rmdir /dev/shm/cubefs-bench; return 1; }
  rmdir /dev/shm/cubefs-bench
}

with_guest() {
  local name volumes=()
  for name in fuse kernel nobpf peer; do volumes+=("--volume $name:bench:$replicas"); done
  tests/vm/kbuild stock kmod build/kmod-stock >/dev/null
  tests/vm/run --memory 3G --time-limit 7200 --module build/kmod-stock/kmod/cubefs.ko --bind "$report" --env BENCH_PEER_MOUNT \
    --host-command "exec '$B/tools/minicluster/cfs-minicluster' --dir '$dir' --ip \$CUBEFS_HOST_IP --tiny-ready-ms 0 ${volumes[*]}" \
    --host-command "exec '$BENCH' --sink \$CUBEFS_HOST_IP:17999" \
    -- tests/bench/run.sh --in-guest "$report" "$@"
}

if [ "${1:-}" = --in-guest ]; then
  report=$2
  shift 2
  in_guest "$@"
  exit
fi
replicas=1 report=$PWD/build/bench quick=() options=() many_files=0 profile=
while [ $# -gt 0 ]; do
  case $1 in
    --replicas) replicas=$2; shift 2 ;;
    --report) report=$2; shift 2 ;;
    --profile) profile=1; shift ;;
    --many-files) many_files=$2; shift 2 ;;
    --quick) quick=(--rounds 3 --mib 16 --files 40 --operations 100 --calls 4000); shift ;;
    --help | -h) sed -n '3,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) options+=("$1"); shift ;;
  esac
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$report"
report=$(realpath "$report")
rm -f "$report/many.tar" "$report/sizes.json" "$report/stats.json" "$report/kallsyms"
if [ -n "$profile" ]; then
  : >"$report/kallsyms"
  for work in "create, write 4 KiB, close" "open, read 4 KiB, close, cold" unlink "write 1 MiB, fsync" "read 1 MiB, cold"; do options+=(--work "$work"); done
fi
make_tree "$dir"
[ ${#quick[@]} = 0 ] || many_files=$((many_files > 2000 ? 2000 : many_files))
[ "$many_files" = 0 ] || make_many "$dir"
before=$(cut -d ' ' -f 1 /proc/loadavg)
if [ -n "${BENCH_PEER:-}" ]; then on_this_machine "${quick[@]}" "${options[@]}"; else with_guest "${quick[@]}" "${options[@]}"; fi
rm -f "$report/tree.tar" "$report/many.tar"
if [ -n "$profile" ]; then
  perf script --kallsyms "$report/kallsyms" -i "$report/perf.data" -F comm,time,ip,sym,dso 2>/dev/null | tests/bench/profile.py "$report"
  rm -f "$report/kallsyms"
  exit
fi
tests/bench/report.py "$report" --note "Load of the host: $before before, $(cut -d ' ' -f 1 /proc/loadavg) after, $(nproc) processors."

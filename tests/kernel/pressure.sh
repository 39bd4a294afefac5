#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Memory pressure: the daemon is part of reclaim, and may die in the middle of it.
#   tests/kernel/pressure.sh [KERNEL] [MIB]
# Breaks: machines that hang when they run out of memory. A guest of 512 MiB; the writer and cfsd share a memory group of
# 64 MiB; so much is written by write(2) and again through mappings, while cfsd is killed every 5 s. It has to
# finish, every byte has to be right, the kernel log has to be silent.
set -u
cd "$(dirname "$0")/../.." || exit 2
# shellcheck source=tests/lib.sh
. tests/lib.sh
B=$PWD/build/release
CFSCTL=$B/tools/cfsctl/cfsctl
MNT=/mnt/cubefs
GROUP=/sys/fs/cgroup/pressure

start_daemon() {
  (echo "$BASHPID" >$GROUP/cgroup.procs; exec setsid "$B/daemon/app/cfsd" </dev/null >>/tmp/cfsd.log 2>&1) &
  until_ok 20 "$CFSCTL" status
}

# Ends when the marker is gone; a daemon runs then.
killer() {
  local deaths=0
  while [ -e /tmp/pressure ]; do
    sleep 5
    pkill -9 -x cfsd
    until_ok 10 sh -c '! pgrep -x cfsd'
    start_daemon
    deaths=$((deaths + 1))
  done
  echo "the daemon died $deaths times"
}

in_group() { (echo "$BASHPID" >$GROUP/cgroup.procs; exec "$@"); }

in_guest() {
  local mib=$1 how failed=0
  echo +memory >/sys/fs/cgroup/cgroup.subtree_control
  mkdir -p $GROUP "$MNT" && echo 64M >$GROUP/memory.max || return 1
  until_ok 20 curl -sf "http://$CUBEFS_HOST_IP:17010/admin/getIp" || return 1
  start_daemon || return 1
  "$CFSCTL" mount "test@$CUBEFS_HOST_IP:17010" "$MNT" --owner tester --frontend kernel -q || return 1
  touch /tmp/pressure
  killer & local pid=$!
  for how in write map; do
    in_group "$B/tests/kernel/bulk" $how "$MNT/$how" "$mib" || { echo "$how failed"; failed=1; }
    echo 3 >/proc/sys/vm/drop_caches
    in_group "$B/tests/kernel/bulk" verify "$MNT/$how" "$mib" || { echo "$how: not what was written"; failed=1; }
  done
  rm /tmp/pressure
  wait $pid
  grep -E '^(oom|oom_kill|max) ' $GROUP/memory.events
  "$CFSCTL" umount "$MNT" || failed=1
  return $failed
}

if [ "${1:-}" = --guest ]; then in_guest "$2"; exit; fi
kernel=${1:-stock} mib=${2:-1024}
tests/vm/get-kernel "$kernel" && tests/vm/kbuild "$kernel" kmod "build/kmod-$kernel" || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
start=$(date +%s)
if out=$(tests/vm/run --kernel "$kernel" --memory 512M --time-limit 900 --module "build/kmod-$kernel/kmod/cubefs.ko" \
  --host-command "exec '$B/tools/minicluster/cfs-minicluster' --dir '$dir' --ip \$CUBEFS_HOST_IP --tiny-ready-ms 0 \
     --volume test:tester:1" -- tests/kernel/pressure.sh --guest "$mib" 2>&1); then
  echo "ok memory-pressure ($(($(date +%s) - start)) s)"
else
  echo "not ok memory-pressure - $out"
  exit 1
fi

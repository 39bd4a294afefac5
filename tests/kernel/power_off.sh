#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Power off: what fsync acknowledged is there after the machine stopped in the middle of everything, without a word.
#   tests/kernel/power_off.sh [stock|newer|debug]
# Breaks: databases. A first guest writes, logs what fsync returned for, and is reset by force while other writes are under
# way; a second one, on the same cluster, compares.
set -u
cd "$(dirname "$0")/../.." || exit 2
B=$PWD/build/release
CFSCTL=$B/tools/cfsctl/cfsctl
MNT=/mnt/cubefs

mounted() {
  local i
  for i in $(seq 100); do curl -sf "http://$CUBEFS_HOST_IP:17010/admin/getIp" >/dev/null && break; sleep 0.2; done
  mkdir -p "$MNT" && "$CFSCTL" mount "test@$CUBEFS_HOST_IP:17010" "$MNT" --owner tester --frontend kernel -q
}

# Nothing here is synced; it only keeps write-back busy.
noise() { while :; do head -c 3000000 /dev/urandom >"$MNT/noise$1"; done; }

# The log gets a line only after fsync of what it tells; it is on the host.
write_and_die() {
  local log=$1/log i sum size
  mounted || exit 1
  noise 1 & noise 2 &
  for i in $(seq 40); do
    size=$((RANDOM * (i % 4 == 0 ? 100 : 1) + 1))
    head -c $size /dev/urandom >/tmp/piece
    sum=$(sha256sum </tmp/piece)
    dd if=/tmp/piece of="$MNT/f$i" bs=256K conv=fsync status=none || exit 1
    echo "f$i $size ${sum%% *}" >>"$log"
    cat /tmp/piece >>/tmp/grown
    dd if=/tmp/piece of="$MNT/grown" bs=256K oflag=append conv=notrunc,fsync status=none || exit 1
    sum=$(sha256sum </tmp/grown)
    echo "grown $(stat -c %s /tmp/grown) ${sum%% *}" >>"$log"
  done
  sync -f "$log"
  echo b >/proc/sysrq-trigger
  sleep 60
}

# Every line holds: so many bytes of the file have this sum.
verify() {
  local name size sum got failed=0 lines=0
  mounted || exit 1
  while read -r name size sum; do
    got=$(head -c "$size" "$MNT/$name" | sha256sum)
    lines=$((lines + 1))
    [ "${got%% *}" = "$sum" ] || { echo "$name: its first $size bytes are not those that fsync acknowledged"; failed=1; }
  done <"$1/log"
  "$CFSCTL" umount "$MNT" || failed=1
  [ $lines = 80 ] || { echo "the log has $lines lines, not 80"; failed=1; }
  return $failed
}

guest() {
  tests/vm/run --kernel "$kernel" --time-limit 300 --bind "$dir" --module "build/kmod-$kernel/kmod/cubefs.ko" \
    --host-command "exec '$B/tools/minicluster/cfs-minicluster' --dir '$dir/cluster' --ip \$CUBEFS_HOST_IP --tiny-ready-ms 0 \
       --volume test:tester" -- tests/kernel/power_off.sh "$@"
}

case ${1:-} in
  --write) write_and_die "$2"; exit 1 ;;
  --verify) verify "$2"; exit ;;
esac
kernel=${1:-stock}
tests/vm/get-kernel "$kernel" && tests/vm/kbuild "$kernel" kmod "build/kmod-$kernel" || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
guest --write "$dir" >"$dir/first" 2>&1
if [ $? != 125 ] || [ ! -s "$dir/log" ]; then
  echo "not ok power-off - the first guest: $(tail -5 "$dir/first")"
  exit 1
fi
if out=$(guest --verify "$dir" 2>&1); then
  echo "ok power-off"
else
  echo "not ok power-off - $out"
  exit 1
fi

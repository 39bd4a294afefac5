#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The metadata benchmark: tmpfs, kernel mounts with and without a policy, FUSE front end; one guest, in turns.
#   tests/bench/meta.sh            ends in a Markdown table; the last column compares with tmpfs
# The mounts: "cached" has rules that grant a lifetime to names, absence and opens; "default" has none, so that an open asks once
# and an absent name each time; "nobpf" asks no policy.
set -eu
cd "$(dirname "$0")/../.."
B=$PWD/build/release

on_host() {
  local dir
  tests/vm/kbuild stock kmod build/kmod-stock >/dev/null
  dir=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$dir'" EXIT
  tests/vm/run --time-limit 1200 --module build/kmod-stock/kmod/cubefs.ko \
    --host-command "exec '$B/tools/minicluster/cfs-minicluster' --dir '$dir' --ip \$CUBEFS_HOST_IP --tiny-ready-ms 0 \
       --volume meta:bench" \
    -- tests/bench/meta.sh --guest
}

in_guest() {
  local cfsctl=$B/tools/cfsctl/cfsctl master=$CUBEFS_HOST_IP:17010 name
  until curl -sf "http://$master/admin/getIp" >/dev/null; do sleep 0.2; done
  [ -e /dev/fuse ] || modprobe fuse
  mkdir -p /mnt/cached /mnt/nobpf /mnt/fuse /mnt/tmpfs/files
  mount -t tmpfs bench /mnt/tmpfs
  "$cfsctl" mount "meta@$master" /mnt/cached --owner bench --frontend kernel >/dev/null
  "$cfsctl" mount "meta@$master" /mnt/nobpf --owner bench --frontend kernel -o nobpf >/dev/null
  "$cfsctl" mount "meta@$master" /mnt/fuse --owner bench --frontend fuse >/dev/null
  until [ -e /sys/fs/bpf/cubefs/policy ]; do sleep 0.2; done
  mkdir /mnt/tmpfs/files
  for name in cached default nobpf fuse; do mkdir "/mnt/cached/$name"; done
  "$cfsctl" policy rule set /mnt/cached/cached --entry 3600 --attr 3600 --absent 3600 --open 3600
  "$B/tests/bench/bench_meta" tmpfs=/mnt/tmpfs/files cached=/mnt/cached/cached default=/mnt/cached/default \
    nobpf=/mnt/nobpf/nobpf fuse=/mnt/fuse/fuse
  for name in fuse nobpf cached; do "$cfsctl" umount "/mnt/$name"; done
}

if [ "${1:-}" = --guest ]; then in_guest; else on_host; fi

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The data benchmark, guest side: mounts both front ends, then measures.
#   tests/bench/guest.sh REPORT_DIR [BENCH_DATA OPTIONS]...
set -eu
cd "$(dirname "$0")/../.."
report=$1
shift
B=$PWD/build/release
MASTER=$CUBEFS_HOST_IP:17010
until curl -sf "http://$MASTER/admin/getIp" >/dev/null; do sleep 0.2; done
mkdir -p /mnt/kernel /mnt/fuse /tmp/tmpfs
"$B/tools/cfsctl/cfsctl" mount "kernel@$MASTER" /mnt/kernel --owner bench --frontend kernel
"$B/tools/cfsctl/cfsctl" mount "fuse@$MASTER" /mnt/fuse --owner bench --frontend fuse
"$B/tests/bench/bench_data" --target fuse=/mnt/fuse --target kernel=/mnt/kernel --target tmpfs=/tmp/tmpfs --baseline fuse \
  --ceiling "kernel@$MASTER" --owner bench --tcp "$CUBEFS_HOST_IP:17999" --json "$report/bench-data.json" "$@" |
  tee "$report/bench-data.md"
"$B/tools/cfsctl/cfsctl" umount /mnt/fuse
"$B/tools/cfsctl/cfsctl" umount /mnt/kernel

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The data benchmark: kernel front end, FUSE front end, tmpfs, raw packets and bare TCP in one guest, interleaved.
#   tests/bench/run.sh [--replicas N] [--report DIR] [BENCH_DATA OPTIONS]...
# Ends in a Markdown table, also left in DIR/bench-data.md with bench-data.json (default: build/bench).
set -eu
cd "$(dirname "$0")/../.."
replicas=1 report=$PWD/build/bench
while [ $# -gt 0 ]; do
  case $1 in
    --replicas) replicas=$2; shift 2 ;;
    --report) report=$2; shift 2 ;;
    --help | -h) sed -n '3,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) break ;;
  esac
done
B=$PWD/build/release
tests/vm/kbuild stock kmod build/kmod-stock >/dev/null
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$report"
report=$(realpath "$report")
tests/vm/run --memory 3G --time-limit 3400 --module build/kmod-stock/kmod/cubefs.ko --bind "$report" \
  --host-command "exec '$B/tools/minicluster/cfs-minicluster' --dir '$dir' --ip \$CUBEFS_HOST_IP --tiny-ready-ms 0 \
     --volume kernel:bench:$replicas --volume fuse:bench:$replicas" \
  --host-command "exec '$B/tests/bench/bench_data' --sink \$CUBEFS_HOST_IP:17999" \
  -- tests/bench/guest.sh "$report" "$@"

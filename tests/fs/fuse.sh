#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The file-system suite on the FUSE front end, natively: mini cluster on loopback, cfsd, FUSE mount, all in a directory of their own.
set -u
cd "$(dirname "$0")/../.." || exit 2
B=${CFS_BUILD:-$PWD/build/release}
CFSCTL=$B/tools/cfsctl/cfsctl
T=$(mktemp -d)
export CFSD_SOCKET=$T/cfsd.sock
PORT=${CFS_TEST_PORT:-27010}
mkdir -p "$T/mnt"
"$B/tools/minicluster/cfs-minicluster" --dir "$T/cluster" --base-port "$PORT" --tiny-ready-ms 0 --volume test:tester \
  --ready-file "$T/ready" >"$T/cluster.log" 2>&1 &
cluster=$!
cleanup() {
  "$CFSCTL" umount "$T/mnt" >/dev/null 2>&1 || fusermount3 -uz "$T/mnt" 2>/dev/null
  [ -f "$T/cfsd.pid" ] && kill "$(cat "$T/cfsd.pid")" 2>/dev/null
  kill "$cluster" 2>/dev/null
  wait "$cluster" 2>/dev/null
  rm -rf "$T"
}
trap cleanup EXIT
for _ in $(seq 100); do [ -e "$T/ready" ] && break; sleep 0.1; done
"$B/daemon/app/cfsd" --socket "$CFSD_SOCKET" --pid-file "$T/cfsd.pid" >"$T/cfsd.log" 2>&1 &
for _ in $(seq 100); do [ -S "$CFSD_SOCKET" ] && break; sleep 0.1; done
if ! "$CFSCTL" mount "test@127.0.0.1:$PORT" "$T/mnt" --owner tester --frontend fuse; then
  echo "not ok fuse-mount - $(tail -5 "$T/cfsd.log")"
  exit 1
fi
echo "ok fuse-mount"
CFS_TEST_DIR=$T/mnt "$B/tests/fs/fs_suite" --gtest_brief=1
rc=$?
if out=$("$B/tests/fs/data_oracle" --ops "${CFS_ORACLE_OPS:-3000}" "$T/mnt" 2>&1); then
  echo "ok fuse-data-oracle"
else
  echo "not ok fuse-data-oracle - $out"
  rc=1
fi
if "$CFSCTL" umount "$T/mnt"; then echo "ok fuse-umount"; else echo "not ok fuse-umount - failed"; rc=1; fi
exit $rc

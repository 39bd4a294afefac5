#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The file-system suite, natively: on the host's own file system (the oracle of the POSIX cases), then on the FUSE front end
# with mini cluster and two daemons on loopback, all in a directory of their own.
#   tests/fs/fuse.sh [gtest arguments of fs_suite]
set -u
cd "$(dirname "$0")/../.." || exit 2
B=${CFS_BUILD:-$PWD/build/release}
CFSCTL=$B/tools/cfsctl/cfsctl
T=$(mktemp -d)
chmod 755 "$T" # other users act in it
rc=0
cleanup() {
  local m
  for m in a b c; do
    CFSD_SOCKET=$T/$m.sock "$CFSCTL" umount "$T/$m" >/dev/null 2>&1 || fusermount3 -uz "$T/$m" 2>/dev/null
    [ -f "$T/$m.pid" ] && kill "$(cat "$T/$m.pid")" 2>/dev/null
  done
  kill "$cluster" 2>/dev/null
  wait "$cluster" 2>/dev/null
  rm -rf "$T"
}

# start_mount NAME [OPTIONS]: a daemon of its own, and with it a mount of the volume
start_mount() {
  export CFSD_SOCKET=$T/$1.sock
  mkdir -p "$T/$1"
  "$B/daemon/app/cfsd" --socket "$CFSD_SOCKET" --pid-file "$T/$1.pid" >"$T/$1.log" 2>&1 &
  for _ in $(seq 100); do [ -S "$CFSD_SOCKET" ] && break; sleep 0.1; done
  if "$CFSCTL" mount "test@$MASTER" "$T/$1" --owner tester --frontend fuse ${2:+-o "$2"}; then
    echo "ok fuse-mount-$1"
  else
    echo "not ok fuse-mount-$1 - $(tail -5 "$T/$1.log")"
    exit 1
  fi
}

"$B/tools/minicluster/cfs-minicluster" --dir "$T/cluster" --base-port 0 --tiny-ready-ms 0 --volume test:tester \
  --ready-file "$T/ready" >"$T/cluster.log" 2>&1 &
cluster=$!
trap cleanup EXIT
mkdir "$T/oracle"
CFS_TEST_DIR=$T/oracle "$B/tests/fs/fs_suite" --gtest_brief=1 --gtest_filter='Posix*' || rc=1
for _ in $(seq 100); do [ -e "$T/ready" ] && break; sleep 0.1; done
MASTER=$(cat "$T/ready") || { echo "not ok cluster - $(tail -5 "$T/cluster.log")"; exit 1; }
start_mount a
start_mount b
# Transcripts count requests: on a mount where no lifetime ends while a busy machine stands still. With arguments, what
# they name runs on the first mount only.
if [ $# -eq 0 ]; then
  set -- --gtest_filter=-Transcripts.*
  start_mount c attrvalid=3600,lookupvalid=3600
  CFS_TEST_DIR=$T/c CFS_ORACLE_DIR=$T/oracle CFS_TEST_MASTER=$MASTER \
    "$B/tests/fs/fs_suite" --gtest_brief=1 --gtest_filter='Transcripts.*' || rc=1
  if CFSD_SOCKET=$T/c.sock "$CFSCTL" umount "$T/c"; then echo "ok fuse-umount-c"; else echo "not ok fuse-umount-c - failed"; rc=1; fi
fi
CFS_TEST_DIR=$T/a CFS_TEST_DIR2=$T/b CFS_ORACLE_DIR=$T/oracle CFS_TEST_MASTER=$MASTER CFS_TEST_DAEMON=$(cat "$T/a.pid") \
  "$B/tests/fs/fs_suite" --gtest_brief=1 "$@" || rc=1
for processes in 1 2; do
  if out=$("$B/tests/fs/data_oracle" --ops "${CFS_ORACLE_OPS:-3000}" --processes $processes "$T/a" 2>&1); then
    echo "ok fuse-data-oracle-$processes"
  else
    echo "not ok fuse-data-oracle-$processes - $out"
    rc=1
  fi
done
for m in b a; do
  if CFSD_SOCKET=$T/$m.sock "$CFSCTL" umount "$T/$m"; then echo "ok fuse-umount-$m"; else echo "not ok fuse-umount-$m - failed"; rc=1; fi
done
exit $rc

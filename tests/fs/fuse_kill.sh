#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# If this fails, a program that waits for a server that is away cannot be killed on a FUSE mount, a signal it handles fails its
# call, or the mount is not usable any more when the server is back.
set -u
cd "$(dirname "$0")/../.." || exit 2
B=${CFS_BUILD:-$PWD/build/release}
CFSCTL=$B/tools/cfsctl/cfsctl
T=$(mktemp -d)
export CFSD_SOCKET=$T/cfsd.sock
PORT=${CFS_TEST_PORT:-27410}
rc=0
mkdir -p "$T/mnt"
"$B/tools/minicluster/cfs-minicluster" --dir "$T/cluster" --base-port "$PORT" --volume test:tester --ready-file "$T/ready" \
  >"$T/cluster.log" 2>&1 &
cluster=$!
cleanup() {
  meta start
  "$CFSCTL" umount "$T/mnt" >/dev/null 2>&1 || fusermount3 -uz "$T/mnt" 2>/dev/null
  [ -f "$T/cfsd.pid" ] && kill "$(cat "$T/cfsd.pid")" 2>/dev/null
  kill "$cluster" 2>/dev/null
  wait "$cluster" 2>/dev/null
  rm -rf "$T"
}
# Hang or start all meta nodes.
meta() {
  for i in 0 1 2; do curl -s "http://127.0.0.1:$PORT/mini/fault?action=$1&role=meta&index=$i" >/dev/null; done
}
check() {  # name, condition already evaluated as $?
  if [ "$2" = 0 ]; then echo "ok $1"; else echo "not ok $1"; rc=1; fi
}
gone_within() {  # pid, tenths of a second
  for _ in $(seq "$2"); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done
  return 1
}
trap cleanup EXIT
for _ in $(seq 100); do [ -e "$T/ready" ] && break; sleep 0.1; done
"$B/daemon/app/cfsd" --socket "$CFSD_SOCKET" --pid-file "$T/cfsd.pid" >"$T/cfsd.log" 2>&1 &
for _ in $(seq 100); do [ -S "$CFSD_SOCKET" ] && break; sleep 0.1; done
"$CFSCTL" mount "test@127.0.0.1:$PORT" "$T/mnt" --owner tester --frontend fuse || { echo "not ok mount"; exit 1; }
echo text >"$T/mnt/file"; mkdir "$T/mnt/dir"; touch "$T/mnt/dir/inside"

meta hang
for sig in TERM KILL; do
  stat "$T/mnt/unknown-$sig" >/dev/null 2>&1 &
  pid=$!
  sleep 0.5
  kill -0 "$pid" 2>/dev/null
  check "$sig-waits" $?
  kill "-$sig" "$pid"
  gone_within "$pid" 30
  check "$sig-kills" $?
  wait "$pid" 2>/dev/null
done
ls "$T/mnt/dir" >/dev/null 2>&1 &
pid=$!
sleep 0.5; kill -9 "$pid"; gone_within "$pid" 30
check "list-killed" $?
# a signal that is handled does not end the call: it succeeds when the servers are back
bash -c 'trap : USR1; exec 3<"$1"; read -r line <&3; [ "$line" = text ]' _ "$T/mnt/file" &
pid=$!
sleep 0.5; kill -USR1 "$pid"; sleep 1
kill -0 "$pid" 2>/dev/null
check "handled-signal-waits" $?
meta start
wait "$pid"
check "handled-signal-succeeds" $?
[ "$(cat "$T/mnt/file")" = text ] && [ "$(ls "$T/mnt/dir")" = inside ]
check "usable-again" $?
"$CFSCTL" umount "$T/mnt"
check "umount" $?
exit $rc

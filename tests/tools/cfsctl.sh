#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cfsctl from outside: every error is one clear line with the right exit code and leaves nothing behind; cluster and daemon
# start and stop. Needs no privilege beyond an own mount namespace for the FUSE part, no kernel module.
# If it fails, a user is left with a wrong or unclear message, or with leftovers.
set -u
cd "$(dirname "$0")/../.." || exit 2
# shellcheck source=tests/lib.sh
. tests/lib.sh
B=${CFS_BUILD:-$PWD/build/release}
CFSCTL=$B/tools/cfsctl/cfsctl
HELPER=$B/tools/cfsctl/mount.cubefs
T=$(mktemp -d)
PORT=${CFS_TEST_PORT:-28010}
export CFSD_SOCKET=$T/cfsd.sock
DIR=$T/cluster
MASTER=127.0.0.1:$PORT
mkdir "$T/mnt" && touch "$T/file"
silent=

cleanup() {
  [ -n "$silent" ] && kill "$silent" 2>/dev/null
  "$CFSCTL" umount -l "$T/mnt" >/dev/null 2>&1
  "$CFSCTL" cluster down --dir "$DIR" >/dev/null 2>&1
  # the daemon that cfsctl started ends by itself, but not while this directory is being removed
  [ -f "$CFSD_SOCKET.lock" ] && kill "$(cat "$CFSD_SOCKET.lock")" 2>/dev/null
  rm -rf "$T"
}
trap cleanup EXIT

ok() { echo "ok $1"; }
not_ok() {
  echo "not ok $1 - ${2//$'\n'/$'\n  '}"
  failed=1
}

# refuses NAME CODE PATTERN COMMAND...: exit code, exactly one line "PROGRAM: what: why; what to do" that matches
refuses() {
  local name=$1 code=$2 pattern=$3 out rc
  shift 3
  out=$("$@" 2>&1 >/dev/null)
  rc=$?
  if [ $rc -ne "$code" ]; then
    not_ok "$name" "exit code $rc, wanted $code: $out"
  elif [ "$(wc -l <<<"$out")" -ne 1 ]; then
    not_ok "$name" "not one line: $out"
  elif ! grep -Eq "^(cfsctl|mount.cubefs): [^:]+.*: .+; .+" <<<"$out"; then
    not_ok "$name" "not of the form 'what: why; what to do': $out"
  elif ! grep -Eq "$pattern" <<<"$out"; then
    not_ok "$name" "does not say '$pattern': $out"
  else
    ok "$name"
    echo "#   $out"
  fi
}

mount_fuse() { "$CFSCTL" mount "$1" "$2" --frontend fuse "${@:3}"; }

# ---- wrong use: nothing is contacted
refuses no-command 2 "subcommand" "$CFSCTL"
refuses unknown-command 2 "wrong use" "$CFSCTL" frobnicate
refuses missing-argument 2 "directory" "$CFSCTL" mount "vol1@$MASTER"
refuses source-without-at 2 "VOLUME@MASTER" mount_fuse vol1 "$T/mnt"
refuses source-without-master 2 "master" mount_fuse vol1@ "$T/mnt"
refuses bad-port 2 "not a master address" mount_fuse vol1@127.0.0.1:99999 "$T/mnt"
refuses bad-volume-name 2 "volume" mount_fuse "v/1@$MASTER" "$T/mnt"
refuses misspelt-option 2 "did you mean 'attrvalid'?" mount_fuse "vol1@$MASTER" "$T/mnt" -o atrvalid=60
refuses unknown-option 2 "unknown option 'colour'" mount_fuse "vol1@$MASTER" "$T/mnt" -o ro,colour=blue
refuses bad-number 2 "attrvalid" mount_fuse "vol1@$MASTER" "$T/mnt" -o attrvalid=soon
refuses bad-frontend 2 "auto, kernel or fuse" "$CFSCTL" mount "vol1@$MASTER" "$T/mnt" --frontend floppy
refuses too-many-replicas 2 "replicas" "$CFSCTL" cluster up --dir "$DIR" --replicas 3 --datanodes 1
for command in "" mount umount mounts status stats requests module "module load" cluster "cluster up" version top trace profile doctor bench report log-level latency policy warm cache "cache show" "cache drop" "cache stats"; do
  # shellcheck disable=SC2086
  check "help-${command:-cfsctl}" sh -c "\"$CFSCTL\" $command --help | grep -q ."
done
for command in mount umount mounts status stats requests module cluster version top trace profile doctor bench report log-level latency policy warm cache; do
  check "help-example-$command" sh -c "\"$CFSCTL\" $command --help | grep -q '^  cfsctl $command'"
done

# only what is named is described
refuses value-named-like-a-command 3 "cfsd is not running" "$CFSCTL" --socket mount status

# ---- the place
refuses missing-directory 1 "does not exist; create it" mount_fuse "vol1@$MASTER" "$T/none"
refuses not-a-directory 1 "not a directory" mount_fuse "vol1@$MASTER" "$T/file"
refuses umount-not-mounted 1 "not a mount of CubeFS" "$CFSCTL" umount "$T/mnt"
refuses warm-not-mounted 1 "not on a mount of CubeFS" "$CFSCTL" warm "$T/mnt"
refuses warm-missing 1 "No such file" "$CFSCTL" warm "$T/none"
refuses warm-no-jobs 2 "jobs" "$CFSCTL" warm --jobs 0 "$T/mnt"
refuses cache-no-verb 2 "subcommand" "$CFSCTL" cache
refuses stats-not-mounted 1 "not a mount of CubeFS" "$CFSCTL" stats "$T/mnt"

# ---- no daemon, no module
refuses status-no-daemon 3 "cfsd is not running" "$CFSCTL" status
refuses requests-no-daemon 3 "cfsd is not running" "$CFSCTL" requests
for command in top trace profile "log-level debug"; do
  # shellcheck disable=SC2086
  refuses "${command%% *}-no-daemon" 3 "cfsd is not running" "$CFSCTL" $command
done
check doctor-no-daemon sh -c "\"$CFSCTL\" doctor --json >'$T/doctor'; [ \$? = 1 ] && grep -q 'cfsd is not running' '$T/doctor'"
refuses trace-bad-latency 2 "'soon' is no latency" "$CFSCTL" trace --slow soon
refuses bench-not-mounted 1 "not a mount of CubeFS" "$CFSCTL" bench "$T/mnt"
check mounts-no-daemon "$CFSCTL" mounts
check version-no-daemon sh -c "\"$CFSCTL\" version | grep -q 'not running'"
refuses cluster-status-none 3 "no cluster is running" "$CFSCTL" cluster status --dir "$DIR"
refuses cluster-down-none 3 "none is running" "$CFSCTL" cluster down --dir "$DIR"
if [ ! -e /sys/module/cubefs ] && ! modprobe -nq cubefs 2>/dev/null; then
  refuses kernel-no-module 3 "module is not loaded.*--frontend fuse" \
    "$CFSCTL" mount "vol1@$MASTER" "$T/mnt" --frontend kernel
  for command in "show $T/mnt" "drop $T/mnt" stats; do
    # shellcheck disable=SC2086
    refuses "cache-${command%% *}-no-module" 3 "module is not loaded" "$CFSCTL" cache $command
  done
  check module-status-absent sh -c "\"$CFSCTL\" module status; test \$? = 3"
fi
if command -v setpriv >/dev/null && [ "$(id -u)" = 0 ]; then
  chmod 755 "$T"
  refuses kernel-no-privilege 1 "CAP_SYS_ADMIN; run it as root" \
    setpriv --reuid 65534 --clear-groups "$CFSCTL" mount "vol1@$MASTER" "$T/mnt" --frontend kernel
fi

# ---- a cluster
check cluster-up "$CFSCTL" cluster up --dir "$DIR" --base-port "$PORT" --volume vol1:alice
refuses cluster-up-twice 1 "one is running" "$CFSCTL" cluster up --dir "$DIR" --base-port "$PORT"
check cluster-status sh -c "\"$CFSCTL\" cluster status --dir '$DIR' | grep -c 'data node .*up' | grep -qx 3"
check cluster-status-json sh -c "\"$CFSCTL\" cluster status --dir '$DIR' --json | python3 -m json.tool"
check volume-create "$CFSCTL" cluster volume create vol2 --owner bob --replicas 1 --dir "$DIR"
refuses volume-create-twice 1 "cannot create volume vol2" "$CFSCTL" cluster volume create vol2 --owner bob --dir "$DIR"
check volume-list sh -c "\"$CFSCTL\" cluster volume list --master $MASTER | grep -q '^vol2 *bob'"

# ---- what can be wrong with a mount
refuses unknown-volume 1 "nosuch" mount_fuse "nosuch@$MASTER" "$T/mnt" --owner alice
refuses wrong-owner 1 "owner" mount_fuse "vol1@$MASTER" "$T/mnt" --owner mallory
refuses missing-subdir 1 "sub-directory ./nodir. does not exist" mount_fuse "vol1@$MASTER:/nodir" "$T/mnt" --owner alice
refuses wrong-master 1 "127.0.0.1:1\b" mount_fuse vol1@127.0.0.1:1 "$T/mnt" --owner alice
check daemon-was-started "$CFSCTL" status
check status-json sh -c "\"$CFSCTL\" status --json | python3 -m json.tool"
check version-json sh -c "\"$CFSCTL\" version --json | python3 -m json.tool"
refuses helper-unknown-option 1 "unknown option 'colour'" "$HELPER" "vol1@$MASTER" "$T/mnt" -o colour
refuses helper-unknown-volume 32 "nosuch" "$HELPER" "nosuch@$MASTER" "$T/mnt" -o rw,owner=alice,frontend=fuse
refuses helper-usage 1 "SOURCE DIRECTORY" "$HELPER" "vol1@$MASTER"
check helper-fake "$HELPER" "vol1@$MASTER" "$T/mnt" -f -o frontend=fuse
curl -sf "http://$MASTER/admin/createVol?name=cold&owner=alice&capacity=10&volType=1" >/dev/null
refuses erasure-coded-volume 1 "erasure|blobstore|cold|not supported" mount_fuse "cold@$MASTER" "$T/mnt" --owner alice
check nothing-mounted sh -c "! grep -q ' $T/mnt ' /proc/mounts"
# other mounts of this host are unknown to this daemon
check no-session-left sh -c "! \"$CFSCTL\" mounts | grep -E 'ready|waiting'"

# ---- a master that accepts and says nothing
python3 -c '
import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(16)
open(sys.argv[1], "w").write(str(s.getsockname()[1])); time.sleep(600)' "$T/silent" &
silent=$!
for _ in $(seq 100); do [ -s "$T/silent" ] && break; sleep 0.05; done
refuses silent-master 1 "$(cat "$T/silent")" mount_fuse "vol1@127.0.0.1:$(cat "$T/silent")" "$T/mnt" --owner alice

# ---- a mount, where FUSE is available
if "$CFSCTL" mount "vol1@$MASTER" "$T/mnt" --owner alice --frontend fuse >"$T/out" 2>&1; then
  ok fuse-mount
  check mount-says-how grep -q "is mounted on $T/mnt (FUSE" "$T/out"
  refuses already-mounted 1 "already a mount of vol1@$MASTER" mount_fuse "vol1@$MASTER" "$T/mnt" --owner alice
  check mounts-shows sh -c "\"$CFSCTL\" mounts | grep -q 'vol1@$MASTER *$T/mnt *fuse *ready'"
  check stats "$CFSCTL" stats "$T/mnt"
  check stats-json sh -c "\"$CFSCTL\" stats '$T/mnt' --json | python3 -m json.tool"
  check requests-json sh -c "\"$CFSCTL\" requests --json | python3 -m json.tool"
  mkdir -p "$T/mnt/w/a/b" && echo 12345 >"$T/mnt/w/a/f" && ln -s a "$T/mnt/w/link"
  check warm sh -c "\"$CFSCTL\" warm '$T/mnt/w' | grep -q '^4 names in 3 directories, [0-9]* names/s$'"
  check warm-data-json sh -c "\"$CFSCTL\" warm --data --jobs 1 --json '$T/mnt/w' '$T/mnt/w/a/f' | python3 -c '
import json, sys
w = json.load(sys.stdin)
assert (w[\"names\"], w[\"directories\"], w[\"files_read\"], w[\"read_bytes\"], w[\"errors\"]) == (5, 3, 2, 12, 0), w'"
  ( cd "$T/mnt" && exec sleep 20 ) & user=$!
  sleep 0.3
  refuses umount-busy 1 "in use" "$CFSCTL" umount "$T/mnt"
  kill $user; wait $user 2>/dev/null
  check umount "$CFSCTL" umount "$T/mnt"
  check unmounted sh -c "! grep -q ' $T/mnt ' /proc/mounts"
else
  not_ok fuse-mount "$(cat "$T/out")"
fi

# ---- the daemon ends by itself
auto_exit() {
  for _ in $(seq 150); do
    "$CFSCTL" status >/dev/null 2>&1 || return 0
    sleep 0.1
  done
  return 1
}
if grep -q "is mounted" "$T/out" 2>/dev/null; then check auto-exit auto_exit; fi
check cluster-down "$CFSCTL" cluster down --dir "$DIR"
refuses cluster-down-again 3 "none is running" "$CFSCTL" cluster down --dir "$DIR"
exit $failed

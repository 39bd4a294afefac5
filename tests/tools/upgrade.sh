#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cfsctl upgrade without the module: the next daemon follows, a bad binary changes nothing or is given up, FUSE mounts are not
# ended unasked, the service manager learns the new process. Under load, with the module: survives-upgrades in
# tests/kernel/suite.sh. If it fails, an upgrade leaves a host without its daemon.
set -u
cd "$(dirname "$0")/../.." || exit 2
# shellcheck source=tests/lib.sh
. tests/lib.sh
B=${CFS_BUILD:-$PWD/build/release}
CFSCTL=$B/tools/cfsctl/cfsctl
T=$(mktemp -d)
export CFSD_SOCKET=$T/cfsd.sock
MASTER=127.0.0.1:${CFS_TEST_PORT:-28510}
mkdir "$T/mnt"
manager=

running() { "$CFSCTL" status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["pid"])'; }
cleanup() {
  "$CFSCTL" umount -l "$T/mnt" >/dev/null 2>&1
  "$CFSCTL" cluster down --dir "$T/cluster" >/dev/null 2>&1
  [ -n "$manager" ] && kill "$manager" 2>/dev/null
  local pid
  pid=$(running 2>/dev/null) && kill "$pid" && until_ok 10 sh -c "! kill -0 $pid 2>/dev/null"
  rm -rf "$T"
}
trap cleanup EXIT

# A copy, so that the file can be replaced.
cp "$B/daemon/app/cfsd" "$T/cfsd"

# script NAME TEXT: a binary that is none
script() { printf '#!/bin/bash\nread -r link lock old <<<"$CFSD_TAKEOVER"\n%s\n' "$2" >"$T/$1" && chmod 755 "$T/$1"; }
script dies 'exit 1'
script says 'echo "failed: no such luck" >&$link; exit 1'
script dies_late 'echo prepared >&$link; read -r go <&$link; exit 1'
script says_late 'echo prepared >&$link; head -c 12 <&$link >/dev/null; echo "failed: no such luck" >&$link; sleep 1'

# A service manager: what it is told, a line each.
python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1])
with open(sys.argv[2], "w", buffering=1) as out:
    while True: out.write(s.recv(4096).decode() + "\n")' "$T/notify" "$T/told" &
manager=$!
until_ok 10 test -S "$T/notify"

start() { NOTIFY_SOCKET=$T/notify "$T/cfsd" --socket "$CFSD_SOCKET" --log-file "$T/log" --no-policy; }

follows() {
  local before after
  before=$(running) && "$CFSCTL" upgrade "$@" || return 1
  after=$(running) && [ "$before" != "$after" ] || return 1
  until_ok 10 sh -c "! kill -0 $before 2>/dev/null" || { echo "the former one stays"; return 1; }
  [ "$(cat "$CFSD_SOCKET.lock")" = "$after" ]
}
follows_replaced_file() {
  rm "$T/cfsd" && cp "$B/daemon/app/cfsd" "$T/cfsd" || return 1
  follows && [ "$(readlink "/proc/$(running)/exe")" = "$T/cfsd" ]
}
manager_knows() { until_ok 5 grep -qx "MAINPID=$(running)" "$T/told" && ! grep -q STOPPING "$T/told"; }
# keeps BINARY PATTERN: the upgrade fails and says so, the same process serves
keeps() {
  local before out
  before=$(running)
  out=$("$CFSCTL" upgrade --binary "$1" 2>&1) && { echo "succeeded"; return 1; }
  grep -Eq "^cfsctl: cannot upgrade: .*$2.*; .+" <<<"$out" || { echo "$out"; return 1; }
  [ "$(running)" = "$before" ]
}
# comes_back BINARY PATTERN: the old one has stopped when the new one fails: it is started again
comes_back() {
  local out
  out=$("$CFSCTL" upgrade --binary "$1" 2>&1) && { echo "succeeded"; return 1; }
  grep -Eq "^cfsctl: cannot upgrade: .*$2.*; the old binary was started again" <<<"$out" || { echo "$out"; return 1; }
  "$CFSCTL" status
}
json_tells() { "$CFSCTL" upgrade --json | python3 -c 'import json,sys; r=json.load(sys.stdin); assert r["without_daemon_us"] > 0 and r["pid"] != r["from_pid"]'; }

# no descriptor is left behind by an upgrade
many() {
  local files
  files=$(find "/proc/$(running)/fd" -lname "$T/*" | wc -l)
  for _ in 1 2 3 4; do follows || return 1; done
  [ "$(find "/proc/$(running)/fd" -lname "$T/*" | wc -l)" = "$files" ]
}
# orphan WORDS: a new daemon whose old one says so much and dies. Prints whether it serves.
orphan() {
  python3 - "$T" "$1" <<'PY'
import fcntl, os, socket, subprocess, sys, time
t, words = sys.argv[1:]
ours, theirs = socket.socketpair()
lock = open(t + "/orphan.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
env = dict(os.environ, CFSD_TAKEOVER=f"{theirs.fileno()} {lock.fileno()} {os.getpid()}")
new = subprocess.Popen([t + "/cfsd", "--socket", t + "/orphan", "--log-file", t + "/log", "--no-policy"],
                       env=env, pass_fds=(theirs.fileno(), lock.fileno()), stderr=subprocess.DEVNULL)
theirs.close()
assert ours.recv(64) == b"prepared\n"
ours.sendall(words.encode())
ours.close()
while new.poll() is None and not os.path.exists(t + "/orphan"): time.sleep(0.05)
print("serves" if new.poll() is None else "ends")
new.terminate()
new.wait()
PY
}
fuse_refused() {
  "$CFSCTL" mount "vol1@$MASTER" "$T/mnt" --owner alice --frontend fuse >/dev/null || return 1
  keeps "$T/cfsd" 'FUSE mounts' && grep -q " $T/mnt " /proc/mounts && follows --force && ! grep -q " $T/mnt " /proc/mounts
}

no_daemon() { local out; out=$("$CFSCTL" upgrade 2>&1); [ $? = 3 ] && grep -q 'cfsd is not running' <<<"$out"; }

check upgrade-no-daemon no_daemon
check upgrade-help sh -c "\"$CFSCTL\" upgrade --help | grep -q 'cfsctl upgrade --binary'"
check start start
check upgrade-follows follows
check upgrade-tells-the-manager manager_knows
check upgrade-replaced-file follows_replaced_file
check upgrade-other-binary follows --binary "$B/daemon/app/cfsd"
check upgrade-json json_tells
check upgrade-no-such-file keeps "$T/nothing" 'No such file'
check upgrade-dies keeps "$T/dies" 'ended while it started'
check upgrade-says-why keeps "$T/says" 'no such luck'
check upgrade-dies-late comes_back "$T/dies_late" 'ended while it started'
check upgrade-says-why-late comes_back "$T/says_late" 'no such luck'
check upgrade-after-failure follows --binary "$T/cfsd"
check upgrade-old-dies-before test "$(orphan '')" = ends
check upgrade-old-dies-while-stopping test "$(orphan 'stopping 1
')" = serves
check upgrade-leaves-nothing-open many
check cluster-up "$CFSCTL" cluster up --dir "$T/cluster" --base-port "${MASTER#*:}" --volume vol1:alice
check upgrade-fuse-refused fuse_refused
exit $failed

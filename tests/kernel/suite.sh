#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside the guest (module loaded, mini cluster at $CUBEFS_HOST_IP). Each check prints "ok NAME" or "not ok NAME - why".
#   tests/kernel/suite.sh [--short|--fs FILTER|--cache [FILTER]|--observe|--upgrade|--systemd|--fsc|--soak|--recovery|--page DIRECTORY]
# --short: fewer random operations, for the debug kernel; --fs: only these tests of fs_suite (NfsExport: tests/kernel/nfs.sh);
# --cache: only those of the metadata cache; --observe: only the tools that watch; --upgrade: only upgrades under load; --systemd: only the unit file and fstab; --fsc: only the local cache;
# --soak: $CFS_ORACLE_OPS random operations twice, then $CFS_OUTAGE_CYCLES random faults under load; --recovery: how long work pauses; --page: only the status page (tests/kernel/page.sh)
set -u
cd "$(dirname "$0")/../.." || exit 2
B=$PWD/build/release
CFSCTL=$B/tools/cfsctl/cfsctl
MASTER=$CUBEFS_HOST_IP:17010
MNT=/mnt/cubefs
METRICS=127.0.0.1:9494
MNT2=/mnt/second
SHORT=0
[ "${1:-}" = --short ] && SHORT=1
# shellcheck source=tests/lib.sh
. tests/lib.sh

# mount_volume VOLUME DIRECTORY [OPTIONS]
mount_volume() { mkdir -p "$2" && "$CFSCTL" mount "$1@$MASTER" "$2" --owner tester --frontend kernel ${3:+-o "$3"}; }
umount_volume() { "$CFSCTL" umount "$1"; }

shows_mount() {
  grep -q "^test@$MASTER.* $MNT cubefs " /proc/mounts || { cat /proc/mounts; return 1; }
  df "$MNT" | tail -1 | awk '{exit !($2 > 0 && $3 <= $2)}' || { df "$MNT"; return 1; }
  [ "$(stat -f -c %T "$MNT")" != "" ] && [ "$(stat -c %F "$MNT")" = directory ]
}

busy_refused() { ! rmmod cubefs 2>/dev/null; }

persists() {
  echo persistent >"$MNT/persist" && umount_volume "$MNT" && mount_volume test "$MNT" >/dev/null && [ "$(cat "$MNT/persist")" = persistent ]
}

# Writes, renames, reads and removes N files in a new directory; any error ends it.
file_load() {
  local i
  for i in $(seq "$2"); do
    head -c 20000 /dev/urandom >"$1/f$i" || return 1
    mv "$1/f$i" "$1/g$i" || return 1
    cmp "$1/g$i" "$1/g$i" || return 1
    rm "$1/g$i" || return 1
  done
}

# The daemon is replaced again and again under load; nothing fails, every upgrade says how long nobody served.
survives_upgrades() {
  local d=$MNT/upgrade i pid times=20 longest=0 us
  [ $SHORT = 0 ] || times=4
  mkdir -p "$d" || return 1
  (while [ ! -e /tmp/upgraded ]; do file_load "$d" 3 || exit 1; done) &
  pid=$!
  for ((i = 0; i < times; i++)); do
    us=$("$CFSCTL" upgrade --json | awk -F'[:,]' '/"without_daemon_us"/ {print $2 + 0}')
    [ "${us:-0}" -gt 0 ] || { echo "upgrade $i failed"; touch /tmp/upgraded; wait "$pid"; return 1; }
    [ "$us" -le "$longest" ] || longest=$us
    kill -0 "$pid" || { echo "an operation failed at upgrade $i"; return 1; }
  done
  touch /tmp/upgraded
  wait "$pid" || return 1
  echo "# $times upgrades, at most $longest us without a daemon" >&3
  [ -z "$(ls -A "$d")" ] && rmdir "$d"
}

# A default policy of an unknown build is replaced by the next daemon's own; another program stays.
policy_follows_the_build() {
  local stamp=/sys/fs/bpf/cubefs/build
  until_ok 30 test -e $stamp || return 1
  rm $stamp && "$CFSCTL" upgrade && until_ok 30 test -e $stamp || return 1
  "$CFSCTL" policy load training_set && rm $stamp && "$CFSCTL" upgrade && until_ok 30 "$CFSCTL" latency || return 1
  [ ! -e $stamp ] && "$CFSCTL" policy load meta_cache && test -e $stamp
}

# The daemon is killed while a process writes, reads and makes files; the next one takes over; nothing fails.
survives_kill() {
  local d=$MNT/kill i pid
  mkdir -p "$d" || return 1
  file_load "$d" "$([ $SHORT = 1 ] && echo 15 || echo 60)" &
  pid=$!
  for i in 1 2 3; do
    sleep 1
    pkill -9 -x cfsd
    until_ok 10 sh -c '! pgrep -x cfsd' && start_daemon || return 1
  done
  wait "$pid" || return 1
  [ -z "$(ls -A "$d")" ] && rmdir "$d"
}

start_daemon() {
  setsid "$B/daemon/app/cfsd" --metrics "$METRICS" </dev/null >/tmp/cfsd.log 2>&1 &
  until_ok 30 "$CFSCTL" status
}

# With no daemon a blocked caller can be killed, and the daemon's return lets the rest go on.
killable_without_daemon() {
  pkill -9 -x cfsd
  until_ok 5 sh -c '! pgrep -x cfsd'
  stat "$MNT/never-seen-$RANDOM" >/dev/null 2>&1 &
  local victim=$!
  sleep 0.5
  kill -0 $victim 2>/dev/null || return 1
  kill -9 $victim
  until_ok 5 sh -c "! kill -0 $victim 2>/dev/null" || return 1
  wait $victim 2>/dev/null
  stat "$MNT/persist" >/dev/null 2>&1 &
  local waiter=$!
  start_daemon || return 1
  wait $waiter
}

forced_umount_without_daemon() {
  mount_volume single /mnt/forced >/dev/null || return 1
  echo x >/mnt/forced/f && sync
  pkill -9 -x cfsd
  until_ok 5 sh -c '! pgrep -x cfsd'
  timeout 20 umount -f /mnt/forced || return 1
  start_daemon
}

lookups_counted() { "$CFSCTL" latency | awk '$1 == "lookup" {n = $2} END {print n + 0}'; }

# The BPF program sees each request. It is loaded in the background; with none attached `latency` fails and says why.
bpf_counts() {
  local before after i
  until_ok 60 "$CFSCTL" latency || { "$CFSCTL" latency; return 1; }
  before=$(lookups_counted)
  for i in 1 2 3 4 5; do stat "$MNT/not-there-$RANDOM-$i" >/dev/null 2>&1; done
  after=$(lookups_counted)
  [ $((after - before)) -ge 5 ] || { echo "5 names were looked up, counted were $before, then $after"; return 1; }
}

no_requests_left() { [ ! -e /proc/fs/netfs/requests ] || ! grep -q '[0-9]' <(tail -n +3 /proc/fs/netfs/requests); }

unloads() {
  umount_volume "$MNT" || return 1
  policy_gone || { echo "the last unmount left the pins"; return 1; }
  "$CFSCTL" module unload || return 1
  ! grep -q '^cubefs ' /proc/modules
}

# The metadata cache; with "nobpf" on a mount that does without, which must behave the same but for the questions it asks.
cache_tests() {
  local at=$MNT
  [ "$1" = bpf ] || at=/mnt/nobpf
  CFS_TEST_DIR=$at CFS_NO_POLICY=$([ "$1" = bpf ] || echo 1) CFS_CFSCTL=$CFSCTL CFS_BAD_POLICY=$B/bpf/refused_policy.full.o \
    "$B/tests/kernel/cache_test" --gtest_brief=1 --gtest_filter="${2:-*}"
}
# peers_tests FILTER [OPTION]: two kernel mounts of the volume, each as the one that changes; one with that mount option.
peers_tests() {
  check mount-peer mount_volume test /mnt/peer "attrvalid=600,lookupvalid=600${2:+,$2}"
  CFS_TEST_PEER=/mnt/peer CFS_CFSCTL=$CFSCTL "$B/tests/kernel/peers_test" --gtest_brief=1 --gtest_filter="$1" || failed=1
  check umount-peer umount_volume /mnt/peer
}
WITHOUT_POLICY='*:-*Absence*:*OtherNames*'
verifier_costs() { CFS_BPF_DIR=$B/bpf "$B/tests/kernel/verifier_test" --gtest_brief=1; }
mount_without_policy() {
  mkdir -p /mnt/nobpf && "$CFSCTL" mount "test@$MASTER" /mnt/nobpf --owner tester --frontend kernel -o nobpf >/dev/null &&
    grep -q ' /mnt/nobpf cubefs .*nobpf' /proc/mounts
}

policy_pinned() { [ -e /sys/fs/bpf/cubefs/policy ]; }
policy_gone() { ! policy_pinned; }

upcalls() { "$CFSCTL" stats "$MNT" --json | awk -F'[:,]' '/"(lookup|getattr)":/ {n += $2} END {print n}'; }

# Names and attributes come from the maps while no daemon runs; the next one finds the policy and its maps and goes on filling
# them.
hits_without_daemon() {
  local i id before
  mkdir -p "$MNT/known" && touch "$MNT/known/a" "$MNT/known/b" || return 1
  "$CFSCTL" policy rule set "$MNT/known" --entry 600 --attr 600 --open 600 || return 1
  "$CFSCTL" policy rule set "$MNT" --entry 600 --attr 600 || return 1
  for i in 1 2; do echo 2 >/proc/sys/vm/drop_caches; stat "$MNT/known/a" "$MNT/known/b" >/dev/null || return 1; done
  id=$(stat -c %i /sys/fs/bpf/cubefs/policy)
  pkill -9 -x cfsd
  until_ok 5 sh -c '! pgrep -x cfsd' || return 1
  for i in 1 2 3; do echo 2 >/proc/sys/vm/drop_caches; done
  timeout 10 stat "$MNT/known/a" "$MNT/known/b" >/dev/null || { echo "asked a daemon"; return 1; }
  start_daemon || return 1
  [ "$(stat -c %i /sys/fs/bpf/cubefs/policy)" = "$id" ] || { echo "the policy was loaded again"; return 1; }
  touch "$MNT/known/c" && stat "$MNT/known/c" >/dev/null
  for i in 1 2 3; do echo 2 >/proc/sys/vm/drop_caches; done
  until_ok 10 fills_again || { echo "the new daemon does not fill the maps"; return 1; }
  rm -r "$MNT/known" && "$CFSCTL" policy rule drop "$MNT"
}
fills_again() {
  local i before
  stat "$MNT/known/c" >/dev/null
  for i in 1 2 3; do echo 2 >/proc/sys/vm/drop_caches; done
  before=$(upcalls)
  stat "$MNT/known/c" >/dev/null
  [ "$(upcalls)" = "$before" ]
}

# The oracle of the random trees.
oracle() { mkdir -p /mnt/oracle && mount -t tmpfs oracle /mnt/oracle; }

# The other host of the consistency tests: the FUSE front end, which shares no cache with the module.
second_mount() {
  [ -e /dev/fuse ] || modprobe fuse
  mkdir -p "$MNT2" && "$CFSCTL" mount "test@$MASTER" "$MNT2" --owner tester --frontend fuse
}

curl_ready() { until_ok 30 curl -sf "http://$MASTER/admin/getIp"; }

check cluster-up curl_ready
if [ "${1:-}" = --observe ]; then
  check daemon start_daemon
  check mount mount_volume test "$MNT"
  check bpf-trace-counts bpf_counts
  tests/kernel/observe.sh "$CFSCTL" "$MNT" "$METRICS" || failed=1
  check umount-and-unload unloads
  exit $failed
fi
if [ "${1:-}" = --systemd ]; then
  tests/kernel/systemd.sh || failed=1
  check unload "$CFSCTL" module unload
  exit $failed
fi
if [ "${1:-}" = --page ]; then
  check daemon start_daemon
  check mount mount_volume test "$MNT"
  check bpf-trace-counts bpf_counts
  tests/kernel/page.sh guest "$2" "$MNT" "$METRICS" || failed=1
  check umount-and-unload unloads
  exit $failed
fi
check mount mount_volume test "$MNT"
check mount-shown shows_mount
check rmmod-refused-while-mounted busy_refused
check bpf-trace-counts bpf_counts
export CFS_TEST_DIR=$MNT
export CFS_TEST_MASTER=$MASTER
check oracle oracle
check second-mount second_mount
export CFS_ORACLE_DIR=/mnt/oracle CFS_TEST_DIR2=$MNT2 CFS_HUGE_ENTRIES=30000
CFS_TEST_DAEMON=$(pgrep -o -x cfsd)
export CFS_TEST_DAEMON
# Transcripts count requests: on a mount where no lifetime ends while this emulated machine stands still.
NOT_HERE='Transcripts.*'
transcripts() {
  # without a policy, whose prefetches are not requests of an operation
  check long-mount mount_volume test /mnt/long attrvalid=3600,lookupvalid=3600,nobpf
  CFS_TEST_DIR=/mnt/long "$B/tests/fs/fs_suite" --gtest_brief=1 --gtest_filter='Transcripts.*' || failed=1
  check long-umount umount_volume /mnt/long
}
# Two mounts of the module: two superblocks, so that names, attributes, pages and extent maps are cached apart; one daemon.
pair_of_kernel_mounts() {
  check pair-mount mount_volume test /mnt/pair
  CFS_TEST_DIR2=/mnt/pair "$B/tests/fs/fs_suite" --gtest_brief=1 --gtest_filter="$1" || failed=1
  check pair-umount umount_volume /mnt/pair
}
remount() { umount_volume "$MNT" && mount_volume test "$MNT"; }
nfs_export() {
  export -f mount_volume umount_volume remount
  export CFSCTL MASTER MNT
  tests/kernel/nfs.sh "$MNT" bash -c remount || failed=1
}
# The two-mount tests again with the kernel mount as the other host, which sees what the first one does.
kernel_watches() { CFS_TEST_DIR=$MNT2 CFS_TEST_DIR2=$MNT "$B/tests/fs/fs_suite" --gtest_brief=1 --gtest_filter="$1"; }
if [ "${1:-}" = --cache ]; then
  check policy-is-pinned until_ok 20 policy_pinned
  verifier_costs || failed=1
  check mount-nobpf mount_without_policy
  cache_tests bpf "${2:-*}" || failed=1
  [ -n "${2:-}" ] || cache_tests nobpf 'Cache.*' || failed=1
  peers_tests "${2:-*}"
  peers_tests "${2:-$WITHOUT_POLICY}" nobpf
  check umount-nobpf umount_volume /mnt/nobpf
  check second-umount umount_volume "$MNT2"
  check cache-hits-without-daemon hits_without_daemon
  check umount-and-unload unloads
  exit $failed
fi
if [ "${1:-}" = --upgrade ]; then
  check second-umount umount_volume "$MNT2"
  check survives-upgrades survives_upgrades 3>&1
  check policy-follows-the-build policy_follows_the_build
  check bpf-trace-counts-again bpf_counts
  check umount-and-unload unloads
  exit $failed
fi
local_cache() { tests/kernel/fsc.sh "$CFSCTL" "$MASTER" "$1" "$B/tests/fs/data_oracle"; }
if [ "${1:-}" = --fsc ]; then
  local_cache "$MNT2" || failed=1
  check second-umount umount_volume "$MNT2"
  check no-requests-left no_requests_left
  check umount-and-unload unloads
  exit $failed
fi
if [ "${1:-}" = --soak ]; then
  check second-umount umount_volume "$MNT2"
  check data-oracle "$B/tests/fs/data_oracle" --ops "${CFS_ORACLE_OPS:-80000}" "$MNT"
  check data-oracle-two-processes "$B/tests/fs/data_oracle" --ops "${CFS_ORACLE_OPS:-80000}" --processes 2 "$MNT"
  export CFS_OUTAGE_CYCLES=${CFS_OUTAGE_CYCLES:-200}
  CFS_CFSD=$B/daemon/app/cfsd CFS_CFSCTL=$CFSCTL "$B/tests/kernel/outage_test" --gtest_brief=1 --gtest_filter='*RandomFaults:*BlackHoleOfAMinute' || failed=1
  check umount-and-unload unloads
  exit $failed
fi
if [ "${1:-}" = --recovery ]; then
  check second-umount umount_volume "$MNT2"
  # What is executed meanwhile, from memory: of the guest's root, the host sends every page anew when a file is opened again.
  mkdir /tmp/local
  strip -o /tmp/local/cfsd "$B/daemon/app/cfsd"
  cp -L "$(command -v tc)" "$(command -v ip)" /tmp/local
  ldd /tmp/local/* | awk '$3 ~ "^/" { print $3 }' | sort -u | xargs cp -L -t /tmp/local
  PATH=/tmp/local:$PATH LD_LIBRARY_PATH=/tmp/local CFS_CFSD=/tmp/local/cfsd CFS_CFSCTL=$CFSCTL \
    "$B/tests/kernel/recovery" --gtest_brief=1 || failed=1
  check umount-and-unload unloads
  exit $failed
fi
if [ "${1:-}" = --fs ]; then
  [[ $2 != *Transcripts* ]] || transcripts
  CFS_TREE_OPS=150 CFS_DIR_ENTRIES=3000 "$B/tests/fs/fs_suite" --gtest_brief=1 --gtest_filter="$2:-$NOT_HERE" || failed=1
  [[ $2 != *TwoMounts* ]] || kernel_watches "$2" || failed=1
  [[ $2 != *TwoMounts* ]] || pair_of_kernel_mounts "$2"
  [[ $2 != *NfsExport* ]] || nfs_export
  check second-umount umount_volume "$MNT2"
  check umount-and-unload unloads
  exit $failed
fi
# What the debug kernel leaves to the stock one: many calls that end in the VFS, and large directories.
LONG_TESTS='Names.ReaddirManyEntries:Names.DeepTree:Data.Large:PosixPath.*:PosixPerm.*Modes:PosixNames.RenameEachOverEach:Directory.*:HugeDirectory.*:TwoMounts.*:Tree.Against*'
if [ $SHORT = 1 ]; then
  CFS_FSX_OPS=150 CFS_TREE_OPS=40 "$B/tests/fs/fs_suite" --gtest_brief=1 --gtest_filter="-$NOT_HERE:$LONG_TESTS" || failed=1
  "$B/tests/kernel/data_test" --gtest_brief=1 --gtest_filter='*.RefusedAppendsMove:*.SmallFileWithoutTinySlots:*.ReadsTryOtherReplicas:*.ConflictWritesElsewhere' || failed=1
  kernel_watches 'TwoMounts.OpenSees*' || failed=1
else
  CFS_TREE_OPS=150 CFS_DIR_ENTRIES=3000 "$B/tests/fs/fs_suite" --gtest_brief=1 --gtest_filter="-$NOT_HERE" || failed=1
  kernel_watches 'TwoMounts.*' || failed=1
  pair_of_kernel_mounts 'TwoMounts.*:Tree.EightThreadsOverTwoMounts-TwoMounts.AttributesCome*'
  transcripts
  nfs_export
  local_cache "$MNT2" || failed=1
  for seed in 1 2 3; do
    CFS_FSX_SEED=$seed CFS_FSX_OPS=600 "$B/tests/fs/fs_suite" --gtest_brief=1 --gtest_filter='Random.AgainstModel' || failed=1
  done
  "$B/tests/kernel/data_test" --gtest_brief=1 || failed=1
fi
check policy-is-pinned policy_pinned
verifier_costs || failed=1
check mount-nobpf mount_without_policy
if [ $SHORT = 1 ]; then
  cache_tests bpf 'Policy.Dropped*:Policy.ALate*:Cache.Race*:Policy.IsReplaced*' || failed=1
  cache_tests nobpf 'Cache.Race*' || failed=1
else
  cache_tests bpf || failed=1
  cache_tests nobpf 'Cache.*' || failed=1
fi
if [ $SHORT = 1 ]; then peers_tests '*Race*/changed_by_the_peer'; else peers_tests '*'; peers_tests '*Race*:*NamesAreSeen*' nobpf; fi
check umount-nobpf umount_volume /mnt/nobpf
if [ $SHORT = 1 ]; then
  check data-oracle "$B/tests/fs/data_oracle" --ops 500 "$MNT"
  check data-oracle-two-processes "$B/tests/fs/data_oracle" --ops 300 --processes 2 "$MNT"
  "$B/tests/kernel/semantics_test" --gtest_brief=1 --gtest_filter='-*.AsynchronousIoIsAsynchronous' || failed=1
else
  check data-oracle "$B/tests/fs/data_oracle" --ops "${CFS_ORACLE_OPS:-15000}" "$MNT"
  check data-oracle-two-processes "$B/tests/fs/data_oracle" --ops "${CFS_ORACLE_OPS:-5000}" --processes 2 "$MNT"
  "$B/tests/kernel/semantics_test" --gtest_brief=1 || failed=1
  CFS_CFSCTL=$CFSCTL "$B/tests/kernel/loss_test" --gtest_brief=1 || failed=1
fi
check second-umount umount_volume "$MNT2" # it would die with its daemon below
check persists-over-remount persists
check survives-daemon-kill survives_kill
check survives-upgrades survives_upgrades 3>&1
if [ $SHORT = 0 ]; then
  check policy-follows-the-build policy_follows_the_build
  # It cuts the network and kills daemons: nothing else runs. Its times mean nothing on the debug kernel.
  CFS_CFSD=$B/daemon/app/cfsd CFS_CFSCTL=$CFSCTL "$B/tests/kernel/outage_test" --gtest_brief=1 --gtest_filter='-*BlackHoleOfAMinute' || failed=1
fi
check cache-hits-without-daemon hits_without_daemon
check killable-without-daemon killable_without_daemon
if [ $SHORT = 0 ]; then
  check bpf-trace-counts-again bpf_counts
  tests/kernel/observe.sh "$CFSCTL" "$MNT" "$METRICS" || failed=1
fi
check forced-umount-without-daemon forced_umount_without_daemon
check no-requests-left no_requests_left
check umount-and-unload unloads
exit $failed

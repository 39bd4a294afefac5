#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside the guest on a mount, with a daemon that has a BPF program attached: each tool causes a known event and finds it.
#   tests/kernel/observe.sh CFSCTL MOUNT METRICS_ADDRESS
# If it fails, an operator looks at a tool that does not show what happens.
set -u
cd "$(dirname "$0")/../.." || exit 2
# shellcheck source=tests/lib.sh
. tests/lib.sh
# shellcheck source=packaging/apt.sh
. packaging/apt.sh
CFSCTL=$1 MNT=$2 METRICS=$3
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT

events=/sys/kernel/tracing/events/cubefs
# traced COMMAND...: run it with all tracepoints on; the trace is in $T/trace
traced() {
  echo >/sys/kernel/tracing/trace
  echo 1 >$events/enable
  "$@" >/dev/null 2>&1
  echo 0 >$events/enable
  cat /sys/kernel/tracing/trace >"$T/trace"
}

# One request is queued by its caller, sent, and done, under one id.
one_id_joins_a_request() {
  local id
  traced stat "$MNT/no-such-name"
  id=$(sed -n 's/.* stat-.*cfs_request_queued:.* id=\([0-9]*\) op=LOOKUP.*/\1/p' "$T/trace")
  [ -n "$id" ] && [ "$id" != 0 ] && grep -q "cfs_request_sent:.* id=$id " "$T/trace" &&
    grep -q "cfs_request_done:.* id=$id op=LOOKUP .* res=-2 latency_ns=[1-9]" "$T/trace" &&
    grep -q "cfs_cache:.* name absent" "$T/trace" && return
  cat "$T/trace"
  return 1
}

# A packet has one number from its connection to its answer, with the node and a latency; dev is what stat says.
packets_are_traced() {
  local req dev
  traced dd if=/dev/urandom of="$MNT/traced" bs=300k count=1 conv=fsync
  req=$(sed -n 's/.*cfs_packet_sent:.* req=\([0-9]*\) .* op=0x3 .*/\1/p' "$T/trace" | head -1)
  dev=$(printf 'dev=%#x' "$(stat -c %d "$MNT/traced")")
  [ -n "$req" ] && grep -q "cfs_packet: op_id=[0-9]* $dev .* req=$req node=[1-9].* err=0 result=0xf0 latency_ns=[1-9]" "$T/trace" && return
  cat "$T/trace"
  return 1
}

# in_order PATTERN...: lines of the trace match them, one after the other
in_order() {
  awk 'BEGIN {n = ARGC - 1; for (i = 1; i <= n; i++) {p[i] = ARGV[i]; ARGV[i] = ""} s = 1} s <= n && $0 ~ p[s] {s++} END {if (s <= n) print "missing: " p[s]; exit s <= n}' \
    "$@" <"$T/trace" && return
  cat "$T/trace"
  return 1
}
# operation_id OP COMMAND: of the first such operation in the trace
operation_id() { sed -n "s/^ *$2-.* cfs_op_enter: op_id=\([1-9][0-9]*\) .* op=$1\$/\1/p" "$T/trace" | head -1; }

# An operation of the VFS begins and ends in its thread. What it causes has its id: what the cache said, the request and its answer.
operations_are_told() {
  local o
  traced stat "$MNT/no-such-name-2"
  o=op_id=$(operation_id lookup stat)
  in_order "cfs_op_enter: $o " "cfs_cache: $o .* name absent" "cfs_request_queued: $o .* op=LOOKUP" "cfs_request_sent: $o " \
    "cfs_request_done: $o " "cfs_lookup: $o .* name=no-such-name-2 res=-2" "cfs_op: $o dev=.* op=lookup res=0 latency_ns=[1-9]"
}
# So have the packets and pieces that others send and end for it, and the commit.
data_has_its_operation() {
  local o
  traced dd if=/dev/urandom of="$MNT/traced" bs=100k count=1 conv=fsync
  grep -q 'cfs_op: .* op=write res=102400 ' "$T/trace" || { cat "$T/trace"; return 1; }
  o=op_id=$(operation_id fsync dd)
  in_order "cfs_op_enter: $o " "cfs_piece: $o new " "cfs_packet_sent: $o .* op=0x3 " "cfs_packet: $o .* op=0x3 .* result=0xf0" \
    "cfs_request_queued: $o .* op=COMMIT" "cfs_request_done: $o .* op=COMMIT" "cfs_piece: $o finished " "cfs_op: $o .* op=fsync res=0" || return
  echo 3 >/proc/sys/vm/drop_caches
  traced cat "$MNT/traced"
  o=op_id=$(operation_id read cat)
  in_order "cfs_op_enter: $o " "cfs_packet_sent: $o .* op=0x[56] " "cfs_packet: $o .* op=0x[56] .* result=0xf0" "cfs_op: $o .* op=read res=[1-9]" || return
  # an open asks for the attributes of a name that is believed
  stat "$MNT/traced" >/dev/null
  traced cat "$MNT/traced"
  o=op_id=$(operation_id revalidate cat)
  in_order "cfs_op_enter: $o " "cfs_cache: $o .* attr asked" "cfs_request_queued: $o .* op=GETATTR" "cfs_op: $o .* op=revalidate res=1"
}
# Dirty pages that are written later are nobody's operation; nor is anything while operations are not told.
others_have_no_operation() {
  traced python3 -c 'import os, sys; os.write(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), bytes(5000)); os.sync()' "$MNT/traced"
  grep -q 'cfs_packet: op_id=0 .* op=0x[3f] ' "$T/trace" || { cat "$T/trace"; return 1; }
  echo >/sys/kernel/tracing/trace
  echo 1 >$events/cfs_request_queued/enable
  stat "$MNT/no-such-name-4" 2>/dev/null
  echo 0 >$events/cfs_request_queued/enable
  cat /sys/kernel/tracing/trace >"$T/trace"
  in_order 'cfs_request_queued: op_id=0 .* op=LOOKUP'
}

cache_hits_are_told() {
  stat "$MNT/traced" >/dev/null && traced stat "$MNT/traced" && grep -q "cfs_cache:.* attr hit" "$T/trace"
}

json() { python3 -c "import json,sys; d=json.load(sys.stdin); $1"; }

profile_knows_the_process() {
  sh -c "echo \$\$ >$T/pid; exec stat $MNT/none-1 $MNT/none-2 $MNT/none-3" >/dev/null 2>&1
  "$CFSCTL" profile "$(cat "$T/pid")" --json | tee "$T/out" |
    json 'assert [g["count"] for g in d["groups"] if g["op"] == "lookup"] == [3]' || { cat "$T/out"; return 1; }
}
profile_knows_the_nodes() {
  "$CFSCTL" profile --by node --json |
    json 'assert any(g["op"] == "append" and ":" in g["name"] and g["count"] > 0 for g in d["groups"])'
}
# By mount and by cgroup: three lookups of a process in a cgroup of its own are three there, and three more of the mount's.
lookups_of_mount() { "$CFSCTL" profile --by mount --json | json 'print(sum(g["count"] for g in d["groups"] if g["op"] == "lookup" and g["name"] == "test"))'; }
profile_knows_mount_and_cgroup() {
  local group=/sys/fs/cgroup/observed before rc=0
  mkdir -p $group || return 1
  before=$(lookups_of_mount)
  (echo "$BASHPID" >$group/cgroup.procs && exec stat "$MNT/none-4" "$MNT/none-5" "$MNT/none-6") 2>/dev/null
  "$CFSCTL" profile observed --json >"$T/out"
  [ "$(lookups_of_mount)" = $((before + 3)) ] || { echo "lookups of the mount: $before, then $(lookups_of_mount)"; rc=1; }
  json 'g = d["groups"]; assert d["by"] == "cgroup" and [(x["name"], x["op"], x["count"], x["errors"], sum(b["count"] for b in x["buckets"])) for x in g] == [("observed", "lookup", 3, 3, 3)], g' <"$T/out" || rc=1
  rmdir $group
  return $rc
}
profile_refuses_strangers() { ! "$CFSCTL" profile no-such-cgroup 2>/dev/null; }

# trace shows a request with its caller and what it waited for, and the packet behind it.
trace_shows_requests() {
  "$CFSCTL" trace --slow 0 --seconds 3 --json >"$T/events" &
  local pid=$!
  sleep 1
  stat "$MNT/none-traced" >/dev/null 2>&1
  dd if=/dev/urandom of="$MNT/traced" bs=300k count=1 conv=fsync 2>/dev/null
  wait $pid || return 1
  python3 - "$T/events" <<'PY' || { cat "$T/events"; return 1; }
import json, sys
events = [json.loads(line) for line in open(sys.argv[1])]
lookup = [e for e in events if e["kind"] == "request" and e["op"] == "lookup" and e["comm"] == "stat"]
assert lookup and lookup[0]["result"] == -2 and lookup[0]["queued_ns"] + lookup[0]["served_ns"] == lookup[0]["latency_ns"]
assert any(e["kind"] == "packet" and e["op"] == "append" and ":" in e["node"] for e in events)
PY
}
trace_is_quiet_when_fast() { [ -z "$("$CFSCTL" trace --slow 1000s --seconds 1)" ]; }

top_shows_rates() {
  ( for _ in $(seq 30); do stat "$MNT/none-$RANDOM" >/dev/null 2>&1; sleep 0.1; done ) &
  "$CFSCTL" top --count 1 --interval 2 --json | json 'assert any(o["op"] == "lookup" and o["per_s"] > 0 for o in d["operations"]); assert d["mounts"][0]["meta_requests_per_s"] > 0'
}
doctor_finds_all_well() {
  "$CFSCTL" doctor --json >"$T/doctor"
  json 's = {c["check"]: c["state"] for c in d["checks"]}; assert d["well"] and all(s[k] == "ok" for k in ("module", "btf", "bpf", "daemon", "masters", "data nodes", "meta nodes")), s' <"$T/doctor" || { cat "$T/doctor"; return 1; }
}
bench_runs_and_leaves_nothing() { "$CFSCTL" bench "$MNT" --size 4 --files 10 && [ -z "$(find "$MNT" -maxdepth 1 -name '*cfsctl-bench*')" ]; }

# Every name that the dashboards and alerts use is served when a kernel mount works.
dashboards_name_what_is_served() {
  curl -sf "http://$METRICS/metrics" >"$T/metrics" || return 1
  sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' "$T/metrics" | sort -u >"$T/names"
  grep -oh 'cubefs_[a-z_]*' dashboards/* | sed 's/_\(bucket\|sum\|count\)$//' | sort -u | grep -v '^cubefs_client$\|^cubefs_fuse_' >"$T/used"
  [ -s "$T/used" ] && [ -z "$(comm -13 "$T/names" "$T/used" | tee /dev/stderr)" ]
}
node_latency_is_served() { curl -sf "http://$METRICS/metrics" | grep -q '^cubefs_data_packet_duration_seconds_count{node="[0-9.]*:[0-9]*",kind="append"} [1-9]'; }

# One operation, in tracepoint, map, /metrics, Prometheus and panels.
followed_everywhere() {
  local prometheus=127.0.0.1:9095 pid rc=0
  echo "scrape_configs: [{job_name: cubefs, scrape_interval: 1s, static_configs: [{targets: [\"$METRICS\"]}]}]" >"$T/prometheus.yml"
  PATH=$PATH:$(cfs_cache)/prometheus/usr/bin prometheus --config.file="$T/prometheus.yml" --storage.tsdb.path="$T/tsdb" \
    --web.listen-address=$prometheus >"$T/prometheus.log" 2>&1 &
  pid=$!
  until_ok 60 curl -sf http://$prometheus/-/ready || rc=1
  [ $rc = 1 ] || tests/kernel/follow.py "$CFSCTL" "$MNT" "$METRICS" $prometheus || rc=1
  kill $pid
  wait $pid
  [ $rc = 0 ] || tail -n 5 "$T/prometheus.log"
  return $rc
}

# The perf recipes of docs/observability.md, each for as long as something is done in place of sleeping.
recipe() { sed -n '/^## perf/,$s/^    \(perf .*[^ ]\) *# .*/\1/p' docs/observability.md | sed -n "$1p"; }
# perf_shows N PATTERN: recipe N, run while a name is looked up that nobody answers for 50 ms
perf_shows() {
  local text
  text=$(recipe "$1" | sed "s|sleep [0-9]*|$T/work|")
  [ -n "$text" ] || { echo "no recipe $1"; return 1; }
  (cd "$T" && bash -c "$text" >"$T/perf" 2>&1 </dev/null)
  grep -Eq "$2" "$T/perf" && return
  echo "$text"
  cat "$T/perf"
  return 1
}
perf_recipes() {
  # perf takes the symbols of a module from /lib/modules, where this one is not
  perf buildid-cache --add "build/kmod-$CUBEFS_VM/kmod/cubefs.ko" || return 1
  {
    echo '#!/bin/bash'
    declare -f fault slow_lookup
    echo "MNT=$MNT CUBEFS_HOST_IP=$CUBEFS_HOST_IP; slow_lookup >/dev/null 2>&1; true"
  } >"$T/work"
  chmod +x "$T/work"
  perf_shows 1 '^ +[1-9][0-9]* +cubefs:cfs_request_done' && perf_shows 2 ' [^ ]+/[0-9]+ cubefs:cfs_request_queued\(.*' &&
    perf_shows 3 ' cubefs:cfs_request_done: .* op=LOOKUP .* res=-2 latency_ns=[0-9]{8,}' && perf_shows 4 ' cfs_lookup' && [ -z "$(recipe 5)" ]
}

# The walkthrough of docs/observability.md: a data node that answers late is found in three commands.
fault() { curl -sf "http://${CUBEFS_HOST_IP}:17010/mini/fault?$1"; }
read_cold() { echo 3 >/proc/sys/vm/drop_caches; cat "$MNT"/walk/* >/dev/null; }
finds_a_slow_node() {
  local i slow rc=0 pid
  mkdir "$MNT/walk" || return 1
  for i in $(seq 12); do head -c 300000 /dev/urandom >"$MNT/walk/$i" || return 1; done
  sync && read_cold
  slow=$("$CFSCTL" profile --by node --json | json 'print(max((g["count"], g["name"]) for g in d["groups"] if g["op"] == "read")[1])')
  fault "action=delay&node=$slow&value=150" || return 1
  read_cold
  "$CFSCTL" latency || rc=1
  "$CFSCTL" trace --slow 100ms --seconds 8 --json >"$T/slow" &
  pid=$!
  sleep 2
  read_cold
  wait $pid || rc=1
  "$CFSCTL" profile --by node --json >"$T/nodes"
  fault "action=delay&node=$slow&value=0" || rc=1
  python3 - "$slow" "$T/slow" "$T/nodes" <<'PY' || rc=1
import json, sys
slow, events, nodes = sys.argv[1], [json.loads(line) for line in open(sys.argv[2])], json.load(open(sys.argv[3]))
named = {e["node"] for e in events if e["kind"] == "packet" and e["op"] == "read"}
assert named == {slow}, (slow, named)
by_p99 = sorted((g["p99_ns"], g["name"]) for g in nodes["groups"] if g["op"] == "read")
assert by_p99[-1][1] == slow and by_p99[-1][0] > 100e6, (slow, by_p99)
PY
  rm -r "$MNT/walk"
  return $rc
}

# What a script is started with: probes of the daemon need its process.
options() { if grep -q '^usdt:' "tools/bpftrace/$1.bt"; then echo "-p $(pgrep -o -x cfsd)"; fi; }
arguments() {
  case $1 in
    cfsslow) echo 1 ;;
    cfspath) echo stat ;;
  esac
}
# script NAME PATTERN COMMAND...: the bpftrace script shows what the command does in a line that matches.
script() {
  local name=$1 pattern=$2
  shift 2
  script_with shows_line "$name" "$@"
}
shows_line() { grep -Eq "$pattern" "$1"; }
# script_with CHECK NAME COMMAND...: CHECK accepts what the script writes while the command runs. Starting takes ten seconds here.
script_with() {
  local accept=$1 name=$2 pid
  shift 2
  # shellcheck disable=SC2046
  timeout -s INT 90 bpftrace $(options "$name") "tools/bpftrace/$name.bt" $(arguments "$name") >"$T/$name" 2>&1 &
  pid=$!
  for _ in $(seq 300); do
    [ -s "$T/$name" ] && grep -qv '^Attaching' "$T/$name" && break
    sleep 0.2
  done
  "$@" >/dev/null 2>&1
  sleep 1
  kill -INT "$(pgrep -P $pid -x bpftrace)"
  wait $pid
  $accept "$T/$name" && return
  cat "$T/$name"
  return 1
}
write_file() { dd if=/dev/urandom of="$MNT/traced" bs=300k count=1 conv=fsync; }
write_for_a_while() { write_file; sleep 7; }
slow_lookup() {
  fault 'action=delay&role=meta&index=0&value=50&count=0' && fault 'action=delay&role=meta&index=1&value=50&count=0' &&
    fault 'action=delay&role=meta&index=2&value=50&count=0'
  stat "$MNT/none-slow"
  fault action=clear
}
mount_again() {
  mkdir -p /mnt/observed
  "$CFSCTL" mount "$(awk -v m="$MNT" '$2 == m {print $1}' /proc/mounts)" /mnt/observed --owner tester --frontend kernel &&
    "$CFSCTL" umount /mnt/observed
}
misses() { stat "$MNT/none-a" "$MNT/none-b"; }
# The whole way of one lookup, in the order of its times: lines of two CPUs may come in any order.
shows_the_path() {
  sort -s -n -k1,1 -k2,2 "$1" | awk '$3 == "lookup" && $4 == "of" && $8 == "stat" && !op {op = $1; s = 1}
    $1 != op {next}
    s == 1 && /cache: name absent$/ {s = 2}
    s == 2 && /request [1-9][0-9]*: LOOKUP queued$/ {s = 3; id = $4}
    s == 3 && $4 == id && /: sent to cfsd$/ {s = 4}
    s == 4 && $4 == id && /: asks meta node [0-9.]+:[0-9]+, opcode 0x25$/ {s = 5}
    s == 5 && $4 == id && /: meta node.s result 245, error 0$/ {s = 6}
    s == 6 && $4 == id && /: done, -2$/ {s = 7}
    s == 7 && /lookup done, 0$/ {s = 8}
    END {exit s != 8}' && ! grep -q ' by [^s]' "$1"
}
every_script_is_run() {
  local f
  for f in tools/bpftrace/*.bt; do
    grep -qE "^check .* script(_with [a-z_]+)? $(basename "$f" .bt) " "$0" || { echo "$f is run by no check below"; return 1; }
  done
}

check one-id-joins-a-request one_id_joins_a_request
check operations-are-told operations_are_told
check data-has-its-operation data_has_its_operation
check others-have-no-operation others_have_no_operation
check packets-are-traced packets_are_traced
check cache-hits-are-told cache_hits_are_told
check profile-process profile_knows_the_process
check profile-mount-and-cgroup profile_knows_mount_and_cgroup
check profile-nodes profile_knows_the_nodes
check profile-refuses-strangers profile_refuses_strangers
check trace-shows-requests trace_shows_requests
check trace-quiet trace_is_quiet_when_fast
check top-shows-rates top_shows_rates
check doctor-well doctor_finds_all_well
check bench bench_runs_and_leaves_nothing
check metrics-of-nodes node_latency_is_served
check dashboards-names dashboards_name_what_is_served
check operation-followed followed_everywhere
check perf-recipes perf_recipes
check walkthrough-finds-slow-node finds_a_slow_node
check bpftrace-every-script-is-run every_script_is_run
check bpftrace-latency script cfslatency '@usecs\[4\]' misses
check bpftrace-operations script cfsops '@usecs\[6\]' misses
check bpftrace-path script_with shows_the_path cfspath misses
check bpftrace-slow script cfsslow '^[0-9]+ +stat +[0-9]+ +4 +[0-9]+ +-2 +[0-9]{5,}' slow_lookup
check bpftrace-connections script cfsconns 'mount generation 0 session [0-9]+' mount_again
check bpftrace-top script cfstop '@bytes\[[0-9]+\]: [0-9]{6}' write_for_a_while
check bpftrace-nodes script cfsnodes '@usecs\[[0-9]+\]' write_file
# A lookup (4 of enum cfs_op) asks a meta node with opcode 0x25 (Lookup) and gets 0xF5 (does not exist).
check bpftrace-meta-requests script cfsrpc '^[0-9]+ +4 +[1-9][0-9]* +0x25 .*:[0-9]+ +245 +0 ' misses
check bpftrace-cache script cfscache '@misses\[stat, name\]' misses
exit $failed

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Metrics from outside: promtool accepts names, units and alert rules, a real Prometheus scrapes a daemon with a mount and finds
# what was done there. Needs no kernel module; the FUSE front end serves the mount. Without FUSE a mount is missing and it fails.
# If it fails, dashboards and alerts show nothing or something wrong.
set -u
cd "$(dirname "$0")/../.." || exit 2
# shellcheck source=tests/lib.sh
. tests/lib.sh
# shellcheck source=packaging/apt.sh
. packaging/apt.sh
B=${CFS_BUILD:-$PWD/build/release}
CFSCTL=$B/tools/cfsctl/cfsctl
CFSD=$B/daemon/app/cfsd
PATH=$PATH:$(cfs_cache)/prometheus/usr/bin
T=$(mktemp -d)
export CFSD_SOCKET=$T/cfsd.sock
PORT=${CFS_TEST_PORT:-28110}
MASTER=127.0.0.1:$PORT
METRICS=127.0.0.1:$((PORT + 90))
PROM=127.0.0.1:$((PORT + 91))
mkdir "$T/mnt"
pids=()

cleanup() {
  "$CFSCTL" umount -l "$T/mnt" >/dev/null 2>&1
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
  wait
  "$CFSCTL" cluster down --dir "$T/cluster" >/dev/null 2>&1
  rm -rf "$T"
}
trap cleanup EXIT

metrics() { curl -sf "http://$METRICS/metrics"; }
# value SERIES: of the daemon's answer
value() { metrics | awk -v s="$1" 'index($0, s " ") == 1 { print $2 }'; }
# query EXPRESSION: first value that Prometheus has for it
query() {
  curl -sf "http://$PROM/api/v1/query" --data-urlencode "query=$1" |
    python3 -c 'import json,sys; print(json.load(sys.stdin)["data"]["result"][0]["value"][1])'
}

# start NAME COMMAND...: in the background, ended by cleanup; not inside check, which waits for all output
start() {
  local log=$T/$1.log
  shift
  "$@" >"$log" 2>&1 </dev/null &
  pids+=($!)
}

# scrape once a second, evaluate the alert rules
configure_prometheus() {
  cat >"$T/prometheus.yml" <<CONF
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$PWD/dashboards/alerts.yml]
scrape_configs: [{job_name: cubefs, static_configs: [{targets: ["$METRICS"]}]}]
CONF
  promtool check config "$T/prometheus.yml"
}

cluster_up() { "$CFSCTL" cluster up --dir "$T/cluster" --base-port "$PORT" --volume vol1:alice; }
mount_volume() { "$CFSCTL" mount "vol1@$MASTER" "$T/mnt" --owner alice --frontend fuse; }

# series NAME: NAME with the labels of the mount
series() { echo "$1{$(metrics | sed -n 's/^cubefs_mounts{\(.*\)} .*/\1/p')}"; }

requests_grow() {
  local before after
  before=$(value "$(series cubefs_meta_requests_total)")
  for i in 1 2 3 4 5; do mkdir "$T/mnt/d$i" || return 1; done
  after=$(value "$(series cubefs_meta_requests_total)")
  [ $((after - before)) -ge 5 ] || { echo "5 directories were made, requests: $before, then $after"; return 1; }
}

# What Prometheus has in the end is what the daemon says.
agrees() { [ "$(query 'cubefs_meta_requests_total{volume="vol1"}')" = "$(value "$(series cubefs_meta_requests_total)")" ]; }
fires_when_down() {
  kill "${pids[0]}"
  until_ok 20 sh -c "curl -sf 'http://$PROM/api/v1/alerts' | grep -q CubefsDaemonDown"
}

survives_unmount() {
  local before after
  before=$(value "$(series cubefs_meta_requests_total)")
  local name
  name=$(series cubefs_meta_requests_total)
  "$CFSCTL" umount "$T/mnt" || return 1
  until_ok 10 no_mounts || { "$CFSCTL" mounts; metrics | grep '^cubefs_mounts'; return 1; }
  after=$(value "$name")
  [ "$after" -ge "$before" ] || { echo "$name: $before, then $after"; return 1; }
}
no_mounts() { ! metrics | grep -q '^cubefs_mounts{'; }

json() { python3 -c "import json,sys; d=json.load(sys.stdin); $1"; }
doctor_knows_the_cluster() {
  "$CFSCTL" doctor --json >"$T/doctor" || { cat "$T/doctor"; return 1; }
  json 's = {c["check"]: c for c in d["checks"]}; assert all(s[k]["state"] == "ok" for k in ("daemon", "masters", "meta nodes", "data nodes", "mount vol1")), s' <"$T/doctor"
}
# A master that nobody is behind: named, and with what to do.
doctor_names_the_dead() {
  "$CFSCTL" doctor --master 127.0.0.1:1 --json >"$T/doctor"
  json 'c = [c for c in d["checks"] if c["check"] == "masters"][0]; assert c["state"] == "warning" and "127.0.0.1:1" in c["text"] and c["next"], c' <"$T/doctor"
}
bench_leaves_nothing() {
  "$CFSCTL" bench "$T/mnt" --size 2 --files 5 --json | json 'assert len(d["steps"]) == 6 and all(s["duration_ns"] > 0 for s in d["steps"])' &&
    [ -z "$(find "$T/mnt" -name '.cfsctl-bench*')" ]
}
log_level_changes() {
  "$CFSCTL" log-level debug --json | json 'assert d["level"] == "debug"' && "$CFSCTL" log-level info && ! "$CFSCTL" log-level loud 2>/dev/null
}
# The level decides about the next line: a mount is told at info, not at warn.
log_level_has_effect() {
  mkdir -p "$T/second"
  "$CFSCTL" log-level warn && "$CFSCTL" mount "vol1@$MASTER" "$T/second" --owner alice --frontend fuse && "$CFSCTL" log-level info &&
    "$CFSCTL" umount "$T/second" && until_ok 10 grep -q "$T/second: unmounted" "$T/cfsd.log" && ! grep -q "$T/second: volume" "$T/cfsd.log"
}
# What proves the owner to the masters (the MD5 sum of its name) is in no line, also when masters refuse or are away, at any level.
log_has_no_secrets() {
  local owner
  "$CFSCTL" log-level trace || return 1
  "$CFSCTL" mount "vol1@$MASTER" "$T/second" --owner mallory --frontend fuse >"$T/refused" 2>&1 && return 1
  "$CFSCTL" mount "vol1@127.0.0.1:1" "$T/second" --owner alice --frontend fuse >>"$T/refused" 2>&1 && return 1
  mkdir "$T/mnt/logged" && rmdir "$T/mnt/logged" && "$CFSCTL" log-level info || return 1
  for owner in alice mallory; do
    ! grep -i "$(printf %s $owner | md5sum | cut -d' ' -f1)" "$T/cfsd.log" "$T/refused" || return 1
  done
}
# One JSON object per line from the start of a daemon to its end.
log_is_structured() {
  "$CFSD" --foreground --socket "$T/json.sock" --log-format json 2>"$T/json" &
  local pid=$!
  until_ok 10 grep -q serves "$T/json"
  kill $pid && wait $pid || return 1
  python3 -c 'import json,sys; lines = [json.loads(l) for l in sys.stdin]; assert len(lines) > 1 and all(set(l) == {"time", "level", "pid", "message"} for l in lines), lines' <"$T/json"
}
report_has_no_secrets() {
  cat >>"$T/cfsd.log" <<'EOF'
mount with accessKey=AKIAVERYSECRET and "clientToken": "VERYSECRET2", Bearer VERYSECRET3 end-of-line
Authorization: Bearer VERYSECRET4
"secretKey2": "VERYSECRET5", access_key_1=VERYSECRET6 password='a VERYSECRET7'
{\"accessKey\": \"VERYSECRET8\"} run with --password VERYSECRET9 in /mnt
EOF
  "$CFSCTL" report --output "$T/report.tar.gz" --json | json 'assert d["size_bytes"] > 500' && mkdir "$T/report" &&
    tar -xzf "$T/report.tar.gz" -C "$T/report" && grep -q end-of-line "$T/report/cfsd.log" &&
    grep -q "in /mnt" "$T/report/cfsd.log" && ! "$CFSCTL" report --output "$T/report.tar.gz" 2>/dev/null &&
    ! grep -r VERYSECRET "$T/report" && grep -q '"vol1@' "$T/report/mounts.json" && [ "$(stat -c %a "$T/report.tar.gz")" = 600 ]
}
# What FUSE mounts were asked for has latencies by operation, and what was refused is counted.
fuse_latencies() { metrics | grep -q '^cubefs_fuse_request_duration_seconds_count{op="create"} [1-9]'; }
fuse_errors() {
  local before after op
  for op in lookup rename; do
    before=$(value "cubefs_fuse_request_errors_total{op=\"$op\"}")
    case $op in
      lookup) stat "$T/mnt/no-such-name" ;;
      rename) mkdir -p "$T/mnt/full/a" "$T/mnt/empty" && mv -T "$T/mnt/empty" "$T/mnt/full" ;;
    esac 2>/dev/null && return 1
    after=$(value "cubefs_fuse_request_errors_total{op=\"$op\"}")
    [ "${after:-0}" -gt "${before:-0}" ] || { echo "$op failed, errors: $before, then $after"; return 1; }
  done
  before=$(value 'cubefs_fuse_request_errors_total{op="getattr"}')
  stat "$T/mnt/full" >/dev/null && [ "$(value 'cubefs_fuse_request_errors_total{op="getattr"}')" = "$before" ]
}
# Each bpftrace script has a manual page with an example, a line in the documentation and a test that runs it.
scripts_have_manuals() {
  local f name section rc=0
  for f in tools/bpftrace/*.bt; do
    name=$(basename "$f" .bt)
    for section in NAME SYNOPSIS DESCRIPTION EXAMPLES; do
      grep -q "^\.SH $section$" "tools/bpftrace/man/$name.8" || { echo "$name: no $section"; rc=1; }
    done
    grep -q "^| \`$name\.bt" docs/observability.md || { echo "$name: not in docs/observability.md"; rc=1; }
    grep -Eq "script(_with [a-z_]+)? $name " tests/kernel/observe.sh || { echo "$name: no test runs it"; rc=1; }
    command -v man >/dev/null && [ -n "$(man --warnings -l "tools/bpftrace/man/$name.8" 2>&1 >/dev/null)" ] && { echo "$name: warnings of man"; rc=1; }
  done
  return $rc
}
# page SCHEME: the page in a browser, while something is done on the mount; it shows the mount and the latencies of that.
page() {
  (while [ ! -e "$T/seen" ]; do echo x >"$T/mnt/page"; cat "$T/mnt/page"; rm "$T/mnt/page"; sleep 0.1; done) >/dev/null 2>&1 &
  local load=$! rc=0
  tests/tools/browser.py "http://$METRICS/" "$1" "${CFS_SCREENSHOTS:-$T}/page-$1.png" vol1 'latency of fuse requests' lookup || rc=1
  touch "$T/seen"
  wait $load
  rm "$T/seen"
  return $rc
}
names_by_convention() { metrics >"$T/metrics" && [ -s "$T/metrics" ] && promtool check metrics <"$T/metrics"; }
all_names_typed() { metrics | awk '/^[a-z]/ { sub(/[{ ].*/, ""); print }' | grep -v '^cubefs_\|^process_' && return 1; return 0; }
refuses_foreign_host() { [ "$(curl -s -o /dev/null -w '%{http_code}' -H 'Host: evil.example' "http://$METRICS/metrics")" = 403 ]; }
refuses_bad_address() { ! "$CFSD" --foreground --socket "$T/other.sock" --metrics nonsense 2>"$T/err" && grep -q nonsense "$T/err"; }

check scripts-have-manuals scripts_have_manuals
check promtool-rules promtool check rules dashboards/alerts.yml
check cluster-up cluster_up
start cfsd "$CFSD" --foreground --socket "$CFSD_SOCKET" --metrics "$METRICS"
check daemon until_ok 10 "$CFSCTL" status
check mount mount_volume
check names-by-convention names_by_convention
check only-our-names all_names_typed
check foreign-host-refused refuses_foreign_host
check bad-address-refused refuses_bad_address
check requests-counted requests_grow
check status-page sh -c "curl -sf 'http://$METRICS/' | grep -q '<title>CubeFS client</title>'"
check fuse-latencies fuse_latencies
check fuse-errors fuse_errors
if command -v chromedriver >/dev/null && { command -v chromium || command -v chromium-browser; } >/dev/null; then
  for scheme in light dark; do check "page-in-browser-$scheme" page $scheme; done
else
  echo "# skipped: page-in-browser, there is no chromium (packaging/deps.sh --what test installs it where Debian has it)"
fi
check dashboard-is-json python3 -m json.tool dashboards/grafana.json /dev/null
check doctor doctor_knows_the_cluster
check doctor-names-the-dead doctor_names_the_dead
check bench bench_leaves_nothing
check top sh -c "'$CFSCTL' top --count 2 --interval 0.2 | grep -q '^vol1 *fuse *ready'"
check trace-says-why sh -c "! '$CFSCTL' trace --seconds 1 2>'$T/err' && grep -q 'no BPF program' '$T/err'"
check log-level log_level_changes
check log-level-has-effect log_level_has_effect
check log-has-no-secrets log_has_no_secrets
check log-is-structured log_is_structured
check report report_has_no_secrets
check prometheus-config configure_prometheus
start prometheus prometheus --config.file="$T/prometheus.yml" --storage.tsdb.path="$T/tsdb" --web.listen-address="$PROM"
check prometheus-runs until_ok 30 curl -sf "http://$PROM/-/ready"
check prometheus-agrees until_ok 15 agrees
check counters-survive-unmount survives_unmount
check alert-when-down fires_when_down
[ $failed = 0 ] || tail -n 20 "$T/cfsd.log"
exit $failed

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Purpose   Tests of the guest runner itself. Everything else that runs in a guest believes its
#           verdict, so a runner that lets a bad kernel log or a lost exit status pass would turn
#           the whole suite into decoration.
# Lifetime  One temporary directory, removed at the end; guests are those of tests/vm/run.
# Failure   Prints each failed check with its output; exit 1 when there is one.
# Usage     tests/vm/selftest.sh [stock|newer|debug]   (about one minute for stock on a quiet machine)
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
run=$here/run
kernel=${1:-stock}
dir=$(mktemp -d /var/tmp/cubefs-vm-selftest.XXXXXX)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
passed=0 failed=0

# guest ARGS...: runs a guest; leaves its status in $status, output in $dir/out and $dir/err.
guest() {
  (cd "$dir" && exec "$run" --kernel "$kernel" "$@") >"$dir/out" 2>"$dir/err" </dev/null
  status=$?
}

# expect WHAT CONDITION...: one check.
expect() {
  local what=$1
  shift
  if "$@"; then
    echo "ok $what"
    passed=$((passed + 1))
  else
    echo "not ok $what - status $status"
    sed 's/^/     | /' "$dir/out" "$dir/err"
    failed=$((failed + 1))
  fi
}

out_is() { [ "$(cat "$dir/out")" = "$1" ]; }
err_has() { grep -q -- "$1" "$dir/err"; }

# What it breaks: a failed suite that counts as passed; file names with blanks, quotes or line breaks.
test_status_and_streams() {
  local odd=$'two words\nand "quotes" $HOME \\ \'x\' *'
  # shellcheck disable=SC2016
  guest -- bash -c 'printf "<%s>" "$@"; echo to-err >/dev/stderr; exit 7' bash "$odd" '' last
  expect "exit status passes through" test "$status" = 7
  expect "arguments arrive exactly, stdout alone is on stdout" out_is "<$odd><><last>"
  expect "stderr is on stderr" err_has '^to-err$'
}

# What it breaks: kernel defects that nobody sees.
test_kernel_reports() {
  guest --log "$dir/log" -- bash -c 'echo "WARNING: test" >/dev/kmsg'
  expect "a warning in the kernel log fails the run" test "$status" = 1
  expect "the report is shown" err_has 'WARNING: test'
  expect "the kernel log is kept" grep -q 'WARNING: test' "$dir/log"
}

# What it breaks: a crashed guest that counts as a failed (or passed) command.
test_death() {
  guest -- bash -c 'echo c >/proc/sysrq-trigger; sleep 60'
  expect "a crashed guest is 125" test "$status" = 125
  expect "its last words are shown" err_has 'sysrq'
  guest --time-limit 20 -- sleep 600
  expect "a guest over its time is 125" test "$status" = 125
  expect "and says so" err_has 'time limit'
}

# What it breaks: tests with servers outside the guest; results that tests leave for the host, and
# the host's own files.
test_network_and_files() {
  local shared
  shared=$(mktemp -d "$dir/bind.XXXXXX")
  mkdir "$dir/cwd"
  echo host >"$shared/from-host"
  # shellcheck disable=SC2016
  (
    cd "$dir/cwd" || exit
    "$run" --kernel "$kernel" --bind "$shared" \
      --host-command 'exec python3 -m http.server --bind "$CUBEFS_HOST_IP" 8123' -- bash -c '
      exec 3<>"/dev/tcp/$CUBEFS_HOST_IP/8123" && printf "GET / HTTP/1.0\r\n\r\n" >&3
      head -n 1 <&3
      cat "$1/from-host"; echo guest >"$1/from-guest"; echo here >in-cwd
      touch /usr/cubefs-selftest && echo root writable
      dmesg | grep "mem auto-init"' bash "$shared"
  ) >"$dir/out" 2>"$dir/err" </dev/null
  status=$?
  expect "a clean run passes" test "$status" = 0
  expect "the guest reaches a host command" grep -q '^HTTP/1.0 200' "$dir/out"
  expect "a bound directory can be read" grep -q '^host$' "$dir/out"
  expect "and written" grep -q '^guest$' "$shared/from-guest"
  expect "so can the current directory" grep -q '^here$' "$dir/cwd/in-cwd"
  expect "the root is writable in the guest" grep -q 'root writable' "$dir/out"
  expect "but not changed on the host" test ! -e /usr/cubefs-selftest
  # else programs crash: see kernel_arguments() in run
  expect "pages are written when allocated" grep -q 'heap alloc:on' "$dir/out"
}

# in_namespace LINK: number of processes whose network namespace is the given one.
in_namespace() {
  local link count=0
  for link in /proc/[0-9]*/ns/net; do
    [ "$(readlink "$link" 2>/dev/null)" = "$1" ] && count=$((count + 1))
  done
  echo "$count"
}

# What it breaks: machines that fill up with stray emulators. All processes of a run share its
# private network namespace, and only they do.
test_cleanup() {
  local signal pid namespace
  for signal in TERM KILL; do
    (cd "$dir" && exec "$run" --kernel "$kernel" --host-command 'touch up; sleep 500' -- sleep 500) \
      >"$dir/out" 2>"$dir/err" </dev/null &
    pid=$!
    for _ in {1..100}; do
      [ -e "$dir/up" ] && break
      sleep 0.1
    done
    sleep 3
    namespace=$(readlink "/proc/$pid/ns/net")
    expect "a run has several processes" test "$(in_namespace "$namespace")" -gt 5
    kill -"$signal" "$pid"
    wait "$pid" 2>/dev/null
    status=$?
    # what ends by itself a moment later is not left behind
    for _ in {1..50}; do
      [ "$(in_namespace "$namespace")" = 0 ] && break
      sleep 0.1
    done
    expect "SIG$signal leaves no process" test "$(in_namespace "$namespace")" = 0
    rm -f "$dir/up"
  done
}

# What it breaks: suites that run side by side.
test_parallel() {
  local other
  (cd "$dir" && exec "$run" --kernel "$kernel" -- echo one) >"$dir/one" 2>&1 </dev/null &
  other=$!
  # shellcheck disable=SC2016
  guest --net none --cpus 1 --icount -- bash -c '
    test -z "${CUBEFS_HOST_IP:-}" && ! test -e /sys/class/net/eth0 && echo two'
  expect "one of two guests at once, counting instructions, without network" out_is two
  wait "$other"
  expect "the other of two guests at once" grep -q '^one$' "$dir/one"
}

# What it breaks: the leak check of the debug kernel, which would pass whatever leaks.
test_leak_check() {
  [ "$kernel" = debug ] || return 0
  # The rule is tested, not the detector: a list as the kernel prints it must not pass.
  printf 'unreferenced object 0xffff88800a1b2c3d (size 64):\n  comm "x", pid 1\n' >"$dir/leaks"
  "$here/check-log" "$dir/leaks" >"$dir/out"
  status=$?
  expect "a leak fails the run" test "$status" = 1
  guest -- bash -c 'test -w /sys/kernel/debug/kmemleak && test -d /sys/kernel/debug/failslab'
  expect "the kernel has leak check and fault injection" test "$status" = 0
}

test_status_and_streams
test_kernel_reports
test_death
test_network_and_files
test_cleanup
test_parallel
test_leak_check
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What test scripts share; to be sourced. A test is a line "ok NAME" or "not ok NAME - why"; any failure sets $failed.
failed=0

# check NAME COMMAND...: one test
check() {
  local name=$1 out start
  shift
  start=$(date +%s)
  if out=$("$@" 2>&1); then
    echo "ok $name ($(($(date +%s) - start)) s)"
  else
    echo "not ok $name - ${out//$'\n'/$'\n  '}"
    # shellcheck disable=SC2034
    failed=1
  fi
}

# until_ok SECONDS COMMAND...: poll until it succeeds; at the end its output says what was missing
until_ok() {
  local end=$(($(date +%s) + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$(date +%s)" -lt $end ] || { "$@"; return; }
    sleep 0.2
  done
}

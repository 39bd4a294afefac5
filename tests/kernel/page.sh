#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The status page of a daemon with a kernel mount under load, in a headless Chromium in light and dark. The daemon in the guest serves
# loopback only, so a relay on each side of the tap passes its page on; the browser runs on the host, which is faster.
#   tests/kernel/page.sh host DIRECTORY              beside the guest; screenshots and `result` go to DIRECTORY
#   tests/kernel/page.sh guest DIRECTORY MOUNT METRICS   in the guest: load on MOUNT until there is a result
# If it fails, an operator who opens the page sees nothing, or something wrong, of a kernel mount.
set -u
cd "$(dirname "$0")/../.." || exit 2
# shellcheck source=tests/lib.sh
. tests/lib.sh
PORT=9494

page() {
  tests/tools/browser.py "http://127.0.0.1:$PORT/" "$1" "$2/page-kernel-$1.png" test 'latency of requests' lookup append 'metadata cache'
}

host() {
  tests/tools/relay.py "127.0.0.1:$PORT" "$CUBEFS_GUEST_IP:$PORT" &
  local scheme
  until [ -e "$1/loaded" ] && curl -sf "http://127.0.0.1:$PORT/" >/dev/null; do sleep 1; done
  for scheme in light dark; do check "page-of-kernel-mount-$scheme" page $scheme "$1"; done >"$1/lines"
  mv "$1/lines" "$1/result"
}

# Lookups that hit and miss, small files, a large one read from the servers.
load() {
  local dir=$1/page i=0
  mkdir -p "$dir" && head -c 4000000 /dev/urandom >"$dir/large" || return 1
  while [ ! -e "$2/result" ]; do
    i=$((i + 1))
    stat "$dir/none-$i" 2>/dev/null
    head -c $((i % 7 * 30000 + 100)) "$dir/large" >"$dir/small" && cat "$dir/small" >/dev/null
    dd if="$dir/large" of=/dev/null bs=1M count=2 iflag=direct 2>/dev/null
    [ -e "$2/loaded" ] || touch "$2/loaded"
    sleep 0.2
  done
  rm -r "$dir"
}

guest() {
  tests/tools/relay.py "$CUBEFS_GUEST_IP:$PORT" "$3" &
  local relay=$!
  check page-load load "$2" "$1"
  kill $relay
  cat "$1/result"
  [ "$failed" = 0 ] && [ "$(grep -c '^ok page-of' "$1/result")" = 2 ]
}

"$@"

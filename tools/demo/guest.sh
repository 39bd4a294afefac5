#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The demo, guest side: real files in, compared, edited, compared. The same actions go to a local directory as the truth.
#   tools/demo/guest.sh LIST BIG_MIB        LIST: names of files, a line each
set -eu
cd "$(dirname "$0")/../.."
LIST=$1 BIG=$2
B=$PWD/build/release
CFSCTL=$B/tools/cfsctl/cfsctl
VOLUME=demo@$CUBEFS_HOST_IP:17010
MNT=/mnt/cubefs
WANT=/tmp/want            # local truth
GOT=$MNT/tree
declare -A SECONDS_OF
mkdir -p "$MNT" "$WANT"

step() { # step KEY TEXT COMMAND...
  local key=$1 text=$2 start end
  shift 2
  printf '  %-58s ' "$text"
  start=$(date +%s%N)
  "$@"
  end=$(date +%s%N)
  SECONDS_OF[$key]=$(awk -v n=$((end - start)) 'BEGIN{printf "%.1f", n / 1e9}')
  printf '%7s s\n' "${SECONDS_OF[$key]}"
}

wait_for_cluster() {
  for _ in $(seq 100); do curl -sf "http://$CUBEFS_HOST_IP:17010/admin/getIp" >/dev/null && return; sleep 0.2; done
  echo "the mini cluster did not come up"; return 1
}
mount_it() { "$CFSCTL" mount "$VOLUME" "$MNT" --owner demo --frontend kernel >/dev/null; }
prepare() {
  xargs -d "\n" cp -L --parents --preserve=timestamps -t "$WANT" <"$LIST"
  head -c "${BIG}M" <(openssl enc -aes-128-ctr -pass pass:demo -nosalt -pbkdf2 </dev/zero 2>/dev/null) >"$WANT/big"
}
copy_in() { cp -r "$WANT" "$GOT"; }
remount() { "$CFSCTL" umount "$MNT" && mount_it; }
sums() { (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum); }
compare() {
  echo 3 >/proc/sys/vm/drop_caches
  sums "$GOT" >/tmp/got.sums
  sums "$WANT" >/tmp/want.sums
  cmp /tmp/got.sums /tmp/want.sums || { diff /tmp/got.sums /tmp/want.sums | head; return 1; }
}
edit() { # in place, append, rename, delete: to both trees
  local d i=0 f
  for d in "$WANT" "$GOT"; do
    (
      cd "$d"
      printf 'edited in place' | dd of=big bs=1 seek=123456789 conv=notrunc status=none
      head -c 300000 big | dd of=big bs=1000 seek=1000 conv=notrunc status=none
      find usr -type f | LC_ALL=C sort | head -n 60 >/tmp/edit
      while IFS= read -r f; do
        case $((i++ % 4)) in
          0) echo "appended line" >>"$f" ;;
          1) mv "$f" "$f.renamed" ;;
          2) rm "$f" ;;
          3) printf X | dd of="$f" bs=1 seek=10 conv=notrunc status=none ;;
        esac
      done </tmp/edit
      mkdir moved && mv usr moved/
    )
    i=0
  done
}
counter() { tr -d ' \n"' </tmp/stats.json | grep -oE "[{,]$1:[0-9]+" | head -n 1 | cut -d: -f2; }
requests() { tr -d ' \n"' </tmp/stats.json | grep -oE 'requests:\{[^}]*\}' | grep -oE '[0-9]+' | awk '{n += $1} END {print n + 0}'; }
human() { numfmt --to=iec-i --suffix=B "$1"; }

wait_for_cluster
step prepare "copy $(wc -l <"$LIST") files of /usr/include, make one of $BIG MiB" prepare
step mount   "cfsctl mount $VOLUME $MNT" mount_it
grep " $MNT " /proc/mounts | sed 's/^/      /'
step copy    "copy the tree in" copy_in
step sync    "sync" sync
step remount "unmount and mount again" remount
step compare "compare every checksum (cold cache)" compare
step edit    "edit in place, append, rename, delete; same on a local copy" edit
step compare2 "compare again" compare
"$CFSCTL" stats "$MNT" --json >/tmp/stats.json
step umount  "unmount" "$CFSCTL" umount "$MNT"
bytes=$(du -sb "$WANT" | cut -f1)
count=$(find "$WANT" -type f | wc -l)

echo
echo "  files compared          $count identical"
echo "  bytes                   $(human "$bytes")"
echo "  copy in + sync          $(awk -v a="${SECONDS_OF[copy]}" -v b="${SECONDS_OF[sync]}" 'BEGIN{print a+b}') s"
echo "  cold compare            ${SECONDS_OF[compare]} s"
moved=$(($(counter read_wire_bytes) + $(counter append_wire_bytes) + $(counter overwrite_wire_bytes)))
passed=$(counter process_file_data_bytes)
echo "  since the second mount:"
echo "    requests answered by the daemon          $(requests), $(counter meta_requests) sent on to meta nodes"
echo "    file data moved by the kernel            $(human "$moved")"
echo "    file data that passed through the daemon $passed bytes"
if [ "$passed" != 0 ] || [ "$moved" -lt "$bytes" ]; then
  echo "not ok demo - file data did not go between kernel and data nodes"
  exit 1
fi
echo
echo "ok demo"

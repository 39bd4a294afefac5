#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Inside the guest: the mount option fsc, with cachefiles on an ext4 of its own. Breaks: data is fetched twice although the local disk
# has it, or the local disk serves what is not the servers' any more.
#   tests/kernel/fsc.sh CFSCTL MASTER OTHER_MOUNT ORACLE
# OTHER_MOUNT: the same volume on another host, as it were; ORACLE: the program data_oracle.
set -u
cd "$(dirname "$0")/../.." || exit 2
# shellcheck source=tests/lib.sh
. tests/lib.sh
CFSCTL=$1 MASTER=$2 OTHER=$3 ORACLE=$4
MNT=/mnt/fsc DISK=/mnt/fsc-disk IMAGE=/var/tmp/fsc.img SECTORS=$((200 << 11))
PATH=$PATH:/sbin:/usr/sbin

KEEPER=/tmp/fsc-keeper.pid
stop_keeper() { kill "$(cat "$KEEPER")"; }
cleanup() {
  stop_keeper 2>/dev/null
  "$CFSCTL" umount "$MNT" 2>/dev/null
  umount "$DISK" 2>/dev/null
  dmsetup remove fsc-disk 2>/dev/null
  rm -f "$IMAGE"
}
trap cleanup EXIT

# What cachefilesd does, but for the culling. The disk is a mapping, which can be made to fail.
start_cache() {
  modprobe -a loop dm-mod ext4 cachefiles || return 1
  mkdir -p "$DISK" && truncate -s 200M "$IMAGE" && mkfs.ext4 -q "$IMAGE" && losetup -f "$IMAGE" || return 1
  dmsetup create fsc-disk --noudevsync --table "0 $SECTORS linear $(loop_device) 0" && dmsetup mknodes &&
    mount /dev/mapper/fsc-disk "$DISK"
}
loop_device() { losetup -n -O NAME -j "$IMAGE"; }
start_keeper() {
  bind_cache >/dev/null 2>&1 &
  echo $! >"$KEEPER"
  until_ok 20 doctor_says 'ok  *bound'
}
# The cache is bound as long as somebody has the device open.
bind_cache() {
  local line
  exec 9<>/dev/cachefiles || return 1
  for line in "dir $DISK" "tag fsc" bind; do printf '%s' "$line" >&9 || return 1; done
  exec sleep infinity
}
mount_fsc() {
  mkdir -p "$MNT" && "$CFSCTL" mount "test@$MASTER" "$MNT" --owner tester --frontend kernel -o fsc >/dev/null
}
remount_fsc() { "$CFSCTL" umount "$MNT" && mount_fsc; }
drop_pages() { echo 3 >/proc/sys/vm/drop_caches; }
# Of all mounts of the volume: only this one reads.
fetched() { "$CFSCTL" stats "$MNT" --json | awk -F'[:,]' '/"read_wire_bytes"/ {n += $2} END {print n + 0}'; }
# Data is written to the cache's files when it has been read.
used() { du -s -B1 "$DISK/cache" | cut -f1; }

shown_and_exclusive() {
  local said
  grep -q " $MNT cubefs .*,fsc" /proc/mounts || { grep "$MNT" /proc/mounts; return 1; }
  mkdir -p /mnt/fsc2
  said=$("$CFSCTL" mount "test@$MASTER" /mnt/fsc2 --owner tester --frontend kernel -o fsc 2>&1) &&
    { echo "a second mount took it"; "$CFSCTL" umount /mnt/fsc2; return 1; }
  grep -q 'another mount of this volume has its local cache' <<<"$said" || { echo "$said"; return 1; }
}
needs_the_module() {
  local said
  mkdir -p /mnt/fsc2
  said=$("$CFSCTL" mount "test@$MASTER" /mnt/fsc2 --owner tester --frontend fuse -o fsc 2>&1) &&
    { echo "a FUSE mount took it"; "$CFSCTL" umount /mnt/fsc2; return 1; }
  grep -q 'fsc needs the kernel front end' <<<"$said" || { echo "$said"; return 1; }
}
doctor_says() { "$CFSCTL" doctor | grep "local cache" | grep -q "$1"; }
# read_costs FILE SAME LEAST MOST: they are the same, and reading it fetched so many bytes from the servers
read_costs() {
  local before after
  before=$(fetched)
  cmp "$1" "$2" || return 1
  after=$(fetched)
  [ $((after - before)) -ge "$3" ] && [ $((after - before)) -le "$4" ] ||
    { echo "$((after - before)) bytes came from the servers, expected $3 to $4"; return 1; }
}
has_stored() { [ "$(used)" -ge "$1" ] || { echo "$(used) bytes are stored, expected $1"; return 1; }; }

SIZE=$((6 << 20))
second_read_is_local() {
  head -c $SIZE /dev/urandom >/tmp/a && cp /tmp/a "$OTHER/fsc-a" && sync -f "$OTHER" && sleep 3 || return 1
  read_costs "$MNT/fsc-a" /tmp/a $SIZE $((SIZE * 2)) && until_ok 20 has_stored $SIZE || return 1
  drop_pages
  read_costs "$MNT/fsc-a" /tmp/a 0 0
}
remount_is_local() { remount_fsc && read_costs "$MNT/fsc-a" /tmp/a 0 0; }

# A part is stored, the rest is not.
rest_is_fetched() {
  head -c $SIZE /dev/urandom >/tmp/p && cp /tmp/p "$OTHER/fsc-p" && sync -f "$OTHER" && sleep 3 || return 1
  dd if="$MNT/fsc-p" of=/dev/null bs=4096 skip=100 count=3 status=none && sync && sleep 1 && drop_pages || return 1
  cmp "$MNT/fsc-p" /tmp/p && drop_pages && cmp "$MNT/fsc-p" /tmp/p && rm "$MNT/fsc-p"
}

# changed_elsewhere WHAT COMMAND: it changes a file elsewhere and /tmp/a alike; seen at the next open and after a remount
changed_elsewhere() {
  local what=$1
  shift
  "$@" /tmp/a && "$@" "$OTHER/fsc-a" && sync -f "$OTHER" || return 1
  cmp "$MNT/fsc-a" /tmp/a || { echo "$what: old at the next open"; return 1; }
  remount_fsc && cmp "$MNT/fsc-a" /tmp/a || { echo "$what: old after a remount"; return 1; }
  drop_pages
  cmp "$MNT/fsc-a" /tmp/a || { echo "$what: old when pages had gone"; return 1; }
}
append_to() { printf appended >>"$1"; }
write_into() { printf 'in place' | dd of="$1" bs=1 seek=50000 conv=notrunc status=none; }
write_again() { printf 'once more' | dd of="$1" bs=1 seek=50000 conv=notrunc status=none; }
shorten() { truncate -s 3000001 "$1"; }
grow() { truncate -s 4000000 "$1"; }
changes_elsewhere() {
  changed_elsewhere append append_to && changed_elsewhere overwrite write_into && changed_elsewhere "overwrite in the same second" write_again &&
    changed_elsewhere truncate shorten && changed_elsewhere extend grow
}
changed_here() {
  local what=$1
  shift
  cmp "$MNT/fsc-a" /tmp/a || return 1
  "$@" /tmp/a && "$@" "$MNT/fsc-a" || return 1
  cmp "$MNT/fsc-a" /tmp/a || { echo "$what: not seen"; return 1; }
  drop_pages
  cmp "$MNT/fsc-a" /tmp/a || { echo "$what: old when pages had gone"; return 1; }
  remount_fsc && cmp "$MNT/fsc-a" /tmp/a || { echo "$what: old after a remount"; return 1; }
}
changes_here() {
  changed_here append append_to && changed_here overwrite write_into && changed_here "overwrite in the same second" write_again &&
    changed_here truncate shorten && changed_here extend grow
}
# Of a file whose stored data is not believed, cachefiles frees only what it stores instead, the rest when it culls. So the file is
# opened once more when its mtime is old enough to be believed, before the mount that finds what is stored.
removed_is_freed() {
  local before
  sleep 3
  cmp "$MNT/fsc-a" /tmp/a && remount_fsc && cmp "$MNT/fsc-a" /tmp/a && until_ok 20 has_stored 3000000 || return 1
  before=$(used)
  rm "$MNT/fsc-a" && until_ok 20 less_than $((before - 2500000))
}
less_than() { [ "$(used)" -lt "$1" ] || { echo "$(used) bytes are still stored"; return 1; }; }

# Random operations while pages go all the time, so that the cache is asked again and again.
oracle_with_cache() {
  local pid rc
  (while :; do drop_pages; sleep 0.3; done) &
  pid=$!
  "$ORACLE" --ops "${CFS_FSC_OPS:-1500}" "$MNT"
  rc=$?
  kill $pid
  wait $pid 2>/dev/null
  return $rc
}
# The daemon of the cache ends while files are read: nobody notices but the servers.
cache_goes_away() {
  local i reader
  for i in 1 2 3 4; do head -c 1000000 /dev/urandom >/tmp/g$i && cp /tmp/g$i "$OTHER/fsc-g$i" || return 1; done
  sync -f "$OTHER"
  for i in 1 2 3 4; do cmp "$MNT/fsc-g$i" /tmp/g$i || return 1; done
  drop_pages
  (for i in 1 2 3 4; do cmp "$MNT/fsc-g$i" /tmp/g$i || exit 1; done) &
  reader=$!
  stop_keeper
  wait $reader || return 1
  drop_pages
  for i in 1 2 3 4; do cmp "$MNT/fsc-g$i" /tmp/g$i && rm "$MNT/fsc-g$i" || return 1; done
}
# The cache's disk refuses everything, with files in the cache and files that would go there: the servers have them all.
disk_fails() {
  local i size=1000000 before
  start_keeper && remount_fsc || return 1
  for i in 1 2; do head -c $size /dev/urandom >/tmp/d$i && cp /tmp/d$i "$OTHER/fsc-d$i" || return 1; done
  sync -f "$OTHER" && sleep 3
  before=$(used)
  cmp "$MNT/fsc-d1" /tmp/d1 && until_ok 20 has_stored $((before + size)) || return 1
  drop_pages
  read_costs "$MNT/fsc-d1" /tmp/d1 0 0 && sync -f "$DISK" || return 1
  drop_pages
  dmsetup suspend --noudevsync fsc-disk && dmsetup load fsc-disk --table "0 $SECTORS error" &&
    dmsetup resume --noudevsync fsc-disk || return 1
  read_costs "$MNT/fsc-d1" /tmp/d1 $size $((size * 2)) && cmp "$MNT/fsc-d2" /tmp/d2 || return 1
  printf more >>/tmp/d1 && printf more >>"$MNT/fsc-d1" && sync -f "$MNT" || return 1
  for i in 1 2; do
    drop_pages
    cmp "$MNT/fsc-d1" /tmp/d1 && cmp "$MNT/fsc-d2" /tmp/d2 || return 1
  done
  remount_fsc && cmp "$MNT/fsc-d1" /tmp/d1 && cmp "$MNT/fsc-d2" /tmp/d2 && rm "$MNT"/fsc-d[12]
}
no_disk() {
  stop_keeper
  until_ok 20 umount "$DISK" && dmsetup remove --noudevsync fsc-disk && losetup -d "$(loop_device)"
}
ends() { until_ok 20 doctor_says 'no cache is bound' && "$CFSCTL" umount "$MNT" ; }

check fsc-disk start_cache
check fsc-mount-without-cache mount_fsc
check fsc-doctor-misses-cache doctor_says 'no cache is bound'
check fsc-doctor-finds-cache start_keeper
check fsc-remount remount_fsc
check fsc-shown-and-exclusive shown_and_exclusive
check fsc-needs-the-module needs_the_module
check fsc-second-read-is-local second_read_is_local
check fsc-read-after-remount-is-local remount_is_local
check fsc-rest-is-fetched rest_is_fetched
check fsc-changes-elsewhere changes_elsewhere
check fsc-changes-here changes_here
check fsc-removed-is-freed removed_is_freed
check fsc-oracle oracle_with_cache
check fsc-cache-goes-away cache_goes_away
check fsc-disk-fails disk_fails
check fsc-no-disk no_disk
check fsc-ends ends
exit "$failed"

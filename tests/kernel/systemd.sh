#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What an operator has after `make install`: the unit file and fstab under a real systemd. Runs inside the guest (module loaded,
# mini cluster at $CUBEFS_HOST_IP) from suite.sh.
#
# systemd is process 1 of a pid namespace, as in a container; kernel, module and devices are the guest's.
set -u
cd "$(dirname "$0")/../.." || exit 2
MASTER=$CUBEFS_HOST_IP:17010
AT=/mnt/from-fstab
# shellcheck source=tests/lib.sh
. tests/lib.sh

install_all() {
  cmake --install build/release --prefix /usr --strip >/dev/null || return 1
  echo "test@$MASTER $AT cubefs owner=tester,_netdev 0 0" >/etc/fstab
  mkdir -p $AT
  # what the host enabled is not meant
  rm -rf /etc/systemd/system/*.wants
  printf '[Unit]\nRequires=basic.target\nWants=%s\nAfter=%s\n' "$1" "$1" >/etc/systemd/system/cubefs-test.target
}

# The new process 1 has /run, /proc and the cgroups to itself.
boot() {
  # shellcheck disable=SC2016
  unshare --pid --fork --kill-child --mount --cgroup bash -c '
    mount -t proc proc /proc && mount -t tmpfs -o mode=755 tmpfs /run && umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
      exec env -i container=guest PATH="$PATH" /lib/systemd/systemd --system --unit=cubefs-test.target --log-target=console --show-status=no' \
    </dev/null >/tmp/systemd.log 2>&1 &
  until_ok 10 pgrep -x systemd >/dev/null
}
# $init: the pid of systemd, seen from here
within() { nsenter -t "$init" -m -p -C -- "$@"; }
main_pid() { within systemctl show cfsd -P MainPID; }
restarts() { within systemctl show cfsd -P NRestarts; }
is_mounted() { within findmnt -t cubefs $AT >/dev/null; }
is_active() { within systemctl is-active cfsd >/dev/null && [ "$(main_pid)" -gt 1 ]; }

boots() {
  until_ok 120 is_active && until_ok 60 is_mounted && return
  within systemctl --no-pager --failed
  within journalctl --no-pager -n 30
  tail -n 20 /tmp/systemd.log
  return 1
}

# The mount of fstab waits for cfsd, which waits for the network.
order_of_boot() {
  local after
  after=$(within systemctl show mnt-from\\x2dfstab.mount -P After)
  [[ $after == *remote-fs-pre.target* ]] && [[ $(within systemctl show remote-fs-pre.target -P After) == *cfsd.service* ]]
}

writes_and_reads() { within bash -c "echo $1 >$AT/$1 && grep -q $1 $AT/$1"; }

# load_during COMMAND...: files are written, renamed, read and removed meanwhile; none of it may fail.
load_during() {
  local rc=0 load
  # shellcheck disable=SC2016
  within bash -c 'set -e; cd "$1"; while [ ! -e /run/enough ]; do head -c 20000 /dev/urandom >f; mv f g; cmp g g; rm g; done' \
    load $AT &
  load=$!
  "$@" || rc=1
  within touch /run/enough
  wait $load || { echo "an operation failed meanwhile"; rc=1; }
  within rm /run/enough
  return $rc
}

another_pid_than() { [ "$(main_pid)" -gt 1 ] && [ "$(main_pid)" != "$1" ] && is_active; }
kill_it() {
  local before
  before=$(main_pid)
  within kill -9 "$before" && until_ok 20 another_pid_than "$before" && writes_and_reads after-kill
}
restart_it() { within systemctl restart cfsd && is_active && writes_and_reads after-restart; }

# The unit follows the new process: it neither counts a restart nor loses it.
upgrade_it() {
  local before count
  before=$(main_pid) count=$(restarts)
  within cfsctl upgrade && until_ok 10 another_pid_than "$before" || return 1
  [ "$(restarts)" = "$count" ] || { echo "systemd restarted it"; return 1; }
  [ "$(within cat "/proc/$(main_pid)/comm")" = cfsd ] && writes_and_reads after-upgrade && kill_it
}

# A daemon that is not there is started by systemd, whoever mounts.
mount_starts_the_unit() {
  within umount $AT && within systemctl stop cfsd && ! is_active || return 1
  within mkdir -p /mnt/by-hand && within cfsctl mount "test@$MASTER" /mnt/by-hand --owner tester && is_active || return 1
  within cfsctl umount /mnt/by-hand && within mount $AT && writes_and_reads after-mount
}

# What was written is on the servers although nobody synced: the mount ends before its daemon.
powers_off() {
  within bash -c "head -c 3000000 /dev/urandom >$AT/last; md5sum <$AT/last" >/tmp/last.sum || return 1
  within systemctl poweroff --no-block
  until_ok 90 bash -c "! kill -0 $init" || { tail -n 20 /tmp/systemd.log; return 1; }
  ! grep -q " $AT " /proc/mounts
}
is_saved() {
  local got
  mkdir -p /mnt/look && cfsctl mount "test@$MASTER" /mnt/look --owner tester && got=$(md5sum </mnt/look/last) || return 1
  [ "$got" = "$(cat /tmp/last.sum)" ] || { echo "written $(cat /tmp/last.sum), read $got"; return 1; }
  cfsctl umount /mnt/look
}

check systemd-install install_all "cfsd.service remote-fs.target"
check systemd-start boot
init=$(pgrep -x systemd | head -1)
check systemd-boots-and-mounts boots
[ $failed = 0 ] || exit 1
check systemd-order-of-boot order_of_boot
check systemd-first-file writes_and_reads first
check systemd-restarts-after-kill load_during kill_it
check systemd-restart load_during restart_it
check systemd-follows-upgrade load_during upgrade_it
check systemd-mount-starts-the-unit mount_starts_the_unit
check systemd-powers-off powers_off
check systemd-unsynced-is-saved is_saved
exit $failed

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Inside the guest: exports the kernel mount by the kernel's NFS server and mounts that over loopback. Breaks: the server cannot
# find a file by its handle after the caches were dropped, or after the volume was mounted again.
#   tests/kernel/nfs.sh MOUNTPOINT REMOUNT_COMMAND...
# Needs nfs-kernel-server and nfs-common.
set -u
cd "$(dirname "$0")/../.." || exit 2
# shellcheck source=tests/lib.sh
. tests/lib.sh
MNT=$1
shift
NFS=/mnt/nfs
PATH=$PATH:/sbin:/usr/sbin

for tool in rpc.nfsd rpc.mountd exportfs mount.nfs4; do
  command -v $tool >/dev/null || { echo "not ok nfs-tools - $tool is not installed, see packaging/deps.sh"; exit 1; }
done
mountd=
cleanup() {
  umount -f "$NFS" 2>/dev/null
  exportfs -ua
  rpc.nfsd 0 2>/dev/null
  [ -n "$mountd" ] && kill "$mountd" && wait "$mountd" 2>/dev/null
  umount /proc/fs/nfsd 2>/dev/null
}
trap cleanup EXIT
dropped() { echo 3 >/proc/sys/vm/drop_caches; }
# fsid=0: the root that clients see; what lies above the mount cannot be exported in this guest.
export_it() { exportfs -i -o rw,no_root_squash,no_subtree_check,fsid=0 "127.0.0.1:$MNT"; }

serve() {
  modprobe nfsd && modprobe nfs && modprobe nfsv4 || return 1
  mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd || return 1
  mkdir -p /var/lib/nfs/v4recovery "$NFS"
  touch /var/lib/nfs/{etab,rmtab}
  echo 10 >/proc/fs/nfsd/nfsv4leasetime # else a restarted server waits 90 s for clients of before
  echo 10 >/proc/fs/nfsd/nfsv4gracetime
  export_it && rpc.nfsd -N 3 -H 127.0.0.1 4
}
# Answers the server's questions who may see what.
start_mountd() {
  rpc.mountd -F -N 2 -N 3 >/tmp/mountd.log 2>&1 &
  mountd=$!
}
mounted() { timeout 60 mount -t nfs4 -o proto=tcp,soft,timeo=100,retrans=3 127.0.0.1:/ "$NFS"; }
written_here_is_read_there() {
  echo "from the volume" >"$MNT/exp/a" && [ "$(cat "$NFS/exp/a")" = "from the volume" ]
}
written_there_is_read_here() {
  head -c 300000 /dev/urandom >"$NFS/exp/b" && sync -f "$NFS" && cmp "$NFS/exp/b" "$MNT/exp/b"
}
names() {
  mkdir "$NFS/exp/d" && mv "$NFS/exp/b" "$NFS/exp/d/c" && ln "$NFS/exp/d/c" "$NFS/exp/e" || return 1
  ln -s target "$NFS/exp/l" && [ "$(readlink "$MNT/exp/l")" = target ] || return 1
  [ "$(stat -c %h "$MNT/exp/e")" = 2 ] && rm "$NFS/exp/e" "$NFS/exp/l" && [ "$(ls "$MNT/exp")" = $'a\nd' ]
}
# Descriptor 7 is open through NFS all the time: the server knows it by its handle only.
handle_after_drop() { dropped && [ "$(head -c 15 <&7)" = "from the volume" ]; }
# The client keeps the handle of a directory that it stands in; the server keeps nothing of it.
handle_after_remount() (
  cd "$NFS/exp/d" || exit 1
  exportfs -u "127.0.0.1:$MNT" && exportfs -f || exit 1
  "$@" || exit 1
  export_it && dropped && cmp c "$MNT/exp/d/c" && echo after >new && [ "$(cat "$MNT/exp/d/new")" = after ]
)
stale_when_gone() {
  rm "$MNT/exp/a"
  dropped
  ! cat "$NFS/exp/a" 2>/dev/null
}

check nfs-serve serve
start_mountd
check nfs-mount mounted
mkdir -p "$MNT/exp"
check nfs-volume-to-nfs written_here_is_read_there
check nfs-nfs-to-volume written_there_is_read_here
check nfs-names names
exec 7<"$NFS/exp/a"
check nfs-handle-after-drop-caches handle_after_drop
exec 7<&-
check nfs-handle-after-remount handle_after_remount "$@"
check nfs-gone stale_when_gone
check nfs-umount umount "$NFS"
rm -rf "$MNT/exp"
exit $failed

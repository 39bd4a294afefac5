#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The demo, host side: a mini cluster with three replicas on this machine, a guest with the kernel module beside it.
#   tools/demo/demo.sh [FILES [BIG_MIB]]     default: 2000 files of /usr/include and one file of 256 MiB
set -eu
cd "$(dirname "$0")/../.."
B=$PWD/build/release
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# The same files every time: sorted names, links followed. Listed here: each name that a guest looks at costs the server of its
# root file system a descriptor.
mkdir "$dir/list"
(find -L /usr/include -type f -size -1024k 2>/dev/null || true) | LC_ALL=C sort | sed -n "1,${1:-2000}p" >"$dir/list/files"
say "1/3  mini cluster: 1 master, 3 meta nodes, 3 data nodes, volume 'demo' with 3 replicas, in $dir"
say "2/3  booting a guest (Debian kernel, software emulation: expect about 10 s) and loading cubefs.ko"
tests/vm/run --kernel stock --time-limit 800 --module build/kmod-stock/kmod/cubefs.ko \
  --host-command "exec '$B/tools/minicluster/cfs-minicluster' --dir '$dir' --ip \$CUBEFS_HOST_IP --tiny-ready-ms 0 --volume demo:demo" \
  --bind "$dir/list" -- tools/demo/guest.sh "$dir/list/files" "${2:-256}"
say "3/3  done"
cat <<'END'
  A shell in such a guest:     make vm
  Your own cluster, any host:  make install && cfsctl mount VOLUME@MASTER:17010 /mnt/cubefs --owner OWNER
END

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A shell in a guest: module loaded, mini cluster beside it, volume mounted at /mnt/cubefs.
set -eu
cd "$(dirname "$0")/../.."
B=$PWD/build/release
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
tests/vm/run --kernel "${KERNEL:-stock}" --time-limit 86400 --module "build/kmod-${KERNEL:-stock}/kmod/cubefs.ko" \
  --host-command "exec '$B/tools/minicluster/cfs-minicluster' --dir '$dir' --ip \$CUBEFS_HOST_IP --tiny-ready-ms 0 --volume demo:demo" \
  -- bash -c "mkdir -p /mnt/cubefs && until curl -sf http://\$CUBEFS_HOST_IP:17010/admin/getIp >/dev/null; do sleep 0.2; done
     export PATH=\$PATH:$B/tools/cfsctl:$B/daemon/app
     cfsctl mount demo@\$CUBEFS_HOST_IP:17010 /mnt/cubefs --owner demo && echo 'try: cfsctl mounts; cfsctl status; cd /mnt/cubefs' && exec bash -i"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Purpose   The module as DKMS builds it. Breaks: a kernel upgrade after which nothing can be mounted.
# Lifetime  A mount namespace with a /var/lib/dkms and a directory of its own; nothing of it is left on this machine.
# Usage     tests/vm/dkms.sh
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
if [ "${1:-}" != --inside ]; then exec unshare --mount --propagation private -- tests/vm/dkms.sh --inside; fi
# shellcheck source=tests/lib.sh
. tests/lib.sh

dir=$(mktemp -d /var/tmp/cubefs-dkms.XXXXXX)
trap 'rm -rf "$dir"' EXIT
kernel=$(tests/vm/get-kernel stock --print-dir) || exit 1
release=$(cat "$kernel/release")
mkdir -p /var/lib/dkms && mount -t tmpfs cubefs-dkms /var/lib/dkms && mkdir "$dir/tree" || exit 1

with_dkms() { dkms "$1" "$pkg" --sourcetree "$dir/src" --dkmstree "$dir/tree" "${@:2}" >"$dir/log" 2>&1 || { tail -n 20 "$dir/log"; return 1; }; }
source_is_laid() { packaging/dkms.sh source "$dir/src" && with_dkms add; }
builds() { with_dkms build -k "$release" --kernelsourcedir "$(realpath "$kernel/headers")" --no-depmod; }
built() { find "$dir/tree/cubefs" -path "*$release*" -name 'cubefs.ko*' -print -quit; }
# without its types neither policies nor tracing can be loaded
has_types() {
  xz -dcf "$(built)" >"$dir/cubefs.ko" || return
  grep -q '\.BTF' <<<"$(readelf -SW "$dir/cubefs.ko")" || { ls -l "$dir/cubefs.ko"; echo "it has no section .BTF"; return 1; }
}
loads() { tests/vm/run --net none --module "$dir/cubefs.ko" -- grep -qw cubefs /proc/filesystems; }
too_old() {
  with_dkms build -k 6.1.0-1-amd64 --kernelsourcedir "$(realpath "$kernel/headers")" --no-depmod >/dev/null && return 1
  grep -q 'BUILD_EXCLUSIVE' "$dir/log" || { cat "$dir/log"; return 1; }
}

pkg=cubefs/$(sed -n 's/^project(cubefs-client VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
check dkms-source source_is_laid
check dkms-builds builds
check dkms-has-types has_types
check dkms-module-loads loads
check dkms-refuses-old-kernels too_old
exit "$failed"

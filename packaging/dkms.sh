#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Purpose   The module under DKMS: a kernel that is installed later gets it too.
# Failure   Exit status of what failed; dkms says which log to read.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'EOF'
usage: packaging/dkms.sh install | remove | source DIR

install  copies the module's sources to /usr/src and has DKMS build and install them for this kernel and every later one
remove   takes them back
source   only copies: the sources as DKMS wants them, to DIR/cubefs-VERSION

examples:
  packaging/dkms.sh install
  dkms status cubefs
EOF
}

version=$(sed -n 's/^project(cubefs-client VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)

lay_source() {
  local to=$1/cubefs-$version
  rm -rf "$to"
  mkdir -p "$to/kmod"
  cp kmod/*.[ch] kmod/Kbuild kmod/Makefile "$to/kmod/"
  cp -r include "$to/"
  sed "s/@VERSION@/$version/" packaging/dkms.conf >"$to/dkms.conf"
}
need_dkms() {
  command -v dkms >/dev/null || { echo "dkms.sh: DKMS is not installed: apt install dkms linux-headers-$(uname -r)" >&2; exit 1; }
}
# Of this version and of those before.
forget() {
  local old
  for old in $(dkms status cubefs | sed -n 's#^cubefs/\([^,:]*\).*#\1#p' | sort -u); do dkms remove "cubefs/$old" --all; done
}

case ${1:-} in
  install)
    need_dkms
    forget
    lay_source /usr/src
    dkms install "cubefs/$version"
    ;;
  remove)
    need_dkms
    forget
    rm -rf "/usr/src/cubefs-$version"
    ;;
  source)
    [ $# = 2 ] || { usage >&2; exit 2; }
    lay_source "$2"
    ;;
  --help | -h) usage ;;
  *) usage >&2; exit 2 ;;
esac

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Purpose   Installs what the build, the tests and the checks need on a bare Debian 12 or 13. On
#           Debian 12 three things must come from bookworm-backports; it says which and why, and
#           asks before it adds an apt source when a person is at the terminal.
# Lifetime  Installed packages stay. $CACHE/tools, virtiofsd and prometheus hold what is only unpacked.
# Failure   Non-zero after one line that says what to do; running it again continues.
# Speed     When all is there it only asks dpkg-query (well under two seconds).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=packaging/apt.sh
. "$here/apt.sh"

readonly SOURCE_FILE=/etc/apt/sources.list.d/cubefs-client-backports.sources
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

usage() {
  cat <<'EOF'
usage: packaging/deps.sh [--yes] [--what build|test|all]

  --yes         do not ask before adding an apt source
  --what build  compilers, libraries, BPF tools: enough for the default build
  --what test   build, and what the tests need: QEMU, kernel build tools, test libraries
  --what all    test, and what `make lint` and `make format` need (the default)

On Debian 12 the build needs libbpf 1.4 and bpftool 7.5, the tests QEMU 10, all from
bookworm-backports. Answering no to the question leaves the apt sources alone: the packages are
then only unpacked into the cache ($CUBEFS_CACHE or ~/.cache/cubefs-client), under tools/.
EOF
}

yes=0 what=all
while [ $# -gt 0 ]; do
  case $1 in
    --yes | -y) yes=1 ;;
    --what) what=${2:-}; shift ;;
    --what=*) what=${1#*=} ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
case $what in build | test | all) ;; *) usage >&2; exit 2 ;; esac

debian=$(cfs_debian)
cache=$(cfs_cache)

# Packages of the release itself.
packages() {
  local clang=''
  [ "$debian" = 12 ] && clang=-14
  printf '%s\n' gcc g++ make cmake ninja-build pkg-config git ca-certificates rsync xz-utils \
    "clang$clang" dwarves kmod libelf-dev zlib1g-dev libspdlog-dev libcli11-dev \
    libboost-dev libsimdjson-dev nlohmann-json3-dev liblmdb-dev liburing-dev systemtap-sdt-dev \
    libfuse3-dev libcpp-httplib-dev prometheus-cpp-dev
  [ "$debian" = 12 ] || printf '%s\n' libbpf-dev bpftool
  [ "$what" = build ] && return
  # tests; flex to libssl-dev build the debug kernel, mmdebstrap makes the trixie of the newer one
  printf '%s\n' libgtest-dev libgmock-dev fuse3 iproute2 procps python3 attr curl bpftrace \
    flex bison bc libssl-dev mmdebstrap nfs-kernel-server nfs-common dkms dmsetup e2fsprogs
  [ "$debian" = 12 ] || printf '%s\n' qemu-system-x86 virtiofsd
  [ "$what" = test ] && return
  printf '%s\n' "clang-format$clang" "clang-tidy$clang" sparse shellcheck perl
}

# Packages of bookworm-backports with the least version that works.
backports() {
  [ "$debian" = 12 ] || return 0
  printf '%s\n' 'libbpf-dev 1:1.4' 'bpftool 7.5'
  [ "$what" = build ] || printf '%s\n' 'qemu-system-x86 1:10'
}

explain_backports() {
  cat <<EOF
Debian 12 alone is too old in these places; they come from bookworm-backports:
  libbpf 1.4, bpftool 7.5  the release's libbpf 1.1 cannot attach the BPF programs (struct_ops
                           of a module)
EOF
  [ "$what" = build ] || cat <<EOF
  QEMU 10 (system-x86)     the release's QEMU 7.2 now and then miscompiles an instruction and so
                           makes false kernel reports in the test guest
EOF
}

# Reads package names, prints those that are not installed.
not_installed() {
  local -a names
  mapfile -t names
  dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${names[@]}" 2>/dev/null |
    awk '$1 == "installed" { print $2 }' | sort -u |
    comm -13 - <(printf '%s\n' "${names[@]}" | sort -u)
}

installed_version() {
  dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" 2>/dev/null | sed -n 's/^installed //p' || true
}

# Prints the backports packages that are neither installed new enough nor unpacked in the cache.
missing_backports() {
  local name least have
  while read -r name least; do
    have=$(installed_version "$name")
    [ -n "$have" ] && dpkg --compare-versions "$have" ge "$least" && continue
    [ -e "$cache/tools/.have-$name" ] || echo "$name"
  done < <(backports)
}

# QEMU packages newer than 8 have no virtiofs daemon, and Debian 12 has no package of its own for it.
need_virtiofsd() {
  [ "$debian" = 12 ] && [ "$what" != build ] &&
    [ ! -x "$cache/virtiofsd/usr/lib/qemu/virtiofsd" ]
}

# run_apt STEP ARGS...: one apt-get call with its output in a log that is shown when it fails.
run_apt() {
  local step=$1
  shift
  mkdir -p "$cache"
  DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    -o Acquire::Retries=3 "$@" >"$cache/deps.log" 2>&1 </dev/null && return
  tail -n 15 "$cache/deps.log" >&2
  cfs_die "$step failed (all of it: $cache/deps.log). Check the network and \`apt-get update\`;" \
    "after an interrupted installation \`dpkg --configure -a\`; then run this again"
}

install_packages() {
  cfs_need_root "installing packages"
  cfs_say "installing $# packages: $*"
  run_apt "apt-get update" update
  run_apt "apt-get install" install --no-install-recommends "$@"
}

backports_configured() {
  # shellcheck disable=SC2016  # apt's own $(...)
  apt-get indextargets --format '$(RELEASE)' 'Created-By: Packages' 2>/dev/null |
    grep -qx bookworm-backports
}

# Asks only when a person can answer; a script has asked for the packages by calling us.
may_add_source() {
  local answer
  [ "$yes" = 1 ] && return
  { [ -t 0 ] && [ -t 1 ]; } || return 0
  printf 'Add %s? [Y/n, n: only unpack them into the cache] ' "$SOURCE_FILE"
  read -r answer || return 1
  case $answer in '' | [Yy]*) return 0 ;; *) return 1 ;; esac
}

add_source() {
  cfs_say "adding $SOURCE_FILE (remove it whenever you like)"
  cat >"$SOURCE_FILE" <<EOF
# Added by packaging/deps.sh of the CubeFS client. Nothing is taken from here unless asked for.
Types: deb
URIs: $(cfs_mirror)
Suites: bookworm-backports
Components: main
Signed-By: $KEYRING
EOF
}

# Unpacks packages, and those of their dependencies that the system lacks, into the cache.
unpack_backports() {
  local tmp deb name
  tmp=$(mktemp -d)
  cfs_say "unpacking into $cache/tools: $*"
  cfs_private_apt "$tmp" system bookworm bookworm-backports
  APT_CONFIG=$tmp/apt.conf run_apt "apt-get download" install --download-only \
    --no-install-recommends -t bookworm-backports "$@"
  mkdir -p "$cache/tools"
  for deb in "$tmp"/cache/archives/*.deb; do dpkg -x "$deb" "$cache/tools"; done
  for name in "$@"; do : >"$cache/tools/.have-$name"; done
  rm -rf "$tmp"
}

install_backports() {
  cfs_need_root "installing packages"
  explain_backports
  if backports_configured || may_add_source; then
    backports_configured || add_source
    cfs_say "installing from bookworm-backports: $*"
    run_apt "apt-get update" update
    run_apt "apt-get install" install --no-install-recommends -t bookworm-backports "$@"
  else
    unpack_backports "$@"
  fi
}

# Prometheus and promtool for the tests: unpacked only, since the package would start a server.
need_prometheus() {
  [ "$what" != build ] && ! command -v promtool >/dev/null &&
    [ ! -x "$cache/prometheus/usr/bin/promtool" ]
}

unpack_prometheus() {
  local tmp
  tmp=$(mktemp -d)
  cfs_say "unpacking Prometheus into $cache/prometheus"
  cfs_private_apt "$tmp/apt" empty "$(cfs_codename "$debian")"
  cfs_fetch_debs "$tmp/apt/apt.conf" "$tmp/debs" prometheus
  dpkg -x "$tmp"/debs/*.deb "$tmp/tree"
  mkdir -p "$cache/prometheus/usr/bin"
  mv "$tmp/tree/usr/bin/prometheus" "$tmp/tree/usr/bin/promtool" "$cache/prometheus/usr/bin/"
  rm -rf "$tmp"
}

unpack_virtiofsd() {
  local tmp
  tmp=$(mktemp -d)
  cfs_say "unpacking virtiofsd of Debian 12's QEMU 7.2 into $cache/virtiofsd (QEMU 10 has none)"
  cfs_private_apt "$tmp/apt" empty bookworm
  cfs_fetch_debs "$tmp/apt/apt.conf" "$tmp/debs" qemu-system-common
  dpkg -x "$tmp"/debs/*.deb "$tmp/tree"
  install -D "$tmp/tree/usr/lib/qemu/virtiofsd" "$cache/virtiofsd/usr/lib/qemu/virtiofsd"
  rm -rf "$tmp"
}

# A browser for the test of the status page. Where the archive has none, or none that can be installed, that test is skipped.
need_browser() {
  [ "$what" != build ] && [ "$(printf '%s\n' chromium chromium-driver | not_installed)" != '' ] &&
    apt-get install --simulate --no-install-recommends chromium chromium-driver >/dev/null 2>&1
}

did=0
mapfile -t missing < <(packages | not_installed)
if [ ${#missing[@]} -gt 0 ]; then
  install_packages "${missing[@]}"
  did=1
fi
mapfile -t missing < <(missing_backports)
if [ ${#missing[@]} -gt 0 ]; then
  install_backports "${missing[@]}"
  did=1
fi
if need_virtiofsd; then
  unpack_virtiofsd
  did=1
fi
if need_prometheus; then
  unpack_prometheus
  did=1
fi
if need_browser; then
  install_packages chromium chromium-driver
  did=1
fi
[ "$did" = 1 ] && cfs_say "everything for '$what' is installed"
exit 0

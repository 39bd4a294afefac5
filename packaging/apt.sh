# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Purpose   Debian archive helpers, sourced by packaging/deps.sh and the scripts of tests/vm: which
#           Debian this is, which mirror it uses, where slow results are cached, and a private apt
#           that fetches packages of any suite without touching the system's apt configuration.
# Lifetime  Functions only; cfs_private_apt fills a directory that the caller removes.
# Failure   Functions return non-zero after one line on stderr that says what to do.

# Prints the directory for everything that is slow to get; it is outside the tree on purpose, so
# that `git clean` and fresh checkouts do not cost a kernel build.
cfs_cache() {
  printf '%s\n' "${CUBEFS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/cubefs-client}"
}

cfs_say() { printf '%s: %s\n' "${0##*/}" "$*"; }

cfs_die() {
  printf '%s: error: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

cfs_need_root() {
  [ "$(id -u)" = 0 ] || cfs_die "$1 needs root; run it with sudo"
}

# Prints 12 or 13.
cfs_debian() {
  local id
  # shellcheck source=/dev/null
  id=$(. /etc/os-release && printf '%s-%s' "${ID:-}" "${VERSION_ID:-}")
  case $id in
    debian-12 | debian-13) printf '%s\n' "${id#debian-}" ;;
    *)
      echo "${0##*/}: error: this is '$id'; only Debian 12 (bookworm) and 13 (trixie) are supported" >&2
      return 1
      ;;
  esac
}

cfs_codename() { case $1 in 12) echo bookworm ;; 13) echo trixie ;; esac; }

# Prints the URI of the Debian mirror that this system already uses.
cfs_mirror() {
  local uri
  # shellcheck disable=SC2016  # apt's own $(...)
  uri=$(apt-get indextargets --format '$(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "main" && $2 ~ /^https?:.*\/debian\/?$/ { print $2; exit }') || true
  printf '%s\n' "${DEBIAN_MIRROR:-${uri:-http://deb.debian.org/debian}}"
}

# cfs_private_apt DIR STATUS SUITE...: makes DIR/apt.conf, an apt configuration of its own with only
# the given suites, and fetches their indexes. STATUS is "system" (see what is installed) or "empty"
# (fetch named packages only). Use with APT_CONFIG=DIR/apt.conf.
cfs_private_apt() {
  local dir=$1 status=$2 suite mirror
  local key=/usr/share/keyrings/debian-archive-keyring.gpg
  shift 2
  mirror=$(cfs_mirror)
  mkdir -p "$dir"/lists/partial "$dir"/cache/archives/partial
  : >"$dir/empty-status"
  [ "$status" = system ] && status=/var/lib/dpkg/status || status=$dir/empty-status
  for suite in "$@"; do
    echo "deb [signed-by=$key] $mirror $suite main"
  done >"$dir/sources.list"
  cat >"$dir/apt.conf" <<EOF
Dir::State::lists "$dir/lists";
Dir::State::status "$status";
Dir::Cache "$dir/cache";
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "root";
Acquire::Retries "3";
EOF
  APT_CONFIG=$dir/apt.conf apt-get update -qq && return
  echo "${0##*/}: error: cannot read $* from $mirror; check the network, or set DEBIAN_MIRROR" >&2
  return 1
}

# cfs_fetch_debs CONF DIR PACKAGE...: downloads packages into DIR, versions as CONF's suites have them.
cfs_fetch_debs() {
  local conf=$1 dir=$2
  shift 2
  mkdir -p "$dir"
  (cd "$dir" && APT_CONFIG=$conf apt-get download -qq "$@") && return
  echo "${0##*/}: error: cannot download: $*; check the network and free space, then run again" >&2
  return 1
}

// SPDX-License-Identifier: Apache-2.0
/// Paths and keys; see cache_place.h.
#include "tools/cfsctl/cache_place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace cfs::ctl {
namespace {

/// nullopt with errno. A mount point is the root of what is mounted there.
std::optional<struct statx> known(const std::string& path) {
  struct statx out {};
  const int flags = AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC;
  if (::statx(AT_FDCWD, path.c_str(), flags, STATX_INO, &out) != 0) return std::nullopt;
  return out;
}

std::string parent_of(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

std::optional<CacheRule> cgroup_rule(const MetaMaps& maps) {
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("0::", 0) != 0) continue;
    const std::string path = "/sys/fs/cgroup" + line.substr(3);
    const std::uint64_t ino = inode_of(path);
    const auto rule = maps.rule({0, ino});
    if (ino != 0 && rule) return CacheRule{"cgroup", path, ino, *rule};
  }
  return std::nullopt;
}

/// Of the mount's rules: f_fsid.
std::uint64_t rules_key(const std::string& path) {
  struct statfs fs {};
  if (::statfs(path.c_str(), &fs) != 0) return 0;
  const auto low = static_cast<std::uint32_t>(fs.f_fsid.__val[0]);
  const auto high = static_cast<std::uint32_t>(fs.f_fsid.__val[1]);
  return std::uint64_t{high} << 32 | low;
}

}  // namespace

std::uint64_t inode_of(const std::string& path) {
  const auto about = known(path);
  return about ? about->stx_ino : 0;
}

std::optional<Problem> not_cached(const std::optional<MountEntry>& mount, const std::string& what) {
  if (!mount) {
    return Problem{kFailed, what, "it is not on a mount of CubeFS", "'cfsctl mounts' lists them"};
  }
  if (mount->is_kernel()) return std::nullopt;
  return Problem{kFailed, what, "it is on a FUSE mount, which has only FUSE's own caches",
                 "see 'cfsctl mounts'"};
}

Either<CachePlace> cache_place(const std::string& path, const std::string& what) {
  CachePlace out;
  out.path = absolute_path(path);
  const auto point = find_mount(out.path);
  const std::string directory = point ? out.path : parent_of(out.path);
  const auto about = known(directory);
  if (!about) return Problem{kFailed, what, std::strerror(errno), "name a path on a mount"};
  const auto mount =
      point ? point : mount_of_device(makedev(about->stx_dev_major, about->stx_dev_minor));
  if (const auto problem = not_cached(mount, what)) return *problem;
  out.mount = *mount;
  if (point) {
    out.root = about->stx_ino;
  } else {
    out.name = std::filesystem::path(out.path).filename().string();
    out.dir = about->stx_ino;
  }
  return out;
}

std::optional<CacheRule> rule_at(const CachePlace& place, const MetaMaps& maps) {
  if (auto rule = cgroup_rule(maps)) return rule;
  std::string at = place.name.empty() ? place.path : parent_of(place.path);
  const std::uint64_t key = rules_key(at);
  while (at.size() >= place.mount.mount_point.size()) {
    const std::uint64_t ino = inode_of(at);
    const auto rule = ino == 0 ? std::nullopt : maps.rule({key, ino});
    if (rule) return CacheRule{"directory", at, ino, *rule};
    if (at == place.mount.mount_point || at == "/") break;
    at = parent_of(at);
  }
  return std::nullopt;
}

Either<std::vector<CacheSession>> cache_sessions(const Context& context, const std::string& what,
                                                 const MountEntry& mount) {
  const auto mounts = ask_daemon(context.socket, what, admin::kMounts);
  if (const auto* problem = std::get_if<Problem>(&mounts)) return *problem;
  const Json list = admin::member_or_empty(std::get<Json>(mounts), "mounts");
  std::vector<CacheSession> out;
  for (const Json& record : matching_records(mount, list)) {
    const auto about =
        ask_daemon(context.socket, what, admin::kCache, Json{{"session", record["session"]}});
    if (const auto* problem = std::get_if<Problem>(&about)) return *problem;
    const Json& one = std::get<Json>(about);
    const auto volume = static_cast<std::uint64_t>(admin::number_or(one, "volume", 0));
    if (volume == 0) continue;
    out.push_back({static_cast<std::uint32_t>(admin::number_or(one, "session", 0)), volume});
  }
  if (!out.empty()) return out;
  return Problem{kFailed, what, "the mount has no metadata cache (nobpf, or cfsd --no-policy)",
                 "see 'cfsctl mounts'"};
}

}  // namespace cfs::ctl

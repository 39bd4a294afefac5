// SPDX-License-Identifier: Apache-2.0
/// Where a path is in the metadata cache: mount, directory, name, and the rule that holds there.
///
/// Purpose  Turns paths into keys of the maps without looking up the last part, which would fill
///          the cache that is looked at. Attributes that the kernel has are taken as they are; the
///          way to the directory may have to be asked for.
/// Threads  Main thread.
/// Failure  A Problem: not a kernel mount of CubeFS, the directory does not exist.
#pragma once

#include <cubefs/cfs_bpf.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/bpf/meta_maps.h"
#include "tools/cfsctl/daemon_link.h"
#include "tools/cfsctl/mount_table.h"

namespace cfs::ctl {

struct CachePlace {
  std::string path;        ///< canonical but for its last part
  std::string name;        ///< last part; empty: `path` is the root of the mount
  std::uint64_t dir = 0;   ///< inode of its directory; 0 with an empty name
  std::uint64_t root = 0;  ///< inode of the mount's root, with an empty name
  MountEntry mount;
};

/// The rule that decides for a name, as long as a process of this cgroup asks.
struct CacheRule {
  std::string of;    ///< "cgroup" or "directory"
  std::string path;  ///< of either
  std::uint64_t ino = 0;
  cfs_meta_rule rule{};
};

/// A mount as the daemon knows it. Several mounts of one source cannot be told apart.
struct CacheSession {
  std::uint32_t id = 0;
  std::uint64_t volume = 0;  ///< its keys in the maps
};

[[nodiscard]] Either<CachePlace> cache_place(const std::string& path, const std::string& what);
[[nodiscard]] std::optional<CacheRule> rule_at(const CachePlace& place, const MetaMaps& maps);

/// Those of a mount that have a cache; a Problem when there are none.
[[nodiscard]] Either<std::vector<CacheSession>> cache_sessions(const Context& context,
                                                               const std::string& what,
                                                               const MountEntry& mount);

/// Inode of a path, as far as the kernel knows without asking about it; 0: none.
[[nodiscard]] std::uint64_t inode_of(const std::string& path);

/// A kernel mount of CubeFS, or the problem that it is none.
[[nodiscard]] std::optional<Problem> not_cached(const std::optional<MountEntry>& mount,
                                                const std::string& what);

}  // namespace cfs::ctl

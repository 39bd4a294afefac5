// SPDX-License-Identifier: Apache-2.0
/// Limits of directories and users: who has used how much, who may have no more.
///
/// Purpose   Adds up what the partitions of a volume count, and marks the inodes of a directory when
///           it gets a quota or loses it. In a real cluster masters and meta nodes tell each other
///           in heartbeats, so that a limit takes effect some seconds late; here at once.
/// Lifetime  Functions over a transaction.
/// Threads   As the transaction.
/// Failure   ENOENT and ENOTDIR from the path of a new quota.
/// Source    CubeFS v3.5.3, master/quota_manager.go, metanode/meta_quota_manager.go, cli/cmd/quota.go.
#pragma once

#include "tools/minicluster/topology.h"

namespace cfs::mini {

/// Sum over the volume's partitions.
[[nodiscard]] Usage volume_usage(Txn& txn, const Topology& topology, const std::string& volume,
                                 UsageKind kind, uint64_t id);

[[nodiscard]] inline bool files_limited(const DirQuota& quota, const Usage& used) {
  return used.files >= quota.max_files;
}
[[nodiscard]] inline bool bytes_limited(const DirQuota& quota, const Usage& used) {
  return used.bytes >= quota.max_bytes;
}

/// What the volume's limits forbid right now.
void fill_limits(Txn& txn, const Topology& topology, const Volume& volume, PartitionConfig* config);

/// Inode and partition of a path of directories.
[[nodiscard]] Result<QuotaDir> find_dir(Txn& txn, const Topology& topology,
                                        const std::string& volume, const std::string& path);

/// Puts everything below the directory, and it as the root, under the quota, or (`add` false) takes
/// it out.
void mark_tree(Txn& txn, const Topology& topology, const std::string& volume, const QuotaDir& dir,
               uint32_t quota, bool add);

}  // namespace cfs::mini

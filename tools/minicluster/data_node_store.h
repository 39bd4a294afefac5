// SPDX-License-Identifier: Apache-2.0
/// All replicas of one data node.
///
/// Purpose   Maps partition ids to replicas on disk; creates a replica when it is first asked for.
/// Lifetime  Made by DataNode::start(), shared with the directory, dropped at stop().
/// Threads   Every method from any thread.
/// Failure   partition() returns null when the replica cannot be opened; the reason is logged once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/base/result.h"
#include "tools/minicluster/data_extent_store.h"

namespace cfs::mini {

class NodeStore {
 public:
  /// Opens every replica found under `dir`.
  static Result<std::shared_ptr<NodeStore>> open(std::string dir);

  /// The replica of a partition, made if missing.
  std::shared_ptr<ExtentStore> partition(uint64_t partition_id);
  /// The replica only if it exists.
  [[nodiscard]] std::shared_ptr<ExtentStore> existing(uint64_t partition_id) const;
  [[nodiscard]] std::vector<std::shared_ptr<ExtentStore>> partitions() const;
  [[nodiscard]] const std::string& dir() const { return dir_; }

 private:
  explicit NodeStore(std::string dir) : dir_(std::move(dir)) {}
  Result<std::shared_ptr<ExtentStore>> open_locked(uint64_t partition_id);

  const std::string dir_;
  mutable std::mutex mutex_;
  std::map<uint64_t, std::shared_ptr<ExtentStore>> partitions_;  // mutex_
};

}  // namespace cfs::mini

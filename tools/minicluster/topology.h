// SPDX-License-Identifier: Apache-2.0
/// Volumes, meta partitions and data partitions: what the masters know.
///
/// Purpose   One value that masters and nodes read, and the store that persists each change of it.
/// Lifetime  A snapshot stays valid for who holds it; TopologyStore hands out the newest.
/// Threads   TopologyStore from any thread. Changes are made one after the other under lock_, on a
///           copy.
/// Failure   A change that cannot be persisted is not made; the error says why.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/base/result.h"
#include "tools/minicluster/meta_state.h"
#include "tools/minicluster/store.h"

namespace cfs::mini {

/// Directory of a quota.
struct QuotaDir {
  std::string path;  ///< from the volume's root
  uint64_t root = 0;
  uint64_t partition = 0;
};

/// Limits of what lies below some directories.
struct DirQuota {
  uint32_t id = 0;
  int64_t create_time = 0;  ///< unix seconds
  std::vector<QuotaDir> dirs;
  uint64_t max_files = UINT64_MAX;
  uint64_t max_bytes = UINT64_MAX;
};

/// Settings of a volume; defaults are those of a volume created without parameters.
struct Volume {
  uint64_t id = 0;
  std::string name;
  std::string owner;
  uint8_t status = 0;  ///< 1: marked deleted
  uint64_t capacity_gib = 10;
  int vol_type = 0;  ///< 0 replica, 1 erasure-coded
  uint32_t storage_class = CFS_CLASS_SSD;
  uint32_t dp_replicas = 3;
  bool follower_read = false;
  bool meta_follower_read = false;
  bool maximally_read = false;
  std::string tx_mask = "rename";
  int64_t tx_timeout_min = 1;
  int64_t tx_retry_num = 121;
  int64_t tx_retry_ms = 500;
  bool tx_refuses_names = false;  ///< see PartitionConfig
  bool enable_quota = false;
  bool enable_posix_acl = false;
  int64_t delete_lock_h = 0;
  int64_t trash_interval_min = 0;
  int64_t leader_retry_s = 0;
  bool forbidden = false;
  bool refuse_proto0 = true;
  std::string description;
  std::vector<uint32_t> allowed_classes;     ///< empty: only storage_class
  std::vector<DirQuota> quotas;              ///< in the order of their ids
  std::map<uint32_t, uint64_t> user_limits;  ///< uid -> bytes
  int64_t create_time = 0;                   ///< unix seconds
  std::string access_key;
  std::string secret_key;

  [[nodiscard]] bool cold() const { return vol_type == 1 || storage_class == CFS_CLASS_BLOBSTORE; }
};

struct MetaPartition {
  uint64_t id = 0;
  std::string volume;
  uint64_t start = 0;
  uint64_t end = 0;  ///< inclusive; the last partition of a volume ends at kMaxInode
  std::vector<std::string> members;
  size_t leader = 0;  ///< index in members
  int status = 2;     ///< wire::PartitionStatus, set by a fault
};

struct DataPartitionRow {
  uint64_t id = 0;
  std::string volume;
  std::vector<std::string> hosts;
  size_t leader = 0;  ///< index in hosts at start
  int status = 2;
};

/// Last inode number there is. Source: CubeFS v3.5.3, master (defaultMaxMetaPartitionInodeID).
inline constexpr uint64_t kMaxInode = INT64_MAX;
/// Inodes per partition of a new volume, but the last. Source: recorded cluster.
inline constexpr uint64_t kInodesPerPartition = uint64_t{1} << 22;

struct Topology {
  std::string cluster = "mini";
  int64_t create_time = 0;
  uint16_t base_port = 0;  ///< the ports are part of the addresses in the partitions
  uint64_t dir_limit = 20'000'000;
  uint64_t next_volume = 1;
  uint64_t next_meta = 1;
  uint64_t next_data = 1;
  std::map<std::string, Volume> volumes;
  std::map<uint64_t, MetaPartition> meta;
  std::map<uint64_t, DataPartitionRow> data;

  [[nodiscard]] const Volume* volume(const std::string& name) const;
  [[nodiscard]] const MetaPartition* meta_partition(uint64_t id) const;
  [[nodiscard]] std::vector<const MetaPartition*> meta_of(const std::string& volume) const;
  [[nodiscard]] std::vector<const DataPartitionRow*> data_of(const std::string& volume) const;
  /// Settings that the state machine of a partition needs.
  [[nodiscard]] PartitionConfig config_of(const MetaPartition& mp) const;
};

using TopologyPtr = std::shared_ptr<const Topology>;

class TopologyStore {
 public:
  explicit TopologyStore(Store& store) : store_(store) {}
  /// Reads what an earlier run left; a fresh store gives an empty topology.
  Result<void> load(int64_t now);
  [[nodiscard]] TopologyPtr get() const;
  /// Applies `change(Topology&, Txn&)` to a copy, commits it with whatever else the function put
  /// into the transaction, publishes it. An Error from the function cancels everything.
  Result<void> update(const std::function<Result<void>(Topology&, Txn&)>& change);

 private:
  TopologyPtr publish(TopologyPtr next);

  Store& store_;
  mutable std::mutex lock_;
  std::mutex update_lock_;  ///< one change at a time; taken before lock_
  TopologyPtr current_;     ///< lock_
};

/// Addresses that new partitions are spread over.
struct NodeAddresses {
  std::vector<std::string> meta;
  std::vector<std::string> data;
};

/// Adds a volume with its partitions; `wanted.name` and `owner` are checked by the caller.
void add_volume(Topology& topology, Txn& txn, Volume wanted, const NodeAddresses& nodes,
                size_t meta_count, size_t data_count, int64_t now);

/// Ends the volume's last meta partition `room` inodes after the last one used and appends a new
/// one that takes the rest. Source: CubeFS v3.5.3, master/vol.go (splitMetaPartition).
Result<uint64_t> split_last_partition(Topology& topology, Txn& txn, const std::string& volume,
                                      uint64_t room, int64_t now);

/// 3 to 63 of letters, digits, '.', '_', '-'; ends are letters or digits. Source: master/server.go.
[[nodiscard]] bool valid_volume_name(const std::string& name);

}  // namespace cfs::mini

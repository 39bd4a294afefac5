// SPDX-License-Identifier: Apache-2.0
/// Snapshots of what the masters tell about a volume.
///
/// Purpose  Routing table of meta partitions and table of data partitions, with the rules how a new
///          answer is merged into the last good one. Pure; ViewKeeper fetches.
/// Threads  Snapshots are immutable and shared; merging makes a new one.
/// Failure  None: an empty or partial answer never loses what is known.
/// Source   CubeFS v3.5.3 sdk/meta/view.go, sdk/meta/partition.go, sdk/data/wrapper/wrapper.go.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/core/volume.h"
#include "daemon/wire/master_msg.h"

namespace cfs {

/// One meta partition; start..end inclusive.
struct MetaPartition {
  std::uint64_t id = 0;
  Ino start = 0, end = 0;
  bool writable = false;
  std::vector<std::string> members;
  std::string leader;  ///< as the master told; may be empty

  /// "leader,other,..." as transactions carry it; empty when nobody is known.
  [[nodiscard]] std::string member_list() const;
};

class MetaView {
 public:
  /// `old` may be null. Partitions of the answer replace those with the same id, others are kept;
  /// the writable list is replaced only by a non-empty one.
  static std::shared_ptr<const MetaView> merge(const MetaView* old, const wire::VolView& answer);

  /// Partition that holds an inode; null when no range does.
  [[nodiscard]] const MetaPartition* of_inode(Ino ino) const;
  [[nodiscard]] const MetaPartition* by_id(std::uint64_t id) const;
  /// Ids for new inodes: the writable ones, all when there never was one.
  [[nodiscard]] const std::vector<std::uint64_t>& for_create() const { return for_create_; }
  [[nodiscard]] std::size_t size() const { return by_id_.size(); }

 private:
  void index(const std::vector<std::uint64_t>& writable);
  std::unordered_map<std::uint64_t, MetaPartition> by_id_;
  std::map<Ino, std::uint64_t> by_start_;
  std::vector<std::uint64_t> for_create_;
  bool had_writable_ = false;
};

class DataView {
 public:
  /// `old` may be null. An answer without any read-write partition keeps the old writable list,
  /// unless the volume is said to be read-only.
  static std::shared_ptr<const DataView> merge(const DataView* old,
                                               const wire::DataPartitionsView& answer);
  /// Copy with one more partition, asked for by id.
  [[nodiscard]] std::shared_ptr<const DataView> with(const DataPartition& partition) const;

  [[nodiscard]] const DataPartition* find(std::uint64_t id) const;
  [[nodiscard]] std::vector<DataPartition> all() const;
  /// Read-write partitions of a storage class, in view order; empty when the class is full.
  [[nodiscard]] std::vector<std::uint64_t> writable(std::uint32_t storage_class) const;
  /// Same partitions with the same hosts, leaders and states.
  [[nodiscard]] bool same_as(const DataView& other) const;

 private:
  std::map<std::uint64_t, DataPartition> by_id_;
  std::vector<std::uint64_t> writable_;
  std::vector<std::uint32_t> full_classes_;
};

DataPartition to_data_partition(const wire::DataPartitionView& v);
DataPartition to_data_partition(const wire::DataPartitionInfo& v);

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// What the data nodes of one process know together: partitions, leaders, who is up.
///
/// Purpose   Stands in for the master's view and for the raft groups of real data nodes. Random
///           writes go through submit(), which applies them in one order to every live replica and
///           needs a majority.
/// Lifetime  Owned by the cluster; outlives its nodes. Partitions are shared: one that was removed
///           lives on while a request uses it.
/// Threads   Every method from any thread. Locks: DataPartition::order_ (one random write, deletion
///           or resync at a time), then mutex_; neither is held while waiting for a majority.
/// Resync    Replicas remember the index of their last random write. One that comes back with a
///           smaller index than a live replica gets the extents written since. Appends need no such
///           step: one that did not reach all replicas was never acknowledged.
/// Failure   submit() blocks without a majority, as a raft proposal does, until the node leaves.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/minicluster/data_packet.h"

namespace cfs::mini {

class NodeStore;
class ExtentStore;

struct DataPartitionConfig {
  uint64_t id = 0;
  std::vector<std::string> hosts;  ///< ip:port; [0] is the primary of the append chain
  size_t leader = 0;               ///< index of the raft leader
};

/// One random write on its way to the replicas; the bytes are borrowed for the call.
struct RandomWrite {
  uint64_t extent_id = 0;
  int64_t offset = 0;
  std::span<const uint8_t> data;
  uint32_t crc = 0;
  bool sync = false;
};

/// A partition and its replication state. Fields without a lock are fixed after construction.
class DataPartition {
 public:
  explicit DataPartition(DataPartitionConfig config) : config_(std::move(config)) {
    leader_ = config_.leader;
  }
  [[nodiscard]] uint64_t id() const { return config_.id; }
  [[nodiscard]] const std::vector<std::string>& hosts() const { return config_.hosts; }
  [[nodiscard]] bool has_host(const std::string& address) const;

 private:
  friend class DataDirectory;
  const DataPartitionConfig config_;
  size_t leader_;                           // DataDirectory::mutex_
  std::optional<Deadline> leader_lost_at_;  // DataDirectory::mutex_
  std::mutex order_;
  std::map<uint64_t, uint64_t> touched_;  // order_: extent -> index of its last random write
  uint64_t touched_since_ = UINT64_MAX;   // order_: touched_ is complete for indexes above this
};

using DataPartitionPtr = std::shared_ptr<DataPartition>;

class DataDirectory {
 public:
  /// Registers a partition. A second one with the same id replaces the first.
  void add_partition(DataPartitionConfig config);
  void remove_partition(uint64_t id);
  [[nodiscard]] DataPartitionPtr find(uint64_t id) const;
  [[nodiscard]] std::vector<DataPartitionPtr> list() const;

  /// Moves the raft leadership. False: unknown partition, or an index without host.
  bool set_leader(uint64_t id, size_t host_index);
  /// Address of the leader; empty while there is none (its node is down and no election happened
  /// yet, or no majority is up). The first call after the election time elects the first live host.
  std::string leader_of(const DataPartitionPtr& partition);
  std::string leader_of(uint64_t id);
  /// Time between the loss of a leader and the next one; real clusters need 1 to 3 s (raft ticks).
  void set_election_time(std::chrono::milliseconds time);

  /// Cuts a node off from its raft groups or lets it back in. Nodes that start and stop do this
  /// themselves.
  void mark_down(const std::string& address);
  void mark_up(const std::string& address);
  [[nodiscard]] bool is_up(const std::string& address) const;

  /// A node's storage joins: it is brought up to date with what it missed, then counts as up.
  void attach(const std::string& address, std::shared_ptr<NodeStore> store);
  /// The node is gone; a waiting submit() of this node returns.
  void detach(const std::string& address);

  enum class Submitted { kApplied, kNotLeader, kGone };
  /// Applies one random write on all live replicas. `verdict` is the local result when kApplied.
  /// Blocks while no majority is up; kGone when the submitting node leaves meanwhile.
  /// Source: CubeFS v3.5.3, datanode/partition_op_by_raft.go.
  Submitted submit(const DataPartitionPtr& partition, const std::string& node,
                   const RandomWrite& write, Verdict& verdict);

  /// Deletes an extent, or a range of a tiny one, on all live replicas (opcode 0x75 of the real
  /// cluster).
  void delete_extent(uint64_t id, uint64_t extent_id, uint64_t offset, uint64_t size, bool tiny);
  /// Largest end of a tiny extent on any live replica: what repair levels the replicas to.
  int64_t tiny_end(const DataPartitionPtr& partition, uint64_t extent_id) const;

 private:
  struct Node {
    std::shared_ptr<NodeStore> store;  // null: known only by a mark_down() or mark_up()
    bool up = true;
  };
  struct Replica {
    std::string address;
    std::shared_ptr<ExtentStore> store;
  };
  using Replicas = std::vector<Replica>;

  bool up_locked(const std::string& address) const;
  bool may_commit_locked(DataPartition& partition, const std::string& node);
  bool majority_locked(const DataPartition& partition) const;
  std::string leader_locked(DataPartition& partition);
  void note_lost_leaders_locked(const std::string& address);
  std::vector<DataPartitionPtr> partitions_of(const std::string& address) const;
  Replicas live_replicas(const DataPartition& partition, const std::string& also = "") const;
  Submitted await_majority(DataPartition& partition, const std::string& node);
  static Verdict apply(DataPartition& partition, const Replicas& replicas, const std::string& node,
                       const RandomWrite& write);
  void bring_up(const std::string& address);
  static void catch_up(DataPartition& partition, const Replicas& replicas);
  static void copy_missed(DataPartition& partition, const ExtentStore& from, ExtentStore& to);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, DataPartitionPtr> partitions_;
  std::map<std::string, Node> nodes_;
  std::chrono::milliseconds election_time_{1500};
};

}  // namespace cfs::mini

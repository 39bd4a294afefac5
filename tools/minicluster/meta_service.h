// SPDX-License-Identifier: Apache-2.0
/// Meta partitions as the nodes serve them: leaders, proxying, faults, execution, background work.
///
/// Purpose   All meta nodes of the process share this object and with it one state per partition:
///           raft is played by a leader index, a node's state and an election time. What the
///           network sees is the real thing's behaviour: followers proxy, a lost leader is refused
///           for a while.
/// Lifetime  Outlives the nodes. stop() ends waits, so that node threads can be joined.
/// Threads   handle() from every connection thread; the rest from any thread.
///           Locks: the store's writer lock, then lock_; neither is held while waiting.
/// Failure   Refusals are replies. A store that cannot commit is reported as DiskNoSpaceErr or Err
///           and nothing has happened.
/// Source    CubeFS v3.5.3, metanode/manager_op.go, manager_proxy.go.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "daemon/wire/packet.h"
#include "tools/minicluster/faults.h"
#include "tools/minicluster/request_log.h"
#include "tools/minicluster/topology.h"

namespace cfs::mini {

enum class NodeState { kUp, kStopped, kHung };

/// What a connection does after a request.
struct Served {
  std::optional<wire::Packet> reply;  ///< nothing: the client waits in vain
  bool reset = false;                 ///< close the connection
};

/// Requests seen by a node, by opcode.
using OpCounts = std::array<uint64_t, 256>;

class MetaService {
 public:
  /// Deletes the bytes of a key on all replicas of its data partition.
  using DeleteExtent = std::function<void(const wire::ExtentKey&)>;

  MetaService(Store& store, TopologyStore& topology, FaultTable& faults, RequestLog& log);

  /// Executes `request`, which arrived at `node`.
  Served handle(const std::string& node, const wire::Packet& request);

  void set_node_state(const std::string& node, NodeState state);
  [[nodiscard]] NodeState node_state(const std::string& node) const;
  /// Returns when the node is not hung any more, or after `limit`, or at stop(); true in the first
  /// case.
  bool wait_while_hung(const std::string& node, std::chrono::milliseconds limit);
  /// Time from the loss of a leader to the next one, for partitions with a living majority.
  void set_election_time(std::chrono::milliseconds time);
  /// Address of the leader, or empty. Elects one when it is time.
  [[nodiscard]] std::string leader_of(uint64_t partition);
  /// Moves the leadership to a member; false when it is none.
  bool move_leader(uint64_t partition, size_t member);

  [[nodiscard]] Counters counters_of(uint64_t partition);
  [[nodiscard]] Usage usage_of(const std::string& volume, UsageKind kind, uint64_t id);
  [[nodiscard]] std::map<std::string, OpCounts> op_counts() const;
  /// Where all partitions lie: for work on many inodes at once, see fill.h.
  [[nodiscard]] Store& store() { return store_; }

  void set_policy(const ReclaimPolicy& policy);
  [[nodiscard]] ReclaimPolicy policy() const;
  /// One round of background work over all partitions: reclaim, then deletion of freed extents.
  void background_round(const DeleteExtent& delete_extent);
  /// Ends every wait for good.
  void stop();

 private:
  struct Health {
    NodeState state = NodeState::kUp;
    std::chrono::steady_clock::time_point since;
  };
  /// Why a partition cannot be asked right now, or nothing.
  struct Obstacle {
    uint8_t result = CFS_RC_AGAIN;
    std::string text;
  };

  Served serve(const std::string& node, const wire::Packet& request);
  void count(const std::string& node, uint8_t op);
  std::optional<Served> forced(const std::string& node, const wire::Packet& request);
  std::optional<Obstacle> reach_leader(const std::string& node, const MetaPartition& mp);
  std::optional<Obstacle> leader_obstacle(const MetaPartition& mp, const std::string& leader);
  void elect_if_due(uint64_t partition);
  [[nodiscard]] Health health(const std::string& node) const;
  [[nodiscard]] bool has_majority(const MetaPartition& mp) const;
  MetaReply execute(const wire::Packet& request);
  MetaReply execute_in(Txn& txn, const wire::Packet& request);
  void delete_freed(const DeleteExtent& delete_extent);

  Store& store_;
  TopologyStore& topology_;
  FaultTable& faults_;
  RequestLog& log_;

  mutable std::mutex lock_;
  std::condition_variable changed_;
  std::map<std::string, Health> nodes_;            ///< lock_
  std::map<std::string, OpCounts> counts_;         ///< lock_
  std::chrono::milliseconds election_time_{1500};  ///< lock_
  ReclaimPolicy policy_;                           ///< lock_
  bool stopping_ = false;                          ///< lock_
};

}  // namespace cfs::mini

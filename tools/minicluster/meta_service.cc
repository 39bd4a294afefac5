// SPDX-License-Identifier: Apache-2.0
/// See meta_service.h.
#include "tools/minicluster/meta_service.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "tools/minicluster/quota.h"

namespace cfs::mini {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// How long a follower waits for its leader. Source: metanode/manager_proxy.go (read deadline).
constexpr milliseconds kProxyTimeout{5000};
/// Freed extents deleted in one round.
constexpr size_t kFreedPerRound = 1024;

int64_t unix_now() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch())
      .count();
}

wire::Packet to_packet(const wire::Packet& request, const MetaReply& reply) {
  if (reply.body == MetaReply::kEcho) return wire::make_reply(request, reply.result, request.data);
  return wire::make_reply(request, reply.result, reply.data);
}

MetaReply failed(uint8_t result, std::string text) {
  return {result, MetaReply::kBytes, std::move(text)};
}

/// A read that any member may answer from its own state. All members share one state here.
bool served_by_follower(const wire::Packet& request) {
  OpClass cls = op_class(request.h.opcode);
  if (cls == OpClass::kLocal) return true;
  return cls == OpClass::kRead && request.arg == CFS_ARG_FOLLOWER_READ;
}

bool is_member(const MetaPartition& mp, const std::string& node) {
  return std::find(mp.members.begin(), mp.members.end(), node) != mp.members.end();
}

}  // namespace

MetaService::MetaService(Store& store, TopologyStore& topology, FaultTable& faults, RequestLog& log)
    : store_(store), topology_(topology), faults_(faults), log_(log) {}

Served MetaService::handle(const std::string& node, const wire::Packet& request) {
  const uint8_t op = request.h.opcode;
  count(node, op);
  log_.note({.answer = false, .peer = wire::Peer::kMeta, .op = op});
  Served served = serve(node, request);
  if (served.reply) log_.note({.answer = true, .peer = wire::Peer::kMeta, .op = op});
  return served;
}

Served MetaService::serve(const std::string& node, const wire::Packet& request) {
  const uint8_t op = request.h.opcode;
  if (op_class(op) == OpClass::kUnknown) return {};
  if (std::optional<Served> served = forced(node, request)) return *served;
  TopologyPtr topology = topology_.get();
  const MetaPartition* mp = topology->meta_partition(request.h.partition_id);
  if (mp == nullptr || !is_member(*mp, node)) {
    std::string text = "unknown meta partition: " + std::to_string(request.h.partition_id);
    return {wire::make_reply(request, CFS_RC_ERR, text)};
  }
  if (!served_by_follower(request)) {
    if (std::optional<Obstacle> obstacle = reach_leader(node, *mp)) {
      return {wire::make_reply(request, obstacle->result, obstacle->text)};
    }
  }
  MetaReply reply = execute(request);
  if (auto late_ms = faults_.take(FaultKind::kLateReply, node, op)) {
    std::this_thread::sleep_for(milliseconds(*late_ms));
  }
  if (faults_.take(FaultKind::kDropReply, node, op)) return {};
  if (faults_.take(FaultKind::kCloseAfter, node, op)) return {std::nullopt, true};
  return {to_packet(request, reply)};
}

void MetaService::count(const std::string& node, uint8_t op) {
  std::lock_guard<std::mutex> guard(lock_);
  ++counts_[node][op];
}

std::optional<Served> MetaService::forced(const std::string& node, const wire::Packet& request) {
  const uint8_t op = request.h.opcode;
  if (auto delay_ms = faults_.take(FaultKind::kDelay, node, op)) {
    std::this_thread::sleep_for(milliseconds(*delay_ms));
  }
  if (auto result = faults_.take(FaultKind::kForceResult, node, op)) {
    return Served{wire::make_reply(request, static_cast<uint8_t>(*result), "forced by a fault")};
  }
  return std::nullopt;
}

MetaReply MetaService::execute(const wire::Packet& request) {
  if (op_class(request.h.opcode) != OpClass::kWrite) {
    return execute_in(*store_.begin_read(), request);
  }
  std::unique_ptr<Txn> txn = store_.begin_write();
  MetaReply reply = execute_in(*txn, request);
  Result<void> committed = txn->commit();
  if (committed) return reply;
  bool full = committed.error().code == ENOSPC;
  return failed(full ? CFS_RC_DISK_NO_SPACE : CFS_RC_ERR, committed.error().text());
}

MetaReply MetaService::execute_in(Txn& txn, const wire::Packet& request) {
  // Inside the transaction: a split that ran before it is visible.
  TopologyPtr topology = topology_.get();
  const MetaPartition* mp = topology->meta_partition(request.h.partition_id);
  if (mp == nullptr) return failed(CFS_RC_ERR, "meta partition is gone");
  PartitionConfig config = topology->config_of(*mp);
  const Volume* volume = topology->volume(mp->volume);
  const bool write = op_class(request.h.opcode) == OpClass::kWrite;
  if (write && volume != nullptr) fill_limits(txn, *topology, *volume, &config);
  PartitionStore store(txn, mp->id);
  MetaCall call{store, config, request.h.opcode, request.h.proto_version, request.data, unix_now()};
  MetaReply reply = apply(call);
  if (write) store.flush();
  return reply;
}

void MetaService::set_node_state(const std::string& node, NodeState state) {
  std::lock_guard<std::mutex> guard(lock_);
  nodes_[node] = {state, steady_clock::now()};
  changed_.notify_all();
}

MetaService::Health MetaService::health(const std::string& node) const {
  std::lock_guard<std::mutex> guard(lock_);
  auto it = nodes_.find(node);
  return it == nodes_.end() ? Health{NodeState::kStopped, {}} : it->second;
}

NodeState MetaService::node_state(const std::string& node) const {
  return health(node).state;
}

bool MetaService::wait_while_hung(const std::string& node, milliseconds limit) {
  std::unique_lock<std::mutex> guard(lock_);
  auto awake = [&] {
    auto it = nodes_.find(node);
    return stopping_ || it == nodes_.end() || it->second.state != NodeState::kHung;
  };
  return changed_.wait_for(guard, limit, awake) && !stopping_;
}

void MetaService::stop() {
  std::lock_guard<std::mutex> guard(lock_);
  stopping_ = true;
  changed_.notify_all();
}

void MetaService::set_election_time(milliseconds time) {
  std::lock_guard<std::mutex> guard(lock_);
  election_time_ = time;
}

bool MetaService::has_majority(const MetaPartition& mp) const {
  auto up = std::count_if(mp.members.begin(), mp.members.end(), [this](const std::string& node) {
    return node_state(node) == NodeState::kUp;
  });
  return static_cast<size_t>(up) > mp.members.size() / 2;
}

void MetaService::elect_if_due(uint64_t partition) {
  TopologyPtr topology = topology_.get();
  const MetaPartition* mp = topology->meta_partition(partition);
  if (mp == nullptr || !has_majority(*mp)) return;
  Health leader = health(mp->members[mp->leader]);
  milliseconds election_time;
  {
    std::lock_guard<std::mutex> guard(lock_);
    election_time = election_time_;
  }
  if (leader.state == NodeState::kUp) return;
  if (steady_clock::now() - leader.since < election_time) return;
  for (size_t i = 1; i < mp->members.size(); ++i) {
    size_t next = (mp->leader + i) % mp->members.size();
    if (node_state(mp->members[next]) != NodeState::kUp) continue;
    move_leader(partition, next);
    return;
  }
}

std::string MetaService::leader_of(uint64_t partition) {
  elect_if_due(partition);
  TopologyPtr topology = topology_.get();
  const MetaPartition* mp = topology->meta_partition(partition);
  if (mp == nullptr || !has_majority(*mp)) return {};
  const std::string& leader = mp->members[mp->leader];
  return node_state(leader) == NodeState::kUp ? leader : std::string();
}

bool MetaService::move_leader(uint64_t partition, size_t member) {
  auto change = [&](Topology& t, Txn&) -> Result<void> {
    auto it = t.meta.find(partition);
    if (it == t.meta.end() || member >= it->second.members.size()) {
      return make_error(EINVAL, "no such member");
    }
    it->second.leader = member;
    return {};
  };
  return topology_.update(change).ok();
}

std::optional<MetaService::Obstacle> MetaService::reach_leader(const std::string& node,
                                                               const MetaPartition& mp) {
  elect_if_due(mp.id);
  TopologyPtr topology = topology_.get();
  const MetaPartition* now = topology->meta_partition(mp.id);
  if (now == nullptr) return Obstacle{CFS_RC_ERR, "meta partition is gone"};
  if (!has_majority(*now)) {
    return Obstacle{CFS_RC_AGAIN, "mpId(" + std::to_string(mp.id) + ") no leader"};
  }
  const std::string leader = now->members[now->leader];
  if (leader == node) return std::nullopt;
  return leader_obstacle(*now, leader);
}

/// What a follower meets when it hands the request on. A dead leader is first refused, then
/// unknown.
std::optional<MetaService::Obstacle> MetaService::leader_obstacle(const MetaPartition& mp,
                                                                  const std::string& leader) {
  Health h = health(leader);
  if (h.state == NodeState::kUp) return std::nullopt;
  if (h.state == NodeState::kHung) {
    if (wait_while_hung(leader, kProxyTimeout)) return std::nullopt;
    return Obstacle{CFS_RC_ERR, "read tcp " + leader + ": i/o timeout"};
  }
  milliseconds election_time;
  {
    std::lock_guard<std::mutex> guard(lock_);
    election_time = election_time_;
  }
  if (steady_clock::now() - h.since < election_time / 2) {
    return Obstacle{CFS_RC_ERR, "dial tcp " + leader + ": connect: connection refused"};
  }
  return Obstacle{CFS_RC_AGAIN, "mpId(" + std::to_string(mp.id) + ") no leader"};
}

Counters MetaService::counters_of(uint64_t partition) {
  std::unique_ptr<Txn> txn = store_.begin_read();
  return PartitionStore(*txn, partition).counters();
}

Usage MetaService::usage_of(const std::string& volume, UsageKind kind, uint64_t id) {
  std::unique_ptr<Txn> txn = store_.begin_read();
  return volume_usage(*txn, *topology_.get(), volume, kind, id);
}

std::map<std::string, OpCounts> MetaService::op_counts() const {
  std::lock_guard<std::mutex> guard(lock_);
  return counts_;
}

void MetaService::set_policy(const ReclaimPolicy& policy) {
  std::lock_guard<std::mutex> guard(lock_);
  policy_ = policy;
}

ReclaimPolicy MetaService::policy() const {
  std::lock_guard<std::mutex> guard(lock_);
  return policy_;
}

void MetaService::background_round(const DeleteExtent& delete_extent) {
  const ReclaimPolicy limits = policy();
  TopologyPtr topology = topology_.get();
  for (const auto& [id, mp] : topology->meta) {
    std::unique_ptr<Txn> txn = store_.begin_write();
    PartitionStore store(*txn, id);
    if (!reclaim(store, limits, unix_now())) continue;
    store.flush();
    (void)txn->commit();  // what could not be removed now is still queued for the next round
  }
  delete_freed(delete_extent);
}

/// First the bytes, then the queue entry: a crash in between deletes twice, which changes nothing.
void MetaService::delete_freed(const DeleteExtent& delete_extent) {
  auto freed = PartitionStore::freed(*store_.begin_read(), kFreedPerRound);
  if (freed.empty()) return;
  for (const auto& [order, key] : freed) delete_extent(key);
  std::unique_ptr<Txn> txn = store_.begin_write();
  for (const auto& [order, key] : freed) txn->del(Table::kFreed, order);
  (void)txn->commit();
}

}  // namespace cfs::mini

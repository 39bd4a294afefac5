// SPDX-License-Identifier: Apache-2.0
/// Shared knowledge of the data nodes; see data_directory.h.
#include "tools/minicluster/data_directory.h"

#include <algorithm>

#include "tools/minicluster/data_node_store.h"

namespace cfs::mini {

bool DataPartition::has_host(const std::string& address) const {
  return std::find(hosts().begin(), hosts().end(), address) != hosts().end();
}

void DataDirectory::add_partition(DataPartitionConfig config) {
  const std::lock_guard lock(mutex_);
  const uint64_t id = config.id;
  partitions_[id] = std::make_shared<DataPartition>(std::move(config));
}

void DataDirectory::remove_partition(uint64_t id) {
  const std::lock_guard lock(mutex_);
  partitions_.erase(id);
}

DataPartitionPtr DataDirectory::find(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = partitions_.find(id);
  return found == partitions_.end() ? nullptr : found->second;
}

std::vector<DataPartitionPtr> DataDirectory::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<DataPartitionPtr> out;
  out.reserve(partitions_.size());
  for (const auto& [id, partition] : partitions_) out.push_back(partition);
  return out;
}

bool DataDirectory::set_leader(uint64_t id, size_t host_index) {
  const DataPartitionPtr partition = find(id);
  if (!partition || host_index >= partition->hosts().size()) return false;
  const std::lock_guard lock(mutex_);
  partition->leader_ = host_index;
  partition->leader_lost_at_.reset();
  changed_.notify_all();
  return true;
}

std::string DataDirectory::leader_of(const DataPartitionPtr& partition) {
  const std::lock_guard lock(mutex_);
  return leader_locked(*partition);
}

std::string DataDirectory::leader_of(uint64_t id) {
  const DataPartitionPtr partition = find(id);
  return partition ? leader_of(partition) : std::string();
}

void DataDirectory::set_election_time(std::chrono::milliseconds time) {
  const std::lock_guard lock(mutex_);
  election_time_ = time;
}

std::string DataDirectory::leader_locked(DataPartition& partition) {
  const auto& hosts = partition.hosts();
  if (partition.leader_ < hosts.size() && up_locked(hosts[partition.leader_])) {
    partition.leader_lost_at_.reset();
    return hosts[partition.leader_];
  }
  if (!partition.leader_lost_at_) partition.leader_lost_at_ = Clock::now();
  if (Clock::now() - *partition.leader_lost_at_ < election_time_) return "";
  if (!majority_locked(partition)) return "";
  const auto winner = std::find_if(hosts.begin(), hosts.end(),
                                   [this](const auto& host) { return up_locked(host); });
  partition.leader_ = static_cast<size_t>(winner - hosts.begin());
  partition.leader_lost_at_.reset();
  return *winner;
}

bool DataDirectory::up_locked(const std::string& address) const {
  const auto node = nodes_.find(address);
  return node != nodes_.end() && node->second.up && node->second.store;
}

bool DataDirectory::is_up(const std::string& address) const {
  const std::lock_guard lock(mutex_);
  return up_locked(address);
}

bool DataDirectory::majority_locked(const DataPartition& partition) const {
  const auto& hosts = partition.hosts();
  const auto live = std::count_if(hosts.begin(), hosts.end(),
                                  [this](const auto& host) { return up_locked(host); });
  return static_cast<size_t>(live) > hosts.size() / 2;
}

std::vector<DataPartitionPtr> DataDirectory::partitions_of(const std::string& address) const {
  std::vector<DataPartitionPtr> out = list();
  std::erase_if(out, [&](const auto& partition) { return !partition->has_host(address); });
  return out;
}

DataDirectory::Replicas DataDirectory::live_replicas(const DataPartition& partition,
                                                     const std::string& also) const {
  std::vector<std::pair<std::string, std::shared_ptr<NodeStore>>> nodes;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& host : partition.hosts()) {
      const auto node = nodes_.find(host);
      if (node == nodes_.end() || !node->second.store) continue;
      if (node->second.up || host == also) nodes.emplace_back(host, node->second.store);
    }
  }
  Replicas out;
  for (const auto& [address, node] : nodes) {
    if (auto store = node->partition(partition.id())) out.push_back({address, std::move(store)});
  }
  return out;
}

void DataDirectory::note_lost_leaders_locked(const std::string& address) {
  for (const auto& [id, partition] : partitions_) {
    const auto& hosts = partition->hosts();
    const bool led = partition->leader_ < hosts.size() && hosts[partition->leader_] == address;
    if (led && !partition->leader_lost_at_) partition->leader_lost_at_ = Clock::now();
  }
}

void DataDirectory::mark_down(const std::string& address) {
  const std::lock_guard lock(mutex_);
  nodes_[address].up = false;
  note_lost_leaders_locked(address);
  changed_.notify_all();
}

void DataDirectory::mark_up(const std::string& address) {
  bring_up(address);
}

void DataDirectory::attach(const std::string& address, std::shared_ptr<NodeStore> store) {
  {
    const std::lock_guard lock(mutex_);
    nodes_[address] = Node{std::move(store), false};
  }
  bring_up(address);
}

void DataDirectory::bring_up(const std::string& address) {
  const std::vector<DataPartitionPtr> partitions = partitions_of(address);
  // Before: so that it never serves a leader's read with old bytes. After: for writes in between.
  for (const auto& partition : partitions) {
    const std::lock_guard order(partition->order_);
    catch_up(*partition, live_replicas(*partition, address));
  }
  {
    const std::lock_guard lock(mutex_);
    nodes_[address].up = true;
    changed_.notify_all();
  }
  for (const auto& partition : partitions) {
    const std::lock_guard order(partition->order_);
    catch_up(*partition, live_replicas(*partition));
  }
}

void DataDirectory::detach(const std::string& address) {
  {
    const std::lock_guard lock(mutex_);
    nodes_[address] = Node{nullptr, false};
    note_lost_leaders_locked(address);
    changed_.notify_all();
  }
  // A write that took its replicas earlier is over once its partition's order is free.
  for (const auto& partition : partitions_of(address)) {
    const std::lock_guard order(partition->order_);
  }
}

void DataDirectory::copy_missed(DataPartition& partition, const ExtentStore& from,
                                ExtentStore& to) {
  const uint64_t known = to.applied_id();
  if (known < partition.touched_since_) {
    to.copy_from(from, nullptr);
    return;
  }
  std::vector<uint64_t> extents;
  for (const auto& [extent, index] : partition.touched_) {
    if (index > known) extents.push_back(extent);
  }
  to.copy_from(from, &extents);
}

void DataDirectory::catch_up(DataPartition& partition, const Replicas& replicas) {
  const auto newest = std::max_element(
      replicas.begin(), replicas.end(),
      [](const auto& a, const auto& b) { return a.store->applied_id() < b.store->applied_id(); });
  if (newest == replicas.end()) return;
  for (const auto& replica : replicas) {
    if (replica.store->applied_id() >= newest->store->applied_id()) continue;
    copy_missed(partition, *newest->store, *replica.store);
  }
}

bool DataDirectory::may_commit_locked(DataPartition& partition, const std::string& node) {
  return leader_locked(partition) == node && majority_locked(partition);
}

DataDirectory::Submitted DataDirectory::await_majority(DataPartition& partition,
                                                       const std::string& node) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (!up_locked(node)) return Submitted::kGone;
    if (leader_locked(partition) != node) return Submitted::kNotLeader;
    if (majority_locked(partition)) return Submitted::kApplied;
    changed_.wait(lock);
  }
}

Verdict DataDirectory::apply(DataPartition& partition, const Replicas& replicas,
                             const std::string& node, const RandomWrite& write) {
  catch_up(partition, replicas);
  Verdict own;
  uint64_t index = 0;
  for (const auto& replica : replicas) index = std::max(index, replica.store->applied_id() + 1);
  partition.touched_since_ = std::min(partition.touched_since_, index - 1);
  partition.touched_[write.extent_id] = index;
  for (const auto& replica : replicas) {
    Verdict verdict = replica.store->random_write(write, index);
    if (replica.address == node) own = std::move(verdict);
  }
  return own;
}

DataDirectory::Submitted DataDirectory::submit(const DataPartitionPtr& partition,
                                               const std::string& node, const RandomWrite& write,
                                               Verdict& verdict) {
  while (true) {
    const Submitted state = await_majority(*partition, node);
    if (state != Submitted::kApplied) return state;
    const std::lock_guard order(partition->order_);
    {
      // The leader may have changed, or a node left, while this write waited for its turn.
      const std::lock_guard lock(mutex_);
      if (!may_commit_locked(*partition, node)) continue;
    }
    verdict = apply(*partition, live_replicas(*partition), node, write);
    return Submitted::kApplied;
  }
}

void DataDirectory::delete_extent(uint64_t id, uint64_t extent_id, uint64_t offset, uint64_t size,
                                  bool tiny) {
  const DataPartitionPtr partition = find(id);
  if (!partition) return;
  const std::lock_guard order(partition->order_);
  partition->touched_.erase(extent_id);
  for (const auto& replica : live_replicas(*partition)) {
    if (tiny) {
      replica.store->punch_tiny(extent_id, offset, size);
    } else {
      replica.store->remove(extent_id);
    }
  }
}

int64_t DataDirectory::tiny_end(const DataPartitionPtr& partition, uint64_t extent_id) const {
  int64_t end = 0;
  for (const auto& replica : live_replicas(*partition)) {
    end = std::max(end, replica.store->end_of(extent_id));
  }
  return end;
}

}  // namespace cfs::mini

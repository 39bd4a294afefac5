// SPDX-License-Identifier: Apache-2.0
/// Snapshots and merge rules; contracts in view.h.
#include "daemon/core/view.h"

#include <algorithm>

namespace cfs {
namespace {

MetaPartition to_meta_partition(const wire::MetaPartitionView& v) {
  MetaPartition p;
  p.id = v.partition_id;
  p.start = v.start;
  p.end = v.end;
  p.writable = v.status == wire::kPartitionReadWrite;
  p.members = v.members;
  p.leader = v.leader_addr;
  return p;
}

int index_of(const std::vector<std::string>& hosts, const std::string& host) {
  const auto it = std::find(hosts.begin(), hosts.end(), host);
  return it == hosts.end() ? -1 : static_cast<int>(it - hosts.begin());
}

bool same_partition(const DataPartition& a, const DataPartition& b) {
  return a.status == b.status && a.media == b.media && a.discard == b.discard &&
         a.leader == b.leader && a.hosts == b.hosts;
}

std::vector<std::uint32_t> full_classes(const wire::DataPartitionsView& answer) {
  std::vector<std::uint32_t> out;
  for (const wire::StorageClassStat& s : answer.stat_by_class) {
    if (s.quota_gib != 0 && s.used_bytes >> 30 >= s.quota_gib) out.push_back(s.storage_class);
  }
  return out;
}

}  // namespace

std::string MetaPartition::member_list() const {
  std::string out = leader;
  for (const std::string& m : members) {
    if (m == leader) continue;
    out += out.empty() ? m : "," + m;
  }
  return out;
}

std::shared_ptr<const MetaView> MetaView::merge(const MetaView* old, const wire::VolView& answer) {
  auto view = old ? std::make_shared<MetaView>(*old) : std::make_shared<MetaView>();
  std::vector<std::uint64_t> writable;
  for (const wire::MetaPartitionView& v : answer.meta_partitions) {
    view->by_id_[v.partition_id] = to_meta_partition(v);
    if (v.status == wire::kPartitionReadWrite) writable.push_back(v.partition_id);
  }
  view->index(writable);
  return view;
}

void MetaView::index(const std::vector<std::uint64_t>& writable) {
  by_start_.clear();
  for (const auto& [id, p] : by_id_) by_start_[p.start] = id;
  if (!writable.empty()) {
    for_create_ = writable;
    had_writable_ = true;
  } else if (!had_writable_) {
    for_create_.clear();
    for (const auto& [start, id] : by_start_) for_create_.push_back(id);
  }
}

const MetaPartition* MetaView::of_inode(Ino ino) const {
  auto it = by_start_.upper_bound(ino);
  if (it == by_start_.begin()) return nullptr;
  const MetaPartition& p = by_id_.at((--it)->second);
  return ino <= p.end ? &p : nullptr;
}

const MetaPartition* MetaView::by_id(std::uint64_t id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &it->second;
}

DataPartition to_data_partition(const wire::DataPartitionView& v) {
  DataPartition p;
  p.id = v.partition_id;
  p.status = int{v.status};
  p.media = v.media_type;
  p.discard = v.is_discard;
  p.hosts = v.hosts;
  p.leader = index_of(p.hosts, v.leader_addr);
  return p;
}

DataPartition to_data_partition(const wire::DataPartitionInfo& v) {
  DataPartition p;
  p.id = v.partition_id;
  p.status = int{v.status};
  p.media = v.media_type;
  p.discard = v.is_discard;
  p.hosts = v.hosts;
  for (const wire::DataReplica& r : v.replicas) {
    if (r.is_leader) p.leader = index_of(p.hosts, r.addr);
  }
  return p;
}

std::shared_ptr<const DataView> DataView::merge(const DataView* old,
                                                const wire::DataPartitionsView& answer) {
  auto view = old ? std::make_shared<DataView>(*old) : std::make_shared<DataView>();
  std::vector<std::uint64_t> writable;
  std::vector<std::uint64_t> read_only;
  for (const wire::DataPartitionView& v : answer.partitions) {
    if (v.partition_type != 0) continue;  // cache and preload partitions hold no file data of ours
    view->by_id_[v.partition_id] = to_data_partition(v);
    if (v.status == wire::kPartitionReadWrite && !v.is_discard) writable.push_back(v.partition_id);
    if (v.status == wire::kPartitionReadOnly && !v.is_discard) read_only.push_back(v.partition_id);
  }
  if (!writable.empty() || answer.vol_read_only) {
    view->writable_ = writable;
  } else if (view->writable_.empty()) {
    // None was ever writable: only they can say whether they are full, or a replica is away.
    view->writable_ = read_only;
  }
  view->full_classes_ = full_classes(answer);
  return view;
}

std::shared_ptr<const DataView> DataView::with(const DataPartition& partition) const {
  auto view = std::make_shared<DataView>(*this);
  view->by_id_[partition.id] = partition;
  return view;
}

const DataPartition* DataView::find(std::uint64_t id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &it->second;
}

std::vector<DataPartition> DataView::all() const {
  std::vector<DataPartition> out;
  out.reserve(by_id_.size());
  for (const auto& [id, p] : by_id_) out.push_back(p);
  return out;
}

std::vector<std::uint64_t> DataView::writable(std::uint32_t storage_class) const {
  if (std::count(full_classes_.begin(), full_classes_.end(), storage_class) != 0) return {};
  std::vector<std::uint64_t> out;
  for (const std::uint64_t id : writable_) {
    const DataPartition* p = find(id);
    const bool fits = p != nullptr && (p->media == storage_class || p->media == 0);
    if (fits && !p->discard && !p->hosts.empty()) out.push_back(id);
  }
  return out;
}

bool DataView::same_as(const DataView& other) const {
  const auto equal = [](const auto& a, const auto& b) {
    return a.first == b.first && same_partition(a.second, b.second);
  };
  return writable_ == other.writable_ && full_classes_ == other.full_classes_ &&
         by_id_.size() == other.by_id_.size() &&
         std::equal(by_id_.begin(), by_id_.end(), other.by_id_.begin(), equal);
}

}  // namespace cfs

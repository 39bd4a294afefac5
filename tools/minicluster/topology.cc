// SPDX-License-Identifier: Apache-2.0
/// Persistence and layout of topology.h. The whole topology is one JSON document: it is small, and
/// a change of it is rare.
#include "tools/minicluster/topology.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

namespace cfs::mini {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(QuotaDir, path, root, partition)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(DirQuota, id, create_time, dirs, max_files,
                                                max_bytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(
    Volume, id, name, owner, status, capacity_gib, vol_type, storage_class, dp_replicas,
    follower_read, meta_follower_read, maximally_read, tx_mask, tx_timeout_min, tx_retry_num,
    tx_retry_ms, tx_refuses_names, enable_quota, enable_posix_acl, delete_lock_h,
    trash_interval_min, leader_retry_s, forbidden, refuse_proto0, description, allowed_classes,
    quotas, user_limits, create_time, access_key, secret_key)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(MetaPartition, id, volume, start, end, members,
                                                leader, status)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(DataPartitionRow, id, volume, hosts, leader, status)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Topology, cluster, create_time, base_port,
                                                dir_limit, next_volume, next_meta, next_data,
                                                volumes, meta, data)

namespace {

constexpr char kKey[] = "topology";
constexpr size_t kMetaReplicas = 3;

/// `count` hosts starting at `first`, round robin.
std::vector<std::string> pick(const std::vector<std::string>& hosts, size_t first, size_t count) {
  std::vector<std::string> out;
  for (size_t i = 0; i < std::min(count, hosts.size()); ++i) {
    out.push_back(hosts[(first + i) % hosts.size()]);
  }
  return out;
}

/// Raft groups have an odd number of members.
size_t meta_replicas(size_t nodes) {
  return nodes >= kMetaReplicas ? kMetaReplicas : 1;
}

void add_meta(Topology& t, Txn& txn, MetaPartition mp, int64_t now) {
  PartitionStore store(txn, mp.id);
  init_partition(store, t.config_of(mp), now);
  store.flush();
  t.meta[mp.id] = std::move(mp);
}

std::string random_text(size_t length) {
  static constexpr char kLetters[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::random_device source;
  std::string s;
  while (s.size() < length) s += kLetters[source() % (sizeof kLetters - 1)];
  return s;
}

}  // namespace

const Volume* Topology::volume(const std::string& name) const {
  auto it = volumes.find(name);
  return it == volumes.end() ? nullptr : &it->second;
}

const MetaPartition* Topology::meta_partition(uint64_t id) const {
  auto it = meta.find(id);
  return it == meta.end() ? nullptr : &it->second;
}

std::vector<const MetaPartition*> Topology::meta_of(const std::string& volume) const {
  std::vector<const MetaPartition*> out;
  for (const auto& [id, mp] : meta) {
    if (mp.volume == volume) out.push_back(&mp);
  }
  return out;
}

std::vector<const DataPartitionRow*> Topology::data_of(const std::string& volume) const {
  std::vector<const DataPartitionRow*> out;
  for (const auto& [id, dp] : data) {
    if (dp.volume == volume) out.push_back(&dp);
  }
  return out;
}

PartitionConfig Topology::config_of(const MetaPartition& mp) const {
  PartitionConfig config;
  config.id = mp.id;
  config.start = mp.start;
  config.end = mp.end;
  config.dir_limit = dir_limit;
  if (const Volume* v = volume(mp.volume)) {
    config.storage_class = v->cold() ? uint32_t{CFS_CLASS_BLOBSTORE} : v->storage_class;
    config.cold = v->cold();
    config.forbidden = v->forbidden;
    config.refuse_proto0 = v->refuse_proto0;
    config.delete_lock_h = v->delete_lock_h;
    config.tx_refuses_names = v->tx_refuses_names;
  }
  return config;
}

Result<void> TopologyStore::load(int64_t now) {
  auto topology = std::make_shared<Topology>();
  topology->create_time = now;
  if (auto text = store_.begin_read()->get(Table::kTopology, kKey)) {
    auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) return make_error(EUCLEAN, "stored topology is damaged");
    *topology = json.get<Topology>();
  }
  std::lock_guard<std::mutex> guard(lock_);
  current_ = std::move(topology);
  return {};
}

TopologyPtr TopologyStore::get() const {
  std::lock_guard<std::mutex> guard(lock_);
  return current_;
}

Result<void> TopologyStore::update(const std::function<Result<void>(Topology&, Txn&)>& change) {
  std::lock_guard<std::mutex> one(update_lock_);
  auto next = std::make_shared<Topology>(*get());
  std::unique_ptr<Txn> txn = store_.begin_write();
  Result<void> changed = change(*next, *txn);
  if (!changed) return changed;
  txn->put(Table::kTopology, kKey, nlohmann::json(*next).dump());
  // Published before the commit lets the next writer in: a create must never use a range that a
  // split has just cut off.
  TopologyPtr before = publish(std::move(next));
  Result<void> committed = txn->commit();
  if (!committed) publish(std::move(before));
  return committed;
}

TopologyPtr TopologyStore::publish(TopologyPtr next) {
  std::lock_guard<std::mutex> guard(lock_);
  return std::exchange(current_, std::move(next));
}

void add_volume(Topology& t, Txn& txn, Volume wanted, const NodeAddresses& nodes, size_t meta_count,
                size_t data_count, int64_t now) {
  wanted.id = t.next_volume++;
  wanted.create_time = now;
  wanted.access_key = random_text(16);
  wanted.secret_key = random_text(32);
  const std::string name = wanted.name;
  const size_t replicas = std::min<size_t>(wanted.dp_replicas, nodes.data.size());
  wanted.dp_replicas = static_cast<uint32_t>(replicas);
  const bool cold = wanted.cold();
  t.volumes[name] = std::move(wanted);
  uint64_t start = 0;
  for (size_t i = 0; i < meta_count; ++i) {
    bool last = i + 1 == meta_count;
    uint64_t end = last ? kMaxInode : kInodesPerPartition * (i + 1);
    auto members = pick(nodes.meta, i, meta_replicas(nodes.meta.size()));
    const size_t leader = i % members.size();
    add_meta(t, txn, {t.next_meta++, name, start, end, members, leader}, now);
    start = end + 1;
  }
  for (size_t i = 0; !cold && i < data_count; ++i) {
    auto hosts = pick(nodes.data, i, replicas);
    // The raft leader is often not the first host, as in a real cluster.
    uint64_t id = t.next_data++;
    t.data[id] = {id, name, hosts, (i + i / hosts.size()) % hosts.size()};
  }
}

Result<uint64_t> split_last_partition(Topology& t, Txn& txn, const std::string& volume,
                                      uint64_t room, int64_t now) {
  auto all = t.meta_of(volume);
  auto last = std::max_element(all.begin(), all.end(),
                               [](auto* a, auto* b) { return a->start < b->start; });
  if (last == all.end()) return make_error(ENOENT, "vol not exists");
  MetaPartition& old = t.meta[(*last)->id];
  uint64_t used = PartitionStore(txn, old.id).counters().cursor;
  if (old.end != kMaxInode || used + room >= kMaxInode) return make_error(EINVAL, "no room");
  MetaPartition added = old;
  old.end = std::max(used + room, old.start);
  added.id = t.next_meta++;
  added.start = old.end + 1;
  added.end = kMaxInode;
  std::rotate(added.members.begin(), added.members.begin() + 1, added.members.end());
  uint64_t id = added.id;
  add_meta(t, txn, std::move(added), now);
  return id;
}

bool valid_volume_name(const std::string& name) {
  auto alnum = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  auto inner = [&](char c) { return alnum(c) || c == '_' || c == '.' || c == '-'; };
  return name.size() >= 3 && name.size() <= 63 && alnum(name.front()) && alnum(name.back()) &&
         std::all_of(name.begin(), name.end(), inner);
}

}  // namespace cfs::mini

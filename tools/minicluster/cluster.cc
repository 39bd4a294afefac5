// SPDX-License-Identifier: Apache-2.0
/// See cluster.h.
#include "tools/minicluster/cluster.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <random>

#include "tools/minicluster/master.h"

namespace cfs::mini {
namespace {

constexpr uint16_t kMetaPortOffset = 200;
constexpr uint16_t kDataPortOffset = 300;
constexpr size_t kMaxNodesPerRole = 100;
/// Where ports are looked for when none are given: below the kernel's own range for clients.
constexpr uint16_t kFirstFreePort = 12000;
constexpr uint16_t kLastFreePort = 31000;
constexpr int kPortTries = 64;

int64_t unix_now() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch())
      .count();
}

bool ports_free(const ClusterOptions& options, uint16_t base) {
  auto range_free = [&](uint16_t first, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      if (!listen_tcp(options.ip, static_cast<uint16_t>(first + i)).ok()) return false;
    }
    return true;
  };
  return range_free(base, options.masters) &&
         range_free(base + kMetaPortOffset, options.meta_nodes) &&
         range_free(base + kDataPortOffset, options.data_nodes);
}

template <class Nodes, class AddressOf>
auto* find_by_address(const Nodes& nodes, const std::string& address, AddressOf address_of) {
  for (const auto& node : nodes) {
    if (address_of(*node) == address) return node.get();
  }
  return static_cast<decltype(nodes.front().get())>(nullptr);
}

}  // namespace

Cluster::Cluster(ClusterOptions options) : options_(std::move(options)) {}

Cluster::~Cluster() {
  stop();
}

Result<void> Cluster::start() {
  Result<void> ok = open_state();
  if (ok) ok = choose_ports();
  if (ok) ok = start_data_nodes();
  if (ok) ok = start_meta_nodes();
  if (ok) ok = start_masters();
  if (!ok) {
    stop();
    return ok;
  }
  background_ = std::thread([this] { background_loop(); });
  return {};
}

void Cluster::stop() {
  {
    std::lock_guard<std::mutex> guard(lock_);
    stopping_ = true;
    wake_.notify_all();
  }
  for (auto& master : masters_) master->stop();
  if (meta_) meta_->stop();
  for (auto& node : meta_nodes_) node->stop();
  for (auto& slot : data_slots_) slot->node->stop();
  if (background_.joinable()) background_.join();
}

Result<void> Cluster::open_state() {
  if (options_.masters == 0 || options_.meta_nodes == 0 || options_.data_nodes == 0) {
    return make_error(EINVAL, "at least one node of each kind is needed");
  }
  if (std::max({options_.masters, options_.meta_nodes, options_.data_nodes}) > kMaxNodesPerRole) {
    return make_error(EINVAL, "at most 100 nodes of each kind");
  }
  std::error_code ec;
  std::filesystem::create_directories(options_.dir + "/meta", ec);
  if (ec) return make_error(ec.value(), "create " + options_.dir);
  Result<std::unique_ptr<Store>> store =
      open_lmdb_store(options_.dir + "/meta", options_.durability);
  if (!store) return store.error();
  store_ = std::move(store).value();
  topology_ = std::make_unique<TopologyStore>(*store_);
  meta_ = std::make_unique<MetaService>(*store_, *topology_, faults_, request_log_);
  return topology_->load(unix_now());
}

Result<void> Cluster::choose_ports() {
  uint16_t kept = topology_->get()->base_port;
  if (options_.base_port == 0) options_.base_port = kept;
  std::minstd_rand random(std::random_device{}());
  for (int i = 0; options_.base_port == 0 && i < kPortTries; ++i) {
    uint16_t base = kFirstFreePort + random() % (kLastFreePort - kFirstFreePort);
    if (ports_free(options_, base)) options_.base_port = base;
  }
  if (options_.base_port == 0) return make_error(EADDRINUSE, "no free ports");
  if (kept == options_.base_port) return {};
  if (!topology_->get()->volumes.empty()) {
    return make_error(EINVAL, "the directory belongs to a cluster on port " + std::to_string(kept));
  }
  return topology_->update([&](Topology& t, Txn&) -> Result<void> {
    t.base_port = options_.base_port;
    return {};
  });
}

Result<void> Cluster::start_data_nodes() {
  for (size_t i = 0; i < options_.data_nodes; ++i) {
    auto slot = std::make_unique<DataSlot>();
    slot->knobs.tiny_ready_after_ms = options_.tiny_ready_ms;
    slot->knobs.request_log = &request_log_;
    auto port = static_cast<uint16_t>(options_.base_port + kDataPortOffset + i);
    slot->node = std::make_unique<DataNode>(options_.dir + "/data" + std::to_string(i + 1),
                                            options_.ip, port, data_, slot->knobs);
    data_slots_.push_back(std::move(slot));
  }
  for (const auto& [name, volume] : topology_->get()->volumes) register_data_partitions(name);
  for (auto& slot : data_slots_) {
    Result<void> started = slot->node->start();
    if (!started) return started;
  }
  return {};
}

Result<void> Cluster::start_meta_nodes() {
  for (size_t i = 0; i < options_.meta_nodes; ++i) {
    auto port = static_cast<uint16_t>(options_.base_port + kMetaPortOffset + i);
    meta_nodes_.push_back(std::make_unique<MetaNode>(options_.ip, port, *meta_));
    Result<void> started = meta_nodes_.back()->start();
    if (!started) return started;
  }
  return {};
}

Result<void> Cluster::start_masters() {
  api_ = std::make_unique<MasterApi>(*this);
  for (size_t i = 0; i < options_.masters; ++i) {
    auto port = static_cast<uint16_t>(options_.base_port + i);
    masters_.push_back(std::make_unique<Master>(options_.ip, port, *api_));
    Result<void> started = masters_.back()->start();
    if (!started) return started;
  }
  return {};
}

void Cluster::background_loop() {
  auto delete_extent = [this](const wire::ExtentKey& key) {
    bool tiny = key.extent_id <= CFS_TINY_COUNT;
    data_.delete_extent(key.partition_id, key.extent_id, key.extent_offset, key.size, tiny);
  };
  std::unique_lock<std::mutex> guard(lock_);
  while (!stopping_) {
    if (to_stop_.empty()) {
      wake_.wait_for(guard, std::chrono::milliseconds(options_.background_ms));
    }
    if (stopping_) return;
    std::vector<Master*> to_stop = std::exchange(to_stop_, {});
    guard.unlock();
    for (Master* master : to_stop) master->stop();
    meta_->background_round(delete_extent);
    guard.lock();
  }
}

NodeAddresses Cluster::addresses() const {
  NodeAddresses all;
  for (const auto& node : meta_nodes_) all.meta.push_back(node->address());
  for (const auto& slot : data_slots_) all.data.push_back(slot->node->address());
  return all;
}

void Cluster::register_data_partitions(const std::string& volume) {
  TopologyPtr topology = topology_->get();
  for (const DataPartitionRow* row : topology->data_of(volume)) {
    data_.add_partition({row->id, row->hosts, row->leader});
  }
}

Result<void> Cluster::create_volume(Volume wanted, size_t meta_partitions, size_t data_partitions) {
  const std::string name = wanted.name;
  auto add = [&](Topology& t, Txn& txn) -> Result<void> {
    if (t.volumes.contains(name)) return make_error(EEXIST, "duplicate vol");
    add_volume(t, txn, wanted, addresses(), meta_partitions, data_partitions, unix_now());
    return {};
  };
  Result<void> added = topology_->update(add);
  if (added) register_data_partitions(name);
  return added;
}

Result<void> Cluster::change_volume(const std::string& name,
                                    const std::function<void(Volume&)>& change) {
  return topology_->update([&](Topology& t, Txn&) -> Result<void> {
    auto it = t.volumes.find(name);
    if (it == t.volumes.end()) return make_error(ENOENT, "vol not exists");
    change(it->second);
    return {};
  });
}

Result<uint64_t> Cluster::split_volume(const std::string& name, uint64_t room) {
  uint64_t id = 0;
  auto split = [&](Topology& t, Txn& txn) -> Result<void> {
    Result<uint64_t> added = split_last_partition(t, txn, name, room, unix_now());
    if (!added) return added.error();
    id = *added;
    return {};
  };
  Result<void> done = topology_->update(split);
  if (!done) return done.error();
  return id;
}

std::vector<std::string> Cluster::master_addresses() const {
  std::vector<std::string> all;
  for (const auto& master : masters_) all.push_back(master->address());
  return all;
}

Master* Cluster::find_master(const std::string& address) const {
  return find_by_address(masters_, address, [](const Master& m) { return m.address(); });
}

MetaNode* Cluster::find_meta_node(const std::string& address) const {
  return find_by_address(meta_nodes_, address, [](const MetaNode& n) { return n.address(); });
}

DataSlot* Cluster::find_data_slot(const std::string& address) const {
  return find_by_address(data_slots_, address, [](const DataSlot& s) { return s.node->address(); });
}

bool Cluster::move_meta_leader(uint64_t partition, size_t member) {
  std::string before = meta_->leader_of(partition);
  if (!meta_->move_leader(partition, member)) return false;
  for (const std::string& address : {before, meta_->leader_of(partition)}) {
    if (MetaNode* node = find_meta_node(address)) node->reset_connections();
  }
  return true;
}

void Cluster::stop_master_soon(Master& master) {
  std::lock_guard<std::mutex> guard(lock_);
  to_stop_.push_back(&master);
  wake_.notify_all();
}

uint64_t Cluster::used_bytes(const std::string& volume) const {
  uint64_t total = 0;
  TopologyPtr topology = topology_->get();
  for (const DataPartitionRow* row : topology->data_of(volume)) {
    for (const std::string& host : row->hosts) {
      DataSlot* slot = find_data_slot(host);
      if (slot == nullptr || !slot->node->running()) continue;
      total += slot->node->usage(row->id).used_bytes;
      break;
    }
  }
  return total;
}

}  // namespace cfs::mini

// SPDX-License-Identifier: Apache-2.0
/// The whole mini cluster: store, masters, meta nodes, data nodes, background work.
///
/// Purpose   Wires the parts, starts them in order, stops them in reverse; the operations that
///           masters and fault requests need and that touch more than one part.
/// Lifetime  start() once, stop() once (the destructor does it, too). Everything it hands out lives
///           until then. All state is in the directory: a second start serves the same volumes and
///           data.
/// Threads   Methods from any thread after start() has returned.
/// Failure   start() says what is wrong and leaves nothing running. For trying and testing only:
///           one process and one disk hold all replicas.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tools/minicluster/data_node.h"
#include "tools/minicluster/faults.h"
#include "tools/minicluster/meta_node.h"
#include "tools/minicluster/meta_service.h"
#include "tools/minicluster/request_log.h"
#include "tools/minicluster/topology.h"

namespace cfs::mini {

class Master;
class MasterApi;

/// Partitions of a new volume. Source: CubeFS v3.5.3, master/const.go.
inline constexpr size_t kMetaPartitionsPerVolume = 3;
inline constexpr size_t kDataPartitionsPerVolume = 10;

struct ClusterOptions {
  std::string dir;
  std::string ip = "127.0.0.1";
  size_t masters = 1;
  size_t meta_nodes = 3;
  size_t data_nodes = 3;
  /// Masters listen here and above, meta nodes 200 higher, data nodes 300 higher. 0: the first
  /// start chooses ports and later ones keep them.
  uint16_t base_port = 17010;
  /// A data partition refuses tiny writes for this long after it was loaded.
  uint32_t tiny_ready_ms = 0;
  uint32_t background_ms = 500;  ///< between rounds of background work
  Durability durability = Durability::kProcess;
};

/// A data node with what outlives its stops and starts.
struct DataSlot {
  DataKnobs knobs;
  std::unique_ptr<DataNode> node;
};

class Cluster {
 public:
  explicit Cluster(ClusterOptions options);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  Result<void> start();
  void stop();

  /// EEXIST when the name is taken.
  Result<void> create_volume(Volume wanted, size_t meta_partitions = kMetaPartitionsPerVolume,
                             size_t data_partitions = kDataPartitionsPerVolume);
  /// Changes settings of a volume; ENOENT when there is none.
  Result<void> change_volume(const std::string& name, const std::function<void(Volume&)>& change);
  /// Appends a meta partition, see split_last_partition(); its id.
  Result<uint64_t> split_volume(const std::string& name, uint64_t room);

  [[nodiscard]] const ClusterOptions& options() const { return options_; }
  [[nodiscard]] std::vector<std::string> master_addresses() const;
  [[nodiscard]] TopologyStore& topology() { return *topology_; }
  [[nodiscard]] MetaService& meta() { return *meta_; }
  [[nodiscard]] DataDirectory& data() { return data_; }
  [[nodiscard]] FaultTable& faults() { return faults_; }
  [[nodiscard]] RequestLog& request_log() { return request_log_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Master>>& masters() const { return masters_; }
  [[nodiscard]] const std::vector<std::unique_ptr<MetaNode>>& meta_nodes() const {
    return meta_nodes_;
  }
  [[nodiscard]] const std::vector<std::unique_ptr<DataSlot>>& data_slots() const {
    return data_slots_;
  }
  /// Node with this address, or null.
  [[nodiscard]] Master* find_master(const std::string& address) const;
  [[nodiscard]] MetaNode* find_meta_node(const std::string& address) const;
  [[nodiscard]] DataSlot* find_data_slot(const std::string& address) const;

  /// Moves the leadership of a meta partition; both nodes concerned reset their connections.
  bool move_meta_leader(uint64_t partition, size_t member);
  /// Stops a master from the background thread, within a round.
  void stop_master_soon(Master& master);
  /// Bytes on the data nodes, one replica per partition.
  [[nodiscard]] uint64_t used_bytes(const std::string& volume) const;

 private:
  Result<void> open_state();
  Result<void> choose_ports();
  Result<void> start_data_nodes();
  Result<void> start_meta_nodes();
  Result<void> start_masters();
  void background_loop();
  void register_data_partitions(const std::string& volume);
  [[nodiscard]] NodeAddresses addresses() const;

  ClusterOptions options_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<TopologyStore> topology_;
  FaultTable faults_;
  RequestLog request_log_;
  DataDirectory data_;
  std::unique_ptr<MetaService> meta_;
  std::vector<std::unique_ptr<DataSlot>> data_slots_;
  std::vector<std::unique_ptr<MetaNode>> meta_nodes_;
  std::unique_ptr<MasterApi> api_;
  std::vector<std::unique_ptr<Master>> masters_;

  std::thread background_;
  std::mutex lock_;
  std::condition_variable wake_;
  bool stopping_ = false;         ///< lock_
  std::vector<Master*> to_stop_;  ///< lock_
};

}  // namespace cfs::mini

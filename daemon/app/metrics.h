// SPDX-License-Identifier: Apache-2.0
/// What Prometheus is told.
///
/// Purpose  Turns what daemon, module and BPF program count into metric families of prometheus-cpp
///          and those into the text format. Names and units follow Prometheus's conventions.
///          Cardinality is bounded by volumes, operations and data nodes: nothing has a label for
///          an inode, a process, a client or a session. Mounts of one volume are added up.
/// Threads  The loop thread.
/// Lifetime Counters of a mount end with it; what was last seen of them stays in the sum, so that a
///          counter of a volume never goes down while the daemon lives. What happened between the
///          last look and the unmount is not in it.
/// Failure  None: what is not available is left out.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/app/front_end.h"
#include "daemon/bpf/latency.h"
#include "daemon/kernel/connector.h"

namespace cfs {

/// One mount at the moment of a scrape.
struct MountSample {
  std::string instance;  ///< tells mounts apart: "kernel/3", "fuse//mnt"
  std::string cluster, volume, frontend;
  bool ready = false;
  std::size_t in_flight = 0;
  std::int64_t oldest_ms = 0;  ///< age of the oldest request without an answer; 0: none
  Volume::Counters daemon{};
  std::optional<cfs_stats> kernel{};  ///< of a kernel mount
};

/// Packets of one kind with one data node.
struct NodeSample {
  std::string node;  ///< "ip:port"
  const char* kind;  ///< "read", "append", ...
  OpLatency latency;
};

/// Requests of one operation that the FUSE front end has answered.
struct FuseSample {
  std::string op;  ///< "LOOKUP", "READ", ...
  OpLatency latency;
};

struct MetricsSample {
  bool attached = false;
  std::uint64_t file_data_bytes = 0;  ///< moved through this process
  Connector::Counts connections{};
  std::vector<MountSample> mounts{};
  std::optional<std::vector<OpLatency>> latency{};  ///< nothing: no BPF program is attached
  std::vector<NodeSample> nodes{};
  std::vector<FuseSample> fuse{};
};

class Metrics {
 public:
  /// Text format 0.0.4 of everything.
  [[nodiscard]] std::string render(const MetricsSample& sample);

  static constexpr std::size_t kCountersMax = 64;  ///< table of metrics.cc, then operations
  using Counts = std::array<std::uint64_t, kCountersMax>;
  /// cluster, volume, front end
  using VolumeKey = std::array<std::string, 3>;

 private:
  struct Seen {
    VolumeKey volume;
    Counts counts{};
  };
  void retire(const Seen& seen);
  void look_at(const MetricsSample& sample);

  std::map<std::string, Seen> seen_;     ///< by instance: mounts of the last look
  std::map<VolumeKey, Counts> retired_;  ///< of mounts that are gone
};

}  // namespace cfs

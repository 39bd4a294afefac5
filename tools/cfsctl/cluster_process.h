// SPDX-License-Identifier: Apache-2.0
/// The mini cluster as a background process.
///
/// Purpose  Starts, finds and ends cfs-minicluster by files in its directory: minicluster.pid,
///          minicluster.ready (its masters, when it serves), minicluster.log.
/// Threads  Main thread.
/// Failure  A Problem ready to be reported. A process id is believed only if that process is a
///          cfs-minicluster.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "tools/cfsctl/daemon_link.h"

namespace cfs::ctl {

struct ClusterShape {
  std::string dir;
  std::string ip = "127.0.0.1";
  unsigned masters = 1, meta_nodes = 3, data_nodes = 3;
  unsigned base_port = 17010;
  unsigned replicas = 3;             ///< of volumes that do not say
  std::vector<std::string> volumes;  ///< NAME:OWNER[:REPLICAS]
};

/// Directory of a cluster when none is named.
[[nodiscard]] std::string default_cluster_dir();
[[nodiscard]] std::optional<pid_t> cluster_pid(const std::string& dir);
/// Addresses of the masters, comma list; empty when it does not serve.
[[nodiscard]] std::string cluster_masters(const std::string& dir);

/// Returns the masters when it serves.
[[nodiscard]] Either<std::string> start_cluster(const ClusterShape& shape);
[[nodiscard]] std::optional<Problem> stop_cluster(const std::string& dir);

}  // namespace cfs::ctl

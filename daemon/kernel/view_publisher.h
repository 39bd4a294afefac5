// SPDX-License-Identifier: Apache-2.0
/// Publishes one volume's partitions to the kernel.
///
/// Purpose  Turns partitions into rows, sends only what changed since the last time, and the ranked
///          lists of writable partitions per storage class.
/// Threads  The loop thread.
/// Lifetime One per session; what it remembers as sent is worth nothing for another attachment.
/// Failure  The kernel's errno; what was not sent is sent next time.
#pragma once

#include <cstdint>
#include <set>
#include <unordered_map>
#include <vector>

#include "daemon/core/volume.h"
#include "daemon/kernel/kernel_port.h"
#include "daemon/kernel/node_table.h"

namespace cfs {

class ViewPublisher {
 public:
  ViewPublisher(KernelPort& port, NodeTable& nodes, std::uint32_t session)
      : port_(port), nodes_(nodes), session_(session) {}

  /// Rows first, then the lists that name them.
  Result<void> publish(const Volume& volume);
  Result<void> publish_partition(const DataPartition& partition);
  /// The kernel asks: send the list even if it is the one it has.
  Result<void> publish_writable(const Volume& volume, std::uint32_t storage_class, bool force);
  /// The partition does not exist: a row that says so, for I/O that waits for it.
  Result<void> publish_missing(std::uint64_t partition_id);
  [[nodiscard]] std::size_t rows() const { return sent_.size(); }

 private:
  Result<void> send(const std::vector<cfs_dp_row>& rows);
  [[nodiscard]] std::set<std::uint32_t> classes(const Volume& volume) const;

  KernelPort& port_;
  NodeTable& nodes_;
  std::uint32_t session_;
  std::unordered_map<std::uint64_t, cfs_dp_row> sent_;
  std::unordered_map<std::uint32_t, std::vector<std::uint64_t>> writable_;
};

}  // namespace cfs

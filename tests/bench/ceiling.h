// SPDX-License-Identifier: Apache-2.0
/// The fastest client that could be: the same packets to the same data nodes from one buffer.
///
/// Purpose  A bound to compare file systems with: appends and reads with CRC, pipelined, no page
///          cache, no file, no metadata; and a bare TCP stream beside it.
/// Threads  Blocking; one call at a time. A call uses threads of its own.
/// Lifetime The extent that write() made is what read() reads.
/// Failure  Result with the server's refusal or the socket's errno.
/// Source   CubeFS v3.5.3, datanode/repl, sdk/data/stream.
#pragma once

#include <string>
#include <vector>

#include "daemon/core/volume.h"

namespace cfs::bench {

class Ceiling {
 public:
  /// Learns the partitions of a volume from its masters.
  static Result<Ceiling> open(const MountConfig& config);

  /// Append `mib` MiB to a new extent (at most 128), 1 MiB a packet.
  Result<void> write(std::size_t mib);
  /// Read them again, over two connections.
  Result<void> read();

 private:
  struct Part {
    DataPartition partition;
    std::uint64_t extent_id = 0;
    std::size_t mib = 0;
  };
  explicit Ceiling(std::vector<DataPartition> writable) : writable_(std::move(writable)) {}
  std::vector<DataPartition> writable_;
  std::vector<Part> parts_;
  std::string buffer_ = std::string(1u << 20, 'c');
};

/// Send `mib` MiB to a sink ("ip:port") that answers one byte at the end.
Result<void> tcp_stream(const std::string& address, std::size_t mib);
/// Be such a sink for ever.
Result<void> tcp_sink(const std::string& address);

}  // namespace cfs::bench

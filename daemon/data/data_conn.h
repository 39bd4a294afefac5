// SPDX-License-Identifier: Apache-2.0
/// Requests to data nodes from user space.
///
/// Purpose  The FUSE front end's way to file data; the kernel module has its own. One request and
/// its reply own a
///          connection, so reads, appends and overwrites never share one while it matters.
/// Threads  The loop's.
/// Lifetime Idle connections are kept for 30 s of use at most; the pool outlives every call.
/// Failure  An Error is a transport failure: the outcome is unknown. A reply with a result code
/// other than Ok is a
///          value; its connection is closed, since the server stops its protocol engine after an
///          error.
/// Source   CubeFS v3.5.3, sdk/data/stream, datanode/repl/repl_protocol.go.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/loop.h"
#include "daemon/base/net.h"
#include "daemon/wire/packet.h"

namespace cfs {

/// Bytes of file data that this process moved, both directions: 0 as long as only the kernel does.
std::uint64_t data_traffic_bytes();

class DataConnPool {
 public:
  explicit DataConnPool(Loop& loop) : loop_(loop) {}

  /// Send `head` with `payload`, receive one reply.
  Task<Result<wire::Packet>> call(std::string address, wire::Packet head, std::string_view payload);

  /// A read request; its reply comes in chunks that go to `out` (head.h.size bytes). Returns the
  /// result code.
  Task<Result<std::uint8_t>> read(std::string address, wire::Packet head, char* out);

 private:
  struct Idle {
    Fd fd;
    std::int64_t since_ms;
  };
  Task<Result<Fd>> take(std::string address);
  void put(const std::string& address, Fd fd);
  Task<Result<void>> send(int fd, const wire::Packet& head, std::string_view payload,
                          std::int64_t deadline_ms);
  Task<Result<wire::Packet>> receive_head(int fd, std::int64_t deadline_ms);
  Task<Result<std::uint8_t>> receive_chunks(int fd, const cfs_pkt_hdr& request, char* out);

  Loop& loop_;
  std::map<std::string, std::vector<Idle>> idle_;
};

}  // namespace cfs

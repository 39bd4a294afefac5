// SPDX-License-Identifier: Apache-2.0
/// A primary's connection to one follower.
///
/// Purpose   Carries copies of a client's forwarded requests to a replica and checks its replies.
/// Lifetime  Made by a session when it first forwards to that address; closed with the session.
/// Threads   send() on the session's request thread, await() on its acknowledging thread, shut() on
///           any.
/// Failure   Errors are the sentences that the real primary puts into its own error reply. After
///           one the link is useless; the session ends anyway with its first error reply.
/// Source    CubeFS v3.5.3, datanode/repl/repl_protocol.go.
#pragma once

#include <memory>
#include <string>

#include "tools/minicluster/data_packet.h"

namespace cfs::mini {

/// How long a primary waits for a follower's reply. Source: CubeFS v3.5.3, proto/const.go.
inline constexpr std::chrono::seconds kFollowerTimeout{5};

class FollowerLink {
 public:
  /// Connects within a second.
  static Result<std::unique_ptr<FollowerLink>> dial(const std::string& address);

  /// Sends the request with RemainingFollowers 0 and without Arg. Returns "" or the failure.
  std::string send(const DataPacket& request);
  /// Reads the reply to `request`, which must be the oldest without one.
  Verdict await(const cfs_pkt_hdr& request, Deadline deadline);
  /// Makes both sides of the connection fail at once.
  void shut();
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  FollowerLink(std::string address, Fd fd)
      : address_(std::move(address)), fd_(std::move(fd)), reader_(fd_.get()) {}

  const std::string address_;
  const Fd fd_;
  SocketReader reader_;
  DataPacket reply_;
};

}  // namespace cfs::mini

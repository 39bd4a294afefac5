// SPDX-License-Identifier: Apache-2.0
/// Which requests came in which order: for tests that compare what a client sends with recordings.
///
/// Purpose   One list of arrivals and answers of all nodes of the cluster. An answer is noted before
///           it is sent, so that whatever a client does because of it comes later in the list.
/// Lifetime  Owned by the cluster, outlives its nodes. Off until start().
/// Threads   Any.
/// Failure   The list ends at kMost events.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/wire/packet.h"

namespace cfs::mini {

struct RequestEvent {
  bool answer = false;
  wire::Peer peer = wire::Peer::kMeta;
  uint8_t op = 0;
  uint8_t followers = 0;  ///< of an append: replicas that the receiver hands it on to
};

class RequestLog {
 public:
  static constexpr size_t kMost = 100'000;

  /// Begins a new list.
  void start();
  void stop() { on_ = false; }
  void note(const RequestEvent& event);
  [[nodiscard]] std::vector<RequestEvent> events() const;

 private:
  std::atomic<bool> on_{false};
  mutable std::mutex lock_;
  std::vector<RequestEvent> events_;  ///< lock_
};

}  // namespace cfs::mini

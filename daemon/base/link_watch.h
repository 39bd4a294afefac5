// SPDX-License-Identifier: Apache-2.0
/// Tells when this host's network has become better: a link has its carrier, an address or a route
/// was added.
///
/// Purpose  What failed is tried again at once instead of after a back-off.
/// Threads  The loop's.
/// Lifetime The watching task ends after stop(), which must come before the loop's end.
/// Failure  Without a netlink socket (some containers) nothing is told, and back-offs run their
///          time. Lost messages count as a change.
/// Source   rtnetlink(7).
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "daemon/base/net.h"

namespace cfs {

class LinkWatch {
 public:
  static constexpr Millis kQuiet{100};  ///< at most one call in this time

  /// A socket that hears of links, addresses and routes.
  static Result<Fd> open();
  /// Whether a datagram of that socket says that something came.
  static bool is_better(std::string_view datagram);

  LinkWatch(Loop& loop, Fd socket, std::function<void()> on_change);
  ~LinkWatch() { stop(); }
  LinkWatch(const LinkWatch&) = delete;
  LinkWatch& operator=(const LinkWatch&) = delete;
  void stop();

 private:
  struct State;
  static Task<void> run(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Can a peer that has fallen silent be reached?
///
/// Purpose  An established connection that lost its path comes back only when its retransmission
///          timer, doubled each time, happens to fire: seconds after the path is there again. A
///          fresh dial every kPeriod knows it at once, and tells a broken path from a slow server,
///          whose host answers the first dial. No request is sent.
/// Threads  The loop's.
/// Lifetime suspect() begins a search; it ends with the first answer, or kWantedMs after the last
///          suspect(). After stop(), which the destructor calls, no callback comes.
/// Failure  A refused dial is an answer: the host is there.
///
///   idle -> searching -> broken (kBrokenMs without an answer) -> lost (kLostMs)
///     ^        |            |  answer: on_back                    |
///     +--------+------------+-------------------------------------+
#pragma once

#include <functional>
#include <memory>

#include "daemon/base/net.h"

namespace cfs {

class PathProbe {
 public:
  static constexpr Millis kPeriod{200};
  static constexpr Millis kDialTimeout{1000};  ///< far peers answer late
  static constexpr std::int64_t kBrokenMs = 400;
  static constexpr std::int64_t kLostMs = 1200;
  static constexpr std::int64_t kWantedMs = 15'000;

  struct Callbacks {
    /// The path was broken since then (Loop::now_ms()) and is there again.
    std::function<void(std::int64_t since_ms)> on_back;
    /// No answer for kLostMs; once per search. May be empty.
    std::function<void(std::int64_t since_ms)> on_lost;
  };

  PathProbe(Loop& loop, Endpoint peer, Callbacks callbacks);
  ~PathProbe() { stop(); }
  PathProbe(const PathProbe&) = delete;
  PathProbe& operator=(const PathProbe&) = delete;

  /// Something has waited for the peer for a while.
  void suspect();
  void stop();
  [[nodiscard]] bool searching() const;
  [[nodiscard]] bool broken() const;
  [[nodiscard]] bool lost() const;

 private:
  struct Search;
  static Task<void> run(std::shared_ptr<Search> search);
  static Task<void> dial(std::shared_ptr<Search> search);

  Loop& loop_;
  Endpoint peer_;
  Callbacks callbacks_;
  std::shared_ptr<Search> search_;  ///< the last one
  bool stopped_ = false;
};

}  // namespace cfs

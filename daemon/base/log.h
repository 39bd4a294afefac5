// SPDX-License-Identifier: Apache-2.0
/// Logging helpers on top of spdlog.
///
/// Purpose  A limit for messages that a broken server could otherwise repeat for ever.
/// Threads  One LogLimit belongs to one loop; spdlog itself may be used anywhere.
#pragma once

#include <cstdint>

#include "daemon/base/loop.h"

namespace cfs {

/// True at most once per `period_ms`; tells how many were swallowed since.
class LogLimit {
 public:
  explicit LogLimit(std::int64_t period_ms = 5000) : period_ms_(period_ms) {}
  /// Whether to log now. `swallowed()` is then the number of silent ones before.
  bool allow() {
    const std::int64_t now = Loop::now_ms();
    if (now < next_ms_) {
      ++silent_;
      return false;
    }
    next_ms_ = now + period_ms_;
    swallowed_ = silent_;
    silent_ = 0;
    return true;
  }
  [[nodiscard]] std::uint64_t swallowed() const { return swallowed_; }

 private:
  std::int64_t period_ms_;
  std::int64_t next_ms_ = 0;
  std::uint64_t silent_ = 0, swallowed_ = 0;
};

}  // namespace cfs

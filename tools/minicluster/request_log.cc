// SPDX-License-Identifier: Apache-2.0
/// See request_log.h.
#include "tools/minicluster/request_log.h"

namespace cfs::mini {

void RequestLog::start() {
  std::lock_guard<std::mutex> guard(lock_);
  events_.clear();
  on_ = true;
}

void RequestLog::note(const RequestEvent& event) {
  if (!on_.load(std::memory_order_relaxed)) return;
  std::lock_guard<std::mutex> guard(lock_);
  if (events_.size() < kMost) events_.push_back(event);
}

std::vector<RequestEvent> RequestLog::events() const {
  std::lock_guard<std::mutex> guard(lock_);
  return events_;
}

}  // namespace cfs::mini

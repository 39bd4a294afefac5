// SPDX-License-Identifier: Apache-2.0
/// Latencies of the kernel's requests, for the admin socket.
///
/// Purpose  Hides whether this daemon was built with BPF, and turns histograms into JSON.
/// Threads  The loop thread.
/// Lifetime start() when the module is there, stop() before the end.
/// Failure  Tracing is a convenience: nothing depends on it, latencies() says why there are none.
#pragma once

#include <memory>

#include "daemon/app/admin_protocol.h"

namespace cfs {

class TraceLoader;

class Tracing {
 public:
  static constexpr std::uint64_t kSlowNs = 1'000'000'000;  ///< from here on a request is logged

  Tracing();
  ~Tracing();
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;

  void start();
  void stop();
  [[nodiscard]] Result<Json> latencies() const;

 private:
  std::unique_ptr<TraceLoader> loader_;  ///< null when built without BPF
};

}  // namespace cfs

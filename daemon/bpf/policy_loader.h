// SPDX-License-Identifier: Apache-2.0
/// PolicyLoader: gives the module a policy when a daemon attaches.
///
/// Purpose  Loads the default policy unless one is pinned, and opens the maps for the MetaCache.
///          That takes a tenth of a second and more, so a thread of its own does it.
/// Threads  start(), stop(), destructor: one thread.
/// Lifetime start() whenever there may be no policy: when the daemon attached, and at the first
///          mount after the last unmount. What was loaded stays pinned.
/// Failure  Logged, with the verifier's last lines; the module's built-in policy serves then.
#pragma once

#include <thread>

#include "daemon/bpf/meta_cache.h"

namespace cfs {

class PolicyLoader {
 public:
  explicit PolicyLoader(MetaCache& cache) : cache_(cache) {}
  ~PolicyLoader() { stop(); }
  PolicyLoader(const PolicyLoader&) = delete;
  PolicyLoader& operator=(const PolicyLoader&) = delete;

  /// Waits for a load under way, if there is one, and begins another.
  void start();
  /// Waits for a load under way.
  void stop();

 private:
  void run();

  MetaCache& cache_;
  std::thread thread_;
};

}  // namespace cfs

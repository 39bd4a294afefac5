// SPDX-License-Identifier: Apache-2.0
/// The work that is measured: system calls on a directory.
///
/// Purpose  Each workload prepares what it needs, then does one measured piece. The same calls run
///          on every mounted directory.
/// Threads  One.
/// Lifetime Files live in DIR/bench and are removed by cleanup().
/// Failure  Result with the path and the errno: a benchmark of failing calls is worth nothing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/base/result.h"
#include "tests/bench/measure.h"

namespace cfs::bench {

struct Scale {
  std::size_t file_mib = 64;
  std::size_t files = 100;       ///< small files
  std::size_t operations = 400;  ///< random reads and writes
};

/// kCold: caches are dropped before each run; kWarm: the work is done once, unmeasured, before.
struct Workload {
  Results::Workload what;
  enum class Cache : std::uint8_t { kAsIs, kCold, kWarm } cache = Cache::kAsIs;
  std::function<Result<void>(const std::string& dir, int round)> run;
};

/// In the order in which they must run: later ones use the files of earlier ones.
std::vector<Workload> large_file_workloads(const Scale& scale);
std::vector<Workload> small_file_workloads(const Scale& scale);

Result<void> drop_caches();
Result<void> prepare(const std::string& dir);
void cleanup(const std::string& dir);

}  // namespace cfs::bench

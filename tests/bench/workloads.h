// SPDX-License-Identifier: Apache-2.0
/// The work that is measured: system calls in a directory.
///
/// Purpose  Each workload prepares what it needs, then does one measured piece. The same calls run
///          on every mounted directory.
/// Threads  One, except for the workloads of group "threads".
/// Lifetime Files live in the working directory, which the caller makes, enters and removes: paths
///          are relative, so that no other file system is walked through.
/// Failure  Result with the path and the errno: a benchmark of failing calls is worth nothing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/base/result.h"
#include "tests/bench/measure.h"

namespace cfs::bench {

struct Scale {
  std::size_t file_mib = 64;     ///< the large file
  std::size_t files = 100;       ///< small files, each written and read once a round
  std::size_t operations = 400;  ///< random reads and writes
  std::size_t calls = 20000;     ///< of a name in the cache
  std::size_t threads = 8;
  std::string tree;  ///< tar of a source tree with its git repository; empty: no such work
  std::string
      many;  ///< the same with so many files that looking at them is the work; empty: no such work
};

/// What is done before each measured piece, unmeasured.
enum class Cache : std::uint8_t {
  kAsIs,
  kWarm,   ///< the work, once
  kNames,  ///< unused dentries and inodes are dropped, data stays
  kCold,   ///< all unused caches are dropped
};

struct Workload {
  Results::Workload what;
  Cache cache = Cache::kAsIs;
  std::function<Result<void>(int round, Samples& samples)> run;
  std::function<Result<void>(int round)> prepare = {};  ///< may be empty; unmeasured, comes first
};

/// In the order in which they must run within a group: later ones use the files of earlier ones.
/// "random" needs the file that "large" writes.
std::vector<Workload> name_workloads(const Scale& scale);
std::vector<Workload> small_file_workloads(const Scale& scale);  ///< small, threads
std::vector<Workload> large_file_workloads(const Scale& scale);  ///< large, random
std::vector<Workload> tree_workloads(const Scale& scale);
std::vector<Workload> many_workloads(const Scale& scale);

}  // namespace cfs::bench

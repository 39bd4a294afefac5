// SPDX-License-Identifier: Apache-2.0
/// What a piece of work cost this machine.
///
/// Purpose  Time, processor seconds of the whole machine (kernel, daemon and FUSE process
///          included), context switches and server requests between start and end; the times of
///          single operations. Every round is kept: tests/bench/report.py makes medians of them.
/// Threads  A Meter and Samples belong to one thread; a Meter sees what all of them cost.
/// Failure  Figures that /proc does not give are 0; requests are -1 when no one counts them.
/// Source   proc(5), /proc/stat.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace cfs::bench {

/// Times of single operations that follow one another: each ends where the next one begins.
class Samples {
 public:
  using Clock = std::chrono::steady_clock;

  /// Before the first operation. Makes room, so that nothing is allocated between operations.
  void begin(std::size_t operations);
  /// After each operation.
  void lap() {
    const Clock::time_point now = Clock::now();
    ns_.push_back(static_cast<std::uint64_t>((now - last_).count()));
    last_ = now;
  }
  /// An operation among others that were in flight with it.
  void lap_since(Clock::time_point start) {
    last_ = Clock::now();
    ns_.push_back(static_cast<std::uint64_t>((last_ - start).count()));
  }
  void merge(const Samples& other);
  [[nodiscard]] std::size_t size() const { return ns_.size(); }
  /// From begin() to the last lap.
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(last_ - first_).count();
  }
  /// The time that `percent` of the operations did not exceed; 0 without operations.
  [[nodiscard]] double percentile_ns(double percent) const;

 private:
  std::vector<std::uint64_t> ns_;
  Clock::time_point first_, last_;
};

struct Cost {
  double start_s = 0;  ///< of CLOCK_MONOTONIC
  double seconds = 0;
  double cpu_seconds = 0;  ///< busy time of all processors
  double switches = 0;     ///< context switches
  double requests = -1;    ///< requests that servers got
  double amount = 0;       ///< operations
  double p50_ns = 0, p99_ns = 0;
};

class Meter {
 public:
  Meter();
  [[nodiscard]] Cost stop() const;

 private:
  std::chrono::steady_clock::time_point start_;
  double idle_, switches_;
};

/// Costs by workload and target, in the order in which they first came.
class Results {
 public:
  struct Workload {
    std::string group;
    std::string name;
    std::string unit = "op";  ///< what one operation is: op, MiB, run (of a program)
  };
  void add(const Workload& workload, const std::string& target, const Cost& cost);
  [[nodiscard]] nlohmann::json json() const;

 private:
  struct Row {
    Workload workload;
    std::string target;
    std::vector<Cost> costs;
  };
  std::vector<Row> rows_;
};

/// Memory of a process now and at its worst, in KiB; what is not known is left out.
[[nodiscard]] nlohmann::json memory_of(int pid);

}  // namespace cfs::bench

// SPDX-License-Identifier: Apache-2.0
/// What a piece of work cost this machine, and what many such pieces have in common.
///
/// Purpose  Time, processor seconds of the whole machine (kernel, daemon and FUSE process
///          included) and context switches between start and end; median and spread of rounds.
/// Threads  A Meter belongs to one thread; it sees what all of them cost.
/// Failure  Figures that /proc does not give are 0.
/// Source   proc(5), /proc/stat.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cfs::bench {

struct Cost {
  double seconds = 0;
  double cpu_seconds = 0;  ///< busy time of all processors
  double switches = 0;     ///< context switches
};

class Meter {
 public:
  Meter();
  [[nodiscard]] Cost stop() const;

 private:
  std::chrono::steady_clock::time_point start_;
  double cpu_ = 0, switches_ = 0;
};

struct Spread {
  double median = 0, min = 0, max = 0;
};
[[nodiscard]] Spread spread(std::vector<double> values);

/// Costs by workload and target, in the order in which they first came.
class Results {
 public:
  struct Workload {
    std::string name;
    double amount = 0;  ///< MiB or operations of one round
    bool bytes = false;
  };
  void add(const Workload& workload, const std::string& target, const Cost& cost);

  /// A Markdown table: one row per workload and target; ratios are against `baseline`.
  [[nodiscard]] std::string markdown(const std::string& baseline) const;
  [[nodiscard]] std::string json() const;

 private:
  struct Row {
    Workload workload;
    std::string target;
    std::vector<Cost> costs;
  };
  [[nodiscard]] const Row* find(const std::string& workload, const std::string& target) const;
  std::vector<Row> rows_;
};

}  // namespace cfs::bench

// SPDX-License-Identifier: Apache-2.0
/// Costs; see measure.h.
#include "tests/bench/measure.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace cfs::bench {
namespace {

struct Counters {
  double idle = 0, switches = 0;
};

/// Idle time is exact where the tick stops with the work; busy time is only sampled by that tick.
Counters machine() {
  Counters c;
  std::ifstream in("/proc/stat");
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    if (key == "cpu") {
      double user = 0, nice = 0, system = 0, idle = 0, iowait = 0;
      words >> user >> nice >> system >> idle >> iowait;
      c.idle = (idle + iowait) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    } else if (key == "ctxt") {
      words >> c.switches;
    }
  }
  return c;
}

}  // namespace

void Samples::begin(std::size_t operations) {
  ns_.reserve(ns_.size() + operations);
  first_ = last_ = Clock::now();
}

void Samples::merge(const Samples& other) {
  ns_.insert(ns_.end(), other.ns_.begin(), other.ns_.end());
}

double Samples::percentile_ns(double percent) const {
  if (ns_.empty()) return 0;
  std::vector<std::uint64_t> sorted = ns_;
  const double rank = percent / 100 * static_cast<double>(sorted.size() - 1);
  const auto at = sorted.begin() + std::lround(rank);
  std::nth_element(sorted.begin(), at, sorted.end());
  return static_cast<double>(*at);
}

Meter::Meter() : start_(std::chrono::steady_clock::now()) {
  const Counters c = machine();
  idle_ = c.idle;
  switches_ = c.switches;
}

Cost Meter::stop() const {
  const Counters c = machine();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
  const double all = took.count() * static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  Cost cost;
  cost.start_s = std::chrono::duration<double>(start_.time_since_epoch()).count();
  cost.seconds = took.count();
  cost.cpu_seconds = std::max(0.0, all - (c.idle - idle_));
  cost.switches = c.switches - switches_;
  return cost;
}

void Results::add(const Workload& workload, const std::string& target, const Cost& cost) {
  for (Row& row : rows_) {
    if (row.workload.name != workload.name || row.target != target) continue;
    row.costs.push_back(cost);
    return;
  }
  rows_.push_back({workload, target, {cost}});
}

nlohmann::json Results::json() const {
  nlohmann::json rows = nlohmann::json::array();
  for (const Row& row : rows_) {
    nlohmann::json rounds = nlohmann::json::array();
    for (const Cost& c : row.costs) {
      rounds.push_back({{"amount", c.amount},
                        {"start_s", c.start_s},
                        {"seconds", c.seconds},
                        {"cpu_seconds", c.cpu_seconds},
                        {"context_switches", c.switches},
                        {"requests", c.requests},
                        {"p50_ns", c.p50_ns},
                        {"p99_ns", c.p99_ns}});
    }
    rows.push_back({{"group", row.workload.group},
                    {"workload", row.workload.name},
                    {"target", row.target},
                    {"unit", row.workload.unit},
                    {"rounds", std::move(rounds)}});
  }
  return rows;
}

nlohmann::json memory_of(int pid) {
  nlohmann::json out = nlohmann::json::object();
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  std::string key;
  while (in >> key) {
    std::uint64_t kib = 0;
    if (key == "VmRSS:" && in >> kib) out["resident_kib"] = kib;
    if (key == "VmHWM:" && in >> kib) out["peak_kib"] = kib;
    in.ignore(4096, '\n');
  }
  return out;
}

}  // namespace cfs::bench

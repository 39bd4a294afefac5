// SPDX-License-Identifier: Apache-2.0
/// Costs and their spread; see measure.h.
#include "tests/bench/measure.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace cfs::bench {
namespace {

struct Counters {
  double cpu = 0, switches = 0;
};

Counters machine() {
  Counters c;
  std::ifstream in("/proc/stat");
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    if (key == "cpu") {
      // user nice system idle iowait irq softirq steal: idle and iowait are no work
      double v = 0;
      for (int i = 0; i < 7 && words >> v; ++i) c.cpu += i == 3 || i == 4 ? 0 : v;
    } else if (key == "ctxt") {
      words >> c.switches;
    }
  }
  c.cpu /= static_cast<double>(::sysconf(_SC_CLK_TCK));
  return c;
}

/// The figure of a row that ratios compare: MiB/s, or microseconds an operation.
double figure(const Results::Workload& w, const Cost& c) {
  return w.bytes ? w.amount / c.seconds : 1e6 * c.seconds / w.amount;
}

/// Processor seconds per GiB, or processor microseconds per operation.
double cpu_figure(const Results::Workload& w, const Cost& c) {
  return w.bytes ? 1024 * c.cpu_seconds / w.amount : 1e6 * c.cpu_seconds / w.amount;
}

template <typename F>
Spread over(const std::vector<Cost>& costs, F f) {
  std::vector<double> values;
  values.reserve(costs.size());
  for (const Cost& c : costs) values.push_back(f(c));
  return spread(std::move(values));
}

}  // namespace

Meter::Meter() : start_(std::chrono::steady_clock::now()) {
  const Counters c = machine();
  cpu_ = c.cpu;
  switches_ = c.switches;
}

Cost Meter::stop() const {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
  const Counters c = machine();
  return {took.count(), c.cpu - cpu_, c.switches - switches_};
}

Spread spread(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  const double median = n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
  return {median, values.front(), values.back()};
}

void Results::add(const Workload& workload, const std::string& target, const Cost& cost) {
  for (Row& row : rows_) {
    if (row.workload.name != workload.name || row.target != target) continue;
    row.costs.push_back(cost);
    return;
  }
  rows_.push_back({workload, target, {cost}});
}

const Results::Row* Results::find(const std::string& workload, const std::string& target) const {
  for (const Row& row : rows_) {
    if (row.workload.name == workload && row.target == target) return &row;
  }
  return nullptr;
}

std::string Results::markdown(const std::string& baseline) const {
  std::string out = fmt::format(
      "| workload | target | median | min - max | against {} | CPU | against {} | switches |\n"
      "|---|---|---:|---:|---:|---:|---:|---:|\n",
      baseline, baseline);
  for (const Row& row : rows_) {
    const Workload& w = row.workload;
    const Spread s = over(row.costs, [&](const Cost& c) { return figure(w, c); });
    const Spread cpu = over(row.costs, [&](const Cost& c) { return cpu_figure(w, c); });
    const Spread sw = over(row.costs, [&](const Cost& c) { return c.switches / w.amount; });
    std::string ratio = "-", cpu_ratio = "-";
    if (const Row* base = find(w.name, baseline); base != nullptr && base != &row) {
      const Spread b = over(base->costs, [&](const Cost& c) { return figure(w, c); });
      const Spread bc = over(base->costs, [&](const Cost& c) { return cpu_figure(w, c); });
      ratio = fmt::format("{:.2f}", s.median / b.median);
      if (bc.median > 0) cpu_ratio = fmt::format("{:.2f}", cpu.median / bc.median);
    }
    out += fmt::format(
        "| {} | {} | {:.1f} {} | {:.1f} - {:.1f} | {} | {:.2f} {} | {} | {:.1f}/{} |\n", w.name,
        row.target, s.median, w.bytes ? "MiB/s" : "us", s.min, s.max, ratio, cpu.median,
        w.bytes ? "s/GiB" : "us", cpu_ratio, sw.median, w.bytes ? "MiB" : "op");
  }
  return out;
}

std::string Results::json() const {
  nlohmann::json rows = nlohmann::json::array();
  for (const Row& row : rows_) {
    nlohmann::json rounds = nlohmann::json::array();
    for (const Cost& c : row.costs) {
      rounds.push_back({{"seconds", c.seconds},
                        {"cpu_seconds", c.cpu_seconds},
                        {"context_switches", c.switches}});
    }
    rows.push_back({{"workload", row.workload.name},
                    {"target", row.target},
                    {"amount", row.workload.amount},
                    {"unit", row.workload.bytes ? "MiB" : "operations"},
                    {"rounds", std::move(rounds)}});
  }
  return rows.dump(1);
}

}  // namespace cfs::bench

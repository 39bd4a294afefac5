// SPDX-License-Identifier: Apache-2.0
/// bench_data: file data and small files on several mounted directories, side by side.
///
/// Purpose  Rounds of the same work on each target in turn, so that what the machine does meanwhile
///          hits all of them alike; a ceiling (raw packets) and a bare TCP stream beside them.
/// Failure  The first failing call ends the run with its path and errno, status 1; 2 wrong use.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <optional>

#include "tests/bench/ceiling.h"
#include "tests/bench/workloads.h"

namespace cfs::bench {
namespace {

struct Target {
  std::string name;
  std::string dir;
};

struct Options {
  std::vector<std::string> targets;
  std::string baseline, ceiling, owner, tcp, sink, json, group = "all";
  Scale scale;
  int rounds = 7;
};

Result<std::vector<Target>> parse_targets(const Options& o) {
  std::vector<Target> out;
  for (const std::string& text : o.targets) {
    const std::size_t eq = text.find('=');
    if (eq == std::string::npos || eq == 0)
      return make_error(EINVAL, "--target wants NAME=DIRECTORY, not " + text);
    out.push_back({text.substr(0, eq), text.substr(eq + 1) + "/bench"});
  }
  return out;
}

class Bench {
 public:
  Bench(const Options& options, std::vector<Target> targets)
      : options_(options), targets_(std::move(targets)) {}

  Result<void> run() {
    if (!options_.ceiling.empty()) {
      const auto opened = open_ceiling();
      if (!opened) return opened;
    }
    for (int round = -1; round < options_.rounds; ++round) {  // the first one only warms up
      if (round >= 0) fmt::print(stderr, "round {} of {}\n", round + 1, options_.rounds);
      const auto done = one_round(round);
      for (const Target& t : targets_) cleanup(t.dir);
      if (!done) return done;
    }
    return report();
  }

 private:
  Result<void> open_ceiling() {
    const std::size_t at = options_.ceiling.find('@');
    if (at == std::string::npos) return make_error(EINVAL, "--ceiling wants VOLUME@MASTER");
    MountConfig config;
    config.volume = options_.ceiling.substr(0, at);
    config.masters = {options_.ceiling.substr(at + 1)};
    config.owner = options_.owner;
    auto opened = Ceiling::open(config);
    if (!opened) return opened.error();
    ceiling_.emplace(std::move(*opened));
    return {};
  }

  template <typename F>
  Result<void> measure(const Results::Workload& what, const std::string& target, int round,
                       F work) {
    const Meter meter;
    const Result<void> done = work();
    const Cost cost = meter.stop();
    if (!done)
      return make_error(done.error().code, target + ": " + what.name + ": " + done.error().text());
    if (round >= 0) results_.add(what, target, cost);
    return {};
  }

  Result<void> one_round(int round) {
    for (const Target& t : targets_) {
      const auto ready = prepare(t.dir);
      if (!ready) return ready;
    }
    const Result<void> large = options_.group == "small" ? Result<void>{} : large_files(round);
    return !large || options_.group == "large" ? large : small_files(round);
  }

  /// The bounds stand beside the first two: writing and cold reading.
  Result<void> large_files(int round) {
    const std::vector<Workload> workloads = large_file_workloads(options_.scale);
    for (std::size_t i = 0; i < workloads.size(); ++i) {
      const auto done = one_workload(workloads[i], round);
      if (!done) return done;
      const auto bounds = i < 2 ? one_bound(workloads[i].what, round, i == 0) : Result<void>{};
      if (!bounds) return bounds;
    }
    return {};
  }

  Result<void> small_files(int round) {
    for (const Workload& w : small_file_workloads(options_.scale)) {
      const auto done = one_workload(w, round);
      if (!done) return done;
    }
    return {};
  }

  /// Each round begins with another target.
  Result<void> one_workload(const Workload& w, int round) {
    const std::size_t n = targets_.size();
    for (std::size_t i = 0; i < n; ++i) {
      const Target& t = targets_[(i + static_cast<std::size_t>(round + 1)) % n];
      Result<void> ready;
      if (w.cache == Workload::Cache::kCold) ready = drop_caches();
      if (w.cache == Workload::Cache::kWarm) ready = w.run(t.dir, round);
      if (!ready) return ready;
      const auto done = measure(w.what, t.name, round, [&] { return w.run(t.dir, round); });
      if (!done) return done;
    }
    return {};
  }

  Result<void> one_bound(const Results::Workload& what, int round, bool writing) {
    const std::size_t mib = options_.scale.file_mib;
    if (ceiling_) {
      const auto done = measure(what, "ceiling", round,
                                [&] { return writing ? ceiling_->write(mib) : ceiling_->read(); });
      if (!done) return done;
    }
    if (options_.tcp.empty() || !writing) return {};
    return measure(what, "bare TCP", round, [&] { return tcp_stream(options_.tcp, mib); });
  }

  Result<void> report() {
    const std::string baseline =
        options_.baseline.empty() ? targets_.front().name : options_.baseline;
    fmt::print("{}", results_.markdown(baseline));
    if (options_.json.empty()) return {};
    std::ofstream out(options_.json);
    out << results_.json() << std::flush;
    return out ? Result<void>{} : make_error(EIO, options_.json);
  }

  const Options& options_;
  std::vector<Target> targets_;
  std::optional<Ceiling> ceiling_;
  Results results_;
};

int fail(const Error& error) {
  fmt::print(stderr, "bench_data: {}\n", error.text());
  return 1;
}

int bench(const Options& options) {
  if (!options.sink.empty()) return fail(tcp_sink(options.sink).error());
  auto targets = parse_targets(options);
  if (!targets) return fail(targets.error());
  const auto done = Bench(options, std::move(*targets)).run();
  return done ? 0 : fail(done.error());
}

}  // namespace
}  // namespace cfs::bench

int main(int argc, char** argv) {
  cfs::bench::Options o;
  CLI::App app{
      "File data and small files on several mounted directories, side by side.\n\n"
      "example: bench_data --target kernel=/mnt/k --target fuse=/mnt/f --baseline fuse"};
  auto* targets = app.add_option("--target", o.targets, "NAME=DIRECTORY; may be repeated");
  app.add_option("--baseline", o.baseline, "target that ratios are against (default: the first)");
  app.add_option("--ceiling", o.ceiling, "VOLUME@MASTER: raw packets to its data nodes as a bound");
  app.add_option("--owner", o.owner, "owner of that volume");
  app.add_option("--tcp", o.tcp, "IP:PORT of a bench_data --sink: a bare TCP stream as a bound");
  app.add_option("--rounds", o.rounds, "measured rounds")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--mib", o.scale.file_mib, "size of the large file")->capture_default_str();
  app.add_option("--files", o.scale.files, "small files a round")->capture_default_str();
  app.add_option("--operations", o.scale.operations, "random reads or writes a round")
      ->capture_default_str();
  app.add_option("--group", o.group, "which work")
      ->check(CLI::IsMember({"all", "large", "small"}))
      ->capture_default_str();
  app.add_option("--json", o.json, "write every round's figures to this file");
  auto* sink = app.add_option("--sink", o.sink, "IP:PORT: only take what --tcp sends");
  CLI11_PARSE(app, argc, argv);
  if (targets->empty() && sink->empty()) {
    fmt::print(stderr, "bench_data: --target is missing; see --help\n");
    return 2;
  }
  return cfs::bench::bench(o);
}

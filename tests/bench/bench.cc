// SPDX-License-Identifier: Apache-2.0
/// bench: the same work on several mounted directories, side by side.
///
/// Purpose  Rounds of each workload on each target in turn, so that what the machine does meanwhile
///          hits all of them alike; raw packets and a bare TCP stream beside them as bounds. Writes
///          the figures of every round as JSON; tests/bench/report.py makes the report of it.
/// Lifetime What it makes is in DIRECTORY/bench-files and is removed at the end.
/// Failure  The first failing call ends the run with its path and errno, status 1; 2 wrong use.
#include <fmt/format.h>
#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/bench/ceiling.h"
#include "tests/bench/servers.h"
#include "tests/bench/workloads.h"

namespace cfs::bench {
namespace {

struct Target {
  std::string name;
  std::string dir;
  bool small_only = false;  ///< for the groups names, small and many
};

struct Options {
  std::vector<std::string> targets, small_targets, groups, names, daemons;
  std::string ceiling, owner, tcp, sink, servers, json;
  Scale scale;
  int rounds = 7;
  unsigned pause = 2;
};

using Named = std::pair<std::string, std::string>;

Result<Named> parse_named(const std::string& text) {
  const std::size_t eq = text.find('=');
  if (eq == std::string::npos || eq == 0 || eq + 1 == text.size())
    return make_error(EINVAL, "NAME=VALUE is wanted, not " + text);
  return Named{text.substr(0, eq), text.substr(eq + 1)};
}

Result<void> drop_caches(Cache what) {
  ::sync();
  // what was used lately is only marked by the first one
  for (int i = 0; i < (what == Cache::kNames ? 4 : 2); ++i) {
    std::ofstream out("/proc/sys/vm/drop_caches");
    out << (what == Cache::kNames ? "2" : "3") << std::flush;
    if (!out) return make_error(EACCES, "/proc/sys/vm/drop_caches");
  }
  return {};
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {}
  ~Bench() {
    std::error_code ignored;
    std::filesystem::current_path("/", ignored);
    fmt::print(stderr, "removing the files\n");  // very many take minutes
    for (const Target& t : targets_) std::filesystem::remove_all(t.dir, ignored);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  Result<void> run() {
    auto done = set_up();
    for (int round = -1; round < options_.rounds && done; ++round) {  // the first one only warms up
      if (round >= 0) fmt::print(stderr, "round {} of {}\n", round + 1, options_.rounds);
      done = one_round(round);
      if (done && round >= 0) done = write_json(round + 1);  // what ends it leaves these
    }
    return done;
  }

 private:
  Result<void> set_up() {
    auto done = add_targets(options_.targets, false);
    if (done) done = add_targets(options_.small_targets, true);
    if (done && !options_.ceiling.empty()) done = open_ceiling();
    for (const auto& list : {name_workloads(options_.scale), small_file_workloads(options_.scale),
                             large_file_workloads(options_.scale), tree_workloads(options_.scale),
                             many_workloads(options_.scale)})
      for (const Workload& w : list)
        if (wanted(options_.groups, w.what.group) && wanted(options_.names, w.what.name))
          workloads_.push_back(w);
    return done;
  }

  static bool wanted(const std::vector<std::string>& list, const std::string& name) {
    return list.empty() || std::find(list.begin(), list.end(), name) != list.end();
  }

  Result<void> add_targets(const std::vector<std::string>& list, bool small_only) {
    for (const std::string& text : list) {
      const auto named = parse_named(text);
      if (!named) return named.error();
      targets_.push_back({named->first, named->second + "/bench-files", small_only});
      std::error_code code;
      std::filesystem::create_directory(targets_.back().dir, code);
      if (code) return make_error(code.value(), targets_.back().dir);
    }
    return {};
  }

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

  Result<void> one_round(int round) {
    for (const Workload& w : workloads_) {
      if (round < 0) fmt::print(stderr, "warming up: {}: {}\n", w.what.group, w.what.name);
      for (std::size_t i = 0; i < targets_.size(); ++i) {
        // each round begins with another target
        const Target& t = targets_[(i + static_cast<std::size_t>(round + 1)) % targets_.size()];
        if (t.small_only && w.what.group != "names" && w.what.group != "small" &&
            w.what.group != "many")
          continue;
        const Samples::Clock::time_point start = Samples::Clock::now();
        const auto done = one_target(w, t, round);
        if (!done) return done.error().in(t.name + ": " + w.what.name);
        const std::chrono::duration<double> took = Samples::Clock::now() - start;
        if (round < 0) fmt::print(stderr, "  {:<8} {:6.1f} s\n", t.name, took.count());
      }
      const auto done = bounds(w, round);
      if (!done) return done;
    }
    return {};
  }

  Result<void> one_target(const Workload& w, const Target& t, int round) {
    std::error_code code;
    std::filesystem::current_path(t.dir, code);
    if (code) return make_error(code.value(), t.dir);
    Result<void> done = w.prepare ? w.prepare(round) : Result<void>{};
    // times of files are whole seconds: caches do not believe what changed within the current one
    if (w.cache == Cache::kWarm) ::sleep(options_.pause);
    Samples unmeasured;
    if (done && w.cache == Cache::kWarm) done = w.run(round, unmeasured);
    if (done && (w.cache == Cache::kNames || w.cache == Cache::kCold)) done = drop_caches(w.cache);
    // what an earlier target still writes back is not this one's work
    if (done && w.cache == Cache::kAsIs) ::sync();
    return done ? measure(w, t.name, round, [&](Samples& samples) { return w.run(round, samples); })
                : done;
  }

  /// Raw packets and TCP stand beside writing and cold reading of the large file.
  Result<void> bounds(const Workload& w, int round) {
    if (w.what.group != "large" || w.cache == Cache::kWarm) return {};
    const bool writing = w.cache == Cache::kAsIs;
    const std::size_t mib = options_.scale.file_mib;
    Result<void> done;
    if (ceiling_)
      done = measure(w, "ceiling", round,
                     [&](Samples&) { return writing ? ceiling_->write(mib) : ceiling_->read(); });
    if (done && !options_.tcp.empty() && writing)
      done = measure(w, "bare TCP", round, [&](Samples&) { return tcp_stream(options_.tcp, mib); });
    return done;
  }

  template <typename F>
  Result<void> measure(const Workload& w, const std::string& target, int round, F work) {
    Samples samples;
    const double before = requests();
    const Meter meter;
    const Result<void> done = work(samples);
    Cost cost = meter.stop();
    if (!done || round < 0) return done;
    if (before >= 0) cost.requests = requests() - before;
    cost.amount = static_cast<double>(samples.size() ? samples.size() : options_.scale.file_mib);
    cost.p50_ns = samples.percentile_ns(50);
    cost.p99_ns = samples.percentile_ns(99);
    results_.add(w.what, target, cost);
    return {};
  }

  double requests() const {
    if (options_.servers.empty()) return -1;
    const auto count = requests_of_servers(options_.servers);
    return count ? *count : -1;
  }

  Result<void> write_json(int rounds) const {
    utsname kernel{};
    ::uname(&kernel);
    nlohmann::json memory = nlohmann::json::object();
    for (const std::string& text : options_.daemons) {
      const auto named = parse_named(text);
      if (!named) return named.error();
      memory[named->first] = memory_of(std::atoi(named->second.c_str()));
    }
    std::ofstream out(options_.json);
    out << nlohmann::json{{"kernel", kernel.release},
                          {"processors", ::sysconf(_SC_NPROCESSORS_ONLN)},
                          {"rounds", rounds},
                          {"memory", memory},
                          {"rows", results_.json()}}
               .dump(1)
        << std::endl;
    return out ? Result<void>{} : make_error(EIO, options_.json);
  }

  const Options& options_;
  std::vector<Target> targets_;
  std::vector<Workload> workloads_;
  std::optional<Ceiling> ceiling_;
  Results results_;
};

int fail(const Error& error) {
  fmt::print(stderr, "bench: {}\n", error.text());
  return 1;
}

}  // namespace
}  // namespace cfs::bench

int main(int argc, char** argv) {
  using cfs::bench::fail;
  cfs::bench::Options o;
  CLI::App app{
      "The same work on several mounted directories, side by side. Wants root: it drops caches.\n\n"
      "example: bench --target fuse=/mnt/f --target kernel=/mnt/k --json bench.json"};
  auto* targets = app.add_option("--target", o.targets, "NAME=DIRECTORY; may be repeated");
  app.add_option("--small-target", o.small_targets,
                 "one more, only for the groups names, small and many");
  app.add_option("--group", o.groups, "only this work; may be repeated")
      ->check(CLI::IsMember({"names", "small", "threads", "large", "random", "tree", "many"}));
  app.add_option("--work", o.names, "only pieces of this name; may be repeated");
  app.add_option("--rounds", o.rounds, "measured rounds")
      ->check(CLI::Range(1, 1000))
      ->take_last()
      ->capture_default_str();
  app.add_option("--mib", o.scale.file_mib, "size of the large file")
      ->take_last()
      ->capture_default_str();
  app.add_option("--files", o.scale.files, "small files a round")
      ->take_last()
      ->capture_default_str();
  app.add_option("--operations", o.scale.operations, "random reads or writes a round")
      ->take_last()
      ->capture_default_str();
  app.add_option("--calls", o.scale.calls, "calls of a cached name a round")
      ->take_last()
      ->capture_default_str();
  app.add_option("--pause", o.pause, "seconds to wait before work on warm caches")
      ->take_last()
      ->capture_default_str();
  app.add_option("--tree", o.scale.tree, "tar of a source tree with .git, for the group tree");
  app.add_option("--many", o.scale.many, "tar of a tree with very many files, for the group many");
  app.add_option("--ceiling", o.ceiling, "VOLUME@MASTER: raw packets to its data nodes as a bound");
  app.add_option("--owner", o.owner, "owner of that volume");
  app.add_option("--tcp", o.tcp, "IP:PORT of a bench --sink: a bare TCP stream as a bound");
  app.add_option("--servers", o.servers, "IP:PORT of a mini cluster's master: count requests");
  app.add_option("--daemon", o.daemons, "NAME=PID: tell its memory at the end; may be repeated");
  app.add_option("--json", o.json, "write every round's figures to this file");
  auto* sink = app.add_option("--sink", o.sink, "IP:PORT: only take what --tcp sends");
  CLI11_PARSE(app, argc, argv);
  if (!sink->empty()) return fail(cfs::bench::tcp_sink(o.sink).error());
  if (targets->empty() || o.json.empty()) {
    fmt::print(stderr, "bench: --target and --json are wanted; see --help\n");
    return 2;
  }
  const auto done = cfs::bench::Bench(o).run();
  return done ? 0 : fail(done.error());
}

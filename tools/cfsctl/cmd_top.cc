// SPDX-License-Identifier: Apache-2.0
/// cfsctl top: what the mounts are doing now.
///
/// Purpose  A live view: rates of each mount, operations with their latency, the busiest processes,
///          what waits. Redrawn with the terminal's own sequences; without a terminal, or with
///          --count, plain screens one after the other. --json prints one object per interval.
/// Failure  Exit code 3 without a daemon; a daemon that goes away while it runs ends it with 3.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>

#include "tools/cfsctl/daemon_link.h"

namespace cfs::ctl {
namespace {

constexpr const char* kWhat = "no live view";
constexpr std::size_t kProcessesShown = 8;

volatile std::sig_atomic_t stop_asked = 0;

struct Args {
  double interval_s = 1;
  unsigned count = 0;
  bool json = false;
};

/// Everything that is counted, at one moment.
struct Look {
  std::chrono::steady_clock::time_point at;
  Json mounts = Json::array();      ///< with "stats"
  Json operations = Json::array();  ///< empty without a BPF program
  Json tasks = Json::array();
  Json requests = Json::array();
};

Json member(const Context& context, const char* command, const char* key,
            Json args = Json::object()) {
  const auto answer = ask_daemon(context.socket, kWhat, command, std::move(args));
  const Json* const value = std::get_if<Json>(&answer);
  return value == nullptr ? Json::array() : admin::member_or_empty(*value, key);
}

Either<Look> look(const Context& context) {
  const auto mounts = ask_daemon(context.socket, kWhat, admin::kMounts);
  if (const auto* problem = std::get_if<Problem>(&mounts)) return *problem;
  Look out;
  out.at = std::chrono::steady_clock::now();
  out.mounts = admin::member_or_empty(std::get<Json>(mounts), "mounts");
  for (Json& mount : out.mounts) {
    const bool kernel = admin::text_or(mount, "frontend", "") == "kernel";
    const Json args =
        kernel ? Json{{"session", mount["session"]}} : Json{{"mount_point", mount["mount_point"]}};
    const auto stats = ask_daemon(context.socket, kWhat, admin::kStats, args);
    if (const auto* value = std::get_if<Json>(&stats)) mount["stats"] = *value;
  }
  out.operations = member(context, admin::kLatency, "operations");
  out.tasks = member(context, admin::kProfile, "groups", {{"by", "task"}});
  out.requests = member(context, admin::kRequests, "requests");
  return out;
}

std::int64_t counter(const Json& mount, const char* part, const char* key) {
  if (!mount.contains("stats") || !mount["stats"].contains(part)) return 0;
  return admin::number_or(mount["stats"][part], key, 0);
}

std::string mount_key(const Json& mount) {
  return std::to_string(admin::number_or(mount, "session", 0)) +
         admin::text_or(mount, "mount_point", "");
}

std::map<std::string, Json> by_key(const Json& list, std::string (*key)(const Json&)) {
  std::map<std::string, Json> out;
  for (const Json& one : list) out[key(one)] = one;
  return out;
}

std::string group_key(const Json& one) {
  return std::to_string(admin::number_or(one, "id", 0)) + "/" + admin::text_or(one, "op", "");
}

/// Rates of the mounts between two looks, per second.
Json mount_rates(const Look& now, const Look& before, double seconds) {
  const auto old = by_key(before.mounts, mount_key);
  Json out = Json::array();
  for (const Json& mount : now.mounts) {
    const auto was = old.find(mount_key(mount));
    const auto rate = [&](const char* part, const char* key) {
      const std::int64_t then = was == old.end() ? 0 : counter(was->second, part, key);
      return std::max(0.0, static_cast<double>(counter(mount, part, key) - then) / seconds);
    };
    out.push_back({{"volume", admin::text_or(mount, "volume", "?")},
                   {"frontend", admin::text_or(mount, "frontend", "?")},
                   {"state", admin::text_or(mount, "state", "?")},
                   {"read_bytes_per_s", rate("kernel", "read_wire_bytes")},
                   {"written_bytes_per_s",
                    rate("kernel", "append_wire_bytes") + rate("kernel", "overwrite_wire_bytes")},
                   {"meta_requests_per_s", rate("daemon", "meta_requests")},
                   {"meta_retries_per_s", rate("daemon", "meta_retries")},
                   {"connection_faults_per_s", rate("kernel", "connection_faults")},
                   {"uncommitted_bytes", counter(mount, "kernel", "uncommitted_bytes")}});
  }
  return out;
}

/// Count, errors and mean latency of what ended between two looks; busiest first.
Json group_rates(const Json& now, const Json& before, double seconds, bool with_id) {
  const auto old = by_key(before, group_key);
  Json out = Json::array();
  for (const Json& one : now) {
    const auto was = old.find(group_key(one));
    const auto since = [&](const char* key) {
      return admin::number_or(one, key, 0) -
             (was == old.end() ? 0 : admin::number_or(was->second, key, 0));
    };
    const std::int64_t count = since("count");
    if (count <= 0) continue;
    Json row{{"op", admin::text_or(one, "op", "?")},
             {"per_s", static_cast<double>(count) / seconds},
             {"errors_per_s", static_cast<double>(since("errors")) / seconds},
             {"mean_ns", since("total_ns") / count}};
    if (with_id) row["pid"] = admin::number_or(one, "id", 0);
    out.push_back(row);
  }
  std::sort(out.begin(), out.end(),
            [](const Json& a, const Json& b) { return a["per_s"] > b["per_s"]; });
  return out;
}

Json screen_of(const Look& now, const Look& before) {
  const double seconds = std::max(1e-3, std::chrono::duration<double>(now.at - before.at).count());
  std::int64_t oldest = 0;
  for (const Json& r : now.requests) oldest = std::max(oldest, admin::number_or(r, "age_ms", 0));
  return Json{{"mounts", mount_rates(now, before, seconds)},
              {"operations", group_rates(now.operations, before.operations, seconds, false)},
              {"processes", group_rates(now.tasks, before.tasks, seconds, true)},
              {"waiting", now.requests.size()},
              {"oldest_ms", oldest}};
}

std::string rate_text(const Json& value) {
  const double rate = value.get<double>();
  std::ostringstream out;
  out.precision(rate < 10 ? 1 : 0);
  out << std::fixed << rate;
  return out.str();
}

std::string bytes_rate(const Json& value) {
  return human_bytes(static_cast<std::uint64_t>(value.get<double>())) + "/s";
}

void print_mounts(const Json& mounts) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& m : mounts) {
    rows.push_back({m["volume"], m["frontend"], m["state"], bytes_rate(m["read_bytes_per_s"]),
                    bytes_rate(m["written_bytes_per_s"]), rate_text(m["meta_requests_per_s"]),
                    rate_text(m["meta_retries_per_s"]), rate_text(m["connection_faults_per_s"]),
                    human_bytes(m["uncommitted_bytes"].get<std::uint64_t>())});
  }
  print_table({"VOLUME", "BY", "STATE", "READ", "WRITTEN", "META/s", "RETRIES/s", "FAULTS/s",
               "UNCOMMITTED"},
              rows);
}

void print_groups(const Json& groups, const std::string& first, std::size_t most) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& one : groups) {
    if (rows.size() == most) break;
    std::vector<std::string> row;
    if (one.contains("pid")) row.push_back(one["pid"].dump());
    for (const std::string& cell :
         {one["op"].get<std::string>(), rate_text(one["per_s"]), rate_text(one["errors_per_s"]),
          human_ns(admin::number_or(one, "mean_ns", 0))}) {
      row.push_back(cell);
    }
    rows.push_back(row);
  }
  std::vector<std::string> head{"OPERATION", "PER SECOND", "ERRORS/s", "MEAN"};
  if (!first.empty()) head.insert(head.begin(), first);
  print_table(head, rows);
}

void print(const Json& screen) {
  print_mounts(screen["mounts"]);
  std::cout << "\n";
  print_groups(screen["operations"], "", SIZE_MAX);
  std::cout << "\n";
  print_groups(screen["processes"], "PROCESS", kProcessesShown);
  std::cout << "\n" << screen["waiting"] << " requests without an answer";
  if (screen["oldest_ms"] > 0) std::cout << ", the oldest for " << screen["oldest_ms"] << " ms";
  std::cout << std::endl;
}

int run_top(const Context& context, const Args& args) {
  const bool redraw = args.count == 0 && !args.json && ::isatty(STDOUT_FILENO) == 1;
  std::signal(SIGINT, [](int) { stop_asked = 1; });
  auto before = look(context);
  if (const auto* problem = std::get_if<Problem>(&before)) return report(*problem);
  for (unsigned shown = 0; stop_asked == 0;) {
    std::this_thread::sleep_for(std::chrono::duration<double>(args.interval_s));
    auto now = look(context);
    if (const auto* problem = std::get_if<Problem>(&now)) return report(*problem);
    const Json screen = screen_of(std::get<Look>(now), std::get<Look>(before));
    if (redraw) std::cout << "\033[H\033[2J";
    if (args.json) {
      std::cout << screen.dump() << std::endl;
    } else {
      print(screen);
    }
    before = std::move(now);
    if (++shown == args.count) break;
  }
  return kDone;
}

}  // namespace

void add_top(CLI::App& cli, Context& context) {
  CLI::App* const command = add_command(
      cli, "INSPECT", "top", "What the mounts are doing now",
      "  cfsctl top\n  cfsctl top --interval 5\n  cfsctl top --count 1 --json | jq .mounts");
  auto args = std::make_shared<Args>();
  command->add_option("--interval", args->interval_s, "Seconds between two screens")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command->add_option("--count", args->count, "End after so many screens (0: never)");
  command->add_flag("--json", args->json, "For programs: one object a line");
  command->callback([args, &context] { context.exit_code = run_top(context, *args); });
}

}  // namespace cfs::ctl

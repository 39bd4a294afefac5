// SPDX-License-Identifier: Apache-2.0
/// cfsctl trace: slow requests and packets as they happen.
///
/// Purpose  Asks the daemon again and again for what the BPF program reported: one line for each
///          request (how long it waited for a daemon, how long that took, who caused it) and each
///          packet to a data node. Nothing is slowed down by it; events beyond what the daemon keeps
///          between two questions (1024) are lost, which is told.
/// Failure  Exit code 3 without a daemon, 1 when no BPF program is attached.
#include <chrono>
#include <cstring>
#include <iostream>
#include <thread>

#include "tools/cfsctl/daemon_link.h"

namespace cfs::ctl {
namespace {

constexpr auto kPause = std::chrono::milliseconds(200);

struct Args {
  std::string slow = "5ms";
  double seconds = 0;
  unsigned count = 0;
  bool json = false;
};

/// "5ms", "200us", "1.5s", "0"; -1 when it is none of that.
std::int64_t parse_duration_ns(const std::string& text) {
  std::size_t end = 0;
  double value = 0;
  try {
    value = std::stod(text, &end);
  } catch (const std::exception&) {
    return -1;
  }
  const std::string unit = text.substr(end);
  const double factor = unit == "ns"                                  ? 1
                        : unit == "us"                                ? 1e3
                        : unit == "ms"                                ? 1e6
                        : unit == "s" || (unit.empty() && value == 0) ? 1e9
                                                                      : -1;
  if (factor < 0 || value < 0 || value * factor > 3.6e12) return -1;
  return static_cast<std::int64_t>(value * factor);
}

void print(const Json& e) {
  const bool packet = admin::text_or(e, "kind", "") == "packet";
  const std::int64_t result = admin::number_or(e, "result", 0);
  std::cout << human_ns(admin::number_or(e, "latency_ns", 0)) << "  "
            << admin::text_or(e, "volume", "-") << "  " << admin::text_or(e, "op", "?")
            << "  inode " << admin::number_or(e, "ino", 0);
  if (packet) {
    std::cout << "  node " << admin::text_or(e, "node", "?") << "  partition "
              << admin::number_or(e, "partition", 0);
  } else {
    std::cout << "  queued " << human_ns(admin::number_or(e, "queued_ns", 0)) << ", served "
              << human_ns(admin::number_or(e, "served_ns", 0)) << "  by "
              << admin::text_or(e, "comm", "?") << "[" << admin::number_or(e, "pid", 0) << "]";
  }
  if (result < 0) std::cout << "  " << std::strerror(static_cast<int>(-result));
  std::cout << "  id " << admin::number_or(e, "id", 0) << std::endl;
}

int follow(const Context& context, const Args& args, std::int64_t slow_ns) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(args.seconds);
  std::int64_t last = -1;
  for (unsigned shown = 0;;) {
    // the first question only says from which latency on; what happened before is not shown
    const auto answer =
        ask_daemon(context.socket, "no trace", admin::kTrace,
                   {{"slow_ns", slow_ns}, {"after", std::max<std::int64_t>(last, 0)}});
    if (const auto* problem = std::get_if<Problem>(&answer)) return report(*problem);
    const Json& page = std::get<Json>(answer);
    const std::int64_t lost = last < 0 ? 0 : admin::number_or(page, "lost", 0);
    if (lost > 0) std::cerr << "cfsctl: " << lost << " events came too fast and are not shown\n";
    for (const Json& event : admin::member_or_empty(page, "events")) {
      if (last < 0) break;
      if (args.json) {
        std::cout << event.dump() << std::endl;
      } else {
        print(event);
      }
      if (++shown == args.count) return kDone;
    }
    last = admin::number_or(page, "last", 0);
    if (args.seconds > 0 && std::chrono::steady_clock::now() >= end) return kDone;
    std::this_thread::sleep_for(kPause);
  }
}

int run_trace(const Context& context, const Args& args) {
  const std::int64_t slow_ns = parse_duration_ns(args.slow);
  if (slow_ns < 0) {
    return report(
        {kUsage, "no trace", "'" + args.slow + "' is no latency", "such as 5ms or 200us"});
  }
  return follow(context, args, slow_ns);
}

}  // namespace

void add_trace(CLI::App& cli, Context& context) {
  CLI::App* const command =
      add_command(cli, "INSPECT", "trace", "Slow requests and packets as they happen",
                  "  cfsctl trace --slow 5ms\n"
                  "  cfsctl trace --slow 0 --seconds 10\n"
                  "  cfsctl trace --slow 50ms --json | jq 'select(.kind == \"packet\") | .node'");
  auto args = std::make_shared<Args>();
  command->add_option("--slow", args->slow, "Show what takes this long or longer (0: everything)")
      ->capture_default_str();
  command->add_option("--seconds", args->seconds, "End after this time (0: never)");
  command->add_option("--count", args->count, "End after so many events (0: never)");
  command->add_flag("--json", args->json, "For programs: one object a line");
  command->callback([args, &context] { context.exit_code = run_trace(context, *args); });
}

}  // namespace cfs::ctl

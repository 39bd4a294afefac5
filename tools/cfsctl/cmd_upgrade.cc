// SPDX-License-Identifier: Apache-2.0
/// cfsctl upgrade: another binary becomes the daemon, under load.
///
/// Purpose  Asks the daemon to start its successor (daemon/app/takeover.h), and waits until that one
///          serves every mount.
/// Failure  Exit code 1: the old binary serves. Mounts whose servers cannot be reached are no
///          failure of the upgrade; they are told.
#include <chrono>
#include <filesystem>
#include <iostream>
#include <thread>

#include "tools/cfsctl/daemon_link.h"

namespace cfs::ctl {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* kWhat = "cannot upgrade";
constexpr const char* kOldServes = "the old daemon serves on";
constexpr int kPrepareMs = 70'000;                       ///< above Successor::kPrepareLimit
constexpr auto kServeLimit = std::chrono::seconds(100);  ///< stop of the old, start of the new
constexpr auto kMountsLimit = std::chrono::seconds(30);
constexpr auto kPollPause = std::chrono::milliseconds(20);

struct UpgradeArgs {
  std::string binary;
  bool force = false;
  bool json = false;
};

/// Nothing while no daemon answers.
std::optional<Json> ask(const Context& context, const char* command) {
  auto client = AdminClient::connect(context.socket);
  if (!client) return std::nullopt;
  auto answer = client->call(command);
  if (!answer) return std::nullopt;
  return std::move(answer).value();
}

/// Status of the new daemon, or why the old one is back.
Either<Json> wait_for_daemon(const Context& context, std::int64_t pid) {
  const Progress progress("upgrading");
  const auto until = Clock::now() + kServeLimit;
  while (Clock::now() < until) {
    const auto status = ask(context, admin::kStatus);
    if (status) {
      if (admin::number_or(*status, "pid", 0) == pid) return *status;
      const std::string why =
          admin::text_or(admin::member_or_empty(*status, "upgrade"), "error", "");
      if (!why.empty()) return Problem{kFailed, kWhat, why, "the old binary was started again"};
    }
    std::this_thread::sleep_for(kPollPause);
  }
  return Problem{kFailed, kWhat, "no daemon answers", "look at the log; 'systemctl restart cfsd'"};
}

std::int64_t mounts_waiting(const Json& mounts) {
  std::int64_t waiting = 0;
  for (const Json& mount : mounts) waiting += admin::text_or(mount, "state", "") == "waiting";
  return waiting;
}

/// How many mounts still wait for their volume in the end.
std::int64_t wait_for_mounts(const Context& context) {
  const auto until = Clock::now() + kMountsLimit;
  for (;;) {
    const auto answer = ask(context, admin::kMounts);
    const std::int64_t waiting =
        answer ? mounts_waiting(admin::member_or_empty(*answer, "mounts")) : 1;
    if (waiting == 0 || Clock::now() >= until) return waiting;
    std::this_thread::sleep_for(kPollPause);
  }
}

void print(const Json& result) {
  std::cout << "version " << admin::text_or(result, "from_version", "?") << " -> "
            << admin::text_or(result, "version", "?") << ", process "
            << admin::number_or(result, "from_pid", 0) << " -> "
            << admin::number_or(result, "pid", 0) << ", "
            << human_ns(admin::number_or(result, "without_daemon_us", 0) * 1000)
            << " without a daemon, all mounts served after "
            << admin::number_or(result, "served_ms", 0) << " ms\n";
  const std::int64_t waiting = admin::number_or(result, "mounts_waiting", 0);
  if (waiting > 0) std::cout << waiting << " mounts wait for their volume: 'cfsctl mounts'\n";
}

int run_upgrade(const Context& context, const UpgradeArgs& args) {
  Json order{{"force", args.force}};
  if (!args.binary.empty()) order["binary"] = fs::absolute(args.binary).lexically_normal().string();
  auto daemon = reach_daemon(context.socket, kWhat);
  if (const auto* problem = std::get_if<Problem>(&daemon)) return report(*problem);
  auto& client = std::get<AdminClient>(daemon);
  const auto before = client.call(admin::kStatus);
  if (!before) return report({kFailed, kWhat, before.error().what, "look at its log"});
  const auto begun = client.call(admin::kUpgrade, order, kPrepareMs);
  if (!begun) return report({kFailed, kWhat, begun.error().text(), kOldServes});
  const auto start = Clock::now();

  const auto served = wait_for_daemon(context, admin::number_or(*begun, "pid", 0));
  if (const auto* problem = std::get_if<Problem>(&served)) return report(*problem);
  const Json& status = std::get<Json>(served);
  const std::int64_t waiting = wait_for_mounts(context);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
  const Json result{
      {"from_version", admin::text_or(*before, "version", "")},
      {"version", admin::text_or(status, "version", "")},
      {"from_pid", admin::number_or(*before, "pid", 0)},
      {"pid", admin::number_or(status, "pid", 0)},
      {"without_daemon_us",
       admin::number_or(admin::member_or_empty(status, "upgrade"), "without_daemon_us", 0)},
      {"served_ms", took.count()},
      {"mounts_waiting", waiting}};
  if (args.json) {
    print_json(result);
  } else {
    print(result);
  }
  return kDone;
}

constexpr const char* kExamples =
    "  cfsctl upgrade                         the file of the running cfsd was replaced\n"
    "  cfsctl upgrade --binary ./cfsd         this one, until the next restart\n"
    "  cfsctl upgrade --json | jq .without_daemon_us";

}  // namespace

void add_upgrade(CLI::App& cli, Context& context) {
  CLI::App* const command = add_command(
      cli, "ADMIN", "upgrade", "Replace the running daemon; mounts of the module stay", kExamples);
  auto args = std::make_shared<UpgradeArgs>();
  command->add_option("--binary", args->binary,
                      "The new cfsd (default: where the running one was started from)");
  command->add_flag("--force", args->force, "Even if FUSE mounts end by it");
  command->add_flag("--json", args->json, "For programs");
  command->callback([args, &context] { context.exit_code = run_upgrade(context, *args); });
}

}  // namespace cfs::ctl

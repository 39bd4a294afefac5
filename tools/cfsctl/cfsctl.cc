// SPDX-License-Identifier: Apache-2.0
/// cfsctl: mount, watch and try CubeFS; under the name mount.cubefs a helper of mount(8).
///
/// Purpose  The command table.
/// Failure  Exit codes: 0 done, 1 failed, 2 wrong use, 3 daemon or module absent.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string_view>
#include <vector>

#include "daemon/app/admin_protocol.h"
#include "tools/cfsctl/command.h"

namespace cfs::ctl {

CLI::App* add_command(CLI::App& parent, const std::string& group, const std::string& name,
                      const std::string& line, const std::string& examples) {
  CLI::App* const command = parent.add_subcommand(name, line);
  command->group(group);
  command->footer("Examples:\n" + examples);
  command->fallthrough();
  return command;
}

namespace {

std::string default_socket() {
  const char* const from_env = std::getenv("CFSD_SOCKET");
  return from_env != nullptr && *from_env != '\0' ? from_env : admin::kDefaultSocket;
}

std::string usage_error(const CLI::App* app, const CLI::Error& e) {
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  std::string path;
  for (const CLI::App* at = app; at != nullptr; at = at->get_parent()) {
    if (!path.empty()) path.insert(0, 1, ' ');
    path.insert(0, at->get_name());
  }
  report(Problem{kUsage, "wrong use", e.what(), "see " + path + " --help"});
  return {};
}

struct Command {
  std::string_view name;
  void (*add)(CLI::App& cli, Context& context);
};

constexpr Command kCommands[] = {
    {"mount", add_mount},     {"umount", add_umount}, {"module", add_module},
    {"upgrade", add_upgrade}, {"policy", add_policy}, {"warm", add_warm},
    {"cluster", add_cluster}, {"mounts", add_mounts}, {"status", add_status},
    {"stats", add_stats},     {"cache", add_cache},   {"requests", add_requests},
    {"latency", add_latency}, {"top", add_top},       {"trace", add_trace},
    {"profile", add_profile}, {"doctor", add_doctor}, {"bench", add_bench},
    {"report", add_report},   {"log-level", add_log}, {"version", add_version},
};

/// Those that are named, since describing all the others takes longer than most of them do; all for
/// a help or a complaint that lists them.
std::vector<const Command*> wanted(int argc, char** argv) {
  std::vector<const Command*> all, named;
  for (const Command& command : kCommands) all.push_back(&command);
  for (int i = 1; i < argc; ++i) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Command* c) { return c->name == argv[i]; });
    if (found != all.end()) named.push_back(*found);
  }
  return named.empty() ? all : named;
}

int run(int argc, char** argv, Context& context) {
  CLI::App cli("Mount, watch and try CubeFS.", "cfsctl");
  cli.require_subcommand(1);
  cli.failure_message(usage_error);
  cli.add_option("--socket", context.socket, "Admin socket of cfsd (or CFSD_SOCKET)")
      ->capture_default_str();
  for (const Command* command : wanted(argc, argv)) command->add(cli, context);
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return cli.exit(e) == 0 ? kDone : kUsage;
  }
  return context.exit_code;
}

}  // namespace
}  // namespace cfs::ctl

int main(int argc, char** argv) {
  cfs::ctl::Context context;
  context.socket = cfs::ctl::default_socket();
  const std::string name = std::filesystem::path(argc > 0 ? argv[0] : "cfsctl").filename().string();
  if (name.rfind("mount.", 0) == 0) return cfs::ctl::run_mount_helper(argc, argv, context);
  return cfs::ctl::run(argc, argv, context);
}

// SPDX-License-Identifier: Apache-2.0
/// cfsctl: mount, watch and try CubeFS; under the name mount.cubefs a helper of mount(8).
///
/// Purpose  The command table.
/// Failure  Exit codes: 0 done, 1 failed, 2 wrong use, 3 daemon or module absent.
#include <cstdlib>
#include <filesystem>
#include <iostream>

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

int run(int argc, char** argv, Context& context) {
  CLI::App cli("Mount, watch and try CubeFS.", "cfsctl");
  cli.require_subcommand(1);
  cli.failure_message(usage_error);
  cli.add_option("--socket", context.socket, "Admin socket of cfsd (or CFSD_SOCKET)")
      ->capture_default_str();
  add_mount(cli, context);
  add_umount(cli, context);
  add_module(cli, context);
  add_upgrade(cli, context);
  add_policy(cli, context);
  add_warm(cli, context);
  add_cluster(cli, context);
  add_mounts(cli, context);
  add_status(cli, context);
  add_stats(cli, context);
  add_cache(cli, context);
  add_requests(cli, context);
  add_latency(cli, context);
  add_top(cli, context);
  add_trace(cli, context);
  add_profile(cli, context);
  add_doctor(cli, context);
  add_bench(cli, context);
  add_report(cli, context);
  add_log(cli, context);
  add_version(cli, context);
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

// SPDX-License-Identifier: Apache-2.0
/// cfsctl status: is the daemon there and well?
///
/// Purpose  One screen about daemon, module, mounts, connections.
/// Failure  Exit code 3 when there is no daemon; the module's state is shown all the same.
#include <iostream>

#include "tools/cfsctl/daemon_link.h"
#include "tools/cfsctl/kernel_mount.h"

namespace cfs::ctl {
namespace {

void print(const Json& s) {
  const Json kernel = admin::member_or_empty(s, "kernel");
  std::cout << "daemon        " << tinted("running", Tone::kGood) << ", version "
            << admin::text_or(s, "version", "?") << ", process " << admin::number_or(s, "pid", 0)
            << ", up " << admin::number_or(s, "uptime_s", 0) << " s, "
            << admin::text_or(s, "loop", "?") << "\n";
  const bool attached = kernel.is_object() && admin::flag_or(kernel, "attached", false);
  std::cout << "module        " << (module_loaded() ? "loaded" : "not loaded")
            << (attached ? ", attached" : ", not attached") << "\n";
  if (!kernel.is_object()) return;
  const Json connections = admin::member_or_empty(kernel, "connections");
  std::cout << "kernel mounts " << admin::number_or(kernel, "sessions", 0) << ", "
            << admin::number_or(kernel, "in_flight", 0) << " requests in flight\n"
            << "FUSE mounts   " << admin::number_or(s, "fuse_mounts", 0) << "\n";
  if (!connections.is_object()) return;
  std::cout << "connections   " << admin::number_or(connections, "up", 0) << " to data nodes, "
            << admin::number_or(connections, "dialing", 0) << " being made, "
            << admin::number_or(connections, "waiting", 0)
            << " to be tried again (ordered since the daemon's start)\n";
}

int run_status(const Context& context, bool json) {
  const auto answer = ask_daemon(context.socket, "no status", admin::kStatus);
  if (const auto* problem = std::get_if<Problem>(&answer)) {
    if (json) print_json(Json{{"running", false}, {"module_loaded", module_loaded()}});
    return report(*problem);
  }
  Json status = std::get<Json>(answer);
  if (json) {
    status["running"] = true;
    status["module_loaded"] = module_loaded();
    print_json(status);
  } else {
    print(status);
  }
  return kDone;
}

}  // namespace

void add_status(CLI::App& cli, Context& context) {
  CLI::App* const command =
      add_command(cli, "INSPECT", "status", "State of daemon and module",
                  "  cfsctl status\n  cfsctl status --json | jq .kernel.connections");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "For programs");
  command->callback([json, &context] { context.exit_code = run_status(context, *json); });
}

}  // namespace cfs::ctl

// SPDX-License-Identifier: Apache-2.0
/// cfsctl log-level: what the daemon logs from now on.
///
/// Failure  Exit code 3 without a daemon.
#include <iostream>

#include "tools/cfsctl/daemon_link.h"

namespace cfs::ctl {

void add_log(CLI::App& cli, Context& context) {
  struct Args {
    std::string level;
    bool json = false;
  };
  CLI::App* const command =
      add_command(cli, "ADMIN", "log-level", "Change what the daemon logs, until it ends",
                  "  cfsctl log-level debug\n  cfsctl log-level info --json");
  auto args = std::make_shared<Args>();
  command->add_option("level", args->level, "trace, debug, info, warn, error or off")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->required();
  command->add_flag("--json", args->json, "For programs");
  command->callback([args, &context] {
    const auto answer =
        ask_daemon(context.socket, "the level stays", admin::kLogLevel, {{"level", args->level}});
    if (const auto* problem = std::get_if<Problem>(&answer)) {
      context.exit_code = report(*problem);
    } else if (args->json) {
      print_json(std::get<Json>(answer));
    } else {
      std::cout << "the daemon logs from " << args->level << " on" << std::endl;
    }
  });
}

}  // namespace cfs::ctl

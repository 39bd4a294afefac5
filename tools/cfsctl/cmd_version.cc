// SPDX-License-Identifier: Apache-2.0
/// cfsctl version: of this program, the daemon and the module.
///
/// Purpose  What a bug report needs. A daemon or module that is absent is no error here.
#include <fstream>
#include <iostream>

#include "tools/cfsctl/daemon_link.h"
#include "tools/cfsctl/kernel_mount.h"

namespace cfs::ctl {
namespace {

std::string module_version() {
  std::ifstream in("/sys/module/cubefs/version");
  std::string version;
  if (in >> version) return version;
  return module_loaded() ? "loaded" : "not loaded";
}

int run_version(const Context& context, bool json) {
  const auto answer = ask_daemon(context.socket, "", admin::kVersionCmd);
  const bool running = std::holds_alternative<Json>(answer);
  const Json daemon = running ? std::get<Json>(answer) : Json::object();
  if (json) {
    print_json(Json{{"cfsctl", CFS_VERSION},
                    {"daemon", running ? daemon : Json()},
                    {"module", module_version()}});
    return kDone;
  }
  std::cout << "cfsctl  " << CFS_VERSION << "\n"
            << "cfsd    " << (running ? admin::text_or(daemon, "version", "?") : "not running");
  if (running) std::cout << " (speaks module ABI " << admin::text_or(daemon, "abi", "?") << ")";
  std::cout << "\nmodule  " << module_version();
  const std::string abi = admin::text_or(daemon, "module_abi", "");
  if (!abi.empty()) std::cout << " (ABI " << abi << ")";
  std::cout << std::endl;
  return kDone;
}

}  // namespace

void add_version(CLI::App& cli, Context& context) {
  CLI::App* const command =
      add_command(cli, "INSPECT", "version", "Versions of all parts", "  cfsctl version --json");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "For programs");
  command->callback([json, &context] { context.exit_code = run_version(context, *json); });
}

}  // namespace cfs::ctl

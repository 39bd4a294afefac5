// SPDX-License-Identifier: Apache-2.0
/// cfsctl requests: what waits, for what, how long.
///
/// Purpose  The requests that the daemon has not answered yet: where a hung process is stuck.
/// Failure  Exit code 3 without a daemon.
#include <iostream>

#include "tools/cfsctl/daemon_link.h"

namespace cfs::ctl {
namespace {

void print(const Json& requests) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& r : requests) {
    rows.push_back({std::to_string(admin::number_or(r, "id", 0)),
                    std::to_string(admin::number_or(r, "session", 0)), admin::text_or(r, "op", "?"),
                    std::to_string(admin::number_or(r, "ino", 0)),
                    std::to_string(admin::number_or(r, "age_ms", 0)) + " ms",
                    admin::text_or(r, "state", "?") +
                        (admin::flag_or(r, "resumed", false) ? ", from a former daemon" : "")});
  }
  print_table({"ID", "SESSION", "OPERATION", "INODE", "AGE", "STATE"}, rows);
}

int run_requests(const Context& context, bool json) {
  const auto answer = ask_daemon(context.socket, "no list of requests", admin::kRequests);
  if (const auto* problem = std::get_if<Problem>(&answer)) return report(*problem);
  if (json) {
    print_json(std::get<Json>(answer));
  } else {
    print(admin::member_or_empty(std::get<Json>(answer), "requests"));
  }
  return kDone;
}

}  // namespace

void add_requests(CLI::App& cli, Context& context) {
  CLI::App* const command =
      add_command(cli, "INSPECT", "requests", "Requests that have no answer yet",
                  "  cfsctl requests\n"
                  "  cfsctl requests --json | jq '.requests[] | select(.age_ms > 1000)'");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "For programs");
  command->callback([json, &context] { context.exit_code = run_requests(context, *json); });
}

}  // namespace cfs::ctl

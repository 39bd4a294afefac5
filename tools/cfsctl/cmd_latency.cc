// SPDX-License-Identifier: Apache-2.0
/// cfsctl latency: how long the module's requests to the daemon take.
///
/// Purpose  Count, errors and percentiles of each operation, over all kernel mounts of this host
///          since this daemon attached. Measured in the kernel by BPF, so the time a request waits
///          for a daemon is in it. Keys of --json are stable; its buckets double.
/// Failure  Exit code 3 without a daemon, 1 when no BPF program is attached (and why).
#include <iostream>

#include "tools/cfsctl/daemon_link.h"

namespace cfs::ctl {
namespace {

void print(const Json& operations) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& one : operations) {
    std::vector<std::string> row{admin::text_or(one, "op", "?")};
    for (const char* key : {"count", "errors"}) {
      row.push_back(std::to_string(admin::number_or(one, key, 0)));
    }
    for (const char* key : {"mean_ns", "p50_ns", "p99_ns", "max_ns"}) {
      row.push_back(human_ns(admin::number_or(one, key, 0)));
    }
    rows.push_back(std::move(row));
  }
  print_table({"OPERATION", "COUNT", "ERRORS", "MEAN", "P50", "P99", "MAX"}, rows);
}

int run_latency(const Context& context, bool json) {
  const auto answer = ask_daemon(context.socket, "no latencies", admin::kLatency);
  if (const auto* problem = std::get_if<Problem>(&answer)) return report(*problem);
  if (json) {
    print_json(std::get<Json>(answer));
  } else {
    print(admin::member_or_empty(std::get<Json>(answer), "operations"));
  }
  return kDone;
}

}  // namespace

void add_latency(CLI::App& cli, Context& context) {
  CLI::App* const command = add_command(
      cli, "INSPECT", "latency", "How long requests of the kernel's mounts take",
      "  cfsctl latency\n"
      "  cfsctl latency --json | jq '.operations[] | select(.op == \"lookup\") | .p99_ns'");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "For programs");
  command->callback([json, &context] { context.exit_code = run_latency(context, *json); });
}

}  // namespace cfs::ctl

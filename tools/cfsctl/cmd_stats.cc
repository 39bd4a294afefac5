// SPDX-License-Identifier: Apache-2.0
/// cfsctl stats: counters of one mount.
///
/// Purpose  What the kernel and the daemon have done for a mount since it exists. Keys of --json
///          are stable and carry their unit.
/// Failure  Exit code 3 without a daemon, 1 when the directory is no mount of it.
#include <iostream>

#include "tools/cfsctl/daemon_link.h"
#include "tools/cfsctl/mount_table.h"

namespace cfs::ctl {
namespace {

bool is_bytes(const std::string& key) {
  return key.size() > 6 && key.compare(key.size() - 6, 6, "_bytes") == 0;
}

void add_rows(const Json& counters, const std::string& prefix,
              std::vector<std::vector<std::string>>& rows) {
  for (const auto& [key, value] : counters.items()) {
    if (value.is_object()) {
      add_rows(value, prefix + key + ".", rows);
    } else if (value.is_number() && value != 0) {
      const std::string plain = value.dump();
      const bool bytes = is_bytes(key) && value.is_number_unsigned();
      rows.push_back({prefix + key, plain, bytes ? human_bytes(value.get<std::uint64_t>()) : ""});
    }
  }
}

void print(const Json& all) {
  for (const Json& one : all) {
    std::vector<std::vector<std::string>> rows;
    for (const char* part : {"kernel", "daemon"}) {
      if (one.contains(part)) add_rows(one[part], std::string(part) + ".", rows);
    }
    print_table({"COUNTER", "VALUE", ""}, rows);
  }
}

Either<Json> stats_of(const Context& context, const std::string& what, const MountEntry& entry) {
  const auto mounts = ask_daemon(context.socket, what, admin::kMounts);
  if (const auto* problem = std::get_if<Problem>(&mounts)) return *problem;
  const Json list = admin::member_or_empty(std::get<Json>(mounts), "mounts");
  Json all = Json::array();
  for (const Json& record : matching_records(entry, list)) {
    const Json args = entry.is_kernel() ? Json{{"session", record["session"]}}
                                        : Json{{"mount_point", entry.mount_point}};
    const auto one = ask_daemon(context.socket, what, admin::kStats, args);
    if (const auto* problem = std::get_if<Problem>(&one)) return *problem;
    all.push_back(std::get<Json>(one));
  }
  if (!all.empty()) return all;
  return Problem{kFailed, what, "the daemon does not serve this mount", "see 'cfsctl mounts'"};
}

int run_stats(const Context& context, const std::string& directory, bool json) {
  const std::string what = "no statistics of " + directory;
  const auto entry = find_mount(absolute_path(directory));
  if (!entry) {
    return report({kFailed, what, "it is not a mount of CubeFS", "'cfsctl mounts' lists them"});
  }
  const auto all = stats_of(context, what, *entry);
  if (const auto* problem = std::get_if<Problem>(&all)) return report(*problem);
  if (json) {
    print_json(Json{{"mounts", std::get<Json>(all)}});
  } else {
    print(std::get<Json>(all));
  }
  return kDone;
}

}  // namespace

void add_stats(CLI::App& cli, Context& context) {
  struct Args {
    std::string directory;
    bool json = false;
  };
  CLI::App* const command = add_command(cli, "INSPECT", "stats", "Counters of a mount",
                                        "  cfsctl stats /mnt/vol1\n"
                                        "  cfsctl stats /mnt/vol1 --json | jq .mounts[0].kernel");
  auto args = std::make_shared<Args>();
  command->add_option("directory", args->directory, "Where it is mounted")->required();
  command->add_flag("--json", args->json, "For programs");
  command->callback(
      [args, &context] { context.exit_code = run_stats(context, args->directory, args->json); });
}

}  // namespace cfs::ctl

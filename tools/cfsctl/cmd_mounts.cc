// SPDX-License-Identifier: Apache-2.0
/// cfsctl mounts: what is mounted here, and what the daemon serves.
///
/// Purpose  The mount table of this namespace, joined with the daemon's sessions; sessions of other
///          namespaces have no mount point here.
/// Failure  Without a daemon the mount table alone is shown, state "no daemon".
#include <algorithm>

#include "tools/cfsctl/daemon_link.h"
#include "tools/cfsctl/mount_table.h"

namespace cfs::ctl {
namespace {

Json row(const MountEntry& entry) {
  return Json{{"source", entry.source},
              {"mount_point", entry.mount_point},
              {"frontend", entry.is_kernel() ? "kernel" : "fuse"},
              {"options", entry.options}};
}

/// Joins; every record is used once, so that two mounts of one source keep their own sessions.
Json join(const std::vector<MountEntry>& entries, Json records, bool daemon) {
  Json out = Json::array();
  for (const MountEntry& entry : entries) {
    Json line = row(entry);
    line["state"] = daemon ? "unknown to the daemon" : "no daemon";
    const auto found = matching_records(entry, records);
    if (!found.empty()) {
      for (const char* key : {"session", "cluster", "state", "trouble"}) {
        line[key] = found.front().value(key, Json());
      }
      records.erase(std::find(records.begin(), records.end(), found.front()));
    }
    out.push_back(line);
  }
  for (const Json& record : records) {
    Json line = record;
    line["source"] = admin::text_or(record, "volume", "?");
    line["mount_point"] = admin::text_or(record, "mount_point", "");
    out.push_back(line);
  }
  return out;
}

void print(const Json& mounts) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& m : mounts) {
    const std::string trouble = admin::text_or(m, "trouble", "");
    const std::string point = admin::text_or(m, "mount_point", "");
    rows.push_back({admin::text_or(m, "source", ""), point.empty() ? "(another namespace)" : point,
                    admin::text_or(m, "frontend", ""),
                    admin::text_or(m, "state", "") + (trouble.empty() ? "" : ": " + trouble)});
  }
  print_table({"SOURCE", "MOUNT POINT", "FRONT END", "STATE"}, rows);
}

int run_mounts(const Context& context, bool json) {
  const auto answer = ask_daemon(context.socket, "cannot list mounts", admin::kMounts);
  const bool daemon = std::holds_alternative<Json>(answer);
  const Json records =
      daemon ? admin::member_or_empty(std::get<Json>(answer), "mounts") : Json::array();
  const Json mounts = join(cubefs_mounts(), records, daemon);
  if (json) {
    print_json(Json{{"daemon", daemon}, {"mounts", mounts}});
  } else {
    print(mounts);
  }
  return kDone;
}

}  // namespace

void add_mounts(CLI::App& cli, Context& context) {
  CLI::App* const command = add_command(cli, "INSPECT", "mounts", "List CubeFS mounts",
                                        "  cfsctl mounts\n  cfsctl mounts --json");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "For programs");
  command->callback([json, &context] { context.exit_code = run_mounts(context, *json); });
}

}  // namespace cfs::ctl

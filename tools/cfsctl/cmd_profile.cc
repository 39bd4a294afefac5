// SPDX-License-Identifier: Apache-2.0
/// cfsctl profile: which operations cost what, by process, cgroup, mount or data node.
///
/// Purpose  Sums of the BPF program since the daemon attached, or what came to them during
///          --seconds. The greatest total time stands first.
/// Failure  Exit code 3 without a daemon, 1 when no BPF program is attached or nothing is known of
///          the process or cgroup.
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <thread>

#include "tools/cfsctl/daemon_link.h"

namespace cfs::ctl {
namespace {

constexpr const char* kWhat = "no profile";
constexpr const char* kCgroups = "/sys/fs/cgroup";

struct Args {
  std::string subject;
  std::string by = "task";
  double seconds = 0;
  bool json = false;
};

std::string process_name(std::int64_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  return std::getline(in, name) ? name : "(ended)";
}

/// Paths of all cgroups below /sys/fs/cgroup by their id: the inode of the directory (cgroups(7), v2).
std::map<std::int64_t, std::string> cgroup_names() {
  namespace fs = std::filesystem;
  std::map<std::int64_t, std::string> out;
  struct stat st {};
  if (::stat(kCgroups, &st) == 0) out[static_cast<std::int64_t>(st.st_ino)] = "/";
  std::error_code error;
  fs::recursive_directory_iterator at(kCgroups, fs::directory_options::skip_permission_denied,
                                      error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (::stat(at->path().c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) continue;
    out[static_cast<std::int64_t>(st.st_ino)] = at->path().lexically_relative(kCgroups);
  }
  return out;
}

/// A number is a process, a path a cgroup.
bool resolve(Args& args, std::int64_t& id, Problem& problem) {
  if (args.subject.empty()) return true;
  if (std::all_of(args.subject.begin(), args.subject.end(),
                  [](char c) { return std::isdigit(static_cast<unsigned char>(c)); })) {
    id = std::strtoll(args.subject.c_str(), nullptr, 10);
    args.by = "task";
    return true;
  }
  struct stat st {};
  for (const std::string& path : {args.subject, std::string(kCgroups) + "/" + args.subject}) {
    if (::stat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) continue;
    id = static_cast<std::int64_t>(st.st_ino);
    args.by = "cgroup";
    return true;
  }
  problem = {kFailed, kWhat, "'" + args.subject + "' is neither a process nor a cgroup",
             "give a number, or a path below /sys/fs/cgroup"};
  return false;
}

std::string key_of(const Json& group) {
  return std::to_string(admin::number_or(group, "id", 0)) + "/" + admin::text_or(group, "op", "");
}

/// What came to `now` since `before`; percentiles and maximum are of all the time, so they go.
Json difference(const Json& now, const Json& before) {
  std::map<std::string, Json> old;
  for (const Json& one : before) old[key_of(one)] = one;
  Json out = Json::array();
  for (Json one : now) {
    const Json& was = old[key_of(one)];
    if (was.is_object()) {
      for (const char* key : {"count", "errors", "total_ns"}) {
        one[key] = admin::number_or(one, key, 0) - admin::number_or(was, key, 0);
      }
      for (const char* key : {"p50_ns", "p99_ns", "max_ns", "buckets"}) one.erase(key);
    }
    const std::int64_t count = admin::number_or(one, "count", 0);
    if (count <= 0) continue;
    one["mean_ns"] = admin::number_or(one, "total_ns", 0) / count;
    out.push_back(one);
  }
  return out;
}

Either<Json> groups(const Context& context, const Args& args, std::int64_t id) {
  const auto answer =
      ask_daemon(context.socket, kWhat, admin::kProfile, {{"by", args.by}, {"id", id}});
  if (const auto* problem = std::get_if<Problem>(&answer)) return *problem;
  Json list = admin::member_or_empty(std::get<Json>(answer), "groups");
  const auto cgroups = args.by == "cgroup" ? cgroup_names() : std::map<std::int64_t, std::string>();
  for (Json& one : list) {
    if (args.by == "cgroup") {
      const auto found = cgroups.find(admin::number_or(one, "id", 0));
      one["name"] = found == cgroups.end() ? "(removed)" : found->second;
    }
    if (args.by == "task") one["name"] = process_name(admin::number_or(one, "id", 0));
  }
  return list;
}

void print(const Json& list) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& one : list) {
    const bool all = one.contains("p99_ns");
    rows.push_back(
        {admin::text_or(one, "name", "") + " " + std::to_string(admin::number_or(one, "id", 0)),
         admin::text_or(one, "op", "?"), std::to_string(admin::number_or(one, "count", 0)),
         std::to_string(admin::number_or(one, "errors", 0)),
         human_ns(admin::number_or(one, "total_ns", 0)),
         human_ns(admin::number_or(one, "mean_ns", 0)),
         all ? human_ns(admin::number_or(one, "p99_ns", 0)) : "-"});
  }
  print_table({"WHO", "OPERATION", "COUNT", "ERRORS", "TOTAL", "MEAN", "P99"}, rows);
}

int run_profile(const Context& context, Args args) {
  std::int64_t id = 0;
  Problem problem;
  if (!resolve(args, id, problem)) return report(problem);
  auto now = groups(context, args, id);
  if (const auto* failed = std::get_if<Problem>(&now)) return report(*failed);
  Json list = std::get<Json>(now);
  if (args.seconds > 0) {
    std::this_thread::sleep_for(std::chrono::duration<double>(args.seconds));
    now = groups(context, args, id);
    if (const auto* failed = std::get_if<Problem>(&now)) return report(*failed);
    list = difference(std::get<Json>(now), list);
  }
  std::sort(list.begin(), list.end(), [](const Json& a, const Json& b) {
    return admin::number_or(a, "total_ns", 0) > admin::number_or(b, "total_ns", 0);
  });
  if (list.empty() && id != 0 && args.seconds == 0) {
    return report({kFailed, kWhat, "it has sent no request that is remembered",
                   "what the caches answer is not counted; see all with 'cfsctl profile'"});
  }
  if (args.json) {
    print_json(Json{{"by", args.by}, {"groups", list}});
  } else {
    print(list);
  }
  return kDone;
}

}  // namespace

void add_profile(CLI::App& cli, Context& context) {
  CLI::App* const command =
      add_command(cli, "INSPECT", "profile", "Which operations cost what, for whom",
                  "  cfsctl profile\n"
                  "  cfsctl profile 4711 --seconds 10\n"
                  "  cfsctl profile system.slice/backup.service\n"
                  "  cfsctl profile --by node --json | jq '.groups[] | {name, op, p99_ns}'");
  auto args = std::make_shared<Args>();
  command->add_option("subject", args->subject, "Process id, or cgroup below /sys/fs/cgroup");
  command->add_option("--by", args->by, "Without a subject: what to tell apart")
      ->check(CLI::IsMember({"task", "cgroup", "mount", "node"}))
      ->capture_default_str();
  command->add_option("--seconds", args->seconds, "Only what happens during this time");
  command->add_flag("--json", args->json, "For programs");
  command->callback([args, &context] { context.exit_code = run_profile(context, *args); });
}

}  // namespace cfs::ctl

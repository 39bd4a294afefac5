// SPDX-License-Identifier: Apache-2.0
/// cfsctl policy list|load|show|unload|rule: who decides what the kernel's metadata cache believes.
///
/// Purpose  Works on the pins in the BPF file system, so no daemon is needed: loading replaces the
///          policy of busy mounts, unloading leaves them to the module's built-in one.
/// Failure  A program that the kernel refuses is reported with the verifier's last lines; the former
///          policy stays. Exit code 3 without the module.
#include <bpf/bpf.h>
#include <cubefs/cfs_bpf.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <iostream>

#include "daemon/bpf/policy_store.h"
#include "tools/cfsctl/daemon_link.h"
#include "tools/cfsctl/policy_problem.h"

namespace cfs::ctl {
namespace {

constexpr const char* kRulesMap = CFS_META_PIN_DIR "/cfs_rules";
constexpr long kCubefsMagic = 0x43554245;  // kmod/cfs.h

struct RuleArgs {
  std::string path;
  bool cgroup = false;
  double entry_s = 0, attr_s = 0, absent_s = 0, open_s = 0;
  bool prefetch = false;
};

int run_list() {
  const PolicyStore store(CFS_META_PIN_DIR);
  const auto current = store.current();
  std::vector<std::vector<std::string>> rows;
  bool seen = false;
  for (const std::string& name : PolicyStore::built_in()) {
    const bool active = current && *current == name;
    seen = seen || active;
    rows.push_back({name, "built in", active ? "active" : ""});
  }
  if (current && !seen) rows.push_back({*current, "file", "active"});
  print_table({"POLICY", "FROM", "STATE"}, rows);
  if (!current) std::cout << "no policy is loaded: the module's built-in lifetimes hold\n";
  return kDone;
}

int run_load(const Context& context, const std::string& program) {
  PolicyStore store(CFS_META_PIN_DIR);
  const auto loaded = store.load(program);
  if (!loaded) {
    return report(policy_problem("cannot load " + program, loaded.error(),
                                 "what was active still is; docs/policy.md has the rules"));
  }
  const auto name = store.current();
  std::cout << "policy " << (name ? *name : program) << " is active";
  if (*loaded == PolicyStore::Loaded::kReplaced) std::cout << ", the cache is kept";
  if (*loaded == PolicyStore::Loaded::kReplacedCold) {
    std::cout << ", the cache is empty: its maps had another layout";
  }
  std::cout << std::endl;
  // without a daemon, nobody has the former maps open
  if (*loaded != PolicyStore::Loaded::kReplaced) {
    [[maybe_unused]] const auto told = ask_daemon(context.socket, "", admin::kPolicyChanged);
  }
  return kDone;
}

int run_show(bool json) {
  const PolicyStore store(CFS_META_PIN_DIR);
  const auto current = store.current();
  if (!current) return report(policy_problem("no policy", current.error(), kLoadOne));
  Json maps = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (const PolicyMap& map : store.maps()) {
    maps.push_back(Json{{"name", map.name},
                        {"key_bytes", map.key_bytes},
                        {"value_bytes", map.value_bytes},
                        {"entries_max", map.entries_max},
                        {"memory_bytes", map.memory_bytes}});
    rows.push_back({map.name, std::to_string(map.key_bytes), std::to_string(map.value_bytes),
                    std::to_string(map.entries_max), human_bytes(map.memory_bytes)});
  }
  if (json) {
    print_json(Json{{"policy", *current}, {"pins", store.pins()}, {"maps", maps}});
    return kDone;
  }
  std::cout << "policy " << *current << ", pinned in " << store.pins() << "\n";
  print_table({"MAP", "KEY BYTES", "VALUE BYTES", "ENTRIES MAX", "MEMORY"}, rows);
  return kDone;
}

int run_unload_policy() {
  PolicyStore store(CFS_META_PIN_DIR);
  const auto done = store.unload();
  if (!done)
    return report(policy_problem("cannot unload the policy", done.error(), "run it as root"));
  std::cout << "no policy is active; what the cache knew is gone\n";
  return kDone;
}

/// Key of a directory on a kernel mount, or of a cgroup's directory.
Result<cfs_meta_ino> rule_key(const RuleArgs& args) {
  struct stat st {};
  struct statfs fs {};
  if (::stat(args.path.c_str(), &st) != 0 || ::statfs(args.path.c_str(), &fs) != 0) {
    return errno_error(args.path);
  }
  if (!S_ISDIR(st.st_mode)) return make_error(ENOTDIR, args.path + " is not a directory");
  if (args.cgroup) return cfs_meta_ino{0, st.st_ino};
  if (fs.f_type != kCubefsMagic) {
    return make_error(EINVAL, args.path + " is not on a kernel mount of CubeFS");
  }
  const auto low = static_cast<std::uint32_t>(fs.f_fsid.__val[0]);
  const auto high = static_cast<std::uint32_t>(fs.f_fsid.__val[1]);
  return cfs_meta_ino{std::uint64_t{high} << 32 | low, st.st_ino};
}

std::uint32_t milliseconds(double seconds) {
  return static_cast<std::uint32_t>(std::llround(seconds * 1000));
}

/// Opens the map of rules for `change`, which returns 0 or -1 with errno.
template <typename Change>
int change_rules(const RuleArgs& args, Change change) {
  const std::string what = "cannot change the rule of " + args.path;
  const auto key = rule_key(args);
  if (!key) return report({kFailed, what, key.error().text(), "name a directory of a mount"});
  const int map = bpf_obj_get(kRulesMap);
  if (map < 0) return report(policy_problem(what, errno_error("no policy is loaded"), kLoadOne));
  const int failed = change(map, *key);
  const int code = errno;
  ::close(map);
  if (failed == 0) {
    const auto judged = PolicyStore(CFS_META_PIN_DIR).refresh();
    return judged ? kDone : report(policy_problem(what, judged.error(), kLoadOne));
  }
  return report({kFailed, what, code == ENOENT ? "it has none" : std::strerror(code),
                 "see 'cfsctl policy rule list'"});
}

int run_rule_set(const RuleArgs& args) {
  return change_rules(args, [&args](int map, const cfs_meta_ino& key) {
    cfs_meta_rule rule{};
    rule.flags = args.prefetch ? CFS_RULE_PREFETCH : 0;
    rule.entry_ms = milliseconds(args.entry_s);
    rule.attr_ms = milliseconds(args.attr_s);
    rule.negative_ms = milliseconds(args.absent_s);
    rule.open_ms = milliseconds(args.open_s);
    return bpf_map_update_elem(map, &key, &rule, BPF_ANY);
  });
}

int run_rule_drop(const RuleArgs& args) {
  return change_rules(
      args, [](int map, const cfs_meta_ino& key) { return bpf_map_delete_elem(map, &key); });
}

std::string seconds_text(std::uint32_t ms) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g", ms / 1000.0);
  return text;
}

int run_rule_list() {
  const int map = bpf_obj_get(kRulesMap);
  if (map < 0)
    return report(policy_problem("no rules", errno_error("no policy is loaded"), kLoadOne));
  std::vector<std::vector<std::string>> rows;
  cfs_meta_ino key{};
  for (const void* from = nullptr; bpf_map_get_next_key(map, from, &key) == 0; from = &key) {
    cfs_meta_rule rule{};
    if (bpf_map_lookup_elem(map, &key, &rule) != 0) continue;
    char volume[32];
    std::snprintf(volume, sizeof(volume), "%016llx", static_cast<unsigned long long>(key.volume));
    rows.push_back({key.volume == 0 ? "cgroup" : volume, std::to_string(key.ino),
                    seconds_text(rule.entry_ms), seconds_text(rule.attr_ms),
                    seconds_text(rule.negative_ms), seconds_text(rule.open_ms),
                    rule.flags & CFS_RULE_PREFETCH ? "yes" : "no"});
  }
  ::close(map);
  print_table({"FSID", "INODE", "ENTRY S", "ATTR S", "ABSENT S", "OPEN S", "PREFETCH"}, rows);
  return kDone;
}

void add_seconds(CLI::App* command, const char* name, double& value, const char* help) {
  command->add_option(name, value, help)->check(CLI::Range(0.0, CFS_LIFETIME_MAX_MS / 1000.0));
}

void add_rule(CLI::App* parent, Context& context) {
  CLI::App* const rule =
      parent->add_subcommand("rule", "Lifetimes for a directory and all below it, or a cgroup");
  rule->require_subcommand(1);
  auto args = std::make_shared<RuleArgs>();
  CLI::App* const set = rule->add_subcommand(
      "set", "Set them; what is not given is 0, which means: ask the servers each time");
  CLI::App* const drop = rule->add_subcommand("drop", "Back to what holds above");
  for (CLI::App* const one : {set, drop}) {
    one->add_option("path", args->path, "Directory on a kernel mount")->required();
    one->add_flag("--cgroup", args->cgroup, "The path is a cgroup's directory");
  }
  add_seconds(set, "--entry", args->entry_s, "Seconds that names are believed");
  add_seconds(set, "--attr", args->attr_s, "Seconds that attributes are believed");
  add_seconds(set, "--absent", args->absent_s, "Seconds that the absence of a name is believed");
  add_seconds(set, "--open", args->open_s, "Seconds that opening a known file asks nobody");
  set->add_flag("--prefetch", args->prefetch, "The first miss fetches the whole directory");
  set->callback([args, &context] { context.exit_code = run_rule_set(*args); });
  drop->callback([args, &context] { context.exit_code = run_rule_drop(*args); });
  rule->add_subcommand("list", "All of them")->callback([&context] {
    context.exit_code = run_rule_list();
  });
}

}  // namespace

void add_policy(CLI::App& cli, Context& context) {
  CLI::App* const command = add_command(
      cli, "ADMIN", "policy", "What the kernel's metadata cache believes, and for how long",
      "  cfsctl policy list\n"
      "  cfsctl policy load training_set\n"
      "  cfsctl policy load ./mine.bpf.o       refused programs change nothing\n"
      "  cfsctl policy rule set /mnt/vol1/data --entry 21600 --attr 21600 --open 21600 --prefetch");
  command->require_subcommand(1);
  command->add_subcommand("list", "Programs that can be loaded, and the active one")
      ->callback([&context] { context.exit_code = run_list(); });
  auto program = std::make_shared<std::string>();
  CLI::App* const load = command->add_subcommand("load", "Load a program; replaces the active one");
  load->add_option("program", *program, "Name of a built-in program, or an object file")
      ->required();
  load->callback([program, &context] { context.exit_code = run_load(context, *program); });
  auto json = std::make_shared<bool>(false);
  CLI::App* const show = command->add_subcommand("show", "The active program and its maps");
  show->add_flag("--json", *json, "For programs");
  show->callback([json, &context] { context.exit_code = run_show(*json); });
  command->add_subcommand("unload", "Detach it: the module's built-in lifetimes hold")
      ->callback([&context] { context.exit_code = run_unload_policy(); });
  add_rule(command, context);
}

}  // namespace cfs::ctl

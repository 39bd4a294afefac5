// SPDX-License-Identifier: Apache-2.0
/// cfsctl cache show|drop|stats: what the kernel's metadata cache knows.
///
/// Purpose  Reads the pinned maps by path. The daemon tells the key of the mount and what has
///          changed here since; it also makes the kernel forget, because dentries and inodes are
///          believed without a look at the maps. Keys of --json are stable and carry their unit.
/// Failure  Exit code 3 without module or daemon (stats shows the maps without one); 1 when no
///          policy is loaded or the path is not on a kernel mount.
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <map>
#include <set>

#include "daemon/bpf/policy_store.h"
#include "tools/cfsctl/cache_place.h"
#include "tools/cfsctl/policy_problem.h"

namespace cfs::ctl {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;

struct Args {
  std::string path;
  bool json = false, recursive = false;
};

/// A loaded policy and its maps.
struct Policy {
  std::string name;
  MetaMaps maps;
};

Either<Policy> loaded_policy(const std::string& what) {
  const auto name = PolicyStore(CFS_META_PIN_DIR).current();
  if (!name) return policy_problem(what, name.error(), kLoadOne);
  auto maps = MetaMaps::open(CFS_META_PIN_DIR);
  if (!maps) {
    return Problem{kFailed, what, "policy " + *name + " has other maps: " + maps.error().text(),
                   kLoadOne};
  }
  return Policy{*name, std::move(maps).value()};
}

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// ---------------------------------------------------------------- show

/// What holds for a record; no value: the policy alone knows.
struct Lifetimes {
  std::optional<std::uint32_t> entry_ms, absent_ms, attr_ms, open_ms;
};

Lifetimes lifetimes(const std::string& policy, const std::optional<CacheRule>& rule,
                    const std::optional<cfs_meta_attr>& attr) {
  if (rule) {
    const cfs_meta_rule& r = rule->rule;
    return {r.entry_ms, r.negative_ms, r.attr_ms, r.open_ms};
  }
  Lifetimes out;
  if (policy != PolicyStore::built_in().front()) return out;
  out.absent_ms = out.open_ms = 0;
  if (!attr) return out;
  out.entry_ms = attr->attr.entry_valid_ms;
  out.attr_ms = attr->attr.attr_valid_ms;
  return out;
}

/// "cached", "absent", "expired", "changed" since, or "unknown".
Json record_json(std::uint64_t filled_ns, std::uint64_t seq, std::uint64_t changed,
                 std::optional<std::uint32_t> lifetime_ms, bool absent) {
  const std::uint64_t now = now_ns();
  const std::int64_t age_ms =
      filled_ns > now ? 0 : static_cast<std::int64_t>(now - filled_ns) / kNsPerMs;
  std::string state = absent ? "absent" : "cached";
  Json out{{"age_ms", age_ms}, {"lifetime_ms", nullptr}, {"left_ms", nullptr}};
  if (lifetime_ms) {
    const std::int64_t left = std::max<std::int64_t>(0, std::int64_t{*lifetime_ms} - age_ms);
    out["lifetime_ms"] = *lifetime_ms;
    out["left_ms"] = left;
    if (left == 0) state = "expired";
  }
  out["state"] = changed > seq ? "changed" : state;
  return out;
}

Json attr_json(const cfs_attr& attr) {
  return Json{{"mode", attr.mode},     {"nlink", attr.nlink},     {"uid", attr.uid},
              {"gid", attr.gid},       {"size_bytes", attr.size}, {"mtime_s", attr.mtime},
              {"generation", attr.gen}};
}

/// When the names of directory and the attributes of inode last changed here.
struct Changes {
  std::uint64_t dir = 0, ino = 0;
};

Changes changes_of(const Context& context, std::uint32_t session, std::uint64_t dir,
                   std::uint64_t ino) {
  Json inodes = Json::array();
  for (const std::uint64_t one : {dir, ino}) {
    if (one != 0) inodes.push_back(one);
  }
  const auto answer =
      ask_daemon(context.socket, "", admin::kCache, Json{{"session", session}, {"inodes", inodes}});
  const Json* const value = std::get_if<Json>(&answer);
  const Json list = value == nullptr ? Json::array() : admin::member_or_empty(*value, "changed");
  Changes out;
  std::size_t at = 0;
  if (dir != 0 && at < list.size()) out.dir = list[at++].get<std::uint64_t>();
  if (ino != 0 && at < list.size()) out.ino = list[at].get<std::uint64_t>();
  return out;
}

Json show_session(const Context& context, const Policy& policy, const CachePlace& place,
                  const std::optional<CacheRule>& rule, const CacheSession& session) {
  const auto entry =
      place.name.empty() ? std::nullopt : policy.maps.name(session.volume, place.dir, place.name);
  const std::uint64_t named = entry ? entry->ino : 0;
  const std::uint64_t ino = place.name.empty() ? place.root : named;
  const auto attr = ino == 0 ? std::nullopt : policy.maps.attr(session.volume, ino);
  const Changes changes = changes_of(context, session.id, place.dir, ino);
  const Lifetimes lives = lifetimes(policy.name, rule, attr);
  Json out{{"session", session.id},
           {"volume_key", session.volume},
           {"inode", ino},
           {"entry", {{"state", "unknown"}}},
           {"attributes", {{"state", "unknown"}}}};
  if (entry) {
    const bool absent = named == 0;
    out["entry"] = record_json(entry->filled_ns, entry->seq, changes.dir,
                               absent ? lives.absent_ms : lives.entry_ms, absent);
  }
  if (place.name.empty()) out["entry"] = {{"state", "root"}};
  if (!attr) return out;
  out["attributes"] = record_json(attr->filled_ns, attr->seq, changes.ino, lives.attr_ms, false);
  out["attributes"].update(attr_json(attr->attr));
  if (lives.open_ms) out["attributes"]["open_lifetime_ms"] = *lives.open_ms;
  if (!S_ISDIR(attr->attr.mode)) return out;
  std::uint64_t cached = 0, absent = 0;
  const auto seen = policy.maps.each_name(
      session.volume, [&](std::uint64_t dir, std::string_view, const cfs_meta_entry& one) {
        if (dir == ino) ++(one.ino == 0 ? absent : cached);
      });
  if (seen) out["names"] = {{"cached", cached}, {"absent", absent}};
  return out;
}

Json rule_json(const std::optional<CacheRule>& rule) {
  if (!rule) return nullptr;
  const cfs_meta_rule& r = rule->rule;
  return Json{{"of", rule->of},       {"path", rule->path},
              {"inode", rule->ino},   {"entry_ms", r.entry_ms},
              {"attr_ms", r.attr_ms}, {"absent_ms", r.negative_ms},
              {"open_ms", r.open_ms}, {"prefetch", (r.flags & CFS_RULE_PREFETCH) != 0}};
}

std::string time_cell(const Json& record, const char* key) {
  if (!record.contains(key) || !record[key].is_number()) return record.contains(key) ? "?" : "";
  return human_ns(record[key].get<std::int64_t>() * kNsPerMs);
}

std::vector<std::string> row_of(const std::string& what, const Json& record,
                                const std::string& value) {
  return {what,
          record["state"],
          time_cell(record, "age_ms"),
          time_cell(record, "lifetime_ms"),
          time_cell(record, "left_ms"),
          value};
}

std::string attr_text(const Json& record) {
  if (!record.contains("mode")) return "";
  std::array<char, 96> text{};
  std::snprintf(text.data(), text.size(), "mode %06o, %u links, %u:%u, %" PRIu64 " bytes",
                record["mode"].get<unsigned>(), record["nlink"].get<unsigned>(),
                record["uid"].get<unsigned>(), record["gid"].get<unsigned>(),
                record["size_bytes"].get<std::uint64_t>());
  return text.data();
}

std::string rule_text(const Json& rule) {
  if (rule.is_null()) return "none here: the policy's own lifetimes";
  const auto seconds = [&](const char* key) {
    return human_ns(rule[key].get<std::int64_t>() * kNsPerMs);
  };
  return rule["of"].get<std::string>() + " " + rule["path"].get<std::string>() + ": entry " +
         seconds("entry_ms") + ", attr " + seconds("attr_ms") + ", absent " + seconds("absent_ms") +
         ", open " + seconds("open_ms") + (rule["prefetch"].get<bool>() ? ", prefetch" : "");
}

void print_shown(const Json& shown) {
  std::cout << shown["path"].get<std::string>() << ", policy " << shown["policy"].get<std::string>()
            << "\n";
  for (const Json& one : shown["sessions"]) {
    const auto ino = one["inode"].get<std::uint64_t>();
    const std::string inode = ino == 0 ? "" : "inode " + std::to_string(ino);
    print_table({"WHAT", "STATE", "AGE", "LIFETIME", "LEFT", "VALUE"},
                {row_of("name", one["entry"], inode),
                 row_of("attributes", one["attributes"], attr_text(one["attributes"]))});
    if (one.contains("names")) {
      std::cout << "names in it: " << one["names"]["cached"] << " cached, "
                << one["names"]["absent"] << " absent\n";
    }
  }
  std::cout << "rule: " << rule_text(shown["rule"]) << std::endl;
}

int run_show(const Context& context, const Args& args) {
  const std::string what = "cannot show what is cached of " + args.path;
  const auto policy = loaded_policy(what);
  if (const auto* problem = std::get_if<Problem>(&policy)) return report(*problem);
  const auto place = cache_place(args.path, what);
  if (const auto* problem = std::get_if<Problem>(&place)) return report(*problem);
  const auto& at = std::get<CachePlace>(place);
  const auto sessions = cache_sessions(context, what, at.mount);
  if (const auto* problem = std::get_if<Problem>(&sessions)) return report(*problem);
  const auto& active = std::get<Policy>(policy);
  const auto rule = rule_at(at, active.maps);
  Json shown{{"path", at.path},       {"name", at.name},         {"directory_inode", at.dir},
             {"policy", active.name}, {"rule", rule_json(rule)}, {"sessions", Json::array()}};
  for (const CacheSession& one : std::get<std::vector<CacheSession>>(sessions)) {
    shown["sessions"].push_back(show_session(context, active, at, rule, one));
  }
  if (args.json) {
    print_json(shown);
  } else {
    print_shown(shown);
  }
  return kDone;
}

// ---------------------------------------------------------------- drop

/// What is to be forgotten of one mount.
struct Drop {
  bool all = false;
  std::map<std::uint64_t, std::set<std::string>> names;  ///< by directory
  std::set<std::uint64_t> inodes;
  std::set<std::uint64_t> directories;  ///< whose names the kernel believes
};

/// All that is known below a directory.
Result<void> add_below(const MetaMaps& maps, std::uint64_t volume, std::uint64_t root, Drop& drop) {
  std::map<std::uint64_t, std::vector<std::pair<std::string, std::uint64_t>>> children;
  auto seen = maps.each_name(
      volume, [&](std::uint64_t dir, std::string_view name, const cfs_meta_entry& one) {
        children[dir].emplace_back(name, one.ino);
      });
  if (!seen) return seen;
  std::vector<std::uint64_t> rest{root};
  while (!rest.empty()) {
    const std::uint64_t dir = rest.back();
    rest.pop_back();
    if (!drop.directories.insert(dir).second) continue;
    for (const auto& [name, ino] : children[dir]) {
      drop.names[dir].insert(name);
      if (ino == 0) continue;
      drop.inodes.insert(ino);
      if (children.count(ino) != 0) rest.push_back(ino);
    }
  }
  return {};
}

Result<void> add_all(const MetaMaps& maps, std::uint64_t volume, Drop& drop) {
  drop.all = true;
  auto names =
      maps.each_name(volume, [&](std::uint64_t dir, std::string_view name, const cfs_meta_entry&) {
        drop.names[dir].emplace(name);
      });
  if (!names) return names;
  return maps.each_attr(volume, [&](std::uint64_t ino) { drop.inodes.insert(ino); });
}

Result<Drop> plan_drop(const Args& args, const CachePlace& place, const MetaMaps& maps,
                       std::uint64_t volume) {
  Drop drop;
  if (args.recursive && place.name.empty()) {
    const auto added = add_all(maps, volume, drop);
    if (!added) return added.error();
    return drop;
  }
  const std::uint64_t ino = place.name.empty() ? place.root : inode_of(place.path);
  if (place.dir != 0) {
    drop.names[place.dir].insert(place.name);
    drop.directories.insert(place.dir);
  }
  if (ino == 0) return drop;
  drop.inodes.insert(ino);
  if (args.recursive) {
    const auto added = add_below(maps, volume, ino, drop);
    if (!added) return added.error();
  }
  return drop;
}

std::vector<Json> drop_orders(const Drop& drop, std::uint32_t session) {
  if (drop.all) return {Json{{"session", session}, {"all", true}}};
  std::vector<Json> out;
  const auto add = [&](const char* key, const std::set<std::uint64_t>& inodes) {
    for (const std::uint64_t ino : inodes) {
      if (out.empty() || !out.back().contains(key) || out.back()[key].size() == admin::kInodesMax) {
        out.push_back(Json{{"session", session}, {key, Json::array()}});
      }
      out.back()[key].push_back(ino);
    }
  };
  add("directories", drop.directories);
  add("inodes", drop.inodes);
  return out;
}

struct Dropped {
  std::uint64_t names = 0, attributes = 0;
};

/// The kernel first: what is under way to the maps is void from then on.
std::optional<Problem> drop_session(const Context& context, const std::string& what,
                                    const Drop& drop, const MetaMaps& maps,
                                    const CacheSession& session, Dropped& dropped) {
  for (const Json& order : drop_orders(drop, session.id)) {
    const auto done = ask_daemon(context.socket, what, admin::kCacheDrop, order);
    if (const auto* problem = std::get_if<Problem>(&done)) return *problem;
  }
  for (const auto& [dir, names] : drop.names) {
    for (const std::string& name : names) {
      dropped.names += maps.erase_name(session.volume, dir, name) ? 1 : 0;
    }
  }
  for (const std::uint64_t ino : drop.inodes) {
    dropped.attributes += maps.erase_attr(session.volume, ino) ? 1 : 0;
  }
  return std::nullopt;
}

int run_drop(const Context& context, const Args& args) {
  const std::string what = "cannot drop what is cached of " + args.path;
  const auto policy = loaded_policy(what);
  if (const auto* problem = std::get_if<Problem>(&policy)) return report(*problem);
  const MetaMaps& maps = std::get<Policy>(policy).maps;
  const auto place = cache_place(args.path, what);
  if (const auto* problem = std::get_if<Problem>(&place)) return report(*problem);
  const auto& at = std::get<CachePlace>(place);
  const auto sessions = cache_sessions(context, what, at.mount);
  if (const auto* problem = std::get_if<Problem>(&sessions)) return report(*problem);
  Dropped dropped;
  for (const CacheSession& one : std::get<std::vector<CacheSession>>(sessions)) {
    const auto drop = plan_drop(args, at, maps, one.volume);
    if (!drop) return report(policy_problem(what, drop.error(), kLoadOne));
    const auto problem = drop_session(context, what, *drop, maps, one, dropped);
    if (problem) return report(*problem);
  }
  if (args.json) {
    print_json(Json{{"path", at.path},
                    {"names_dropped", dropped.names},
                    {"attributes_dropped", dropped.attributes}});
  } else {
    std::cout << dropped.names << " names and " << dropped.attributes
              << " attributes are dropped; their next use asks the servers" << std::endl;
  }
  return kDone;
}

// ---------------------------------------------------------------- stats

/// Hits and misses of a session; null where the daemon does not tell.
Json session_counts(const Context& context, const Json& record) {
  const auto stats =
      ask_daemon(context.socket, "", admin::kStats, Json{{"session", record["session"]}});
  const Json* const value = std::get_if<Json>(&stats);
  const Json kernel = value == nullptr ? Json() : admin::member_or_empty(*value, "kernel");
  Json out{{"session", record["session"]}, {"volume", admin::text_or(record, "volume", "?")}};
  const std::int64_t hits = admin::number_or(kernel, "cache_hits", 0);
  const std::int64_t absent = admin::number_or(kernel, "cache_absent_hits", 0);
  const std::int64_t misses = admin::number_or(kernel, "cache_misses", 0);
  out["hits"] = hits;
  out["absent_hits"] = absent;
  out["misses"] = misses;
  const std::int64_t asked = hits + absent + misses;
  out["hit_percent"] = asked == 0 ? 0 : 100.0 * static_cast<double>(hits + absent) / asked;
  return out;
}

struct Mounts {
  bool daemon = false;
  Json counts = Json::array();
  std::vector<std::uint64_t> volumes;  ///< keys of the mount that was asked for
};

Either<Mounts> mounts_of(const Context& context, const std::string& what, const Args& args) {
  std::optional<MountEntry> mount;
  if (!args.path.empty()) {
    mount = find_mount(absolute_path(args.path));
    if (const auto problem = not_cached(mount, what)) return *problem;
  }
  Mounts out;
  const auto mounts = ask_daemon(context.socket, what, admin::kMounts);
  const Json* const value = std::get_if<Json>(&mounts);
  out.daemon = value != nullptr;
  if (mount && !out.daemon) return std::get<Problem>(mounts);
  if (!out.daemon) return out;
  const Json list = admin::member_or_empty(*value, "mounts");
  if (!mount) {
    for (const Json& record : list) {
      if (admin::text_or(record, "frontend", "") == "kernel") {
        out.counts.push_back(session_counts(context, record));
      }
    }
    return out;
  }
  const auto sessions = cache_sessions(context, what, *mount);
  if (const auto* problem = std::get_if<Problem>(&sessions)) return *problem;
  for (const CacheSession& one : std::get<std::vector<CacheSession>>(sessions)) {
    out.volumes.push_back(one.volume);
    for (const Json& record : list) {
      if (admin::number_or(record, "session", 0) == one.id) {
        out.counts.push_back(session_counts(context, record));
      }
    }
  }
  return out;
}

Json maps_json(const std::vector<std::uint64_t>& volumes) {
  const PolicyStore store(CFS_META_PIN_DIR);
  Json out = Json::array();
  for (const PolicyMap& map : store.maps()) {
    Json one{{"name", map.name},
             {"entries", nullptr},
             {"entries_max", map.entries_max},
             {"memory_bytes", map.memory_bytes}};
    std::uint64_t mine = 0;
    for (const std::uint64_t volume : volumes.empty() ? std::vector<std::uint64_t>{0} : volumes) {
      const auto count = count_entries(store.pins() + "/" + map.name, volume);
      if (!count) continue;
      one["entries"] = count->all;
      mine += count->matching;
    }
    if (!volumes.empty()) one["entries_of_mount"] = mine;
    out.push_back(one);
  }
  return out;
}

void print_stats(const Json& stats) {
  std::vector<std::vector<std::string>> rows;
  const bool of_mount = !stats["maps"].empty() && stats["maps"][0].contains("entries_of_mount");
  for (const Json& map : stats["maps"]) {
    rows.push_back({map["name"], map["entries"].dump(), map["entries_max"].dump(),
                    human_bytes(map["memory_bytes"].get<std::uint64_t>())});
    if (of_mount) rows.back().push_back(map["entries_of_mount"].dump());
  }
  std::vector<std::string> head{"MAP", "ENTRIES", "ENTRIES MAX", "MEMORY"};
  if (of_mount) head.emplace_back("OF THIS MOUNT");
  std::cout << "policy " << stats["policy"].get<std::string>() << "\n";
  print_table(head, rows);
  std::cout << "memory " << human_bytes(stats["memory_bytes"].get<std::uint64_t>())
            << ", taken when the policy is loaded: it never grows\n";
  rows.clear();
  for (const Json& one : stats["mounts"]) {
    std::array<char, 16> percent{};
    std::snprintf(percent.data(), percent.size(), "%.1f", one["hit_percent"].get<double>());
    rows.push_back({one["session"].dump(), one["volume"], one["hits"].dump(),
                    one["absent_hits"].dump(), one["misses"].dump(), percent.data()});
  }
  if (!rows.empty()) {
    print_table({"SESSION", "VOLUME", "HITS", "ABSENT HITS", "MISSES", "HIT %"}, rows);
  }
  if (!stats["daemon"].get<bool>()) std::cout << "hits and misses: cfsd is not running\n";
  std::cout.flush();
}

int run_stats(const Context& context, const Args& args) {
  const std::string what = "no statistics of the metadata cache";
  const auto name = PolicyStore(CFS_META_PIN_DIR).current();
  if (!name) return report(policy_problem(what, name.error(), kLoadOne));
  const auto mounts = mounts_of(context, what, args);
  if (const auto* problem = std::get_if<Problem>(&mounts)) return report(*problem);
  const auto& of = std::get<Mounts>(mounts);
  Json stats{{"policy", *name},
             {"daemon", of.daemon},
             {"maps", maps_json(of.volumes)},
             {"mounts", of.counts}};
  std::uint64_t memory = 0;
  for (const Json& map : stats["maps"]) memory += map["memory_bytes"].get<std::uint64_t>();
  stats["memory_bytes"] = memory;
  if (args.json) {
    print_json(stats);
  } else {
    print_stats(stats);
  }
  return kDone;
}

}  // namespace

void add_cache(CLI::App& cli, Context& context) {
  CLI::App* const command =
      add_command(cli, "INSPECT", "cache", "What the kernel's metadata cache knows",
                  "  cfsctl cache show /mnt/vol1/imagenet\n"
                  "  cfsctl cache drop -r /mnt/vol1/imagenet\n"
                  "  cfsctl cache stats --json | jq .maps\n"
                  "docs/policy.md tells what decides how long it is believed.");
  command->require_subcommand(1);
  auto args = std::make_shared<Args>();
  CLI::App* const show = command->add_subcommand(
      "show", "Name, attributes, ages, lifetimes and the rule for a path, without looking it up");
  CLI::App* const drop = command->add_subcommand("drop", "Ask the servers about it at next use");
  CLI::App* const stats = command->add_subcommand("stats", "Entries, memory, hits and misses");
  for (CLI::App* const one : {show, drop}) {
    one->add_option("path", args->path, "On a kernel mount")->required();
  }
  stats->add_option("mount", args->path, "Where it is mounted; all mounts without it");
  drop->add_flag("-r,--recursive", args->recursive, "All that is known below it, too");
  for (CLI::App* const one : {show, drop, stats}) {
    one->add_flag("--json", args->json, "For programs");
    one->fallthrough();
  }
  show->footer("Examples:\n  cfsctl cache show /mnt/vol1/imagenet/README");
  drop->footer("Examples:\n  cfsctl cache drop /mnt/vol1/a\n  cfsctl cache drop -r /mnt/vol1");
  stats->footer("Examples:\n  cfsctl cache stats\n  cfsctl cache stats /mnt/vol1 --json");
  show->callback([args, &context] { context.exit_code = run_show(context, *args); });
  drop->callback([args, &context] { context.exit_code = run_drop(context, *args); });
  stats->callback([args, &context] { context.exit_code = run_stats(context, *args); });
}

}  // namespace cfs::ctl

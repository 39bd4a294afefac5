// SPDX-License-Identifier: Apache-2.0
/// Mount sources and options; see mount_plan.h.
#include "tools/cfsctl/mount_plan.h"

#include <sys/mount.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <numeric>
#include <sstream>
#include <utility>

namespace cfs::ctl {
namespace {

constexpr const char* kDefaultPort = "17010";  // Source: CubeFS docs, master "listen"
constexpr std::size_t kLineMax = 255;          // strings of fsconfig(2)

using Setter = std::function<Result<void>(MountPlan&, const std::string& value)>;

Result<std::uint32_t> number(const std::string& name, const std::string& text) {
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != end) {
    return make_error(EINVAL, "option " + name + ": '" + text + "' is not a whole number");
  }
  return value;
}

/// Seconds into a field of milliseconds.
Setter seconds_as_ms(const char* name, std::uint32_t MountConfig::*field) {
  return [name, field](MountPlan& plan, const std::string& value) -> Result<void> {
    const auto seconds = number(name, value);
    if (!seconds) return seconds.error();
    if (*seconds > 1'000'000)
      return make_error(EINVAL, std::string("option ") + name + ": too large");
    plan.config.*field = *seconds * 1000;
    return {};
  };
}

Setter positive_seconds(const char* name,
                        const std::function<void(MountPlan&, std::uint32_t)>& set) {
  return [name, set](MountPlan& plan, const std::string& value) -> Result<void> {
    const auto seconds = number(name, value);
    if (!seconds) return seconds.error();
    if (*seconds == 0)
      return make_error(EINVAL, std::string("option ") + name + ": 0 is not allowed");
    set(plan, *seconds);
    return {};
  };
}

Setter yes_no(const char* name, const std::function<void(MountPlan&, bool)>& set) {
  return [name, set](MountPlan& plan, const std::string& value) -> Result<void> {
    if (value != "" && value != "yes" && value != "on" && value != "no" && value != "off") {
      return make_error(EINVAL,
                        std::string("option ") + name + ": '" + value + "' is not yes or no");
    }
    set(plan, value != "no" && value != "off");
    return {};
  };
}

Setter attribute(std::uint64_t bit, bool on, const char* fuse_flag) {
  return [bit, on, fuse_flag](MountPlan& plan, const std::string&) -> Result<void> {
    plan.attributes = on ? plan.attributes | bit : plan.attributes & ~bit;
    if (fuse_flag != nullptr) plan.fuse_flags.emplace_back(fuse_flag);
    return {};
  };
}

Setter atime(std::uint64_t mode, const char* fuse_flag) {
  return [mode, fuse_flag](MountPlan& plan, const std::string&) -> Result<void> {
    plan.attributes = (plan.attributes & ~std::uint64_t{MOUNT_ATTR__ATIME}) | mode;
    plan.fuse_flags.emplace_back(fuse_flag);
    return {};
  };
}

Setter sb_flag(const char* flag) {
  return [flag](MountPlan& plan, const std::string&) -> Result<void> {
    plan.sb_flags.emplace_back(flag);
    plan.fuse_flags.emplace_back(flag);
    return {};
  };
}

Setter set_read_only(bool on) {
  return [on](MountPlan& plan, const std::string&) -> Result<void> {
    plan.config.read_only = on;
    return {};
  };
}

Result<void> ignore(MountPlan&, const std::string&) {
  return {};
}

Result<void> set_subdir(MountPlan& plan, const std::string& value) {
  plan.config.subdir = value.empty() || value.front() != '/' ? "/" + value : value;
  return {};
}

Result<void> set_owner(MountPlan& plan, const std::string& value) {
  plan.config.owner = value;
  return {};
}

Result<void> set_front(MountPlan& plan, const std::string& value) {
  const auto front = parse_front(value);
  if (!front) return front.error();
  plan.front = *front;
  return {};
}

/// Options of CubeFS itself.
const std::map<std::string, Setter>& own_options() {
  static const std::map<std::string, Setter> table = {
      {"owner", set_owner},
      {"subdir", set_subdir},
      {"frontend", set_front},
      {"followerread",
       yes_no("followerread", [](MountPlan& p, bool on) { p.config.follower_read = on; })},
      {"nearread", yes_no("nearread", [](MountPlan& p, bool on) { p.config.near_read = on; })},
      {"trash", yes_no("trash", [](MountPlan& p, bool on) { p.config.trash = on; })},
      {"crc", yes_no("crc", [](MountPlan& p, bool on) { p.crc = on; })},
      {"soft", [](MountPlan& p, const std::string&) { return p.soft = true, Result<void>(); }},
      {"hard", [](MountPlan& p, const std::string&) { return p.soft = false, Result<void>(); }},
      {"acl", [](MountPlan& p, const std::string&) { return p.acl = true, Result<void>(); }},
      {"noacl", [](MountPlan& p, const std::string&) { return p.acl = false, Result<void>(); }},
      {"nobpf", [](MountPlan& p, const std::string&) { return p.bpf = false, Result<void>(); }},
      {"fsc", [](MountPlan& p, const std::string&) { return p.fsc = true, Result<void>(); }},
      {"deadline",
       positive_seconds("deadline", [](MountPlan& p, std::uint32_t s) { p.deadline_s = s; })},
      {"attrvalid", seconds_as_ms("attrvalid", &MountConfig::attr_valid_ms)},
      {"lookupvalid", seconds_as_ms("lookupvalid", &MountConfig::entry_valid_ms)},
      {"metatimeout",
       positive_seconds("metatimeout",
                        [](MountPlan& p, std::uint32_t s) { p.config.meta_timeout_s = s; })},
  };
  return table;
}

/// Options of every mount, and those that only concern fstab. Source: mount(8).
const std::map<std::string, Setter>& common_options() {
  static const std::map<std::string, Setter> table = {
      {"ro", set_read_only(true)},
      {"rw", set_read_only(false)},
      {"remount",
       [](MountPlan& p, const std::string&) { return p.remount = true, Result<void>(); }},
      {"nosuid", attribute(MOUNT_ATTR_NOSUID, true, "nosuid")},
      {"suid", attribute(MOUNT_ATTR_NOSUID, false, "suid")},
      {"nodev", attribute(MOUNT_ATTR_NODEV, true, "nodev")},
      {"dev", attribute(MOUNT_ATTR_NODEV, false, "dev")},
      {"noexec", attribute(MOUNT_ATTR_NOEXEC, true, "noexec")},
      {"exec", attribute(MOUNT_ATTR_NOEXEC, false, "exec")},
      {"nodiratime", attribute(MOUNT_ATTR_NODIRATIME, true, nullptr)},
      {"diratime", attribute(MOUNT_ATTR_NODIRATIME, false, nullptr)},
      {"noatime", atime(MOUNT_ATTR_NOATIME, "noatime")},
      {"relatime", atime(MOUNT_ATTR_RELATIME, "atime")},
      {"strictatime", atime(MOUNT_ATTR_STRICTATIME, "atime")},
      {"atime", atime(MOUNT_ATTR_RELATIME, "atime")},
      {"sync", sb_flag("sync")},
      {"dirsync", sb_flag("dirsync")},
      {"async", ignore},
      {"defaults", ignore},
      {"auto", ignore},
      {"noauto", ignore},
      {"user", ignore},
      {"nouser", ignore},
      {"users", ignore},
      {"nofail", ignore},
      {"_netdev", ignore},
      {"comment", ignore},
  };
  return table;
}

/// Letters to insert, delete or replace to turn one word into the other (Levenshtein).
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

/// A refusal that names the option that was probably meant.
Error unknown_option(const std::string& name) {
  std::string nearest;
  std::size_t best = 3;  // more than two letters off is another word
  for (const auto* table : {&own_options(), &common_options()}) {
    for (const auto& [known, setter] : *table) {
      const std::size_t d = distance(name, known);
      if (d < best && d < known.size() / 2 + 1) {
        best = d;
        nearest = known;
      }
    }
  }
  std::string what = "unknown option '" + name + "'";
  if (!nearest.empty()) what += "; did you mean '" + nearest + "'?";
  return make_error(EINVAL, std::move(what));
}

Result<void> apply_option(const std::string& item, MountPlan& plan) {
  const std::size_t equals = item.find('=');
  const std::string name = item.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : item.substr(equals + 1);
  if (name.rfind("x-", 0) == 0 || name.rfind("X-", 0) == 0) return {};
  for (const auto* table : {&own_options(), &common_options()}) {
    const auto found = table->find(name);
    if (found != table->end()) return found->second(plan, value);
  }
  return unknown_option(name);
}

/// "host" or "host:port" or "[v6]:port", the port filled in.
Result<std::string> complete_master(const std::string& text) {
  const bool bracketed = !text.empty() && text.front() == '[';
  const std::size_t host_end = bracketed ? text.find(']') : text.rfind(':');
  if (text.empty() || (bracketed && host_end == std::string::npos)) {
    return make_error(EINVAL, "'" + text + "' is not a master address");
  }
  const std::size_t colon = bracketed ? host_end + 1 : host_end;
  if (colon == std::string::npos || colon >= text.size()) return text + ":" + kDefaultPort;
  const auto port = number("port", text.substr(colon + 1));
  if (text[colon] != ':' || colon == 0 || !port || *port == 0 || *port > 65535) {
    return make_error(EINVAL, "'" + text + "' is not a master address (HOST or HOST:PORT)");
  }
  return text;
}

}  // namespace

std::string MountPlan::source() const {
  std::string out = config.volume + "@";
  for (std::size_t i = 0; i < config.masters.size(); ++i) {
    out += (i == 0 ? "" : ",") + config.masters[i];
  }
  return config.subdir == "/" ? out : out + ":" + config.subdir;
}

Result<FrontKind> parse_front(const std::string& name) {
  if (name == "auto") return FrontKind::kAuto;
  if (name == "kernel") return FrontKind::kKernel;
  if (name == "fuse") return FrontKind::kFuse;
  return make_error(EINVAL, "front end '" + name + "' is not auto, kernel or fuse");
}

Result<void> parse_source(const std::string& text, MountPlan& plan) {
  const std::size_t at = text.find('@');
  if (at == std::string::npos || at == 0) {
    return make_error(EINVAL, "'" + text + "' is not VOLUME@MASTER[:PORT][,MASTER...][:/SUBDIR]");
  }
  plan.config.volume = text.substr(0, at);
  const std::size_t slash = text.find(":/", at);
  std::istringstream list(text.substr(at + 1, slash == std::string::npos ? slash : slash - at - 1));
  plan.config.masters.clear();
  for (std::string item; std::getline(list, item, ',');) {
    const auto master = complete_master(item);
    if (!master) return master.error();
    plan.config.masters.push_back(*master);
  }
  if (plan.config.masters.empty()) return make_error(EINVAL, "no master is named after '@'");
  if (slash != std::string::npos) plan.config.subdir = text.substr(slash + 1);
  return {};
}

Result<void> parse_options(const std::string& list, MountPlan& plan) {
  std::istringstream in(list);
  for (std::string item; std::getline(in, item, ',');) {
    if (item.empty()) continue;
    Result<void> applied = apply_option(item, plan);
    if (!applied) return applied;
  }
  std::istringstream lines(plan.config.format());
  for (std::string line; std::getline(lines, line);) {
    if (line.size() > kLineMax) {
      return make_error(EINVAL, "'" + line.substr(0, line.find('=')) + "' is longer than " +
                                    std::to_string(kLineMax) + " bytes");
    }
  }
  return {};
}

}  // namespace cfs::ctl

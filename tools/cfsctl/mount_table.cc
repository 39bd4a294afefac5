// SPDX-License-Identifier: Apache-2.0
/// Reading mountinfo; see mount_table.h.
#include "tools/cfsctl/mount_table.h"

#include <sys/sysmacros.h>

#include <climits>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "daemon/app/admin_protocol.h"
#include "tools/cfsctl/mount_plan.h"

namespace cfs::ctl {
namespace {

/// Source: proc(5), /proc/pid/mountinfo: blanks and backslashes are octal.
std::string unescape(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '3') {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::optional<MountEntry> parse_line(const std::string& line) {
  std::istringstream in(line);
  std::string skip, point, options, type, source, super;
  unsigned major_number = 0, minor_number = 0;
  char colon = 0;
  in >> skip >> skip >> major_number >> colon >> minor_number >> skip >> point >> options;
  while (in >> skip && skip != "-") {
  }
  if (!(in >> type >> source)) return std::nullopt;
  in >> super;
  if (type != "cubefs" && type != "fuse.cubefs") return std::nullopt;
  return MountEntry{unescape(point), type, unescape(source), options + "," + super,
                    makedev(major_number, minor_number)};
}

bool same_kernel_mount(const MountEntry& entry, const Json& record) {
  MountPlan plan;
  if (!parse_source(entry.source, plan)) return false;
  const std::string subdir = admin::text_or(record, "subdir", "/");
  return admin::text_or(record, "frontend", "") == "kernel" &&
         admin::text_or(record, "volume", "") == plan.config.volume &&
         admin::member_or_empty(record, "masters") == Json(plan.config.masters) &&
         subdir == plan.config.subdir;
}

bool same_fuse_mount(const MountEntry& entry, const Json& record) {
  return admin::text_or(record, "frontend", "") == "fuse" &&
         admin::text_or(record, "mount_point", "") == entry.mount_point;
}

}  // namespace

std::vector<MountEntry> parse_mountinfo(const std::string& text) {
  std::vector<MountEntry> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const auto entry = parse_line(line);
    if (entry) out.push_back(*entry);
  }
  return out;
}

std::vector<MountEntry> cubefs_mounts() {
  std::ifstream in("/proc/self/mountinfo");
  std::ostringstream text;
  text << in.rdbuf();
  return parse_mountinfo(text.str());
}

std::optional<MountEntry> find_mount(const std::string& path) {
  std::optional<MountEntry> found;
  for (const MountEntry& entry : cubefs_mounts()) {
    if (entry.mount_point == path) found = entry;
  }
  return found;
}

std::optional<MountEntry> mount_of_device(dev_t device) {
  std::optional<MountEntry> found;
  for (const MountEntry& entry : cubefs_mounts()) {
    if (entry.device == device) found = entry;
  }
  return found;
}

std::vector<Json> matching_records(const MountEntry& entry, const Json& mounts) {
  std::vector<Json> out;
  for (const Json& record : mounts) {
    if (entry.is_kernel() ? same_kernel_mount(entry, record) : same_fuse_mount(entry, record)) {
      out.push_back(record);
    }
  }
  return out;
}

std::string absolute_path(const std::string& path) {
  std::error_code failed;
  const auto full = std::filesystem::absolute(path, failed).lexically_normal();
  std::string text = failed ? path : full.string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  const std::filesystem::path clean(text);
  // the parent may be a symbolic link; the last part is not touched
  const auto parent = std::filesystem::canonical(clean.parent_path(), failed);
  return failed ? text : (parent / clean.filename()).string();
}

}  // namespace cfs::ctl

// SPDX-License-Identifier: Apache-2.0
/// MountConfig <-> "key=value" lines.
///
/// Purpose  The kernel keeps this text for the next daemon, so parse() reads what format() of the
///          same or another release wrote; unknown keys are refused by name rather than ignored.
/// Threads  Pure functions.
/// Failure  EINVAL with the key that is wrong.
#include <charconv>
#include <functional>
#include <map>
#include <sstream>

#include "daemon/core/volume.h"

namespace cfs {
namespace {

using Setter = std::function<bool(MountConfig&, const std::string&)>;

bool parse_bool(const std::string& text, bool* out) {
  if (text != "0" && text != "1" && text != "true" && text != "false") return false;
  *out = text == "1" || text == "true";
  return true;
}

bool parse_u32(const std::string& text, std::uint32_t* out) {
  const char* const end = text.data() + text.size();
  const auto [ptr, err] = std::from_chars(text.data(), end, *out);
  return err == std::errc() && ptr == end;
}

bool parse_list(const std::string& text, std::vector<std::string>* out) {
  std::istringstream in(text);
  std::string item;
  out->clear();
  while (std::getline(in, item, ',')) {
    if (item.find(':') == std::string::npos) return false;
    out->push_back(item);
  }
  return !out->empty();
}

/// Mount-relative path in the form "/a/b".
bool parse_subdir(const std::string& text, std::string* out) {
  std::istringstream in(text);
  std::string part;
  std::string path;
  while (std::getline(in, part, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return false;
    path += "/" + part;
  }
  *out = path.empty() ? "/" : path;
  return true;
}

/// Source of the rule: CubeFS master/server.go (volNameRegexp).
bool valid_volume(const std::string& name) {
  if (name.size() < 3 || name.size() > 63) return false;
  const auto alnum = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  for (const char c : name) {
    if (!alnum(c) && c != '_' && c != '.' && c != '-') return false;
  }
  return alnum(name.front()) && alnum(name.back());
}

const std::map<std::string, Setter>& setters() {
  static const std::map<std::string, Setter> table = {
      {"volume",
       [](MountConfig& c, const std::string& v) {
         c.volume = v;
         return valid_volume(v);
       }},
      {"masters", [](MountConfig& c, const std::string& v) { return parse_list(v, &c.masters); }},
      {"subdir", [](MountConfig& c, const std::string& v) { return parse_subdir(v, &c.subdir); }},
      {"owner",
       [](MountConfig& c, const std::string& v) {
         c.owner = v;
         return true;
       }},
      {"read_only",
       [](MountConfig& c, const std::string& v) { return parse_bool(v, &c.read_only); }},
      {"follower_read",
       [](MountConfig& c, const std::string& v) { return parse_bool(v, &c.follower_read); }},
      {"near_read",
       [](MountConfig& c, const std::string& v) { return parse_bool(v, &c.near_read); }},
      {"trash", [](MountConfig& c, const std::string& v) { return parse_bool(v, &c.trash); }},
      {"entry_valid_ms",
       [](MountConfig& c, const std::string& v) { return parse_u32(v, &c.entry_valid_ms); }},
      {"attr_valid_ms",
       [](MountConfig& c, const std::string& v) { return parse_u32(v, &c.attr_valid_ms); }},
      {"meta_timeout_s",
       [](MountConfig& c, const std::string& v) {
         return parse_u32(v, &c.meta_timeout_s) && c.meta_timeout_s > 0;
       }},
  };
  return table;
}

}  // namespace

Result<MountConfig> MountConfig::parse(const std::string& text) {
  MountConfig config;
  std::istringstream in(text);
  std::string line;
  while (std::getline(in, line)) {
    if (line.empty()) continue;
    const std::size_t eq = line.find('=');
    const std::string key = line.substr(0, eq);
    const auto setter = setters().find(key);
    if (eq == std::string::npos || setter == setters().end()) {
      return make_error(EINVAL, "mount configuration: unknown key \"" + key + "\"");
    }
    const std::string value = line.substr(eq + 1);
    if (!setter->second(config, value)) {
      std::string what = "mount configuration: bad value \"";
      what.append(value).append("\" of ").append(key);
      return make_error(EINVAL, std::move(what));
    }
  }
  if (config.volume.empty()) return make_error(EINVAL, "mount configuration: volume is missing");
  if (config.masters.empty()) return make_error(EINVAL, "mount configuration: masters is missing");
  return config;
}

std::string MountConfig::format() const {
  std::ostringstream out;
  out << "volume=" << volume << "\nmasters=";
  for (std::size_t i = 0; i < masters.size(); ++i) out << (i ? "," : "") << masters[i];
  out << "\nsubdir=" << subdir << "\nowner=" << owner << "\nread_only=" << read_only
      << "\nfollower_read=" << follower_read << "\nnear_read=" << near_read << "\ntrash=" << trash
      << "\nentry_valid_ms=" << entry_valid_ms << "\nattr_valid_ms=" << attr_valid_ms
      << "\nmeta_timeout_s=" << meta_timeout_s << "\n";
  return out.str();
}

}  // namespace cfs

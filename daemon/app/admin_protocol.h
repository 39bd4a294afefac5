// SPDX-License-Identifier: Apache-2.0
/// Language of the admin socket, shared by cfsd and cfsctl.
///
/// Purpose  One JSON object per line in each direction.
///            request   {"v":1,"cmd":"stats","args":{...}}
///            answer    {"v":1,"ok":true,"data":{...}}
///                      {"v":1,"ok":false,"error":{"errno":2,"text":"..."}}
///          A reader ignores keys it does not know; a changed meaning needs another "v".
/// Threads  Any; pure.
/// Failure  A line that is no such object is EPROTO with a sentence.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "daemon/base/result.h"

namespace cfs {

using Json = nlohmann::json;

namespace admin {

inline constexpr int kVersion = 1;
inline constexpr std::size_t kLineMax = 1 << 20;  ///< bytes of one line, either direction
inline constexpr int kDepthMax = 16;              ///< nesting of a line's JSON
inline constexpr const char* kDefaultSocket = "/run/cubefs/cfsd.sock";

inline constexpr const char* kVersionCmd = "version";
inline constexpr const char* kStatus = "status";
inline constexpr const char* kMounts = "mounts";
inline constexpr const char* kPrepare = "prepare";         ///< config, frontend -> volume, root
inline constexpr const char* kLastError = "last-error";    ///< config -> text
inline constexpr const char* kFuseMount = "fuse-mount";    ///< config, mount_point, source, flags
inline constexpr const char* kFuseUmount = "fuse-umount";  ///< mount_point
inline constexpr const char* kStats = "stats";             ///< session or mount_point
inline constexpr const char* kRequests = "requests";
inline constexpr const char* kPolicyChanged = "policy_changed";  ///< open its maps again
/// session, inodes -> volume, sequence, changed (of each inode): what decides whether records of the
/// metadata cache count; volume 0: the mount does without.
inline constexpr const char* kCache = "cache";
/// session; directories (their names), inodes (their attributes), or all: ask the servers again.
inline constexpr const char* kCacheDrop = "cache-drop";
inline constexpr std::size_t kInodesMax = 4096;     ///< in one command
inline constexpr const char* kLatency = "latency";  ///< all mounts of the module together
inline constexpr const char* kProfile = "profile";  ///< by: mount, node, task, cgroup; id (0: all)
inline constexpr const char* kTrace = "trace";      ///< slow_ns, after -> events, last, lost
inline constexpr const char* kLogLevel = "log-level";  ///< level
inline constexpr const char* kUpgrade = "upgrade";     ///< binary, force -> pid of the next daemon
inline constexpr const char* kShutdown = "shutdown";

struct Command {
  std::string name;
  Json args = Json::object();
};

[[nodiscard]] std::string encode(const Command& command);
[[nodiscard]] Result<Command> decode_command(const std::string& line);
[[nodiscard]] std::string encode(const Result<Json>& answer);
[[nodiscard]] Result<Json> decode_answer(const std::string& line);

/// String argument, or EINVAL that names it.
[[nodiscard]] Result<std::string> text_arg(const Json& args, const char* key);
/// Optional members; the default also stands for a value of another type (Json::value() throws).
[[nodiscard]] std::string text_or(const Json& object, const char* key,
                                  const std::string& otherwise);
[[nodiscard]] bool flag_or(const Json& object, const char* key, bool otherwise);
[[nodiscard]] std::int64_t number_or(const Json& object, const char* key, std::int64_t otherwise);
/// Member array or object; empty array when it is missing.
[[nodiscard]] Json member_or_empty(const Json& object, const char* key);

}  // namespace admin
}  // namespace cfs

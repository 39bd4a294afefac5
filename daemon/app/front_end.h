// SPDX-License-Identifier: Apache-2.0
/// FrontEnd: one mounted thing, a kernel session or a FUSE mount.
///
/// Purpose  What the daemon needs of a mount whatever serves it: a status, the unanswered requests,
///          an end. daemon/kernel and daemon/fuse implement it, daemon/app uses it.
/// Threads  The loop thread.
/// Lifetime The owner calls stop() and may destroy the object when that has returned.
/// Failure  stop() never fails; what could not be saved is logged.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "daemon/base/task.h"
#include "daemon/core/volume.h"

namespace cfs {

/// One line of `cfsctl mounts`.
struct FrontStatus {
  std::string kind;           ///< "kernel" or "fuse"
  std::uint32_t session = 0;  ///< kernel: session id; FUSE: 0
  std::string mount_point;    ///< FUSE; a kernel mount is found by mountinfo of whoever asks
  MountConfig config;
  std::string cluster;
  bool ready = false;   ///< the volume is open
  std::string trouble;  ///< why not, in words
};

/// A request that has no answer yet.
struct InFlight {
  std::uint64_t id = 0;
  std::uint32_t session = 0;
  std::string op;
  std::uint64_t ino = 0;
  bool resumed = false;           ///< left by a former daemon
  bool waits_for_volume = false;  ///< the volume is not open yet
  std::int64_t since_ms = 0;      ///< Loop::now_ms()
};

class FrontEnd {
 public:
  virtual ~FrontEnd() = default;
  /// Serve nothing any more; FUSE: unmount, lazily when busy. Returns when no request runs.
  virtual Task<void> stop() = 0;
  [[nodiscard]] virtual FrontStatus status() const = 0;
  [[nodiscard]] virtual std::vector<InFlight> in_flight() const { return {}; }
  [[nodiscard]] virtual std::shared_ptr<Volume> volume() const = 0;
};

/// Where a FUSE mount goes.
struct MountPoint {
  std::string path;    ///< absolute
  std::string source;  ///< as shown in /proc/mounts
};

struct FuseOptions {
  bool read_only = false;
  bool allow_other = true;
  bool default_permissions = true;
  bool acl = true;                 ///< POSIX ACLs, where the kernel's FUSE has them
  std::vector<std::string> flags;  ///< noatime, nodev, noexec, nosuid...: passed to the mount
  /// Called once on the loop when the mount ended from outside (umount(8)); stop() is still due.
  std::function<void()> ended;
  /// Called on the loop for each request whose work is done: operation, its time in ns, whether it
  /// was answered with an errno.
  std::function<void(const std::string&, std::uint64_t, bool)> answered;
};

}  // namespace cfs

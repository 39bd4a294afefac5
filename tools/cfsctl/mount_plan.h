// SPDX-License-Identifier: Apache-2.0
/// What a mount command asks for.
///
/// Purpose  Source text and options -> configuration for the daemon, options for the kernel, flags
///          of the mount. Pure: nothing is opened or contacted.
/// Threads  Any.
/// Failure  EINVAL with a sentence that names the part that is wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/base/result.h"
#include "daemon/core/volume.h"

namespace cfs::ctl {

enum class FrontKind { kAuto, kKernel, kFuse };

struct MountPlan {
  MountConfig config;
  FrontKind front = FrontKind::kAuto;
  bool remount = false;
  bool crc = true;
  bool soft = false;
  bool bpf = true;  ///< kernel: ask the policy of the metadata cache
  bool acl = true;
  bool fsc = false;                     ///< kernel: keep file data in the local cache of cachefiles
  std::uint32_t deadline_s = 0;         ///< 0: the module's default
  std::uint64_t attributes = 0;         ///< MOUNT_ATTR_*
  std::vector<std::string> sb_flags;    ///< "sync", "dirsync", ...: flags of the super block
  std::vector<std::string> fuse_flags;  ///< the same wishes in words, for a FUSE mount

  /// "VOLUME@MASTER:PORT,...:/SUBDIR": identifies the mount in /proc/mounts.
  [[nodiscard]] std::string source() const;
};

/// VOLUME@MASTER[:PORT][,MASTER...][:/SUBDIR]
[[nodiscard]] Result<void> parse_source(const std::string& text, MountPlan& plan);
/// A comma list of options as after -o.
[[nodiscard]] Result<void> parse_options(const std::string& list, MountPlan& plan);
[[nodiscard]] Result<FrontKind> parse_front(const std::string& name);

}  // namespace cfs::ctl

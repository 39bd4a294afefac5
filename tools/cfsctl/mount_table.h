// SPDX-License-Identifier: Apache-2.0
/// CubeFS mounts of this mount namespace.
///
/// Purpose  /proc/self/mountinfo, read and filtered; matched with what the daemon lists.
/// Threads  Any.
/// Failure  A line that cannot be read is left out.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "tools/cfsctl/output.h"

namespace cfs::ctl {

struct MountEntry {
  std::string mount_point;
  std::string type;     ///< "cubefs" or "fuse.cubefs"
  std::string source;   ///< VOLUME@MASTERS[:/SUBDIR]
  std::string options;  ///< of the mount and of the super block, comma list
  dev_t device = 0;     ///< st_dev of its files
  [[nodiscard]] bool is_kernel() const { return type == "cubefs"; }
};

/// CubeFS mounts, in mount order; `text` is the content of mountinfo.
[[nodiscard]] std::vector<MountEntry> parse_mountinfo(const std::string& text);
[[nodiscard]] std::vector<MountEntry> cubefs_mounts();
/// The topmost CubeFS mount at a path.
[[nodiscard]] std::optional<MountEntry> find_mount(const std::string& path);

/// A CubeFS mount of the file system that files with this st_dev are on.
[[nodiscard]] std::optional<MountEntry> mount_of_device(dev_t device);

/// Daemon's record (`mounts` command) of an entry: FUSE by place, kernel by source. Several kernel
/// mounts of one source are all returned.
[[nodiscard]] std::vector<Json> matching_records(const MountEntry& entry, const Json& mounts);

/// Canonical path even if the last part cannot be looked at (a hung or broken mount).
[[nodiscard]] std::string absolute_path(const std::string& path);

}  // namespace cfs::ctl

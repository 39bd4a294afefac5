// SPDX-License-Identifier: Apache-2.0
/// Daemon types <-> kernel ABI records.
///
/// Purpose  Pure conversions: attributes, directory pages, extent lists, partition rows, answers.
/// Threads  Any.
/// Failure  Input from the kernel that breaks the ABI is nullopt; the caller answers EINVAL.
#pragma once

#include <cubefs/cfs.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/core/volume.h"
#include "daemon/kernel/kernel_port.h"

namespace cfs {

/// How long the kernel may believe what it is told.
struct Validity {
  std::uint32_t entry_ms = 0;
  std::uint32_t attr_ms = 0;
};

[[nodiscard]] cfs_attr to_abi(const Attr& attr, Validity valid);
/// Attributes as to_abi() told them; nullopt: these bytes are none.
[[nodiscard]] std::optional<Attr> unpack_attr(std::string_view data);
/// Attributes of a new file, and of the inode that was made for the next one.
[[nodiscard]] Reply pack_created(const Attr& attr, const Attr& next, Validity valid);
[[nodiscard]] SetAttr from_abi(const cfs_req& request);

/// What the kernel knows of the names of a CFS_OP_RENAME; a 1.0 kernel tells no modes.
[[nodiscard]] RenameHints rename_hints(const cfs_req& request);

/// Attributes, followed by the extents when there are at most CFS_LOOKUP_KEYS_MAX of them.
[[nodiscard]] Reply pack_open(const OpenResult& found, Validity valid);

/// Most bytes of a directory answer.
inline constexpr std::size_t kReaddirBytesMax = 1 << 20;

/// As many entries as fit into `max_bytes`, res = count | CFS_READDIR_EOF when the page is the last
/// and all of it fitted.
[[nodiscard]] Reply pack_readdir(const DirPage& page, Validity valid,
                                 std::size_t max_bytes = kReaddirBytesMax);

/// EFBIG when the list is larger than any answer may be.
[[nodiscard]] Reply pack_extents(const ExtentList& list);

/// Keys of CFS_OP_COMMIT: exactly `count` records, none empty.
[[nodiscard]] std::optional<std::vector<ExtentKey>> unpack_keys(std::string_view data,
                                                                std::uint32_t count);

[[nodiscard]] cfs_commit_reply to_abi(const CommitResult& result);
[[nodiscard]] cfs_statfs to_abi(const FsStat& stat);
[[nodiscard]] cfs_mount_reply mount_reply(const Volume& volume, Validity valid);

/// Names, each followed by NUL. ERANGE above CFS_XATTR_BYTES_MAX.
[[nodiscard]] Reply pack_names(const std::vector<std::string>& names);

/// Row of a partition, or nullopt when none of its hosts has an id. `node_id` yields 0 for an
/// address that cannot be used; such hosts are left out, the leader index is adapted and the row is
/// read-only at best.
[[nodiscard]] std::optional<cfs_dp_row> to_row(
    const DataPartition& partition,
    const std::function<std::uint32_t(const std::string&)>& node_id);

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Conversions declared in convert.h: pure, no state.
#include "daemon/kernel/convert.h"

#include <algorithm>
#include <cstring>

namespace cfs {
namespace {

constexpr std::size_t kDirentAlign = 8;
constexpr std::uint8_t kLeaderUnknown = 0xFF;
constexpr std::int8_t kReadOnly = 1;

template <typename T>
void append_record(std::string& out, const T& record) {
  out.append(reinterpret_cast<const char*>(&record), sizeof(record));
}

std::size_t dirent_bytes(const DirEntry& entry) {
  const std::size_t bytes = sizeof(cfs_dirent) + entry.name.size();
  return (bytes + kDirentAlign - 1) / kDirentAlign * kDirentAlign;
}

void append_dirent(std::string& out, const DirEntry& entry, Validity valid) {
  cfs_dirent record{};
  record.reclen = static_cast<std::uint16_t>(dirent_bytes(entry));
  record.name_len = static_cast<std::uint16_t>(entry.name.size());
  record.type = entry.type;
  record.ino = entry.ino;
  if (entry.attr.ino != 0) record.attr = to_abi(entry.attr, valid);
  const std::size_t end = out.size() + record.reclen;
  append_record(out, record);
  out += entry.name;
  out.resize(end, '\0');
}

/// Names the kernel cannot hold are left out of listings: they cannot be opened either.
bool representable(const DirEntry& entry) {
  return !entry.name.empty() && entry.name.size() <= CFS_NAME_LEN_MAX;
}

}  // namespace

cfs_attr to_abi(const Attr& attr, Validity valid) {
  cfs_attr out{};
  out.ino = attr.ino;
  out.size = attr.size;
  out.gen = attr.gen;
  out.mode = attr.mode;
  out.nlink = attr.nlink;
  out.uid = attr.uid;
  out.gid = attr.gid;
  out.mtime = attr.mtime;
  out.ctime = attr.ctime;
  out.atime = attr.atime;
  out.storage_class = attr.storage_class;
  if (attr.no_security) out.flags |= CFS_ATTR_NO_SECURITY;
  out.entry_valid_ms = valid.entry_ms;
  out.attr_valid_ms = valid.attr_ms;
  return out;
}

std::optional<Attr> unpack_attr(std::string_view data) {
  cfs_attr in{};
  if (data.size() != sizeof(in)) return std::nullopt;
  std::memcpy(&in, data.data(), sizeof(in));
  if (in.ino == 0) return std::nullopt;
  Attr out;
  out.ino = in.ino;
  out.size = in.size;
  out.gen = in.gen;
  out.mode = in.mode;
  out.nlink = in.nlink;
  out.uid = in.uid;
  out.gid = in.gid;
  out.mtime = in.mtime;
  out.ctime = in.ctime;
  out.atime = in.atime;
  out.storage_class = in.storage_class;
  return out;
}

Reply pack_created(const Attr& attr, const Attr& next, Validity valid) {
  cfs_attr head = to_abi(attr, valid);
  head.flags |= CFS_ATTR_AHEAD;
  Reply reply = Reply::of(head);
  append_record(reply.bytes, to_abi(next, valid));
  return reply;
}

SetAttr from_abi(const cfs_req& request) {
  const auto& in = request.setattr;
  SetAttr out;
  if (in.valid & CFS_SA_MODE) out.valid |= SetAttr::kMode;
  if (in.valid & CFS_SA_UID) out.valid |= SetAttr::kUid;
  if (in.valid & CFS_SA_GID) out.valid |= SetAttr::kGid;
  if (in.valid & CFS_SA_MTIME) out.valid |= SetAttr::kMtime;
  if (in.valid & CFS_SA_ATIME) out.valid |= SetAttr::kAtime;
  out.mode = in.mode;
  out.uid = in.uid;
  out.gid = in.gid;
  out.mtime = in.mtime;
  out.atime = in.atime;
  out.known = (request.flags & CFS_REQ_F_KNOWN) != 0;
  return out;
}

Reply pack_readdir(const DirPage& page, Validity valid, std::size_t max_bytes) {
  Reply reply;
  bool all = true;
  for (const DirEntry& entry : page.entries) {
    if (!representable(entry)) continue;
    if (reply.bytes.size() + dirent_bytes(entry) > max_bytes) {
      all = false;
      break;
    }
    append_dirent(reply.bytes, entry, valid);
    ++reply.res;
  }
  if (all && page.eof) reply.res |= CFS_READDIR_EOF;
  return reply;
}

RenameHints rename_hints(const cfs_req& request) {
  const auto& in = request.rename;
  if ((in.flags & CFS_RENAME_TARGET_KNOWN) == 0) return {};
  return RenameHints{.src = in.child,
                     .src_mode = in.child_mode,
                     .dst_known = true,
                     .dst = in.target,
                     .dst_mode = in.target_mode};
}

Reply pack_open(const OpenResult& found, Validity valid) {
  cfs_attr attr = to_abi(found.attr, valid);
  if (!found.has_extents || found.extents.keys.size() > CFS_LOOKUP_KEYS_MAX) return Reply::of(attr);
  attr.flags |= CFS_ATTR_EXTENTS;
  Reply reply = Reply::of(attr);
  reply.bytes += pack_extents(found.extents).bytes;
  return reply;
}

Reply pack_extents(const ExtentList& list) {
  const std::size_t bytes = sizeof(cfs_extents) + list.keys.size() * sizeof(cfs_ekey);
  if (bytes > CFS_REPLY_MAX) return Reply::error(EFBIG);
  Reply reply;
  reply.bytes.reserve(bytes);
  cfs_extents head{};
  head.gen = list.gen;
  head.size = list.size;
  head.nkeys = static_cast<std::uint32_t>(list.keys.size());
  head.storage_class = list.storage_class;
  append_record(reply.bytes, head);
  for (const ExtentKey& key : list.keys) {
    cfs_ekey record{};
    record.file_offset = key.file_offset;
    record.partition_id = key.partition_id;
    record.extent_id = key.extent_id;
    record.extent_offset = key.extent_offset;
    record.size = key.size;
    append_record(reply.bytes, record);
  }
  return reply;
}

std::optional<std::vector<ExtentKey>> unpack_keys(std::string_view data, std::uint32_t count) {
  if (count == 0 || count > CFS_COMMIT_KEYS_MAX) return std::nullopt;
  if (data.size() != count * sizeof(cfs_ekey)) return std::nullopt;
  std::vector<ExtentKey> keys(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    cfs_ekey record{};
    std::memcpy(&record, data.data() + i * sizeof(record), sizeof(record));
    if (record.size == 0) return std::nullopt;
    keys[i] = ExtentKey{.file_offset = record.file_offset,
                        .partition_id = record.partition_id,
                        .extent_id = record.extent_id,
                        .extent_offset = record.extent_offset,
                        .size = record.size,
                        .fresh = (record.flags & CFS_EK_FRESH) != 0};
  }
  return keys;
}

cfs_commit_reply to_abi(const CommitResult& result) {
  cfs_commit_reply out{};
  out.gen = result.gen;
  out.result = result.result;
  out.committed = result.committed;
  return out;
}

cfs_statfs to_abi(const FsStat& stat) {
  cfs_statfs out{};
  out.total_bytes = stat.total_bytes;
  out.used_bytes = std::min(stat.used_bytes, stat.total_bytes);
  out.inodes = stat.inodes;
  return out;
}

cfs_mount_reply mount_reply(const Volume& volume, Validity valid) {
  cfs_mount_reply out{};
  out.len = sizeof(out);
  out.storage_class = volume.storage_class();
  if (volume.follower_read()) out.flags |= CFS_MR_FOLLOWER_READ;
  if (volume.read_only()) out.flags |= CFS_MR_READ_ONLY;
  out.root = to_abi(volume.root(), valid);
  out.fsid = volume.fsid();
  return out;
}

Reply pack_names(const std::vector<std::string>& names) {
  Reply reply;
  for (const std::string& name : names) {
    reply.bytes += name;
    reply.bytes += '\0';
  }
  return reply.bytes.size() > CFS_XATTR_BYTES_MAX ? Reply::error(ERANGE) : reply;
}

std::optional<cfs_dp_row> to_row(const DataPartition& partition,
                                 const std::function<std::uint32_t(const std::string&)>& node_id) {
  cfs_dp_row row{};
  row.partition_id = partition.id;
  row.status = static_cast<std::int8_t>(partition.status);
  row.media = static_cast<std::uint8_t>(partition.media);
  row.leader = kLeaderUnknown;
  if (partition.discard) row.flags |= CFS_DP_DISCARD;
  for (std::size_t i = 0; i < partition.hosts.size() && row.nhosts < CFS_HOSTS_MAX; ++i) {
    const std::uint32_t id = node_id(partition.hosts[i]);
    if (id == 0) continue;
    if (static_cast<int>(i) == partition.leader) row.leader = row.nhosts;
    row.hosts[row.nhosts++] = id;
  }
  // an append names every replica and goes to the first: without one of them it must not be tried
  if (row.nhosts < partition.hosts.size() && row.status > kReadOnly) row.status = kReadOnly;
  return row.nhosts == 0 ? std::nullopt : std::optional(row);
}

}  // namespace cfs

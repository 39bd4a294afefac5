// SPDX-License-Identifier: Apache-2.0
/// Volume: extent lists and key commits.
///
/// Purpose  Commits of one inode go strictly one after the other: the server would insert an older,
///          shorter form of a key that arrives late as an overlapping one.
/// Failure  The result code that decided is part of CommitResult; an Error means that no server
///          answered.
/// Source   CubeFS v3.5.3 sdk/meta/api.go (AppendExtentKey), metanode/sorted_extents.go
///          (AppendWithCheck).
#include <algorithm>

#include "daemon/core/volume_impl.h"

namespace cfs {
namespace {

constexpr Millis kQuarantine(2000);  // a commit whose first sending may still be on its way

ExtentKey from_wire(const wire::ExtentKey& k) {
  ExtentKey out;
  out.file_offset = k.file_offset;
  out.partition_id = k.partition_id;
  out.extent_id = k.extent_id;
  out.extent_offset = k.extent_offset;
  out.size = k.size;
  return out;
}

wire::ExtentKey to_wire(const ExtentKey& k) {
  wire::ExtentKey out;
  out.file_offset = k.file_offset;
  out.partition_id = k.partition_id;
  out.extent_id = k.extent_id;
  out.extent_offset = k.extent_offset;
  out.size = k.size;
  return out;
}

}  // namespace

Task<Result<ExtentList>> VolumeImpl::extents(Ino ino) {
  const Result<void> open = open_for_use();
  if (!open.ok()) co_return open.error();
  const Busy busy(*this);
  Result<ExtentList> list = co_await extent_list(ino);
  if (!list.ok()) co_return list.error();
  if (views_->volume().allowed_storage_class.size() > 1) {  // only then may a file have another
    Result<wire::InodeInfo> info = co_await ops_.inode(ino);
    if (!info.ok()) co_return info.error();
    list->storage_class = info->storage_class;
  }
  co_return list;
}

/// The list itself; the storage class is the volume's.
Task<Result<ExtentList>> VolumeImpl::extent_list(Ino ino) {
  wire::ExtentsListReq req;
  req.ino = ino;
  Answer<wire::ExtentsListReply> got = co_await ops_.client().send_to<wire::ExtentsListReq>(
      ino, std::move(req), CallMode{.read = true});
  if (!got.ok()) co_return answer_error(got.result, got.error);
  ExtentList list;
  list.gen = got.reply.gen;
  list.size = got.reply.size;
  list.storage_class = storage_class();
  list.keys.reserve(got.reply.extents.size());
  for (const wire::ExtentKey& k : got.reply.extents) list.keys.push_back(from_wire(k));
  co_return list;
}

Task<Result<CommitResult>> VolumeImpl::commit(Ino ino, std::vector<ExtentKey> keys,
                                              std::uint32_t storage_class) {
  const Result<void> open = open_for_change();
  if (!open.ok()) co_return open.error();
  if (keys.empty()) co_return CommitResult{.result = CFS_RC_OK};
  const Busy busy(*this);
  std::unique_ptr<CommitLine>& slot = commit_lines_[ino];
  if (!slot) slot = std::make_unique<CommitLine>();
  CommitLine& line = *slot;
  ++line.users;
  AsyncMutex::Lock turn = co_await line.mutex.lock();
  Result<CommitResult> done = co_await commit_in_turn(ino, std::move(keys), storage_class);
  turn.release();
  if (--line.users == 0) commit_lines_.erase(ino);
  if (done.ok() && done->result == CFS_RC_NO_SPACE) {  // of a quota, or of the file's user
    const Result<QuotaIds> ids = co_await ops_.quotas().ids_of(ino);
    if (ids.ok() && !ids->empty()) done->result = CFS_RC_DIR_QUOTA;
  }
  co_return done;
}

Task<Result<CommitResult>> VolumeImpl::commit_in_turn(Ino ino, std::vector<ExtentKey> keys,
                                                      std::uint32_t storage_class) {
  const bool fresh = std::all_of(keys.begin(), keys.end(), [](const auto& k) { return k.fresh; });
  if (keys.size() > 1 && fresh) {
    Result<CommitResult> done = co_await commit_batch(ino, std::move(keys), storage_class);
    co_return done;
  }
  CommitResult out;
  for (const ExtentKey& key : keys) {
    const RawAnswer got = co_await commit_one(ino, key, storage_class);
    if (got.lost) (void)co_await loop_.sleep(kQuarantine);
    if (got.result == CFS_RC_INIT && out.committed == 0)
      co_return answer_error(got.result, got.error);
    out.result = got.result == CFS_RC_INIT ? std::uint8_t{CFS_RC_AGAIN} : got.result;
    if (got.result != CFS_RC_OK) break;
    ++out.committed;
  }
  co_return out;
}

Task<RawAnswer> VolumeImpl::commit_one(Ino ino, ExtentKey key, std::uint32_t storage_class) {
  wire::ExtentAddCheckReq req;
  req.ino = ino;
  req.extent = to_wire(key);
  req.storage_class = storage_class;
  Answer<wire::NoBody> got = co_await ops_.client().send_to<wire::ExtentAddCheckReq>(
      ino, std::move(req), CallMode{.reserve = true});
  RawAnswer out;
  out.result = got.result;
  out.lost = got.lost;
  out.error = std::move(got.error);
  co_return out;
}

Task<Result<CommitResult>> VolumeImpl::commit_batch(Ino ino, std::vector<ExtentKey> keys,
                                                    std::uint32_t storage_class) {
  wire::BatchExtentsAddReq req;
  req.ino = ino;
  req.storage_class = storage_class;
  for (const ExtentKey& key : keys) req.extents.push_back(to_wire(key));
  Answer<wire::NoBody> got = co_await ops_.client().send_to<wire::BatchExtentsAddReq>(
      ino, std::move(req), CallMode{.reserve = true});
  if (got.lost) (void)co_await loop_.sleep(kQuarantine);
  if (got.result == CFS_RC_INIT) co_return answer_error(got.result, got.error);
  CommitResult out;
  out.result = got.result;
  if (got.ok()) out.committed = static_cast<std::uint32_t>(keys.size());
  if (got.ok()) out.gen = co_await generation(ino);
  co_return out;
}

/// Generation after a batch, which raises it by one whatever the number of keys; the replies do not
/// carry it. 0 when it cannot be read. After single keys nobody asks: each raises it by one, and an
/// answer could hide the keys of another client behind a generation that seems to be ours.
Task<std::uint64_t> VolumeImpl::generation(Ino ino) {
  Result<wire::InodeInfo> info = co_await ops_.inode(ino);
  co_return info.ok() ? info->gen : 0;
}

}  // namespace cfs

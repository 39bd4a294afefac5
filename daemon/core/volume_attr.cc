// SPDX-License-Identifier: Apache-2.0
/// Volume: attributes, sizes, symlinks, space.
///
/// Source   CubeFS v3.5.3 client/fs/file.go, client/fs/super.go, sdk/meta/api.go.
#include "daemon/core/volume_impl.h"

namespace cfs {

Task<Result<FsStat>> VolumeImpl::statfs() {
  const Result<void> open = open_for_use();
  if (!open.ok()) co_return open.error();
  const Busy busy(*this);
  Result<wire::VolStatInfo> stat = co_await views_->stat();
  if (!stat.ok()) co_return stat.error();
  FsStat out;
  out.total_bytes = stat->total_bytes;
  out.used_bytes = std::min(stat->used_bytes, stat->total_bytes);
  out.inodes = stat->inode_count;
  co_return out;
}

Task<Result<Attr>> VolumeImpl::getattr(Ino ino) {
  const Result<void> open = open_for_use();
  if (!open.ok()) co_return open.error();
  const Busy busy(*this);
  Result<wire::InodeInfo> info = co_await ops_.inode(ino);
  if (!info.ok()) co_return info.error();
  co_return to_attr(*info);
}

namespace {

/// The request for a change; the server takes whole fields and overwrites the type with `mode`.
wire::SetattrReq setattr_request(const wire::InodeInfo& now, const SetAttr& change) {
  wire::SetattrReq req;
  req.ino = now.ino;
  req.valid = change.valid;  // the bits of volume.h are those of the wire
  const mode_t type = wire::from_go_mode(now.mode) & S_IFMT;
  const bool mode = (change.valid & SetAttr::kMode) != 0;
  req.mode = mode ? wire::to_go_mode(type | (change.mode & ~S_IFMT)) : now.mode;
  req.uid = (change.valid & SetAttr::kUid) != 0 ? change.uid : now.uid;
  req.gid = (change.valid & SetAttr::kGid) != 0 ? change.gid : now.gid;
  req.mtime = (change.valid & SetAttr::kMtime) != 0 ? change.mtime : now.mtime;
  req.atime = (change.valid & SetAttr::kAtime) != 0 ? change.atime : now.atime;
  return req;
}

/// What a caller knows of an inode.
wire::InodeInfo believed(Ino ino, const SetAttr& change) {
  wire::InodeInfo info;
  info.ino = ino;
  info.mode = wire::to_go_mode(change.mode);
  info.uid = change.uid;
  info.gid = change.gid;
  info.mtime = change.mtime;
  info.atime = change.atime;
  return info;
}

static_assert(SetAttr::kMode == CFS_ATTR_MODE && SetAttr::kUid == CFS_ATTR_UID &&
              SetAttr::kGid == CFS_ATTR_GID && SetAttr::kMtime == CFS_ATTR_MTIME &&
              SetAttr::kAtime == CFS_ATTR_ATIME);

}  // namespace

/// The server says Ok even for a missing inode, so one that is not known is read first.
Task<Result<Attr>> VolumeImpl::setattr(Ino ino, SetAttr change) {
  const Result<void> open = open_for_change();
  if (!open.ok()) co_return open.error();
  const Busy busy(*this);
  Result<wire::InodeInfo> info = believed(ino, change);
  if (!change.known) info = co_await ops_.inode(ino);
  if (!info.ok()) co_return info.error();
  wire::SetattrReq req = setattr_request(*info, change);
  info->mode = req.mode;
  info->uid = req.uid;
  info->gid = req.gid;
  info->mtime = req.mtime;
  info->atime = req.atime;
  if (change.valid != 0) {
    Answer<wire::NoBody> got =
        co_await ops_.client().send_to<wire::SetattrReq>(ino, std::move(req));
    if (!got.ok()) co_return answer_error(got.result, got.error);
  }
  co_return to_attr(*info);
}

/// A missing or foreign inode would be answered with a generic error that the transport retries, so
/// it is read first.
Task<Result<Attr>> VolumeImpl::truncate(Ino ino, std::uint64_t size) {
  const Result<void> open = open_for_change();
  if (!open.ok()) co_return open.error();
  const Busy busy(*this);
  Result<wire::InodeInfo> info = co_await ops_.inode(ino);
  if (!info.ok()) co_return info.error();
  const mode_t mode = wire::from_go_mode(info->mode);
  if (!S_ISREG(mode)) co_return make_error(S_ISDIR(mode) ? EISDIR : EINVAL, "not a regular file");
  if (info->storage_class == CFS_CLASS_BLOBSTORE) {
    co_return make_error(EOPNOTSUPP, "the file is in the blob store");
  }
  wire::TruncateReq req;
  req.ino = ino;
  req.size = size;
  Answer<wire::NoBody> got = co_await ops_.client().send_to<wire::TruncateReq>(ino, std::move(req));
  if (!got.ok()) {
    const Result<QuotaIds> ids = co_await ops_.quotas().ids_of(ino);
    if (ids.ok()) tell_quota(got.result, *ids, &got.error);
    co_return answer_error(got.result, got.error);
  }
  info = co_await ops_.inode(ino);
  if (!info.ok()) co_return info.error();
  co_return to_attr(*info);
}

Task<Result<std::string>> VolumeImpl::readlink(Ino ino) {
  const Result<void> open = open_for_use();
  if (!open.ok()) co_return open.error();
  const Busy busy(*this);
  Result<wire::InodeInfo> info = co_await ops_.inode(ino);
  if (!info.ok()) co_return info.error();
  if (!S_ISLNK(wire::from_go_mode(info->mode))) co_return make_error(EINVAL, "not a symbolic link");
  co_return info->target;
}

Task<Result<void>> VolumeImpl::evict(Ino ino) {
  const Result<void> open = open_for_use();
  if (!open.ok()) co_return open;
  const Busy busy(*this);
  Answer<wire::NoBody> got = co_await ops_.evict(ino);
  if (!got.ok() && got.result != CFS_RC_NOT_EXIST) co_return answer_error(got.result, got.error);
  co_return Result<void>();
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Single metadata requests; contracts in meta_ops.h.
#include "daemon/core/meta_ops.h"

#include <spdlog/spdlog.h>

namespace cfs {
namespace {

constexpr std::int64_t kCreateBudgetMs = 20000;  // per partition, when there are others
constexpr std::int64_t kFullMs = 60000;
constexpr std::int64_t kFailedMs = 30000;
constexpr CallMode kRead{.read = true};

}  // namespace

bool refused_for_good(std::uint8_t result) {
  return result == CFS_RC_NO_SPACE || result == CFS_RC_FORBIDDEN || result == CFS_RC_NOT_EXIST;
}

Error answer_error(std::uint8_t result, const Error& error) {
  if (error.code != 0) return error;
  return make_error(result == CFS_RC_INIT ? EIO : cfs_result_errno(result), error.what);
}

Attr to_attr(const wire::InodeInfo& info) {
  Attr a;
  a.ino = info.ino;
  a.gen = info.gen;
  a.mode = wire::from_go_mode(info.mode);
  a.nlink = info.nlink;
  a.uid = info.uid;
  a.gid = info.gid;
  a.mtime = info.mtime;
  a.ctime = info.ctime;
  a.atime = info.atime;
  a.storage_class = info.storage_class;
  if (S_ISLNK(a.mode)) a.target = info.target;
  a.size = S_ISREG(a.mode) ? info.size : a.target.size();
  return a;
}

MetaOps::MetaOps(Loop& loop, std::shared_ptr<ViewKeeper> views, const MountConfig& config)
    : loop_(loop),
      views_(std::move(views)),
      client_(loop, views_, config),
      uniq_(client_),
      quotas_(client_, *views_) {}

// ---------------------------------------------------------------- reads

Task<Result<wire::LookupReply>> MetaOps::lookup(Ino dir, std::string name) {
  wire::LookupReq req;
  req.pino = dir;
  req.name = std::move(name);
  Answer<wire::LookupReply> got =
      co_await client_.send_to<wire::LookupReq>(dir, std::move(req), kRead);
  if (!got.ok()) co_return answer_error(got.result, got.error);
  if (got.reply.ino == 0) co_return make_error(EIO, "lookup: inode 0");
  co_return got.reply;
}

Task<Answer<wire::InodeGetReply>> MetaOps::inode_once(Ino ino) {
  wire::InodeGetReq req;
  req.ino = ino;
  Answer<wire::InodeGetReply> got =
      co_await client_.send_to<wire::InodeGetReq>(ino, std::move(req), kRead);
  if (got.ok() && got.reply.info.ino != ino) {
    got.result = CFS_RC_INIT;
    got.error = make_error(EIO, "asked for inode " + std::to_string(ino) + ", got another");
  }
  co_return got;
}

Task<Result<wire::InodeInfo>> MetaOps::inode(Ino ino) {
  Answer<wire::InodeGetReply> got = co_await inode_once(ino);
  bool again = !got.ok() && got.result == CFS_RC_NOT_EXIST;
  if (again) again = co_await views_->refresh_meta();  // the partition may have been split
  if (again) got = co_await inode_once(ino);
  if (!got.ok()) co_return answer_error(got.result, got.error);
  co_return std::move(got.reply.info);
}

// ---------------------------------------------------------------- new inodes

std::int64_t MetaOps::create_budget_ms(std::int64_t left_ms) const {
  return client_.create_choices() > 1 ? std::min(left_ms, kCreateBudgetMs) : left_ms;
}

Task<Answer<wire::InodeReply>> MetaOps::create_inode_at(std::uint64_t partition, NewInode what,
                                                        std::int64_t budget_ms) {
  CallMode mode;
  mode.budget_ms = create_budget_ms(budget_ms);
  const std::uint32_t storage_type = views_->last_stat().default_storage_class;
  Answer<wire::InodeReply> got;
  if (views_->volume().enable_quota) {
    wire::QuotaCreateInodeReq req;
    req.mode = what.go_mode;
    req.uid = what.who.uid;
    req.gid = what.who.gid;
    req.target = std::move(what.target);
    req.quota_ids = std::move(what.quota_ids);
    req.storage_type = storage_type;
    got = co_await client_.send<wire::QuotaCreateInodeReq>(partition, std::move(req), mode);
  } else {
    wire::CreateInodeReq req;
    req.mode = what.go_mode;
    req.uid = what.who.uid;
    req.gid = what.who.gid;
    req.target = std::move(what.target);
    req.storage_type = storage_type;
    got = co_await client_.send<wire::CreateInodeReq>(partition, std::move(req), mode);
  }
  if (got.ok() && got.reply.info.ino == 0) {
    got.result = CFS_RC_INIT;
    got.error = make_error(EIO, "new inode 0");
  }
  co_return got;
}

Task<Answer<wire::InodeReply>> MetaOps::create_inode(NewInode what) {
  Answer<wire::InodeReply> got;
  got.error = make_error(ENOMEM, "no meta partition takes new inodes");
  const std::int64_t whole = co_await this_deadline();
  const std::int64_t deadline = client_.last_moment(whole);
  const std::size_t most = client_.create_choices() * 2;  // once more after a refresh
  for (std::size_t i = 0; i < most && Loop::now_ms() < deadline; ++i) {
    const std::uint64_t partition = client_.next_for_create();
    if (partition == 0) break;
    const std::int64_t left = std::max<std::int64_t>(1, deadline - Loop::now_ms());
    got = co_await create_inode_at(partition, what, left);
    if (got.lost) spdlog::warn("create: reply lost, an inode of partition {} leaks", partition);
    tell_quota(got.result, what.quota_ids, &got.error);
    // "not exist" says that the caller's uid is at its space limit; every partition would
    if (got.result == CFS_RC_NOT_EXIST) got.error.code = EDQUOT;
    if (got.ok() || refused_for_good(got.result)) co_return got;
    client_.penalise(partition, got.result == CFS_RC_INODE_FULL ? kFullMs : kFailedMs);
    if (got.result == CFS_RC_INODE_FULL) (void)co_await views_->refresh_meta();
  }
  co_return got;
}

// ---------------------------------------------------------------- names

Task<Answer<wire::NoBody>> MetaOps::create_dentry(Ino dir, std::string name, Ino ino,
                                                  std::uint32_t go_mode, QuotaIds quota_ids) {
  if (views_->volume().enable_quota) {
    wire::QuotaCreateDentryReq req;
    req.pino = dir;
    req.ino = ino;
    req.name = std::move(name);
    req.mode = go_mode;
    req.quota_ids = quota_ids;
    Answer<wire::NoBody> got =
        co_await client_.send_to<wire::QuotaCreateDentryReq>(dir, std::move(req));
    tell_quota(got.result, quota_ids, &got.error);
    co_return got;
  }
  wire::CreateDentryReq req;
  req.pino = dir;
  req.ino = ino;
  req.name = std::move(name);
  req.mode = go_mode;
  Answer<wire::NoBody> got = co_await client_.send_to<wire::CreateDentryReq>(dir, std::move(req));
  co_return got;
}

Task<Answer<wire::NoBody>> MetaOps::delete_dentry(Ino dir, std::string name, Ino ino) {
  wire::BatchDeleteDentryReq req;
  req.pino = dir;
  req.dentries.push_back({std::move(name), ino, 0});
  Answer<wire::BatchDeleteDentryReply> got =
      co_await client_.send_to<wire::BatchDeleteDentryReq>(dir, std::move(req));
  Answer<wire::NoBody> out;
  out.result = got.result;
  out.lost = got.lost;
  out.error = std::move(got.error);
  co_return out;
}

Task<Answer<wire::InoReply>> MetaOps::update_dentry(Ino dir, std::string name, Ino ino) {
  wire::UpdateDentryReq req;
  req.pino = dir;
  req.name = std::move(name);
  req.ino = ino;
  Answer<wire::InoReply> got = co_await client_.send_to<wire::UpdateDentryReq>(dir, std::move(req));
  co_return got;
}

// ---------------------------------------------------------------- link counts

Task<Answer<wire::InodeReply>> MetaOps::link_inode(Ino ino, std::uint64_t uniq) {
  wire::LinkInodeReq req;
  req.ino = ino;
  req.uniq_id = uniq;
  Answer<wire::InodeReply> got = co_await client_.send_to<wire::LinkInodeReq>(ino, std::move(req));
  co_return got;
}

Task<Answer<wire::InodeReply>> MetaOps::unlink_inode(Ino ino, std::uint64_t uniq) {
  wire::UnlinkInodeReq req;
  req.ino = ino;
  req.uniq_id = uniq;
  Answer<wire::InodeReply> got =
      co_await client_.send_to<wire::UnlinkInodeReq>(ino, std::move(req));
  co_return got;
}

Task<Answer<wire::NoBody>> MetaOps::evict(Ino ino) {
  wire::EvictInodeReq req;
  req.ino = ino;
  Answer<wire::NoBody> got = co_await client_.send_to<wire::EvictInodeReq>(ino, std::move(req));
  co_return got;
}

Task<Result<std::uint64_t>> MetaOps::uniq_id(Ino ino) {
  const std::uint64_t partition = co_await client_.route(ino);
  if (partition == 0) co_return std::uint64_t{0};
  Result<std::uint64_t> id = co_await uniq_.next(partition);
  co_return id;
}

Task<bool> MetaOps::link_is_left(Ino ino) {
  Result<wire::InodeInfo> before = co_await inode(ino);
  if (!before.ok() || before->nlink == 0) co_return false;
  // one name, or an empty directory: taking the link twice is harmless, leaving it leaks
  if (before->nlink == 1 || S_ISDIR(wire::from_go_mode(before->mode))) co_return true;
  const std::uint32_t after = co_await settled_links(ino);
  co_return after == before->nlink;
}

Task<std::uint32_t> MetaOps::settled_links(Ino ino) {
  (void)co_await loop_.sleep(settle);
  Result<wire::InodeInfo> info = co_await inode(ino);
  co_return info.ok() ? info->nlink : 0;
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Background work of the trash, on the one client that holds the lock of .Trash.
///
/// Purpose  Directories are rebuilt from the flat names in Current; a quarter of the interval after
///          it was made Current becomes Expired_<time>, which is deleted an interval later.
/// Lock     A lease that is renewed while a round runs; a round that loses it stops.
/// Failure  Whatever fails is logged at most once per round and tried again by the next one.
/// Source   CubeFS v3.5.3 sdk/meta/trash.go (deleteTask, buildDeletedFileParentDirs, LockDir).
#include <spdlog/spdlog.h>

#include <ctime>

#include "daemon/core/op_create.h"
#include "daemon/core/op_rename.h"
#include "daemon/core/trash.h"

namespace cfs {
namespace {

constexpr std::uint64_t kLeaseS = 3600;
constexpr std::int64_t kRenewS = 1800;
constexpr std::int64_t kRetryS = 60;
constexpr int kMostDepth = 1000;
constexpr std::uint64_t kPage = 1024;
constexpr char kExpired[] = "Expired_";
constexpr char kStamp[] = "%Y-%m-%d-%H%M%S";
constexpr char kDeletingMark[] = "TrashDeleting";  // attribute, in no namespace that callers see

std::string expired_name(std::int64_t at_s) {
  const std::time_t t = at_s;
  std::tm tm{};
  localtime_r(&t, &tm);
  char text[32];
  std::strftime(text, sizeof(text), kStamp, &tm);
  return std::string(kExpired) + text;
}

/// Time in the name of an expired directory; -1 for another name.
std::int64_t expired_at(const std::string& name) {
  if (name.rfind(kExpired, 0) != 0) return -1;
  std::tm tm{};
  const char* const end = strptime(name.c_str() + sizeof(kExpired) - 1, kStamp, &tm);
  if (end == nullptr || *end != '\0') return -1;
  tm.tm_isdst = -1;
  return std::mktime(&tm);
}

}  // namespace

std::int64_t Trash::clock() const {
  return now_s != nullptr ? now_s() : ::time(nullptr);
}

Task<void> Trash::round() {
  if (!on() || root_.ino == 0 || in_round_) co_return;
  in_round_ = true;
  co_await work();
  in_round_ = false;
}

/// The lock first: a client that does not get it asks for nothing else.
Task<void> Trash::work() {
  if (trash_ == 0) {
    Result<Ino> dir = co_await current();
    if (!dir.ok()) co_return;
  }
  bool mine = co_await go_on();
  if (!mine) co_return;
  co_await rebuild();
  mine = co_await go_on();
  if (!mine || clock() < expire_at_s_) co_return;
  expire_at_s_ = clock() + ops_.views().last_stat().trash_interval_min * 60 / 4;
  co_await expire();
}

/// The lock is a lease on the server: a client that dies loses it.
Task<bool> Trash::hold_lock() {
  if (clock() < lock_until_s_) co_return locked_;
  if (lock_id_ == 0) {
    Result<std::uint64_t> id = co_await ops_.uniq_id(trash_);
    if (!id.ok()) co_return false;
    lock_id_ = *id;
  }
  wire::LockDirReq req;
  req.ino = trash_;
  req.lock_id = lock_id_;
  req.lease_s = kLeaseS;
  Answer<wire::LockDirReply> got =
      co_await ops_.client().send_to<wire::LockDirReq>(trash_, std::move(req));
  locked_ = got.ok() && got.reply.status == CFS_RC_OK;
  lock_until_s_ = clock() + (locked_ ? kRenewS : kRetryS);
  if (got.result == CFS_RC_NOT_EXIST) trash_ = 0;  // somebody removed it: look it up next time
  co_return locked_;
}

/// May a round do one thing more?
Task<bool> Trash::go_on() {
  if (ending_) co_return false;
  const bool mine = co_await hold_lock();
  co_return mine && !ending_;
}

Task<void> Trash::finish() {
  constexpr std::int64_t kPatienceMs = 2000;  // servers that do not answer cannot hold up the close
  ending_ = true;
  const std::int64_t end = Loop::now_ms() + kPatienceMs;
  while (in_round_ && Loop::now_ms() < end) {
    const int slept = co_await ops_.loop().sleep(Millis(10));
    if (slept != 0) break;
  }
  co_await release();
}

Task<void> Trash::release() {
  if (!locked_) co_return;
  wire::LockDirReq req;
  req.ino = trash_;
  req.lock_id = lock_id_;
  locked_ = false;
  constexpr CallMode kPatience{.budget_ms = 1000};  // else the lease ends by itself
  (void)co_await ops_.client().send_to<wire::LockDirReq>(trash_, std::move(req), kPatience);
}

// ---------------------------------------------------------------- rebuild

Task<void> Trash::rebuild() {
  Result<Ino> dir = co_await current();
  if (!dir.ok()) co_return;
  std::string marker;
  for (;;) {
    Result<wire::ReadDirReply> got = co_await page(*dir, marker);
    if (!got.ok()) co_return;
    for (const wire::Dentry& entry : got->children) {
      if (entry.name.find("|__|") == std::string::npos) continue;
      const bool mine = co_await go_on();
      if (!mine) co_return;
      co_await rebuild_entry(*dir, entry);
    }
    if (got->children.size() < kPage) co_return;
    marker = got->children.back().name;
  }
}

Task<std::string> Trash::original_name(wire::Dentry entry) {
  if (entry.name.rfind("LongName____", 0) != 0) co_return entry.name;
  wire::GetXattrReq req;
  req.ino = entry.ino;
  req.key = "OriginalName";
  Answer<wire::GetXattrReply> got = co_await ops_.client().send_to<wire::GetXattrReq>(
      entry.ino, std::move(req), CallMode{.read = true});
  co_return got.ok() ? got.reply.value : std::string();
}

/// An inode with another link than its name's may be on its way here: its rename must find it.
Task<void> Trash::rebuild_entry(Ino current, wire::Dentry entry) {
  Result<wire::InodeInfo> info = co_await ops_.inode(entry.ino);
  if (!info.ok()) co_return;
  const bool dir = S_ISDIR(wire::from_go_mode(info->mode));
  if (info->nlink != (dir ? 2u : 1u)) co_return;
  const std::string flat = co_await original_name(entry);
  std::vector<std::string> parts = split_flat(flat);
  if (parts.empty()) co_return;
  const std::string last = parts.back();
  parts.pop_back();
  Ino at = current;
  for (const std::string& part : parts) {
    if (ending_) co_return;
    Result<Ino> next = co_await directory(at, part, root_);
    if (!next.ok()) co_return;
    at = *next;
  }
  Progress progress;
  const RenameHints none;
  RenameOp op(ops_, progress, RenameOp::Args{current, entry.name, at, last, true, none, 0});
  Result<Attr> done = co_await op.run();
  if (done.ok() || done.error().code != EEXIST) co_return;
  Progress again;
  if (dir) {  // the same path was rebuilt for what lay in it
    UnlinkOp gone(ops_, again, current, entry.name, true, {});
    (void)co_await gone.run();
    co_return;
  }
  const std::string other = last + "_" + std::to_string(clock());
  RenameOp retry(ops_, again, RenameOp::Args{current, entry.name, at, other, true, none, 0});
  (void)co_await retry.run();
}

// ---------------------------------------------------------------- expiry

/// The stamp is in the time zone of the client that made it, so it alone does not decide: the server's
/// time of the directory's last change must lie an interval back, too. Deleting changes that time: who
/// begins it leaves a mark for whoever holds the lock next.
Task<bool> Trash::is_due(wire::Dentry entry) {
  const std::int64_t keep_s = ops_.views().last_stat().trash_interval_min * 60;
  const std::int64_t at = expired_at(entry.name);
  if (at < 0 || at + keep_s > clock()) co_return false;
  if (deleting_.count(entry.ino) != 0) co_return true;
  Result<wire::InodeInfo> info = co_await ops_.inode(entry.ino);
  if (!info.ok()) co_return info.error().code == ENOENT;
  if (info->mtime + keep_s <= clock()) co_return true;
  wire::GetXattrReq req;
  req.ino = entry.ino;
  req.key = kDeletingMark;
  Answer<wire::GetXattrReply> mark = co_await ops_.client().send_to<wire::GetXattrReq>(
      entry.ino, std::move(req), CallMode{.read = true});
  co_return mark.ok() && !mark.reply.value.empty();
}

/// Without the mark the next holder waits an interval more; that is no reason not to begin.
Task<void> Trash::begin_deleting(Ino ino) {
  if (!deleting_.insert(ino).second) co_return;
  wire::SetXattrReq req;
  req.ino = ino;
  req.key = kDeletingMark;
  req.value = "1";
  (void)co_await ops_.client().send_to<wire::SetXattrReq>(ino, std::move(req));
}

Task<void> Trash::expire() {
  Result<wire::ReadDirReply> got = co_await page(trash_, {});
  if (!got.ok()) co_return;
  for (const wire::Dentry& entry : got->children) {
    const bool due = co_await is_due(entry);
    const bool mine = co_await go_on();
    if (!mine) co_return;
    if (!due) continue;
    co_await begin_deleting(entry.ino);
    const bool gone = co_await delete_tree(trash_, entry.name, entry.ino, 0);
    if (gone) deleting_.erase(entry.ino);
    if (!gone) spdlog::warn("trash: {} cannot be deleted completely, later again", entry.name);
  }
  const bool mine = co_await go_on();
  if (!mine) co_return;
  Result<wire::LookupReply> current = co_await ops_.lookup(trash_, kCurrent);
  if (!current.ok()) co_return;
  Result<wire::InodeInfo> info = co_await ops_.inode(current->ino);
  if (info.ok()) co_await rotate(*info);
}

/// The age is that of Current itself, not of its last change, so that a busy trash expires, too; the
/// stamp is the time of the rename, so that nothing in it is deleted before its time.
Task<void> Trash::rotate(wire::InodeInfo current) {
  const std::int64_t quarter_s = ops_.views().last_stat().trash_interval_min * 60 / 4;
  if (current.nlink <= 2 || current.ctime + quarter_s > clock()) co_return;
  Progress progress;
  const RenameHints none;
  RenameOp op(ops_, progress,
              RenameOp::Args{trash_, kCurrent, trash_, expired_name(clock()), true, none, 0});
  Result<Attr> done = co_await op.run();
  if (!done.ok()) {
    spdlog::warn("trash: Current does not expire: {}", done.error().text());
    co_return;
  }
  names_.forget(trash_, kCurrent);
  (void)co_await this->current();
}

/// Everything below and the directory itself. False: something is left.
Task<bool> Trash::delete_tree(Ino dir, std::string name, Ino ino, int depth) {
  if (depth >= kMostDepth) co_return false;
  for (;;) {
    Result<wire::ReadDirReply> got = co_await page(ino, {});
    if (!got.ok()) co_return false;
    if (got->children.empty()) break;
    bool any = false;
    for (const wire::Dentry& entry : got->children) {
      const bool gone = co_await delete_entry(ino, entry, depth);
      any = any || gone;
    }
    if (!any) co_return false;
  }
  Progress progress;
  UnlinkOp op(ops_, progress, dir, std::move(name), true, {});
  Result<Attr> gone = co_await op.run();
  co_return gone.ok();
}

Task<bool> Trash::delete_entry(Ino dir, wire::Dentry entry, int depth) {
  const bool mine = co_await go_on();
  if (!mine) co_return false;
  if (S_ISDIR(wire::from_go_mode(entry.type))) {
    const bool gone = co_await delete_tree(dir, entry.name, entry.ino, depth + 1);
    co_return gone;
  }
  Progress progress;
  UnlinkOp op(ops_, progress, dir, entry.name, false, {});
  Result<Attr> gone = co_await op.run();
  if (gone.ok() && gone->nlink == 0) (void)co_await ops_.evict(gone->ino);
  co_return gone.ok();
}

}  // namespace cfs

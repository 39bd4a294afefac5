// SPDX-License-Identifier: Apache-2.0
/// Steps of unlink and rmdir; contracts in op_unlink.h, resume rules in docs/progress.md.
#include "daemon/core/op_unlink.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "daemon/base/when_all.h"

namespace cfs {

Result<void> check_empty(const wire::InodeInfo& dir) {
  if (dir.nlink > 2) return make_error(ENOTEMPTY, {});
  return {};
}

Result<void> check_age(const ViewKeeper& views, const wire::InodeInfo& info) {
  const std::int64_t lock_s = views.delete_lock_hours() * 3600;
  const std::int64_t now = std::min<std::int64_t>(::time(nullptr), info.atime);
  if (lock_s == 0 || info.ctime + lock_s <= now) return {};
  return make_error(EPERM, "younger than the volume's delete lock");
}

namespace {

Result<void> check_inode(const ViewKeeper& views, const wire::InodeInfo& info, bool is_dir,
                         Removal* what) {
  what->mode = wire::from_go_mode(info.mode);
  const bool dir = S_ISDIR(what->mode);
  if (dir != is_dir) return make_error(dir ? EISDIR : ENOTDIR, {});
  return check_age(views, info);
}

}  // namespace

Task<Result<Removal>> check_removal(MetaOps& ops, Ino dir, std::string name, bool is_dir) {
  Result<wire::LookupReply> there = co_await ops.lookup(dir, std::move(name));
  if (!there.ok()) co_return there.error();
  Removal what{there->ino, wire::from_go_mode(there->mode)};
  const bool file = !is_dir && !S_ISDIR(what.mode);
  if (file && ops.views().delete_lock_hours() == 0) co_return what;
  Result<wire::InodeInfo> info = co_await ops.inode(what.ino);
  if (!info.ok() && info.error().code == ENOENT) co_return what;
  if (!info.ok()) co_return info.error();
  Result<void> may = check_inode(ops.views(), *info, is_dir, &what);
  if (!may.ok()) co_return may.error();
  if (!is_dir) co_return what;
  Result<bool> root = co_await ops.quotas().is_root(what.ino);
  if (root.ok() && *root) co_return make_error(EACCES, "root of a directory quota");
  may = check_empty(*info);
  if (!may.ok()) co_return may.error();
  co_return what;
}

UnlinkOp::UnlinkOp(MetaOps& ops, Progress& progress, Ino dir, std::string name, bool is_dir,
                   UnlinkHints hints)
    : NameOp(ops, progress, ProgressOp::kUnlink, fingerprint({dir, is_dir ? 1u : 0u}, {name})),
      dir_(dir),
      name_(std::move(name)),
      is_dir_(is_dir),
      hints_(hints) {}

Task<Result<Attr>> UnlinkOp::run() {
  Result<Attr> done = make_error(EIO, {});
  switch (log_.found()) {
    case Step::kDentrySent:
      done = co_await resume_name();
      break;
    case Step::kUnlinkSent:
      done = co_await remove_link();
      break;
    case Step::kRestoreLink:
      done = co_await restore_name(log_.record().ino);
      break;
    case Step::kTxStarted:
    case Step::kTxCommit:
      done = co_await resume_tx();
      break;
    case Step::kDone:
      if ((log_.record().flags & kLinkLeft) != 0) co_return left_answer();
      done = co_await replay();
      break;
    default:
      done = co_await start();
  }
  co_return done;
}

Task<Result<Attr>> UnlinkOp::start() {
  Result<void> may = co_await check();
  if (!may.ok()) co_return fail(may.error());
  const std::uint8_t mask = ops_.views().tx_mask();
  Result<Attr> done = make_error(EIO, {});
  if (mask != wire::kTxMaskPause && (mask & wire::kTxMaskRemove) != 0) {
    done = co_await run_tx();
    co_return done;
  }
  Result<std::uint64_t> uniq = co_await ops_.uniq_id(log_.record().ino);
  if (!uniq.ok()) co_return fail(uniq.error());
  log_.record().uniq_unlink = *uniq;
  if (!log_.write(Step::kDentrySent)) co_return stopped();
  done = co_await remove_name();
  co_return done;
}

Task<Result<void>> UnlinkOp::check() {
  const bool lock = ops_.views().delete_lock_hours() != 0;
  const Ino known = std::exchange(hints_.known, 0);
  log_.record().flags = known != 0 && !is_dir_ && !lock ? kFromHints : 0;
  if (hinted()) {
    log_.record().ino = known;
    log_.record().mode = S_IFREG;
    co_return Result<void>();
  }
  Result<Removal> may = co_await check_removal(ops_, dir_, name_, is_dir_);
  if (!may.ok()) co_return may.error();
  log_.record().ino = may->ino;
  log_.record().mode = may->mode;
  co_return Result<void>();
}

// ---------------------------------------------------------------- without transaction

Task<Result<Attr>> UnlinkOp::remove_name() {
  Answer<wire::NoBody> gone = co_await ops_.delete_dentry(dir_, name_, log_.record().ino);
  Result<Attr> done = make_error(EIO, {});
  if (gone.ok() && hinted() && hints_.last) {
    done = leave_link();
  } else if (gone.ok()) {
    done = co_await remove_link();
  } else {
    done = co_await name_refused(gone.result, gone.lost, gone.error);
  }
  co_return done;
}

/// "Not exist": the name is gone, or means another inode by now. Without a lost reply we have not
/// removed it, and what it means now is looked at again.
Task<Result<Attr>> UnlinkOp::name_refused(std::uint8_t result, bool lost, Error error) {
  Result<Attr> done = make_error(EIO, {});
  if (result != CFS_RC_NOT_EXIST) co_return fail(result, error);
  co_await settle_time();
  if (!lost) {
    if (!hinted() && ++rounds_ >= kRounds)
      co_return fail(make_error(EBUSY, "it changes all the time"));
    done = co_await start();
    co_return done;
  }
  if (hinted()) {
    done = co_await hint_lost();
    co_return done;
  }
  const bool ours = co_await ops_.link_is_left(log_.record().ino);
  if (!ours) co_return fail(result, error);
  done = co_await remove_link();
  co_return done;
}

/// A reply was lost, and whether the name ever meant the caller's inode nobody knows. A name that is
/// there does not; one that is gone was most likely removed by us, and a link too many is the safe
/// side.
Task<Result<Attr>> UnlinkOp::hint_lost() {
  Result<wire::LookupReply> there = co_await ops_.lookup(dir_, name_);
  Result<Attr> done = make_error(EIO, {});
  if (there.ok()) {
    done = co_await start();
    co_return done;
  }
  if (there.error().code != ENOENT) co_return there.error();
  const Ino ino = log_.record().ino;
  spdlog::warn("unlink: inode {}: its link count may be one too high", ino);
  co_return succeed(Attr{.ino = ino, .mode = S_IFREG, .nlink = 1});
}

Result<Attr> UnlinkOp::leave_link() {
  log_.record().flags |= kLinkLeft;
  const Result<Attr> done = succeed(Attr{.ino = log_.record().ino, .mode = log_.record().mode});
  return done.ok() ? left_answer() : done;
}

Result<Attr> UnlinkOp::left_answer() const {
  return Attr{.ino = log_.record().ino, .mode = log_.record().mode, .link_left = true};
}

Task<Result<Attr>> UnlinkOp::remove_link() {
  if (!log_.write(Step::kUnlinkSent)) co_return stopped();
  const ProgressRecord& r = log_.record();
  Result<Attr> left = co_await take_link(r.ino, r.uniq_unlink, Step::kUnlinkSent);
  if (!left.ok() && ends_here(left.error())) co_return left;
  if (!left.ok()) {
    spdlog::warn("unlink: inode {} keeps a link too many: {}", r.ino, left.error().text());
    co_return succeed(Attr{.ino = r.ino, .mode = r.mode, .nlink = 1});
  }
  if (left->mode == 0) left->mode = r.mode;
  if (is_dir_ && left->nlink >= 2) {  // it got an entry between check and removal
    Result<Attr> done = co_await restore(r.ino);
    co_return done;
  }
  co_return succeed(*left);
}

/// rmdir lost a race: give the directory its link and name back.
Task<Result<Attr>> UnlinkOp::restore(Ino ino) {
  co_await settle_time();
  Result<std::uint64_t> uniq = co_await ops_.uniq_id(ino);
  if (!uniq.ok()) co_return fail(uniq.error());
  log_.record().uniq_link = *uniq;
  if (!log_.write(Step::kRestoreLink)) co_return stopped();
  Result<Attr> done = co_await restore_name(ino);
  co_return done;
}

Task<Result<Attr>> UnlinkOp::restore_name(Ino ino) {
  Answer<wire::InodeReply> linked = co_await ops_.link_inode(ino, log_.record().uniq_link);
  Answer<wire::NoBody> named = co_await ops_.create_dentry(
      dir_, name_, ino, wire::to_go_mode(log_.record().mode), QuotaIds());
  if (!linked.ok() || !named.ok()) {
    spdlog::error("rmdir: directory {} got an entry while it was removed and lost its name \"{}\"",
                  ino, name_);
  }
  co_return fail(make_error(ENOTEMPTY, "got an entry while it was removed"));
}

Task<Result<Attr>> UnlinkOp::resume_name() {
  const Ino ino = log_.record().ino;
  Result<wire::LookupReply> there = co_await ops_.lookup(dir_, name_);
  if (!there.ok() && there.error().code != ENOENT) co_return there.error();
  Result<Attr> done = make_error(EIO, {});
  if (there.ok() && there->ino == ino) {
    done = co_await remove_name();
  } else if (there.ok() && hinted()) {  // most likely the name never meant our inode
    done = co_await start();
  } else {
    done = co_await name_refused(CFS_RC_NOT_EXIST, true, make_error(ENOENT, {}));
  }
  co_return done;
}

// ---------------------------------------------------------------- with transaction

Task<Result<Attr>> UnlinkOp::run_tx() {
  const Ino ino = log_.record().ino;
  Transaction tx(ops_, log_, wire::kTxRemove);
  Result<void> ready = tx.add_inode(ino);
  if (ready.ok()) ready = tx.add_dentry(dir_, name_);
  if (ready.ok()) ready = co_await tx.begin(dir_);
  if (!ready.ok()) co_return fail(ready.error());
  if (!log_.write(Step::kTxStarted)) co_return stopped();
  Result<Attr> done = co_await send_parts(tx);
  co_return done;
}

Task<Result<Attr>> UnlinkOp::send_parts(Transaction& tx) {
  wire::TxDeleteDentryReq name;
  name.pino = dir_;
  name.name = name_;
  name.ino = log_.record().ino;
  wire::TxUnlinkInodeReq link;
  link.ino = log_.record().ino;
  std::vector<Task<RawAnswer>> parts;
  parts.push_back(tx.part<wire::TxDeleteDentryReq>(dir_, std::move(name)));
  parts.push_back(tx.part<wire::TxUnlinkInodeReq>(log_.record().ino, std::move(link)));
  std::vector<RawAnswer> got = co_await when_all<RawAnswer>(ops_.loop(), std::move(parts));
  Result<Attr> done = make_error(EIO, {});
  // a name whose inode is gone may be removed
  if (got[1].result == CFS_RC_NOT_EXIST) got[1].result = CFS_RC_OK;
  for (const RawAnswer& part : got) {
    if (part.result == CFS_RC_OK) continue;
    co_await tx.rollback();
    if (!hinted()) co_return fail(part.result, part.error);
    done = co_await start();  // asks for the name this time
    co_return done;
  }
  done = co_await end_tx(tx);
  co_return done;
}

Task<Result<Attr>> UnlinkOp::end_tx(Transaction& tx) {
  if (!log_.write(Step::kTxCommit)) co_return stopped();
  co_await settle_time();
  const RawAnswer committed = co_await tx.commit();
  if (committed.result != CFS_RC_OK) {
    Result<wire::LookupReply> there = co_await ops_.lookup(dir_, name_);
    const bool removed = committed.lost && !there.ok() && there.error().code == ENOENT;
    if (!removed) co_return fail(committed.result, committed.error);
  }
  Result<Attr> done = co_await tx_answer();
  co_return done;
}

Task<Result<Attr>> UnlinkOp::tx_answer() {
  const ProgressRecord& r = log_.record();
  Result<wire::InodeInfo> info = co_await ops_.inode(r.ino);
  if (info.ok()) co_return succeed(to_attr(*info));
  co_return succeed(Attr{.ino = r.ino, .mode = r.mode});
}

Task<Result<Attr>> UnlinkOp::resume_tx() {
  Transaction tx(ops_, log_, wire::kTxRemove);
  Result<Attr> done = make_error(EIO, {});
  if (log_.found() == Step::kTxCommit) {
    const RawAnswer committed = co_await tx.commit();
    Result<wire::LookupReply> there = co_await ops_.lookup(dir_, name_);
    const bool still = there.ok() && there->ino == log_.record().ino;
    if (committed.result == CFS_RC_OK || !still) {
      done = co_await tx_answer();
      co_return done;
    }
  }
  co_await tx.rollback();
  done = co_await start();
  co_return done;
}

// ---------------------------------------------------------------- a link that was left

EvictLinkOp::EvictLinkOp(MetaOps& ops, Progress& progress, Ino ino)
    : NameOp(ops, progress, ProgressOp::kEvictLink, fingerprint({ino}, {})), ino_(ino) {}

Result<Attr> EvictLinkOp::keep_link(const Error& why) {
  if (!ends_here(why)) spdlog::warn("evict: inode {} keeps a link too many: {}", ino_, why.text());
  return fail(why);
}

Task<Result<Attr>> EvictLinkOp::run() {
  ProgressRecord& r = log_.record();
  if (log_.found() == Step::kDone) co_return Attr{.ino = ino_, .nlink = r.nlink};
  if (log_.found() != Step::kUnlinkSent) {
    Result<std::uint64_t> uniq = co_await ops_.uniq_id(ino_);
    if (!uniq.ok()) co_return keep_link(uniq.error());
    r.ino = ino_;
    r.uniq_unlink = *uniq;
    if (!log_.write(Step::kUnlinkSent)) co_return stopped();
  }
  Result<Attr> left = co_await take_link(ino_, r.uniq_unlink, Step::kUnlinkSent);
  if (!left.ok()) co_return keep_link(left.error());
  if (left->nlink == 0) (void)co_await ops_.evict(ino_);
  co_return succeed(*left);
}

}  // namespace cfs

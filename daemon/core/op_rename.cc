// SPDX-License-Identifier: Apache-2.0
/// Rename: decisions and target directories; contracts in op_rename.h, resume rules in
/// docs/progress.md.
#include "daemon/core/op_rename.h"

#include <spdlog/spdlog.h>

#include "daemon/core/op_unlink.h"

namespace cfs {

RenameOp::RenameOp(MetaOps& ops, Progress& progress, Args args)
    : NameOp(ops, progress, ProgressOp::kRename,
             fingerprint({args.dir, args.new_dir, args.no_replace ? 1u : 0u},
                         {args.name, args.new_name})),
      args_(std::move(args)) {}

bool RenameOp::replaces_file() const {
  const ProgressRecord& r = log_.record();
  return r.old_ino != 0 && !S_ISDIR(r.old_mode);
}

Task<Result<Attr>> RenameOp::run() {
  Result<QuotaIds> ids = co_await ops_.quota_ids(args_.new_dir);
  if (!ids.ok()) co_return ids.error();
  quota_ids_ = std::move(ids).value();
  Result<Attr> done = co_await resume();
  co_return done;
}

Task<Result<Attr>> RenameOp::resume() {
  Result<Attr> done = make_error(EIO, {});
  switch (log_.found()) {
    case Step::kTargetDentry:
    case Step::kTargetGone:
      done = co_await resume_target_dir();
      break;
    case Step::kLinkSent:
      done = co_await add_link();
      break;
    case Step::kLinked:
      done = co_await resume_linked();
      break;
    case Step::kNewNameMade:
      done = co_await resume_named();
      break;
    case Step::kOldNameGone:
      done = co_await take_own_link();
      break;
    case Step::kTargetUnlink:
      done = co_await finish_target();
      break;
    case Step::kUndoUnlink:
      done = co_await resume_undo(false);
      break;
    case Step::kTxStarted:
    case Step::kTxCommit:
      done = co_await resume_tx();
      break;
    case Step::kDone:
      if (log_.record().err == 0 && log_.record().ino == 0) co_return Attr{};
      done = co_await replay();
      break;
    default:
      done = co_await start();
  }
  co_return done;
}

Task<Result<Attr>> RenameOp::start() {
  Result<void> may = co_await look();
  if (!may.ok()) co_return fail(may.error());
  const ProgressRecord& r = log_.record();
  if (r.old_ino == r.ino)
    co_return succeed(Attr{});  // two names of one file: POSIX says do nothing
  Result<Attr> done = make_error(EIO, {});
  if (r.old_ino != 0 && S_ISDIR(r.old_mode)) {
    done = co_await remove_target_dir();
  } else {
    done = co_await move();
  }
  co_return done;
}

/// Fill ino, mode, old_ino, old_mode of the record; refuse what POSIX refuses.
Task<Result<void>> RenameOp::look() {
  Result<wire::LookupReply> from = co_await ops_.lookup(args_.dir, args_.name);
  if (!from.ok()) co_return from.error();
  ProgressRecord& r = log_.record();
  r.ino = from->ino;
  r.mode = wire::from_go_mode(from->mode);
  r.old_ino = 0;
  r.old_mode = 0;
  Result<wire::LookupReply> to = co_await ops_.lookup(args_.new_dir, args_.new_name);
  if (!to.ok() && to.error().code != ENOENT) co_return to.error();
  if (to.ok()) {
    r.old_ino = to->ino;
    r.old_mode = wire::from_go_mode(to->mode);
  }
  if (S_ISDIR(r.mode)) {
    Result<bool> root = co_await ops_.is_quota_root(r.ino);
    if (root.ok() && *root) co_return make_error(EPERM, "root of a directory quota");
  }
  co_return check_types();
}

Result<void> RenameOp::check_types() const {
  const ProgressRecord& r = log_.record();
  if (r.old_ino == 0) return {};
  if (args_.no_replace) return make_error(EEXIST, {});
  if (S_ISDIR(r.mode) && !S_ISDIR(r.old_mode)) return make_error(ENOTDIR, {});
  if (!S_ISDIR(r.mode) && S_ISDIR(r.old_mode)) return make_error(EISDIR, {});
  return {};
}

Task<Result<Attr>> RenameOp::move() {
  Result<Attr> done = make_error(EIO, {});
  if (transactional()) {
    done = co_await run_tx();
  } else {
    done = co_await run_plain();
  }
  co_return done;
}

// ---------------------------------------------------------------- target directory

/// The servers refuse to replace a directory (EEXIST), so an empty one goes first. Not atomic: for
/// a moment the new name does not exist.
Task<Result<Attr>> RenameOp::remove_target_dir() {
  const Ino old = log_.record().old_ino;
  Result<wire::InodeInfo> info = co_await ops_.inode(old);
  if (!info.ok() && info.error().code != ENOENT) co_return fail(info.error());
  if (info.ok()) {
    Result<void> empty = check_empty(*info);
    if (!empty.ok()) co_return fail(empty.error());
  }
  Result<bool> root = co_await ops_.is_quota_root(old);
  if (root.ok() && *root) co_return fail(make_error(EACCES, "root of a directory quota"));
  Result<std::uint64_t> uniq = co_await ops_.uniq_id(old);
  if (!uniq.ok()) co_return fail(uniq.error());
  log_.record().uniq_old = *uniq;
  if (!log_.write(Step::kTargetDentry)) co_return stopped();
  const std::int64_t ctime = info.ok() && ops_.views().delete_lock_hours() > 0 ? info->ctime : 0;
  Answer<wire::InoReply> gone = co_await ops_.delete_dentry(args_.new_dir, args_.new_name, ctime);
  if (!gone.ok() && gone.result != CFS_RC_NOT_EXIST) co_return fail(gone.result, gone.error);
  Result<Attr> done = co_await target_dir_unlink();
  co_return done;
}

Task<Result<Attr>> RenameOp::target_dir_unlink() {
  if (!log_.write(Step::kTargetGone)) co_return stopped();
  const ProgressRecord& r = log_.record();
  Result<Attr> left = co_await take_link(r.old_ino, r.uniq_old, Step::kTargetGone);
  if (!left.ok()) co_return fail(left.error());
  if (left->nlink >= 2) {  // it got an entry since it was looked at
    Result<void> back = co_await restore_target_dir();
    if (!back.ok()) spdlog::error("rename: directory {} lost its name", r.old_ino);
    co_return fail(make_error(ENOTEMPTY, {}));
  }
  removed_dir_ = Attr{.ino = r.old_ino, .mode = r.old_mode};
  Result<Attr> done = co_await start();
  co_return done;
}

Task<Result<void>> RenameOp::restore_target_dir() {
  const ProgressRecord& r = log_.record();
  Result<std::uint64_t> uniq = co_await ops_.uniq_id(r.old_ino);
  if (!uniq.ok()) co_return uniq.error();
  Answer<wire::InodeReply> linked = co_await ops_.link_inode(r.old_ino, *uniq);
  if (!linked.ok()) co_return answer_error(linked.result, linked.error);
  Answer<wire::NoBody> named = co_await ops_.create_dentry(
      args_.new_dir, args_.new_name, r.old_ino, wire::to_go_mode(r.old_mode), quota_ids_);
  if (!named.ok()) co_return answer_error(named.result, named.error);
  co_return Result<void>();
}

Task<Result<Attr>> RenameOp::resume_target_dir() {
  const ProgressRecord& r = log_.record();
  Result<wire::LookupReply> there = co_await ops_.lookup(args_.new_dir, args_.new_name);
  if (!there.ok() && there.error().code != ENOENT) co_return there.error();
  Result<Attr> done = make_error(EIO, {});
  if (there.ok() && there->ino == r.old_ino) {
    done = co_await start();
  } else {
    done = co_await target_dir_unlink();
  }
  co_return done;
}

}  // namespace cfs

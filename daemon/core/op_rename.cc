// SPDX-License-Identifier: Apache-2.0
/// Rename: decisions and target directories; contracts in op_rename.h, resume rules in
/// docs/progress.md.
#include "daemon/core/op_rename.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "daemon/base/when_all.h"
#include "daemon/core/op_unlink.h"

namespace cfs {

RenameOp::RenameOp(MetaOps& ops, Progress& progress, Args args)
    : NameOp(ops, progress, args.trash_print != 0 ? ProgressOp::kTrash : ProgressOp::kRename,
             args.trash_print != 0
                 ? args.trash_print
                 : fingerprint({args.dir, args.new_dir, args.no_replace ? 1u : 0u},
                               {args.name, args.new_name})),
      args_(std::move(args)) {
  if (args_.trash_print != 0) log_.record().new_dir = args_.new_dir;
}

/// What a rename without target answers. A deletion into the trash tells of the inode, whose links
/// the caller must not take for gone.
Attr RenameOp::nothing_replaced() const {
  if (args_.trash_print == 0) return removed_dir_;
  const ProgressRecord& r = log_.record();
  return Attr{.ino = r.ino, .mode = r.mode, .nlink = S_ISDIR(r.mode) ? 2u : 1u};
}

bool RenameOp::replaces_file() const {
  const ProgressRecord& r = log_.record();
  return r.old_ino != 0 && !S_ISDIR(r.old_mode);
}

Task<Result<Attr>> RenameOp::run() {
  Result<QuotaIds> ids = co_await ops_.quotas().ids_of(args_.new_dir);
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
      if (log_.record().err == ESTALE) {
        done = co_await look_again();
      } else {
        done = co_await resume_undo(false);
      }
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

/// Decide on the names, by the caller's hints as far as they go. What no server would check (a
/// refusal, nothing to do, a directory to be removed first) is not decided on hints.
Task<Result<void>> RenameOp::look() {
  const RenameHints hints = std::exchange(args_.hints, RenameHints{});  // believed once
  Result<void> known = co_await ask_names(hints);
  if (!known.ok()) co_return known;
  const ProgressRecord& r = log_.record();
  const bool unchecked = !check_types().ok() || r.old_ino == r.ino || S_ISDIR(r.old_mode);
  const RenameHints none;
  if (hinted() && unchecked) known = co_await ask_names(none);
  if (!known.ok()) co_return known;
  if (S_ISDIR(r.mode)) {
    Result<bool> fixed = co_await ops_.quotas().holds_quota(r.ino);
    if (!fixed.ok()) co_return fixed.error();
    if (*fixed) co_return make_error(EPERM, "the path of a directory quota would change");
  }
  co_return check_types();
}

/// Fill ino, mode, old_ino, old_mode of the record; what is not known is looked up side by side.
Task<Result<void>> RenameOp::ask_names(RenameHints hints) {
  using Reply = Result<wire::LookupReply>;
  std::vector<Task<Reply>> asks;
  const bool ask_src = hints.src == 0 || hints.src_mode == 0;
  if (ask_src) asks.push_back(ops_.lookup(args_.dir, args_.name));
  if (!hints.dst_known) asks.push_back(ops_.lookup(args_.new_dir, args_.new_name));
  const std::vector<Reply> got = co_await when_all<Reply>(ops_.loop(), std::move(asks));
  if (ask_src) {
    if (!got.front().ok()) co_return got.front().error();
    hints.src = got.front()->ino;
    hints.src_mode = wire::from_go_mode(got.front()->mode);
  }
  const bool trusted = !ask_src || hints.dst_known;
  if (!hints.dst_known) {
    const Reply& to = got.back();
    if (!to.ok() && to.error().code != ENOENT) co_return to.error();
    hints.dst = to.ok() ? to->ino : 0;
    hints.dst_mode = to.ok() ? wire::from_go_mode(to->mode) : 0;
  }
  ProgressRecord& r = log_.record();
  r.ino = hints.src;
  r.mode = hints.src_mode;
  r.old_ino = hints.dst;
  r.old_mode = hints.dst == 0 ? 0 : hints.dst_mode;
  r.flags = trusted ? kFromHints : 0;
  co_return Result<void>();
}

/// Begin anew without hints, after the link that was added has been taken away again. The recorded
/// ESTALE tells the next daemon to do the same.
Task<Result<Attr>> RenameOp::look_again() {
  ProgressRecord& r = log_.record();
  r.err = ESTALE;
  if (!log_.write(Step::kUndoUnlink)) co_return stopped();
  Result<Attr> left = co_await take_link(r.ino, r.uniq_unlink, Step::kUndoUnlink);
  if (!left.ok() && ends_here(left.error())) co_return left;
  if (!left.ok()) spdlog::warn("rename: inode {} keeps a link too many", r.ino);
  r.err = 0;
  args_.hints = RenameHints{};
  Result<Attr> done = co_await start();
  co_return done;
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
    Result<void> may = check_empty(*info);
    if (may.ok()) may = check_age(ops_.views(), *info);
    if (!may.ok()) co_return fail(may.error());
  }
  Result<bool> root = co_await ops_.quotas().is_root(old);
  if (root.ok() && *root) co_return fail(make_error(EACCES, "root of a directory quota"));
  Result<std::uint64_t> uniq = co_await ops_.uniq_id(old);
  if (!uniq.ok()) co_return fail(uniq.error());
  log_.record().uniq_old = *uniq;
  if (!log_.write(Step::kTargetDentry)) co_return stopped();
  Answer<wire::NoBody> gone = co_await ops_.delete_dentry(args_.new_dir, args_.new_name, old);
  if (!gone.ok() && gone.result != CFS_RC_NOT_EXIST) co_return fail(gone.result, gone.error);
  Result<Attr> done = make_error(EIO, {});
  if (gone.ok() || gone.lost) {
    done = co_await target_dir_unlink();
  } else {  // it went or was replaced meanwhile
    if (++rounds_ >= kRounds) co_return fail(make_error(EBUSY, "the target changes all the time"));
    done = co_await start();
  }
  co_return done;
}

Task<Result<Attr>> RenameOp::target_dir_unlink() {
  co_await settle_time();
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

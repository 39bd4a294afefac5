// SPDX-License-Identifier: Apache-2.0
/// Rename without transaction: link, new name, old name, unlink, unlink of the replaced inode.
///
/// Purpose  The target name never disappears; in between both names exist and the link count is one
///          too high, which is the safe side: a crash may leak, never lose.
/// Failure  A refusal by the server is undone; an unknown outcome is settled by looking at the
///          names, or left with both names and reported as EIO.
#include <spdlog/spdlog.h>

#include <utility>

#include "daemon/base/when_all.h"
#include "daemon/core/op_rename.h"

namespace cfs {
Task<Result<Attr>> RenameOp::run_plain() {
  ProgressRecord& r = log_.record();
  Result<std::uint64_t> link = co_await ops_.uniq_id(r.ino);
  if (!link.ok()) co_return fail(link.error());
  Result<std::uint64_t> unlink = co_await ops_.uniq_id(r.ino);
  if (!unlink.ok()) co_return fail(unlink.error());
  r.uniq_link = *link;
  r.uniq_unlink = *unlink;
  if (replaces_file()) {
    Result<std::uint64_t> old = co_await ops_.uniq_id(r.old_ino);
    if (!old.ok()) co_return fail(old.error());
    r.uniq_old = *old;
  }
  if (!log_.write(Step::kLinkSent)) co_return stopped();
  Result<Attr> done = co_await add_link();
  co_return done;
}

/// Does the old name still mean what the caller's cache says, and the one to be replaced?
Task<Result<bool>> RenameOp::hints_hold() {
  using Reply = Result<wire::LookupReply>;
  std::vector<Task<Reply>> asks;
  asks.push_back(ops_.lookup(args_.dir, args_.name));
  if (replaces_file()) asks.push_back(ops_.lookup(args_.new_dir, args_.new_name));
  const std::vector<Reply> got = co_await when_all<Reply>(ops_.loop(), std::move(asks));
  const Ino want[] = {log_.record().ino, log_.record().old_ino};
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!got[i].ok() && got[i].error().code != ENOENT) co_return got[i].error();
    if ((got[i].ok() ? got[i]->ino : 0) != want[i]) co_return false;
  }
  co_return true;
}

/// Is there no such name yet? A file whose only link is the old name is not asked about: then the
/// server refuses whatever has the new one.
Task<Result<bool>> RenameOp::new_name_is_free() {
  const ProgressRecord& r = log_.record();
  new_name_unseen_ = S_ISDIR(r.mode) || r.nlink == 2;  // with the link that was added
  if (new_name_unseen_) co_return true;
  const Result<wire::LookupReply> there = co_await ops_.lookup(args_.new_dir, args_.new_name);
  if (!there.ok() && there.error().code != ENOENT) co_return there.error();
  co_return !there.ok();
}

/// The servers compare nothing with a hint: a new name that is our inode's already is Ok to them, and
/// a replaced file loses its name. So hints are checked before a name changes; that costs no
/// round trip, since a link too many can be taken back. Not checked is a new name that should be
/// free, unless the file has a third link.
Task<Result<Attr>> RenameOp::add_link() {
  ProgressRecord& r = log_.record();
  Answer<wire::InodeReply> linked;
  Result<bool> hold = true;
  std::vector<Task<bool>> asks;
  asks.push_back(store_into(ops_.link_inode(r.ino, r.uniq_link), &linked));
  if (hinted()) asks.push_back(store_into(hints_hold(), &hold));
  (void)co_await when_all<bool>(ops_.loop(), std::move(asks));
  Result<Attr> done = make_error(EIO, {});
  if (!linked.ok() && linked.result == CFS_RC_NOT_EXIST && hinted()) {
    done = co_await start();
    co_return done;
  }
  if (!linked.ok()) co_return fail(linked.result, linked.error);
  r.nlink = linked.reply.info.nlink;
  if (hinted() && hold.ok() && *hold && !replaces_file()) hold = co_await new_name_is_free();
  if (!hold.ok()) {
    done = co_await undo_link(hold.error(), false);
  } else if (!*hold) {
    done = co_await look_again();
  } else {
    r.flags = 0;  // known by lookups now
    if (!log_.write(Step::kLinked)) co_return stopped();
    done = co_await make_name();
  }
  co_return done;
}

// ---------------------------------------------------------------- new name

Task<Result<Attr>> RenameOp::make_name() {
  Result<Attr> done = make_error(EIO, {});
  if (replaces_file()) {
    done = co_await swap_name();
  } else {
    done = co_await put_name();
  }
  co_return done;
}

Task<Result<Attr>> RenameOp::put_name() {
  const ProgressRecord& r = log_.record();
  Answer<wire::NoBody> named = co_await ops_.create_dentry(args_.new_dir, args_.new_name, r.ino,
                                                           wire::to_go_mode(r.mode), quota_ids_);
  Result<Attr> done = make_error(EIO, {});
  if (named.ok()) {
    done = co_await remove_old();
  } else {
    done = co_await name_refused(named.result, named.lost, named.error);
  }
  co_return done;
}

Task<Result<Attr>> RenameOp::swap_name() {
  const Ino ino = log_.record().ino;
  Answer<wire::InoReply> swapped = co_await ops_.update_dentry(args_.new_dir, args_.new_name, ino);
  Result<Attr> done = make_error(EIO, {});
  if (!swapped.ok()) {
    done = co_await name_refused(swapped.result, swapped.lost, swapped.error);
    co_return done;
  }
  done = co_await swapped_for(swapped.reply.ino);
  co_return done;
}

/// The new name is ours; `was` is what it meant before. 0 or ours: it did before, by an earlier,
/// lost attempt or because both names mean one file.
Task<Result<Attr>> RenameOp::swapped_for(Ino was) {
  const ProgressRecord& r = log_.record();
  Result<Attr> done = make_error(EIO, {});
  const bool before = was == 0 || was == r.ino;
  if (!before && was != r.old_ino) {
    co_await settle_time();
    Result<wire::InodeInfo> info = co_await ops_.inode(was);
    if (info.ok() && S_ISDIR(wire::from_go_mode(info->mode))) {
      Answer<wire::InoReply> back = co_await ops_.update_dentry(args_.new_dir, args_.new_name, was);
      if (!back.ok())
        spdlog::error("rename: directory {} lost its name: {}", was, back.error.text());
      done = co_await look_again();
      co_return done;
    }
    const bool known = co_await expect_target(was);
    if (!known) spdlog::warn("rename: inode {} was replaced and leaks", was);
  }
  done = co_await remove_old();
  co_return done;
}

/// The target is another one than was seen first: undoing gives the name back to it. False: there is
/// no id to take its link with, which stays then.
Task<bool> RenameOp::expect_target(Ino ino) {
  log_.record().old_ino = ino;
  log_.record().uniq_old = 0;
  Result<std::uint64_t> uniq = co_await ops_.uniq_id(ino);
  if (uniq.ok()) log_.record().uniq_old = *uniq;
  co_return uniq.ok();
}

Task<Result<Attr>> RenameOp::name_refused(std::uint8_t result, bool lost, Error error) {
  if (ends_here(error)) co_return error;
  co_await settle_time();
  ProgressRecord& r = log_.record();
  Result<Attr> done = make_error(EIO, {});
  Result<wire::LookupReply> there = co_await ops_.lookup(args_.new_dir, args_.new_name);
  if (there.ok() && there->ino == r.ino) {
    done = co_await remove_old();
    co_return done;
  }
  if (lost || (!there.ok() && there.error().code != ENOENT)) {
    spdlog::warn("rename: outcome unknown, inode {} keeps a link too many: {}", r.ino,
                 error.text());
    co_return fail(result, error);
  }
  if (there.ok() && std::exchange(new_name_unseen_, false)) {
    done = co_await look_again();
    co_return done;
  }
  const bool there_is_dir = there.ok() && S_ISDIR(wire::from_go_mode(there->mode));
  const bool in_the_way = there_is_dir || (there.ok() && S_ISDIR(r.mode));
  const bool other_target = there.ok() != replaces_file();  // it came or went meanwhile
  if (other_target && !in_the_way && !args_.no_replace && ++rounds_ < kRounds) {
    r.old_ino = 0;
    bool ready = true;
    if (there.ok()) {
      r.old_mode = wire::from_go_mode(there->mode);
      ready = co_await expect_target(there->ino);
    }
    if (ready) {
      done = co_await make_name();
      co_return done;
    }
  }
  Error why = there.ok() ? make_error(EEXIST, error.what) : answer_error(result, error);
  if (there.ok() && S_ISDIR(r.mode) && !there_is_dir && !args_.no_replace) why.code = ENOTDIR;
  done = co_await undo_link(std::move(why), false);
  co_return done;
}

// ---------------------------------------------------------------- old name

Task<Result<Attr>> RenameOp::remove_old() {
  if (!log_.write(Step::kNewNameMade)) co_return stopped();
  const Ino ino = log_.record().ino;
  Answer<wire::NoBody> gone = co_await ops_.delete_dentry(args_.dir, args_.name, ino);
  Result<Attr> done = make_error(EIO, {});
  if (gone.ok()) {
    done = co_await take_own_link();
  } else if (gone.result == CFS_RC_NOT_EXIST) {
    done = co_await old_vanished(gone.lost);
  } else if (gone.lost || ends_here(gone.error)) {
    spdlog::warn("rename: \"{}\" may exist under both names: {}", args_.name, gone.error.text());
    done = fail(gone.result, gone.error);
  } else {
    done = co_await undo_names(answer_error(gone.result, gone.error));
  }
  co_return done;
}

/// The old name is gone without our knowing, or means another file by now: if another client removed
/// it, the link went with it.
Task<Result<Attr>> RenameOp::old_vanished(bool maybe_ours) {
  co_await settle_time();
  const ProgressRecord& r = log_.record();
  bool ours = false;
  if (maybe_ours) {
    const std::uint32_t links = co_await ops_.settled_links(r.ino);
    ours = links != 0 && links >= r.nlink;
  }
  Result<Attr> done = make_error(EIO, {});
  if (ours) {
    done = co_await take_own_link();
  } else {
    done = co_await finish_target();
  }
  co_return done;
}

Task<Result<Attr>> RenameOp::undo_names(Error why) {
  co_await settle_time();
  const bool undone = co_await unmake_name();
  if (!undone) co_return fail(std::move(why));
  Result<Attr> done = co_await undo_link(std::move(why), false);
  co_return done;
}

/// Let the new name mean what it meant before.
Task<bool> RenameOp::unmake_name() {
  const ProgressRecord& r = log_.record();
  std::uint8_t result = CFS_RC_OK;
  if (replaces_file()) {
    Answer<wire::InoReply> back =
        co_await ops_.update_dentry(args_.new_dir, args_.new_name, r.old_ino);
    result = back.result;
  } else {
    Answer<wire::NoBody> back = co_await ops_.delete_dentry(args_.new_dir, args_.new_name, r.ino);
    result = back.result;
  }
  if (result != CFS_RC_OK) spdlog::warn("rename: cannot be undone, inode {} has both names", r.ino);
  co_return result == CFS_RC_OK;
}

// ---------------------------------------------------------------- link counts

Task<Result<Attr>> RenameOp::take_own_link() {
  if (!log_.write(Step::kOldNameGone)) co_return stopped();
  const ProgressRecord& r = log_.record();
  Result<Attr> left = co_await take_link(r.ino, r.uniq_unlink, Step::kOldNameGone);
  if (!left.ok() && ends_here(left.error())) co_return left;
  if (!left.ok()) spdlog::warn("rename: inode {} keeps a link too many", r.ino);
  Result<Attr> done = co_await finish_target();
  co_return done;
}

Task<Result<Attr>> RenameOp::finish_target() {
  if (!replaces_file()) co_return succeed(nothing_replaced());
  const ProgressRecord& r = log_.record();
  if (r.uniq_old == 0) co_return succeed(Attr{.ino = r.old_ino, .mode = r.old_mode, .nlink = 1});
  if (!log_.write(Step::kTargetUnlink)) co_return stopped();
  Result<Attr> left = co_await take_link(r.old_ino, r.uniq_old, Step::kTargetUnlink);
  if (!left.ok() && ends_here(left.error())) co_return left;
  if (!left.ok()) {
    spdlog::warn("rename: replaced inode {} leaks: {}", r.old_ino, left.error().text());
    co_return succeed(Attr{.ino = r.old_ino, .mode = r.old_mode, .nlink = 1});
  }
  if (left->mode == 0) left->mode = r.old_mode;
  co_return succeed(*left);
}

// ---------------------------------------------------------------- resume

Task<Result<Attr>> RenameOp::resume_linked() {
  ProgressRecord& r = log_.record();
  Result<wire::LookupReply> there = co_await ops_.lookup(args_.new_dir, args_.new_name);
  if (!there.ok() && there.error().code != ENOENT) co_return there.error();
  Result<Attr> done = make_error(EIO, {});
  if (there.ok() && there->ino == r.ino) {
    done = co_await remove_old();
    co_return done;
  }
  if (!there.ok()) {
    r.old_ino = 0;
  } else if (there->ino != r.old_ino) {
    r.old_mode = wire::from_go_mode(there->mode);
    const bool known = co_await expect_target(there->ino);
    if (!known || args_.no_replace || S_ISDIR(r.old_mode) || S_ISDIR(r.mode)) {
      done = co_await look_again();
      co_return done;
    }
  }
  done = co_await make_name();
  co_return done;
}

Task<Result<Attr>> RenameOp::resume_named() {
  const Ino ino = log_.record().ino;
  Result<wire::LookupReply> now = co_await ops_.lookup(args_.new_dir, args_.new_name);
  if (!now.ok() && now.error().code != ENOENT) co_return now.error();
  Result<wire::LookupReply> old = co_await ops_.lookup(args_.dir, args_.name);
  if (!old.ok() && old.error().code != ENOENT) co_return old.error();
  const bool new_is_ours = now.ok() && now->ino == ino;
  const bool old_is_ours = old.ok() && old->ino == ino;
  Result<Attr> done = make_error(EIO, {});
  if (new_is_ours && old_is_ours) {
    done = co_await remove_old();
  } else if (new_is_ours) {
    done = co_await old_vanished(true);
  } else if (old_is_ours) {  // undone already, or the new name was taken away by somebody
    done = co_await undo_link(make_error(EIO, "resumed: the new name is gone"), false);
  } else {
    done = co_await take_own_link();
  }
  co_return done;
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Rename with a transaction, the normal case for volumes made by CubeFS 3.3 and later.
///
/// Purpose  The parts are prepared and committed by the new directory's partition. A replaced file
///          is evicted by the server as part of it. The parts of a replacement go side by side. A
///          new name comes only after the old one was ours to take: a server takes a name that has
///          our inode already for ours, and a rollback would remove it though another host made it.
/// Failure  Any part refused: rolled back, and the part's errno. A commit whose outcome is unknown
///          is settled by looking at the names.
#include <spdlog/spdlog.h>

#include "daemon/base/when_all.h"
#include "daemon/core/op_rename.h"

namespace cfs {

bool RenameOp::transactional() const {
  const std::uint8_t mask = ops_.views().tx_mask();
  return mask != wire::kTxMaskPause && (mask & wire::kTxMaskRename) != 0;
}

Task<Result<Attr>> RenameOp::run_tx() {
  Transaction tx(ops_, log_, wire::kTxRename);
  Result<void> ready = tx.add_dentry(args_.dir, args_.name);
  if (ready.ok()) ready = tx.add_dentry(args_.new_dir, args_.new_name);
  if (ready.ok() && replaces_file()) ready = tx.add_inode(log_.record().old_ino);
  if (!ready.ok()) co_return fail(ready.error());
  // the answer tells what is left of a replaced file, which no part of the transaction does
  Result<wire::InodeInfo> old = make_error(ENOENT, {});
  std::vector<Task<bool>> asks;
  asks.push_back(store_into(tx.begin(args_.new_dir), &ready));
  if (replaces_file()) asks.push_back(store_into(ops_.inode(log_.record().old_ino), &old));
  (void)co_await when_all<bool>(ops_.loop(), std::move(asks));
  if (!ready.ok()) co_return fail(ready.error());
  log_.record().nlink = old.ok() && old->nlink > 0 ? old->nlink - 1 : 0;
  if (!log_.write(Step::kTxStarted)) co_return stopped();
  Result<Attr> done = co_await send_parts(tx);
  co_return done;
}

namespace {

wire::TxDeleteDentryReq delete_part(Ino dir, const std::string& name, Ino ino) {
  wire::TxDeleteDentryReq req;
  req.pino = dir;
  req.name = name;
  req.ino = ino;
  return req;
}

wire::TxUpdateDentryReq update_part(Ino dir, const std::string& name, Ino ino, Ino old) {
  wire::TxUpdateDentryReq req;
  req.pino = dir;
  req.name = name;
  req.ino = ino;
  req.old_ino = old;
  return req;
}

wire::TxUnlinkInodeReq unlink_part(Ino ino) {
  wire::TxUnlinkInodeReq req;
  req.ino = ino;
  return req;
}

}  // namespace

Task<std::vector<RawAnswer>> RenameOp::replace_parts(Transaction& tx) {
  const ProgressRecord& r = log_.record();
  std::vector<Task<RawAnswer>> parts;
  parts.push_back(
      tx.part<wire::TxDeleteDentryReq>(args_.dir, delete_part(args_.dir, args_.name, r.ino)));
  parts.push_back(tx.part<wire::TxUpdateDentryReq>(
      args_.new_dir, update_part(args_.new_dir, args_.new_name, r.ino, r.old_ino)));
  parts.push_back(tx.part<wire::TxUnlinkInodeReq>(r.old_ino, unlink_part(r.old_ino)));
  std::vector<RawAnswer> got = co_await when_all<RawAnswer>(ops_.loop(), std::move(parts));
  if (got[2].result == CFS_RC_NOT_EXIST) got[2].result = CFS_RC_OK;
  co_return got;
}

Task<std::vector<RawAnswer>> RenameOp::move_parts(Transaction& tx) {
  const ProgressRecord& r = log_.record();
  std::vector<RawAnswer> got;
  RawAnswer taken = co_await tx.part<wire::TxDeleteDentryReq>(
      args_.dir, delete_part(args_.dir, args_.name, r.ino));
  got.push_back(std::move(taken));
  if (got[0].result != CFS_RC_OK) co_return got;
  wire::TxCreateDentryReq req;
  req.pino = args_.new_dir;
  req.ino = r.ino;
  req.name = args_.new_name;
  req.mode = wire::to_go_mode(r.mode);
  req.quota_ids = quota_ids_;
  RawAnswer named = co_await tx.part<wire::TxCreateDentryReq>(args_.new_dir, std::move(req));
  got.push_back(std::move(named));
  co_return got;
}

Task<Result<Attr>> RenameOp::send_parts(Transaction& tx) {
  std::vector<RawAnswer> got;
  if (replaces_file()) {
    got = co_await replace_parts(tx);
  } else {
    got = co_await move_parts(tx);
  }
  Result<Attr> done = make_error(EIO, {});
  for (const RawAnswer& part : got) {
    if (part.result == CFS_RC_OK) continue;
    co_await tx.rollback();
    const bool changed = got.size() > 1 && target_changed(got[1].result);
    if (hint_was_wrong(part.result) || changed) {
      done = co_await start();
      co_return done;
    }
    co_return fail(part.result, part.error);
  }
  done = co_await end_tx(tx);
  co_return done;
}

/// A part was refused for what the names mean, and that was never asked.
bool RenameOp::hint_was_wrong(std::uint8_t result) const {
  return hinted() &&
         (result == CFS_RC_NOT_EXIST || result == CFS_RC_EXIST || result == CFS_RC_ARG_MISMATCH);
}

/// The new name came or went since it was looked up: look again, a few times.
bool RenameOp::target_changed(std::uint8_t result) {
  const bool came = !replaces_file() && result == CFS_RC_EXIST && !args_.no_replace;
  const bool went = replaces_file() && result == CFS_RC_NOT_EXIST;
  return (came || went) && ++rounds_ < kRounds;
}

Task<Result<Attr>> RenameOp::end_tx(Transaction& tx) {
  if (!log_.write(Step::kTxCommit)) co_return stopped();
  co_await settle_time();
  const RawAnswer committed = co_await tx.commit();
  if (committed.result != CFS_RC_OK) {
    bool moved = committed.lost;
    if (moved) moved = co_await names_moved();
    if (!moved) co_return fail(committed.result, committed.error);
  }
  Result<Attr> done = co_await tx_answer();
  co_return done;
}

Task<bool> RenameOp::names_moved() {
  const Ino ino = log_.record().ino;
  Result<wire::LookupReply> now = co_await ops_.lookup(args_.new_dir, args_.new_name);
  Result<wire::LookupReply> old = co_await ops_.lookup(args_.dir, args_.name);
  const bool old_gone = old.ok() ? old->ino != ino : old.error().code == ENOENT;
  co_return now.ok() && now->ino == ino&& old_gone;
}

Task<Result<Attr>> RenameOp::tx_answer() {
  const ProgressRecord& r = log_.record();
  if (!replaces_file()) co_return succeed(nothing_replaced());
  co_return succeed(Attr{.ino = r.old_ino, .mode = r.old_mode, .nlink = r.nlink});
}

Task<Result<Attr>> RenameOp::resume_tx() {
  Transaction tx(ops_, log_, wire::kTxRename);
  Result<Attr> done = make_error(EIO, {});
  if (log_.found() == Step::kTxCommit) {
    const RawAnswer committed = co_await tx.commit();
    bool moved = committed.result == CFS_RC_OK;
    if (!moved) moved = co_await names_moved();
    if (moved) {
      done = co_await tx_answer();
      co_return done;
    }
  }
  co_await tx.rollback();
  done = co_await start();
  co_return done;
}

}  // namespace cfs

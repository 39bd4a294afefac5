// SPDX-License-Identifier: Apache-2.0
/// Steps of link; contracts in op_link.h, resume rules in docs/progress.md.
#include "daemon/core/op_link.h"

#include <spdlog/spdlog.h>

namespace cfs {

LinkOp::LinkOp(MetaOps& ops, Progress& progress, Ino ino, Ino dir, std::string name)
    : NameOp(ops, progress, ProgressOp::kLink, fingerprint({ino, dir}, {name})),
      ino_(ino),
      dir_(dir),
      name_(std::move(name)) {
  log_.record().ino = ino;
}

Task<Result<Attr>> LinkOp::run() {
  Result<QuotaIds> ids = co_await ops_.quotas().ids_of(dir_);
  if (!ids.ok()) co_return ids.error();
  quota_ids_ = std::move(ids).value();
  Result<Attr> done = make_error(EIO, {});
  switch (log_.found()) {
    case Step::kLinkSent:
      done = co_await add_link();
      break;
    case Step::kLinked:
      done = co_await resume_name();
      break;
    case Step::kUndoUnlink:
      done = co_await resume_undo(false);
      break;
    case Step::kTxStarted:
    case Step::kTxCommit:
      done = co_await resume_tx();
      break;
    case Step::kDone:
      done = co_await replay();
      break;
    default:
      done = co_await start();
  }
  co_return done;
}

Task<Result<Attr>> LinkOp::start() {
  Result<void> may = co_await check();
  if (!may.ok()) co_return fail(may.error());
  const std::uint8_t mask = ops_.views().tx_mask();
  Result<Attr> done = make_error(EIO, {});
  if (mask != wire::kTxMaskPause && (mask & wire::kTxMaskLink) != 0) {
    done = co_await run_tx();
    co_return done;
  }
  may = co_await name_is_free();
  if (!may.ok()) co_return fail(may.error());
  Result<std::uint64_t> link = co_await ops_.uniq_id(ino_);
  if (!link.ok()) co_return fail(link.error());
  Result<std::uint64_t> unlink = co_await ops_.uniq_id(ino_);
  if (!unlink.ok()) co_return fail(unlink.error());
  log_.record().uniq_link = *link;
  log_.record().uniq_unlink = *unlink;
  if (!log_.write(Step::kLinkSent)) co_return stopped();
  done = co_await add_link();
  co_return done;
}

/// Regular files only, as every CubeFS client. An inode without links may be one of O_TMPFILE; for
/// others the kernel refuses (ENOENT) on its own.
Task<Result<void>> LinkOp::check() {
  Result<wire::InodeInfo> info = co_await ops_.inode(ino_);
  if (!info.ok()) co_return info.error();
  log_.record().mode = wire::from_go_mode(info->mode);
  if (!S_ISREG(log_.record().mode)) co_return make_error(EPERM, "not a regular file");
  co_return Result<void>();
}

/// The name is looked up because the server takes a second dentry with the same inode for a
/// repetition: it would leave the count one too high, and in a transaction a rollback would remove
/// the other's name.
Task<Result<void>> LinkOp::name_is_free() {
  Result<wire::LookupReply> there = co_await ops_.lookup(dir_, name_);
  if (there.ok()) co_return make_error(EEXIST, {});
  if (there.error().code != ENOENT) co_return there.error();
  co_return Result<void>();
}

Task<Result<Attr>> LinkOp::add_link() {
  Answer<wire::InodeReply> linked = co_await ops_.link_inode(ino_, log_.record().uniq_link);
  if (!linked.ok()) co_return fail(linked.result, linked.error);
  linked_ = to_attr(linked.reply.info);
  if (!log_.write(Step::kLinked)) co_return stopped();
  Result<Attr> done = co_await make_name();
  co_return done;
}

Task<Result<Attr>> LinkOp::make_name() {
  Answer<wire::NoBody> named = co_await ops_.create_dentry(
      dir_, name_, ino_, wire::to_go_mode(log_.record().mode), quota_ids_);
  Result<Attr> done = make_error(EIO, {});
  if (!named.ok() && ends_here(named.error)) co_return named.error;
  if (!named.ok()) co_await settle_time();
  bool there = named.ok();
  if (!there) there = co_await name_is_there();
  if (there) {
    done = co_await answer();
    co_return done;
  }
  if (named.lost) {
    spdlog::warn("link: outcome unknown, inode {} keeps a link too many: {}", ino_,
                 named.error.text());
    co_return fail(named.result, named.error);
  }
  done = co_await undo_link(answer_error(named.result, named.error), false);
  co_return done;
}

Task<bool> LinkOp::name_is_there() {
  Result<wire::LookupReply> there = co_await ops_.lookup(dir_, name_);
  co_return there.ok() && there->ino == ino_;
}

Task<Result<Attr>> LinkOp::answer() {
  if (linked_ && linked_->ino == ino_) co_return succeed(*linked_);
  Result<wire::InodeInfo> info = co_await ops_.inode(ino_);
  if (!info.ok()) co_return fail(info.error());
  co_return succeed(to_attr(*info));
}

Task<Result<Attr>> LinkOp::resume_name() {
  const bool there = co_await name_is_there();
  Result<Attr> done = make_error(EIO, {});
  if (there) {
    done = co_await answer();
  } else {
    done = co_await make_name();
  }
  co_return done;
}

// ---------------------------------------------------------------- with transaction

Task<Result<Attr>> LinkOp::run_tx() {
  Transaction tx(ops_, log_, wire::kTxLink);
  Result<void> ready = tx.add_inode(ino_);
  if (ready.ok()) ready = tx.add_dentry(dir_, name_);
  if (ready.ok()) ready = co_await tx.begin(dir_);
  if (!ready.ok()) co_return fail(ready.error());
  if (!log_.write(Step::kTxStarted)) co_return stopped();
  Result<void> parts = co_await send_parts(tx);
  if (!parts.ok() && ends_here(parts.error())) co_return parts.error();
  if (!parts.ok()) {
    co_await tx.rollback();
    co_return fail(parts.error());
  }
  if (!log_.write(Step::kTxCommit)) co_return stopped();
  co_await settle_time();
  const RawAnswer committed = co_await tx.commit();
  bool made = committed.result == CFS_RC_OK;
  if (!made && committed.lost) made = co_await name_is_there();
  if (!made) co_return fail(committed.result, committed.error);
  Result<Attr> done = co_await answer();
  co_return done;
}

/// One after the other: the link locks the inode, so that no other host links it from here to the end
/// of the transaction, and only then the name is looked up and made.
Task<Result<void>> LinkOp::send_parts(Transaction& tx) {
  wire::TxLinkInodeReq link;
  link.ino = ino_;
  RawAnswer part = co_await tx.part<wire::TxLinkInodeReq>(ino_, std::move(link));
  if (part.result != CFS_RC_OK) co_return answer_error(part.result, part.error);
  Result<void> free = co_await name_is_free();
  if (!free.ok()) co_return free;
  wire::TxCreateDentryReq name;
  name.pino = dir_;
  name.ino = ino_;
  name.name = name_;
  name.mode = wire::to_go_mode(log_.record().mode);
  name.quota_ids = quota_ids_;
  part = co_await tx.part<wire::TxCreateDentryReq>(dir_, std::move(name));
  if (part.result != CFS_RC_OK) co_return answer_error(part.result, part.error);
  co_return Result<void>();
}

Task<Result<Attr>> LinkOp::resume_tx() {
  Transaction tx(ops_, log_, wire::kTxLink);
  bool made = false;
  if (log_.found() == Step::kTxCommit) {
    const RawAnswer committed = co_await tx.commit();
    made = committed.result == CFS_RC_OK;
    if (!made) made = co_await name_is_there();
  }
  Result<Attr> done = make_error(EIO, {});
  if (made) {
    done = co_await answer();
  } else {
    co_await tx.rollback();
    done = co_await start();
  }
  co_return done;
}

}  // namespace cfs

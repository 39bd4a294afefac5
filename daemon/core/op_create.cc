// SPDX-License-Identifier: Apache-2.0
/// Steps of create; contracts in op_create.h, resume rules in docs/progress.md.
#include "daemon/core/op_create.h"

#include <spdlog/spdlog.h>

#include "daemon/base/when_all.h"

namespace cfs {
namespace {

wire::TxType tx_type(std::uint32_t mode) {
  if (S_ISDIR(mode)) return wire::kTxMkdir;
  if (S_ISLNK(mode)) return wire::kTxSymlink;
  return S_ISREG(mode) ? wire::kTxCreate : wire::kTxMknod;
}

std::uint8_t tx_bit(std::uint32_t mode) {
  if (S_ISDIR(mode)) return wire::kTxMaskMkdir;
  if (S_ISLNK(mode)) return wire::kTxMaskSymlink;
  return S_ISREG(mode) ? wire::kTxMaskCreate : wire::kTxMaskMknod;
}

}  // namespace

CreateOp::CreateOp(MetaOps& ops, Progress& progress, Args args)
    : NameOp(ops, progress, ProgressOp::kCreate,
             fingerprint({args.dir, args.mode}, {args.name, args.target})),
      args_(std::move(args)),
      go_mode_(wire::to_go_mode(args_.mode)) {
  log_.record().mode = args_.mode;
}

bool CreateOp::transactional() const {
  const std::uint8_t mask = ops_.views().tx_mask();
  return mask != wire::kTxMaskPause && (mask & tx_bit(args_.mode)) != 0;
}

NewInode CreateOp::new_inode() const {
  return NewInode{go_mode_, args_.who, args_.target, quota_ids_};
}

Task<Result<Attr>> CreateOp::run() {
  Result<Attr> done = make_error(EIO, {});
  Result<QuotaIds> ids = co_await ops_.quotas().ids_of(args_.dir);
  if (ids.ok()) {
    quota_ids_ = std::move(ids).value();
    done = co_await resume();
  } else {
    done = ids.error();
  }
  const bool answered = done.ok() || !ends_here(done.error());
  if (args_.ahead != nullptr && answered) co_await settle_ahead(done.ok());
  co_return done;
}

/// The inode for the next create goes to the caller. Its number is in the record, since a former daemon
/// may have made it. An error answer cannot carry it.
Task<void> CreateOp::settle_ahead(bool done) {
  Ahead& ahead = *args_.ahead;
  const Ino next = log_.record().old_ino;
  if (done) {
    if (next == 0 || ahead.next) co_return;
    Result<wire::InodeInfo> info = co_await ops_.inode(next);
    if (info.ok()) ahead.next = to_attr(*info);
    co_return;
  }
  ahead.next.reset();
  if (next != 0) co_await give_back(next);
  if (ahead.use && log_.found() == Step::kNone) co_await give_back(ahead.use->ino);
}

Task<void> CreateOp::give_back(Ino ino) {
  co_await settle_time();
  Result<wire::InodeInfo> info = co_await ops_.inode(ino);  // a former daemon may have done it
  if (!info.ok() || info->nlink != 1) co_return;
  Result<std::uint64_t> uniq = co_await ops_.uniq_id(ino);
  Answer<wire::InodeReply> left;
  if (uniq.ok()) left = co_await ops_.unlink_inode(ino, *uniq);
  if (left.ok()) (void)co_await ops_.evict(ino);
  if (!left.ok()) spdlog::warn("create: inode {} was made ahead of its name and leaks", ino);
}

Task<Result<Attr>> CreateOp::resume() {
  switch (log_.found()) {
    case Step::kInodeMade: {
      Result<Attr> done = co_await resume_name();
      co_return done;
    }
    case Step::kUndoUnlink:
    case Step::kUndoEvict: {
      Result<Attr> done = co_await resume_undo(true);
      co_return done;
    }
    case Step::kTxStarted:
    case Step::kTxCommit: {
      Result<Attr> done = co_await resume_tx();
      co_return done;
    }
    case Step::kDone: {
      Result<Attr> done = co_await replay();
      co_return done;
    }
    case Step::kInodeSent:
      spdlog::warn("create: resumed before the new inode was known, it leaks");
      [[fallthrough]];
    default: {
      Result<Attr> done = co_await start();
      co_return done;
    }
  }
}

Task<Result<Attr>> CreateOp::start() {
  if (args_.ahead != nullptr && args_.ahead->use) {
    made_ = std::exchange(args_.ahead->use, std::nullopt);
    log_.record().ino = made_->ino;
    if (!log_.write(Step::kInodeMade)) co_return stopped();
    Result<Attr> done = co_await make_name();
    co_return done;
  }
  if (transactional()) {
    Result<Attr> done = co_await run_tx();
    co_return done;
  }
  Result<Attr> done = co_await make_inode();
  co_return done;
}

// ---------------------------------------------------------------- without transaction

Task<Result<Attr>> CreateOp::make_inode() {
  if (!log_.write(Step::kInodeSent)) co_return stopped();
  Answer<wire::InodeReply> made = co_await ops_.create_inode(new_inode());
  if (!made.ok()) co_return fail(made.result, made.error);
  log_.record().ino = made.reply.info.ino;
  made_ = to_attr(made.reply.info);
  if (!log_.write(Step::kInodeMade)) co_return stopped();
  Result<Attr> done = co_await make_name();
  co_return done;
}

/// False: abandoned. A failure is none of this create's.
Task<bool> CreateOp::make_next() {
  Answer<wire::InodeReply> made = co_await ops_.create_inode(new_inode());
  if (!made.ok()) co_return true;
  args_.ahead->next = to_attr(made.reply.info);
  log_.record().old_ino = args_.ahead->next->ino;
  co_return log_.write(Step::kInodeMade);
}

Task<Answer<wire::NoBody>> CreateOp::put_name() {
  const Ino ino = log_.record().ino;
  if (args_.ahead == nullptr || !args_.ahead->more || log_.record().old_ino != 0) {
    co_return co_await ops_.create_dentry(args_.dir, args_.name, ino, go_mode_, quota_ids_);
  }
  constexpr std::int64_t kNextMs = 2000;  // this create's answer waits for it
  Answer<wire::NoBody> named;
  bool going_on = true;
  std::vector<Task<bool>> parts;
  parts.push_back(
      store_into(ops_.create_dentry(args_.dir, args_.name, ino, go_mode_, quota_ids_), &named));
  parts.push_back(store_into(make_next().until(Loop::now_ms() + kNextMs), &going_on));
  (void)co_await when_all<bool>(ops_.loop(), std::move(parts));
  abandoned_ = !going_on;
  co_return named;
}

Task<Result<Attr>> CreateOp::make_name() {
  Answer<wire::NoBody> named = co_await put_name();
  if (abandoned_) co_return stopped();
  if (!named.ok()) {
    Result<Attr> done = co_await name_refused(named.result, named.lost, named.error);
    co_return done;
  }
  Result<Attr> done = co_await answer();
  co_return done;
}

/// The name could not be made: is it there all the same? Is the inode ours to remove?
Task<Result<Attr>> CreateOp::name_refused(std::uint8_t result, bool lost, Error error) {
  if (ends_here(error)) co_return error;
  co_await settle_time();
  const Ino ino = log_.record().ino;
  Result<wire::LookupReply> there = co_await ops_.lookup(args_.dir, args_.name);
  if (there.ok() && there->ino == ino) {
    Result<Attr> done = co_await answer();
    co_return done;
  }
  const bool other_there = there.ok();
  if (lost && !other_there) {
    spdlog::warn("create: outcome of the name unknown, inode {} leaks: {}", ino, error.text());
    co_return fail(result, error);
  }
  Error why = other_there ? make_error(EEXIST, error.what) : answer_error(result, error);
  if (result == CFS_RC_ARG_MISMATCH && !other_there) why.code = ENOTDIR;
  Result<Attr> done = co_await undo_link(std::move(why), true);
  co_return done;
}

Task<Result<Attr>> CreateOp::answer() {
  const Ino ino = log_.record().ino;
  if (made_ && made_->ino == ino) co_return succeed(*made_);
  Result<wire::InodeInfo> info = co_await ops_.inode(ino);
  if (!info.ok()) co_return fail(info.error());
  co_return succeed(to_attr(*info));
}

/// The inode exists; the name may. When it was made and removed again by somebody, begin anew.
Task<Result<Attr>> CreateOp::resume_name() {
  const Ino ino = log_.record().ino;
  Result<wire::LookupReply> there = co_await ops_.lookup(args_.dir, args_.name);
  if (!there.ok() && there.error().code != ENOENT) co_return there.error();
  if (there.ok() && there->ino == ino) {
    Result<Attr> done = co_await answer();
    co_return done;
  }
  Result<wire::InodeInfo> info = co_await ops_.inode(ino);
  const bool gone = info.ok() ? info->nlink == 0 : info.error().code == ENOENT;
  if (!info.ok() && !gone) co_return info.error();
  Result<Attr> done = make_error(EIO, {});
  if (gone) {
    done = co_await start();
  } else {
    done = co_await make_name();
  }
  co_return done;
}

// ---------------------------------------------------------------- with transaction

Task<Result<Attr>> CreateOp::run_tx() {
  Result<Attr> done = make_error(ENOMEM, "no meta partition takes new inodes");
  const std::int64_t whole = co_await this_deadline();
  const std::int64_t deadline = ops_.client().last_moment(whole);
  const std::size_t most = ops_.client().create_choices() + 1;
  for (std::size_t i = 0; i < most && Loop::now_ms() < deadline; ++i) {
    const std::uint64_t partition = ops_.client().next_for_create();
    if (partition == 0) break;
    last_result_ = CFS_RC_OK;
    const std::int64_t left = std::max<std::int64_t>(1, deadline - Loop::now_ms());
    done = co_await try_tx(partition, left);
    if (last_result_ == CFS_RC_OK) co_return done;
    if (refused_for_good(last_result_)) break;
    ops_.client().penalise(partition, 30000);
    if (last_result_ == CFS_RC_INODE_FULL) (void)co_await ops_.views().refresh_meta();
  }
  co_return fail(done.error());
}

/// Coordinator is the new inode's partition; inode key 0 stands for the inode to come. With last_result_
/// set, nothing was made and nothing is recorded: another partition may be tried.
Task<Result<Attr>> CreateOp::try_tx(std::uint64_t partition, std::int64_t left_ms) {
  Transaction tx(ops_, log_, tx_type(args_.mode));
  Result<void> added = tx.add_dentry(args_.dir, args_.name);
  if (!added.ok()) co_return fail(added.error());
  wire::TxCreateInodeReq req;
  req.mode = go_mode_;
  req.uid = args_.who.uid;
  req.gid = args_.who.gid;
  req.target = args_.target;
  req.quota_ids = quota_ids_;
  req.storage_type = ops_.views().last_stat().default_storage_class;
  req.tx = tx.draft(partition);
  const std::shared_ptr<const MetaView> view = ops_.views().meta();
  const MetaPartition* home = view->by_id(partition);
  wire::TxInodeInfo& item = req.tx->inodes[0];
  item.mp_id = partition;
  if (home != nullptr) item.mp_members = home->member_list();
  if (!log_.write(Step::kInodeSent)) co_return stopped();
  CallMode mode;
  mode.budget_ms = ops_.create_budget_ms(left_ms);
  Answer<wire::TxInodeReply> made =
      co_await ops_.client().send<wire::TxCreateInodeReq>(partition, std::move(req), mode);
  if (!made.ok()) {
    last_result_ = made.result;
    tell_quota(made.result, quota_ids_, &made.error);
    if (made.result == CFS_RC_NOT_EXIST) made.error.code = EDQUOT;  // as in MetaOps::create_inode
    co_return answer_error(made.result, made.error);
  }
  Result<void> known = tx.adopt(partition, std::move(made.reply.tx));
  if (!known.ok()) co_return fail(known.error());
  log_.record().ino = made.reply.info.ino;
  if (log_.record().ino == 0) {  // some releases tell the number only in the transaction
    for (const auto& [ino, unused] : tx.info().inodes) log_.record().ino = ino;
  }
  if (!log_.write(Step::kTxStarted)) co_return stopped();
  Result<Attr> done = co_await end_tx(tx);
  co_return done;
}

Task<Result<Attr>> CreateOp::end_tx(Transaction& tx) {
  wire::TxCreateDentryReq req;
  req.pino = args_.dir;
  req.ino = log_.record().ino;
  req.name = args_.name;
  req.mode = go_mode_;
  req.quota_ids = quota_ids_;
  RawAnswer named = co_await tx.part<wire::TxCreateDentryReq>(args_.dir, std::move(req));
  if (named.result != CFS_RC_OK) {
    co_await tx.rollback();
    if (named.result == CFS_RC_ARG_MISMATCH) {  // a name of another type, or no directory
      Result<wire::LookupReply> other = co_await ops_.lookup(args_.dir, args_.name);
      co_return fail(make_error(other.ok() ? EEXIST : ENOTDIR, named.error.what));
    }
    co_return fail(named.result, named.error);
  }
  if (!log_.write(Step::kTxCommit)) co_return stopped();
  co_await settle_time();
  RawAnswer committed = co_await tx.commit();
  Result<wire::LookupReply> there = make_error(ENOENT, {});
  if (committed.result != CFS_RC_OK) {  // did an earlier, lost commit do it?
    there = co_await ops_.lookup(args_.dir, args_.name);
    const bool done_before = there.ok() && there->ino == log_.record().ino;
    if (!done_before) co_return fail(committed.result, committed.error);
  }
  Result<Attr> done = co_await answer();
  co_return done;
}

Task<Result<Attr>> CreateOp::resume_tx() {
  Transaction tx(ops_, log_, tx_type(args_.mode));
  bool done_before = false;
  if (log_.found() == Step::kTxCommit) {
    const RawAnswer committed = co_await tx.commit();
    done_before = committed.result == CFS_RC_OK;
    Result<wire::LookupReply> there = make_error(ENOENT, {});
    if (!done_before) there = co_await ops_.lookup(args_.dir, args_.name);
    done_before = done_before || (there.ok() && there->ino == log_.record().ino);
  }
  Result<Attr> done = make_error(EIO, {});
  if (done_before) {
    done = co_await answer();
  } else {
    co_await tx.rollback();
    done = co_await start();
  }
  co_return done;
}

}  // namespace cfs

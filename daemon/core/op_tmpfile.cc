// SPDX-License-Identifier: Apache-2.0
/// Steps of a nameless file; contracts in op_tmpfile.h, resume rules in docs/progress.md.
#include "daemon/core/op_tmpfile.h"

#include <spdlog/spdlog.h>

namespace cfs {

TmpfileOp::TmpfileOp(MetaOps& ops, Progress& progress, Ino dir, std::uint32_t mode, Caller who)
    : NameOp(ops, progress, ProgressOp::kTmpfile, fingerprint({dir, mode}, {})),
      dir_(dir),
      mode_(mode),
      who_(who) {
  log_.record().mode = mode;
}

Task<Result<Attr>> TmpfileOp::run() {
  Result<Attr> done = make_error(EIO, {});
  switch (log_.found()) {
    case Step::kUnlinkSent:
      done = co_await drop_link();
      break;
    case Step::kDone:
      done = co_await replay();
      break;
    case Step::kInodeSent:
      spdlog::warn("tmpfile: resumed before the new inode was known, it leaks");
      [[fallthrough]];
    default:
      done = co_await start();
  }
  co_return done;
}

Task<Result<Attr>> TmpfileOp::start() {
  Result<QuotaIds> ids = co_await ops_.quotas().ids_of(dir_);
  if (!ids.ok()) co_return ids.error();
  if (!log_.write(Step::kInodeSent)) co_return stopped();
  NewInode what{wire::to_go_mode(mode_), who_, {}, std::move(*ids)};
  Answer<wire::InodeReply> made = co_await ops_.create_inode(std::move(what));
  if (!made.ok()) co_return fail(made.result, made.error);
  ProgressRecord& r = log_.record();
  r.ino = made.reply.info.ino;
  Result<std::uint64_t> uniq = co_await ops_.uniq_id(r.ino);
  r.uniq_unlink = uniq.ok() ? *uniq : 0;
  if (!log_.write(Step::kUnlinkSent)) co_return stopped();
  Result<Attr> done = co_await drop_link();
  co_return done;
}

Task<Result<Attr>> TmpfileOp::drop_link() {
  const ProgressRecord& r = log_.record();
  Result<Attr> left = co_await take_link(r.ino, r.uniq_unlink, Step::kUnlinkSent);
  if (!left.ok() && ends_here(left.error())) co_return left;
  if (!left.ok()) {
    spdlog::warn("tmpfile: inode {} leaks: {}", r.ino, left.error().text());
    co_return fail(left.error());
  }
  if (left->mode == 0) co_return fail(make_error(EIO, "the new inode vanished"));
  co_return succeed(*left);
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Shared steps of name operations; contracts in op_base.h.
#include "daemon/core/op_base.h"

#include <spdlog/spdlog.h>

namespace cfs {

Task<Result<Attr>> NameOp::take_link(Ino ino, std::uint64_t uniq, Step sent_at) {
  co_await settle_time();
  if (log_.found() == sent_at && log_.found_age_s() > kUniqMemoryS) {
    Result<wire::InodeInfo> info = co_await ops_.inode(ino);
    if (info.ok() && info->nlink > 0) {
      spdlog::warn("inode {}: its link count may be one too high (resumed after {} s)", ino,
                   log_.found_age_s());
    }
    if (info.ok()) co_return to_attr(*info);
    co_return Attr{.ino = ino};
  }
  Answer<wire::InodeReply> got = co_await ops_.unlink_inode(ino, uniq);
  if (got.ok()) co_return to_attr(got.reply.info);
  if (got.result != CFS_RC_NOT_EXIST) co_return answer_error(got.result, got.error);
  co_return Attr{.ino = ino};
}

Task<Result<Attr>> NameOp::undo_link(Error why, bool evict) {
  co_await settle_time();
  ProgressRecord& r = log_.record();
  r.err = why.code;
  if (r.uniq_unlink == 0) {  // a create asks for an id only now: it seldom needs one
    Result<std::uint64_t> uniq = co_await ops_.uniq_id(r.ino);
    r.uniq_unlink = uniq.ok() ? *uniq : 0;
  }
  if (!log_.write(Step::kUndoUnlink)) co_return stopped();
  Result<Attr> left = co_await take_link(r.ino, r.uniq_unlink, Step::kUndoUnlink);
  if (!left.ok() && ends_here(left.error())) co_return left;
  if (!left.ok()) spdlog::warn("undo: inode {} leaks a link: {}", r.ino, left.error().text());
  if (evict && left.ok() && left->nlink == 0) {
    Result<Attr> evicted = co_await undo_evict();
    if (!evicted.ok()) co_return evicted;
  }
  co_return fail(std::move(why));
}

Task<Result<Attr>> NameOp::undo_evict() {
  if (!log_.write(Step::kUndoEvict)) co_return stopped();
  (void)co_await ops_.evict(log_.record().ino);  // the server purges what is left after a day
  co_return Attr{};
}

Task<Result<Attr>> NameOp::resume_undo(bool evict) {
  Error why = make_error(log_.record().err, "resumed: had to be undone");
  if (log_.found() == Step::kUndoEvict) {
    (void)co_await ops_.evict(log_.record().ino);
    co_return fail(std::move(why));
  }
  Result<Attr> done = co_await undo_link(std::move(why), evict);
  co_return done;
}

Task<Result<Attr>> NameOp::replay() {
  const ProgressRecord& r = log_.record();
  if (r.err != 0) co_return make_error(r.err, "resumed: already decided");
  Result<wire::InodeInfo> info = co_await ops_.inode(r.ino);
  if (info.ok()) co_return to_attr(*info);
  Attr attr;
  attr.ino = r.ino;
  attr.nlink = r.nlink;
  attr.mode = r.mode;
  co_return attr;
}

}  // namespace cfs

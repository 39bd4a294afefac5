// SPDX-License-Identifier: Apache-2.0
/// What the operations that change names have in common.
///
/// Purpose  Each operation is a small object with one method per step. A step stores its progress
///          record, sends one RPC and decides; `stopped()` is the answer of an operation that a
///          test abandoned.
/// Threads  The loop's.
/// Lifetime Lives in the frame of the volume's method.
/// Failure  Results are stored as the last step, so that the next daemon repeats the same answer.
#pragma once

#include "daemon/core/meta_ops.h"

namespace cfs {

/// `co_await settle_time()`: time to finish or to take back what cannot stay as it is, when the
/// operation's is over.
inline auto settle_time() {
  constexpr std::int64_t kSettleMs = 5000;
  return grant_until(Loop::now_ms() + kSettleMs);
}

class NameOp {
 protected:
  NameOp(MetaOps& ops, Progress& progress, ProgressOp op, std::uint64_t print)
      : ops_(ops), log_(progress, op, print, &ops.progress_hook) {}

  /// Servers remember unique ids for 300 s: after this age a repeated unlink might count twice.
  static constexpr std::int64_t kUniqMemoryS = 240;

  static Error stopped() { return make_error(ECANCELED, "abandoned"); }
  /// Finish with success.
  Result<Attr> succeed(Attr attr) {
    if (!log_.finish(0, attr.ino, attr.nlink)) return stopped();
    return attr;
  }
  /// Finish with an error. One that only says that this daemon ends is not an answer: the next
  /// daemon goes on from the last step.
  Result<Attr> fail(Error error) {
    if (ends_here(error)) return error;
    if (!log_.finish(error.code, log_.record().ino, 0)) return stopped();
    return error;
  }
  Result<Attr> fail(std::uint8_t result, const Error& error) {
    return fail(answer_error(result, error));
  }

  static bool ends_here(const Error& error) {
    return error.code == ESHUTDOWN || error.code == ECANCELED;
  }

  /// UnlinkInode. `uniq` may have been sent by a former daemon when the record was found at
  /// `sent_at`: then it is not repeated once the server has forgotten it.
  Task<Result<Attr>> take_link(Ino ino, std::uint64_t uniq, Step sent_at);
  /// Give up: take the link of record().ino again (EvictInode too when `evict`), then fail.
  Task<Result<Attr>> undo_link(Error why, bool evict);
  Task<Result<Attr>> resume_undo(bool evict);
  /// The answer a former daemon had already decided on.
  Task<Result<Attr>> replay();

  MetaOps& ops_;
  ProgressLog log_;

 private:
  Task<Result<Attr>> undo_evict();
};

}  // namespace cfs

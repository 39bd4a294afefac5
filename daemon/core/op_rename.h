// SPDX-License-Identifier: Apache-2.0
/// Rename a name, replacing another one if need be.
///
/// Purpose  Transactional where the volume says so (new volumes do), else: one link more, new name,
///          old name away, the link away, the replaced inode's link away; undone step by step on a
///          refusal. An empty target directory is removed first.
///          With the caller's hints nothing waits for lookups. In a transaction the server compares
///          them; else the old name and one that is replaced are looked up beside the first request,
///          before any name changes. Stale ones are undone, and the rename begins anew with lookups.
/// Threads  The loop's. Lifetime  One call.
/// Failure  ENOENT, EEXIST (no_replace), ENOTDIR, EISDIR, ENOTEMPTY and what the server says.
/// Source   CubeFS v3.5.3 sdk/meta/api.go (rename_ll, txRename_ll); POSIX rename.
#pragma once

#include "daemon/core/op_base.h"
#include "daemon/core/transaction.h"

namespace cfs {

class RenameOp final : NameOp {
 public:
  struct Args {
    Ino dir;
    std::string name;
    Ino new_dir;
    std::string new_name;
    bool no_replace;
    RenameHints hints;
    std::uint64_t trash_print = 0;  ///< fingerprint of the deletion that this is, see trash.h
  };
  RenameOp(MetaOps& ops, Progress& progress, Args args);
  /// Attributes of the replaced inode, ino 0 when there was none; of a deletion into the trash those
  /// of the moved inode.
  Task<Result<Attr>> run();

 private:
  // op_rename.cc: what is to be done
  Task<Result<Attr>> start();
  Task<Result<void>> look();
  Task<Result<void>> ask_names(RenameHints hints);
  Task<Result<Attr>> look_again();
  [[nodiscard]] bool hinted() const { return (log_.record().flags & kFromHints) != 0; }
  [[nodiscard]] Result<void> check_types() const;
  Task<Result<Attr>> move();
  [[nodiscard]] bool replaces_file() const;
  [[nodiscard]] Attr nothing_replaced() const;
  Task<Result<Attr>> remove_target_dir();
  Task<Result<Attr>> target_dir_unlink();
  Task<Result<void>> restore_target_dir();
  Task<Result<Attr>> resume();
  Task<Result<Attr>> resume_target_dir();

  // op_rename_plain.cc: without transaction
  Task<Result<Attr>> run_plain();
  Task<Result<bool>> hints_hold();
  Task<Result<bool>> new_name_is_free();
  Task<Result<Attr>> add_link();
  Task<Result<Attr>> make_name();
  Task<Result<Attr>> put_name();
  Task<Result<Attr>> swap_name();
  Task<Result<Attr>> name_refused(std::uint8_t result, bool lost, Error error);
  Task<Result<Attr>> remove_old();
  Task<Result<Attr>> old_vanished(bool maybe_ours);
  Task<Result<Attr>> swapped_for(Ino was);
  Task<Result<Attr>> undo_names(Error why);
  Task<bool> unmake_name();
  Task<Result<Attr>> take_own_link();
  Task<Result<Attr>> finish_target();
  Task<bool> expect_target(Ino ino);
  Task<Result<Attr>> resume_linked();
  Task<Result<Attr>> resume_named();

  // op_rename_tx.cc: with transaction
  [[nodiscard]] bool transactional() const;
  Task<Result<Attr>> run_tx();
  Task<std::vector<RawAnswer>> replace_parts(Transaction& tx);
  Task<std::vector<RawAnswer>> move_parts(Transaction& tx);
  Task<Result<Attr>> send_parts(Transaction& tx);
  bool target_changed(std::uint8_t result);
  [[nodiscard]] bool hint_was_wrong(std::uint8_t result) const;
  Task<Result<Attr>> end_tx(Transaction& tx);
  Task<Result<Attr>> tx_answer();
  Task<bool> names_moved();
  Task<Result<Attr>> resume_tx();

  static constexpr int kRounds = 3;  ///< looks at a target that changes

  Args args_;
  QuotaIds quota_ids_;
  Attr removed_dir_;              ///< target directory that was removed first
  int rounds_ = 0;                ///< how often the target changed under us
  bool new_name_unseen_ = false;  ///< that there is none is a hint
};

}  // namespace cfs

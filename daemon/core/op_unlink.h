// SPDX-License-Identifier: Apache-2.0
/// Remove a name: unlink and rmdir.
///
/// Purpose  Name first, link count second; with transactions both in one. The inode itself is
///          evicted later, when nobody has it open.
///          The server removes a name only while it means the inode that was looked at. With a
///          caller's hint no lookup is sent for a file, and the only link of one that nobody has open
///          may be taken later, by EvictLinkOp.
/// Threads  The loop's. Lifetime  One call.
/// Failure  ENOENT, EISDIR, ENOTDIR, ENOTEMPTY, EPERM (delete lock), EACCES (root of a quota). A
///          link count that could not be lowered is logged, not reported: the name is gone.
/// Source   CubeFS v3.5.3 sdk/meta/api.go (Delete_ll), client/fs/dir.go (Remove); POSIX unlink,
///          rmdir.
#pragma once

#include "daemon/core/op_base.h"
#include "daemon/core/transaction.h"

namespace cfs {

/// What is to be removed.
struct Removal {
  Ino ino = 0;
  std::uint32_t mode = 0;  ///< st_mode
};

/// Look at it and refuse what may not be removed. A name without an inode may always be.
Task<Result<Removal>> check_removal(MetaOps& ops, Ino dir, std::string name, bool is_dir);

class UnlinkOp final : NameOp {
 public:
  UnlinkOp(MetaOps& ops, Progress& progress, Ino dir, std::string name, bool is_dir,
           UnlinkHints hints);
  Task<Result<Attr>> run();

 private:
  Task<Result<Attr>> start();
  Task<Result<void>> check();
  [[nodiscard]] bool hinted() const { return (log_.record().flags & kFromHints) != 0; }
  Task<Result<Attr>> remove_name();
  Task<Result<Attr>> name_refused(std::uint8_t result, bool lost, Error error);
  Task<Result<Attr>> hint_lost();
  Task<Result<Attr>> remove_link();
  Result<Attr> leave_link();
  Result<Attr> left_answer() const;
  Task<Result<Attr>> restore(Ino ino);
  Task<Result<Attr>> restore_name(Ino ino);
  Task<Result<Attr>> resume_name();
  Task<Result<Attr>> run_tx();
  Task<Result<Attr>> send_parts(Transaction& tx);
  Task<Result<Attr>> end_tx(Transaction& tx);
  Task<Result<Attr>> tx_answer();
  Task<Result<Attr>> resume_tx();

  static constexpr int kRounds = 3;  ///< looks at a name that changes

  Ino dir_;
  std::string name_;
  bool is_dir_;
  UnlinkHints hints_;  ///< `known` is believed once
  int rounds_ = 0;     ///< how often the name changed under us
};

/// Take the link that an UnlinkOp left, then evict. An error: the inode keeps its link; EvictInode's
/// are the servers', who purge what has no link.
class EvictLinkOp final : NameOp {
 public:
  EvictLinkOp(MetaOps& ops, Progress& progress, Ino ino);
  Task<Result<Attr>> run();

 private:
  Result<Attr> keep_link(const Error& why);

  Ino ino_;
};

/// ENOTEMPTY when a directory has entries. nlink of a directory is 2 + entries.
/// Source: CubeFS metanode/partition_fsmop_dentry.go.
Result<void> check_empty(const wire::InodeInfo& dir);

/// EPERM while the volume's delete lock protects the inode, by our clock or by the server's, which
/// the time of access in its answer is. Source: CubeFS metanode/partition_fsmop_inode.go
/// (getInodeExt), partition_op_dentry.go (DeleteDentry).
Result<void> check_age(const ViewKeeper& views, const wire::InodeInfo& info);

}  // namespace cfs

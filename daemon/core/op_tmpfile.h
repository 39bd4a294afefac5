// SPDX-License-Identifier: Apache-2.0
/// Create a file without a name (O_TMPFILE).
///
/// Purpose  CreateInode, then UnlinkInode: an inode with link count 0 is purged by the servers a
///          day later whatever becomes of this client, one with link count 1 would stay for ever.
///          LinkInode raises the count again, so that the file can be named as POSIX allows.
/// Threads  The loop's. Lifetime  One call.
/// Failure  As create. An inode whose link could not be taken leaks and is logged.
/// Source   CubeFS v3.5.3 metanode/partition_fsmop_inode.go (fsmUnlinkInode, fsmCreateLinkInode),
///          metanode/partition_free_list.go; open(2), O_TMPFILE.
#pragma once

#include "daemon/core/op_base.h"

namespace cfs {

class TmpfileOp final : NameOp {
 public:
  TmpfileOp(MetaOps& ops, Progress& progress, Ino dir, std::uint32_t mode, Caller who);
  /// Attributes of the new inode, nlink 0.
  Task<Result<Attr>> run();

 private:
  Task<Result<Attr>> start();
  Task<Result<Attr>> drop_link();

  Ino dir_;
  std::uint32_t mode_;
  Caller who_;
};

}  // namespace cfs

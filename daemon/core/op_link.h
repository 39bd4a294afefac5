// SPDX-License-Identifier: Apache-2.0
/// Make a hard link.
///
/// Purpose  Link count first, name second; a refused name takes the link back.
/// Threads  The loop's. Lifetime  One call.
/// Failure  EPERM (not a regular file), EEXIST, ENOENT and what the server says.
/// Source   CubeFS v3.5.3 sdk/meta/api.go (link); POSIX link.
#pragma once

#include "daemon/core/op_base.h"
#include "daemon/core/transaction.h"

namespace cfs {

class LinkOp final : NameOp {
 public:
  LinkOp(MetaOps& ops, Progress& progress, Ino ino, Ino dir, std::string name);
  /// Attributes of the inode with its new link count.
  Task<Result<Attr>> run();

 private:
  Task<Result<Attr>> start();
  Task<Result<void>> check();
  Task<Result<void>> name_is_free();
  Task<Result<Attr>> add_link();
  Task<Result<Attr>> make_name();
  Task<Result<Attr>> resume_name();
  Task<Result<Attr>> answer();
  Task<Result<Attr>> run_tx();
  Task<Result<void>> send_parts(Transaction& tx);
  Task<Result<Attr>> resume_tx();
  Task<bool> name_is_there();

  Ino ino_;
  Ino dir_;
  std::string name_;
  QuotaIds quota_ids_;
  std::optional<Attr> linked_;  ///< what the server told after the link
};

}  // namespace cfs

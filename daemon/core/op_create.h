// SPDX-License-Identifier: Apache-2.0
/// Create a file, directory, symbolic link, fifo or socket.
///
/// Purpose  Inode first, name second; with transactions both in one. An inode whose name could not
///          be made is removed again, unless the name may have been made after all. With Ahead
///          the inode may be one that an earlier create has made, and this one may make another
///          beside its name; with transactions it makes none.
/// Threads  The loop's. Lifetime  One call.
/// Failure  EEXIST, EDQUOT, ENOSPC, ENOMEM (no free inode numbers) and what the server says.
/// Source   CubeFS v3.5.3 sdk/meta/api.go (create_ll, txCreate_ll).
#pragma once

#include "daemon/core/op_base.h"
#include "daemon/core/transaction.h"

namespace cfs {

class CreateOp final : NameOp {
 public:
  struct Args {
    Ino dir;
    std::string name;
    std::uint32_t mode;  ///< st_mode
    std::string target;
    Caller who;
    Ahead* ahead = nullptr;
  };
  CreateOp(MetaOps& ops, Progress& progress, Args args);
  Task<Result<Attr>> run();

 private:
  Task<Result<Attr>> resume();
  Task<Result<Attr>> start();
  Task<Result<Attr>> make_inode();
  Task<Result<Attr>> make_name();
  Task<bool> make_next();
  Task<Answer<wire::NoBody>> put_name();
  Task<Result<Attr>> name_refused(std::uint8_t result, bool lost, Error error);
  Task<Result<Attr>> resume_name();
  Task<void> settle_ahead(bool done);
  Task<void> give_back(Ino ino);
  [[nodiscard]] bool transactional() const;
  Task<Result<Attr>> run_tx();
  Task<Result<Attr>> try_tx(std::uint64_t partition, std::int64_t left_ms);
  Task<Result<Attr>> end_tx(Transaction& tx);
  Task<Result<Attr>> resume_tx();
  Task<Result<Attr>> answer();
  [[nodiscard]] NewInode new_inode() const;

  Args args_;
  std::uint32_t go_mode_;
  QuotaIds quota_ids_;
  std::optional<Attr> made_;                ///< what the server told of the new inode
  bool abandoned_ = false;                  ///< in make_next(), by a test
  std::uint8_t last_result_ = CFS_RC_INIT;  ///< of TxCreateInode
};

}  // namespace cfs

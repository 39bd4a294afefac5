// SPDX-License-Identifier: Apache-2.0
/// One CubeFS transaction: begin, parts in parallel, commit or roll back, resume.
///
/// Purpose  What all transactional operations share. The coordinator is the partition of `home`.
/// Threads  The loop's.
/// Lifetime Within one operation; the server rolls an abandoned transaction back after its timeout.
/// Failure  Any part that is not Ok leads to a rollback, unlike the Go client, which commits after
///          some refusals and so loses whole directories.
/// Source   CubeFS v3.5.3 proto/transaction.go, sdk/meta/operation.go, metanode/transaction.go.
#pragma once

#include "daemon/core/meta_ops.h"

namespace cfs {

class Transaction {
 public:
  /// `log` may have a transaction of a former daemon.
  Transaction(MetaOps& ops, ProgressLog& log, wire::TxType type);

  // What it will touch: before begin().
  Result<void> add_inode(Ino ino);
  Result<void> add_dentry(Ino dir, const std::string& name);

  /// Register at the coordinator; its id is in the record afterwards.
  Task<Result<void>> begin(Ino home);
  /// The coordinator's form of the transaction, to be sent with every part.
  [[nodiscard]] const wire::TransactionInfo& info() const { return info_; }
  /// Take over what a reply carried (TxCreateInode registers by itself).
  Result<void> adopt(std::uint64_t coordinator, std::optional<wire::TransactionInfo> info);
  /// The transaction as it goes into a request of its first step.
  [[nodiscard]] wire::TransactionInfo draft(std::uint64_t coordinator) const;

  /// A part for when_all().
  template <class Req>
  Task<RawAnswer> part(Ino at, Req req) {
    req.tx = info_;
    QuotaIds quota_ids;
    if constexpr (requires { req.quota_ids; }) quota_ids = req.quota_ids;
    const std::uint64_t partition = co_await ops_.client().route(at);
    RawAnswer answer = co_await ops_.client().send_raw<Req>(partition, std::move(req));
    tell_quota(answer.result, quota_ids, &answer.error);
    co_return answer;
  }

  /// Commit; the result decides the operation.
  Task<RawAnswer> commit();
  /// Roll back; errors are left to the coordinator's timeout.
  Task<void> rollback();

 private:
  MetaOps& ops_;
  ProgressLog& log_;
  wire::TransactionInfo info_;
};

}  // namespace cfs

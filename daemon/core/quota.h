// SPDX-License-Identifier: Apache-2.0
/// Directory quotas of a volume: which inode is in which, what may not be renamed, what a refusal
/// means.
///
/// Purpose  New inodes and names carry the quota ids of their directory; the servers count and
///          refuse. This keeps the ids of directories, and knows the directories above each quota,
///          which must keep their path.
/// Threads  The loop's.
/// Lifetime Owned by MetaOps. Ids of a directory are kept 120 s, all are forgotten when the masters
///          tell of another set of quotas.
/// Failure  Errors of the requests. Without quotas on the volume nothing is ever asked.
/// Source   CubeFS v3.5.3 sdk/meta/quota.go, sdk/meta/api.go (rename: IsQuotaLimited paths).
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "daemon/core/meta_client.h"

namespace cfs {

using QuotaIds = wire::List<std::uint32_t>;

class Quotas {
 public:
  Quotas(MetaClient& client, ViewKeeper& views) : client_(client), views_(views) {}

  /// Quota ids of an inode; empty when the volume has no quotas.
  Task<Result<QuotaIds>> ids_of(Ino ino);
  /// True when the directory is the root of a quota.
  Task<Result<bool>> is_root(Ino dir);
  /// True when the directory is the root of a quota or lies above one: the masters know quotas by
  /// path, so its path must not change.
  Task<Result<bool>> holds_quota(Ino dir);

 private:
  struct Known {
    wire::Map<std::uint64_t, wire::QuotaMark> marks;
    std::int64_t until_ms = 0;
  };
  Task<Result<Known>> marks_of(Ino ino);
  Task<Result<void>> walk_paths();
  void notice_changes();

  MetaClient& client_;
  ViewKeeper& views_;
  std::unordered_map<Ino, Known> known_;
  std::unordered_set<Ino> paths_;  ///< directories on the way to each quota, and its root
  bool paths_known_ = false;
  std::uint64_t seen_version_ = 0;  ///< of the masters' list, see ViewKeeper
};

/// The servers refuse with one code what a full volume and a full quota refuse; with quota ids in
/// the request it was the quota: EDQUOT. Changes `error` then.
void tell_quota(std::uint8_t result, const QuotaIds& ids, Error* error);

}  // namespace cfs

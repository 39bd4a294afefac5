// SPDX-License-Identifier: Apache-2.0
/// Unique ids that let a meta partition recognise a repeated link or unlink.
///
/// Purpose  One range per partition, refilled by 5000; only callers of the same partition wait for
///          a refill.
/// Threads  The loop's.
/// Failure  The error of the GetUniqID request.
/// Source   CubeFS v3.5.3 sdk/meta/operation.go, metanode/uniq_checker.go.
#pragma once

#include <memory>
#include <unordered_map>

#include "daemon/core/meta_client.h"

namespace cfs {

class UniqIds {
 public:
  explicit UniqIds(MetaClient& client) : client_(client) {}
  /// Never 0.
  Task<Result<std::uint64_t>> next(std::uint64_t partition);

 private:
  struct Range {
    std::uint64_t next = 0, end = 0;
    AsyncMutex refill;
  };
  MetaClient& client_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Range>> ranges_;
};

}  // namespace cfs

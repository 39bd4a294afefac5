// SPDX-License-Identifier: Apache-2.0
/// Unique id ranges; contracts in uniq_ids.h.
#include "daemon/core/uniq_ids.h"

namespace cfs {

Task<Result<std::uint64_t>> UniqIds::next(std::uint64_t partition) {
  std::unique_ptr<Range>& slot = ranges_[partition];
  if (!slot) slot = std::make_unique<Range>();
  Range& range = *slot;
  if (range.next != range.end) co_return range.next++;
  AsyncMutex::Lock lock = co_await range.refill.lock();
  if (range.next != range.end) co_return range.next++;
  wire::GetUniqIdReq req;
  req.num = CFS_UNIQ_BATCH;
  Answer<wire::GetUniqIdReply> got =
      co_await client_.send<wire::GetUniqIdReq>(partition, std::move(req), CallMode{});
  if (!got.ok()) co_return got.error;
  if (got.reply.start == 0) co_return make_error(EIO, "unique id 0");
  range.next = got.reply.start;
  range.end = got.reply.start + CFS_UNIQ_BATCH;
  co_return range.next++;
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Directory quotas; contracts in quota.h.
#include "daemon/core/quota.h"

#include <sstream>

namespace cfs {
namespace {

constexpr std::int64_t kAgeMs = 120000;
constexpr std::size_t kMost = 10000;

}  // namespace

void tell_quota(std::uint8_t result, const QuotaIds& ids, Error* error) {
  if (result == CFS_RC_NO_SPACE && !ids.empty()) error->code = EDQUOT;
}

void Quotas::notice_changes() {
  if (views_.quota_version() == seen_version_) return;
  seen_version_ = views_.quota_version();
  known_.clear();
  paths_known_ = false;
}

Task<Result<Quotas::Known>> Quotas::marks_of(Ino ino) {
  notice_changes();
  const std::int64_t now = Loop::now_ms();
  const auto known = known_.find(ino);
  if (known != known_.end() && known->second.until_ms > now) co_return known->second;
  wire::GetInodeQuotaReq req;
  req.ino = ino;
  Answer<wire::GetInodeQuotaReply> got =
      co_await client_.send_to<wire::GetInodeQuotaReq>(ino, req, CallMode{.read = true});
  if (!got.ok()) {
    if (got.error.code != 0) co_return got.error;
    co_return make_error(EIO, "quota ids of inode " + std::to_string(ino));
  }
  if (known_.size() >= kMost) known_.clear();
  Known fresh{std::move(got.reply.quotas), now + kAgeMs};
  known_[ino] = fresh;
  co_return fresh;
}

Task<Result<QuotaIds>> Quotas::ids_of(Ino ino) {
  QuotaIds ids;
  if (!views_.volume().enable_quota) co_return ids;
  Result<Known> known = co_await marks_of(ino);
  if (!known.ok()) co_return known.error();
  for (const auto& [id, mark] : known->marks) ids.push_back(static_cast<std::uint32_t>(id));
  co_return ids;
}

Task<Result<bool>> Quotas::is_root(Ino dir) {
  if (!views_.volume().enable_quota) co_return false;
  Result<Known> known = co_await marks_of(dir);
  if (!known.ok()) co_return known.error();
  bool root = false;
  for (const auto& [id, mark] : known->marks) root = root || mark.root;
  co_return root;
}

Task<Result<bool>> Quotas::holds_quota(Ino dir) {
  if (!views_.volume().enable_quota) co_return false;
  Result<bool> root = co_await is_root(dir);
  if (!root.ok() || *root) co_return root;
  notice_changes();
  if (!paths_known_) {
    Result<void> walked = co_await walk_paths();
    if (!walked.ok()) co_return walked.error();
  }
  co_return paths_.contains(dir);
}

/// Paths are the volume's, not the mount's: a mount of a sub-directory may hold quotas, too. None of
/// these directories can be renamed while the quota exists, so what was found stays right.
Task<Result<void>> Quotas::walk_paths() {
  std::unordered_set<Ino> found;
  const wire::QuotaList list = views_.quotas();
  for (const wire::QuotaInfo& quota : list.quotas) {
    for (const wire::QuotaPath& path : quota.paths) {
      found.insert(path.root_inode);
      std::istringstream parts(path.full_path);
      std::string part;
      Ino at = CFS_ROOT_INO;
      while (std::getline(parts, part, '/')) {
        if (part.empty()) continue;
        found.insert(at);
        wire::LookupReq req;
        req.pino = at;
        req.name = part;
        Answer<wire::LookupReply> next =
            co_await client_.send_to<wire::LookupReq>(at, std::move(req), CallMode{.read = true});
        if (next.result == CFS_RC_NOT_EXIST) break;  // removed by somebody who knows no quotas
        if (!next.ok()) co_return next.error;
        at = next.reply.ino;
      }
    }
  }
  paths_ = std::move(found);
  paths_known_ = true;
  co_return Result<void>();
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Transactions; contracts in transaction.h.
#include "daemon/core/transaction.h"

#include <spdlog/spdlog.h>

namespace cfs {

namespace {

constexpr std::int64_t kRollbackMs = 5000;  // also when the operation's time is over

}  // namespace

Transaction::Transaction(MetaOps& ops, ProgressLog& log, wire::TxType type) : ops_(ops), log_(log) {
  const std::int64_t minutes = ops.views().volume().tx_timeout_min;
  info_.tx_type = type;
  info_.timeout_min = minutes > 0 ? minutes : 1;
}

Result<void> Transaction::add_inode(Ino ino) {
  const std::shared_ptr<const MetaView> view = ops_.views().meta();
  const MetaPartition* p = view->of_inode(ino);
  if (p == nullptr) return make_error(ENOENT, "no meta partition has inode " + std::to_string(ino));
  wire::TxInodeInfo& item = info_.inodes[ino];
  item.ino = ino;
  item.mp_id = p->id;
  item.mp_members = p->member_list();
  return {};
}

Result<void> Transaction::add_dentry(Ino dir, const std::string& name) {
  const std::shared_ptr<const MetaView> view = ops_.views().meta();
  const MetaPartition* p = view->of_inode(dir);
  if (p == nullptr) return make_error(ENOENT, "no meta partition has inode " + std::to_string(dir));
  wire::TxDentryInfo& item = info_.dentries[wire::tx_dentry_key(dir, name)];
  item.parent_id = dir;
  item.name = name;
  item.mp_id = p->id;
  item.mp_members = p->member_list();
  return {};
}

wire::TransactionInfo Transaction::draft(std::uint64_t coordinator) const {
  wire::TransactionInfo copy = info_;
  copy.tm_id = static_cast<std::int64_t>(coordinator);
  return copy;
}

Task<Result<void>> Transaction::begin(Ino home) {
  const std::uint64_t coordinator = co_await ops_.client().route(home);
  wire::TxCreateReq req;
  req.tx = draft(coordinator);
  Answer<wire::TxReply> got =
      co_await ops_.client().send<wire::TxCreateReq>(coordinator, std::move(req), CallMode{});
  if (!got.ok()) co_return answer_error(got.result, got.error);
  co_return adopt(coordinator, std::move(got.reply.tx));
}

Result<void> Transaction::adopt(std::uint64_t coordinator,
                                std::optional<wire::TransactionInfo> info) {
  if (!info || !log_.set_tx(coordinator, info->tx_id)) {
    return make_error(EIO, "the coordinator gave no usable transaction id");
  }
  info_ = std::move(*info);
  return {};
}

Task<RawAnswer> Transaction::commit() {
  wire::TxCommitReq req;
  req.tx_id = log_.tx_id();
  req.tm_id = log_.record().tm_id;
  const std::uint64_t coordinator = req.tm_id;
  RawAnswer got = co_await ops_.client().send_raw<wire::TxCommitReq>(coordinator, std::move(req));
  co_return got;
}

Task<void> Transaction::rollback() {
  co_await grant_until(Loop::now_ms() + kRollbackMs);
  wire::TxRollbackReq req;
  req.tx_id = log_.tx_id();
  req.tm_id = log_.record().tm_id;
  const std::uint64_t coordinator = req.tm_id;
  const std::string id = req.tx_id;
  const RawAnswer got =
      co_await ops_.client().send_raw<wire::TxRollbackReq>(coordinator, std::move(req));
  if (got.result != CFS_RC_OK && got.result != CFS_RC_TX_INFO_NOT_EXIST) {
    spdlog::warn("rollback of transaction {} failed, its timeout will do it: {}", id,
                 got.error.text());
  }
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Dispatch of the state machine and the background round.
#include "tools/minicluster/meta_state.h"

#include <array>

#include "tools/minicluster/meta_ops.h"

namespace cfs::mini {
namespace {

/// Listing of directories only; no client of ours sends it, recorded clients do.
constexpr uint8_t kOpReadDirOnly = 0x3C;
/// Refused by every server since 3.5. Source: metanode/api_handler.go.
constexpr uint8_t kOpUpdateXattr = 0x3B;

template <class Req>
uint64_t partition_of(const Req& req) {
  if constexpr (requires { req.tm_id; }) {
    return req.tm_id;
  } else {
    return req.pid;
  }
}

template <class Req, MetaReply (*Handler)(MetaCall&, const Req&)>
MetaReply run(MetaCall& c) {
  Result<Req> req = wire::decode<Req>(c.body);
  if (!req) return reply_text(CFS_RC_ERR, req.error().what);
  if (uint64_t pid = partition_of(*req); pid != c.store.id()) {
    return reply_text(CFS_RC_ERR, "unknown meta partition: " + std::to_string(pid));
  }
  return Handler(c, *req);
}

MetaReply refuse_update_xattr(MetaCall&) {
  return reply_text(CFS_RC_ERR, "not supported in new version");
}

struct OpEntry {
  uint8_t op;
  OpClass cls;
  MetaReply (*run)(MetaCall&);
};

constexpr OpClass kR = OpClass::kRead;
constexpr OpClass kW = OpClass::kWrite;
using namespace wire;  // NOLINT: request names of the table below

constexpr OpEntry kOps[] = {
    {CreateInodeReq::kOp, kW, run<CreateInodeReq, do_create_inode>},
    {QuotaCreateInodeReq::kOp, kW, run<QuotaCreateInodeReq, do_quota_create_inode>},
    {LinkInodeReq::kOp, kW, run<LinkInodeReq, do_link_inode>},
    {UnlinkInodeReq::kOp, kW, run<UnlinkInodeReq, do_unlink_inode>},
    {EvictInodeReq::kOp, kW, run<EvictInodeReq, do_evict_inode>},
    {InodeGetReq::kOp, kR, run<InodeGetReq, do_inode_get>},
    {BatchInodeGetReq::kOp, kR, run<BatchInodeGetReq, do_batch_inode_get>},
    {SetattrReq::kOp, kW, run<SetattrReq, do_setattr>},
    {GetInodeQuotaReq::kOp, kR, run<GetInodeQuotaReq, do_get_inode_quota>},
    {RenewMigrationLeaseReq::kOp, kW, run<RenewMigrationLeaseReq, do_renew_lease>},
    {UpdateInodeMetaReq::kOp, kW, run<UpdateInodeMetaReq, do_update_inode_meta>},
    {GetUniqIdReq::kOp, kW, run<GetUniqIdReq, do_get_uniq_id>},
    {GetAppliedIdReq::kOp, OpClass::kLocal, run<GetAppliedIdReq, do_get_applied_id>},
    {CreateDentryReq::kOp, kW, run<CreateDentryReq, do_create_dentry>},
    {QuotaCreateDentryReq::kOp, kW, run<QuotaCreateDentryReq, do_quota_create_dentry>},
    {DeleteDentryReq::kOp, kW, run<DeleteDentryReq, do_delete_dentry>},
    {BatchDeleteDentryReq::kOp, kW, run<BatchDeleteDentryReq, do_batch_delete_dentry>},
    {UpdateDentryReq::kOp, kW, run<UpdateDentryReq, do_update_dentry>},
    {LookupReq::kOp, kR, run<LookupReq, do_lookup>},
    {ReadDirReq::kOp, kR, run<ReadDirReq, do_read_dir>},
    {kOpReadDirOnly, kR, run<ReadDirReq, do_read_dir_only>},
    {ReadDirLimitReq::kOp, kR, run<ReadDirLimitReq, do_read_dir_limit>},
    {ExtentsListReq::kOp, kR, run<ExtentsListReq, do_extents_list>},
    {ExtentAddCheckReq::kOp, kW, run<ExtentAddCheckReq, do_extent_add_check>},
    {BatchExtentsAddReq::kOp, kW, run<BatchExtentsAddReq, do_batch_extents_add>},
    {TruncateReq::kOp, kW, run<TruncateReq, do_truncate>},
    {SetXattrReq::kOp, kW, run<SetXattrReq, do_set_xattr>},
    {BatchSetXattrReq::kOp, kW, run<BatchSetXattrReq, do_batch_set_xattr>},
    {GetXattrReq::kOp, kR, run<GetXattrReq, do_get_xattr>},
    {GetAllXattrReq::kOp, kR, run<GetAllXattrReq, do_get_all_xattr>},
    {RemoveXattrReq::kOp, kW, run<RemoveXattrReq, do_remove_xattr>},
    {ListXattrReq::kOp, kR, run<ListXattrReq, do_list_xattr>},
    {BatchGetXattrReq::kOp, kR, run<BatchGetXattrReq, do_batch_get_xattr>},
    {LockDirReq::kOp, kW, run<LockDirReq, do_lock_dir>},
    {kOpUpdateXattr, kR, refuse_update_xattr},
    {TxCreateReq::kOp, kW, run<TxCreateReq, do_tx_create>},
    {TxCreateInodeReq::kOp, kW, run<TxCreateInodeReq, do_tx_create_inode>},
    {TxUnlinkInodeReq::kOp, kW, run<TxUnlinkInodeReq, do_tx_unlink_inode>},
    {TxLinkInodeReq::kOp, kW, run<TxLinkInodeReq, do_tx_link_inode>},
    {TxCreateDentryReq::kOp, kW, run<TxCreateDentryReq, do_tx_create_dentry>},
    {TxDeleteDentryReq::kOp, kW, run<TxDeleteDentryReq, do_tx_delete_dentry>},
    {TxUpdateDentryReq::kOp, kW, run<TxUpdateDentryReq, do_tx_update_dentry>},
    {TxCommitReq::kOp, kW, run<TxCommitReq, do_tx_commit>},
    {TxRollbackReq::kOp, kW, run<TxRollbackReq, do_tx_rollback>},
};

const OpEntry* find_op(uint8_t op) {
  static const auto index = [] {
    std::array<const OpEntry*, 256> table{};
    for (const OpEntry& entry : kOps) table[entry.op] = &entry;
    return table;
  }();
  return index[op];
}

/// Removes one inode that has no name any more, if its time has come; false when it has not.
bool reclaim_inode(PartitionStore& store, uint64_t ino, int64_t since, const ReclaimPolicy& policy,
                   int64_t now) {
  std::optional<Inode> inode = store.inode(ino);
  if (!inode || (!inode->deleted && inode->info.nlink > 0)) {
    store.erase_reclaim(ino);
    return true;
  }
  if (since + (inode->deleted ? policy.deleted_s : policy.orphan_s) > now) return false;
  if (store.tx_inode(ino)) return false;  // a rollback may still need it
  store.free_extents(store.extents(ino));
  store.erase_inode(ino);
  store.erase_reclaim(ino);
  return true;
}

bool age_transaction(PartitionStore& store, const wire::TransactionInfo& tx,
                     const ReclaimPolicy& policy, int64_t now) {
  if (tx.state == kTxPreCommit && tx.create_time + tx.timeout_min * 60 < now) {
    roll_back(store, tx, now);
    return true;
  }
  if (tx.state == kTxPreCommit || tx.done_time + policy.tx_keep_s >= now) return false;
  store.erase_tx(tx.tx_id);
  return true;
}

}  // namespace

OpClass op_class(uint8_t op) {
  const OpEntry* entry = find_op(op);
  return entry != nullptr ? entry->cls : OpClass::kUnknown;
}

MetaReply apply(MetaCall& call) {
  const OpEntry* entry = find_op(call.op);
  if (entry == nullptr) return reply_text(CFS_RC_ERR, "unknown opcode");
  bool closed = entry->cls == OpClass::kWrite || call.op == CFS_MOP_LOOKUP;
  if (call.config.forbidden && closed) return reply_text(CFS_RC_FORBIDDEN, "volume is forbidden");
  return entry->run(call);
}

void init_partition(PartitionStore& store, const PartitionConfig& config, int64_t now) {
  store.counters().cursor = config.start;
  if (config.start != 0) return;
  Inode root;
  root.info.ino = CFS_ROOT_INO;
  root.info.mode = CFS_GOMODE_DIR | 0777;
  root.info.nlink = 2;
  root.info.gen = 1;
  root.info.mtime = root.info.ctime = root.info.atime = now;
  root.info.storage_class = config.storage_class;
  store.put_inode(root);
  store.counters().cursor = CFS_ROOT_INO;
}

bool reclaim(PartitionStore& store, const ReclaimPolicy& policy, int64_t now) {
  bool changed = false;
  for (const auto& [ino, since] : store.all_reclaim()) {
    changed |= reclaim_inode(store, ino, since, policy, now);
  }
  for (const TransactionInfo& tx : store.all_tx()) {
    changed |= age_transaction(store, tx, policy, now);
  }
  return store.prune_uniq(now, policy.uniq_keep_s, policy.uniq_keep_count) > 0 || changed;
}

}  // namespace cfs::mini

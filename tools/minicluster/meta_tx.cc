// SPDX-License-Identifier: Apache-2.0
/// Transactions over several partitions.
///
/// Purpose   A coordinator partition registers the transaction; each partition prepares its part,
///           which is visible at once and locked; commit or rollback ends all parts. Everything
///           lives in one store, so the end of a transaction is one atomic change, where the real
///           cluster sends messages.
/// States    precommit -> commit done
///                     -> rollback done       (asked for, or older than its timeout)
///           A finished one is known for ReclaimPolicy::tx_keep_s, then forgotten.
/// Source    CubeFS v3.5.3, metanode/transaction.go, partition_fsmop_transaction.go.
#include <algorithm>
#include <memory>

#include "tools/minicluster/meta_ops.h"

namespace cfs::mini {
namespace {

using wire::TransactionInfo;

/// The partitions of a transaction inside one store transaction; one object per partition.
class Participants {
 public:
  explicit Participants(PartitionStore& coordinator) : coordinator_(coordinator) {}

  PartitionStore& at(uint64_t partition) {
    if (partition == coordinator_.id()) return coordinator_;
    std::unique_ptr<PartitionStore>& store = others_[partition];
    if (!store) store = std::make_unique<PartitionStore>(coordinator_.txn(), partition);
    return *store;
  }
  /// Writes the counters of all but the coordinator.
  void flush(uint64_t partition) {
    if (partition != coordinator_.id()) changed_.push_back(partition);
  }
  ~Participants() {
    for (auto& [id, store] : others_) {
      if (std::find(changed_.begin(), changed_.end(), id) != changed_.end()) store->flush();
    }
  }

 private:
  PartitionStore& coordinator_;
  std::map<uint64_t, std::unique_ptr<PartitionStore>> others_;
  std::vector<uint64_t> changed_;
};

std::optional<TransactionInfo> record_of(PartitionStore& store, uint64_t coordinator,
                                         const std::string& tx_id) {
  if (coordinator == store.id()) return store.tx(tx_id);
  return PartitionStore(store.txn(), coordinator).tx(tx_id);
}

/// Result for preparing a part; the coordinator's own record goes to *record, not what the client
/// sent.
uint8_t check_open(MetaCall& c, const std::optional<TransactionInfo>& asked,
                   TransactionInfo* record) {
  if (!asked) return CFS_RC_TX_INFO_NOT_EXIST;
  auto found = record_of(c.store, static_cast<uint64_t>(asked->tm_id), asked->tx_id);
  if (!found || found->state != wire::kTxPreCommit) return CFS_RC_TX_INFO_NOT_EXIST;
  if (found->create_time + found->timeout_min * 60 < c.now) return CFS_RC_TX_TIMEOUT;
  *record = std::move(*found);
  return CFS_RC_OK;
}

uint8_t check_inode_part(MetaCall& c, const std::optional<TransactionInfo>& asked, uint64_t ino,
                         TransactionInfo* record) {
  uint8_t rc = check_open(c, asked, record);
  if (rc == CFS_RC_OK && !record->inodes.contains(ino)) rc = CFS_RC_TX_INODE_INFO_NOT_EXIST;
  return rc;
}

uint8_t check_dentry_part(MetaCall& c, const std::optional<TransactionInfo>& asked, uint64_t parent,
                          const std::string& name, TransactionInfo* record) {
  uint8_t rc = check_open(c, asked, record);
  if (rc == CFS_RC_OK && !record->dentries.contains(wire::tx_dentry_key(parent, name))) {
    rc = CFS_RC_TX_DENTRY_INFO_NOT_EXIST;
  }
  return rc;
}

/// Gives the transaction its id and start; it is registered from here on.
void register_tx(MetaCall& c, TransactionInfo& tx) {
  tx.tx_id = std::to_string(c.store.id()) + "_" + std::to_string(c.store.counters().next_tx++);
  tx.tm_id = static_cast<int64_t>(c.store.id());
  tx.create_time = c.now;
  tx.state = wire::kTxPreCommit;
  for (auto& [ino, part] : tx.inodes) {
    part.tx_id = tx.tx_id;
    part.create_time_s = tx.create_time;
    part.timeout_min = tx.timeout_min;
  }
  for (auto& [key, part] : tx.dentries) {
    part.tx_id = tx.tx_id;
    part.create_time_s = tx.create_time;
    part.timeout_min = tx.timeout_min;
  }
  c.store.put_tx(tx);
}

/// Puts the new inode's number where the client could only write 0.
void fill_new_inode(TransactionInfo& tx, uint64_t ino, uint64_t partition) {
  wire::TxInodeInfo part;
  if (auto it = tx.inodes.find(uint64_t{0}); it != tx.inodes.end()) {
    part = it->second;
    tx.inodes.erase(it);
  }
  part.ino = ino;
  part.mp_id = partition;
  tx.inodes[ino] = part;
}

/// nlink - 1 that a rollback can take back: an inode whose last link goes is only marked.
void prepare_unlink(MetaCall& c, Inode& inode) {
  if (inode.is_dir() && inode.info.nlink == 2) {
    inode.info.nlink = 0;
    inode.deleted = true;
    c.store.put_reclaim(inode.info.ino, c.now);
    c.store.put_inode(inode);
    return;
  }
  drop_link(c.store, inode, c.now);
}

MetaReply unlink_reply(MetaCall& c, const Inode& inode, uint32_t tx_type) {
  wire::TxInodeReply reply;
  if (tx_type != wire::kTxRename) reply.info = changed_info(inode, c.now);
  return reply_json(reply);
}

void commit_inode(PartitionStore& store, uint64_t ino, const TxInodeUndo& undo, int64_t now) {
  store.erase_tx_inode(ino);
  if (undo.kind != TxInodeUndo::kUnlinked || undo.tx_type != wire::kTxRename) return;
  std::optional<Inode> inode = store.inode(ino);
  if (!inode || inode->info.nlink != 0) return;
  inode->deleted = true;  // nobody will evict what a rename has replaced
  store.put_inode(*inode);
  store.put_reclaim(ino, now);
}

void undo_inode(PartitionStore& store, uint64_t ino, const TxInodeUndo& undo, int64_t now) {
  store.erase_tx_inode(ino);
  std::optional<Inode> inode = store.inode(ino);
  if (!inode) return;
  if (undo.kind == TxInodeUndo::kLinked) return drop_link(store, *inode, now);
  if (undo.kind == TxInodeUndo::kCreated) {
    inode->info.nlink = 0;
    inode->deleted = true;
    store.put_reclaim(ino, now);
  } else {
    inode->info.nlink = undo.before.info.nlink;
    inode->info.atime = undo.before.info.atime;
    inode->deleted = undo.before.deleted;
  }
  store.put_inode(*inode);
}

void undo_dentry(PartitionStore& store, uint64_t parent, const std::string& name,
                 const TxDentryUndo& undo, int64_t now) {
  store.erase_tx_dentry(parent, name);
  if (undo.kind == TxDentryUndo::kCreated) {
    const std::optional<DentryValue> made = store.dentry(parent, name);
    if (!made || made->ino != undo.before.ino) return;
    store.erase_dentry(parent, name);
    touch_parent(store, parent, -1, now);
  } else {
    store.put_dentry(parent, name, undo.before);  // the parent's count was never changed
  }
}

/// Ends every part of the transaction with `on_inode` and `on_dentry`, then marks it.
template <class OnInode, class OnDentry>
void finish(PartitionStore& coordinator, TransactionInfo& tx, wire::TxState state, int64_t now,
            OnInode on_inode, OnDentry on_dentry) {
  Participants parts(coordinator);
  for (const auto& [ino, part] : tx.inodes) {
    PartitionStore& store = parts.at(part.mp_id);
    std::optional<TxInodeUndo> undo = store.tx_inode(ino);
    if (!undo || undo->tx_id != tx.tx_id) continue;
    on_inode(store, ino, *undo);
    parts.flush(part.mp_id);
  }
  for (const auto& [key, part] : tx.dentries) {
    PartitionStore& store = parts.at(part.mp_id);
    std::optional<TxDentryUndo> undo = store.tx_dentry(part.parent_id, part.name);
    if (!undo || undo->tx_id != tx.tx_id) continue;
    on_dentry(store, part, *undo);
    parts.flush(part.mp_id);
  }
  tx.state = state;
  tx.done_time = now;
  tx.rm_finish = true;
  coordinator.put_tx(tx);
}

void commit(PartitionStore& coordinator, TransactionInfo tx, int64_t now) {
  auto on_inode = [now](PartitionStore& store, uint64_t ino, const TxInodeUndo& undo) {
    commit_inode(store, ino, undo, now);
  };
  auto on_dentry = [now](PartitionStore& store, const wire::TxDentryInfo& part,
                         const TxDentryUndo& undo) {
    store.erase_tx_dentry(part.parent_id, part.name);
    if (undo.kind == TxDentryUndo::kDeleted) touch_parent(store, part.parent_id, -1, now);
  };
  finish(coordinator, tx, wire::kTxCommitDone, now, on_inode, on_dentry);
}

MetaReply wrong_state(const TransactionInfo& tx) {
  return reply_text(CFS_RC_TX_SET_STATE,
                    "tx " + tx.tx_id + " is in state " + std::to_string(tx.state));
}

}  // namespace

void roll_back(PartitionStore& coordinator, TransactionInfo tx, int64_t now) {
  auto on_inode = [now](PartitionStore& store, uint64_t ino, const TxInodeUndo& undo) {
    undo_inode(store, ino, undo, now);
  };
  auto on_dentry = [now](PartitionStore& store, const wire::TxDentryInfo& part,
                         const TxDentryUndo& undo) {
    undo_dentry(store, part.parent_id, part.name, undo, now);
  };
  finish(coordinator, tx, wire::kTxRollbackDone, now, on_inode, on_dentry);
}

MetaReply do_tx_create(MetaCall& c, const wire::TxCreateReq& req) {
  if (!req.tx) return reply_text(CFS_RC_ERR, "transaction is missing");
  wire::TxReply reply{req.tx};
  register_tx(c, *reply.tx);
  return reply_json(reply);
}

MetaReply do_tx_create_inode(MetaCall& c, const wire::TxCreateInodeReq& req) {
  if (!req.tx) return reply_text(CFS_RC_ERR, "transaction is missing");
  Inode inode;
  NewInode wanted{req.mode, req.uid, req.gid, req.storage_type, req.target, req.quota_ids};
  uint8_t rc = make_inode(c, wanted, &inode);
  if (rc != CFS_RC_OK) return reply_text(rc, "no inode");
  wire::TxInodeReply reply;
  reply.tx = req.tx;
  fill_new_inode(*reply.tx, inode.info.ino, c.store.id());
  register_tx(c, *reply.tx);
  TxInodeUndo undo{reply.tx->tx_id, TxInodeUndo::kCreated, reply.tx->tx_type, {}};
  c.store.put_tx_inode(inode.info.ino, undo);
  reply.info = changed_info(inode, c.now);
  return reply_json(reply);
}

MetaReply do_tx_unlink_inode(MetaCall& c, const wire::TxUnlinkInodeReq& req) {
  TransactionInfo tx;
  uint8_t rc = check_inode_part(c, req.tx, req.ino, &tx);
  if (rc != CFS_RC_OK) return reply_echo(rc);
  std::optional<Inode> inode = c.store.inode(req.ino);
  if (std::optional<TxInodeUndo> lock = c.store.tx_inode(req.ino)) {
    if (lock->tx_id != tx.tx_id) return reply_echo(CFS_RC_TX_CONFLICT);
    return unlink_reply(c, inode.value_or(lock->before), tx.tx_type);
  }
  if (!inode || inode->deleted) return reply_echo(CFS_RC_NOT_EXIST);
  if (tx.tx_type == wire::kTxRemove && inode->is_dir() && inode->info.nlink > 2) {
    return reply_echo(CFS_RC_NOT_EMPTY);
  }
  c.store.put_tx_inode(req.ino, {tx.tx_id, TxInodeUndo::kUnlinked, tx.tx_type, *inode});
  prepare_unlink(c, *inode);
  return unlink_reply(c, *inode, tx.tx_type);
}

MetaReply do_tx_link_inode(MetaCall& c, const wire::TxLinkInodeReq& req) {
  TransactionInfo tx;
  uint8_t rc = check_inode_part(c, req.tx, req.ino, &tx);
  if (rc != CFS_RC_OK) return reply_echo(rc);
  std::optional<Inode> inode = c.store.inode(req.ino);
  if (!inode || inode->deleted) return reply_echo(CFS_RC_NOT_EXIST);
  std::optional<TxInodeUndo> lock = c.store.tx_inode(req.ino);
  if (lock && lock->tx_id != tx.tx_id) return reply_echo(CFS_RC_TX_CONFLICT);
  if (!lock) {
    c.store.put_tx_inode(req.ino, {tx.tx_id, TxInodeUndo::kLinked, tx.tx_type, {}});
    ++inode->info.nlink;
    c.store.put_inode(*inode);
  }
  return reply_json(wire::InodeReply{changed_info(*inode, c.now)});
}

MetaReply do_tx_create_dentry(MetaCall& c, const wire::TxCreateDentryReq& req) {
  TransactionInfo tx;
  uint8_t rc = check_dentry_part(c, req.tx, req.pino, req.name, &tx);
  if (rc != CFS_RC_OK) return reply_echo(rc);
  rc = check_quotas(c.config.over_files, req.quota_ids);
  if (rc != CFS_RC_OK) return reply_text(rc, "CreateDentry is over quota");
  const std::optional<TxDentryUndo> made = c.store.tx_dentry(req.pino, req.name);
  const bool ours = made && made->tx_id == tx.tx_id && made->kind == TxDentryUndo::kCreated;
  if (c.config.tx_refuses_names && !ours && c.store.dentry(req.pino, req.name)) {
    return reply_echo(CFS_RC_EXIST);
  }
  const DentryValue value{req.ino, req.mode};
  MetaReply reply = add_dentry(c, req.pino, req.name, value, tx.tx_id);
  if (reply.result == CFS_RC_OK) {
    c.store.put_tx_dentry(req.pino, req.name, {tx.tx_id, TxDentryUndo::kCreated, value});
  }
  return reply;
}

MetaReply do_tx_delete_dentry(MetaCall& c, const wire::TxDeleteDentryReq& req) {
  TransactionInfo tx;
  uint8_t rc = check_dentry_part(c, req.tx, req.pino, req.name, &tx);
  if (rc != CFS_RC_OK) return reply_echo(rc);
  if (std::optional<TxDentryUndo> lock = c.store.tx_dentry(req.pino, req.name)) {
    if (lock->tx_id != tx.tx_id) return reply_echo(CFS_RC_TX_CONFLICT);
    return reply_json(wire::InoReply{lock->before.ino});
  }
  std::optional<DentryValue> old = c.store.dentry(req.pino, req.name);
  if (!old || old->ino != req.ino) return reply_echo(CFS_RC_NOT_EXIST);
  c.store.put_tx_dentry(req.pino, req.name, {tx.tx_id, TxDentryUndo::kDeleted, *old});
  c.store.erase_dentry(req.pino, req.name);
  return reply_json(wire::InoReply{old->ino});
}

MetaReply do_tx_update_dentry(MetaCall& c, const wire::TxUpdateDentryReq& req) {
  TransactionInfo tx;
  uint8_t rc = check_dentry_part(c, req.tx, req.pino, req.name, &tx);
  if (rc != CFS_RC_OK) return reply_echo(rc);
  if (std::optional<TxDentryUndo> lock = c.store.tx_dentry(req.pino, req.name)) {
    if (lock->tx_id != tx.tx_id) return reply_echo(CFS_RC_TX_CONFLICT);
    return reply_json(wire::InoReply{lock->before.ino});
  }
  std::optional<DentryValue> old = c.store.dentry(req.pino, req.name);
  if (!old || old->ino != req.old_ino) return reply_echo(CFS_RC_NOT_EXIST);
  c.store.put_tx_dentry(req.pino, req.name, {tx.tx_id, TxDentryUndo::kUpdated, *old});
  c.store.put_dentry(req.pino, req.name, {req.ino, old->mode});
  return reply_json(wire::InoReply{old->ino});
}

MetaReply do_tx_commit(MetaCall& c, const wire::TxCommitReq& req) {
  std::optional<TransactionInfo> tx = c.store.tx(req.tx_id);
  if (!tx) return reply_echo(CFS_RC_TX_INFO_NOT_EXIST);
  if (tx->state == wire::kTxCommitDone) return reply_echo(CFS_RC_OK);
  if (tx->state != wire::kTxPreCommit) return wrong_state(*tx);
  commit(c.store, *tx, c.now);
  return reply_echo(CFS_RC_OK);
}

MetaReply do_tx_rollback(MetaCall& c, const wire::TxRollbackReq& req) {
  std::optional<TransactionInfo> tx = c.store.tx(req.tx_id);
  if (!tx) return reply_echo(CFS_RC_TX_INFO_NOT_EXIST);
  if (tx->state == wire::kTxRollbackDone) return reply_echo(CFS_RC_OK);
  if (tx->state != wire::kTxPreCommit) return wrong_state(*tx);
  roll_back(c.store, *tx, c.now);
  return reply_echo(CFS_RC_OK);
}

}  // namespace cfs::mini

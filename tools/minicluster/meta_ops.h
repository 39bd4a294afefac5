// SPDX-License-Identifier: Apache-2.0
/// Parts of the state machine, shared between its files only (meta_*.cc).
///
/// Purpose   One function per request, helpers for replies. See meta_state.h for threads and
///           failure.
#pragma once

#include "tools/minicluster/meta_state.h"

namespace cfs::mini {

inline MetaReply reply_none(uint8_t result = CFS_RC_OK) {
  return {result, MetaReply::kNone, {}};
}
inline MetaReply reply_echo(uint8_t result) {
  return {result, MetaReply::kEcho, {}};
}
inline MetaReply reply_text(uint8_t result, std::string text) {
  return {result, MetaReply::kBytes, std::move(text)};
}
template <class T>
MetaReply reply_json(const T& message) {
  return {CFS_RC_OK, MetaReply::kBytes, wire::encode(message)};
}

/// Attributes as sent after a change: stored access time, quotas never null.
[[nodiscard]] wire::InodeInfo changed_info(const Inode& inode, int64_t now);
/// Attributes as sent to a reader: the access time is the server's now unless `inner`.
[[nodiscard]] wire::InodeInfo read_info(const Inode& inode, int64_t now, bool inner);

struct NewInode {
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t storage_type = 0;
  std::string target;
  std::vector<uint32_t> quota_ids;
};
/// Allocates a number and stores the inode; 0xFB when the range is used up, 0xF8 without a class.
[[nodiscard]] uint8_t make_inode(MetaCall& c, const NewInode& wanted, Inode* made);

/// 0xEE when one of the quotas is in `full`, else Ok. Source: metanode/meta_quota_manager.go
/// (IsOverQuota).
[[nodiscard]] uint8_t check_quotas(const std::set<uint32_t>& full,
                                   const std::vector<uint32_t>& quota_ids);
/// May the inode get more bytes? 0xEE when its user or one of its quotas is at its limit.
[[nodiscard]] uint8_t check_bytes(const PartitionConfig& config, const wire::InodeInfo& info);

/// nlink - 1 with everything that follows from it; the inode may be gone afterwards.
void drop_link(PartitionStore& store, Inode& inode, int64_t now);

/// Checks and adds a name; `tx_id` of the transaction that may touch a locked name, or "".
[[nodiscard]] MetaReply add_dentry(MetaCall& c, uint64_t parent, const std::string& name,
                                   const DentryValue& value, const std::string& tx_id);
/// Parent's link count and mtime after a name has been added (+1) or removed (-1).
void touch_parent(PartitionStore& store, uint64_t parent, int delta, int64_t now);

// meta_inode.cc
MetaReply do_create_inode(MetaCall& c, const wire::CreateInodeReq& req);
MetaReply do_quota_create_inode(MetaCall& c, const wire::QuotaCreateInodeReq& req);
MetaReply do_link_inode(MetaCall& c, const wire::LinkInodeReq& req);
MetaReply do_unlink_inode(MetaCall& c, const wire::UnlinkInodeReq& req);
MetaReply do_evict_inode(MetaCall& c, const wire::EvictInodeReq& req);
MetaReply do_inode_get(MetaCall& c, const wire::InodeGetReq& req);
MetaReply do_batch_inode_get(MetaCall& c, const wire::BatchInodeGetReq& req);
MetaReply do_setattr(MetaCall& c, const wire::SetattrReq& req);
MetaReply do_get_inode_quota(MetaCall& c, const wire::GetInodeQuotaReq& req);
MetaReply do_renew_lease(MetaCall& c, const wire::RenewMigrationLeaseReq& req);
MetaReply do_update_inode_meta(MetaCall& c, const wire::UpdateInodeMetaReq& req);
MetaReply do_get_uniq_id(MetaCall& c, const wire::GetUniqIdReq& req);
MetaReply do_get_applied_id(MetaCall& c, const wire::GetAppliedIdReq& req);

// meta_dentry.cc
MetaReply do_create_dentry(MetaCall& c, const wire::CreateDentryReq& req);
MetaReply do_quota_create_dentry(MetaCall& c, const wire::QuotaCreateDentryReq& req);
MetaReply do_delete_dentry(MetaCall& c, const wire::DeleteDentryReq& req);
MetaReply do_batch_delete_dentry(MetaCall& c, const wire::BatchDeleteDentryReq& req);
MetaReply do_update_dentry(MetaCall& c, const wire::UpdateDentryReq& req);
MetaReply do_lookup(MetaCall& c, const wire::LookupReq& req);
MetaReply do_read_dir(MetaCall& c, const wire::ReadDirReq& req);
MetaReply do_read_dir_only(MetaCall& c, const wire::ReadDirReq& req);
MetaReply do_read_dir_limit(MetaCall& c, const wire::ReadDirLimitReq& req);

// meta_extents.cc
MetaReply do_extents_list(MetaCall& c, const wire::ExtentsListReq& req);
MetaReply do_extent_add_check(MetaCall& c, const wire::ExtentAddCheckReq& req);
MetaReply do_batch_extents_add(MetaCall& c, const wire::BatchExtentsAddReq& req);
MetaReply do_truncate(MetaCall& c, const wire::TruncateReq& req);

// meta_xattr.cc
MetaReply do_set_xattr(MetaCall& c, const wire::SetXattrReq& req);
MetaReply do_batch_set_xattr(MetaCall& c, const wire::BatchSetXattrReq& req);
MetaReply do_get_xattr(MetaCall& c, const wire::GetXattrReq& req);
MetaReply do_get_all_xattr(MetaCall& c, const wire::GetAllXattrReq& req);
MetaReply do_remove_xattr(MetaCall& c, const wire::RemoveXattrReq& req);
MetaReply do_list_xattr(MetaCall& c, const wire::ListXattrReq& req);
MetaReply do_lock_dir(MetaCall& c, const wire::LockDirReq& req);
MetaReply do_batch_get_xattr(MetaCall& c, const wire::BatchGetXattrReq& req);

// meta_tx.cc
MetaReply do_tx_create(MetaCall& c, const wire::TxCreateReq& req);
MetaReply do_tx_create_inode(MetaCall& c, const wire::TxCreateInodeReq& req);
MetaReply do_tx_unlink_inode(MetaCall& c, const wire::TxUnlinkInodeReq& req);
MetaReply do_tx_link_inode(MetaCall& c, const wire::TxLinkInodeReq& req);
MetaReply do_tx_create_dentry(MetaCall& c, const wire::TxCreateDentryReq& req);
MetaReply do_tx_delete_dentry(MetaCall& c, const wire::TxDeleteDentryReq& req);
MetaReply do_tx_update_dentry(MetaCall& c, const wire::TxUpdateDentryReq& req);
MetaReply do_tx_commit(MetaCall& c, const wire::TxCommitReq& req);
MetaReply do_tx_rollback(MetaCall& c, const wire::TxRollbackReq& req);
/// Undoes every change of the transaction on all its partitions and marks it.
void roll_back(PartitionStore& coordinator, wire::TransactionInfo tx, int64_t now);

}  // namespace cfs::mini

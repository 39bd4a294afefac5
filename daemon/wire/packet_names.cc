// SPDX-License-Identifier: Apache-2.0
/// Names of opcodes and result codes, for logs and error texts.
/// Source: CubeFS v3.5.3, proto/packet.go (GetOpMsg, GetResultMsg).
#include <algorithm>
#include <array>
#include <cstdio>

#include "daemon/wire/packet.h"

namespace cfs::wire {

namespace {

struct Name {
  uint8_t value;
  std::string_view text;
};

constexpr std::array kMetaOps = {
    Name{CFS_MOP_CREATE_INODE, "MetaCreateInode"},
    Name{CFS_MOP_UNLINK_INODE, "MetaUnlinkInode"},
    Name{CFS_MOP_CREATE_DENTRY, "MetaCreateDentry"},
    Name{CFS_MOP_DELETE_DENTRY, "MetaDeleteDentry"},
    Name{CFS_MOP_LOOKUP, "MetaLookup"},
    Name{CFS_MOP_READ_DIR, "MetaReadDir"},
    Name{CFS_MOP_INODE_GET, "MetaInodeGet"},
    Name{CFS_MOP_BATCH_INODE_GET, "MetaBatchInodeGet"},
    Name{CFS_MOP_EXTENTS_LIST, "MetaExtentsList"},
    Name{CFS_MOP_UPDATE_DENTRY, "MetaUpdateDentry"},
    Name{CFS_MOP_TRUNCATE, "MetaTruncate"},
    Name{CFS_MOP_LINK_INODE, "MetaLinkInode"},
    Name{CFS_MOP_EVICT_INODE, "MetaEvictInode"},
    Name{CFS_MOP_SETATTR, "MetaSetattr"},
    Name{CFS_MOP_BATCH_EXTENTS_ADD, "MetaBatchExtentsAdd"},
    Name{CFS_MOP_SET_XATTR, "MetaSetXAttr"},
    Name{CFS_MOP_GET_XATTR, "MetaGetXAttr"},
    Name{CFS_MOP_REMOVE_XATTR, "MetaRemoveXAttr"},
    Name{CFS_MOP_LIST_XATTR, "MetaListXAttr"},
    Name{CFS_MOP_BATCH_GET_XATTR, "MetaBatchGetXAttr"},
    Name{CFS_MOP_EXTENT_ADD_CHECK, "MetaExtentAddWithCheck"},
    Name{0x3C, "MetaReadDirOnly"},
    Name{CFS_MOP_READ_DIR_LIMIT, "MetaReadDirLimit"},
    Name{CFS_MOP_LOCK_DIR, "MetaLockDir"},
    Name{CFS_MOP_GET_INODE_QUOTA, "MetaGetInodeQuota"},
    Name{CFS_MOP_QUOTA_CREATE_INODE, "QuotaCreateInode"},
    Name{CFS_MOP_QUOTA_CREATE_DENTRY, "QuotaCreateDentry"},
    Name{CFS_MOP_RENEW_FORBIDDEN_MIGRATION, "MetaRenewalForbiddenMigration"},
    Name{CFS_MOP_BATCH_DELETE_DENTRY, "MetaBatchDeleteDentry"},
    Name{CFS_MOP_TX_CREATE, "MetaTxCreate"},
    Name{CFS_MOP_TX_CREATE_INODE, "MetaTxCreateInode"},
    Name{CFS_MOP_TX_UNLINK_INODE, "MetaTxUnlinkInode"},
    Name{CFS_MOP_TX_CREATE_DENTRY, "MetaTxCreateDentry"},
    Name{CFS_MOP_TX_COMMIT, "TxCommit"},
    Name{CFS_MOP_TX_ROLLBACK, "TxRollback"},
    Name{CFS_MOP_TX_DELETE_DENTRY, "MetaTxDeleteDentry"},
    Name{CFS_MOP_TX_UPDATE_DENTRY, "MetaTxUpdateDentry"},
    Name{CFS_MOP_TX_LINK_INODE, "MetaTxLinkInode"},
    Name{CFS_MOP_GET_UNIQ_ID, "MetaGetUniqID"},
    Name{CFS_MOP_GET_APPLIED_ID, "MetaGetAppliedID"},
    Name{CFS_MOP_UPDATE_INODE_META, "MetaUpdateInodeMeta"},
    Name{CFS_MOP_BATCH_SET_XATTR, "MetaBatchSetXAttr"},
    Name{CFS_MOP_GET_ALL_XATTR, "MetaGetAllXAttr"},
    Name{CFS_DOP_PING, "Ping"},
};

constexpr std::array kDataOps = {
    Name{CFS_DOP_CREATE_EXTENT, "CreateExtent"},
    Name{CFS_DOP_WRITE, "Write"},
    Name{CFS_DOP_STREAM_READ, "StreamRead"},
    Name{CFS_DOP_STREAM_FOLLOWER_READ, "StreamFollowerRead"},
    Name{CFS_DOP_RANDOM_WRITE, "RandomWrite"},
    Name{CFS_DOP_GET_APPLIED_ID, "GetAppliedId"},
    Name{CFS_DOP_SYNC_RANDOM_WRITE, "SyncRandomWrite"},
    Name{CFS_DOP_SYNC_WRITE, "SyncWrite"},
    Name{CFS_DOP_PING, "Ping"},
};

constexpr std::array kResults = {
    Name{CFS_RC_INIT, "Init"},
    Name{CFS_RC_UPLOAD_PART_CONFLICT, "UploadPartConflictErr"},
    Name{CFS_RC_VERSION, "VersionOpError"},
    Name{CFS_RC_STORAGE_CLASS, "MismatchStorageClass"},
    Name{CFS_RC_LEASE_OCCUPIED, "LeaseOccupiedByOthers"},
    Name{CFS_RC_LEASE_GENERATION, "LeaseGenerationNotMatch"},
    Name{CFS_RC_PROTO_VERSION, "WriteOpOfProtoVerForbidden"},
    Name{CFS_RC_LIMITED_IO, "LimitedIoErr"},
    Name{CFS_RC_STORE_CLOSED, "StoreClosed"},
    Name{CFS_RC_MAX_EXTENTS, "ReachMaxExtentsErr"},
    Name{CFS_RC_TINY_RECOVER, "TinyRecoverErr"},
    Name{CFS_RC_DP_DECOMMISSION, "DpDecommissionRepairErr"},
    Name{CFS_RC_DP_REPAIR, "DpRepairErr"},
    Name{CFS_RC_TRY_OTHER_EXTENT, "TryOtherExtent"},
    Name{CFS_RC_TX_INODE_INFO_NOT_EXIST, "TxInodeInfoNotExistErr"},
    Name{CFS_RC_TX_CONFLICT, "TxConflictErr"},
    Name{CFS_RC_TX_DENTRY_INFO_NOT_EXIST, "TxDentryInfoNotExistErr"},
    Name{CFS_RC_TX_RB_INODE_NOT_EXIST, "TxRbInodeNotExist"},
    Name{CFS_RC_TX_RB_DENTRY_NOT_EXIST, "TxRbDentryNotExist"},
    Name{CFS_RC_TX_INFO_NOT_EXIST, "TxInfoNotExistErr"},
    Name{CFS_RC_TX_INTERNAL, "TxInternalErr"},
    Name{CFS_RC_TX_COMMIT_ITEM, "TxCommitItemErr"},
    Name{CFS_RC_TX_ROLLBACK_ITEM, "TxRollbackItemErr"},
    Name{CFS_RC_TX_ROLLBACK_UNKNOWN, "TxRollbackUnknownRbType"},
    Name{CFS_RC_TX_TIMEOUT, "TxTimeoutErr"},
    Name{CFS_RC_TX_SET_STATE, "TxSetStateErr"},
    Name{CFS_RC_TX_COMMIT, "TxCommitErr"},
    Name{CFS_RC_TX_ROLLBACK, "TxRollbackErr"},
    Name{CFS_RC_NO_SPACE, "NoSpaceErr"},
    Name{CFS_RC_FORBIDDEN, "ForbidErr"},
    Name{CFS_RC_OK, "Ok"},
    Name{CFS_RC_DIR_QUOTA, "DirQuota"},
    Name{CFS_RC_CONFLICT_EXTENTS, "ConflictExtentsErr"},
    Name{CFS_RC_INTRA_GROUP_NET, "IntraGroupNetErr"},
    Name{CFS_RC_ARG_MISMATCH, "ArgMismatchErr"},
    Name{CFS_RC_NOT_EXIST, "NotExistErr"},
    Name{CFS_RC_DISK_NO_SPACE, "DiskNoSpaceErr"},
    Name{CFS_RC_DISK, "DiskErr"},
    Name{CFS_RC_ERR, "Err"},
    Name{CFS_RC_AGAIN, "Again"},
    Name{CFS_RC_EXIST, "ExistErr"},
    Name{CFS_RC_INODE_FULL, "InodeFullErr"},
    Name{CFS_RC_TRY_OTHER_ADDR, "TryOtherAddr"},
    Name{CFS_RC_NOT_PERM, "NotPerm"},
    Name{CFS_RC_NOT_EMPTY, "NotEmpty"},
};

template <size_t N>
std::string_view find_name(const std::array<Name, N>& names, uint8_t value) {
  const auto it =
      std::find_if(names.begin(), names.end(), [value](const Name& n) { return n.value == value; });
  return it == names.end() ? std::string_view{} : it->text;
}

std::string name_or_number(std::string_view name, const char* kind, uint8_t value) {
  if (!name.empty()) return std::string(name);
  std::array<char, 24> buf{};
  std::snprintf(buf.data(), buf.size(), "%s 0x%02x", kind, unsigned{value});
  return buf.data();
}

/// The server's sentence, unless the body is an echoed request or payload.
std::string message_of(const Packet& reply) {
  constexpr size_t kMaxBytes = 200;
  const bool text = !reply.data.empty() && reply.data.front() != '{' && valid_utf8(reply.data) &&
                    std::none_of(reply.data.begin(), reply.data.end(),
                                 [](char c) { return static_cast<uint8_t>(c) < 0x20; });
  return text ? ": " + reply.data.substr(0, kMaxBytes) : std::string();
}

}  // namespace

std::string op_name(uint8_t op, Peer peer) {
  const std::string_view name =
      peer == Peer::kMeta ? find_name(kMetaOps, op) : find_name(kDataOps, op);
  return name_or_number(name, "op", op);
}

std::string result_name(uint8_t rc) {
  return name_or_number(find_name(kResults, rc), "result", rc);
}

bool known_result(uint8_t rc) {
  return !find_name(kResults, rc).empty();
}

Error result_error(const Packet& reply, Peer peer) {
  return make_error(
      cfs_result_errno(reply.h.result),
      op_name(reply.h.opcode, peer) + ": " + result_name(reply.h.result) + message_of(reply));
}

}  // namespace cfs::wire

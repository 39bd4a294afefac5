// SPDX-License-Identifier: Apache-2.0
/// Metadata requests of transactions.
///
/// Purpose  Included by meta_msg.h. A transaction is made at its coordinator (TxCreateReq or
///          TxCreateInodeReq), prepared on each partition, then committed or rolled back.
/// Use      As in meta_msg.h.
/// Threads  Values.
/// Failure  decode() of json.h.
/// Source   CubeFS v3.5.3, proto/fs_proto.go, proto/transaction.go.
#pragma once

#include "daemon/wire/meta_msg.h"

namespace cfs::wire {

/// Reply of TxCreateReq: the transaction with its id.
struct TxReply {
  std::optional<TransactionInfo> tx{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("tx", s.tx);
  }
};

/// Reply of TxCreateInodeReq and TxUnlinkInodeReq (there `tx` is null and `info` may be all zero).
struct TxInodeReply {
  InodeInfo info{};
  std::optional<TransactionInfo> tx{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("info", s.info)("tx", s.tx);
  }
};

/// Registers a transaction at its coordinator.
struct TxCreateReq {
  static constexpr uint8_t kOp = CFS_MOP_TX_CREATE;
  using Reply = TxReply;
  std::string vol{};
  uint64_t pid = 0;
  std::optional<TransactionInfo> tx{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("tx", s.tx);
  }
};

/// Registers a transaction and creates its inode (key 0 in tx->inodes).
struct TxCreateInodeReq {
  static constexpr uint8_t kOp = CFS_MOP_TX_CREATE_INODE;
  using Reply = TxInodeReply;
  std::string vol{};
  uint64_t pid = 0;
  uint32_t mode = 0;  ///< Go mode
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string target{};
  List<uint32_t> quota_ids{};
  std::optional<TransactionInfo> tx{};
  uint32_t storage_type = 0;  ///< VolStatInfo::default_storage_class
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("mode", s.mode)("uid", s.uid)("gid", s.gid);
    a.base64("tgt", s.target)("qids", s.quota_ids)("tx", s.tx)("storageType", s.storage_type);
    a("fullPaths", s.full_paths);
  }
};

/// Prepares nlink - 1.
struct TxUnlinkInodeReq {
  static constexpr uint8_t kOp = CFS_MOP_TX_UNLINK_INODE;
  using Reply = TxInodeReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  bool evict = false;
  std::optional<TransactionInfo> tx{};
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("evict", s.evict)("tx", s.tx);
    a("fullPaths", s.full_paths);
  }
};

/// Prepares nlink + 1.
struct TxLinkInodeReq {
  static constexpr uint8_t kOp = CFS_MOP_TX_LINK_INODE;
  using Reply = InodeReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  std::optional<TransactionInfo> tx{};
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("tx", s.tx)("fullPaths", s.full_paths);
  }
};

/// Prepares a new name.
struct TxCreateDentryReq {
  static constexpr uint8_t kOp = CFS_MOP_TX_CREATE_DENTRY;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t pino = 0;
  uint64_t ino = 0;
  std::string name{};
  uint32_t mode = 0;  ///< Go mode
  List<uint32_t> quota_ids{};
  std::optional<TransactionInfo> tx{};
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("pino", s.pino)("ino", s.ino)("name", s.name)("mode", s.mode);
    a("qids", s.quota_ids)("tx", s.tx)("fullPaths", s.full_paths);
  }
};

/// Prepares the removal of a name.
struct TxDeleteDentryReq {
  static constexpr uint8_t kOp = CFS_MOP_TX_DELETE_DENTRY;
  using Reply = InoReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t pino = 0;
  std::string name{};
  uint64_t ino = 0;
  std::optional<TransactionInfo> tx{};
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("pino", s.pino)("name", s.name)("ino", s.ino)("tx", s.tx);
    a("fullPaths", s.full_paths);
  }
};

/// Prepares that a name gets another inode.
struct TxUpdateDentryReq {
  static constexpr uint8_t kOp = CFS_MOP_TX_UPDATE_DENTRY;
  using Reply = InoReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t pino = 0;
  std::string name{};
  uint64_t ino = 0;
  uint64_t old_ino = 0;
  std::optional<TransactionInfo> tx{};
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("pino", s.pino)("name", s.name)("ino", s.ino);
    a("oldIno", s.old_ino)("tx", s.tx)("fullPaths", s.full_paths);
  }
};

/// Ends a transaction with success; sent to the coordinator.
struct TxCommitReq {
  static constexpr uint8_t kOp = CFS_MOP_TX_COMMIT;
  using Reply = NoBody;
  std::string tx_id{};
  uint64_t tm_id = 0;
  uint8_t type = 1;  ///< kTxApplyCommit

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("tx", s.tx_id)("tmid", s.tm_id)("type", s.type);
  }
};

/// Ends a transaction by undoing it; sent to the coordinator.
struct TxRollbackReq {
  static constexpr uint8_t kOp = CFS_MOP_TX_ROLLBACK;
  using Reply = NoBody;
  std::string tx_id{};
  uint64_t tm_id = 0;
  uint8_t type = 2;  ///< kTxApplyRollback

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("tx", s.tx_id)("tmid", s.tm_id)("type", s.type);
  }
};

}  // namespace cfs::wire

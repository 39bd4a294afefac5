// SPDX-License-Identifier: Apache-2.0
/// Objects inside metadata messages: inodes, dentries, extent keys, transactions.
///
/// Purpose  Plain data with Go's key order; see json.h for how `fields` is used.
/// Threads  Values; share by copy.
/// Failure  None here; decode() reports bad bodies.
/// Source   CubeFS v3.5.3, proto/fs_proto.go, proto/extent_key.go, proto/transaction.go.
#pragma once

#include <optional>

#include "daemon/wire/json.h"

namespace cfs::wire {

/// Membership of an inode in a directory quota.
struct QuotaMark {
  bool root = false;  ///< the inode is the quota's directory itself

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("rid", s.root);
  }
  bool operator==(const QuotaMark&) const = default;
};

/// Inode as meta nodes report it. Times are unix seconds, 0 = unset.
struct InodeInfo {
  uint64_t ino = 0;
  uint32_t mode = 0;  ///< Go os.FileMode bits, see from_go_mode()
  uint32_t nlink = 0;
  uint64_t size = 0;  ///< bytes
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t gen = 0;  ///< grows with every change of the extents
  int64_t mtime = 0;
  int64_t ctime = 0;  ///< creation time, never changed by the server
  int64_t atime = 0;
  std::string target{};               ///< of a symlink
  Map<uint64_t, QuotaMark> quotas{};  ///< by quota id
  uint64_t seq = 0;                   ///< snapshot version
  int64_t persist_atime = 0;
  uint32_t storage_class = 0;
  uint64_t lease_expire_s = 0;  ///< migration lease, unix seconds
  bool forbidden_lc = false;
  uint32_t migration_storage_class = 0;
  bool has_migration_ek = false;
  int64_t mek_expired = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("ino", s.ino)("mode", s.mode)("nlink", s.nlink)("sz", s.size)("uid", s.uid)("gid", s.gid);
    a("gen", s.gen).time("mt", s.mtime).time("ct", s.ctime).time("at", s.atime);
    a.base64("tgt", s.target)("qifs", s.quotas)("seq", s.seq).time("pat", s.persist_atime);
    a("storageClass", s.storage_class)("leaseExpireTime", s.lease_expire_s);
    a("forbiddenLc", s.forbidden_lc)("migrationStorageClass", s.migration_storage_class);
    a("hasMigrationEk", s.has_migration_ek);
    // The server sets this one even when unused, so its zero is the epoch, except in an all-zero
    // inode.
    if (s.ino != 0) {
      a.epoch_time("mekExpiredTime", s.mek_expired);
    } else {
      a.time("mekExpiredTime", s.mek_expired);
    }
    a.null("eks");
  }
  bool operator==(const InodeInfo&) const = default;
};

/// One name of a directory listing.
struct Dentry {
  std::string name{};
  uint64_t ino = 0;
  uint32_t type = 0;  ///< Go mode as of creation

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("name", s.name)("ino", s.ino)("type", s.type);
  }
  bool operator==(const Dentry&) const = default;
};

/// Snapshot part of an extent key.
struct ExtentSnapInfo {
  uint64_t ver_seq = 0;
  bool is_split = false;
  uint64_t mod_gen = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("VerSeq", s.ver_seq)("IsSplit", s.is_split)("ModGen", s.mod_gen);
  }
  bool operator==(const ExtentSnapInfo&) const = default;
};

/// A run of bytes of a file and where it is stored.
struct ExtentKey {
  uint64_t file_offset = 0;  ///< bytes from the start of the file
  uint64_t partition_id = 0;
  uint64_t extent_id = 0;
  uint64_t extent_offset = 0;  ///< bytes from the start of the extent
  uint32_t size = 0;           ///< bytes
  uint32_t crc = 0;
  std::optional<ExtentSnapInfo> snap_info{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("FileOffset", s.file_offset)("PartitionId", s.partition_id)("ExtentId", s.extent_id);
    a("ExtentOffset", s.extent_offset)("Size", s.size)("CRC", s.crc)("SnapInfo", s.snap_info);
  }
  bool operator==(const ExtentKey&) const = default;
};

/// What a transaction is for.
enum TxType : uint32_t {
  kTxCreate = 1,
  kTxMkdir = 2,
  kTxRemove = 3,
  kTxRename = 4,
  kTxMknod = 5,
  kTxSymlink = 6,
  kTxLink = 7,
};

/// Progress of a transaction at its coordinator.
enum TxState : int32_t {
  kTxInit = 0,
  kTxPreCommit = 1,
  kTxCommit = 2,
  kTxRollback = 3,
  kTxCommitDone = 4,
  kTxRollbackDone = 5,
  kTxFailed = 6,
};

/// `type` of TxCommitReq and TxRollbackReq.
inline constexpr uint8_t kTxApplyCommit = 1;
inline constexpr uint8_t kTxApplyRollback = 2;

/// Inode locked by a transaction.
struct TxInodeInfo {
  uint64_t ino = 0;
  uint64_t mp_id = 0;
  int64_t create_time_s = 0;  ///< unix seconds
  int64_t timeout_min = 0;
  std::string tx_id{};
  std::string mp_members{};  ///< "host:port,..." leader first

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Ino", s.ino)("MpID", s.mp_id)("CreateTime", s.create_time_s)("Timeout", s.timeout_min);
    a("TxID", s.tx_id)("MpMembers", s.mp_members);
  }
  bool operator==(const TxInodeInfo&) const = default;
};

/// Name locked by a transaction.
struct TxDentryInfo {
  uint64_t parent_id = 0;
  std::string name{};
  std::string mp_members{};
  std::string tx_id{};
  uint64_t mp_id = 0;
  int64_t create_time_s = 0;
  int64_t timeout_min = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("ParentId", s.parent_id)("Name", s.name)("MpMembers", s.mp_members)("TxID", s.tx_id);
    a("MpID", s.mp_id)("CreateTime", s.create_time_s)("Timeout", s.timeout_min);
  }
  bool operator==(const TxDentryInfo&) const = default;
};

/// A transaction; both maps are written as {} when empty (the Go client makes them, never nil).
struct TransactionInfo {
  std::string tx_id{};  ///< "" until the coordinator has assigned one
  uint32_t tx_type = 0;
  int64_t tm_id = 0;  ///< meta partition that coordinates
  int64_t create_time = 0;
  int64_t timeout_min = 0;
  int32_t state = 0;
  int64_t done_time = 0;
  bool rm_finish = false;
  Map<uint64_t, TxInodeInfo> inodes{};        ///< by inode; 0 for one not yet created
  Map<std::string, TxDentryInfo> dentries{};  ///< by tx_dentry_key()
  int64_t last_check_time = 0;

  TransactionInfo() { inodes.nil = dentries.nil = false; }
  template <class S, class A>
  static void fields(S& s, A& a) {
    a("TxID", s.tx_id)("TxType", s.tx_type)("TmID", s.tm_id)("CreateTime", s.create_time);
    a("Timeout", s.timeout_min)("State", s.state)("DoneTime", s.done_time);
    a("RMFinish", s.rm_finish)("TxInodeInfos", s.inodes)("TxDentryInfos", s.dentries);
    a("LastCheckTime", s.last_check_time);
  }
  bool operator==(const TransactionInfo&) const = default;
};

/// Key of TransactionInfo::dentries. Source: proto/transaction.go (GetKey).
[[nodiscard]] inline std::string tx_dentry_key(uint64_t parent, std::string_view name) {
  return std::to_string(parent) + "_" + std::string(name);
}

}  // namespace cfs::wire

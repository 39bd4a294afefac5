// SPDX-License-Identifier: Apache-2.0
/// Typed view of one meta partition inside a transaction.
///
/// Purpose   Turns inodes, names, extents and counters into keys and values of store.h and keeps
///           the partition's totals right.
/// Lifetime  Inside one Txn. flush() must run before Txn::commit(), else the counters are lost.
/// Threads   As its Txn.
/// Failure   Reports nothing itself; the transaction remembers what failed. A value that cannot be
///           read (written by another version) counts as absent.
#pragma once

#include <vector>

#include "daemon/wire/meta_msg.h"
#include "tools/minicluster/store.h"

namespace cfs::mini {

using ExtentList = std::vector<wire::ExtentKey>;

struct Inode {
  wire::InodeInfo info;
  bool deleted = false;  ///< delete mark: only the reclaimer still sees it

  [[nodiscard]] bool is_dir() const { return (info.mode & CFS_GOMODE_DIR) != 0; }
};

struct DentryValue {
  uint64_t ino = 0;
  uint32_t mode = 0;  ///< Go mode as of creation
};

/// Cursors and totals of a partition.
struct Counters {
  uint64_t cursor = 0;     ///< last inode number handed out
  uint64_t next_uniq = 1;  ///< start of the next range of unique ids
  uint64_t next_tx = 1;
  uint64_t applied = 0;     ///< grows with every change, as a raft index does
  uint64_t uniq_order = 0;  ///< link and unlink requests remembered so far
  uint64_t inodes = 0;
  uint64_t dentries = 0;
  uint64_t bytes = 0;         ///< sum of all file sizes
  uint64_t transactions = 0;  ///< not yet forgotten
};

/// What counts against a limit.
struct Usage {
  uint64_t files = 0;  ///< inodes of any type
  uint64_t bytes = 0;
};

/// Whose usage: inodes of a directory quota (without its root directory), or of a user.
enum class UsageKind : uint8_t { kQuota, kUser };

/// What an open transaction has done to an inode, enough to undo it.
struct TxInodeUndo {
  enum Kind : uint8_t { kCreated, kLinked, kUnlinked };
  std::string tx_id;
  Kind kind = kLinked;
  uint32_t tx_type = 0;  ///< wire::TxType
  Inode before;          ///< of kUnlinked
};

/// What an open transaction has done to a name.
struct TxDentryUndo {
  enum Kind : uint8_t { kCreated, kDeleted, kUpdated };
  std::string tx_id;
  Kind kind = kCreated;
  DentryValue before;  ///< of kDeleted and kUpdated; of kCreated the new one
};

class PartitionStore {
 public:
  PartitionStore(Txn& txn, uint64_t partition);

  [[nodiscard]] uint64_t id() const { return partition_; }
  [[nodiscard]] Txn& txn() { return txn_; }

  [[nodiscard]] std::optional<Inode> inode(uint64_t ino);
  void put_inode(const Inode& inode);
  /// Removes inode, extents and attributes; the extents are *not* freed.
  void erase_inode(uint64_t ino);

  /// Sums over the partition's inodes that have a name.
  [[nodiscard]] Usage usage(UsageKind kind, uint64_t id);

  [[nodiscard]] ExtentList extents(uint64_t ino);
  void put_extents(uint64_t ino, const ExtentList& list);
  /// Queues keys for deletion on the data nodes.
  void free_extents(const ExtentList& list);

  [[nodiscard]] std::optional<DentryValue> dentry(uint64_t parent, std::string_view name);
  void put_dentry(uint64_t parent, std::string_view name, const DentryValue& value);
  void erase_dentry(uint64_t parent, std::string_view name);
  /// Visits names >= marker in byte order until `visit` returns false.
  void scan_dentries(uint64_t parent, std::string_view marker,
                     const std::function<bool(std::string_view, const DentryValue&)>& visit);

  [[nodiscard]] std::optional<std::string> xattr(uint64_t ino, std::string_view name);
  void put_xattr(uint64_t ino, std::string_view name, std::string_view value);
  void erase_xattr(uint64_t ino, std::string_view name);
  void scan_xattrs(uint64_t ino, const Txn::Visit& visit);

  /// True when the id is new; it is remembered from then on.
  bool note_uniq(uint64_t id, int64_t now);
  /// Forgets ids older than `keep_s` seconds that are not among the last `keep_count`; says how
  /// many.
  size_t prune_uniq(int64_t now, int64_t keep_s, uint64_t keep_count);

  [[nodiscard]] std::optional<wire::TransactionInfo> tx(const std::string& tx_id);
  void put_tx(const wire::TransactionInfo& tx);
  void erase_tx(const std::string& tx_id);
  [[nodiscard]] std::vector<wire::TransactionInfo> all_tx();

  [[nodiscard]] std::optional<TxInodeUndo> tx_inode(uint64_t ino);
  void put_tx_inode(uint64_t ino, const TxInodeUndo& undo);
  void erase_tx_inode(uint64_t ino);
  [[nodiscard]] std::optional<TxDentryUndo> tx_dentry(uint64_t parent, std::string_view name);
  void put_tx_dentry(uint64_t parent, std::string_view name, const TxDentryUndo& undo);
  void erase_tx_dentry(uint64_t parent, std::string_view name);

  /// Inodes without a name, with the time that happened.
  void put_reclaim(uint64_t ino, int64_t since);
  void erase_reclaim(uint64_t ino);
  [[nodiscard]] std::vector<std::pair<uint64_t, int64_t>> all_reclaim();

  [[nodiscard]] Counters& counters() { return counters_; }
  /// Counts the change and writes the counters.
  void flush();

  /// Queued keys of all partitions, at most `limit`, with the key that removes each from the queue.
  [[nodiscard]] static std::vector<std::pair<std::string, wire::ExtentKey>> freed(Txn& txn,
                                                                                  size_t limit);

 private:
  void charge(const Inode& inode, int sign);
  void charge_one(UsageKind kind, uint64_t id, const Inode& inode, int sign);

  Txn& txn_;
  const uint64_t partition_;
  Counters counters_;
  uint32_t freed_count_ = 0;  ///< keys queued by this object
};

}  // namespace cfs::mini

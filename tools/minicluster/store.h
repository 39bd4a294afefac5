// SPDX-License-Identifier: Apache-2.0
/// Where the mini cluster keeps metadata: ordered tables and transactions.
///
/// Purpose   The state machine sees only `Txn`. LmdbStore keeps the tables in one LMDB environment,
///           MemStore in memory (tests of the state machine).
/// Lifetime  The store outlives its transactions. A Txn that is destroyed without commit() is
///           undone.
/// Threads   A transaction is used by the thread that began it. Any number of readers run beside
///           one writer; begin_write() waits for the other writer.
/// Failure   A write that fails (disk full, map full) is remembered and reported by commit(), which
///           then changes nothing. A committed transaction survives the death of the process; it
///           survives the death of the machine only with Durability::kDisk.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/base/result.h"

namespace cfs::mini {

/// Tables; all but kTopology have keys that begin with the meta partition id (8 bytes, big-endian).
enum class Table : unsigned {
  kInode,     ///< partition, ino -> inode
  kExtents,   ///< partition, ino -> extent keys of the inode
  kDentry,    ///< partition, parent, name -> ino, mode
  kXattr,     ///< partition, ino, name -> value
  kCounters,  ///< partition -> cursors and totals
  kUniq,      ///< partition, unique id -> order, time
  kTx,        ///< partition, transaction id -> TransactionInfo as JSON
  kTxInode,   ///< partition, ino -> what a rollback needs
  kTxDentry,  ///< partition, parent, name -> what a rollback needs
  kReclaim,   ///< partition, ino -> time the last name went away
  kFreed,     ///< partition, order -> extent key to be deleted on the data nodes
  kTopology,  ///< "topology" -> volumes and partitions as JSON
  kUsage,     ///< partition, kind, id -> files and bytes of a quota or a user
  kCount,
};

/// Reads and, when begun for writing, changes.
class Txn {
 public:
  /// Called with key and value; returns false to stop.
  using Visit = std::function<bool(std::string_view, std::string_view)>;

  virtual ~Txn() = default;
  [[nodiscard]] virtual std::optional<std::string> get(Table table, std::string_view key) = 0;
  virtual void put(Table table, std::string_view key, std::string_view value) = 0;
  /// True when the key was there.
  virtual bool del(Table table, std::string_view key) = 0;
  /// Visits keys that start with `prefix` and are not below `from`, in byte order. The visitor must
  /// not change the table.
  virtual void scan(Table table, std::string_view prefix, std::string_view from,
                    const Visit& visit) = 0;
  /// Makes the changes visible to later transactions; the object is of no use afterwards.
  virtual Result<void> commit() = 0;
};

class Store {
 public:
  virtual ~Store() = default;
  [[nodiscard]] virtual std::unique_ptr<Txn> begin_read() = 0;
  [[nodiscard]] virtual std::unique_ptr<Txn> begin_write() = 0;
};

enum class Durability {
  kProcess,  ///< no fsync: survives kill -9
  kDisk,     ///< fsync at each commit
};

/// Opens (or creates) the environment in `dir`, which must exist.
Result<std::unique_ptr<Store>> open_lmdb_store(const std::string& dir, Durability durability);

/// Tables in memory. begin_read() waits for a writer, too: one transaction at a time.
class MemStore final : public Store {
 public:
  [[nodiscard]] std::unique_ptr<Txn> begin_read() override;
  [[nodiscard]] std::unique_ptr<Txn> begin_write() override;

  using Tables = std::map<std::pair<Table, std::string>, std::string>;

 private:
  std::recursive_mutex lock_;
  Tables tables_;  ///< lock_
};

}  // namespace cfs::mini

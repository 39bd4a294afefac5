// SPDX-License-Identifier: Apache-2.0
/// LMDB and in-memory implementations of store.h.
///
/// Lifetime  An LMDB read transaction holds a reader slot until it is destroyed, so requests keep
///           it short. MDB_NOTLS ties the slot to the object, not to the thread.
/// Threads   LMDB's own writer lock serialises writers.
/// Failure   See store.h; LMDB codes become errno (MDB_MAP_FULL is ENOSPC).
#include "tools/minicluster/store.h"

#include <lmdb.h>

#include <array>

namespace cfs::mini {
namespace {

/// Address space, not memory: the file grows with its content.
constexpr size_t kMapBytes = size_t{16} << 30;
constexpr unsigned kMaxReaders = 2048;
constexpr unsigned kTableCount = static_cast<unsigned>(Table::kCount);
constexpr std::array<const char*, kTableCount> kTableNames = {
    "inode", "extents", "dentry",   "xattr",   "counters", "uniq",
    "tx",    "txinode", "txdentry", "reclaim", "freed",    "topology"};

Error lmdb_error(int rc, const std::string& what) {
  int code = EIO;
  if (rc > 0) code = rc;
  if (rc == MDB_MAP_FULL) code = ENOSPC;
  if (rc == MDB_BAD_VALSIZE) code = ENAMETOOLONG;
  return make_error(code, what + ": " + mdb_strerror(rc));
}

MDB_val to_val(std::string_view s) {
  return MDB_val{s.size(), const_cast<char*>(s.data())};
}

std::string_view to_view(const MDB_val& v) {
  return {static_cast<const char*>(v.mv_data), v.mv_size};
}

bool starts_with(std::string_view s, std::string_view prefix) {
  return s.substr(0, prefix.size()) == prefix;
}

class LmdbTxn final : public Txn {
 public:
  LmdbTxn(MDB_env* env, const std::array<MDB_dbi, kTableCount>& dbi, unsigned flags) : dbi_(dbi) {
    note(mdb_txn_begin(env, nullptr, flags, &txn_));
  }
  ~LmdbTxn() override {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }

  std::optional<std::string> get(Table table, std::string_view key) override {
    MDB_val k = to_val(key), v;
    int rc = txn_ ? mdb_get(txn_, dbi(table), &k, &v) : MDB_BAD_TXN;
    if (rc == 0) return std::string(to_view(v));
    if (rc != MDB_BAD_VALSIZE && rc != MDB_NOTFOUND) note(rc);
    return std::nullopt;
  }

  void put(Table table, std::string_view key, std::string_view value) override {
    MDB_val k = to_val(key), v = to_val(value);
    note(txn_ ? mdb_put(txn_, dbi(table), &k, &v, 0) : MDB_BAD_TXN);
  }

  bool del(Table table, std::string_view key) override {
    MDB_val k = to_val(key);
    int rc = txn_ ? mdb_del(txn_, dbi(table), &k, nullptr) : MDB_BAD_TXN;
    if (rc != MDB_NOTFOUND && rc != MDB_BAD_VALSIZE) note(rc);
    return rc == 0;
  }

  void scan(Table table, std::string_view prefix, std::string_view from,
            const Visit& visit) override {
    MDB_cursor* cursor = nullptr;
    int rc = txn_ ? mdb_cursor_open(txn_, dbi(table), &cursor) : MDB_BAD_TXN;
    if (rc != 0) return note(rc);
    MDB_val k = to_val(from < prefix ? prefix : from), v;
    rc = mdb_cursor_get(cursor, &k, &v, k.mv_size == 0 ? MDB_FIRST : MDB_SET_RANGE);
    while (rc == 0 && starts_with(to_view(k), prefix) && visit(to_view(k), to_view(v))) {
      rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc != MDB_NOTFOUND) note(rc);
  }

  Result<void> commit() override {
    MDB_txn* txn = std::exchange(txn_, nullptr);
    if (failed_ == 0) {
      note(mdb_txn_commit(txn));
    } else if (txn != nullptr) {
      mdb_txn_abort(txn);  // frees the writer lock now, not when the object goes
    }
    if (failed_ != 0) return lmdb_error(failed_, "metadata store");
    return {};
  }

 private:
  void note(int rc) {
    if (rc != 0 && failed_ == 0) failed_ = rc;
  }
  [[nodiscard]] MDB_dbi dbi(Table table) const { return dbi_[static_cast<unsigned>(table)]; }

  const std::array<MDB_dbi, kTableCount>& dbi_;
  MDB_txn* txn_ = nullptr;
  int failed_ = 0;  ///< first LMDB error
};

class LmdbStore final : public Store {
 public:
  ~LmdbStore() override {
    if (env_ != nullptr) mdb_env_close(env_);
  }

  Result<void> open(const std::string& dir, Durability durability) {
    unsigned flags = MDB_NOTLS | (durability == Durability::kProcess ? MDB_NOSYNC : 0);
    int rc = mdb_env_create(&env_);
    if (rc == 0) rc = mdb_env_set_mapsize(env_, kMapBytes);
    if (rc == 0) rc = mdb_env_set_maxdbs(env_, kTableCount);
    if (rc == 0) rc = mdb_env_set_maxreaders(env_, kMaxReaders);
    if (rc == 0) rc = mdb_env_open(env_, dir.c_str(), flags, 0644);
    if (rc == 0) rc = open_tables();
    int dead = 0;
    if (rc == 0) rc = mdb_reader_check(env_, &dead);  // slots of a killed predecessor
    if (rc != 0) return lmdb_error(rc, "open " + dir);
    return {};
  }

  std::unique_ptr<Txn> begin_read() override {
    return std::make_unique<LmdbTxn>(env_, dbi_, MDB_RDONLY);
  }
  std::unique_ptr<Txn> begin_write() override { return std::make_unique<LmdbTxn>(env_, dbi_, 0u); }

 private:
  int open_tables() {
    MDB_txn* txn = nullptr;
    int rc = mdb_txn_begin(env_, nullptr, 0, &txn);
    for (unsigned i = 0; rc == 0 && i < kTableCount; ++i) {
      rc = mdb_dbi_open(txn, kTableNames[i], MDB_CREATE, &dbi_[i]);
    }
    if (rc == 0) return mdb_txn_commit(txn);
    if (txn != nullptr) mdb_txn_abort(txn);
    return rc;
  }

  MDB_env* env_ = nullptr;
  std::array<MDB_dbi, kTableCount> dbi_{};
};

class MemTxn final : public Txn {
 public:
  MemTxn(std::recursive_mutex& lock, MemStore::Tables& tables)
      : guard_(lock), tables_(tables), saved_(tables) {}
  ~MemTxn() override {
    if (!committed_) tables_ = std::move(saved_);
  }

  std::optional<std::string> get(Table table, std::string_view key) override {
    auto it = tables_.find({table, std::string(key)});
    if (it == tables_.end()) return std::nullopt;
    return it->second;
  }
  void put(Table table, std::string_view key, std::string_view value) override {
    tables_[{table, std::string(key)}] = value;
  }
  bool del(Table table, std::string_view key) override {
    return tables_.erase({table, std::string(key)}) != 0;
  }
  void scan(Table table, std::string_view prefix, std::string_view from,
            const Visit& visit) override {
    auto it = tables_.lower_bound({table, std::string(from < prefix ? prefix : from)});
    for (; it != tables_.end() && it->first.first == table; ++it) {
      if (!starts_with(it->first.second, prefix) || !visit(it->first.second, it->second)) return;
    }
  }
  Result<void> commit() override {
    committed_ = true;
    return {};
  }

 private:
  std::lock_guard<std::recursive_mutex> guard_;
  MemStore::Tables& tables_;
  MemStore::Tables saved_;
  bool committed_ = false;
};

}  // namespace

Result<std::unique_ptr<Store>> open_lmdb_store(const std::string& dir, Durability durability) {
  auto store = std::make_unique<LmdbStore>();
  Result<void> opened = store->open(dir, durability);
  if (!opened) return opened.error();
  return std::unique_ptr<Store>(std::move(store));
}

std::unique_ptr<Txn> MemStore::begin_read() {
  return std::make_unique<MemTxn>(lock_, tables_);
}
std::unique_ptr<Txn> MemStore::begin_write() {
  return std::make_unique<MemTxn>(lock_, tables_);
}

}  // namespace cfs::mini

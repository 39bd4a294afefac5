// SPDX-License-Identifier: Apache-2.0
/// Keys and values of meta_store.h. Numbers in keys are big-endian so that byte order is number
/// order; values begin with a format byte.
#include "tools/minicluster/meta_store.h"

#include <algorithm>

namespace cfs::mini {
namespace {

constexpr char kFormat = 1;

std::string be64(uint64_t v) {
  std::string s(8, '\0');
  cfs_put64(v, s.data());
  return s;
}

std::string key2(uint64_t a, uint64_t b) {
  return be64(a) + be64(b);
}

std::string key3(uint64_t a, uint64_t b, std::string_view tail) {
  return key2(a, b).append(tail);
}

std::string usage_key(uint64_t partition, UsageKind kind, uint64_t id) {
  return be64(partition) + static_cast<char>(kind) + be64(id);
}

/// Appends numbers and strings to a value.
class Writer {
 public:
  Writer& u64(uint64_t v) {
    out_ += be64(v);
    return *this;
  }
  Writer& str(std::string_view s) {
    u64(s.size());
    out_.append(s);
    return *this;
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  std::string out_ = std::string(1, kFormat);
};

/// Reads them back; everything is zero after the end, ok() tells.
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {
    ok_ = !in_.empty() && in_[0] == kFormat;
    if (ok_) in_.remove_prefix(1);
  }
  uint64_t u64() {
    if (!ok_ || in_.size() < 8) return fail();
    uint64_t v = cfs_get64(in_.data());
    in_.remove_prefix(8);
    return v;
  }
  uint32_t u32() { return static_cast<uint32_t>(u64()); }
  int64_t i64() { return static_cast<int64_t>(u64()); }
  std::string str() {
    uint64_t n = u64();
    if (!ok_ || in_.size() < n) {
      fail();
      return {};
    }
    std::string s(in_.substr(0, n));
    in_.remove_prefix(n);
    return s;
  }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  uint64_t fail() {
    ok_ = false;
    return 0;
  }
  std::string_view in_;
  bool ok_ = true;
};

void write_inode(Writer& w, const Inode& inode) {
  const wire::InodeInfo& i = inode.info;
  w.u64(i.ino).u64(i.mode).u64(i.nlink).u64(i.size).u64(i.uid).u64(i.gid).u64(i.gen);
  w.u64(static_cast<uint64_t>(i.mtime)).u64(static_cast<uint64_t>(i.ctime));
  w.u64(static_cast<uint64_t>(i.atime)).str(i.target).u64(i.storage_class).u64(i.lease_expire_s);
  w.u64(inode.deleted).u64(i.quotas.size());
  for (const auto& [id, mark] : i.quotas) w.u64(id).u64(mark.root);
}

Inode read_inode(Reader& r) {
  Inode inode;
  wire::InodeInfo& i = inode.info;
  i.ino = r.u64();
  i.mode = r.u32();
  i.nlink = r.u32();
  i.size = r.u64();
  i.uid = r.u32();
  i.gid = r.u32();
  i.gen = r.u64();
  i.mtime = r.i64();
  i.ctime = r.i64();
  i.atime = r.i64();
  i.target = r.str();
  i.storage_class = r.u32();
  i.lease_expire_s = r.u64();
  inode.deleted = r.u64() != 0;
  for (uint64_t n = r.u64(); n > 0 && r.ok(); --n) {
    uint64_t id = r.u64();
    i.quotas[id].root = r.u64() != 0;
  }
  return inode;
}

void write_extent(Writer& w, const wire::ExtentKey& k) {
  w.u64(k.file_offset).u64(k.partition_id).u64(k.extent_id).u64(k.extent_offset).u64(k.size);
  w.u64(k.crc);
}

wire::ExtentKey read_extent(Reader& r) {
  wire::ExtentKey k;
  k.file_offset = r.u64();
  k.partition_id = r.u64();
  k.extent_id = r.u64();
  k.extent_offset = r.u64();
  k.size = r.u32();
  k.crc = r.u32();
  return k;
}

std::optional<wire::TransactionInfo> decode_tx(std::string_view value) {
  Result<wire::TxReply> record = wire::decode<wire::TxReply>(value);
  return record ? std::move(record->tx) : std::nullopt;
}

std::string pack_counters(const Counters& c) {
  Writer w;
  w.u64(c.cursor).u64(c.next_uniq).u64(c.next_tx).u64(c.applied).u64(c.uniq_order);
  w.u64(c.inodes).u64(c.dentries).u64(c.bytes).u64(c.transactions);
  return w.take();
}

Counters unpack_counters(std::string_view value) {
  Reader r(value);
  Counters c;
  for (uint64_t* field : {&c.cursor, &c.next_uniq, &c.next_tx, &c.applied, &c.uniq_order, &c.inodes,
                          &c.dentries, &c.bytes, &c.transactions}) {
    *field = r.u64();
  }
  return r.ok() ? c : Counters{};
}

}  // namespace

PartitionStore::PartitionStore(Txn& txn, uint64_t partition) : txn_(txn), partition_(partition) {
  if (auto value = txn_.get(Table::kCounters, be64(partition_))) {
    counters_ = unpack_counters(*value);
  }
}

std::optional<Inode> PartitionStore::inode(uint64_t ino) {
  auto value = txn_.get(Table::kInode, key2(partition_, ino));
  if (!value) return std::nullopt;
  Reader r(*value);
  Inode inode = read_inode(r);
  if (!r.ok()) return std::nullopt;
  return inode;
}

void PartitionStore::put_inode(const Inode& inode) {
  std::optional<Inode> old = this->inode(inode.info.ino);
  if (old) {
    counters_.bytes -= old->info.size;
    charge(*old, -1);
  } else {
    ++counters_.inodes;
  }
  counters_.bytes += inode.info.size;
  charge(inode, +1);
  Writer w;
  write_inode(w, inode);
  txn_.put(Table::kInode, key2(partition_, inode.info.ino), w.take());
}

void PartitionStore::erase_inode(uint64_t ino) {
  std::optional<Inode> old = inode(ino);
  if (!old) return;
  counters_.bytes -= old->info.size;
  charge(*old, -1);
  --counters_.inodes;
  txn_.del(Table::kInode, key2(partition_, ino));
  txn_.del(Table::kExtents, key2(partition_, ino));
  std::vector<std::string> names;
  scan_xattrs(ino, [&](std::string_view name, std::string_view) {
    names.emplace_back(name);
    return true;
  });
  for (const std::string& name : names) erase_xattr(ino, name);
}

Usage PartitionStore::usage(UsageKind kind, uint64_t id) {
  auto value = txn_.get(Table::kUsage, usage_key(partition_, kind, id));
  if (!value) return {};
  Reader r(*value);
  Usage usage;
  usage.files = r.u64();
  usage.bytes = r.u64();
  return usage;
}

/// An inode without a name is no longer its user's. Source: metanode/partition_fsmop_inode.go
/// (fsmUnlinkInode, updateUsedInfo).
void PartitionStore::charge(const Inode& inode, int sign) {
  if (inode.deleted || inode.info.nlink == 0) return;
  charge_one(UsageKind::kUser, inode.info.uid, inode, sign);
  for (const auto& [id, mark] : inode.info.quotas) {
    if (!mark.root) charge_one(UsageKind::kQuota, id, inode, sign);
  }
}

void PartitionStore::charge_one(UsageKind kind, uint64_t id, const Inode& inode, int sign) {
  Usage usage = this->usage(kind, id);
  usage.files += sign > 0 ? uint64_t{1} : -uint64_t{1};
  usage.bytes += sign > 0 ? inode.info.size : -inode.info.size;
  Writer w;
  w.u64(usage.files).u64(usage.bytes);
  txn_.put(Table::kUsage, usage_key(partition_, kind, id), w.take());
}

ExtentList PartitionStore::extents(uint64_t ino) {
  ExtentList list;
  auto value = txn_.get(Table::kExtents, key2(partition_, ino));
  if (!value) return list;
  Reader r(*value);
  for (uint64_t n = r.u64(); n > 0 && r.ok(); --n) list.push_back(read_extent(r));
  return list;
}

void PartitionStore::put_extents(uint64_t ino, const ExtentList& list) {
  Writer w;
  w.u64(list.size());
  for (const wire::ExtentKey& key : list) write_extent(w, key);
  txn_.put(Table::kExtents, key2(partition_, ino), w.take());
}

void PartitionStore::free_extents(const ExtentList& list) {
  for (const wire::ExtentKey& key : list) {
    Writer w;
    write_extent(w, key);
    // The number of the change makes the key unique; flush() will use the same number.
    std::string order = key3(partition_, counters_.applied + 1, be64(freed_count_++));
    txn_.put(Table::kFreed, order, w.take());
  }
}

std::optional<DentryValue> PartitionStore::dentry(uint64_t parent, std::string_view name) {
  auto value = txn_.get(Table::kDentry, key3(partition_, parent, name));
  if (!value) return std::nullopt;
  Reader r(*value);
  DentryValue d;
  d.ino = r.u64();
  d.mode = r.u32();
  return d;
}

void PartitionStore::put_dentry(uint64_t parent, std::string_view name, const DentryValue& value) {
  if (!dentry(parent, name)) ++counters_.dentries;
  Writer w;
  w.u64(value.ino).u64(value.mode);
  txn_.put(Table::kDentry, key3(partition_, parent, name), w.take());
}

void PartitionStore::erase_dentry(uint64_t parent, std::string_view name) {
  if (txn_.del(Table::kDentry, key3(partition_, parent, name))) --counters_.dentries;
}

void PartitionStore::scan_dentries(
    uint64_t parent, std::string_view marker,
    const std::function<bool(std::string_view, const DentryValue&)>& visit) {
  std::string prefix = key2(partition_, parent);
  auto each = [&](std::string_view key, std::string_view value) {
    Reader r(value);
    DentryValue d;
    d.ino = r.u64();
    d.mode = r.u32();
    return visit(key.substr(prefix.size()), d);
  };
  txn_.scan(Table::kDentry, prefix, key3(partition_, parent, marker), each);
}

std::optional<std::string> PartitionStore::xattr(uint64_t ino, std::string_view name) {
  return txn_.get(Table::kXattr, key3(partition_, ino, name));
}

void PartitionStore::put_xattr(uint64_t ino, std::string_view name, std::string_view value) {
  txn_.put(Table::kXattr, key3(partition_, ino, name), value);
}

void PartitionStore::erase_xattr(uint64_t ino, std::string_view name) {
  txn_.del(Table::kXattr, key3(partition_, ino, name));
}

void PartitionStore::scan_xattrs(uint64_t ino, const Txn::Visit& visit) {
  std::string prefix = key2(partition_, ino);
  txn_.scan(Table::kXattr, prefix, prefix, [&](std::string_view key, std::string_view value) {
    return visit(key.substr(prefix.size()), value);
  });
}

bool PartitionStore::note_uniq(uint64_t id, int64_t now) {
  if (id == 0) return true;
  std::string key = key2(partition_, id);
  if (txn_.get(Table::kUniq, key)) return false;
  Writer w;
  w.u64(++counters_.uniq_order).u64(static_cast<uint64_t>(now));
  txn_.put(Table::kUniq, key, w.take());
  return true;
}

size_t PartitionStore::prune_uniq(int64_t now, int64_t keep_s, uint64_t keep_count) {
  std::vector<std::string> old;
  std::string prefix = be64(partition_);
  txn_.scan(Table::kUniq, prefix, prefix, [&](std::string_view key, std::string_view value) {
    Reader r(value);
    uint64_t order = r.u64();
    bool recent = order + keep_count > counters_.uniq_order;
    if (!recent && r.i64() + keep_s < now) old.emplace_back(key);
    return true;
  });
  for (const std::string& key : old) txn_.del(Table::kUniq, key);
  return old.size();
}

std::optional<wire::TransactionInfo> PartitionStore::tx(const std::string& tx_id) {
  auto value = txn_.get(Table::kTx, be64(partition_) + tx_id);
  if (!value) return std::nullopt;
  return decode_tx(*value);
}

void PartitionStore::put_tx(const wire::TransactionInfo& tx) {
  std::string key = be64(partition_) + tx.tx_id;
  if (!txn_.get(Table::kTx, key)) ++counters_.transactions;
  txn_.put(Table::kTx, key, wire::encode(wire::TxReply{tx}));
}

void PartitionStore::erase_tx(const std::string& tx_id) {
  if (txn_.del(Table::kTx, be64(partition_) + tx_id)) --counters_.transactions;
}

std::vector<wire::TransactionInfo> PartitionStore::all_tx() {
  std::vector<wire::TransactionInfo> all;
  std::string prefix = be64(partition_);
  txn_.scan(Table::kTx, prefix, prefix, [&](std::string_view, std::string_view value) {
    std::optional<wire::TransactionInfo> tx = decode_tx(value);
    if (tx) all.push_back(std::move(*tx));
    return true;
  });
  return all;
}

std::optional<TxInodeUndo> PartitionStore::tx_inode(uint64_t ino) {
  auto value = txn_.get(Table::kTxInode, key2(partition_, ino));
  if (!value) return std::nullopt;
  Reader r(*value);
  TxInodeUndo undo;
  undo.tx_id = r.str();
  undo.kind = static_cast<TxInodeUndo::Kind>(r.u64());
  undo.tx_type = r.u32();
  undo.before = read_inode(r);
  return undo;
}

void PartitionStore::put_tx_inode(uint64_t ino, const TxInodeUndo& undo) {
  Writer w;
  w.str(undo.tx_id).u64(undo.kind).u64(undo.tx_type);
  write_inode(w, undo.before);
  txn_.put(Table::kTxInode, key2(partition_, ino), w.take());
}

void PartitionStore::erase_tx_inode(uint64_t ino) {
  txn_.del(Table::kTxInode, key2(partition_, ino));
}

std::optional<TxDentryUndo> PartitionStore::tx_dentry(uint64_t parent, std::string_view name) {
  auto value = txn_.get(Table::kTxDentry, key3(partition_, parent, name));
  if (!value) return std::nullopt;
  Reader r(*value);
  TxDentryUndo undo;
  undo.tx_id = r.str();
  undo.kind = static_cast<TxDentryUndo::Kind>(r.u64());
  undo.before.ino = r.u64();
  undo.before.mode = r.u32();
  return undo;
}

void PartitionStore::put_tx_dentry(uint64_t parent, std::string_view name,
                                   const TxDentryUndo& undo) {
  Writer w;
  w.str(undo.tx_id).u64(undo.kind).u64(undo.before.ino).u64(undo.before.mode);
  txn_.put(Table::kTxDentry, key3(partition_, parent, name), w.take());
}

void PartitionStore::erase_tx_dentry(uint64_t parent, std::string_view name) {
  txn_.del(Table::kTxDentry, key3(partition_, parent, name));
}

void PartitionStore::put_reclaim(uint64_t ino, int64_t since) {
  Writer w;
  w.u64(static_cast<uint64_t>(since));
  txn_.put(Table::kReclaim, key2(partition_, ino), w.take());
}

void PartitionStore::erase_reclaim(uint64_t ino) {
  txn_.del(Table::kReclaim, key2(partition_, ino));
}

std::vector<std::pair<uint64_t, int64_t>> PartitionStore::all_reclaim() {
  std::vector<std::pair<uint64_t, int64_t>> all;
  std::string prefix = be64(partition_);
  txn_.scan(Table::kReclaim, prefix, prefix, [&](std::string_view key, std::string_view value) {
    Reader r(value);
    all.emplace_back(cfs_get64(key.data() + 8), r.i64());
    return true;
  });
  return all;
}

void PartitionStore::flush() {
  ++counters_.applied;
  txn_.put(Table::kCounters, be64(partition_), pack_counters(counters_));
}

std::vector<std::pair<std::string, wire::ExtentKey>> PartitionStore::freed(Txn& txn, size_t limit) {
  std::vector<std::pair<std::string, wire::ExtentKey>> all;
  txn.scan(Table::kFreed, "", "", [&](std::string_view key, std::string_view value) {
    Reader r(value);
    all.emplace_back(key, read_extent(r));
    return all.size() < limit;
  });
  return all;
}

}  // namespace cfs::mini

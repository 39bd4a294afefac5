// SPDX-License-Identifier: Apache-2.0
/// See fill.h.
#include "tools/minicluster/fill.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "tools/minicluster/meta_ops.h"
#include "tools/minicluster/quota.h"

namespace cfs::mini {
namespace {

/// Files of one transaction: long enough to be quick, short enough not to keep clients waiting.
constexpr uint64_t kPerTransaction = 5000;
constexpr uint32_t kFileMode = 0644;

std::string file_name(const std::string& prefix, uint64_t i) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "%07llu", static_cast<unsigned long long>(i));
  return prefix + digits;
}

/// Requests of one transaction on the partitions of a volume.
class Batch {
 public:
  Batch(Txn& txn, const Topology& topology, const std::string& volume) : txn_(txn) {
    for (const MetaPartition* mp : topology.meta_of(volume)) {
      parts_.push_back(std::make_unique<Part>(txn, mp->id, topology.config_of(*mp)));
    }
  }

  Result<void> make_file(const QuotaDir& dir, const std::string& name, uint64_t number) {
    Inode made;
    Part* home = part_of(dir.root);
    if (home == nullptr) return make_error(ENOENT, "the directory has no meta partition");
    if (home->store.dentry(dir.root, name)) return {};
    MetaCall at_inode = call(*parts_[number % parts_.size()]);
    NewInode wanted{kFileMode, 0, 0, at_inode.config.storage_class, {}, {}};
    uint8_t rc = make_inode(at_inode, wanted, &made);
    if (rc != CFS_RC_OK) return make_error(ENOSPC, "inode refused: " + std::to_string(rc));
    MetaCall at_dir = call(*home);
    rc = add_dentry(at_dir, dir.root, name, {made.info.ino, kFileMode}, "").result;
    if (rc != CFS_RC_OK) return make_error(EDQUOT, "name refused: " + std::to_string(rc));
    return {};
  }

  void remove_file(const QuotaDir& dir, const std::string& name, uint64_t ino) {
    Part* home = part_of(dir.root);
    home->store.erase_dentry(dir.root, name);
    touch_parent(home->store, dir.root, -1, now_);
    Part* part = part_of(ino);
    std::optional<Inode> inode = part == nullptr ? std::nullopt : part->store.inode(ino);
    if (!inode) return;
    if (inode->info.nlink > 1) return drop_link(part->store, *inode, now_);
    part->store.free_extents(part->store.extents(ino));
    part->store.erase_inode(ino);
  }

  /// At most `limit` regular files, by name.
  std::vector<std::pair<std::string, uint64_t>> files(const QuotaDir& dir, size_t limit) {
    std::vector<std::pair<std::string, uint64_t>> found;
    part_of(dir.root)->store.scan_dentries(dir.root, "",
                                           [&](std::string_view name, const DentryValue& d) {
                                             if ((d.mode & CFS_GOMODE_TYPE) == 0)
                                               found.emplace_back(name, d.ino);
                                             return found.size() < limit;
                                           });
    return found;
  }

  Result<void> commit() {
    for (const std::unique_ptr<Part>& part : parts_) part->store.flush();
    return txn_.commit();
  }

 private:
  struct Part {
    Part(Txn& txn, uint64_t id, PartitionConfig c) : store(txn, id), config(std::move(c)) {}
    PartitionStore store;
    PartitionConfig config;
  };
  MetaCall call(Part& part) const { return {part.store, part.config, 0, 0, {}, now_}; }
  Part* part_of(uint64_t ino) {
    for (const std::unique_ptr<Part>& part : parts_) {
      if (part->config.start <= ino && ino <= part->config.end) return part.get();
    }
    return nullptr;
  }

  Txn& txn_;
  std::vector<std::unique_ptr<Part>> parts_;
  const int64_t now_ = std::time(nullptr);
};

}  // namespace

Result<void> fill_directory(Store& store, const Topology& topology, const std::string& volume,
                            const std::string& path, const std::string& prefix, uint64_t count) {
  for (uint64_t done = 0; done < count;) {
    std::unique_ptr<Txn> txn = store.begin_write();
    Result<QuotaDir> dir = find_dir(*txn, topology, volume, path);
    if (!dir) return dir.error();
    Batch batch(*txn, topology, volume);
    const uint64_t end = std::min(count, done + kPerTransaction);
    for (; done < end; ++done) {
      Result<void> made = batch.make_file(*dir, file_name(prefix, done), done);
      if (!made) return made;
    }
    Result<void> committed = batch.commit();
    if (!committed) return committed;
  }
  return {};
}

Result<uint64_t> empty_directory(Store& store, const Topology& topology, const std::string& volume,
                                 const std::string& path) {
  for (uint64_t removed = 0;;) {
    std::unique_ptr<Txn> txn = store.begin_write();
    Result<QuotaDir> dir = find_dir(*txn, topology, volume, path);
    if (!dir) return dir.error();
    Batch batch(*txn, topology, volume);
    const auto files = batch.files(*dir, kPerTransaction);
    if (files.empty()) return removed;
    for (const auto& [name, ino] : files) batch.remove_file(*dir, name, ino);
    removed += files.size();
    Result<void> committed = batch.commit();
    if (!committed) return committed.error();
  }
}

}  // namespace cfs::mini

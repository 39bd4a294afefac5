// SPDX-License-Identifier: Apache-2.0
/// See quota.h.
#include "tools/minicluster/quota.h"

#include <memory>
#include <sstream>

namespace cfs::mini {
namespace {

const MetaPartition* home_of(const Topology& topology, const std::string& volume, uint64_t ino) {
  for (const MetaPartition* mp : topology.meta_of(volume)) {
    if (mp->start <= ino && ino <= mp->end) return mp;
  }
  return nullptr;
}

/// The partitions of a volume inside one transaction; flushed at the end.
class VolumeStores {
 public:
  VolumeStores(Txn& txn, const Topology& topology, const std::string& volume)
      : txn_(txn), topology_(topology), volume_(volume) {}
  PartitionStore* at(uint64_t ino) {
    const MetaPartition* mp = home_of(topology_, volume_, ino);
    if (mp == nullptr) return nullptr;
    std::unique_ptr<PartitionStore>& store = stores_[mp->id];
    if (!store) store = std::make_unique<PartitionStore>(txn_, mp->id);
    return store.get();
  }
  void flush() {
    for (auto& [id, store] : stores_) store->flush();
  }

 private:
  Txn& txn_;
  const Topology& topology_;
  const std::string& volume_;
  std::map<uint64_t, std::unique_ptr<PartitionStore>> stores_;
};

/// Changes the inode's membership; the inodes named in it, when it is a directory.
std::vector<uint64_t> mark_inode(VolumeStores& stores, uint64_t ino, uint32_t quota, bool root,
                                 bool add) {
  std::vector<uint64_t> children;
  PartitionStore* store = stores.at(ino);
  std::optional<Inode> inode = store == nullptr ? std::nullopt : store->inode(ino);
  if (!inode) return children;
  if (add) {
    inode->info.quotas[quota] = wire::QuotaMark{root};
  } else {
    inode->info.quotas.erase(quota);
  }
  store->put_inode(*inode);
  if (!inode->is_dir()) return children;
  store->scan_dentries(ino, "", [&](std::string_view, const DentryValue& child) {
    children.push_back(child.ino);
    return true;
  });
  return children;
}

}  // namespace

Usage volume_usage(Txn& txn, const Topology& topology, const std::string& volume, UsageKind kind,
                   uint64_t id) {
  Usage sum;
  for (const MetaPartition* mp : topology.meta_of(volume)) {
    const Usage part = PartitionStore(txn, mp->id).usage(kind, id);
    sum.files += part.files;
    sum.bytes += part.bytes;
  }
  return sum;
}

void fill_limits(Txn& txn, const Topology& topology, const Volume& volume,
                 PartitionConfig* config) {
  if (!volume.enable_quota) return;
  for (const DirQuota& quota : volume.quotas) {
    const Usage used = volume_usage(txn, topology, volume.name, UsageKind::kQuota, quota.id);
    if (files_limited(quota, used)) config->full_files.insert(quota.id);
    if (used.files > quota.max_files) config->over_files.insert(quota.id);
    if (bytes_limited(quota, used)) config->full_bytes.insert(quota.id);
  }
  for (const auto& [uid, limit] : volume.user_limits) {
    const Usage used = volume_usage(txn, topology, volume.name, UsageKind::kUser, uid);
    if (used.bytes >= limit) config->full_users.insert(uid);
  }
}

Result<QuotaDir> find_dir(Txn& txn, const Topology& topology, const std::string& volume,
                          const std::string& path) {
  VolumeStores stores(txn, topology, volume);
  QuotaDir dir{path, CFS_ROOT_INO, 0};
  std::istringstream parts(path);
  std::string part;
  while (std::getline(parts, part, '/')) {
    if (part.empty()) continue;
    PartitionStore* store = stores.at(dir.root);
    std::optional<DentryValue> next =
        store == nullptr ? std::nullopt : store->dentry(dir.root, part);
    if (!next) return make_error(ENOENT, path + " does not exist");
    if ((next->mode & CFS_GOMODE_DIR) == 0) return make_error(ENOTDIR, path + " is no directory");
    dir.root = next->ino;
  }
  const MetaPartition* home = home_of(topology, volume, dir.root);
  if (home == nullptr) return make_error(ENOENT, path + " has no meta partition");
  dir.partition = home->id;
  return dir;
}

void mark_tree(Txn& txn, const Topology& topology, const std::string& volume, const QuotaDir& dir,
               uint32_t quota, bool add) {
  VolumeStores stores(txn, topology, volume);
  std::vector<uint64_t> left = mark_inode(stores, dir.root, quota, true, add);
  while (!left.empty()) {
    const uint64_t ino = left.back();
    left.pop_back();
    std::vector<uint64_t> children = mark_inode(stores, ino, quota, false, add);
    left.insert(left.end(), children.begin(), children.end());
  }
  stores.flush();
}

}  // namespace cfs::mini

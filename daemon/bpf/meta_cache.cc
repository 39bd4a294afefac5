// SPDX-License-Identifier: Apache-2.0
/// Filling the maps; see meta_cache.h.
#include "daemon/bpf/meta_cache.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include "daemon/bpf/meta_records.h"

namespace cfs {
namespace {

constexpr std::size_t kBatch = 256;  ///< records that wait for one system call

/// Records on their way into one map.
template <typename Key, typename Value>
class Batch {
 public:
  explicit Batch(int map) : map_(map) {}
  ~Batch() { flush(); }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  void add(const Key& key, const Value& value) {
    keys_.push_back(key);
    values_.push_back(value);
    if (keys_.size() == kBatch) flush();
  }

 private:
  void flush() {
    std::size_t done = 0;
    if (keys_.size() > 1) {
      auto count = static_cast<__u32>(keys_.size());
      const int failed = bpf_map_update_batch(map_, keys_.data(), values_.data(), &count, nullptr);
      done = failed == 0 ? keys_.size() : std::min<std::size_t>(count, keys_.size());
    }
    for (; done < keys_.size(); ++done) put(keys_[done], values_[done]);
    keys_.clear();
    values_.clear();
  }
  void put(const Key& key, const Value& value) const {
    if (bpf_map_update_elem(map_, &key, &value, BPF_ANY) != 0) bpf_map_delete_elem(map_, &key);
  }

  int map_;
  std::vector<Key> keys_;
  std::vector<Value> values_;
};

}  // namespace

MetaCache::Maps::~Maps() {
  for (const int fd : {names, longs, absent, attrs}) {
    if (fd >= 0) ::close(fd);
  }
}

Result<void> MetaCache::open(const std::string& pins) {
  const auto opened = std::make_shared<Maps>();
  const std::pair<const char*, int*> maps[] = {{"cfs_names", &opened->names},
                                               {"cfs_long", &opened->longs},
                                               {"cfs_absent", &opened->absent},
                                               {"cfs_attrs", &opened->attrs}};
  for (const auto& [name, fd] : maps) {
    const std::string path = pins + "/" + name;
    *fd = bpf_obj_get(path.c_str());
    if (*fd < 0) return errno_error(path);
  }
  const std::lock_guard guard(lock_);
  maps_ = opened;
  return {};
}

std::shared_ptr<const MetaCache::Maps> MetaCache::maps() const {
  const std::lock_guard guard(lock_);
  return maps_;
}

void MetaCache::put_names(const CacheOrigin& origin, std::uint64_t dir,
                          const std::vector<CacheName>& names) {
  const auto into = maps();
  if (!into || origin.volume == 0) return;
  Batch<cfs_meta_ino, cfs_meta_attr> attrs(into->attrs);
  Batch<cfs_meta_name, cfs_meta_entry> entries(into->names);
  Batch<cfs_meta_long, cfs_meta_entry> long_entries(into->longs);
  for (const CacheName& one : names) {
    const cfs_meta_ino ino{origin.volume, one.attr.ino};
    attrs.add(ino, meta::attributes(ino, origin, one.attr));
    if (!meta::is_short(one.name)) {
      const auto key = meta::name_key<cfs_meta_long>(origin.volume, dir, one.name);
      long_entries.add(key, meta::entry(key, origin, one.attr.ino));
      continue;
    }
    const auto key = meta::name_key<cfs_meta_name>(origin.volume, dir, one.name);
    entries.add(key, meta::entry(key, origin, one.attr.ino));
  }
}

void MetaCache::put_absent(const CacheOrigin& origin, std::uint64_t dir, std::string_view name) {
  const auto into = maps();
  if (!into || origin.volume == 0) return;
  if (!meta::is_short(name)) {
    const auto key = meta::name_key<cfs_meta_long>(origin.volume, dir, name);
    bpf_map_delete_elem(into->longs, &key);
    return;
  }
  const auto key = meta::name_key<cfs_meta_name>(origin.volume, dir, name);
  bpf_map_delete_elem(into->names, &key);
  Batch<cfs_meta_name, cfs_meta_entry>(into->absent).add(key, meta::entry(key, origin, 0));
}

void MetaCache::put_attr(const CacheOrigin& origin, const cfs_attr& attr) {
  const auto into = maps();
  if (!into || origin.volume == 0) return;
  const cfs_meta_ino key{origin.volume, attr.ino};
  Batch<cfs_meta_ino, cfs_meta_attr>(into->attrs).add(key, meta::attributes(key, origin, attr));
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Reading and editing the maps; see meta_maps.h.
#include "daemon/bpf/meta_maps.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "daemon/bpf/meta_records.h"

namespace cfs {
namespace {

constexpr __u32 kBatch = 1024;  ///< records of one system call; more than a bucket ever holds
constexpr std::size_t kTokenBytes = 512;  ///< where the next batch begins: at most a key

/// Keys and values of the whole map, in batches: see(keys, values, count).
template <typename See>
Result<void> each_batch(int map, std::size_t key_bytes, std::size_t value_bytes, See see) {
  std::vector<char> keys(kBatch * key_bytes), values(kBatch * value_bytes);
  std::array<char, kTokenBytes> from{}, next{};
  if (key_bytes > kTokenBytes) return make_error(EMSGSIZE, "keys of " + std::to_string(key_bytes));
  for (void* begin = nullptr;; begin = from.data()) {
    __u32 count = kBatch;
    const int failed =
        bpf_map_lookup_batch(map, begin, next.data(), keys.data(), values.data(), &count, nullptr);
    if (failed != 0 && errno != ENOENT) return errno_error("reading a map");
    see(keys.data(), values.data(), count);
    if (failed != 0) return {};
    from = next;
  }
}

template <typename Key, typename Value>
bool is_whole(const Key& key, const Value& value) {
  Value copy = value;
  meta::seal(key, copy);
  return copy.check == value.check;
}

template <typename Value, typename Key>
std::optional<Value> get(int map, const Key& key) {
  Value value{};
  if (bpf_map_lookup_elem(map, &key, &value) != 0 || !is_whole(key, value)) return std::nullopt;
  return value;
}

template <typename Key>
Result<void> each_name_of(int map, std::uint64_t volume, const MetaMaps::SeeName& see) {
  return each_batch(map, sizeof(Key), sizeof(cfs_meta_entry),
                    [&](const char* keys, const char* values, std::size_t count) {
                      for (std::size_t i = 0; i < count; ++i) {
                        Key key{};
                        cfs_meta_entry value{};
                        std::memcpy(&key, keys + i * sizeof(key), sizeof(key));
                        std::memcpy(&value, values + i * sizeof(value), sizeof(value));
                        if (key.volume != volume || key.len > sizeof(key.name)) continue;
                        if (!is_whole(key, value)) continue;
                        const char* const name = static_cast<const char*>(key.name);
                        see(key.dir, std::string_view(name, key.len), value);
                      }
                    });
}

}  // namespace

Result<MetaMaps> MetaMaps::open(const std::string& pins) {
  MetaMaps out;
  const char* const names[kMaps] = {"cfs_names", "cfs_long", "cfs_absent", "cfs_attrs",
                                    "cfs_rules"};
  for (std::size_t i = 0; i < kMaps; ++i) {
    const std::string path = pins + "/" + names[i];
    out.fds_[i] = bpf_obj_get(path.c_str());
    if (out.fds_[i] < 0) return errno_error(path);
  }
  return out;
}

MetaMaps::~MetaMaps() {
  for (const int fd : fds_) {
    if (fd >= 0) ::close(fd);
  }
}

std::optional<cfs_meta_entry> MetaMaps::name(std::uint64_t volume, std::uint64_t dir,
                                             std::string_view name) const {
  if (!meta::is_short(name)) {
    const auto key = meta::name_key<cfs_meta_long>(volume, dir, name);
    return get<cfs_meta_entry>(fds_[kLong], key);
  }
  const auto key = meta::name_key<cfs_meta_name>(volume, dir, name);
  const auto found = get<cfs_meta_entry>(fds_[kNames], key);
  return found ? found : get<cfs_meta_entry>(fds_[kAbsent], key);
}

std::optional<cfs_meta_attr> MetaMaps::attr(std::uint64_t volume, std::uint64_t ino) const {
  return get<cfs_meta_attr>(fds_[kAttrs], cfs_meta_ino{volume, ino});
}

std::optional<cfs_meta_rule> MetaMaps::rule(const cfs_meta_ino& key) const {
  cfs_meta_rule rule{};
  if (bpf_map_lookup_elem(fds_[kRules], &key, &rule) != 0) return std::nullopt;
  return rule;
}

Result<void> MetaMaps::each_name(std::uint64_t volume, const SeeName& see) const {
  for (const int map : {fds_[kNames], fds_[kAbsent]}) {
    Result<void> seen = each_name_of<cfs_meta_name>(map, volume, see);
    if (!seen) return seen;
  }
  return each_name_of<cfs_meta_long>(fds_[kLong], volume, see);
}

Result<void> MetaMaps::each_attr(std::uint64_t volume,
                                 const std::function<void(std::uint64_t)>& see) const {
  return each_batch(fds_[kAttrs], sizeof(cfs_meta_ino), sizeof(cfs_meta_attr),
                    [&](const char* keys, const char*, std::size_t count) {
                      for (std::size_t i = 0; i < count; ++i) {
                        cfs_meta_ino key{};
                        std::memcpy(&key, keys + i * sizeof(key), sizeof(key));
                        if (key.volume == volume) see(key.ino);
                      }
                    });
}

bool MetaMaps::erase_name(std::uint64_t volume, std::uint64_t dir, std::string_view name) const {
  if (!meta::is_short(name)) {
    const auto key = meta::name_key<cfs_meta_long>(volume, dir, name);
    return bpf_map_delete_elem(fds_[kLong], &key) == 0;
  }
  const auto key = meta::name_key<cfs_meta_name>(volume, dir, name);
  const bool was_known = bpf_map_delete_elem(fds_[kNames], &key) == 0;
  const bool was_absent = bpf_map_delete_elem(fds_[kAbsent], &key) == 0;
  return was_known || was_absent;
}

bool MetaMaps::erase_attr(std::uint64_t volume, std::uint64_t ino) const {
  const cfs_meta_ino key{volume, ino};
  return bpf_map_delete_elem(fds_[kAttrs], &key) == 0;
}

Result<MapCount> count_entries(const std::string& pin, std::uint64_t first) {
  const int map = bpf_obj_get(pin.c_str());
  if (map < 0) return errno_error(pin);
  bpf_map_info about{};
  __u32 size = sizeof(about);
  MapCount out;
  Result<void> counted = {};
  if (bpf_map_get_info_by_fd(map, &about, &size) != 0) {
    counted = errno_error(pin);
  } else if (about.type != BPF_MAP_TYPE_HASH && about.type != BPF_MAP_TYPE_LRU_HASH) {
    counted = make_error(EOPNOTSUPP, pin + " is no hash");  // others have values of other sizes
  } else {
    counted = each_batch(map, about.key_size, about.value_size,
                         [&](const char* keys, const char*, std::size_t count) {
                           out.all += count;
                           for (std::size_t i = 0; i < count; ++i) {
                             std::uint64_t begins = 0;
                             std::memcpy(&begins, keys + i * about.key_size,
                                         std::min<std::size_t>(sizeof(begins), about.key_size));
                             if (begins == first) ++out.matching;
                           }
                         });
  }
  ::close(map);
  if (!counted) return counted.error();
  return out;
}

}  // namespace cfs

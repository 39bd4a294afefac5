// SPDX-License-Identifier: Apache-2.0
/// Keys and values of the metadata cache's maps.
///
/// Purpose  Pure encodings, shared by the daemon, cfsctl and tests.
/// Threads  Any.
/// Failure  None; names are 1..CFS_NAME_LEN_MAX bytes long.
#pragma once

#include <cubefs/cfs_bpf.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "daemon/kernel/cache_filler.h"

namespace cfs::meta {

/// Key of a name in the map that its length belongs to: Key is cfs_meta_name or cfs_meta_long.
template <typename Key>
[[nodiscard]] Key name_key(std::uint64_t volume, std::uint64_t dir, std::string_view name) {
  Key key{};
  key.volume = volume;
  key.dir = dir;
  key.len = static_cast<std::uint8_t>(std::min(name.size(), sizeof(key.name)));
  std::memcpy(key.name, name.data(), key.len);
  return key;
}

[[nodiscard]] inline bool is_short(std::string_view name) {
  return name.size() <= CFS_SHORT_NAME_MAX;
}

/// Sets `check`, which is the first member of every value.
template <typename Key, typename Value>
void seal(const Key& key, Value& value) {
  static_assert(sizeof(Key) % 8 == 0 && sizeof(Value) % 8 == 0);
  value.check = cfs_meta_check(&key, sizeof(key), &value.seq, sizeof(value) - sizeof(value.check));
}

template <typename Key>
[[nodiscard]] cfs_meta_entry entry(const Key& key, const CacheOrigin& origin, std::uint64_t ino) {
  cfs_meta_entry value{};
  value.seq = origin.seq;
  value.filled_ns = origin.asked_ns;
  value.ino = ino;
  seal(key, value);
  return value;
}

[[nodiscard]] inline cfs_meta_attr attributes(const cfs_meta_ino& key, const CacheOrigin& origin,
                                              const cfs_attr& attr) {
  cfs_meta_attr value{};
  value.seq = origin.seq;
  value.filled_ns = origin.asked_ns;
  value.attr = attr;
  seal(key, value);
  return value;
}

}  // namespace cfs::meta

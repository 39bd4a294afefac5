// SPDX-License-Identifier: Apache-2.0
/// ExtentMap: which bytes of a file lie where, committed or not yet.
///
/// Purpose  Cuts ranges into covered pieces and holes; remembers which keys still owe a commit, in
/// order. Threads  A plain value of its owner. Failure  None; keys that overlap are refused by
/// add() (false).
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "daemon/core/volume.h"

namespace cfs {

class ExtentMap {
 public:
  /// A stretch of one kind: covered by `key`, or a hole (key null). `size` bytes from the asked
  /// offset on.
  struct Slice {
    const ExtentKey* key = nullptr;
    std::uint64_t size = 0;
  };

  /// Replace all by a server's list; false when its keys overlap.
  bool load(const std::vector<ExtentKey>& keys) {
    keys_.clear();
    owed_.clear();
    bool clean = true;
    for (const ExtentKey& k : keys) clean = add(k, false) && clean;
    return clean;
  }

  /// A new key; `owed`: it must be committed.
  bool add(const ExtentKey& key, bool owed) {
    if (key.size == 0 || slice(key.file_offset, key.size).key != nullptr ||
        slice(key.file_offset, key.size).size < key.size)
      return false;
    keys_[key.file_offset] = key;
    if (owed) owe(key.file_offset);
    return true;
  }

  /// The key at `file_offset` got `bytes` longer at its end.
  void grow(std::uint64_t file_offset, std::uint32_t bytes) {
    keys_.at(file_offset).size += bytes;
    owe(file_offset);
  }

  [[nodiscard]] Slice slice(std::uint64_t offset, std::uint64_t size) const {
    auto next = keys_.upper_bound(offset);
    if (next != keys_.begin()) {
      const ExtentKey& k = std::prev(next)->second;
      if (offset < k.file_offset + k.size)
        return {&k, std::min(size, k.file_offset + k.size - offset)};
    }
    if (next != keys_.end() && next->first < offset + size) return {nullptr, next->first - offset};
    return {nullptr, size};
  }

  /// Keys to commit, oldest first.
  [[nodiscard]] std::vector<ExtentKey> owed() const {
    std::vector<ExtentKey> out;
    for (std::uint64_t at : owed_) out.push_back(keys_.at(at));
    return out;
  }

  /// The first `count` of owed() are committed.
  void committed(std::size_t count) {
    for (std::size_t i = 0; i < count && i < owed_.size(); ++i) keys_.at(owed_[i]).fresh = false;
    owed_.erase(owed_.begin(),
                owed_.begin() + static_cast<std::ptrdiff_t>(std::min(count, owed_.size())));
  }

 private:
  void owe(std::uint64_t at) {
    if (std::find(owed_.begin(), owed_.end(), at) == owed_.end()) owed_.push_back(at);
  }

  std::map<std::uint64_t, ExtentKey> keys_;  // by file offset, not overlapping
  std::vector<std::uint64_t> owed_;          // file offsets of keys to commit, oldest first
};

}  // namespace cfs

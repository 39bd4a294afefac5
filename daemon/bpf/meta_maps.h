// SPDX-License-Identifier: Apache-2.0
/// MetaMaps: reads and edits the maps of the metadata cache.
///
/// Purpose  What tools need of the pinned maps: one record by its key, all keys of a mount, removal.
///          Filling them is MetaCache's.
/// Threads  One at a time.
/// Lifetime Holds descriptors; the maps are the kernel's.
/// Failure  A record that is being replaced while it is read is no record. Iteration sees what was
///          there all the time, and perhaps what came or went meanwhile.
#pragma once

#include <cubefs/cfs_bpf.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/base/result.h"

namespace cfs {

class MetaMaps {
 public:
  /// ENOENT: there is no policy, or one that has other maps.
  static Result<MetaMaps> open(const std::string& pins);
  MetaMaps(MetaMaps&& other) noexcept : fds_(other.fds_) { other.fds_.fill(-1); }
  MetaMaps(const MetaMaps&) = delete;
  MetaMaps& operator=(const MetaMaps&) = delete;
  ~MetaMaps();

  /// ino 0: the map of absent names has it. A name that is in both exists.
  [[nodiscard]] std::optional<cfs_meta_entry> name(std::uint64_t volume, std::uint64_t dir,
                                                   std::string_view name) const;
  [[nodiscard]] std::optional<cfs_meta_attr> attr(std::uint64_t volume, std::uint64_t ino) const;
  [[nodiscard]] std::optional<cfs_meta_rule> rule(const cfs_meta_ino& key) const;

  /// A name of some directory; ino 0: it does not exist.
  using SeeName =
      std::function<void(std::uint64_t dir, std::string_view name, const cfs_meta_entry& entry)>;
  Result<void> each_name(std::uint64_t volume, const SeeName& see) const;
  Result<void> each_attr(std::uint64_t volume,
                         const std::function<void(std::uint64_t ino)>& see) const;

  /// Returns whether it was there.
  bool erase_name(std::uint64_t volume, std::uint64_t dir, std::string_view name) const;
  bool erase_attr(std::uint64_t volume, std::uint64_t ino) const;

 private:
  enum Map { kNames, kLong, kAbsent, kAttrs, kRules, kMaps };
  MetaMaps() { fds_.fill(-1); }
  std::array<int, kMaps> fds_{};
};

/// Entries of a pinned map whose keys begin with `first`, and all. For any map.
struct MapCount {
  std::uint64_t all = 0, matching = 0;
};
Result<MapCount> count_entries(const std::string& pin, std::uint64_t first);

}  // namespace cfs

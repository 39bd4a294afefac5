// SPDX-License-Identifier: Apache-2.0
/// MetaCache: writes the maps of the metadata cache.
///
/// Purpose  Encodes keys and values (include/uapi/cubefs/cfs_bpf.h) and updates the pinned maps, in
///          batches where there is more than one.
/// Threads  Any.
/// Lifetime The maps are the kernel's and outlive the daemon; this holds descriptors.
/// Failure  Best effort. An update that fails removes the key, so that nothing older stays.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "daemon/base/result.h"
#include "daemon/kernel/cache_filler.h"

namespace cfs {

class MetaCache final : public CacheFiller {
 public:
  /// Open the maps below `pins`, instead of those that are open. Without any, what is put is
  /// dropped.
  Result<void> open(const std::string& pins);

  void put_names(const CacheOrigin& origin, std::uint64_t dir,
                 const std::vector<CacheName>& names) override;
  void put_absent(const CacheOrigin& origin, std::uint64_t dir, std::string_view name) override;
  void put_attr(const CacheOrigin& origin, const cfs_attr& attr) override;

 private:
  struct Maps {
    ~Maps();
    int names = -1, longs = -1, absent = -1, attrs = -1;
  };
  [[nodiscard]] std::shared_ptr<const Maps> maps() const;

  mutable std::mutex lock_;  ///< maps_
  std::shared_ptr<const Maps> maps_;
};

}  // namespace cfs

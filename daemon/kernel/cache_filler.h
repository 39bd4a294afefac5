// SPDX-License-Identifier: Apache-2.0
/// CacheFiller: where sessions put what servers said, for the kernel's metadata cache.
///
/// Purpose  The border between sessions and the BPF maps (daemon/bpf/meta_cache.h); tests use a fake.
/// Threads  The loop thread.
/// Failure  Best effort: what could not be put is asked for again.
#pragma once

#include <cubefs/cfs.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace cfs {

/// What decides whether a value counts later; see include/uapi/cubefs/cfs_bpf.h. Taken before the
/// servers were asked.
struct CacheOrigin {
  std::uint64_t volume = 0;  ///< cfs_counters.volume
  std::uint64_t seq = 0;
  std::uint64_t asked_ns = 0;  ///< CLOCK_MONOTONIC
};

struct CacheName {
  std::string_view name;
  cfs_attr attr{};
};

class CacheFiller {
 public:
  virtual ~CacheFiller() = default;
  virtual void put_names(const CacheOrigin& origin, std::uint64_t dir,
                         const std::vector<CacheName>& names) = 0;
  virtual void put_absent(const CacheOrigin& origin, std::uint64_t dir, std::string_view name) = 0;
  virtual void put_attr(const CacheOrigin& origin, const cfs_attr& attr) = 0;
};

}  // namespace cfs

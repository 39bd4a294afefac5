// SPDX-License-Identifier: Apache-2.0
/// One replica of a data partition on disk.
///
/// Purpose   Extents as plain files in <node>/dp_<id>/, with the rules of the real storage engine:
///           appends only at the end, 128 MiB per normal extent, 64 tiny extents with 4 KiB slots.
/// Layout    dp_<id>/<extent id> holds the content of an extent, its size is the extent's;
///           dp_<id>/META holds two big-endian u64: last extent id, index of the last random write.
/// Lifetime  Shared by its node and the directory; a request that holds it outlives a node's stop.
/// Threads   Every method from any thread. Lock order: Extent::mutex or tiny_mutex_, then
///           map_mutex_, then the descriptor cache's; id_mutex_ alone.
/// Crash     A reply follows the write(2) of data and META, so a killed process loses nothing that
///           was acknowledged; sync variants add fdatasync(2).
/// Failure   Refusals carry the server's result code and text; I/O errors are CFS_RC_DISK.
/// Source    CubeFS v3.5.3, datanode/storage/extent.go, extent_store.go.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "tools/minicluster/data_packet.h"

namespace cfs::mini {

struct RandomWrite;

/// One append as it came in; the bytes are borrowed for the call.
struct Append {
  uint64_t extent_id = 0;
  int64_t offset = 0;
  std::span<const uint8_t> data;
  uint32_t crc = 0;
  bool sync = false;
};

/// Keeps the most recently used files of one replica open.
class DescriptorCache {
 public:
  explicit DescriptorCache(std::string dir) : dir_(std::move(dir)) {}
  /// The file of an extent, shared with the cache. `flags` go to open(2) on a miss; null sets
  /// errno.
  std::shared_ptr<Fd> get(uint64_t extent_id, int flags);
  void drop(uint64_t extent_id);

 private:
  using Entry = std::pair<uint64_t, std::shared_ptr<Fd>>;
  const std::string dir_;
  std::mutex mutex_;
  std::list<Entry> recent_;                                         // mutex_, newest first
  std::unordered_map<uint64_t, std::list<Entry>::iterator> by_id_;  // mutex_
};

class ExtentStore {
 public:
  /// Opens or creates the replica in `dir`.
  static Result<std::shared_ptr<ExtentStore>> open(std::string dir, uint64_t partition_id);

  /// Assigns the id of a new extent, from 1025 up; never twice, also after a crash.
  Result<uint64_t> next_extent_id();
  Verdict create(uint64_t extent_id);
  /// Appends at exactly the end. A payload that crosses 128 MiB leaves its whole 128 KiB blocks
  /// behind, as the real server does when it splits.
  Verdict append(const Append& request);
  /// Writes a slot of a tiny extent: aligned and not before its end.
  Verdict append_tiny(const Append& request);
  /// Overwrites in place; `index` becomes the applied id. A missing extent is no error: the real
  /// server acknowledges and loses such a write. The size that appends are checked against does not
  /// change.
  Verdict random_write(const RandomWrite& write, uint64_t index);
  /// Reads exactly `size` bytes into `out`.
  Verdict read(uint64_t extent_id, int64_t offset, uint8_t* out, size_t size);
  void remove(uint64_t extent_id);
  /// Gives the blocks of a tiny range back; it reads as zeros afterwards.
  void punch_tiny(uint64_t extent_id, uint64_t offset, uint64_t size);

  /// Takes a free tiny extent; the caller is its only writer until release_tiny().
  Verdict take_tiny(uint64_t* extent_id, int64_t* offset);
  /// `good` false sends it to the broken pool.
  void release_tiny(uint64_t extent_id, bool good);
  /// Broken tiny extents whose repair is due (broken for `after`), to be levelled by level_tiny().
  std::vector<uint64_t> broken_tiny(std::chrono::milliseconds after);
  /// Repair: raises the end of a broken tiny extent to `end` and makes it available again.
  void level_tiny(uint64_t extent_id, int64_t end);
  [[nodiscard]] int64_t end_of(uint64_t extent_id) const;

  /// Copies what `from` has of these extents, all of them for an empty list, and takes over its
  /// applied id. The caller keeps random writes out.
  void copy_from(const ExtentStore& from, const std::vector<uint64_t>* extents);

  [[nodiscard]] uint64_t applied_id() const { return applied_id_.load(); }
  [[nodiscard]] uint64_t used_bytes() const { return used_bytes_.load(); }
  [[nodiscard]] size_t extent_count() const;
  [[nodiscard]] uint64_t partition_id() const { return partition_id_; }
  [[nodiscard]] Deadline opened_at() const { return opened_at_; }

 private:
  struct Extent {
    std::mutex mutex;              // appends, one at a time
    std::atomic<int64_t> size{0};  // written under mutex; a tiny extent's is rounded up to 4 KiB
  };
  using ExtentPtr = std::shared_ptr<Extent>;

  ExtentStore(std::string dir, uint64_t partition_id);
  Result<void> load();
  Result<void> load_meta();
  void add_loaded(uint64_t extent_id, int64_t file_size);
  Result<void> store_meta(uint64_t value, off_t offset);
  [[nodiscard]] ExtentPtr find(uint64_t extent_id) const;
  void grow(Extent& extent, int64_t size);
  Verdict write_at(uint64_t extent_id, const Append& request);
  Verdict write_fitting_blocks(Extent& extent, const Append& request);
  ExtentPtr find_or_add(uint64_t extent_id);
  void copy_extent(const ExtentStore& from, uint64_t extent_id);

  const std::string dir_;
  const uint64_t partition_id_;
  const Deadline opened_at_ = Clock::now();
  Fd meta_;
  DescriptorCache descriptors_;
  std::atomic<uint64_t> applied_id_{0};
  std::atomic<uint64_t> used_bytes_{0};

  mutable std::shared_mutex map_mutex_;
  std::unordered_map<uint64_t, ExtentPtr> extents_;  // map_mutex_

  std::mutex id_mutex_;
  uint64_t last_extent_id_ = CFS_MIN_EXTENT_ID;  // id_mutex_

  std::mutex tiny_mutex_;
  std::deque<uint64_t> tiny_free_;            // tiny_mutex_
  std::map<uint64_t, Deadline> tiny_broken_;  // tiny_mutex_: since when
};

inline bool is_tiny_id(uint64_t extent_id) {
  return extent_id >= 1 && extent_id <= CFS_TINY_COUNT;
}

}  // namespace cfs::mini

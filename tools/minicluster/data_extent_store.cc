// SPDX-License-Identifier: Apache-2.0
/// One replica of a data partition on disk; see data_extent_store.h.
#include "tools/minicluster/data_extent_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <filesystem>

#include "tools/minicluster/data_directory.h"

namespace cfs::mini {
namespace {

constexpr size_t kOpenFilesMax = 128;
constexpr off_t kMetaLastExtent = 0;
constexpr off_t kMetaApplied = 8;
constexpr size_t kMetaBytes = 16;
/// Extents that one partition may hold. Source: CubeFS v3.5.3, datanode/wrap_prepare.go.
constexpr size_t kExtentsMax = 60'000;
/// Largest tiny extent, 4 TiB. Source: CubeFS v3.5.3, datanode/storage/extent_store.go.
constexpr int64_t kTinyExtentMax = int64_t{4} << 40;

int64_t round_to_slot(int64_t size) {
  return (size + CFS_TINY_ALIGN - 1) / CFS_TINY_ALIGN * CFS_TINY_ALIGN;
}

Refusal disk_error(const char* what) {
  return {CFS_RC_DISK, std::string("disk has broken: ") + what + ": " + std::strerror(errno)};
}

Refusal mismatch(const Append& a, int64_t extent_size) {
  return {CFS_RC_ARG_MISMATCH,
          "parameter mismatch error: extent current size=" + std::to_string(extent_size) +
              " write param(ExtentID(" + std::to_string(a.extent_id) + ")Offset(" +
              std::to_string(a.offset) + ")Size(" + std::to_string(a.data.size()) + ")Crc(" +
              std::to_string(a.crc) + ")WriteType(1)IsSync(" + (a.sync ? "true" : "false") +
              ")IsHole(false)IsRepair(false)IsBackupWrite(false))"};
}

Refusal read_mismatch(int64_t offset, size_t size, int64_t extent_size) {
  return {CFS_RC_ARG_MISMATCH, "parameter mismatch error: offset=" + std::to_string(offset) +
                                   " size=" + std::to_string(size) +
                                   " snapshotDataOff=" + std::to_string(CFS_EXTENT_SIZE) +
                                   " e.Size=" + std::to_string(extent_size)};
}

bool write_fully(int fd, std::span<const uint8_t> data, int64_t offset) {
  while (!data.empty()) {
    const ssize_t n = ::pwrite(fd, data.data(), data.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data = data.subspan(static_cast<size_t>(n));
    offset += n;
  }
  return true;
}

/// Bytes read, less than `size` at the end of the file; -1 with errno.
ssize_t read_fully(int fd, uint8_t* out, size_t size, int64_t offset) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pread(fd, out + done, size - done, offset + static_cast<int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(done);
}

/// An extent id out of a file name; nothing for other files.
std::optional<uint64_t> extent_id_of(const std::string& name) {
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return id;
}

}  // namespace

std::shared_ptr<Fd> DescriptorCache::get(uint64_t extent_id, int flags) {
  const std::lock_guard lock(mutex_);
  if (const auto hit = by_id_.find(extent_id); hit != by_id_.end()) {
    recent_.splice(recent_.begin(), recent_, hit->second);
    return hit->second->second;
  }
  const std::string path = dir_ + "/" + std::to_string(extent_id);
  Fd fd(::open(path.c_str(), flags | O_RDWR | O_CLOEXEC, 0600));
  if (!fd.valid()) return nullptr;
  recent_.emplace_front(extent_id, std::make_shared<Fd>(std::move(fd)));
  by_id_[extent_id] = recent_.begin();
  if (recent_.size() > kOpenFilesMax) {
    by_id_.erase(recent_.back().first);
    recent_.pop_back();
  }
  return recent_.front().second;
}

void DescriptorCache::drop(uint64_t extent_id) {
  const std::lock_guard lock(mutex_);
  const auto hit = by_id_.find(extent_id);
  if (hit == by_id_.end()) return;
  recent_.erase(hit->second);
  by_id_.erase(hit);
}

ExtentStore::ExtentStore(std::string dir, uint64_t partition_id)
    : dir_(std::move(dir)), partition_id_(partition_id), descriptors_(dir_) {}

Result<std::shared_ptr<ExtentStore>> ExtentStore::open(std::string dir, uint64_t partition_id) {
  std::shared_ptr<ExtentStore> store(new ExtentStore(std::move(dir), partition_id));
  if (Result<void> loaded = store->load(); !loaded) return loaded.error();
  return store;
}

Result<void> ExtentStore::load() {
  std::error_code error;
  std::filesystem::create_directories(dir_, error);
  if (error) return make_error(error.value(), "create " + dir_);
  if (Result<void> meta = load_meta(); !meta) return meta;
  for (uint64_t id = 1; id <= CFS_TINY_COUNT; ++id) {
    extents_[id] = std::make_shared<Extent>();
    tiny_free_.push_back(id);
  }
  std::filesystem::directory_iterator files(dir_, error);
  if (error) return make_error(error.value(), "list " + dir_);
  for (const auto& file : files) {
    const auto id = extent_id_of(file.path().filename().string());
    if (id) add_loaded(*id, static_cast<int64_t>(file.file_size(error)));
  }
  return {};
}

Result<void> ExtentStore::load_meta() {
  const std::string path = dir_ + "/META";
  meta_ = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!meta_.valid()) return errno_error("open " + path);
  std::array<uint8_t, kMetaBytes> raw{};
  if (read_fully(meta_.get(), raw.data(), raw.size(), 0) < 0) return errno_error("read " + path);
  last_extent_id_ = std::max<uint64_t>(cfs_get64(raw.data()), CFS_MIN_EXTENT_ID);
  applied_id_ = cfs_get64(raw.data() + kMetaApplied);
  return {};
}

void ExtentStore::add_loaded(uint64_t extent_id, int64_t file_size) {
  ExtentPtr& extent = extents_[extent_id];
  if (!extent) extent = std::make_shared<Extent>();
  grow(*extent, is_tiny_id(extent_id) ? round_to_slot(file_size) : file_size);
  last_extent_id_ = std::max(last_extent_id_, extent_id);
}

Result<void> ExtentStore::store_meta(uint64_t value, off_t offset) {
  std::array<uint8_t, 8> raw{};
  cfs_put64(value, raw.data());
  if (!write_fully(meta_.get(), raw, offset)) return errno_error("write " + dir_ + "/META");
  return {};
}

Result<uint64_t> ExtentStore::next_extent_id() {
  const std::lock_guard lock(id_mutex_);
  if (Result<void> stored = store_meta(last_extent_id_ + 1, kMetaLastExtent); !stored) {
    return stored.error();
  }
  return ++last_extent_id_;
}

Verdict ExtentStore::create(uint64_t extent_id) {
  if (extent_count() >= kExtentsMax) {
    return Refusal{CFS_RC_MAX_EXTENTS, "reached max extents count of data partition"};
  }
  {
    const std::unique_lock lock(map_mutex_);
    if (extents_.contains(extent_id)) {
      return Refusal{CFS_RC_INTRA_GROUP_NET, "extent already exists"};
    }
    if (!descriptors_.get(extent_id, O_CREAT)) return disk_error("create extent");
    extents_[extent_id] = std::make_shared<Extent>();
  }
  // A follower that becomes the primary must not hand out an id that it already has.
  const std::lock_guard lock(id_mutex_);
  if (extent_id <= last_extent_id_) return std::nullopt;
  last_extent_id_ = extent_id;
  if (!store_meta(extent_id, kMetaLastExtent)) return disk_error("store extent id");
  return std::nullopt;
}

ExtentStore::ExtentPtr ExtentStore::find(uint64_t extent_id) const {
  const std::shared_lock lock(map_mutex_);
  const auto found = extents_.find(extent_id);
  return found == extents_.end() ? nullptr : found->second;
}

void ExtentStore::grow(Extent& extent, int64_t size) {
  const int64_t before = extent.size.load(std::memory_order_relaxed);
  if (size <= before) return;
  extent.size.store(size, std::memory_order_release);
  used_bytes_ += static_cast<uint64_t>(size - before);
}

Verdict ExtentStore::write_at(uint64_t extent_id, const Append& request) {
  const std::shared_ptr<Fd> fd = descriptors_.get(extent_id, is_tiny_id(extent_id) ? O_CREAT : 0);
  if (!fd) return disk_error("open extent");
  if (!write_fully(fd->get(), request.data, request.offset)) return disk_error("write extent");
  if (request.sync && ::fdatasync(fd->get()) != 0) return disk_error("sync extent");
  return std::nullopt;
}

Verdict ExtentStore::append(const Append& request) {
  const ExtentPtr extent = find(request.extent_id);
  if (!extent) return Refusal{CFS_RC_NOT_EXIST, "extent does not exist"};
  const std::lock_guard lock(extent->mutex);
  const int64_t size = extent->size.load(std::memory_order_relaxed);
  if (request.offset != size || request.data.empty()) return mismatch(request, size);
  if (size + static_cast<int64_t>(request.data.size()) > int64_t{CFS_EXTENT_SIZE}) {
    return write_fitting_blocks(*extent, request);
  }
  if (Verdict bad = write_at(request.extent_id, request)) return bad;
  grow(*extent, size + static_cast<int64_t>(request.data.size()));
  return std::nullopt;
}

Verdict ExtentStore::write_fitting_blocks(Extent& extent, const Append& request) {
  const int64_t room = int64_t{CFS_EXTENT_SIZE} - request.offset;
  const int64_t fitting = room / CFS_BLOCK_SIZE * CFS_BLOCK_SIZE;
  Append head = request;
  head.data = request.data.first(static_cast<size_t>(fitting));
  if (fitting > 0) {
    if (Verdict bad = write_at(request.extent_id, head)) return bad;
    grow(extent, request.offset + fitting);
  }
  return mismatch(request, extent.size.load());
}

Verdict ExtentStore::append_tiny(const Append& request) {
  const ExtentPtr extent = find(request.extent_id);
  if (!extent || !is_tiny_id(request.extent_id)) {
    return Refusal{CFS_RC_NOT_EXIST, "extent does not exist"};
  }
  const std::lock_guard lock(extent->mutex);
  const int64_t end = extent->size.load(std::memory_order_relaxed);
  const auto size = static_cast<int64_t>(request.data.size());
  if (request.offset < end || request.offset % CFS_TINY_ALIGN != 0 || size == 0 ||
      request.offset > kTinyExtentMax - size) {
    return mismatch(request, end);
  }
  if (Verdict bad = write_at(request.extent_id, request)) return bad;
  grow(*extent, round_to_slot(request.offset + size));
  return std::nullopt;
}

Verdict ExtentStore::random_write(const RandomWrite& write, uint64_t index) {
  if (find(write.extent_id)) {
    const Append request{write.extent_id, write.offset, write.data, write.crc, write.sync};
    if (Verdict bad = write_at(write.extent_id, request)) return bad;
  }
  if (!store_meta(index, kMetaApplied)) return disk_error("store applied id");
  applied_id_ = index;
  return std::nullopt;
}

Verdict ExtentStore::read(uint64_t extent_id, int64_t offset, uint8_t* out, size_t size) {
  const ExtentPtr extent = find(extent_id);
  if (!extent) {
    return Refusal{CFS_RC_NOT_EXIST, "[Read] dp " + std::to_string(partition_id_) + " extent[" +
                                         std::to_string(extent_id) +
                                         "] is already been deleted :: extent has been deleted"};
  }
  const int64_t end = extent->size.load(std::memory_order_acquire);
  if (offset < 0 || offset > end) return read_mismatch(offset, size, end);
  const std::shared_ptr<Fd> fd = descriptors_.get(extent_id, is_tiny_id(extent_id) ? O_CREAT : 0);
  if (!fd) return disk_error("open extent");
  const ssize_t n = read_fully(fd->get(), out, size, offset);
  if (n < 0) return disk_error("read extent");
  if (static_cast<size_t>(n) < size) return Refusal{CFS_RC_INTRA_GROUP_NET, "EOF"};
  return std::nullopt;
}

void ExtentStore::remove(uint64_t extent_id) {
  if (is_tiny_id(extent_id)) return;
  ExtentPtr gone;
  {
    const std::unique_lock lock(map_mutex_);
    const auto found = extents_.find(extent_id);
    if (found == extents_.end()) return;
    gone = std::move(found->second);
    extents_.erase(found);
    descriptors_.drop(extent_id);
    ::unlink((dir_ + "/" + std::to_string(extent_id)).c_str());
  }
  const std::lock_guard lock(gone->mutex);  // an append in flight has counted its bytes by now
  used_bytes_ -= static_cast<uint64_t>(gone->size.load());
}

void ExtentStore::punch_tiny(uint64_t extent_id, uint64_t offset, uint64_t size) {
  if (!is_tiny_id(extent_id) || size == 0) return;
  const std::shared_ptr<Fd> fd = descriptors_.get(extent_id, O_CREAT);
  if (!fd) return;
  ::fallocate(fd->get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
              static_cast<off_t>(round_to_slot(static_cast<int64_t>(size))));
}

Verdict ExtentStore::take_tiny(uint64_t* extent_id, int64_t* offset) {
  const std::lock_guard lock(tiny_mutex_);
  if (tiny_free_.empty()) return Refusal{CFS_RC_DISK_NO_SPACE, "no available extent"};
  *extent_id = tiny_free_.front();
  tiny_free_.pop_front();
  *offset = end_of(*extent_id);
  return std::nullopt;
}

void ExtentStore::release_tiny(uint64_t extent_id, bool good) {
  const std::lock_guard lock(tiny_mutex_);
  if (good) {
    tiny_free_.push_back(extent_id);
  } else {
    tiny_broken_[extent_id] = Clock::now();
  }
}

std::vector<uint64_t> ExtentStore::broken_tiny(std::chrono::milliseconds after) {
  const std::lock_guard lock(tiny_mutex_);
  std::vector<uint64_t> due;
  for (const auto& [id, since] : tiny_broken_) {
    if (Clock::now() - since >= after) due.push_back(id);
  }
  return due;
}

void ExtentStore::level_tiny(uint64_t extent_id, int64_t end) {
  if (const ExtentPtr extent = find(extent_id)) {
    const std::lock_guard lock(extent->mutex);
    grow(*extent, end);
  }
  const std::lock_guard lock(tiny_mutex_);
  if (tiny_broken_.erase(extent_id) > 0) tiny_free_.push_back(extent_id);
}

int64_t ExtentStore::end_of(uint64_t extent_id) const {
  const ExtentPtr extent = find(extent_id);
  return extent ? extent->size.load() : 0;
}

ExtentStore::ExtentPtr ExtentStore::find_or_add(uint64_t extent_id) {
  const std::unique_lock lock(map_mutex_);
  ExtentPtr& extent = extents_[extent_id];
  if (!extent) extent = std::make_shared<Extent>();
  return extent;
}

void ExtentStore::copy_extent(const ExtentStore& from, uint64_t extent_id) {
  const std::string name = "/" + std::to_string(extent_id);
  const Fd source(::open((from.dir_ + name).c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!source.valid() || ::fstat(source.get(), &status) != 0) return;
  const ExtentPtr extent = find_or_add(extent_id);
  const std::lock_guard lock(extent->mutex);
  const std::shared_ptr<Fd> target = descriptors_.get(extent_id, O_CREAT);
  if (!target) return;
  loff_t in = 0;
  loff_t out = 0;
  while (in < status.st_size) {
    const auto left = static_cast<size_t>(status.st_size - in);
    if (::copy_file_range(source.get(), &in, target->get(), &out, left, 0) <= 0) return;
  }
  grow(*extent, from.end_of(extent_id));
}

void ExtentStore::copy_from(const ExtentStore& from, const std::vector<uint64_t>* extents) {
  std::vector<uint64_t> all;
  if (extents == nullptr) {
    const std::shared_lock lock(from.map_mutex_);
    for (const auto& [id, extent] : from.extents_) all.push_back(id);
    extents = &all;
  }
  for (const uint64_t id : *extents) copy_extent(from, id);
  const uint64_t index = from.applied_id();
  if (store_meta(index, kMetaApplied)) applied_id_ = index;
}

size_t ExtentStore::extent_count() const {
  const std::shared_lock lock(map_mutex_);
  return extents_.size() - CFS_TINY_COUNT;
}

}  // namespace cfs::mini

// SPDX-License-Identifier: Apache-2.0
/// Volume: opening, closing, views and counters; contracts in volume.h.
#include "daemon/core/volume.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <sstream>

#include "daemon/core/volume_impl.h"

namespace cfs {
namespace {

constexpr std::int64_t kAvoidMs = 30000;
constexpr std::int64_t kMountLookupMs = 10000;

}  // namespace

Result<void> check_name(const std::string& name) {
  if (name.size() > CFS_NAME_BYTES_MAX) return make_error(ENAMETOOLONG, "name too long");
  const bool special = name.empty() || name == "." || name == "..";
  if (special || name.find('/') != std::string::npos || name.find('\0') != std::string::npos) {
    return make_error(EINVAL, "not a name");
  }
  if (!wire::valid_utf8(name)) return make_error(EILSEQ, "name is not UTF-8");
  return {};
}

// ---------------------------------------------------------------- open, close

Task<Result<std::shared_ptr<Volume>>> Volume::open(Loop& loop, MountConfig config) {
  auto master = std::make_unique<HttpMaster>(loop, config.masters);
  Result<std::shared_ptr<Volume>> volume =
      co_await VolumeImpl::open_with(loop, std::move(config), std::move(master));
  co_return volume;
}

Task<Result<std::shared_ptr<Volume>>> VolumeImpl::open_with(Loop& loop, MountConfig config,
                                                            std::unique_ptr<MasterService> master) {
  auto views = std::make_shared<ViewKeeper>(loop, std::move(master), config);
  Result<void> opened = co_await views->open();
  if (!opened.ok()) co_return opened.error().in("mount of volume \"" + config.volume + "\"");
  auto volume = std::make_shared<VolumeImpl>(loop, std::move(config), views);
  Result<void> root = co_await volume->find_root();
  if (!root.ok()) {
    co_await volume->close();
    co_return root.error().in("mount of volume \"" + volume->config_.volume + "\"");
  }
  co_await volume->trash_.prepare(volume->root_);
  if (volume->config_.trash && !volume->config_.read_only) {
    loop.spawn(keep_trash(std::weak_ptr<VolumeImpl>(volume), &loop));
  }
  views->start();
  co_return std::shared_ptr<Volume>(volume);
}

VolumeImpl::VolumeImpl(Loop& loop, MountConfig config, std::shared_ptr<ViewKeeper> views)
    : loop_(loop),
      config_(std::move(config)),
      views_(std::move(views)),
      ops_(loop, views_, config_),
      trash_(ops_, config_) {
  views_->on_meta_change([this] { ops_.client().forget_leaders(); });
}

/// Refreshes in flight keep the views alive, not this.
VolumeImpl::~VolumeImpl() {
  views_->on_data_change({});
  views_->on_meta_change({});
  views_->stop();
}

/// Walk to the sub-directory; within a bound, so that a mount without meta nodes says so.
Task<Result<void>> VolumeImpl::find_root() {
  ops_.client().limit_budget(kMountLookupMs);
  Ino ino = CFS_ROOT_INO;
  std::istringstream path(config_.subdir);
  std::string part;
  while (std::getline(path, part, '/')) {
    if (part.empty()) continue;
    Result<wire::LookupReply> next = co_await ops_.lookup(ino, part);
    if (!next.ok()) co_return next.error().in("sub-directory \"" + config_.subdir + "\"");
    ino = next->ino;
  }
  Result<wire::InodeInfo> info = co_await ops_.inode(ino);
  ops_.client().limit_budget(0);
  if (!info.ok()) co_return info.error().in("root directory");
  root_ = to_attr(*info);
  if (!is_dir(root_)) {
    co_return make_error(ENOTDIR, "sub-directory \"" + config_.subdir + "\" is not a directory");
  }
  co_return Result<void>();
}

Task<void> VolumeImpl::close() {
  if (closing_) co_return;
  closing_ = true;
  views_->on_data_change({});
  views_->on_meta_change({});
  views_->stop();
  co_await trash_.finish();
  ops_.client().close();
  idle_.reset();
  if (running_ != 0) co_await idle_.wait();
}

Task<void> VolumeImpl::keep_trash(std::weak_ptr<VolumeImpl> weak, Loop* loop) {
  constexpr Millis kPeriod(5000);  // of sdk/meta/trash.go
  for (;;) {
    const int slept = co_await loop->sleep(kPeriod);
    const std::shared_ptr<VolumeImpl> self = weak.lock();
    if (slept != 0 || !self || self->closing_) co_return;
    const Busy busy(*self);
    if (!self->trash_.paused) co_await self->trash_.round();
  }
}

/// Paths of directories are only needed for the trash.
void VolumeImpl::learn(Ino dir, const std::string& name, Ino ino, std::uint32_t mode) {
  guesses_.learn(dir, name, ino, S_ISREG(mode));
  if (S_ISDIR(mode) && trash_.on()) trash_.names().learn(dir, name, ino);
}

Result<void> VolumeImpl::open_for_use() const {
  if (closing_) return make_error(ESHUTDOWN, "the volume is being closed");
  return {};
}

Result<void> VolumeImpl::open_for_change() const {
  if (config_.read_only) return make_error(EROFS, "mounted read-only");
  return open_for_use();
}

Result<void> VolumeImpl::may_change(const std::string& name) const {
  const Result<void> open = open_for_change();
  return open.ok() ? check_name(name) : open;
}

// ---------------------------------------------------------------- what the volume is

std::uint32_t VolumeImpl::storage_class() const {
  const std::uint32_t of_stat = views_->last_stat().default_storage_class;
  return of_stat != CFS_CLASS_UNSPECIFIED ? of_stat : views_->volume().vol_storage_class;
}

std::uint64_t VolumeImpl::fsid() const {
  return fingerprint({views_->volume().id}, {views_->cluster().cluster, config_.volume});
}

bool VolumeImpl::follower_read() const {
  return config_.follower_read || views_->volume().follower_read;
}

// ---------------------------------------------------------------- data partitions

std::vector<DataPartition> VolumeImpl::partitions() const {
  return views_->data()->all();
}

Task<Result<DataPartition>> VolumeImpl::partition(std::uint64_t id) {
  const Result<void> open = open_for_use();
  if (!open.ok()) co_return open.error();
  const Busy busy(*this);
  const DataPartition* known = views_->data()->find(id);
  if (known != nullptr) co_return *known;
  Result<DataPartition> asked = co_await views_->fetch_partition(id);
  co_return asked;
}

Task<Result<void>> VolumeImpl::refresh_partitions() {
  const Result<void> open = open_for_use();
  if (!open.ok()) co_return open;
  const Busy busy(*this);
  Result<void> done = co_await views_->refresh_data();
  co_return done;
}

std::vector<std::uint64_t> VolumeImpl::writable(std::uint32_t storage_class) const {
  std::vector<std::uint64_t> ids = views_->data()->writable(storage_class);
  const std::int64_t now = Loop::now_ms();
  // begin elsewhere each second, so that the clients of a cluster spread over its partitions
  if (!ids.empty()) {
    const auto shift = static_cast<std::ptrdiff_t>(
        (fsid() + static_cast<std::uint64_t>(now / 1000) * 7919) % ids.size());
    std::rotate(ids.begin(), ids.begin() + shift, ids.end());
  }
  std::stable_partition(ids.begin(), ids.end(), [&](std::uint64_t id) {
    const auto avoid = avoid_until_.find(id);
    return avoid == avoid_until_.end() || avoid->second <= now;
  });
  return ids;
}

void VolumeImpl::report_partition(std::uint64_t id, std::uint8_t result) {
  const bool full = result == CFS_RC_DISK_NO_SPACE || result == CFS_RC_MAX_EXTENTS;
  avoid_until_[id] = Loop::now_ms() + (full ? 2 * kAvoidMs : kAvoidMs);
}

void VolumeImpl::on_view_change(std::function<void()> listener) {
  views_->on_data_change(std::move(listener));
}

Volume::Counters VolumeImpl::counters() const {
  const MetaClient& client = const_cast<VolumeImpl*>(this)->ops_.client();
  Counters c;
  c.meta_requests = client.requests();
  c.meta_bytes_sent = client.traffic().bytes_sent;
  c.meta_bytes_received = client.traffic().bytes_received;
  c.meta_retries = client.retries();
  c.master_requests = views_->master().requests();
  return c;
}

}  // namespace cfs

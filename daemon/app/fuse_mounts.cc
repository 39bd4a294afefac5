// SPDX-License-Identifier: Apache-2.0
/// FUSE mounts; see fuse_mounts.h.
#include "daemon/app/fuse_mounts.h"

#include <spdlog/spdlog.h>

namespace cfs {

void FuseMounts::changed() const {
  if (on_change) on_change();
}

FrontEnd* FuseMounts::find(const std::string& path) const {
  const auto found = mounts_.find(path);
  return found == mounts_.end() ? nullptr : found->second.get();
}

std::vector<FrontEnd*> FuseMounts::list() const {
  std::vector<FrontEnd*> out;
  for (const auto& [path, mount] : mounts_) {
    if (mount) out.push_back(mount.get());
  }
  return out;
}

Task<Result<void>> FuseMounts::mount(std::string config, MountPoint at, FuseOptions options) {
  if (!factory_) co_return make_error(ENOSYS, "this daemon was built without FUSE");
  const std::string path = at.path;
  // the empty entry reserves the place while the volume is opened
  if (!mounts_.emplace(path, nullptr).second) {
    co_return make_error(EBUSY, path + " is already mounted by this daemon");
  }
  const auto volume = co_await pool_.take_or_open(config);
  if (!volume) {
    mounts_.erase(path);
    co_return volume.error();
  }
  options.ended = [this, path] { loop_.spawn(end(path)); };
  options.answered = [this](const std::string& op, std::uint64_t ns, bool failed) {
    latencies_[op].note(ns, failed);
  };
  auto front = factory_(loop_, *volume, at, options);
  if (!front) {
    mounts_.erase(path);
    co_await (*volume)->close();
    co_return front.error();
  }
  mounts_[path] = std::move(front).value();
  spdlog::info("{}: volume {} is mounted through FUSE", path, (*volume)->config().volume);
  changed();
  co_return Result<void>{};
}

Task<void> FuseMounts::end(std::string path) {
  const auto found = mounts_.find(path);
  if (found == mounts_.end() || !found->second) co_return;
  const std::shared_ptr<FrontEnd> front = std::move(found->second);
  const std::shared_ptr<Volume> volume = front->volume();
  co_await front->stop();
  mounts_.erase(path);  // only now: the path is busy until the mount is gone
  co_await volume->close();
  spdlog::info("{}: unmounted", path);
  changed();
}

Task<Result<void>> FuseMounts::unmount(std::string path) {
  if (find(path) == nullptr) {
    co_return make_error(ENOENT, path + " is not a FUSE mount of this daemon");
  }
  co_await end(path);
  co_return Result<void>{};
}

Task<void> FuseMounts::stop() {
  std::vector<std::string> paths;
  for (const auto& [path, mount] : mounts_) paths.push_back(path);
  for (const std::string& path : paths) co_await end(path);
}

}  // namespace cfs

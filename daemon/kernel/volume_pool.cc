// SPDX-License-Identifier: Apache-2.0
/// Prepared volumes; see volume_pool.h.
#include "daemon/kernel/volume_pool.h"

namespace cfs {

/// One spelling per meaning: the kernel joins parts its own way.
std::string VolumePool::canonical(const std::string& config) {
  const auto parsed = MountConfig::parse(config);
  return parsed ? parsed->format() : config;
}

void VolumePool::remember(const std::string& config, const std::string& text) {
  const std::string key = canonical(config);
  if (text.empty()) {
    errors_.erase(key);
    return;
  }
  if (errors_.size() >= kErrorsKept) errors_.erase(errors_.begin());
  errors_[key] = text;
}

std::string VolumePool::last_error(const std::string& config) const {
  const auto found = errors_.find(canonical(config));
  return found == errors_.end() ? std::string() : found->second;
}

Task<Result<std::shared_ptr<Volume>>> VolumePool::open(std::string config) {
  auto parsed = MountConfig::parse(config);
  if (!parsed) {
    remember(config, parsed.error().what);
    co_return parsed.error();
  }
  auto volume = co_await opener_(loop_, *parsed);
  remember(config, volume ? std::string() : volume.error().what);
  co_return volume;
}

Task<Result<std::shared_ptr<Volume>>> VolumePool::prepare(std::string config) {
  auto volume = co_await open(config);
  if (!volume) co_return volume;
  const std::string key = canonical(config);
  std::shared_ptr<Volume> former;
  if (const auto old = kept_.find(key); old != kept_.end()) former = old->second.volume;
  const std::uint64_t ticket = next_ticket_++;
  kept_[key] = Kept{*volume, ticket};
  if (former) co_await former->close();
  loop_.spawn(expire(key, ticket));
  co_return volume;
}

Task<Result<std::shared_ptr<Volume>>> VolumePool::take_or_open(std::string config) {
  const auto found = kept_.find(canonical(config));
  if (found != kept_.end()) {
    std::shared_ptr<Volume> volume = std::move(found->second.volume);
    kept_.erase(found);
    co_return volume;
  }
  auto opened = co_await open(config);
  co_return opened;
}

Task<void> VolumePool::expire(std::string key, std::uint64_t ticket) {
  co_await loop_.sleep(kKeep);
  const auto found = kept_.find(key);
  if (found == kept_.end() || found->second.ticket != ticket) co_return;
  const std::shared_ptr<Volume> volume = std::move(found->second.volume);
  kept_.erase(found);
  co_await volume->close();
}

Task<void> VolumePool::close() {
  while (!kept_.empty()) {
    const auto first = kept_.begin();
    const std::shared_ptr<Volume> volume = std::move(first->second.volume);
    kept_.erase(first);
    co_await volume->close();
  }
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// All replicas of one data node; see data_node_store.h.
#include "tools/minicluster/data_node_store.h"

#include <spdlog/spdlog.h>

#include <charconv>
#include <filesystem>
#include <optional>

namespace cfs::mini {
namespace {

constexpr std::string_view kPrefix = "dp_";

std::optional<uint64_t> partition_id_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  uint64_t id = 0;
  const char* const end = name.data() + name.size();
  const auto [parsed, error] = std::from_chars(name.data(), end, id);
  if (error != std::errc{} || parsed != end) return std::nullopt;
  return id;
}

}  // namespace

Result<std::shared_ptr<NodeStore>> NodeStore::open(std::string dir) {
  std::shared_ptr<NodeStore> store(new NodeStore(std::move(dir)));
  std::error_code error;
  std::filesystem::directory_iterator entries(store->dir_, error);
  if (error) return make_error(error.value(), "list " + store->dir_);
  for (const auto& entry : entries) {
    const auto id = partition_id_of(entry.path().filename().string());
    if (!id) continue;
    const std::lock_guard lock(store->mutex_);
    if (auto opened = store->open_locked(*id); !opened) return opened.error();
  }
  return store;
}

Result<std::shared_ptr<ExtentStore>> NodeStore::open_locked(uint64_t partition_id) {
  const std::string path = dir_ + "/" + std::string(kPrefix) + std::to_string(partition_id);
  auto opened = ExtentStore::open(path, partition_id);
  if (opened) partitions_[partition_id] = opened.value();
  return opened;
}

std::shared_ptr<ExtentStore> NodeStore::partition(uint64_t partition_id) {
  const std::lock_guard lock(mutex_);
  const auto found = partitions_.find(partition_id);
  if (found != partitions_.end()) return found->second;
  auto opened = open_locked(partition_id);
  if (opened) return opened.value();
  spdlog::error("data partition {}: {}", partition_id, opened.error().text());
  return nullptr;
}

std::shared_ptr<ExtentStore> NodeStore::existing(uint64_t partition_id) const {
  const std::lock_guard lock(mutex_);
  const auto found = partitions_.find(partition_id);
  return found == partitions_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<ExtentStore>> NodeStore::partitions() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<ExtentStore>> out;
  out.reserve(partitions_.size());
  for (const auto& [id, store] : partitions_) out.push_back(store);
  return out;
}

}  // namespace cfs::mini

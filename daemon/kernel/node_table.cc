// SPDX-License-Identifier: Apache-2.0
/// Ids of data nodes; see node_table.h.
#include "daemon/kernel/node_table.h"

#include <arpa/inet.h>
#include <spdlog/spdlog.h>

#include <charconv>
#include <cstring>

namespace cfs {
namespace {

constexpr std::uint32_t kIdMax = 65535;
constexpr std::uint32_t kProbesMax = 1024;

/// FNV-1a: the same in every release, because ids outlive daemons.
std::uint32_t stable_hash(const std::string& text) {
  std::uint32_t hash = 2166136261u;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 16777619u;
  }
  return hash;
}

}  // namespace

std::optional<cfs_node> parse_node(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || address.size() >= CFS_NODE_NAME_MAX) return std::nullopt;
  std::string host = address.substr(0, colon);
  unsigned port = 0;
  const char* const end = address.data() + address.size();
  const auto parsed = std::from_chars(address.data() + colon + 1, end, port);
  if (parsed.ec != std::errc() || parsed.ptr != end || port == 0 || port > 65535) {
    return std::nullopt;
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  cfs_node node{};
  node.len = sizeof(node);
  node.port = static_cast<std::uint16_t>(port);
  std::memcpy(node.name, address.data(), address.size());
  if (inet_pton(AF_INET, host.c_str(), node.addr) == 1) {
    node.family = AF_INET;
  } else if (inet_pton(AF_INET6, host.c_str(), node.addr) == 1) {
    node.family = AF_INET6;
  } else {
    return std::nullopt;
  }
  return node;
}

Result<std::uint32_t> NodeTable::publish(const std::string& address) {
  std::optional<cfs_node> node = parse_node(address);
  if (!node) return make_error(EINVAL, "data node address '" + address + "' is not ip:port");
  const std::uint32_t first = stable_hash(address) % kIdMax;
  for (std::uint32_t probe = 0; probe < kProbesMax; ++probe) {
    const std::uint32_t id = (first + probe) % kIdMax + 1;
    if (addresses_.contains(id)) continue;
    node->id = id;
    const Result<void> set = port_.set_node(*node);
    if (set) return id;
    if (set.code() != EEXIST) return set.error().in("node " + address);
  }
  return make_error(ENOSPC, "node " + address + ": no free id");
}

std::uint32_t NodeTable::id(const std::string& address) {
  if (const auto found = ids_.find(address); found != ids_.end()) return found->second;
  const Result<std::uint32_t> id = publish(address);
  if (!id) {
    spdlog::warn("{}", id.error().text());
    // only a bad address stays bad; a kernel error may be over next time
    if (id.code() == EINVAL) ids_.emplace(address, 0);
    return 0;
  }
  ids_.emplace(address, *id);
  addresses_.emplace(*id, address);
  return *id;
}

std::string NodeTable::address(std::uint32_t id) const {
  const auto found = addresses_.find(id);
  return found == addresses_.end() ? "node " + std::to_string(id) : found->second;
}

std::vector<std::string> NodeTable::others(std::uint32_t id) const {
  std::vector<std::string> out;
  for (const auto& [other, address] : addresses_) {
    if (other != id) out.push_back(address);
  }
  return out;
}

void NodeTable::clear() {
  ids_.clear();
  addresses_.clear();
}

}  // namespace cfs

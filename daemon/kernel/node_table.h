// SPDX-License-Identifier: Apache-2.0
/// Node ids: address of a data node <-> number that rows and orders carry.
///
/// Purpose  One table for all sessions. The kernel binds an id to one address for as long as the
///          module is loaded, longer than a daemon lives; so an id is a hash of the address, probed
///          upwards where the kernel says EEXIST: the next daemon finds the same ids again.
/// Threads  The loop thread.
/// Failure  An address that is no "ip:port" has no id and is remembered as unusable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/kernel/kernel_port.h"

namespace cfs {

/// "10.0.0.1:17310" or "[fe80::1]:17310" as an ABI record without id; nullopt when it is neither.
[[nodiscard]] std::optional<cfs_node> parse_node(const std::string& address);

class NodeTable {
 public:
  explicit NodeTable(KernelPort& port) : port_(port) {}
  /// Id of an address, published to the kernel when new. 0: unusable.
  std::uint32_t id(const std::string& address);
  [[nodiscard]] std::string address(std::uint32_t id) const;
  /// Known addresses of all nodes but this one, in no order.
  [[nodiscard]] std::vector<std::string> others(std::uint32_t id) const;
  /// The kernel was loaded anew or another one is attached: publish again on demand.
  void clear();

 private:
  Result<std::uint32_t> publish(const std::string& address);
  KernelPort& port_;
  std::unordered_map<std::string, std::uint32_t> ids_;
  std::unordered_map<std::uint32_t, std::string> addresses_;
};

}  // namespace cfs

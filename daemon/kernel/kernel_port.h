// SPDX-License-Identifier: Apache-2.0
/// What the daemon and the kernel module say to each other, without the device behind it.
///
/// Purpose  KernelPort is the downward half (knowledge given by ioctl), RequestHandler the upward
///          half (requests that want an answer). KernelChannel implements the first and calls the
///          second; tests use a fake port.
/// Threads  The loop thread.
/// Lifetime A Request's strings and record are valid until its handler has returned.
/// Failure  Every command yields the kernel's errno: ENODEV unknown session, EEXIST node id bound
///          to another address, ENOTCONN no longer attached.
#pragma once

#include <cubefs/cfs.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/result.h"
#include "daemon/base/task.h"

namespace cfs {

/// A mount that outlived a former daemon.
struct SessionInfo {
  std::uint32_t session = 0;
  std::string config;
};

/// Commands to the kernel.
class KernelPort {
 public:
  virtual ~KernelPort() = default;
  virtual Result<void> set_node(const cfs_node& node) = 0;
  virtual Result<void> connect(const cfs_connect& order) = 0;
  virtual Result<void> close_connection(const cfs_connect& order) = 0;
  virtual Result<void> publish_rows(std::uint32_t session, std::span<const cfs_dp_row> rows) = 0;
  virtual Result<void> publish_writable(std::uint32_t session, std::uint32_t storage_class,
                                        std::span<const std::uint64_t> ids) = 0;
  virtual Result<void> invalidate(std::uint32_t session, std::uint64_t ino,
                                  std::uint32_t flags) = 0;
  virtual Result<cfs_stats> stats(std::uint32_t session) = 0;
  virtual Result<std::vector<SessionInfo>> sessions() = 0;
  /// The change counters of a mount, as the kernel goes on writing them. Let go of them before the
  /// port: they are part of the attachment.
  virtual Result<std::shared_ptr<const cfs_counters>> counters(std::uint32_t session) = 0;
};

/// One request of the kernel, length-checked.
struct Request {
  cfs_req head{};
  std::string_view name, name2, data;
  void* progress = nullptr;  ///< CFS_PROGRESS_BYTES that outlive the daemon
  [[nodiscard]] bool resumed() const { return (head.flags & CFS_REQ_F_RESUMED) != 0; }
};

/// The answer: res >= 0 and bytes, or -errno.
struct Reply {
  int res = 0;
  std::string bytes;

  static Reply error(int code) { return Reply{-code, {}}; }
  /// The bytes of one ABI struct.
  template <typename T>
  static Reply of(const T& record) {
    return Reply{0, std::string(reinterpret_cast<const char*>(&record), sizeof(record))};
  }
};

class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  virtual Task<Reply> handle(Request request) = 0;
};

}  // namespace cfs

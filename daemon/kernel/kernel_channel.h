// SPDX-License-Identifier: Apache-2.0
/// KernelChannel: the only user of /dev/cubefs.
///
/// Purpose  Attaches to the module, keeps FETCH commands parked, turns each request into a call of
///          the RequestHandler and its answer into COMMIT_AND_FETCH; carries the commands of
///          KernelPort as ioctls.
/// Threads  The loop thread.
/// Lifetime open() .. stop(). A slot is a coroutine that owns one request buffer; when fewer than
///          kSpare are parked another one is started, so that requests that wait for a dead server
///          never keep COMMITs and events out. stop() drains, waits a while for running handlers
///          and closes the device; the kernel hands what was not answered to the next daemon.
/// Failure  ENOENT: module not loaded. EBUSY: another daemon is attached. EPROTONOSUPPORT: the
///          module has another major version. A malformed request is answered EPROTO and logged.
#pragma once

#include <cstdint>
#include <memory>

#include "daemon/base/log.h"
#include "daemon/base/loop.h"
#include "daemon/kernel/kernel_port.h"

namespace cfs {

class KernelChannel final : public KernelPort {
 public:
  static constexpr std::uint32_t kParked = 64;   ///< slots at start
  static constexpr std::uint32_t kSpare = 8;     ///< parked slots kept for what is urgent
  static constexpr std::uint32_t kSlots = 1024;  ///< most slots, within the module's nslots

  explicit KernelChannel(Loop& loop) : loop_(loop) {}
  ~KernelChannel() override;

  /// Attach. Nothing is served before start().
  Result<void> open(const char* path = CFS_DEV_PATH);
  /// EPROTONOSUPPORT when the module is there and speaks another ABI; asks while another daemon is
  /// attached.
  static Result<void> check_abi(const char* path = CFS_DEV_PATH);
  void start(RequestHandler& handler);
  /// Returns when no slot is left or after `grace`.
  Task<void> stop(Millis grace);
  [[nodiscard]] bool attached() const { return fd_ >= 0; }
  [[nodiscard]] std::uint64_t generation() const { return attach_.generation; }
  [[nodiscard]] std::uint32_t abi() const { return attach_.abi; }

  Result<void> set_node(const cfs_node& node) override;
  Result<void> connect(const cfs_connect& order) override;
  Result<void> close_connection(const cfs_connect& order) override;
  Result<void> publish_rows(std::uint32_t session, std::span<const cfs_dp_row> rows) override;
  Result<void> publish_writable(std::uint32_t session, std::uint32_t storage_class,
                                std::span<const std::uint64_t> ids) override;
  Result<void> invalidate(std::uint32_t session, std::uint64_t ino, std::uint32_t flags) override;
  Result<cfs_stats> stats(std::uint32_t session) override;
  Result<std::vector<SessionInfo>> sessions() override;
  Result<std::shared_ptr<const cfs_counters>> counters(std::uint32_t session) override;

 private:
  Result<void> attach();
  Result<void> map_memory();
  Result<void> command(unsigned long request, void* argument, const char* what) const;
  void add_slot();
  Task<void> run_slot(std::uint32_t slot);
  static bool recover(int error, std::uint32_t& op, cfs_uring_cmd& cmd);
  [[nodiscard]] bool parse(const unsigned char* buffer, std::uint32_t bytes, Request& out) const;
  [[nodiscard]] bool withhold(const Reply& reply) const;
  void close_device();

  Loop& loop_;
  RequestHandler* handler_ = nullptr;
  int fd_ = -1;
  cfs_attach attach_{};
  unsigned char* progress_ = nullptr;
  std::size_t progress_bytes_ = 0;
  unsigned char* buffers_ = nullptr;  ///< kSlots * CFS_REQ_BYTES_MAX, touched as slots are added
  std::uint32_t slots_ = 0;           ///< coroutines that run
  std::uint32_t next_slot_ = 0;       ///< buffers handed out
  std::uint32_t parked_ = 0;
  bool stopping_ = false;
  LogLimit bad_request_;
};

}  // namespace cfs

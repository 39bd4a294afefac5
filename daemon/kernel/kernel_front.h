// SPDX-License-Identifier: Apache-2.0
/// KernelFront: all kernel mounts of this host.
///
/// Purpose  Receives the channel's requests; makes and drops sessions (MOUNT, UNMOUNT), adopts the
///          mounts of a former daemon, hands connection events and news of the network to the
///          Connector and everything else to the session.
/// Threads  The loop thread.
/// Lifetime Owned by App from start to end. attach() any number of times until it succeeds; stop()
///          leaves the mounts in the kernel to the next daemon.
/// Failure  A failed MOUNT is answered with the errno and remembered in words by the VolumePool. A
///          mount of a former daemon whose volume cannot be opened is tried again for ever: its
///          processes wait, as they do for any server of a hard mount.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "daemon/app/front_end.h"
#include "daemon/base/link_watch.h"
#include "daemon/base/path_probe.h"
#include "daemon/kernel/connector.h"
#include "daemon/kernel/kernel_channel.h"
#include "daemon/kernel/node_table.h"
#include "daemon/kernel/session.h"
#include "daemon/kernel/volume_pool.h"

namespace cfs {

[[nodiscard]] const char* op_name(std::uint16_t op);

class KernelFront final : public RequestHandler {
 public:
  static constexpr Millis kReopenMin{100};
  static constexpr Millis kReopenMax{5000};
  static constexpr Millis kAuditPeriod{60'000};
  /// After a change of the network, what is silent had been sent before it and is not waited for.
  static constexpr std::int64_t kSettleMs = 3000;

  KernelFront(Loop& loop, VolumePool& pool, ConnectionCounts counts);
  /// For tests: another port than the device.
  KernelFront(Loop& loop, VolumePool& pool, ConnectionCounts counts, KernelPort& port);

  /// Attach to the module and adopt its mounts; at once when already attached.
  Result<void> attach();
  [[nodiscard]] bool attached() const { return channel_.attached(); }
  [[nodiscard]] const KernelChannel& channel() const { return channel_; }
  Task<void> stop(Millis grace);

  Task<Reply> handle(Request request) override;
  /// A mount that exists already: wait in the background until its volume is open and published.
  void adopt_session(const SessionInfo& info);

  [[nodiscard]] std::vector<std::shared_ptr<Session>> sessions() const;
  [[nodiscard]] std::shared_ptr<Session> session(std::uint32_t id) const;
  [[nodiscard]] std::vector<InFlight> in_flight() const;
  [[nodiscard]] Connector::Counts connections() const { return connector_.counts(); }
  /// "ip:port" of a data node; "": no row has named it.
  [[nodiscard]] std::string node_address(std::uint32_t id) const { return nodes_.address(id); }
  Result<cfs_stats> stats(std::uint32_t id) { return port_.stats(id); }
  /// CFS_INV_* of an inode; ino 0: all names and attributes of the mount.
  Result<void> invalidate(std::uint32_t id, std::uint64_t ino, std::uint32_t flags) {
    return port_.invalidate(id, ino, flags);
  }
  /// Where sessions put what servers said; before attach(). Outlives this.
  void fill_cache(CacheFiller* filler) { filler_ = filler; }
  /// Called once, when the daemon has become the module's and has tried once to open the volume of each mount it found.
  std::function<void()> on_settled;
  /// Called whenever a session came or went.
  std::function<void()> on_sessions_change;

 private:
  Task<Reply> dispatch(const Request& request);
  Task<Reply> mount(const Request& request);
  Task<Reply> unmount(const Request& request);
  bool connection_event(const cfs_req& head);
  void silence(std::uint32_t node);
  Task<void> compare(std::uint32_t node);
  Task<bool> another_answers(std::uint32_t node);
  void watch_links();
  static Task<void> close_session(std::shared_ptr<Session> session);
  Task<Result<void>> open_volume(std::shared_ptr<Session> session);
  Task<void> reopen(std::shared_ptr<Session> session);
  void settle_one();
  Task<void> audit();
  Task<void> dial_later(Millis delay);
  Task<void> drop(std::uint32_t id);
  void add(std::shared_ptr<Session> session);
  [[nodiscard]] bool current(const std::shared_ptr<Session>& session) const;

  Loop& loop_;
  VolumePool& pool_;
  KernelChannel channel_;
  KernelPort& port_;
  NodeTable nodes_;
  Connector connector_;
  std::map<std::uint32_t, PathProbe> probes_;  ///< of nodes that have been silent
  std::set<std::uint32_t> compared_;           ///< a compare() of theirs runs
  std::optional<LinkWatch> links_;
  std::int64_t changed_ms_ = -kSettleMs;  ///< last change of the network
  std::map<std::uint32_t, std::shared_ptr<Session>> sessions_;
  std::map<std::uint64_t, InFlight> in_flight_;
  CacheFiller* filler_ = nullptr;
  std::size_t unsettled_ = 0;  ///< mounts found whose volume was not tried yet
  bool stopping_ = false;
  LogLimit unknown_session_;
};

}  // namespace cfs

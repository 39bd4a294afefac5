// SPDX-License-Identifier: Apache-2.0
/// What the admin socket can do.
///
/// Purpose  One method per command: arguments in, JSON or an error out. Keys are stable; units are
///          part of their names.
/// Threads  The loop thread.
/// Lifetime Refers to App's parts, which outlive it.
/// Failure  EINVAL: bad arguments. Others: the part's own errors.
#pragma once

#include <functional>

#include "daemon/app/admin_server.h"
#include "daemon/app/fuse_mounts.h"
#include "daemon/app/metrics.h"
#include "daemon/bpf/trace_loader.h"
#include "daemon/kernel/kernel_front.h"

namespace cfs {

class Commands final : public AdminHandler {
 public:
  Commands(Loop& loop, VolumePool& pool, KernelFront& kernel, FuseMounts& fuse, TraceLoader& trace,
           std::function<void()> shut_down)
      : loop_(loop),
        pool_(pool),
        kernel_(kernel),
        fuse_(fuse),
        trace_(trace),
        shut_down_(std::move(shut_down)) {}

  Task<Result<Json>> run(admin::Command command) override;
  /// Everything that /metrics tells, now.
  [[nodiscard]] MetricsSample metrics_sample();
  /// Called when somebody has loaded another policy of the metadata cache.
  std::function<void()> on_policy_change;
  /// Starts the next daemon.
  std::function<Task<Result<Json>>(Json)> on_upgrade;
  /// Shown by `status`: what the last upgrade came to.
  Json upgrade = nullptr;

 private:
  [[nodiscard]] Json version() const;
  [[nodiscard]] Json status() const;
  [[nodiscard]] Json mounts() const;
  [[nodiscard]] Json requests() const;
  [[nodiscard]] Result<Json> latency() const;
  [[nodiscard]] Result<Json> profile(const Json& args) const;
  Result<Json> trace(const Json& args);
  static Result<Json> log_level(const Json& args);
  [[nodiscard]] std::string node_name(std::uint64_t id) const;
  [[nodiscard]] std::string volume_name(std::uint64_t session) const;
  Result<Json> stats(const Json& args);
  Result<Json> last_error(const Json& args) const;
  Task<Result<Json>> prepare(Json args);
  Task<Result<Json>> fuse_mount(Json args);
  Task<Result<Json>> fuse_umount(Json args);
  Result<Json> session_stats(std::uint32_t id);
  [[nodiscard]] Result<Json> cache(const Json& args) const;
  Result<Json> cache_drop(const Json& args);

  Loop& loop_;
  VolumePool& pool_;
  KernelFront& kernel_;
  FuseMounts& fuse_;
  TraceLoader& trace_;
  std::function<void()> shut_down_;
  std::int64_t started_ms_ = Loop::now_ms();
};

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// App: the daemon as a whole.
///
/// Purpose  Owns every part and knows their order: loop, volume pool, kernel front end, FUSE
///          mounts, tracing, metadata cache, admin socket, metrics.
/// Threads  run() is the loop thread.
/// Lifetime create(), run() until a signal or `shutdown`, destroy. Stopped in reverse order of
///          start. Kernel mounts stay for the next daemon; FUSE mounts end with this one.
/// Failure  create() says why it cannot start. A stop that takes longer than kStopLimitS ends the
///          process: what is unanswered belongs to the next daemon anyway.
#pragma once

#include <memory>

#include "daemon/app/admin_server.h"
#include "daemon/app/commands.h"
#include "daemon/app/fuse_mounts.h"
#include "daemon/app/http_server.h"
#include "daemon/app/metrics.h"
#include "daemon/app/options.h"
#include "daemon/app/takeover.h"
#include "daemon/bpf/policy_loader.h"
#include "daemon/bpf/trace_loader.h"
#include "daemon/kernel/kernel_front.h"
#include "daemon/kernel/volume_pool.h"

namespace cfs {

class App {
 public:
  static constexpr unsigned kStopLimitS = 20;
  static constexpr Millis kDrainGrace{3000};
  static constexpr Millis kAutoExitFirst{60'000};  ///< auto-exit: time for the first mount

  /// `lock_fd` is what a daemon that follows inherits.
  static Result<std::unique_ptr<App>> create(const Options& options, FuseFactory fuse, int lock_fd);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  /// For `status`.
  void took_over(const Predecessor& before);
  void came_back(const FailedUpgrade& after);
  void run();
  /// Who is to be released when this object is gone, after run().
  std::optional<Successor> take_successor();

 private:
  App(const Options& options, std::unique_ptr<Loop> loop, FuseFactory fuse);
  Result<void> start();
  Result<void> start_metrics();
  HttpAnswer page(const std::string& path);
  Task<void> wait_for_signal();
  Task<void> shut_down();
  Task<Result<Json>> upgrade(Json args);
  Task<void> auto_exit(Millis delay, std::uint64_t ticket);
  void attach_kernel();
  void mounts_changed();
  [[nodiscard]] TraceLoader::Settings trace_settings() const;
  [[nodiscard]] bool idle() const;
  [[nodiscard]] bool succeeded() const { return successor_ && successor_->committed(); }

  Options options_;
  std::unique_ptr<Loop> loop_;
  int signals_ = -1;
  int lock_fd_ = -1;
  VolumePool pool_;
  MetaCache cache_;
  KernelFront kernel_;
  FuseMounts fuse_;
  TraceLoader trace_;
  PolicyLoader policy_;
  Commands commands_;
  std::unique_ptr<AdminServer> admin_;
  Metrics metrics_;
  std::unique_ptr<HttpServer> http_;    ///< with --metrics
  std::optional<Successor> successor_;  ///< an upgrade is under way
  bool memory_locked_ = false;
  bool mounted_ = false;           ///< there were kernel mounts when it was last looked
  std::uint64_t idle_ticket_ = 0;  ///< of the auto-exit timer that counts
};

}  // namespace cfs

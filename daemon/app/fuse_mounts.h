// SPDX-License-Identifier: Apache-2.0
/// The FUSE mounts of this daemon.
///
/// Purpose  Makes them through the factory that daemon/fuse provides, keeps them by mount point,
///          ends them: on command, when somebody else unmounted them, at the daemon's end.
/// Threads  The loop thread.
/// Lifetime A mount and its volume live until stop() or unmount() has returned.
/// Failure  Errors are sentences for the user of cfsctl.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/app/front_end.h"
#include "daemon/bpf/latency.h"
#include "daemon/kernel/volume_pool.h"

namespace cfs {

using FuseFactory = std::function<Result<std::unique_ptr<FrontEnd>>(Loop&, std::shared_ptr<Volume>,
                                                                    MountPoint, FuseOptions)>;

class FuseMounts {
 public:
  /// Without a factory this daemon was built without FUSE: mount() says so.
  FuseMounts(Loop& loop, VolumePool& pool, FuseFactory factory)
      : loop_(loop), pool_(pool), factory_(std::move(factory)) {}

  Task<Result<void>> mount(std::string config, MountPoint at, FuseOptions options);
  /// ENOENT when there is none.
  Task<Result<void>> unmount(std::string path);
  Task<void> stop();

  [[nodiscard]] std::vector<FrontEnd*> list() const;
  [[nodiscard]] FrontEnd* find(const std::string& path) const;
  [[nodiscard]] bool empty() const { return mounts_.empty(); }
  /// By operation, of all FUSE mounts that there are and were.
  [[nodiscard]] const std::map<std::string, OpLatency>& latencies() const { return latencies_; }
  std::function<void()> on_change;

 private:
  Task<void> end(std::string path);
  void changed() const;

  Loop& loop_;
  VolumePool& pool_;
  FuseFactory factory_;
  std::map<std::string, std::unique_ptr<FrontEnd>> mounts_;
  std::map<std::string, OpLatency> latencies_;
};

}  // namespace cfs

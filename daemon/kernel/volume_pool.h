// SPDX-License-Identifier: Apache-2.0
/// Volumes opened ahead of a mount, and why openings failed.
///
/// Purpose  `cfsctl mount` lets the daemon open a volume before the mount exists, so that a mistake
///          is told in words; the mount that follows takes the open volume. The kernel carries only
///          an errno to a plain mount(8): the sentence is kept here by configuration.
/// Threads  The loop thread.
/// Lifetime A prepared volume that no mount takes within kKeep is closed. close() closes all.
/// Failure  The error of MountConfig::parse() or Volume::open(), remembered for last_error().
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "daemon/core/volume.h"

namespace cfs {

class VolumePool {
 public:
  static constexpr Millis kKeep{30'000};
  static constexpr std::size_t kErrorsKept = 64;

  using Opener = std::function<Task<Result<std::shared_ptr<Volume>>>(Loop&, MountConfig)>;

  /// `opener`: Volume::open, or a test's.
  explicit VolumePool(Loop& loop, Opener opener = Volume::open)
      : loop_(loop), opener_(std::move(opener)) {}

  /// Open and keep; the result stays the pool's until take_or_open().
  Task<Result<std::shared_ptr<Volume>>> prepare(std::string config);
  /// The prepared volume, now the caller's to close, or a new one.
  Task<Result<std::shared_ptr<Volume>>> take_or_open(std::string config);
  /// Why opening this configuration failed last; empty when it did not.
  [[nodiscard]] std::string last_error(const std::string& config) const;
  Task<void> close();
  [[nodiscard]] bool empty() const { return kept_.empty(); }

 private:
  struct Kept {
    std::shared_ptr<Volume> volume;
    std::uint64_t ticket;
  };
  Task<Result<std::shared_ptr<Volume>>> open(std::string config);
  Task<void> expire(std::string key, std::uint64_t ticket);
  void remember(const std::string& config, const std::string& text);
  static std::string canonical(const std::string& config);

  Loop& loop_;
  Opener opener_;
  std::map<std::string, Kept> kept_;
  std::map<std::string, std::string> errors_;
  std::uint64_t next_ticket_ = 1;
};

}  // namespace cfs

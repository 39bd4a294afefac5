// SPDX-License-Identifier: Apache-2.0
/// Takeover: one daemon follows another, and at no moment does nobody hold the instance lock.
///
/// Purpose  `cfsctl upgrade`. The running daemon starts the new binary as its child, with its own
///          arguments, lock and directory. The child gets ready as far as it can and says so; only
///          then does the old one stop. It ends when the new one serves, and becomes itself again
///          (exec) when that fails. docs/recovery.md draws the steps.
/// Threads  Successor: the loop thread, after the loop's end the main thread. Predecessor: main
///          thread before any other exists.
/// Lifetime A Successor that is destroyed before release() kills its process.
/// Failure  Sentences for the user of cfsctl. A dead old daemon counts as one that has let go, once
///          it has begun to stop; before that its child ends with it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/base/loop.h"
#include "daemon/base/net.h"
#include "daemon/base/result.h"

namespace cfs {

/// How a process was started, to start it again.
struct CommandLine {
  std::vector<std::string> arguments;  ///< with the program's name
  std::string directory;
};

/// The new daemon, as the old one sees it.
class Successor {
 public:
  static constexpr Millis kPrepareLimit{60'000};
  static constexpr Millis kStartLimit{60'000};

  static Result<Successor> start(const std::string& binary, const CommandLine& how, int lock_fd);
  Successor(Successor&& other) noexcept;
  Successor& operator=(Successor&& other) noexcept;
  ~Successor();

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// It could start so far.
  Task<Result<void>> prepared(Loop& loop);
  /// From now on it will be the daemon.
  void stopping();
  [[nodiscard]] bool committed() const { return committed_; }
  /// Everything has been let go of. Blocks until it serves.
  Result<void> release();

 private:
  Successor(pid_t pid, Fd link) : pid_(pid), link_(std::move(link)) {}
  Result<void> judge(const std::string& wanted, bool ended) const;
  void end();

  pid_t pid_ = -1;
  Fd link_;
  std::string said_;
  bool committed_ = false;
};

/// The old daemon, as the new one sees it.
class Predecessor {
 public:
  /// Nothing when this process was not started by another daemon.
  static std::optional<Predecessor> from_environment();

  [[nodiscard]] int lock_fd() const { return lock_fd_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  void prepared();
  /// Blocks until the old daemon has let go. False: it changed its mind, or died before it did.
  [[nodiscard]] bool wait();
  /// Monotonic time at which it began to stop.
  [[nodiscard]] std::int64_t stopped_ns() const { return stopped_ns_; }
  void ready();
  void fail(const std::string& why);

 private:
  Predecessor(Fd link, int lock_fd, pid_t pid)
      : link_(std::move(link)), lock_fd_(lock_fd), pid_(pid) {}

  Fd link_;
  int lock_fd_;
  pid_t pid_;
  std::int64_t stopped_ns_ = 0;
};

/// The file this process was started from, or the one that has replaced it since.
[[nodiscard]] std::string own_binary();
/// This process was started again because its successor failed.
struct FailedUpgrade {
  std::string why;
  int lock_fd = -1;  ///< held still: what the successor left behind may hold it as well
  static std::optional<FailedUpgrade> from_environment();
};
/// Be started again, from the same file even if that was replaced. Returns only if it cannot.
Error start_again(const CommandLine& how, const FailedUpgrade& after);
[[nodiscard]] std::int64_t monotonic_ns();

}  // namespace cfs

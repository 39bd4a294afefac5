// SPDX-License-Identifier: Apache-2.0
/// What the daemon asks of the operating system for itself.
///
/// Purpose  One instance per socket, background, pid file, readiness, and the preparations of a
///          process that memory reclaim depends on: writing dirty pages back needs this daemon's
///          commits, so it must neither wait for such pages itself nor be killed to free memory.
/// Threads  Call before other threads exist, unless said otherwise.
/// Failure  Refused privileges (container, no root) are logged and lived with; a lock held by
///          another daemon is an error.
#pragma once

#include <sys/types.h>

#include <string>

#include "daemon/base/result.h"

namespace cfs {

/// Held while the process lives; freed by the kernel if it dies.
class InstanceLock {
 public:
  /// EBUSY with the other's process id when it is taken.
  static Result<InstanceLock> take(const std::string& path);
  /// Held together with the daemon that this one follows.
  static InstanceLock inherited(int fd) { return InstanceLock(fd); }
  InstanceLock(InstanceLock&& other) noexcept;
  InstanceLock& operator=(InstanceLock&& other) noexcept;
  ~InstanceLock();
  /// Note who holds it; again after a fork.
  void write_pid() const;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  explicit InstanceLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

/// Removed at the end of the process that wrote it.
class PidFile {
 public:
  static Result<PidFile> write(const std::string& path);
  PidFile(PidFile&& other) noexcept;
  ~PidFile();

 private:
  explicit PidFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// Goes to the background. The parent stays until the child says ready() or fail(), prints what it
/// was told, and exits.
class Background {
 public:
  static Result<Background> enter();
  void ready();
  void fail(const std::string& why);

 private:
  explicit Background(int fd) : fd_(fd) {}
  void tell(const std::string& text);
  int fd_;
};

/// State for the service manager that started us, if any: "READY=1", "STOPPING=1", "MAINPID=1".
/// Any thread.
void notify_service_manager(const std::string& state);

/// IO_FLUSHER, OOM score, descriptor limit. Inherited by threads made later.
void join_reclaim();
/// Keep what is touched in memory from now on. Any thread, any number of times.
void lock_memory();

}  // namespace cfs

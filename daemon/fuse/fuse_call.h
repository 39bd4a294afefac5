// SPDX-License-Identifier: Apache-2.0
/// FuseCall: one FUSE request and its one answer.
///
/// Purpose  Answers exactly once: by the task that works on the request, or with EINTR as soon as
///          its caller has been killed, so that nobody hangs on a server that is away. The task goes
///          on in the background; its late answer is dropped.
/// Threads  The loop thread.
/// Lifetime Shared by the task and a watcher; libfuse's request is gone once it is answered.
/// Failure  A method that returns something other than 0 has not reached the kernel: references
///          and handles that it would have passed on are still the daemon's.
/// Source   FUSE_INTERRUPT in the kernel's fs/fuse/dev.c (request_wait_answer): sent once per
///          request, for any signal. A signal that does not kill must not fail a call.
#pragma once

#include "daemon/fuse/fuse_session.h"

namespace cfs {

class FuseCall : public std::enable_shared_from_this<FuseCall> {
 public:
  FuseCall(Loop& loop, fuse_req_t req);
  ~FuseCall();
  FuseCall(const FuseCall&) = delete;
  FuseCall& operator=(const FuseCall&) = delete;
  /// Once, when a shared_ptr holds the object.
  void watch();

  /// Loop::now_ms() when the request came: what it will be told is at least that new.
  [[nodiscard]] std::int64_t asked_ms() const { return asked_ms_; }

  /// It was answered with an errno, or not at all.
  [[nodiscard]] bool failed() const { return failed_ || req_ != nullptr; }

  int err(int code) {
    if (req_ != nullptr) failed_ = code != 0;
    return once(fuse_reply_err, code);
  }
  int entry(const fuse_entry_param& e) { return once(fuse_reply_entry, &e); }
  int create(const fuse_entry_param& e, const fuse_file_info& fi) {
    return once(fuse_reply_create, &e, &fi);
  }
  int attr(const struct stat& st, double valid_s) { return once(fuse_reply_attr, &st, valid_s); }
  int readlink(const std::string& target) { return once(fuse_reply_readlink, target.c_str()); }
  int open(const fuse_file_info& fi) { return once(fuse_reply_open, &fi); }
  int write(std::size_t n) { return once(fuse_reply_write, n); }
  int buf(const char* data, std::size_t n) { return once(fuse_reply_buf, data, n); }
  int statfs(const struct statvfs& v) { return once(fuse_reply_statfs, &v); }
  int xattr(std::size_t n) { return once(fuse_reply_xattr, n); }

 private:
  template <class F, class... Args>
  int once(F reply, Args... args) {
    if (req_ == nullptr) return -ENOENT;
    return reply(std::exchange(req_, nullptr), args...);
  }
  static void interrupted(fuse_req_t req, void* self);
  static Task<void> end_when_killed(std::shared_ptr<FuseCall> self);

  Loop& loop_;
  fuse_req_t req_;
  bool failed_ = false;
  const std::int64_t asked_ms_ = Loop::now_ms();
  const pid_t pid_;  ///< thread that waits; 0: in a namespace we do not see
};

/// True when a thread has been killed and only waits to find out. Source: proc(5), status.
bool thread_was_killed(pid_t pid);

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Loop: one io_uring and the coroutines that live on it.
///
/// Purpose  Every descriptor, timer and kernel-channel command of the daemon goes through a Loop.
/// Threads  Everything runs on the thread that calls run(), except post() and stop() (any thread).
/// Lifetime run() returns after stop() when no spawned task is left; destroy the loop after that.
///          Stopping: tasks waiting in sleep() are woken with -ECANCELED; other waits end by
///          closing or shutting down their descriptors, which is their owners' duty.
/// Failure  Awaited operations yield what the kernel yields: >= 0 or -errno. A full submission
/// queue is
///          flushed, never an error.
#pragma once

#include <liburing.h>
#include <netinet/in.h>

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/base/result.h"
#include "daemon/base/task.h"

namespace cfs {

using Millis = std::chrono::milliseconds;

class Loop {
 public:
  /// One submission whose completion resumes the awaiting coroutine. Address is the user_data.
  class Op {
   public:
    using Prep = void (*)(io_uring_sqe*, const Op&);
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h);
    [[nodiscard]] int await_resume() const noexcept { return res_; }

   private:
    friend class Loop;
    Loop* loop_ = nullptr;
    Prep prep_ = nullptr;
    std::coroutine_handle<> waiter_;
    int res_ = 0;
    int fd_ = -1;
    std::uint32_t op_ = 0;         // cmd_op, flags or poll mask
    const void* p_ = nullptr;      // buffer, address or command payload
    std::size_t n_ = 0;            // its length
    __kernel_timespec timeout_{};  // 0: none
  };

  static Result<std::unique_ptr<Loop>> create(unsigned entries = 512);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();
  void stop();                          ///< any thread
  void post(std::function<void()> fn);  ///< any thread: run fn on the loop
  void spawn(Task<void> task);          ///< loop thread: start a detached root task
  [[nodiscard]] bool stopping() const { return stopping_; }

  // Awaitables. Buffers must live until the result is there. `timeout` 0: none; a timeout yields
  // -ETIME.
  Op recv(int fd, void* buf, std::size_t len, Millis timeout = Millis(0));
  Op send(int fd, const void* buf, std::size_t len,
          Millis timeout = Millis(0));  ///< MSG_NOSIGNAL, may be short
  Op connect(int fd, const sockaddr* addr, socklen_t len, Millis timeout = Millis(0));
  Op accept(int fd);
  Op poll(int fd, std::uint32_t events, Millis timeout = Millis(0));
  Op read(int fd, void* buf, std::size_t len);
  Op command(int fd, std::uint32_t cmd_op, const void* payload,
             std::size_t len);  ///< IORING_OP_URING_CMD, <= 80 bytes
  /// 0 when the time is over, -ECANCELED when the loop stops.
  Task<int> sleep(Millis time);

  /// Run a blocking function on the loop's helper threads (HTTP, name resolution); resumes on the
  /// loop.
  Task<void> offload(std::function<void()> fn);

  static std::int64_t now_ms();  ///< CLOCK_MONOTONIC

 private:
  struct Impl;
  explicit Loop(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  bool stopping_ = false;
};

/// Wakes every waiter once; loop thread only.
class Event {
 public:
  void set();
  void reset() { set_ = false; }
  [[nodiscard]] bool is_set() const { return set_; }
  struct Wait {
    Event& e;
    [[nodiscard]] bool await_ready() const noexcept { return e.set_; }
    void await_suspend(std::coroutine_handle<> h) { e.waiters_.push_back(h); }
    void await_resume() const noexcept {}
  };
  Wait wait() { return Wait{*this}; }

 private:
  bool set_ = false;
  std::vector<std::coroutine_handle<>> waiters_;
};

/// FIFO mutual exclusion between tasks of one loop. `auto lock = co_await mutex.lock();`
class AsyncMutex {
 public:
  class Lock {
   public:
    explicit Lock(AsyncMutex* m) : m_(m) {}
    Lock(Lock&& o) noexcept : m_(std::exchange(o.m_, nullptr)) {}
    Lock& operator=(Lock&&) = delete;
    ~Lock() {
      if (m_) m_->unlock();
    }

   private:
    AsyncMutex* m_;
  };
  struct Wait {
    AsyncMutex& m;
    [[nodiscard]] bool await_ready() const noexcept;
    void await_suspend(std::coroutine_handle<> h);
    Lock await_resume() const noexcept { return Lock(&m); }
  };
  Wait lock() { return Wait{*this}; }

 private:
  void unlock();
  bool locked_ = false;
  std::vector<std::coroutine_handle<>> waiters_;  // hand-over: locked_ stays true
};

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Loop: one io_uring and the coroutines that live on it.
///
/// Purpose  Every descriptor, timer and kernel-channel command of the daemon goes through a Loop.
/// Threads  Everything runs on the thread that calls run(), except post() and stop() (any thread).
/// Lifetime run() returns after stop() when no spawned task is left; destroy the loop after that.
///          Stopping: tasks waiting in sleep() are woken with -ECANCELED; other waits end by
///          closing or shutting down their descriptors, which is their owners' duty: shutdown() a
///          socket, drain the kernel channel; close() alone does not end a pending operation.
/// Failure  Awaited operations yield what the kernel yields: >= 0 or -errno. A full submission
///          queue is flushed, never an error.
/// Without io_uring (refused by a container or an old kernel) a poll(2) backend serves the same
///          calls, except command(), which yields -ENOSYS. CFS_LOOP=poll in the environment forces
///          it. Descriptors should be blocking ones: on a non-blocking one -EAGAIN may come up.
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
#include <utility>
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
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h);
    [[nodiscard]] int await_resume() const noexcept { return res_; }

   private:
    friend class Loop;
    enum class Kind : std::uint8_t { kRecv, kSend, kConnect, kAccept, kPoll, kRead, kCommand };
    Loop* loop_ = nullptr;
    std::coroutine_handle<> waiter_;
    Kind kind_ = Kind::kPoll;
    int res_ = 0;
    int fd_ = -1;
    std::uint32_t op_ = 0;          // cmd_op, flags or poll mask
    const void* p_ = nullptr;       // buffer, address or command payload
    std::size_t n_ = 0;             // its length
    std::int64_t deadline_ms_ = 0;  // 0: none
    bool late_ = false;             // its cancellation was asked for at the deadline
    Op* prev_ = nullptr;            // neighbours among those with a deadline (io_uring backend)
    Op* next_ = nullptr;
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

  static std::int64_t now_ms();          ///< CLOCK_MONOTONIC
  [[nodiscard]] bool has_uring() const;  ///< false: poll backend, command() is refused

 private:
  friend class Event;
  friend class AsyncMutex;
  struct Impl;
  struct Backend;
  struct UringBackend;
  struct PollBackend;
  class OffloadPool;
  struct Sleeper;
  struct Offload;
  struct Detached;
  /// Resume `h` from the loop of this thread, soon; at once when no loop runs here.
  static void schedule(std::coroutine_handle<> h);
  static Detached run_root(Impl* impl, Task<void> task);
  Op make_op(Op::Kind kind, int fd, const void* p, std::size_t n, Millis timeout) const;
  explicit Loop(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  bool stopping_ = false;
};

/// Wakes every waiter once; loop thread only. Waiters run later, from the loop, not inside set().
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
    ~Lock() { release(); }
    /// Unlock early.
    void release() {
      if (m_) std::exchange(m_, nullptr)->unlock();
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

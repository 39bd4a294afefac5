// SPDX-License-Identifier: Apache-2.0
/// Parts of Loop that only daemon/base knows.
///
/// Purpose  What loop.cc (coroutines, timers, posting) shares with its two backends.
/// Threads  Loop thread, except Impl::post() and OffloadPool::push().
/// Lifetime Impl owns the backend; the backend's pending operations live in coroutine frames.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <thread>

#include "daemon/base/loop.h"

namespace cfs {

/// Where awaited operations go. A finished one leaves its result in the Op and its waiter in
/// `ready`.
struct Loop::Backend {
  using Ready = std::vector<std::coroutine_handle<>>;
  virtual ~Backend() = default;
  virtual void start(Op& op) = 0;
  /// Submit what was started and wait up to `timeout_ms` (-1: for ever) for a result or the wake
  /// descriptor.
  virtual void wait(std::int64_t timeout_ms, Ready& ready) = 0;
  [[nodiscard]] virtual bool is_uring() const = 0;

  /// -errno when the kernel refuses io_uring.
  static Result<std::unique_ptr<Backend>> make_uring(unsigned entries, int wake_fd);
  static std::unique_ptr<Backend> make_poll(int wake_fd);

 protected:
  static void finish(Op& op, int res, Ready& ready);
  static void drain(int wake_fd);
};

/// Up to kMax threads for blocking calls, started on demand; they block all signals.
class Loop::OffloadPool {
 public:
  ~OffloadPool();
  void push(std::function<void()> job);

 private:
  static constexpr unsigned kMax = 8;
  void work();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;  // mutex_
  unsigned idle_ = 0;                       // mutex_
  bool quit_ = false;                       // mutex_
  std::vector<std::thread> threads_;        // mutex_ while running
};

struct Loop::Sleeper {
  Impl& impl;
  std::int64_t until_ms;
  int result = 0;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> h);
  [[nodiscard]] int await_resume() const noexcept { return result; }
  std::coroutine_handle<> waiter;
};

struct Loop::Impl {
  std::unique_ptr<Backend> backend;
  int wake_fd = -1;
  Backend::Ready ready;  // to be resumed by run()
  Backend::Ready batch;  // being resumed by run()
  FramePool frames;
  std::multimap<std::int64_t, Sleeper*> sleepers;
  std::size_t roots = 0;  // spawned and not finished
  bool stopping = false;
  std::unique_ptr<OffloadPool> pool = std::make_unique<OffloadPool>();

  std::mutex mutex;
  std::vector<std::function<void()>> posted;  // mutex

  ~Impl();
  void post(std::function<void()> fn);
  void run_posted();
  void run_ready();
  void wake_sleepers(std::int64_t now);
  void cancel_sleepers();
  [[nodiscard]] std::int64_t wait_ms();
};

}  // namespace cfs

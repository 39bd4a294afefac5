// SPDX-License-Identifier: Apache-2.0
/// Task<T>: a lazy coroutine that yields one T.
///
/// Purpose  The return type of every asynchronous function of the daemon.
/// Lifetime Owned by whoever co_awaits it or by Loop::spawn(); destroying an unfinished task
/// destroys
///          its frame, so never destroy one that waits for the kernel.
/// Threads  Starts, resumes and ends on the loop thread that awaits it.
/// Failure  Exceptions terminate: errors are Result<T>.
/// Deadline A task that is told until() when it must be done hands that down to whatever it awaits,
///          however many steps that has. The steps that wait for others ask for it by
///          this_deadline(); nothing is cancelled. What must be done all the same asks for more time by
///          grant_until().
/// Request  A task that works on_behalf_of() a request hands that down in the same way; this_request()
///          tells probes which one it is.
/// Note     Take parameters by value (or references to objects that outlive the task); lambdas that
/// are
///          coroutines must not capture.
#pragma once

#include <coroutine>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <type_traits>
#include <utility>

#include "daemon/base/frame_pool.h"

namespace cfs {

template <typename T>
class Task;

namespace detail {

/// Resumes the awaiting coroutine when a task ends, without growing the stack.
struct FinalAwaiter {
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <typename P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) const noexcept {
    std::coroutine_handle<> next = h.promise().continuation;
    return next ? next : std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

struct PromiseBase {
  std::coroutine_handle<> continuation;
  std::int64_t deadline_ms = 0;  ///< Loop::now_ms() clock; 0: none
  std::uint64_t request = 0;     ///< id of the kernel's request; 0: none
  void limit(std::int64_t ms) noexcept {
    if (ms != 0 && (deadline_ms == 0 || ms < deadline_ms)) deadline_ms = ms;
  }
  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] FinalAwaiter final_suspend() const noexcept { return {}; }
  [[noreturn]] void unhandled_exception() const noexcept { std::abort(); }
  static void* operator new(std::size_t bytes) { return FramePool::take(bytes); }
  static void operator delete(void* frame, std::size_t bytes) { FramePool::give(frame, bytes); }
};

/// Reads a member of the promise of the coroutine that awaits it, and does not suspend it.
template <auto Member>
class PromiseQuery {
 public:
  using Value = std::remove_cvref_t<decltype(std::declval<PromiseBase>().*Member)>;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <typename P>
  bool await_suspend(std::coroutine_handle<P> h) noexcept {
    value_ = h.promise().*Member;
    return false;
  }
  [[nodiscard]] Value await_resume() const noexcept { return value_; }

 private:
  Value value_ = 0;
};

/// Gives the coroutine that awaits it until then, even when its time is over.
class DeadlineGrant {
 public:
  explicit DeadlineGrant(std::int64_t deadline_ms) : deadline_ms_(deadline_ms) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <typename P>
  bool await_suspend(std::coroutine_handle<P> h) const noexcept {
    std::int64_t& own = h.promise().deadline_ms;
    if (own != 0 && own < deadline_ms_) own = deadline_ms_;
    return false;
  }
  void await_resume() const noexcept {}

 private:
  std::int64_t deadline_ms_;
};

/// Lets `child` run for `caller`, which may be no task.
template <typename P>
void attach(PromiseBase& child, std::coroutine_handle<P> caller) noexcept {
  child.continuation = caller;
  if constexpr (std::is_base_of_v<PromiseBase, P>) {
    child.limit(caller.promise().deadline_ms);
    if (child.request == 0) child.request = caller.promise().request;
  }
}

}  // namespace detail

/// `co_await this_deadline()`: when the task that asks must be done, 0 when it has time.
[[nodiscard]] inline detail::PromiseQuery<&detail::PromiseBase::deadline_ms> this_deadline() {
  return {};
}

/// `co_await this_request()`: id of the request that the task that asks works for, 0 for none.
[[nodiscard]] inline detail::PromiseQuery<&detail::PromiseBase::request> this_request() {
  return {};
}

/// `co_await grant_until(ms)`: this task and what it awaits from here on may take until then.
[[nodiscard]] inline detail::DeadlineGrant grant_until(std::int64_t deadline_ms) {
  return detail::DeadlineGrant(deadline_ms);
}

template <typename T>
class [[nodiscard]] Task {
 public:
  struct promise_type : detail::PromiseBase {
    std::optional<T> value;
    Task get_return_object() { return Task(Handle::from_promise(*this)); }
    template <typename U>
    void return_value(U&& v) {
      value.emplace(std::forward<U>(v));
    }
  };
  using Handle = std::coroutine_handle<promise_type>;

  Task(Task&& o) noexcept : h_(std::exchange(o.h_, nullptr)) {}
  Task& operator=(Task&& o) noexcept {
    std::swap(h_, o.h_);
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (h_) h_.destroy();
  }
  /// Before it is awaited: it must be done by then (Loop::now_ms() clock, 0: no matter).
  Task until(std::int64_t deadline_ms) && {
    h_.promise().limit(deadline_ms);
    return std::move(*this);
  }
  /// Before it is awaited: it works for a request of the kernel.
  Task on_behalf_of(std::uint64_t request) && {
    h_.promise().request = request;
    return std::move(*this);
  }

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <typename P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> caller) noexcept {
    detail::attach(h_.promise(), caller);
    return h_;
  }
  T await_resume() { return std::move(*h_.promise().value); }

 private:
  explicit Task(Handle h) : h_(h) {}
  Handle h_;
};

template <>
class [[nodiscard]] Task<void> {
 public:
  struct promise_type : detail::PromiseBase {
    Task get_return_object() { return Task(Handle::from_promise(*this)); }
    void return_void() const noexcept {}
  };
  using Handle = std::coroutine_handle<promise_type>;

  Task(Task&& o) noexcept : h_(std::exchange(o.h_, nullptr)) {}
  Task& operator=(Task&& o) noexcept {
    std::swap(h_, o.h_);
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (h_) h_.destroy();
  }
  /// Before it is awaited: it must be done by then (Loop::now_ms() clock, 0: no matter).
  Task until(std::int64_t deadline_ms) && {
    h_.promise().limit(deadline_ms);
    return std::move(*this);
  }
  /// Before it is awaited: it works for a request of the kernel.
  Task on_behalf_of(std::uint64_t request) && {
    h_.promise().request = request;
    return std::move(*this);
  }

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <typename P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> caller) noexcept {
    detail::attach(h_.promise(), caller);
    return h_;
  }
  void await_resume() const noexcept {}

 private:
  explicit Task(Handle h) : h_(h) {}
  Handle h_;
};

}  // namespace cfs

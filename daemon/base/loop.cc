// SPDX-License-Identifier: Apache-2.0
/// Loop: scheduling, timers, posting, offloading; the kernel side is in loop_uring.cc and
/// loop_poll.cc.
///
/// Purpose  See loop.h.
/// Threads  `current` names the Impl that runs on this thread: Event and AsyncMutex wake through
/// it,
///          so that no coroutine is resumed inside another one's set() or unlock().
#include "daemon/base/loop.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "daemon/base/loop_impl.h"

namespace cfs {
namespace {

thread_local void* current = nullptr;  // Loop::Impl of this thread while run() is active

bool poll_forced() {
  const char* wanted = std::getenv("CFS_LOOP");
  return wanted != nullptr && std::strcmp(wanted, "poll") == 0;
}

}  // namespace

/// Coroutine that owns itself: the frame of a spawned root task.
struct Loop::Detached {
  struct promise_type {
    static void* operator new(std::size_t bytes) { return FramePool::take(bytes); }
    static void operator delete(void* frame, std::size_t bytes) { FramePool::give(frame, bytes); }
    Detached get_return_object() {
      return Detached{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::abort(); }
  };
  std::coroutine_handle<> handle;
};

// ---------------------------------------------------------------- Impl

Loop::Impl::~Impl() {
  pool.reset();  // its threads post
  if (wake_fd >= 0) ::close(wake_fd);
}

void Loop::Impl::post(std::function<void()> fn) {
  {
    const std::lock_guard lock(mutex);
    posted.push_back(std::move(fn));
  }
  const std::uint64_t one = 1;
  // a full counter means the loop is awake anyway
  [[maybe_unused]] const ssize_t n = ::write(wake_fd, &one, sizeof(one));
}

void Loop::Impl::run_posted() {
  std::vector<std::function<void()>> batch;
  {
    const std::lock_guard lock(mutex);
    batch.swap(posted);
  }
  for (auto& fn : batch) fn();
}

/// What becomes ready meanwhile too, but after some rounds the kernel is asked between.
void Loop::Impl::run_ready() {
  constexpr int kRounds = 8;
  for (int i = 0; i < kRounds && !ready.empty(); ++i) {
    batch.swap(ready);
    for (const std::coroutine_handle<> h : batch) h.resume();
    batch.clear();
  }
}

void Loop::Impl::wake_sleepers(std::int64_t now) {
  while (!sleepers.empty() && sleepers.begin()->first <= now) {
    ready.push_back(sleepers.begin()->second->waiter);
    sleepers.erase(sleepers.begin());
  }
}

void Loop::Impl::cancel_sleepers() {
  for (auto& [when, sleeper] : sleepers) {
    sleeper->result = -ECANCELED;
    ready.push_back(sleeper->waiter);
  }
  sleepers.clear();
}

std::int64_t Loop::Impl::wait_ms() {
  if (!ready.empty()) return 0;
  if (sleepers.empty()) return -1;
  return std::max<std::int64_t>(0, sleepers.begin()->first - now_ms());
}

bool Loop::Sleeper::await_suspend(std::coroutine_handle<> h) {
  if (impl.stopping) {
    result = -ECANCELED;
    return false;
  }
  waiter = h;
  impl.sleepers.emplace(until_ms, this);
  return true;
}

// ---------------------------------------------------------------- offload

Loop::OffloadPool::~OffloadPool() {
  {
    const std::lock_guard lock(mutex_);
    quit_ = true;
  }
  wake_.notify_all();
  for (std::thread& t : threads_) t.join();
}

void Loop::OffloadPool::push(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  if (idle_ < jobs_.size() && threads_.size() < kMax) {
    threads_.emplace_back([this] { work(); });
  }
  wake_.notify_one();
}

void Loop::OffloadPool::work() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    wake_.wait(lock, [this] { return quit_ || !jobs_.empty(); });
    --idle_;
    if (jobs_.empty()) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it owns dies outside the lock
    lock.lock();
  }
}

/// Awaits a function that runs on the pool; the pool posts the waiter back.
struct Loop::Offload {
  Impl& impl;
  std::function<void()> fn;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    // `this` lives in the suspended frame until the posted resume runs
    impl.pool->push([this, h] {
      fn();
      impl.post([h] { h.resume(); });
    });
  }
  void await_resume() const noexcept {}
};

Task<void> Loop::offload(std::function<void()> fn) {
  Offload job{*impl_, std::move(fn)};
  co_await job;
}

// ---------------------------------------------------------------- Loop

Loop::Loop(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Loop::~Loop() = default;

Result<std::unique_ptr<Loop>> Loop::create(unsigned entries) {
  auto impl = std::make_unique<Impl>();
  impl->wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (impl->wake_fd < 0) return errno_error("eventfd");
  if (poll_forced()) {
    impl->backend = Backend::make_poll(impl->wake_fd);
    return std::unique_ptr<Loop>(new Loop(std::move(impl)));
  }
  auto uring = Backend::make_uring(entries, impl->wake_fd);
  if (uring.ok()) {
    impl->backend = std::move(uring).value();
  } else {
    spdlog::warn("io_uring is not available here ({}): using poll; the kernel channel needs it",
                 uring.error().text());
    impl->backend = Backend::make_poll(impl->wake_fd);
  }
  return std::unique_ptr<Loop>(new Loop(std::move(impl)));
}

bool Loop::has_uring() const {
  return impl_->backend->is_uring();
}

void Loop::run() {
  void* const outer = std::exchange(current, impl_.get());
  FramePool* const outer_frames = FramePool::use(&impl_->frames);
  for (;;) {
    impl_->run_posted();
    impl_->wake_sleepers(now_ms());
    impl_->run_ready();
    if (stopping_ && impl_->roots == 0) break;
    impl_->backend->wait(impl_->wait_ms(), impl_->ready);
  }
  FramePool::use(outer_frames);
  current = outer;
}

void Loop::stop() {
  impl_->post([this] {
    stopping_ = true;
    impl_->stopping = true;
    impl_->cancel_sleepers();
  });
}

void Loop::post(std::function<void()> fn) {
  impl_->post(std::move(fn));
}

Loop::Detached Loop::run_root(Impl* impl, Task<void> task) {
  co_await task;
  --impl->roots;
}

void Loop::spawn(Task<void> task) {
  ++impl_->roots;
  impl_->ready.push_back(run_root(impl_.get(), std::move(task)).handle);
}

void Loop::schedule(std::coroutine_handle<> h) {
  if (current == nullptr) {
    h.resume();
    return;
  }
  static_cast<Impl*>(current)->ready.push_back(h);
}

std::int64_t Loop::now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

Task<int> Loop::sleep(Millis time) {
  Sleeper sleeper{*impl_, now_ms() + std::max<std::int64_t>(0, time.count()), 0, {}};
  const int result = co_await sleeper;
  co_return result;
}

// ---------------------------------------------------------------- operations

void Loop::Op::await_suspend(std::coroutine_handle<> h) {
  waiter_ = h;
  loop_->impl_->backend->start(*this);
}

Loop::Op Loop::make_op(Op::Kind kind, int fd, const void* p, std::size_t n, Millis timeout) const {
  Op op;
  op.loop_ = const_cast<Loop*>(this);
  op.kind_ = kind;
  op.fd_ = fd;
  op.p_ = p;
  op.n_ = n;
  if (timeout.count() > 0) op.deadline_ms_ = now_ms() + timeout.count();
  return op;
}

Loop::Op Loop::recv(int fd, void* buf, std::size_t len, Millis timeout) {
  return make_op(Op::Kind::kRecv, fd, buf, len, timeout);
}

Loop::Op Loop::send(int fd, const void* buf, std::size_t len, Millis timeout) {
  return make_op(Op::Kind::kSend, fd, buf, len, timeout);
}

Loop::Op Loop::connect(int fd, const sockaddr* addr, socklen_t len, Millis timeout) {
  return make_op(Op::Kind::kConnect, fd, addr, len, timeout);
}

Loop::Op Loop::accept(int fd) {
  return make_op(Op::Kind::kAccept, fd, nullptr, 0, Millis(0));
}

Loop::Op Loop::poll(int fd, std::uint32_t events, Millis timeout) {
  Op op = make_op(Op::Kind::kPoll, fd, nullptr, 0, timeout);
  op.op_ = events;
  return op;
}

Loop::Op Loop::read(int fd, void* buf, std::size_t len) {
  return make_op(Op::Kind::kRead, fd, buf, len, Millis(0));
}

Loop::Op Loop::command(int fd, std::uint32_t cmd_op, const void* payload, std::size_t len) {
  Op op = make_op(Op::Kind::kCommand, fd, payload, len, Millis(0));
  op.op_ = cmd_op;
  return op;
}

void Loop::Backend::finish(Op& op, int res, Ready& ready) {
  op.res_ = res;
  ready.push_back(op.waiter_);
}

void Loop::Backend::drain(int wake_fd) {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(wake_fd, &count, sizeof(count));
}

// ---------------------------------------------------------------- Event, AsyncMutex

void Event::set() {
  set_ = true;
  std::vector<std::coroutine_handle<>> batch;
  batch.swap(waiters_);
  for (const std::coroutine_handle<> h : batch) Loop::schedule(h);
}

bool AsyncMutex::Wait::await_ready() const noexcept {
  return !std::exchange(m.locked_, true);
}

void AsyncMutex::Wait::await_suspend(std::coroutine_handle<> h) {
  m.waiters_.push_back(h);
}

void AsyncMutex::unlock() {
  if (waiters_.empty()) {
    locked_ = false;
    return;
  }
  const std::coroutine_handle<> next = waiters_.front();
  waiters_.erase(waiters_.begin());
  Loop::schedule(next);
}

}  // namespace cfs

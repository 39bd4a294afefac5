// SPDX-License-Identifier: Apache-2.0
/// If this fails, nothing of the daemon can be trusted to wake up: operations, timeouts, timers,
/// posting, offloading and the clean stop of both loop backends.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <thread>

#include "daemon/base/loop.h"
#include "daemon/base/when_all.h"

namespace cfs {
namespace {

class LoopTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ::setenv("CFS_LOOP", GetParam(), 1);
    auto made = Loop::create(64);
    ::unsetenv("CFS_LOOP");
    ASSERT_TRUE(made.ok()) << made.error().text();
    loop_ = std::move(made).value();
    if (std::string(GetParam()) == "uring" && !loop_->has_uring()) {
      GTEST_SKIP() << "this kernel refuses io_uring";
    }
    ASSERT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair_.data()));
  }
  void TearDown() override {
    for (const int fd : pair_) {
      if (fd >= 0) ::close(fd);
    }
  }
  std::unique_ptr<Loop> loop_;
  std::array<int, 2> pair_{-1, -1};
};

Task<void> echo_once(Loop& loop, int fd) {
  char buf[16];
  const int n = co_await loop.recv(fd, buf, sizeof(buf));
  EXPECT_EQ(5, n);
  const int sent = co_await loop.send(fd, buf, static_cast<std::size_t>(n));
  EXPECT_EQ(5, sent);
}

Task<void> ask_once(Loop& loop, int fd, std::string& answer) {
  const int sent = co_await loop.send(fd, "hello", 5, Millis(1000));
  EXPECT_EQ(5, sent);
  char buf[16];
  const int n = co_await loop.recv(fd, buf, sizeof(buf), Millis(1000));
  if (n > 0) answer.assign(buf, static_cast<std::size_t>(n));
  loop.stop();
}

TEST_P(LoopTest, SendAndReceive) {
  std::string answer;
  loop_->spawn(echo_once(*loop_, pair_[0]));
  loop_->spawn(ask_once(*loop_, pair_[1], answer));
  loop_->run();
  EXPECT_EQ("hello", answer);
}

Task<void> time_out(Loop& loop, int fd, int& recv_res, int& poll_res) {
  char byte = 0;
  recv_res = co_await loop.recv(fd, &byte, 1, Millis(20));
  poll_res = co_await loop.poll(fd, POLLIN, Millis(20));
  loop.stop();
}

TEST_P(LoopTest, TimeoutYieldsEtime) {
  int recv_res = 0;
  int poll_res = 0;
  loop_->spawn(time_out(*loop_, pair_[0], recv_res, poll_res));
  const std::int64_t begin = Loop::now_ms();
  loop_->run();
  EXPECT_EQ(-ETIME, recv_res);
  EXPECT_EQ(-ETIME, poll_res);
  EXPECT_GE(Loop::now_ms() - begin, 38);
}

Task<void> sleep_into(Loop& loop, int ms, std::vector<int>& order) {
  const int res = co_await loop.sleep(Millis(ms));
  order.push_back(res == 0 ? ms : res);
}

Task<void> stop_after(Loop& loop, int ms) {
  (void)co_await loop.sleep(Millis(ms));
  loop.stop();
}

TEST_P(LoopTest, SleepersWakeInOrderAndAreCancelledByStop) {
  std::vector<int> order;
  loop_->spawn(sleep_into(*loop_, 100000, order));
  loop_->spawn(sleep_into(*loop_, 20, order));
  loop_->spawn(sleep_into(*loop_, 5, order));
  loop_->spawn(stop_after(*loop_, 40));
  loop_->run();
  EXPECT_EQ((std::vector<int>{5, 20, -ECANCELED}), order);
}

TEST_P(LoopTest, PostAndStopFromAnotherThread) {
  bool ran = false;
  std::thread::id where;
  std::thread other([&] {
    loop_->post([&] {
      ran = true;
      where = std::this_thread::get_id();
    });
    loop_->stop();
  });
  loop_->run();
  other.join();
  EXPECT_TRUE(ran);
  EXPECT_EQ(std::this_thread::get_id(), where);
}

Task<void> offload_one(Loop& loop, int& running, int& most, std::thread::id& where) {
  ++running;
  most = std::max(most, running);
  co_await loop.offload([] { std::this_thread::sleep_for(Millis(20)); });
  where = std::this_thread::get_id();
  if (--running == 0) loop.stop();
}

TEST_P(LoopTest, OffloadRunsSideBySideAndResumesOnTheLoop) {
  int running = 0;
  int most = 0;
  std::thread::id where;
  for (int i = 0; i < 12; ++i) loop_->spawn(offload_one(*loop_, running, most, where));
  const std::int64_t begin = Loop::now_ms();
  loop_->run();
  EXPECT_EQ(12, most);
  EXPECT_EQ(std::this_thread::get_id(), where);
  EXPECT_LT(Loop::now_ms() - begin, 12 * 20);
}

Task<void> hold(Loop& loop, AsyncMutex& mutex, int id, std::vector<int>& order) {
  AsyncMutex::Lock lock = co_await mutex.lock();
  order.push_back(id);
  (void)co_await loop.sleep(Millis(2));
  order.push_back(id);
  if (id == 2) loop.stop();
}

TEST_P(LoopTest, AsyncMutexIsFifoAndExclusive) {
  AsyncMutex mutex;
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) loop_->spawn(hold(*loop_, mutex, i, order));
  loop_->run();
  EXPECT_EQ((std::vector<int>{0, 0, 1, 1, 2, 2}), order);
}

Task<void> wait_event(Event& event, int& woken) {
  co_await event.wait();
  ++woken;
}

Task<void> set_event(Loop& loop, Event& event, int& woken) {
  (void)co_await loop.sleep(Millis(2));
  event.set();
  EXPECT_EQ(0, woken);  // waiters run from the loop, not inside set()
  co_await event.wait();
  loop.stop();
}

TEST_P(LoopTest, EventWakesEveryWaiter) {
  Event event;
  int woken = 0;
  for (int i = 0; i < 3; ++i) loop_->spawn(wait_event(event, woken));
  loop_->spawn(set_event(*loop_, event, woken));
  loop_->run();
  EXPECT_EQ(3, woken);
}

Task<void> accept_one(Loop& loop, int fd, int& got) {
  got = co_await loop.accept(fd);
}

Task<void> connect_to(Loop& loop, sockaddr_in addr, int& ok, int& refused) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ok = co_await loop.connect(fd, reinterpret_cast<sockaddr*>(&addr), sizeof(addr), Millis(1000));
  const int bad = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  addr.sin_port = htons(1);
  refused =
      co_await loop.connect(bad, reinterpret_cast<sockaddr*>(&addr), sizeof(addr), Millis(1000));
  ::close(fd);
  ::close(bad);
  loop.stop();
}

/// Wakes itself as long as it is not told to end.
Task<void> always_ready(Loop& loop, const bool& end) {
  while (!end) {
    Event now;
    loop.spawn([](Event* e) -> Task<void> {
      e->set();
      co_return;
    }(&now));
    co_await now.wait();
  }
}

Task<void> end_when_read(Loop& loop, int fd, bool& end) {
  char byte = 0;
  const int n = co_await loop.recv(fd, &byte, 1);
  EXPECT_EQ(1, n);
  end = true;
  loop.stop();
}

TEST_P(LoopTest, TasksThatAreAlwaysReadyDoNotKeepTheOthersOut) {
  bool end = false;
  loop_->spawn(always_ready(*loop_, end));
  loop_->spawn(end_when_read(*loop_, pair_[0], end));
  std::thread other([&] { EXPECT_EQ(1, ::write(pair_[1], "x", 1)); });
  loop_->run();
  other.join();
}

/// A frame is taken again, by the size it has; without a pool, and when there are enough, the heap has it.
TEST(FramePool, KeepsFramesWhileInUse) {
  FramePool pool;
  FramePool* const before = FramePool::use(&pool);
  EXPECT_EQ(nullptr, before);
  void* const first = FramePool::take(200);
  FramePool::give(first, 200);
  void* const other_size = FramePool::take(300);
  void* const again = FramePool::take(256);
#ifndef __SANITIZE_ADDRESS__
  EXPECT_EQ(first, again);
#endif
  EXPECT_NE(first, other_size);
  std::vector<void*> many;
  for (int i = 0; i < 1000; ++i) many.push_back(FramePool::take(5000 - i));
  std::thread elsewhere([&] {
    for (int i = 0; i < 500; ++i)
      FramePool::give(many[static_cast<std::size_t>(i)], static_cast<std::size_t>(5000 - i));
  });
  elsewhere.join();
  for (int i = 500; i < 1000; ++i)
    FramePool::give(many[static_cast<std::size_t>(i)], static_cast<std::size_t>(5000 - i));
  FramePool::give(other_size, 300);
  EXPECT_EQ(&pool, FramePool::use(before));
  FramePool::give(again, 256);
}

TEST_P(LoopTest, ConnectAndAccept) {
  sockaddr_in addr{};
  addr.sin_family = AF_INET;
  addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof(addr);
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(0, ::bind(server, reinterpret_cast<sockaddr*>(&addr), len));
  ASSERT_EQ(0, ::listen(server, 4));
  ASSERT_EQ(0, ::getsockname(server, reinterpret_cast<sockaddr*>(&addr), &len));
  int got = -1;
  int ok = -1;
  int refused = 0;
  loop_->spawn(accept_one(*loop_, server, got));
  loop_->spawn(connect_to(*loop_, addr, ok, refused));
  loop_->run();
  EXPECT_GE(got, 0);
  EXPECT_EQ(0, ok);
  EXPECT_EQ(-ECONNREFUSED, refused);
  ::close(got);
  ::close(server);
}

Task<void> wait_for_peer(Loop& loop, int fd, int& res) {
  char byte = 0;
  res = co_await loop.recv(fd, &byte, 1);
}

Task<void> shut(Loop& loop, int fd) {
  (void)co_await loop.sleep(Millis(5));
  loop.stop();
  (void)co_await loop.sleep(Millis(5));
  ::shutdown(fd, SHUT_RDWR);
}

TEST_P(LoopTest, RunReturnsOnlyWhenTheLastTaskEnded) {
  int res = -1;
  loop_->spawn(wait_for_peer(*loop_, pair_[0], res));
  loop_->spawn(shut(*loop_, pair_[0]));
  loop_->run();
  EXPECT_EQ(0, res);
}

Task<void> ping_pong(Loop& loop, int fd, bool first, int rounds, int& done) {
  std::uint32_t value = 0;
  for (int i = 0; i < rounds; ++i) {
    if (first || i > 0) {
      const int sent = co_await loop.send(fd, &value, sizeof(value), Millis(5000));
      EXPECT_EQ(4, sent);
    }
    const int n = co_await loop.recv(fd, &value, sizeof(value), Millis(5000));
    if (n <= 0) break;
    ++value;
  }
  ::shutdown(fd, SHUT_RDWR);
  if (++done == 400) loop.stop();
}

TEST_P(LoopTest, MoreTimedOperationsThanQueueEntries) {
  int done = 0;
  std::vector<std::array<int, 2>> pairs(200);
  for (auto& p : pairs) {
    ASSERT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p.data()));
    loop_->spawn(ping_pong(*loop_, p[0], true, 50, done));
    loop_->spawn(ping_pong(*loop_, p[1], false, 50, done));
  }
  loop_->run();
  EXPECT_EQ(400, done);
  for (auto& p : pairs) {
    ::close(p[0]);
    ::close(p[1]);
  }
}

Task<void> read_file(Loop& loop, int fd, int& n, int& refused) {
  char buf[8];
  n = co_await loop.read(fd, buf, sizeof(buf));
  refused = co_await loop.command(fd, 1, buf, sizeof(buf));
  loop.stop();
}

TEST_P(LoopTest, ReadsFilesAndRefusesCommandsOfOrdinaryFiles) {
  const int fd = ::open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  int n = 0;
  int refused = 0;
  loop_->spawn(read_file(*loop_, fd, n, refused));
  loop_->run();
  EXPECT_GT(n, 0);
  EXPECT_LT(refused, 0);
  ::close(fd);
}

// ---------------------------------------------------------------- deadlines

Task<std::int64_t> deadline_below(int depth) {
  if (depth == 0) {
    const std::int64_t ms = co_await this_deadline();
    co_return ms;
  }
  const std::int64_t ms = co_await deadline_below(depth - 1);
  co_return ms;
}

/// Own deadline, that of a child side by side with others, that of a child with an earlier one, with a later one, and
/// after more time was granted.
Task<std::vector<std::int64_t>> deadlines(Loop& loop) {
  std::vector<std::int64_t> seen;
  const std::int64_t own = co_await this_deadline();
  seen.push_back(own);
  std::vector<Task<std::int64_t>> parts;
  parts.push_back(deadline_below(2));
  parts.push_back(deadline_below(0));
  for (const std::int64_t ms : co_await when_all<std::int64_t>(loop, std::move(parts)))
    seen.push_back(ms);
  const std::int64_t earlier = co_await deadline_below(1).until(own - 10);
  seen.push_back(earlier);
  const std::int64_t later = co_await deadline_below(1).until(own + 10);
  seen.push_back(later);
  co_await grant_until(own + 500);
  const std::int64_t granted = co_await deadline_below(1);
  seen.push_back(granted);
  co_return seen;
}

Task<void> note_deadlines(Loop& loop, std::vector<std::int64_t>* with,
                          std::vector<std::int64_t>* without) {
  *with = co_await deadlines(loop).until(1000);
  *without = co_await deadlines(loop);
  loop.stop();
}

TEST_P(LoopTest, DeadlinesGoDownToEveryTask) {
  std::vector<std::int64_t> with, without;
  loop_->spawn(note_deadlines(*loop_, &with, &without));
  loop_->run();
  EXPECT_EQ((std::vector<std::int64_t>{1000, 1000, 1000, 990, 1000, 1500}), with);
  EXPECT_EQ((std::vector<std::int64_t>{0, 0, 0, -10, 10, 0}), without)
      << "0: none, granting changes nothing";
}

INSTANTIATE_TEST_SUITE_P(Backends, LoopTest, ::testing::Values("uring", "poll"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// If this fails, a path that was broken is noticed only when old connections time out, or a slow server is taken for one
/// that cannot be reached; or changes of the network are overlooked.
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cstring>

#include "daemon/base/link_watch.h"
#include "daemon/base/path_probe.h"
#include "tests/peer.h"

namespace cfs {
namespace {

using test::Peer;

struct PathProbeTest : testing::Test {
  std::unique_ptr<Loop> loop = std::move(Loop::create()).value();
  Peer peer;
  int back = 0, lost = 0;
  std::int64_t since = 0;
  std::unique_ptr<PathProbe> probe = std::make_unique<PathProbe>(
      *loop, peer.at,
      PathProbe::Callbacks{[this](std::int64_t s) { ++back, since = s; },
                           [this](std::int64_t) { ++lost; }});

  /// Run the loop for a while, with `then` called at that time.
  void run_for(std::int64_t ms) {
    loop->spawn(stop_after(loop.get(), ms));
    loop->run();
  }
  static Task<void> stop_after(Loop* loop, std::int64_t ms) {
    (void)co_await loop->sleep(Millis(ms));
    loop->stop();
  }
  static Task<void> hear_after(Loop* loop, Peer* peer, std::int64_t ms) {
    (void)co_await loop->sleep(Millis(ms));
    peer->hear();
  }
};

TEST_F(PathProbeTest, AHostThatAnswersIsNotBroken) {
  probe->suspect();
  run_for(600);
  EXPECT_EQ(0, back);
  EXPECT_EQ(0, lost);
  EXPECT_FALSE(probe->broken());
}

TEST_F(PathProbeTest, ARefusedDialIsAnAnswer) {
  Endpoint nobody;
  {
    const Peer gone;
    nobody = gone.at;
  }
  PathProbe refused(*loop, nobody, PathProbe::Callbacks{[this](std::int64_t) { ++back; }, {}});
  refused.suspect();
  run_for(600);
  EXPECT_FALSE(refused.broken());
}

TEST_F(PathProbeTest, BrokenThenBack) {
  peer.deafen();
  const std::int64_t begin = Loop::now_ms();
  probe->suspect();
  loop->spawn(hear_after(loop.get(), &peer, 800));
  run_for(2500);
  EXPECT_EQ(1, back);
  EXPECT_EQ(0, lost);
  EXPECT_GE(since, begin);
  EXPECT_LT(since, begin + 500);
  EXPECT_FALSE(probe->broken());
}

struct DialTest : PathProbeTest {
  Result<Fd> made = make_error(EIO, {});
  std::int64_t took = -1;

  static Task<void> dial_and_stop(DialTest* t, Endpoint to, std::int64_t limit_ms) {
    const std::int64_t begin = Loop::now_ms();
    t->made = co_await dial(*t->loop, to, Millis(5000), begin + limit_ms);
    t->took = Loop::now_ms() - begin;
    t->loop->stop();
  }
  void dial_for(Endpoint to, std::int64_t limit_ms) {
    loop->spawn(dial_and_stop(this, to, limit_ms));
    loop->run();
  }
};

TEST_F(DialTest, AnAnswerIsNotWaitedForWhenThereIsOne) {
  dial_for(peer.at, 2000);
  EXPECT_TRUE(made.ok());
}

/// TCP itself would send its SYN again 1, 3 and 7 s after the first.
TEST_F(DialTest, APeerThatIsBackIsFoundByAFreshDial) {
  peer.deafen();
  loop->spawn(hear_after(loop.get(), &peer, 1150));
  dial_for(peer.at, 4000);
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_GE(took, 1150);
  EXPECT_LT(took, 1150 + 600);
}

TEST_F(DialTest, SilenceEndsAtTheLimit) {
  peer.deafen();
  dial_for(peer.at, 500);
  EXPECT_EQ(ETIMEDOUT, made.code());
  EXPECT_GE(took, 500);
}

TEST_F(DialTest, ARefusalEndsIt) {
  Endpoint nobody;
  {
    const Peer gone;
    nobody = gone.at;
  }
  dial_for(nobody, 2000);
  EXPECT_EQ(ECONNREFUSED, made.code());
}

TEST_F(PathProbeTest, LostIsToldOnce) {
  peer.deafen();
  probe->suspect();
  run_for(2600);
  EXPECT_EQ(0, back);
  EXPECT_EQ(1, lost);
  EXPECT_TRUE(probe->lost() || loop->stopping());
}

TEST_F(PathProbeTest, NoCallbackAfterItsEnd) {
  peer.deafen();
  probe->suspect();
  loop->spawn(hear_after(loop.get(), &peer, 600));
  probe.reset();
  run_for(1200);
  EXPECT_EQ(0, back);
}

// ---------------------------------------------------------------- links

std::string link_message(std::uint16_t type, unsigned flags) {
  struct {
    nlmsghdr head;
    ifinfomsg link;
  } m{};
  m.head.nlmsg_len = sizeof(m);
  m.head.nlmsg_type = type;
  m.link.ifi_flags = flags;
  return {reinterpret_cast<const char*>(&m), sizeof(m)};
}

TEST(LinkWatch, WhatIsBetter) {
  EXPECT_TRUE(LinkWatch::is_better(link_message(RTM_NEWLINK, IFF_UP | IFF_RUNNING)));
  EXPECT_FALSE(LinkWatch::is_better(link_message(RTM_NEWLINK, IFF_UP))) << "no carrier";
  EXPECT_FALSE(LinkWatch::is_better(link_message(RTM_DELLINK, IFF_RUNNING)));
  EXPECT_TRUE(LinkWatch::is_better(link_message(RTM_NEWADDR, 0)));
  EXPECT_TRUE(LinkWatch::is_better(link_message(RTM_NEWLINK, 0) + link_message(RTM_NEWROUTE, 0)));
}

TEST(LinkWatch, NonsenseIsNoNews) {
  EXPECT_FALSE(LinkWatch::is_better(""));
  EXPECT_FALSE(LinkWatch::is_better(std::string(15, '\x10')));
  std::string cut = link_message(RTM_NEWLINK, IFF_RUNNING);
  cut.resize(sizeof(nlmsghdr) + 2);
  EXPECT_FALSE(LinkWatch::is_better(cut));
  std::string tiny = link_message(RTM_NEWADDR, 0);
  tiny[0] = 1;  // a length below the header's
  EXPECT_FALSE(LinkWatch::is_better(tiny));
}

TEST(LinkWatch, TellsAndStops) {
  auto loop = std::move(Loop::create()).value();
  int pair[2];
  ASSERT_EQ(0, ::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
  const Fd other(pair[1]);
  int changes = 0;
  LinkWatch watch(*loop, Fd(pair[0]), [&] {
    ++changes;
    loop->stop();
  });
  const std::string news = link_message(RTM_NEWLINK, IFF_UP | IFF_RUNNING);
  ASSERT_EQ(static_cast<ssize_t>(news.size()), ::write(other.get(), news.data(), news.size()));
  loop->run();
  EXPECT_EQ(1, changes);
}

/// A real socket: stop() must end the task, or the daemon would never end.
TEST(LinkWatch, StopsWithoutNews) {
  auto loop = std::move(Loop::create()).value();
  Result<Fd> socket = LinkWatch::open();
  ASSERT_TRUE(socket.ok()) << socket.error().text();
  auto watch = std::make_unique<LinkWatch>(*loop, std::move(socket).value(), [] {});
  loop->post([&] {
    watch.reset();
    loop->stop();
  });
  loop->run();
}

}  // namespace
}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// If this fails, data nodes are dialled too often, never again, or all slots at once after a fault.
#include <gtest/gtest.h>

#include "daemon/kernel/connector.h"
#include "tests/unit/app_fakes.h"

namespace cfs {
namespace {

struct ConnectorTest : testing::Test {
  test::FakePort port;
  std::vector<std::int64_t> wakes;
  ConnectionCounts counts{{2, 2, 1}};
  Connector connector{port, counts, [this](Millis d) { wakes.push_back(d.count()); }};

  static constexpr std::uint32_t kClasses[] = {CFS_CONN_READ, CFS_CONN_APPEND, CFS_CONN_OVERWRITE};
  void bring_up(std::uint32_t node, std::uint32_t conn_class) {
    connector.need(node, conn_class, 0);
    connector.up(node, conn_class, 0, 1);
  }
  std::size_t dials() {
    const std::size_t n = port.dials.size();
    port.dials.clear();
    return n;
  }
};

TEST_F(ConnectorTest, NeedDialsEverySlotOfTheClassOnce) {
  connector.need(5, CFS_CONN_READ, 0);
  EXPECT_EQ(dials(), 2u);
  connector.need(5, CFS_CONN_READ, 100);
  EXPECT_EQ(dials(), 0u);
  connector.need(5, CFS_CONN_OVERWRITE, 100);
  EXPECT_EQ(dials(), 1u);
}

TEST_F(ConnectorTest, LostEventIsRepairedByTheNextNeed) {
  connector.need(5, CFS_CONN_READ, 0);
  EXPECT_EQ(dials(), 2u);
  connector.need(5, CFS_CONN_READ, Connector::kDialLimitMs + 1);
  EXPECT_EQ(dials(), 2u);
  connector.up(5, CFS_CONN_READ, 0, 4000);
  connector.up(5, CFS_CONN_READ, 1, 4000);
  connector.need(5, CFS_CONN_READ, 5000);  // the kernel has none: CONN_DOWN went to a dead daemon
  EXPECT_EQ(dials(), 2u);
}

TEST_F(ConnectorTest, BackOffGrowsWithJitterTo200MsAndAfterAMinuteTo1S) {
  std::int64_t now = 0;
  connector.need(5, CFS_CONN_OVERWRITE, now);
  std::int64_t full = Connector::kBackoffMinMs;
  for (int i = 0; now < 2 * Connector::kEagerMs; ++i) {
    dials();
    connector.down(5, CFS_CONN_OVERWRITE, 0, now);
    ASSERT_EQ(wakes.size(), static_cast<std::size_t>(i) + 1);
    const auto limit =
        now < Connector::kEagerMs ? Connector::kBackoffMaxMs : Connector::kBackoffLongMs;
    EXPECT_GE(wakes.back(), std::min(full, limit) / 2) << i;
    EXPECT_LE(wakes.back(), std::min(full, limit)) << i;
    connector.need(5, CFS_CONN_OVERWRITE, now);
    EXPECT_EQ(dials(), 0u) << "dialled inside the back-off";
    now += wakes.back();
    connector.run_due(now - 1);
    EXPECT_EQ(dials(), 0u);
    connector.run_due(now);
    EXPECT_EQ(dials(), 1u);
    full = std::min(full * 2, Connector::kBackoffLongMs);
  }
}

TEST_F(ConnectorTest, ANodeThatFailsHoldsBackItsOtherClasses) {
  connector.need(5, CFS_CONN_READ, 0);
  dials();
  connector.down(5, CFS_CONN_READ, 0, 10);
  connector.need(5, CFS_CONN_APPEND, 11);
  EXPECT_EQ(dials(), 0u);
  connector.need(6, CFS_CONN_APPEND, 11);
  EXPECT_EQ(dials(), 2u) << "another node is not concerned";
}

/// Six slots that each dial a dead host every 200 ms would be six times the noise for nothing.
TEST_F(ConnectorTest, SlotsOfAFailingNodeTakeTurns) {
  connector.need(5, CFS_CONN_READ, 0);
  connector.down(5, CFS_CONN_READ, 0, 10);
  connector.down(5, CFS_CONN_READ, 1, 10);
  connector.need(5, CFS_CONN_OVERWRITE, 11);
  dials();
  std::int64_t now = 11;
  std::map<std::pair<std::uint32_t, std::uint32_t>, int> turns;
  for (int i = 0; i < 12; ++i) {
    now += Connector::kBackoffMaxMs;
    connector.run_due(now);
    ASSERT_EQ(port.dials.size(), 1u) << i;
    const cfs_connect dial = port.dials.front();
    EXPECT_LE(dial.timeout_ms, Connector::kConnectTimeoutMs);
    ++turns[{dial.conn_class, dial.conn_slot}];
    dials();
    connector.down(5, dial.conn_class, dial.conn_slot, now);
  }
  EXPECT_EQ(turns.size(), 3u);
  for (const auto& [slot, n] : turns) EXPECT_EQ(n, 4) << slot.first << "/" << slot.second;
}

TEST_F(ConnectorTest, MostDialsToAFailingNodeAreShortSomeArePatient) {
  connector.need(5, CFS_CONN_OVERWRITE, 0);
  EXPECT_EQ(port.dials.back().timeout_ms, Connector::kConnectTimeoutMs);
  std::map<std::uint32_t, int> timeouts;
  for (std::int64_t now = 1000; now < 11'000; now += 1000) {
    connector.down(5, CFS_CONN_OVERWRITE, 0, now);
    connector.run_due(now + 999);
    ++timeouts[port.dials.back().timeout_ms];
  }
  EXPECT_EQ(timeouts[Connector::kRetryTimeoutMs], 8);
  EXPECT_EQ(timeouts[Connector::kConnectTimeoutMs], 2);
}

TEST_F(ConnectorTest, TheFirstSuccessBringsTheOthers) {
  connector.need(5, CFS_CONN_READ, 0);
  connector.down(5, CFS_CONN_READ, 0, 10);
  connector.down(5, CFS_CONN_READ, 1, 10);
  connector.need(5, CFS_CONN_OVERWRITE, 11);
  connector.run_due(300);
  dials();
  connector.up(5, CFS_CONN_READ, 0, 301);
  EXPECT_EQ(dials(), 2u);
}

TEST_F(ConnectorTest, ANetworkThatCameBackIsTriedAtOnce) {
  connector.need(5, CFS_CONN_OVERWRITE, 0);
  std::int64_t now = 0;
  while (now < 2 * Connector::kEagerMs) {
    connector.need(5, CFS_CONN_OVERWRITE, now);
    connector.down(5, CFS_CONN_OVERWRITE, 0, now);
    now += Connector::kBackoffLongMs;
    connector.run_due(now);
  }
  connector.down(5, CFS_CONN_OVERWRITE, 0, now);
  dials();
  connector.network_changed(now + 1);
  EXPECT_EQ(dials(), 1u);
  connector.down(5, CFS_CONN_OVERWRITE, 0, now + 2);
  EXPECT_LE(wakes.back(), 2 * Connector::kBackoffMinMs) << "the back-off begins anew";
}

TEST_F(ConnectorTest, WhatIsSilentOnAPathThatWasBrokenIsClosed) {
  for (const std::uint32_t c : kClasses) bring_up(5, c);
  connector.silent(5, CFS_CONN_READ, 0);
  connector.silent(5, CFS_CONN_OVERWRITE, 0);
  connector.path_back(5, 1000);
  ASSERT_EQ(port.closes.size(), 1u)
      << "appends were not silent, overwrites must not lose their reply";
  EXPECT_EQ(port.closes[0].conn_class, static_cast<std::uint32_t>(CFS_CONN_READ));
  EXPECT_EQ(port.closes[0].timeout_ms, Connector::kSilentMs) << "only if it is silent still";
  EXPECT_EQ(port.closes[0].flags, 0u) << "the node can be reached: nothing speaks against it";
  connector.path_back(5, 1001);
  EXPECT_EQ(port.closes.size(), 1u);
}

TEST_F(ConnectorTest, WhatIsSilentOnALostPathIsClosedAndNotDialled) {
  for (const std::uint32_t c : kClasses) {
    bring_up(5, c);
    connector.silent(5, c, 0);
  }
  bring_up(6, CFS_CONN_READ);
  connector.silent(6, CFS_CONN_READ, 0);
  dials();
  connector.path_lost(5);
  ASSERT_EQ(port.closes.size(), 2u) << "overwrites must not lose their reply";
  EXPECT_EQ(port.closes[0].conn_class, static_cast<std::uint32_t>(CFS_CONN_READ));
  EXPECT_EQ(port.closes[1].conn_class, static_cast<std::uint32_t>(CFS_CONN_APPEND));
  EXPECT_EQ(port.closes[1].node, 5u);
  EXPECT_EQ(port.closes[1].flags, CFS_CLOSE_LOST) << "it is avoided";
  EXPECT_EQ(dials(), 0u);
}

TEST_F(ConnectorTest, OfAHostThatIsLostAloneOverwritesAreClosedToo) {
  for (const std::uint32_t c : kClasses) bring_up(5, c);
  bring_up(6, CFS_CONN_OVERWRITE);
  connector.silent(5, CFS_CONN_OVERWRITE, 0);
  connector.silent(6, CFS_CONN_OVERWRITE, 0);
  connector.path_lost(5);
  EXPECT_TRUE(port.closes.empty());
  connector.host_lost(5);
  connector.host_lost(5);
  ASSERT_EQ(port.closes.size(), 1u) << "the others were not silent";
  EXPECT_EQ(port.closes[0].node, 5u);
  EXPECT_EQ(port.closes[0].conn_class, static_cast<std::uint32_t>(CFS_CONN_OVERWRITE));
  EXPECT_EQ(port.closes[0].timeout_ms, Connector::kSilentMs) << "only if it is silent still";
}

TEST_F(ConnectorTest, WhatAFormerDaemonOrderedIsClosedWhenSilent) {
  connector.silent(5, CFS_CONN_READ, 1);
  connector.path_lost(5);
  ASSERT_EQ(port.closes.size(), 1u);
  EXPECT_EQ(port.closes[0].conn_slot, 1u);
}

TEST_F(ConnectorTest, BrokenConnectionComesBackWhileWanted) {
  connector.need(5, CFS_CONN_OVERWRITE, 0);
  connector.up(5, CFS_CONN_OVERWRITE, 0, 5);
  dials();
  connector.down(5, CFS_CONN_OVERWRITE, 0, 200'000);
  connector.run_due(200'010);
  EXPECT_EQ(dials(), 1u);
}

TEST_F(ConnectorTest, OneOfTwoThatIsLostAfterALongTimeComesBack) {
  bring_up(5, CFS_CONN_READ);
  connector.up(5, CFS_CONN_READ, 1, 2);
  dials();
  const std::int64_t late = 10 * Connector::kUpWantedMs;
  connector.down(5, CFS_CONN_READ, 1, late);
  connector.run_due(late + 2 * Connector::kBackoffMinMs);
  EXPECT_EQ(dials(), 1u);
}

TEST_F(ConnectorTest, NobodyWantsItAnyMore) {
  connector.need(5, CFS_CONN_OVERWRITE, 0);
  dials();
  connector.down(5, CFS_CONN_OVERWRITE, 0, Connector::kWantedMs + 1);
  connector.run_due(Connector::kWantedMs + 5000);
  EXPECT_EQ(dials(), 0u);
  EXPECT_TRUE(wakes.empty());
}

TEST_F(ConnectorTest, RefusedOrderCountsAsFailure) {
  port.connect_error = ENOENT;
  connector.need(5, CFS_CONN_OVERWRITE, 0);
  EXPECT_EQ(connector.counts().waiting, 1u);
  port.connect_error = 0;
  connector.run_due(1000);
  EXPECT_EQ(connector.counts().dialing, 1u);
}

TEST_F(ConnectorTest, NonsenseFromTheKernelIsIgnored) {
  connector.need(5, 99, 0);
  connector.up(5, CFS_CONN_READ, CFS_CONN_SLOTS_MAX, 0);
  connector.down(5, 99, 0, 0);
  EXPECT_EQ(dials(), 0u);
  EXPECT_EQ(connector.counts().up, 0u);
}

TEST(ConnectionCounts, Parse) {
  const auto counts = ConnectionCounts::parse("append=4,read=8");
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->slots[CFS_CONN_READ], 8u);
  EXPECT_EQ(counts->slots[CFS_CONN_APPEND], 4u);
  EXPECT_EQ(counts->slots[CFS_CONN_OVERWRITE], 2u);
  EXPECT_TRUE(ConnectionCounts::parse(""));
  for (const char* bad : {"read", "read=0", "read=9", "reading=1", "read=2x", "=1"}) {
    EXPECT_FALSE(ConnectionCounts::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace cfs

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

TEST_F(ConnectorTest, BackOffGrowsTo1sWithJitter) {
  std::int64_t now = 0;
  connector.need(5, CFS_CONN_OVERWRITE, now);
  std::int64_t full = Connector::kBackoffMinMs;
  for (int i = 0; i < 12; ++i) {
    dials();
    connector.down(5, CFS_CONN_OVERWRITE, 0, now);
    ASSERT_EQ(wakes.size(), static_cast<std::size_t>(i) + 1);
    EXPECT_GE(wakes.back(), full / 2) << i;
    EXPECT_LE(wakes.back(), full) << i;
    connector.need(5, CFS_CONN_OVERWRITE, now);
    EXPECT_EQ(dials(), 0u) << "dialled inside the back-off";
    now += wakes.back();
    connector.run_due(now - 1);
    EXPECT_EQ(dials(), 0u);
    connector.run_due(now);
    EXPECT_EQ(dials(), 1u);
    full = std::min(full * 2, Connector::kBackoffMaxMs);
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
  connector.run_due(1000);
  EXPECT_EQ(dials(), 3u);
}

TEST_F(ConnectorTest, BrokenConnectionComesBackWhileWanted) {
  connector.need(5, CFS_CONN_OVERWRITE, 0);
  connector.up(5, CFS_CONN_OVERWRITE, 0, 5);
  dials();
  connector.down(5, CFS_CONN_OVERWRITE, 0, 200'000);
  connector.run_due(200'010);
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

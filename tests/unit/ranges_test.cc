// SPDX-License-Identifier: Apache-2.0
// The module's set of changed bytes (kmod/ranges.c), compiled in user space. If this fails, bytes that were written are not
// sent to the servers.
#include <gtest/gtest.h>

#include <random>
#include <vector>

extern "C" {
#include "kmod/ranges.h"
}

namespace {

/// How many bytes from `pos` on are in the set, and how many are not.
uint64_t run(const cfs_ranges& set, uint64_t pos) {
  u64 len = 0;
  return cfs_ranges_at(&set, pos, &len) ? len : 0;
}
uint64_t gap(const cfs_ranges& set, uint64_t pos) {
  u64 len = 0;
  return cfs_ranges_at(&set, pos, &len) ? 0 : len;
}

TEST(Ranges, EmptySetIsOneGap) {
  cfs_ranges set{};
  EXPECT_EQ(gap(set, 7), UINT64_MAX - 7);
  EXPECT_EQ(run(set, 7), 0u);
}

TEST(Ranges, TouchingRangesBecomeOne) {
  cfs_ranges set{};
  cfs_ranges_add(&set, 10, 20);
  cfs_ranges_add(&set, 30, 40);
  cfs_ranges_add(&set, 20, 30);
  EXPECT_EQ(set.n, 1u);
  EXPECT_EQ(run(set, 10), 30u);
  EXPECT_EQ(gap(set, 0), 10u);
  EXPECT_EQ(gap(set, 39), 0u);
}

TEST(Ranges, FullSetJoinsTheNearest) {
  cfs_ranges set{};
  for (uint64_t i = 0; i < CFS_RANGES; i++) cfs_ranges_add(&set, i * 1000, i * 1000 + 10);
  cfs_ranges_add(&set, 3012, 3020);
  EXPECT_LE(set.n, uint32_t{CFS_RANGES});
  for (uint64_t i = 0; i < CFS_RANGES; i++) EXPECT_GE(run(set, i * 1000), 10u) << i;
  EXPECT_GE(run(set, 3012), 8u);
}

TEST(Ranges, AllBytes) {
  cfs_ranges set{};
  cfs_ranges_add(&set, 100, 200);
  cfs_ranges_add(&set, 0, UINT64_MAX);
  EXPECT_EQ(set.n, 1u);
  EXPECT_EQ(run(set, 5), UINT64_MAX - 5);
}

// Never a byte too few, sorted, not touching; exact as long as it fits.
TEST(Ranges, RandomAgainstAModelOfBytes) {
  constexpr uint64_t kBytes = 2000;
  for (unsigned seed = 1; seed <= 30; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    cfs_ranges set{};
    std::vector<bool> model(kBytes);
    bool exact = true;
    for (int op = 0; op < 40; op++) {
      uint64_t start = random() % kBytes, end = std::min(kBytes, start + 1 + random() % 60);
      exact = exact && set.n < CFS_RANGES;
      cfs_ranges_add(&set, start, end);
      std::fill(model.begin() + start, model.begin() + end, true);
      ASSERT_LE(set.n, uint32_t{CFS_RANGES});
      for (uint32_t i = 0; i < set.n; i++) {
        ASSERT_LT(set.r[i].start, set.r[i].end);
        ASSERT_TRUE(!i || set.r[i].start > set.r[i - 1].end);
      }
      for (uint64_t p = 0; p < kBytes; p++) {
        bool in = run(set, p) > 0;
        ASSERT_EQ(in, gap(set, p) == 0);
        ASSERT_TRUE(in || !model[p]) << p;
        ASSERT_TRUE(!exact || in == model[p]) << p;
      }
    }
  }
}

}  // namespace

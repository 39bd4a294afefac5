// SPDX-License-Identifier: Apache-2.0
// The module's extent map (kmod/extent.c), compiled in user space. If this fails, reads return other bytes than were
// written, or writes go to places that belong to something else.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

extern "C" {
#include "kmod/extent.h"
}

namespace {

constexpr uint64_t kMiB = 1 << 20;

cfs_ekey key(uint64_t file_offset, uint32_t size, uint64_t extent, uint64_t extent_offset = 0) {
  return cfs_ekey{file_offset, 7, extent, extent_offset, size, 0};
}

class ExtentMap : public testing::Test {
 protected:
  void SetUp() override { cfs_map_init(&map_, nullptr); }
  void TearDown() override {
    cfs_shim_allocations = -1;
    cfs_map_clear(&map_);
  }

  cfs_slice at(uint64_t pos) {
    cfs_slice s;
    cfs_map_lookup(&map_, pos, &s);
    return s;
  }

  /// Runs of bytes that are not holes.
  uint32_t count() {
    uint32_t n = 0;
    cfs_slice s;
    for (uint64_t pos = 0; pos < UINT64_MAX; pos += s.len) {
      cfs_map_lookup(&map_, pos, &s);
      n += !s.hole;
    }
    return n;
  }
  /// The extent of the key that ends just before an offset; 0: none does.
  uint64_t ending_at(uint64_t pos) {
    cfs_ekey k{};
    return cfs_map_ending_at(&map_, pos, &k) ? k.extent_id : 0;
  }

  cfs_map map_{};
};

TEST_F(ExtentMap, EmptyIsOneHole) {
  cfs_slice s = at(5);
  EXPECT_TRUE(s.hole);
  EXPECT_EQ(s.len, UINT64_MAX - 5);
  EXPECT_EQ(ending_at(0), 0u);
}

TEST_F(ExtentMap, LookupInsideBetweenAndBehind) {
  cfs_ekey keys[] = {key(100, 50, 1025, 10), key(200, 10, 3, 4096)};
  ASSERT_EQ(cfs_map_load(&map_, keys, 2), 0);
  cfs_slice s = at(0);
  EXPECT_TRUE(s.hole);
  EXPECT_EQ(s.len, 100u);
  s = at(120);
  EXPECT_FALSE(s.hole);
  EXPECT_EQ(s.len, 30u);
  EXPECT_EQ(s.extent_id, 1025u);
  EXPECT_EQ(s.extent_offset, 30u);
  EXPECT_EQ(s.partition_id, 7u);
  s = at(150);
  EXPECT_TRUE(s.hole);
  EXPECT_EQ(s.len, 50u);
  EXPECT_TRUE(at(210).hole);
  EXPECT_EQ(ending_at(150), 1025u);
  EXPECT_EQ(ending_at(151), 0u);
}

// The rule of a growing extent: the longer key replaces the shorter one of the same extent.
TEST_F(ExtentMap, LongerKeyOfTheSameExtentReplaces) {
  cfs_ekey a = key(0, 4 * kMiB, 1025), b = key(0, 8 * kMiB, 1025);
  ASSERT_EQ(cfs_map_put(&map_, &a), 0);
  ASSERT_EQ(cfs_map_put(&map_, &b), 0);
  EXPECT_EQ(count(), 1u);
  EXPECT_EQ(at(0).len, 8 * kMiB);
}

TEST_F(ExtentMap, PutCutsWhatItCovers) {
  cfs_ekey old = key(0, 300, 1025, 1000), fresh = key(100, 100, 1026);
  ASSERT_EQ(cfs_map_put(&map_, &old), 0);
  ASSERT_EQ(cfs_map_put(&map_, &fresh), 0);
  ASSERT_EQ(count(), 3u);
  EXPECT_EQ(at(99).len, 1u);
  EXPECT_EQ(at(100).extent_id, 1026u);
  EXPECT_EQ(at(200).extent_id, 1025u);
  EXPECT_EQ(at(200).extent_offset, 1200u);
}

TEST_F(ExtentMap, TruncateShortensTheKeyThatCrosses) {
  cfs_ekey keys[] = {key(0, 100, 1025), key(100, 100, 1026), key(500, 10, 1027)};
  ASSERT_EQ(cfs_map_load(&map_, keys, 3), 0);
  cfs_map_truncate(&map_, 150);
  EXPECT_EQ(count(), 2u);
  EXPECT_EQ(at(100).len, 50u);
  EXPECT_TRUE(at(150).hole);
  cfs_map_truncate(&map_, 100);
  EXPECT_EQ(count(), 1u);
  cfs_map_truncate(&map_, 1000);
  EXPECT_EQ(count(), 1u);
  cfs_shim_allocations = 0;
  EXPECT_EQ(cfs_map_truncate(&map_, 0), 0) << "needs no memory";
  EXPECT_EQ(count(), 0u);
}

// Servers insert overlapping keys side by side (metanode/sorted_extents.go): the later one in the list wins.
TEST_F(ExtentMap, OverlappingListLaterWins) {
  cfs_ekey keys[] = {key(0, 200, 1025), key(100, 200, 1026)};
  ASSERT_EQ(cfs_map_load(&map_, keys, 2), 0);
  EXPECT_EQ(at(99).extent_id, 1025u);
  EXPECT_EQ(at(100).extent_id, 1026u);
  EXPECT_EQ(at(100).len, 200u);
}

TEST_F(ExtentMap, ImpossibleKeysAreRefusedAsAWhole) {
  cfs_ekey good = key(0, 10, 1025);
  ASSERT_EQ(cfs_map_put(&map_, &good), 0);
  std::vector<cfs_ekey> bad = {
      key(0, 0, 1025),                            // empty
      key(uint64_t(LLONG_MAX) - 5, 10, 1025),     // beyond the largest file
      key(UINT64_MAX - 5, 10, 1025),              // wraps
      key(0, 10, 1025, uint64_t(LLONG_MAX) - 5),  // beyond any extent
      key(0, 10, 3, 4ull << 40),                  // beyond a tiny extent
      key(0, 10, 0),                              // no extent
      cfs_ekey{0, 0, 1025, 0, 10, 0},             // no partition
  };
  for (const cfs_ekey& k : bad) {
    cfs_ekey list[] = {key(1000, 10, 1030), k};
    EXPECT_EQ(cfs_map_load(&map_, list, 2), -EUCLEAN) << k.file_offset << " " << k.extent_offset;
    EXPECT_EQ(count(), 1u);
    EXPECT_EQ(at(0).extent_id, 1025u);
  }
}

TEST_F(ExtentMap, UnchangedWithoutMemory) {
  for (uint64_t i = 0; i < 8; i++) {
    cfs_ekey k = key(i * 100, 50, 1025 + i);
    ASSERT_EQ(cfs_map_put(&map_, &k), 0);
  }
  uint32_t before = count();
  cfs_shim_allocations = 0;
  int ret = 0;
  for (uint64_t i = 100; i < 200 && !ret; i++) {
    cfs_ekey k = key(i * 100, 50, 1025 + i);
    ret = cfs_map_put(&map_, &k);
  }
  EXPECT_EQ(ret, -ENOMEM);
  EXPECT_GE(count(), before);
  for (uint64_t i = 0; i < 8; i++) EXPECT_EQ(at(i * 100).extent_id, 1025 + i);
}

TEST_F(ExtentMap, AListWithoutMemoryLeavesNothing) {
  cfs_ekey keys[] = {key(0, 10, 1025), key(10, 10, 1026), key(20, 10, 1027)};
  ASSERT_EQ(cfs_map_load(&map_, keys, 3), 0);
  cfs_shim_allocations = 3;
  EXPECT_EQ(cfs_map_load(&map_, keys, 3), -ENOMEM);
  EXPECT_EQ(count(), 0u);
}

/// One byte of the model: which extent, which byte of it.
using Byte = std::pair<uint64_t, uint64_t>;

TEST_F(ExtentMap, RandomAgainstAModelOfBytes) {
  for (unsigned seed = 1; seed <= 20; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::map<uint64_t, Byte> model;
    for (int op = 0; op < 300; op++) {
      uint64_t pos = random() % 1000, len = 1 + random() % 200, extent = 1025 + op;
      if (random() % 8 == 0) {
        cfs_map_truncate(&map_, pos);
        model.erase(model.lower_bound(pos), model.end());
      } else {
        cfs_ekey k = key(pos, len, extent, random() % 5000);
        ASSERT_EQ(cfs_map_put(&map_, &k), 0);
        for (uint64_t i = 0; i < len; i++) model[pos + i] = Byte(extent, k.extent_offset + i);
      }
      for (int probe = 0; probe < 20; probe++) {
        uint64_t p = random() % 1300;
        cfs_slice s = at(p);
        auto it = model.find(p);
        ASSERT_EQ(s.hole, it == model.end()) << p;
        ASSERT_GT(s.len, 0u);
        if (!s.hole) {
          ASSERT_EQ(Byte(s.extent_id, s.extent_offset), it->second) << p;
        } else if (p + s.len < 1300) {
          ASSERT_TRUE(model.count(p + s.len)) << p;
        }
      }
    }
    cfs_map_clear(&map_);
  }
}

// A key continues its extent where it ends, with what is left of it at its front.
TEST_F(ExtentMap, EndingAtTellsTheWholeKey) {
  cfs_ekey old = key(100, 300, 1025, 1000), fresh = key(0, 150, 1026);
  ASSERT_EQ(cfs_map_put(&map_, &old), 0);
  ASSERT_EQ(cfs_map_put(&map_, &fresh), 0);
  cfs_ekey k{};
  ASSERT_TRUE(cfs_map_ending_at(&map_, 400, &k));
  EXPECT_EQ(k.file_offset, 150u);
  EXPECT_EQ(k.size, 250u);
  EXPECT_EQ(k.extent_offset, 1050u);
  EXPECT_EQ(k.partition_id, 7u);
  EXPECT_EQ(k.extent_id, 1025u);
}

// Each way to run out of memory in the middle: nothing is lost, nothing leaks (checked by the address sanitizer).
TEST_F(ExtentMap, AnyAllocationMayFail) {
  std::mt19937 random(3);
  for (int op = 0; op < 500; op++) {
    const cfs_ekey k = key(random() % 1000, 1 + random() % 200, 1025 + op);
    const uint64_t before = at(k.file_offset).extent_id;
    cfs_shim_allocations = random() % 4;
    const int ret = random() % 5 ? cfs_map_put(&map_, &k) : cfs_map_truncate(&map_, k.file_offset);
    cfs_shim_allocations = -1;
    if (ret) {
      ASSERT_EQ(ret, -ENOMEM);
      ASSERT_EQ(at(k.file_offset).extent_id, before);
    } else {
      ASSERT_NE(at(k.file_offset).extent_id, before == 0 ? 1 : before);
    }
  }
}

TEST_F(ExtentMap, HundredThousandKeysInTheWorstOrder) {
  constexpr uint64_t kKeys = 100000, kSize = 4096;
  for (uint64_t i = kKeys; i-- > 0;) {
    const cfs_ekey k = key(i * 2 * kSize, kSize, 1025 + i);
    ASSERT_EQ(cfs_map_put(&map_, &k), 0);
  }
  EXPECT_EQ(count(), kKeys);
  for (uint64_t i = 0; i < kKeys; i++) ASSERT_EQ(at(i * 2 * kSize + 7).extent_id, 1025 + i);
}

}  // namespace

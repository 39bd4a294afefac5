// SPDX-License-Identifier: Apache-2.0
// ExtentMap: cutting ranges and remembering what owes a commit. Breaks: bytes read from or written to the wrong place.
#include <gtest/gtest.h>

#include "daemon/data/extent_map.h"

namespace cfs {
namespace {

ExtentKey key(std::uint64_t at, std::uint32_t size, std::uint64_t extent) {
  ExtentKey k;
  k.file_offset = at;
  k.size = size;
  k.extent_id = extent;
  return k;
}

TEST(ExtentMap, SlicesHolesAndKeys) {
  ExtentMap map;
  ASSERT_TRUE(map.load({key(100, 50, 1), key(150, 10, 2), key(300, 5, 3)}));
  EXPECT_EQ(map.slice(0, 1000).key, nullptr);
  EXPECT_EQ(map.slice(0, 1000).size, 100u);
  EXPECT_EQ(map.slice(120, 1000).key->extent_id, 1u);
  EXPECT_EQ(map.slice(120, 1000).size, 30u);
  EXPECT_EQ(map.slice(150, 4).size, 4u);
  EXPECT_EQ(map.slice(160, 1000).key, nullptr);
  EXPECT_EQ(map.slice(160, 1000).size, 140u);
  EXPECT_EQ(map.slice(305, 7).key, nullptr);
  EXPECT_EQ(map.slice(305, 7).size, 7u);
}

TEST(ExtentMap, RefusesOverlap) {
  ExtentMap map;
  EXPECT_FALSE(map.load({key(0, 10, 1), key(5, 10, 2)}));
  ASSERT_TRUE(map.load({key(0, 10, 1)}));
  EXPECT_FALSE(map.add(key(9, 1, 2), true));
  EXPECT_FALSE(map.add(key(20, 0, 2), true));
  EXPECT_TRUE(map.add(key(10, 1, 2), true));
}

TEST(ExtentMap, OwesEachKeyOnceInOrder) {
  ExtentMap map;
  ASSERT_TRUE(map.load({key(0, 10, 1)}));
  EXPECT_TRUE(map.owed().empty());
  map.add(key(50, 5, 2), true);
  map.grow(0, 10);
  map.grow(50, 5);
  auto owed = map.owed();
  ASSERT_EQ(owed.size(), 2u);
  EXPECT_EQ(owed[0].extent_id, 2u);
  EXPECT_EQ(owed[0].size, 10u);
  EXPECT_EQ(owed[1].size, 20u);
  map.committed(1);
  ASSERT_EQ(map.owed().size(), 1u);
  EXPECT_EQ(map.owed()[0].extent_id, 1u);
  map.committed(5);
  EXPECT_TRUE(map.owed().empty());
}

}  // namespace
}  // namespace cfs

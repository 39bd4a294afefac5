// SPDX-License-Identifier: Apache-2.0
/// Decision tables of bpf/meta_cache.bpf.c, the default policy. If this fails, names are believed longer or shorter than
/// the FUSE client would, a rule does not count, or directories are fetched without need.
#include "policy_table.h"

namespace {

using namespace policy_table;  // NOLINT: tests only

struct MetaCache : testing::Test {
  void SetUp() override { shim_reset(); }
};

TEST_F(MetaCache, HitsAndLifetimes) {
  shim_in no_attr = known();
  no_attr.attr = false;
  shim_in attr_only = known();
  attr_only.name_len = 0;
  attr_only.name = false;
  shim_in no_attr_only = attr_only;
  no_attr_only.attr = false;
  const std::vector<Row> rows = {
      {"nothing known", unknown(), CFS_POLICY_MISS, false, 0, 0, 0},
      {"the daemon's lifetimes", known(), CFS_POLICY_HIT, true, kEntryMs, kAttrMs, 0},
      {"a name without attributes", no_attr, CFS_POLICY_MISS, false, 0, 0, 0},
      {"a rule, a name without attributes", ruled(no_attr), CFS_POLICY_MISS, false, 0, 0, 0},
      {"attributes alone", attr_only, CFS_POLICY_HIT, true, kEntryMs, kAttrMs, 0},
      {"attributes alone, unknown", no_attr_only, CFS_POLICY_MISS, false, 0, 0, 0},
      {"a rule", ruled(known()), CFS_POLICY_HIT, true, 11, 22, 44},
      {"absence is not believed", absent(), CFS_POLICY_MISS, false, 0, 0, 0},
      {"a rule about absence", ruled(absent()), CFS_POLICY_HIT, true, 33, 22, 44},
  };
  check(SHIM_LOOKUP, rows);
  check(SHIM_REVALIDATE, rows);
}

TEST_F(MetaCache, LengthDecidesWhichMapIsAsked) {
  shim_in in = known();
  in.name_len = CFS_SHORT_NAME_MAX;
  shim_out out = shim_run(SHIM_LOOKUP, &in);
  EXPECT_TRUE(out.asked_short && !out.asked_long && !out.asked_absent);
  in.name_len = CFS_SHORT_NAME_MAX + 1;
  out = shim_run(SHIM_LOOKUP, &in);
  EXPECT_TRUE(!out.asked_short && out.asked_long && !out.asked_absent);
  EXPECT_EQ(out.verdict, CFS_POLICY_HIT);
}

TEST_F(MetaCache, FillGrantsOnlyByRule) {
  check(SHIM_FILL, {
                       {"no rule: the daemon's stay", known(), CFS_POLICY_KEEP, false, 0, 0, 0},
                       {"absence", absent(), CFS_POLICY_KEEP, false, 0, 0, 0},
                       {"a rule", ruled(known()), CFS_POLICY_KEEP, true, 11, 22, 44},
                       {"absence and a rule", ruled(absent()), CFS_POLICY_KEEP, true, 33, 22, 44},
                   });
}

TEST_F(MetaCache, AStormIsSixteenMissesWithinASecond) {
  EXPECT_EQ(prefetches(unknown(), 15, 10), std::vector<int>{});
  shim_reset();
  EXPECT_EQ(prefetches(unknown(), 60, 10), std::vector<int>{16}) << "once in ten seconds";
  shim_reset();
  EXPECT_EQ(prefetches(unknown(), 100, 1001), std::vector<int>{}) << "slow misses are no storm";
  shim_reset();
  EXPECT_EQ(prefetches(unknown(), 240, 50).size(), 2u) << "twelve seconds of them: twice";
}

TEST_F(MetaCache, DirectoriesAreCountedApart) {
  for (int i = 0; i < 40; ++i) {
    shim_in in = unknown();
    in.dir = 7 + static_cast<__u64>(i % 4);
    EXPECT_FALSE(shim_run(SHIM_MISS, &in).prefetch) << i;
  }
}

TEST_F(MetaCache, ARuleFetchesAtTheFirstMiss) {
  shim_in in = ruled(unknown());
  EXPECT_EQ(prefetches(in, 10, 10), std::vector<int>{}) << "the rule has no such flag";
  shim_reset();
  in.rule.flags = CFS_RULE_PREFETCH;
  EXPECT_EQ(prefetches(in, 10, 10), std::vector<int>{1});
}

TEST_F(MetaCache, ChangesAreTheModulesBusiness) {
  const shim_in in = known();
  shim_run(SHIM_INVALIDATE, &in);
  EXPECT_EQ(shim_run(SHIM_LOOKUP, &in).verdict, CFS_POLICY_HIT) << "counters void what changed";
}

}  // namespace

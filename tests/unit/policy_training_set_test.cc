// SPDX-License-Identifier: Apache-2.0
/// Decision tables of bpf/training_set.bpf.c. If this fails, an unchanging tree is asked about again and again, or one that
/// changes here is believed for hours.
#include "policy_table.h"

namespace {

using namespace policy_table;  // NOLINT: tests only

constexpr __u32 kHoursMs = 6 * 3600 * 1000, kAbsentMs = 600 * 1000;
constexpr __u64 kRestlessMs = 60 * 1000;

struct TrainingSet : testing::Test {
  void SetUp() override { shim_reset(); }
  static shim_in later(shim_in in, __u64 ms) {
    in.now_ms += ms;
    return in;
  }
};

TEST_F(TrainingSet, AllIsBelievedForHours) {
  const std::vector<Row> rows = {
      {"nothing known", unknown(), CFS_POLICY_MISS, false, 0, 0, 0},
      {"a name", known(), CFS_POLICY_HIT, true, kHoursMs, kHoursMs, kHoursMs},
      {"absence", absent(), CFS_POLICY_HIT, true, kAbsentMs, kHoursMs, kHoursMs},
      {"a rule", ruled(known()), CFS_POLICY_HIT, true, 11, 22, 44},
      {"a rule about absence", ruled(absent()), CFS_POLICY_HIT, true, 33, 22, 44},
  };
  check(SHIM_LOOKUP, rows);
  check(SHIM_REVALIDATE, rows);
  check(SHIM_FILL, {
                       {"a name", known(), CFS_POLICY_KEEP, true, kHoursMs, kHoursMs, kHoursMs},
                       {"absence", absent(), CFS_POLICY_KEEP, true, kAbsentMs, kHoursMs, kHoursMs},
                       {"a rule", ruled(known()), CFS_POLICY_KEEP, true, 11, 22, 44},
                   });
}

TEST_F(TrainingSet, AChangedDirectoryGetsTheDaemonsLifetimes) {
  const shim_in change = known();
  shim_run(SHIM_INVALIDATE, &change);
  shim_in elsewhere = known();
  elsewhere.dir = 8;
  check(SHIM_LOOKUP,
        {
            {"at once", later(known(), 1), CFS_POLICY_HIT, true, kEntryMs, kAttrMs, 0},
            {"a minute later, nearly", later(known(), kRestlessMs - 1), CFS_POLICY_HIT, true,
             kEntryMs, kAttrMs, 0},
            {"after it", later(known(), kRestlessMs), CFS_POLICY_HIT, true, kHoursMs, kHoursMs,
             kHoursMs},
            {"absence", later(absent(), 1), CFS_POLICY_MISS, false, 0, 0, 0},
            {"a rule outranks it", later(ruled(known()), 1), CFS_POLICY_HIT, true, 11, 22, 44},
            {"another directory", later(elsewhere, 1), CFS_POLICY_HIT, true, kHoursMs, kHoursMs,
             kHoursMs},
        });
  check(SHIM_FILL,
        {
            {"an answer", later(known(), 1), CFS_POLICY_KEEP, true, kEntryMs, kAttrMs, 0},
            {"absence is dropped", later(absent(), 1), CFS_POLICY_DROP, false, 0, 0, 0},
        });
}

TEST_F(TrainingSet, TheFirstMissFetches) {
  EXPECT_EQ(prefetches(unknown(), 30, 10), std::vector<int>{1}) << "once in ten seconds";
}

}  // namespace

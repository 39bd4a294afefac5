// SPDX-License-Identifier: Apache-2.0
/// Rows of decision tables, and what all policies are asked.
///
/// Purpose  Inputs of a policy by name, and the check of one row.
/// Threads  One.
/// Failure  A row that differs fails the test with its name.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "policy_shim.h"

namespace policy_table {

constexpr __u32 kEntryMs = 5000, kAttrMs = 30000;  // the daemon's
constexpr cfs_meta_rule kRule{0, 11, 22, 33, 44, 0};

/// A short name of a regular file that all maps know.
inline shim_in known() {
  return {.name_len = 4,
          .name = true,
          .absent = false,
          .attr = true,
          .mode = S_IFREG | 0644,
          .entry_ms = kEntryMs,
          .attr_ms = kAttrMs,
          .has_rule = false,
          .rule = {},
          .dir = 7,
          .now_ms = 1'000'000};
}
inline shim_in unknown() {
  shim_in in = known();
  in.name = in.attr = false;
  return in;
}
inline shim_in absent() {
  shim_in in = unknown();
  in.absent = true;
  return in;
}
inline shim_in ruled(shim_in in) {
  in.has_rule = true;
  in.rule = kRule;
  return in;
}

/// What a callback is expected to say.
struct Row {
  std::string name;
  shim_in in;
  int verdict;
  bool granted;
  __u32 entry_ms, attr_ms, open_ms;
};

inline void check(shim_callback callback, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const shim_out out = shim_run(callback, &row.in);
    EXPECT_EQ(out.verdict, row.verdict) << row.name;
    EXPECT_EQ(out.granted, row.granted) << row.name;
    if (!row.granted) continue;
    EXPECT_EQ(out.entry_ms, row.entry_ms) << row.name;
    EXPECT_EQ(out.attr_ms, row.attr_ms) << row.name;
    EXPECT_EQ(out.open_ms, row.open_ms) << row.name;
  }
}

/// Misses in directory `dir`, `step_ms` apart; returns which of them asked for a prefetch.
inline std::vector<int> prefetches(shim_in in, int count, __u64 step_ms) {
  std::vector<int> out;
  for (int i = 1; i <= count; ++i, in.now_ms += step_ms) {
    if (shim_run(SHIM_MISS, &in).prefetch) out.push_back(i);
  }
  return out;
}

}  // namespace policy_table

// SPDX-License-Identifier: Apache-2.0
/// If this fails, the next daemon reads a torn, foreign or stale progress record as if it were good.
#include <gtest/gtest.h>

#include <cstring>

#include "daemon/core/progress.h"

namespace cfs {
namespace {

struct Memory {
  alignas(8) unsigned char bytes[Progress::kBytes] = {};
};

ProgressLog log_on(Memory& m, bool resumed, std::uint64_t print = 7,
                   ProgressOp op = ProgressOp::kCreate) {
  Progress progress(m.bytes, resumed);
  return {progress, op, print, nullptr};
}

TEST(ProgressLog, TheNextDaemonFindsTheLastStep) {
  Memory m;
  auto log = log_on(m, false);
  EXPECT_EQ(Step::kNone, log.found());
  log.record().ino = 5;
  EXPECT_TRUE(log.write(Step::kInodeSent));
  log.record().ino = 6;
  EXPECT_TRUE(log.set_tx(3, "3_42"));
  EXPECT_TRUE(log.write(Step::kTxStarted));
  auto next = log_on(m, true);
  EXPECT_EQ(Step::kTxStarted, next.found());
  EXPECT_EQ(6u, next.record().ino);
  EXPECT_EQ(3u, next.record().tm_id);
  EXPECT_EQ("3_42", next.tx_id());
}

TEST(ProgressLog, ATornStoreLeavesTheOneBefore) {
  Memory m;
  auto log = log_on(m, false);
  EXPECT_TRUE(log.write(Step::kInodeSent));
  Memory before = m;
  EXPECT_TRUE(log.write(Step::kInodeMade));
  for (std::size_t cut = 0; cut < Progress::kBytes; ++cut) {
    Memory torn = before;
    std::memcpy(torn.bytes, m.bytes, cut);
    const auto next = log_on(torn, true);
    EXPECT_TRUE(next.found() == Step::kInodeSent || next.found() == Step::kInodeMade) << cut;
  }
}

TEST(ProgressLog, RecordsOfOtherRequestsAreNone) {
  Memory m;
  auto log = log_on(m, false);
  EXPECT_TRUE(log.write(Step::kInodeMade));
  Memory copy = m;
  EXPECT_EQ(Step::kNone, log_on(copy, true, 8).found());
  copy = m;
  EXPECT_EQ(Step::kNone, log_on(copy, true, 7, ProgressOp::kUnlink).found());
  copy = m;
  EXPECT_EQ(Step::kNone, log_on(copy, false).found());
  EXPECT_EQ(Step::kNone, log_on(copy, true).found());  // the fresh one wiped it
  std::memset(copy.bytes, 0xFF, sizeof(copy.bytes));
  EXPECT_EQ(Step::kNone, log_on(copy, true).found());
}

TEST(ProgressLog, ResultsAreKept) {
  Memory m;
  auto log = log_on(m, false);
  EXPECT_TRUE(log.finish(EEXIST, 9, 2));
  const auto next = log_on(m, true);
  EXPECT_EQ(Step::kDone, next.found());
  EXPECT_EQ(EEXIST, next.record().err);
  EXPECT_EQ(9u, next.record().ino);
  EXPECT_EQ(2u, next.record().nlink);
}

TEST(ProgressLog, ALongTransactionIdIsRefused) {
  Memory m;
  auto log = log_on(m, false);
  EXPECT_TRUE(log.set_tx(1, std::string(24, '1')));
  EXPECT_EQ(std::string(24, '1'), log.tx_id());
  EXPECT_FALSE(log.set_tx(1, std::string(25, '1')));
  EXPECT_FALSE(log.set_tx(1, ""));
}

TEST(Fingerprint, DependsOnEveryPart) {
  EXPECT_NE(fingerprint({1}, {"a", "b"}), fingerprint({1}, {"ab", ""}));
  EXPECT_NE(fingerprint({1, 2}, {"a"}), fingerprint({2, 1}, {"a"}));
  EXPECT_EQ(fingerprint({1, 2}, {"a"}), fingerprint({1, 2}, {"a"}));
}

}  // namespace
}  // namespace cfs

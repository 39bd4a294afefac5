// SPDX-License-Identifier: Apache-2.0
/// Percentiles of latency histograms. If these fail, `cfsctl latency` shows wrong numbers.
#include <gtest/gtest.h>

#include <bit>

#include "daemon/bpf/latency.h"
#include "daemon/bpf/trace_loader.h"

namespace cfs {
namespace {

/// Counts one request as bpf/trace.bpf.c does.
void count(cfs_trace_op& cpu, std::uint64_t latency_ns, bool failed = false) {
  ++cpu.count;
  if (failed) ++cpu.errors;
  cpu.total_ns += latency_ns;
  cpu.max_ns = std::max<std::uint64_t>(cpu.max_ns, latency_ns);
  ++cpu.bucket[latency_ns == 0 ? 0 : std::bit_width(latency_ns) - 1];
}

OpLatency latency_of(const cfs_trace_op& cpu) {
  OpLatency one;
  one.add(cpu);
  return one;
}

TEST(Latency, NothingCountedIsZero) {
  const OpLatency none;
  EXPECT_EQ(none.percentile_ns(50), 0U);
  EXPECT_EQ(none.percentile_ns(99), 0U);
  EXPECT_EQ(none.mean_ns(), 0U);
}

TEST(Latency, OneRequestIsEveryPercentile) {
  cfs_trace_op cpu{};
  count(cpu, 1000);
  const OpLatency one = latency_of(cpu);
  for (const double percent : {0.0, 50.0, 99.0, 100.0}) {
    EXPECT_GE(one.percentile_ns(percent), 512U) << percent;
    EXPECT_LE(one.percentile_ns(percent), 1000U) << percent;
  }
}

TEST(Latency, PercentileIsInTheBucketOfItsRank) {
  cfs_trace_op cpu{};
  for (int i = 0; i < 98; ++i) count(cpu, 1500);  // bucket 1024..2047
  count(cpu, 70'000);                             // 65536..131071, rank 99
  count(cpu, 9'000'000);
  const OpLatency one = latency_of(cpu);
  EXPECT_GE(one.percentile_ns(50), 1024U);
  EXPECT_LT(one.percentile_ns(50), 2048U);
  EXPECT_LT(one.percentile_ns(98), 2048U);
  EXPECT_GE(one.percentile_ns(99), 65'536U);
  EXPECT_LT(one.percentile_ns(99), 131'072U);
  EXPECT_GE(one.percentile_ns(100), 8'388'608U);
  EXPECT_LE(one.percentile_ns(100), 9'000'000U);
}

TEST(Latency, SpreadsEvenlyWithinABucket) {
  cfs_trace_op cpu{};
  for (std::uint64_t ns = 1024; ns < 2048; ++ns) count(cpu, ns);
  const OpLatency one = latency_of(cpu);
  EXPECT_NEAR(static_cast<double>(one.percentile_ns(50)), 1536, 2);
  EXPECT_NEAR(static_cast<double>(one.percentile_ns(25)), 1280, 2);
  EXPECT_NEAR(static_cast<double>(one.percentile_ns(99)), 2037, 2);
}

TEST(Latency, FirstAndLastBucket) {
  cfs_trace_op cpu{};
  count(cpu, 0);
  EXPECT_EQ(latency_of(cpu).percentile_ns(50), 0U);
  count(cpu, UINT64_MAX);
  const OpLatency both = latency_of(cpu);
  EXPECT_EQ(both.percentile_ns(50), 1U);  // the middle of 0..1
  EXPECT_GE(both.percentile_ns(99), std::uint64_t{1} << 63);
}

TEST(Latency, AddsCpus) {
  cfs_trace_op first{}, second{};
  count(first, 100);
  count(first, 200, true);
  count(second, 5000);
  second.slow_lost = 3;
  OpLatency all = latency_of(first);
  all.add(second);
  EXPECT_EQ(all.sum.count, 3U);
  EXPECT_EQ(all.sum.errors, 1U);
  EXPECT_EQ(all.sum.max_ns, 5000U);
  EXPECT_EQ(all.sum.slow_lost, 3U);
  EXPECT_EQ(all.mean_ns(), 1766U);
  EXPECT_EQ(all.sum.bucket[6], 1U);
  EXPECT_EQ(all.sum.bucket[12], 1U);
}

/// The programs hold only what has ended: buckets may be ahead of `count` while CPUs are read.
TEST(Latency, CountsByBucketsWhenCountLagsBehind) {
  cfs_trace_op cpu{};
  count(cpu, 1024);
  count(cpu, 1 << 20);
  cpu.count = 1;
  EXPECT_GE(latency_of(cpu).percentile_ns(100), 1U << 20);
}

TEST(TraceLoader, SaysThatItIsOff) {
  const TraceLoader loader({});
  EXPECT_EQ(loader.state(), TraceLoader::State::kOff);
  EXPECT_EQ(loader.read().code(), ENODATA);
}

/// Where the module is loaded the program attaches, elsewhere read() says why not; never a hang.
TEST(TraceLoader, EndsInAStateThatReadExplains) {
  TraceLoader loader({});
  loader.start();
  loader.start();
  while (loader.state() == TraceLoader::State::kLoading) std::this_thread::yield();
  const auto counts = loader.read();
  if (loader.state() == TraceLoader::State::kRefused) {
    EXPECT_EQ(counts.code(), ENODATA);
    EXPECT_EQ(counts.error().what, loader.refusal());
    EXPECT_FALSE(loader.refusal().empty());
  } else {
    EXPECT_TRUE(counts.ok());
  }
  loader.stop();
  EXPECT_EQ(loader.state(), TraceLoader::State::kOff);
}

}  // namespace
}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Percentiles of latency histograms; see latency.h.
#include "daemon/bpf/latency.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace cfs {

void OpLatency::add(const cfs_trace_op& cpu) {
  sum.count += cpu.count;
  sum.errors += cpu.errors;
  sum.total_ns += cpu.total_ns;
  sum.max_ns = std::max(sum.max_ns, cpu.max_ns);
  sum.slow_lost += cpu.slow_lost;
  for (unsigned i = 0; i < CFS_TRACE_BUCKETS; ++i) sum.bucket[i] += cpu.bucket[i];
}

void OpLatency::note(std::uint64_t ns, bool failed) {
  ++sum.count;
  sum.errors += failed ? 1 : 0;
  sum.total_ns += ns;
  sum.max_ns = std::max<std::uint64_t>(sum.max_ns, ns);
  ++sum.bucket[ns == 0 ? 0 : std::bit_width(ns) - 1];
}

std::uint64_t OpLatency::percentile_ns(double percent) const {
  // the buckets, not `count`: a request may end while the CPUs are read one after the other
  std::uint64_t total = 0;
  for (const std::uint64_t n : sum.bucket) total += n;
  if (total == 0) return 0;
  const double wanted = std::ceil(static_cast<double>(total) * percent / 100.0);
  const double rank = std::clamp(wanted, 1.0, static_cast<double>(total));
  double before = 0;
  for (unsigned i = 0; i < CFS_TRACE_BUCKETS; ++i) {
    const auto in_bucket = static_cast<double>(sum.bucket[i]);
    if (in_bucket > 0 && before + in_bucket >= rank) {
      const double from = static_cast<double>(bucket_start_ns(i));
      const double width = std::ldexp(1.0, static_cast<int>(i) + 1) - from;
      const double at = from + width * (rank - before - 0.5) / in_bucket;
      return std::min<std::uint64_t>(static_cast<std::uint64_t>(at), sum.max_ns);
    }
    before += in_bucket;
  }
  return sum.max_ns;
}

std::uint64_t OpLatency::mean_ns() const {
  return sum.count == 0 ? 0 : sum.total_ns / sum.count;
}

}  // namespace cfs

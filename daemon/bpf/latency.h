// SPDX-License-Identifier: Apache-2.0
/// Latencies of one operation, as bpf/trace.bpf.c counts them and the FUSE front end does.
///
/// Purpose  Adds up the CPUs and estimates percentiles from a histogram whose buckets double.
/// Threads  Plain values; no sharing.
/// Failure  None. Sums wrap after 2^64 ns of waiting.
#pragma once

#include <cstdint>

#include "bpf/trace.h"

namespace cfs {

struct OpLatency {
  std::uint16_t op = 0;  ///< enum cfs_op
  cfs_trace_op sum{};    ///< of all CPUs

  /// Adds what one more CPU saw.
  void add(const cfs_trace_op& cpu);
  /// One more request, measured by ourselves.
  void note(std::uint64_t ns, bool failed = false);
  /// Latency that `percent` of the requests did not exceed, in ns; 0 without requests. Within its
  /// bucket a request is assumed evenly spread, so the error is below a factor of two; never more
  /// than the greatest latency seen.
  [[nodiscard]] std::uint64_t percentile_ns(double percent) const;
  /// Arithmetic mean in ns; 0 without requests.
  [[nodiscard]] std::uint64_t mean_ns() const;
};

/// What one mount, data node, process or cgroup saw of one operation.
struct GroupLatency {
  cfs_trace_key key{};
  OpLatency latency;
};

/// First latency in ns that falls into a bucket.
[[nodiscard]] constexpr std::uint64_t bucket_start_ns(unsigned bucket) {
  return bucket == 0 ? 0 : std::uint64_t{1} << bucket;
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Latencies by BPF; see tracing.h.
#include "daemon/app/tracing.h"

#ifdef CFS_HAVE_BPF

#include <spdlog/spdlog.h>

#include "daemon/bpf/trace_loader.h"
#include "daemon/kernel/kernel_front.h"

namespace cfs {
namespace {

/// On the loader's thread; spdlog is safe there.
void log_slow(const cfs_trace_slow& slow) {
  spdlog::warn("slow request: {} of inode {}, session {}: {} ms, result {}",
               op_name(static_cast<std::uint16_t>(slow.op)), slow.ino, slow.session,
               slow.latency_ns / 1'000'000, slow.res);
}

/// Buckets double; empty ones are left out.
Json buckets_json(const cfs_trace_op& sum) {
  Json out = Json::array();
  for (unsigned b = 0; b < CFS_TRACE_BUCKETS; ++b) {
    if (sum.bucket[b] == 0) continue;
    out.push_back(Json{{"from_ns", bucket_start_ns(b)}, {"count", sum.bucket[b]}});
  }
  return out;
}

Json latency_json(const OpLatency& one) {
  return Json{{"op", op_name(one.op)},           {"count", one.sum.count},
              {"errors", one.sum.errors},        {"mean_ns", one.mean_ns()},
              {"p50_ns", one.percentile_ns(50)}, {"p99_ns", one.percentile_ns(99)},
              {"max_ns", one.sum.max_ns},        {"buckets", buckets_json(one.sum)}};
}

}  // namespace

Tracing::Tracing()
    : loader_(std::make_unique<TraceLoader>(
          TraceLoader::Settings{.slow_ns = kSlowNs, .on_slow = log_slow})) {}

Tracing::~Tracing() = default;

void Tracing::start() {
  loader_->start();
}

void Tracing::stop() {
  loader_->stop();
}

Result<Json> Tracing::latencies() const {
  const auto all = loader_->read();
  if (!all) return all.error();
  Json operations = Json::array();
  for (const OpLatency& one : *all) operations.push_back(latency_json(one));
  return Json{{"operations", operations}};
}

}  // namespace cfs

#else

namespace cfs {

class TraceLoader {};

Tracing::Tracing() = default;
Tracing::~Tracing() = default;
void Tracing::start() {}
void Tracing::stop() {}

Result<Json> Tracing::latencies() const {
  return make_error(ENOSYS, "this daemon was built without BPF");
}

}  // namespace cfs

#endif

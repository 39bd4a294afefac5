// SPDX-License-Identifier: Apache-2.0
/// Metric families; see metrics.h.
#include "daemon/app/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>

#include "daemon/kernel/kernel_front.h"

namespace cfs {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

/// One counter of a mount. Rows of one family stand together and differ in their label.
struct CounterRow {
  const char* family;
  const char* help;
  const char* label;  ///< nullptr: none
  const char* value;
  std::uint64_t (*get)(const MountSample&);
};

/// A field of the module's statistics, 0 for FUSE mounts.
template <auto Field>
std::uint64_t kernel(const MountSample& mount) {
  return mount.kernel ? (*mount.kernel).*Field : 0;
}

template <auto Field>
std::uint64_t daemon(const MountSample& mount) {
  return mount.daemon.*Field;
}

constexpr auto kRows = std::to_array<CounterRow>({
    {"cubefs_data_read_bytes_total", "File data received from data nodes by the kernel module.",
     nullptr, nullptr, kernel<&cfs_stats::read_wire_bytes>},
    {"cubefs_data_written_bytes_total", "File data sent to data nodes by the kernel module.", "how",
     "append", kernel<&cfs_stats::append_wire_bytes>},
    {"cubefs_data_written_bytes_total", "", "how", "overwrite",
     kernel<&cfs_stats::overwrite_wire_bytes>},
    {"cubefs_data_packets_total", "Packets exchanged with data nodes by the kernel module.", "kind",
     "read", kernel<&cfs_stats::read_packets>},
    {"cubefs_data_packets_total", "", "kind", "append", kernel<&cfs_stats::append_packets>},
    {"cubefs_data_packets_total", "", "kind", "overwrite", kernel<&cfs_stats::overwrite_packets>},
    {"cubefs_data_retries_total", "Packets that were sent again, to the same or another replica.",
     "kind", "read", kernel<&cfs_stats::read_retries>},
    {"cubefs_data_retries_total", "", "kind", "overwrite", kernel<&cfs_stats::overwrite_retries>},
    {"cubefs_data_hedges_total", "Reads that were sent to a second replica: the first was slow.",
     nullptr, nullptr, kernel<&cfs_stats::read_hedges>},
    {"cubefs_data_rehomed_bytes_total",
     "Bytes that were written again, to another extent, after a fault.", nullptr, nullptr,
     kernel<&cfs_stats::rehomed_bytes>},
    {"cubefs_data_sent_bytes_total",
     "Bytes sent by reference to their pages, and bytes that had to be copied first.", "how",
     "reference", kernel<&cfs_stats::spliced_bytes>},
    {"cubefs_data_sent_bytes_total", "", "how", "copy", kernel<&cfs_stats::copied_bytes>},
    {"cubefs_data_crc_errors_total", "Packets whose checksum was wrong.", nullptr, nullptr,
     kernel<&cfs_stats::crc_errors>},
    {"cubefs_data_connection_faults_total",
     "Packets that ended without an answer because their connection failed.", nullptr, nullptr,
     kernel<&cfs_stats::conn_faults>},
    {"cubefs_extents_created_total", "Extents created for appends.", nullptr, nullptr,
     kernel<&cfs_stats::extents_created>},
    {"cubefs_commits_total", "Commits of extent keys to meta nodes.", nullptr, nullptr,
     kernel<&cfs_stats::commits>},
    {"cubefs_meta_requests_total", "Requests to meta nodes.", nullptr, nullptr,
     daemon<&Volume::Counters::meta_requests>},
    {"cubefs_meta_retries_total", "Requests to meta nodes that were sent again.", nullptr, nullptr,
     daemon<&Volume::Counters::meta_retries>},
    {"cubefs_meta_sent_bytes_total", "Bytes sent to meta nodes.", nullptr, nullptr,
     daemon<&Volume::Counters::meta_bytes_sent>},
    {"cubefs_meta_received_bytes_total", "Bytes received from meta nodes.", nullptr, nullptr,
     daemon<&Volume::Counters::meta_bytes_received>},
    {"cubefs_master_requests_total", "Requests to masters.", nullptr, nullptr,
     daemon<&Volume::Counters::master_requests>},
    {"cubefs_cache_lookups_total",
     "Names that the metadata cache was asked for, beyond those that the VFS knew.", "result",
     "hit", kernel<&cfs_stats::cache_hits>},
    {"cubefs_cache_lookups_total", "", "result", "absent", kernel<&cfs_stats::cache_absent_hits>},
    {"cubefs_cache_lookups_total", "", "result", "miss", kernel<&cfs_stats::cache_misses>},
});

constexpr std::size_t kOps = std::size(decltype(cfs_stats::requests){});
static_assert(kRows.size() + kOps <= Metrics::kCountersMax);

/// All counters of a mount: the table's, then one for each operation.
Metrics::Counts counts_of(const MountSample& mount) {
  Metrics::Counts counts{};
  for (std::size_t i = 0; i < kRows.size(); ++i) counts[i] = kRows[i].get(mount);
  for (std::size_t op = 0; op < kOps && mount.kernel; ++op) {
    counts[kRows.size() + op] = mount.kernel->requests[op];
  }
  return counts;
}

void add(Metrics::Counts& to, const Metrics::Counts& from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

bool went_back(const Metrics::Counts& now, const Metrics::Counts& before) {
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i] < before[i]) return true;
  }
  return false;
}

/// Collects families in the order in which they are first named.
class Families {
 public:
  void gauge(const char* name, const char* help, double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    family(name, help, MetricType::Gauge).metric.push_back(std::move(metric));
  }
  void counter(const char* name, const char* help, double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.counter.value = value;
    family(name, help, MetricType::Counter).metric.push_back(std::move(metric));
  }
  void histogram(const char* name, const char* help, const OpLatency& latency, Labels labels) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.histogram = histogram_of(latency);
    family(name, help, MetricType::Histogram).metric.push_back(std::move(metric));
  }
  [[nodiscard]] std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return out.str();
  }

 private:
  MetricFamily& family(const char* name, const char* help, MetricType type) {
    for (MetricFamily& one : families_) {
      if (one.name == name) return one;
    }
    return families_.emplace_back(MetricFamily{name, help, type, {}});
  }

  /// The program's buckets double and are kept from 8 us to 17 s; what is below or above is only in
  /// the first or in +Inf.
  static ClientMetric::Histogram histogram_of(const OpLatency& latency) {
    constexpr unsigned kFirst = 13;  // ends at 2^13 ns
    constexpr unsigned kLast = 34;
    ClientMetric::Histogram out;
    std::uint64_t below = 0;
    for (unsigned i = 0; i < CFS_TRACE_BUCKETS; ++i) {
      below += latency.sum.bucket[i];
      const unsigned end = i + 1;
      if (end < kFirst || end > kLast) continue;
      out.bucket.push_back({below, std::ldexp(1.0, static_cast<int>(end)) / 1e9});
    }
    out.bucket.push_back({below, INFINITY});
    // the buckets, not `count`: a request may end while the CPUs are read one after the other
    out.sample_count = below;
    out.sample_sum = static_cast<double>(latency.sum.total_ns) / 1e9;
    return out;
  }

  std::vector<MetricFamily> families_;
};

Labels labels_of(const Metrics::VolumeKey& volume) {
  return {{"cluster", volume[0]}, {"volume", volume[1]}, {"frontend", volume[2]}};
}

Labels with(Labels labels, const char* name, const char* value) {
  if (name != nullptr) labels.push_back({name, value});
  return labels;
}

Metrics::VolumeKey key_of(const MountSample& mount) {
  return {mount.cluster, mount.volume, mount.frontend};
}

// ---------------------------------------------------------------- parts

void add_process(Families& out) {
  std::ifstream stat("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(stat)), {});
  std::istringstream fields(text.substr(std::min(text.rfind(')') + 2, text.size())));
  std::vector<std::string> field;
  for (std::string one; fields >> one;) field.push_back(one);
  if (field.size() < 22) return;
  // proc(5): utime and stime are fields 14 and 15, rss is 24; field[0] is the third
  const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  out.counter("process_cpu_seconds_total", "CPU time of cfsd, user and system.",
              (std::stod(field[11]) + std::stod(field[12])) / ticks);
  std::ifstream host("/proc/stat");
  double booted = 0;
  for (std::string word; host >> word && booted == 0;) {
    if (word == "btime") host >> booted;
  }
  out.gauge("process_start_time_seconds", "When cfsd started, seconds since 1970.",
            booted + std::stod(field[19]) / ticks);
  out.gauge("process_resident_memory_bytes", "Resident memory of cfsd.",
            std::stod(field[21]) * static_cast<double>(::sysconf(_SC_PAGESIZE)));
}

void add_host(Families& out, const MetricsSample& sample) {
  out.gauge("cubefs_build_info", "Always 1; the label tells the version.", 1,
            {{"version", CFS_VERSION}});
  out.gauge("cubefs_module_attached", "1: the kernel module is loaded and served by this daemon.",
            sample.attached ? 1 : 0);
  out.gauge("cubefs_latency_tracing", "1: the BPF program that measures latencies is attached.",
            sample.latency ? 1 : 0);
  const char* const connections = "Connections of the module to data nodes, by state.";
  const char* const name = "cubefs_data_connections";
  out.gauge(name, connections, sample.connections.up, {{"state", "up"}});
  out.gauge(name, connections, sample.connections.dialing, {{"state", "dialing"}});
  out.gauge(name, connections, sample.connections.waiting, {{"state", "waiting"}});
  out.counter("cubefs_daemon_file_data_bytes_total",
              "File data that passed through cfsd; 0 unless FUSE mounts are used.",
              static_cast<double>(sample.file_data_bytes));
}

void add_latency(Families& out, const std::vector<OpLatency>& all) {
  for (const OpLatency& one : all) {
    const ClientMetric::Label op{"op", op_name(one.op)};
    out.histogram("cubefs_request_duration_seconds",
                  "Requests of the module to the daemon, from submission to outcome.", one, {op});
    out.counter("cubefs_request_errors_total",
                "Requests of the module with a negative result, such as ENOENT of a lookup.",
                static_cast<double>(one.sum.errors), {op});
  }
}

void add_nodes(Families& out, const std::vector<NodeSample>& nodes) {
  for (const NodeSample& one : nodes) {
    const Labels labels{{"node", one.node}, {"kind", one.kind}};
    out.histogram("cubefs_data_packet_duration_seconds",
                  "Packets of the module to a data node, from submission to the answer.",
                  one.latency, labels);
    out.counter("cubefs_data_packet_errors_total",
                "Packets of the module that a data node refused or did not answer.",
                static_cast<double>(one.latency.sum.errors), labels);
  }
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

void add_fuse(Families& out, const std::vector<FuseSample>& all) {
  for (const FuseSample& one : all) {
    out.histogram("cubefs_fuse_request_duration_seconds",
                  "Requests of FUSE mounts, from their arrival in cfsd to the end of the work.",
                  one.latency, {{"op", lower(one.op)}});
    out.counter(
        "cubefs_fuse_request_errors_total",
        "Requests of FUSE mounts that were answered with an errno, such as ENOENT of a lookup.",
        static_cast<double>(one.latency.sum.errors), {{"op", lower(one.op)}});
  }
}

/// What mounts of one volume are now.
struct Now {
  std::size_t mounts = 0, ready = 0, in_flight = 0;
  std::int64_t oldest_ms = 0;
  std::uint64_t uncommitted = 0, dirty = 0;
};

void add_mounts(Families& out, const MetricsSample& sample) {
  std::map<Metrics::VolumeKey, Now> volumes;
  for (const MountSample& mount : sample.mounts) {
    Now& now = volumes[key_of(mount)];
    ++now.mounts;
    now.ready += mount.ready ? 1 : 0;
    now.in_flight += mount.in_flight;
    now.oldest_ms = std::max(now.oldest_ms, mount.oldest_ms);
    if (!mount.kernel) continue;
    now.uncommitted += mount.kernel->uncommitted_bytes;
    now.dirty += mount.kernel->dirty_inodes;
  }
  for (const auto& [key, now] : volumes) {
    const Labels labels = labels_of(key);
    out.gauge("cubefs_mounts", "Mounts of a volume.", static_cast<double>(now.mounts), labels);
    out.gauge("cubefs_mounts_ready", "Mounts whose volume is open.", static_cast<double>(now.ready),
              labels);
    out.gauge("cubefs_requests_in_flight", "Requests that have no answer yet.",
              static_cast<double>(now.in_flight), labels);
    out.gauge("cubefs_oldest_request_age_seconds", "Age of the oldest request without an answer.",
              static_cast<double>(now.oldest_ms) / 1e3, labels);
    out.gauge("cubefs_uncommitted_bytes", "Bytes on data nodes whose extent keys wait for commit.",
              static_cast<double>(now.uncommitted), labels);
    out.gauge("cubefs_dirty_inodes", "Inodes held for data that is not yet committed.",
              static_cast<double>(now.dirty), labels);
  }
}

void add_counters(Families& out, const std::map<Metrics::VolumeKey, Metrics::Counts>& volumes) {
  for (const auto& [key, counts] : volumes) {
    for (std::size_t i = 0; i < kRows.size(); ++i) {
      out.counter(kRows[i].family, kRows[i].help, static_cast<double>(counts[i]),
                  with(labels_of(key), kRows[i].label, kRows[i].value));
    }
    for (std::uint16_t op = 1; op <= CFS_OP_TMPFILE; ++op) {
      const std::uint64_t count = counts[kRows.size() + op];
      if (count == 0) continue;
      out.counter("cubefs_requests_total", "Requests of the module that were answered.",
                  static_cast<double>(count), with(labels_of(key), "op", op_name(op)));
    }
  }
}

}  // namespace

void Metrics::retire(const Seen& seen) {
  add(retired_[seen.volume], seen.counts);
}

void Metrics::look_at(const MetricsSample& sample) {
  std::map<std::string, Seen> now;
  for (const MountSample& mount : sample.mounts) {
    now[mount.instance] = Seen{key_of(mount), counts_of(mount)};
  }
  for (const auto& [instance, before] : seen_) {
    const auto same = now.find(instance);
    const bool gone = same == now.end() || same->second.volume != before.volume ||
                      went_back(same->second.counts, before.counts);
    if (gone) retire(before);
  }
  seen_ = std::move(now);
}

std::string Metrics::render(const MetricsSample& sample) {
  look_at(sample);
  std::map<VolumeKey, Counts> volumes = retired_;
  for (const auto& [instance, seen] : seen_) add(volumes[seen.volume], seen.counts);
  Families out;
  add_host(out, sample);
  add_process(out);
  add_mounts(out, sample);
  add_counters(out, volumes);
  if (sample.latency) add_latency(out, *sample.latency);
  add_nodes(out, sample.nodes);
  add_fuse(out, sample.fuse);
  return out.text();
}

}  // namespace cfs

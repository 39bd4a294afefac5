// SPDX-License-Identifier: Apache-2.0
/// Admin commands; see commands.h.
#include "daemon/app/commands.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "daemon/app/log_setup.h"
#include "daemon/data/data_conn.h"

namespace cfs {
namespace {

Json attr_json(const Attr& attr) {
  return Json{{"ino", attr.ino}, {"mode", attr.mode}, {"nlink", attr.nlink},
              {"uid", attr.uid}, {"gid", attr.gid},   {"size_bytes", attr.size}};
}

Json status_json(const FrontStatus& status) {
  return Json{{"frontend", status.kind},
              {"session", status.session},
              {"mount_point", status.mount_point},
              {"volume", status.config.volume},
              {"masters", status.config.masters},
              {"subdir", status.config.subdir},
              {"read_only", status.config.read_only},
              {"cluster", status.cluster},
              {"state", status.ready ? "ready" : "waiting"},
              {"trouble", status.trouble}};
}

Json request_json(const InFlight& request, std::int64_t now_ms) {
  const char* const state = request.waits_for_volume ? "waits for its volume" : "running";
  return Json{
      {"id", request.id},   {"session", request.session}, {"op", request.op},
      {"ino", request.ino}, {"resumed", request.resumed}, {"age_ms", now_ms - request.since_ms},
      {"state", state}};
}

Json volume_counters(const Volume& volume) {
  const Volume::Counters c = volume.counters();
  return Json{{"meta_requests", c.meta_requests},
              {"meta_sent_bytes", c.meta_bytes_sent},
              {"meta_received_bytes", c.meta_bytes_received},
              {"meta_retries", c.meta_retries},
              {"master_requests", c.master_requests},
              {"process_file_data_bytes", data_traffic_bytes()}};  // all mounts: 0 without FUSE
}

Json kernel_counters(const cfs_stats& s) {
  Json requests = Json::object();
  for (std::uint16_t op = 1; op <= CFS_OP_TMPFILE; ++op) requests[op_name(op)] = s.requests[op];
  return Json{{"requests", requests},
              {"read_wire_bytes", s.read_wire_bytes},
              {"append_wire_bytes", s.append_wire_bytes},
              {"overwrite_wire_bytes", s.overwrite_wire_bytes},
              {"rehomed_bytes", s.rehomed_bytes},
              {"crc_errors", s.crc_errors},
              {"read_packets", s.read_packets},
              {"append_packets", s.append_packets},
              {"overwrite_packets", s.overwrite_packets},
              {"extents_created", s.extents_created},
              {"commits", s.commits},
              {"connection_faults", s.conn_faults},
              {"read_retries", s.read_retries},
              {"overwrite_retries", s.overwrite_retries},
              {"spliced_bytes", s.spliced_bytes},
              {"copied_bytes", s.copied_bytes},
              {"read_hedges", s.read_hedges},
              {"cache_hits", s.cache_hits},
              {"cache_absent_hits", s.cache_absent_hits},
              {"cache_misses", s.cache_misses},
              {"uncommitted_bytes", s.uncommitted_bytes},
              {"dirty_inodes", s.dirty_inodes}};
}

Json latency_json(const OpLatency& one) {
  Json buckets = Json::array();
  for (unsigned i = 0; i < CFS_TRACE_BUCKETS; ++i) {
    if (one.sum.bucket[i] == 0) continue;
    buckets.push_back(Json{{"from_ns", bucket_start_ns(i)}, {"count", one.sum.bucket[i]}});
  }
  return Json{{"op", op_name(one.op)},
              {"count", one.sum.count},
              {"errors", one.sum.errors},
              {"mean_ns", one.mean_ns()},
              {"p50_ns", one.percentile_ns(50)},
              {"p99_ns", one.percentile_ns(99)},
              {"max_ns", one.sum.max_ns},
              {"slow_lost", one.sum.slow_lost},
              {"buckets", buckets}};
}

std::string abi_text(std::uint32_t abi) {
  return std::to_string(abi >> 16) + "." + std::to_string(abi & 0xFFFF);
}

}  // namespace

Task<Result<Json>> Commands::run(admin::Command command) {
  const std::string& name = command.name;
  if (name == admin::kVersionCmd) co_return version();
  if (name == admin::kStatus) co_return status();
  if (name == admin::kMounts) co_return mounts();
  if (name == admin::kRequests) co_return requests();
  if (name == admin::kLatency) co_return latency();
  if (name == admin::kProfile) co_return profile(command.args);
  if (name == admin::kTrace) co_return trace(command.args);
  if (name == admin::kLogLevel) co_return log_level(command.args);
  if (name == admin::kStats) co_return stats(command.args);
  if (name == admin::kCache) co_return cache(command.args);
  if (name == admin::kCacheDrop) co_return cache_drop(command.args);
  if (name == admin::kLastError) co_return last_error(command.args);
  if (name == admin::kPrepare) co_return co_await prepare(command.args);
  if (name == admin::kFuseMount) co_return co_await fuse_mount(command.args);
  if (name == admin::kFuseUmount) co_return co_await fuse_umount(command.args);
  if (name == admin::kPolicyChanged) {
    if (on_policy_change) on_policy_change();
    co_return Json::object();
  }
  if (name == admin::kUpgrade && on_upgrade) co_return co_await on_upgrade(command.args);
  if (name == admin::kShutdown) {
    shut_down_();
    co_return Json::object();
  }
  co_return make_error(ENOSYS, "this daemon does not know the command '" + name + "'");
}

Json Commands::version() const {
  return Json{{"version", CFS_VERSION},
              {"protocol", admin::kVersion},
              {"abi", abi_text(CFS_ABI_MAJOR << 16 | CFS_ABI_MINOR)},
              {"module_abi", kernel_.attached() ? abi_text(kernel_.channel().abi()) : ""}};
}

Json Commands::status() const {
  const Connector::Counts connections = kernel_.connections();
  Json kernel{{"attached", kernel_.attached()},
              {"sessions", kernel_.sessions().size()},
              {"in_flight", kernel_.in_flight().size()},
              {"connections",
               {{"up", connections.up},
                {"dialing", connections.dialing},
                {"waiting", connections.waiting}}}};
  if (kernel_.attached()) kernel["generation"] = kernel_.channel().generation();
  return Json{{"version", CFS_VERSION},
              {"pid", ::getpid()},
              {"uptime_s", (Loop::now_ms() - started_ms_) / 1000},
              {"loop", loop_.has_uring() ? "io_uring" : "poll"},
              {"kernel", kernel},
              {"upgrade", upgrade},
              {"fuse_mounts", fuse_.list().size()}};
}

Json Commands::mounts() const {
  Json list = Json::array();
  for (const auto& session : kernel_.sessions()) list.push_back(status_json(session->status()));
  for (const FrontEnd* front : fuse_.list()) list.push_back(status_json(front->status()));
  return Json{{"mounts", list}};
}

Json Commands::requests() const {
  Json list = Json::array();
  const std::int64_t now = Loop::now_ms();
  for (const InFlight& request : kernel_.in_flight()) list.push_back(request_json(request, now));
  for (const FrontEnd* front : fuse_.list()) {
    for (const InFlight& request : front->in_flight()) list.push_back(request_json(request, now));
  }
  return Json{{"requests", list}};
}

Result<Json> Commands::latency() const {
  const auto all = trace_.read();
  if (!all) return all.error();
  Json list = Json::array();
  for (const OpLatency& one : *all) list.push_back(latency_json(one));
  return Json{{"operations", list}};
}

std::string Commands::node_name(std::uint64_t id) const {
  const std::string name = kernel_.node_address(static_cast<std::uint32_t>(id));
  return name.empty() ? std::to_string(id) : name;
}

std::string Commands::volume_name(std::uint64_t session) const {
  const auto found = kernel_.session(static_cast<std::uint32_t>(session));
  return found ? found->status().config.volume : std::to_string(session);
}

namespace {

std::optional<cfs_trace_kind> kind_of(const std::string& name) {
  if (name == "mount") return CFS_TRACE_MOUNT;
  if (name == "node") return CFS_TRACE_NODE;
  if (name == "task") return CFS_TRACE_TASK;
  if (name == "cgroup") return CFS_TRACE_CGROUP;
  return std::nullopt;
}

const char* packet_name(std::uint32_t op) {
  switch (op) {
    case CFS_TRACE_READ:
      return "read";
    case CFS_TRACE_APPEND:
      return "append";
    case CFS_TRACE_OVERWRITE:
      return "overwrite";
    default:
      return "other";
  }
}

const char* group_op_name(const cfs_trace_key& key) {
  return key.kind == CFS_TRACE_NODE ? packet_name(key.op)
                                    : op_name(static_cast<std::uint16_t>(key.op));
}

Json slow_json(const TraceLoader::Slow& one) {
  const cfs_trace_slow& s = one.what;
  const bool packet = s.node != 0;
  Json out{{"kind", packet ? "packet" : "request"},
           {"op", packet ? packet_name(s.op) : op_name(static_cast<std::uint16_t>(s.op))},
           {"id", s.id},
           {"ino", s.ino},
           {"session", s.session},
           {"result", s.res},
           {"latency_ns", s.latency_ns},
           {"end_monotonic_ns", s.end_ns}};
  if (packet) {
    out["partition"] = s.partition;
  } else {
    out["queued_ns"] = s.queued_ns;
    out["served_ns"] = s.latency_ns - std::min(s.queued_ns, s.latency_ns);
    out["pid"] = s.pid;
    out["comm"] = std::string(s.comm, ::strnlen(s.comm, sizeof(s.comm)));
  }
  return out;
}

}  // namespace

Result<Json> Commands::profile(const Json& args) const {
  const std::string by = admin::text_or(args, "by", "");
  const auto kind = kind_of(by);
  if (!kind) return make_error(EINVAL, "by is mount, node, task or cgroup");
  const auto id = static_cast<std::uint64_t>(admin::number_or(args, "id", 0));
  const auto groups = trace_.read_groups(*kind);
  if (!groups) return groups.error();
  Json list = Json::array();
  for (const GroupLatency& one : *groups) {
    if (id != 0 && one.key.id != id) continue;
    Json entry = latency_json(one.latency);
    entry["op"] = group_op_name(one.key);
    entry["total_ns"] = one.latency.sum.total_ns;
    entry["id"] = one.key.id;
    if (*kind == CFS_TRACE_NODE) entry["name"] = node_name(one.key.id);
    if (*kind == CFS_TRACE_MOUNT) entry["name"] = volume_name(one.key.id);
    list.push_back(entry);
  }
  return Json{{"by", by}, {"groups", list}};
}

Result<Json> Commands::trace(const Json& args) {
  const std::int64_t slow_ns = admin::number_or(args, "slow_ns", 0);
  const std::int64_t after = admin::number_or(args, "after", 0);
  if (slow_ns < 0 || after < 0) return make_error(EINVAL, "slow_ns and after are not negative");
  const auto slow =
      trace_.slow_since(static_cast<std::uint64_t>(after), static_cast<std::uint64_t>(slow_ns));
  if (!slow) return slow.error();
  Json list = Json::array();
  for (const TraceLoader::Slow& one : slow->events) {
    Json event = slow_json(one);
    if (one.what.node != 0) event["node"] = node_name(one.what.node);
    if (one.what.session != 0) event["volume"] = volume_name(one.what.session);
    list.push_back(event);
  }
  return Json{{"events", list}, {"last", slow->last}, {"lost", slow->lost}};
}

Result<Json> Commands::log_level(const Json& args) {
  const auto level = admin::text_arg(args, "level");
  if (!level) return level.error();
  const Result<void> set = set_log_level(*level);
  if (!set) return set.error();
  return Json{{"level", *level}};
}

namespace {

MountSample mount_sample(const FrontEnd& front, const FrontStatus& status) {
  MountSample out{
      .instance = status.kind + "/" + std::to_string(status.session) + status.mount_point,
      .cluster = status.cluster,
      .volume = status.config.volume,
      .frontend = status.kind,
      .ready = status.ready};
  if (const auto volume = front.volume()) out.daemon = volume->counters();
  return out;
}

void note_request(MountSample& mount, const InFlight& request, std::int64_t now_ms) {
  ++mount.in_flight;
  mount.oldest_ms = std::max(mount.oldest_ms, now_ms - request.since_ms);
}

}  // namespace

MetricsSample Commands::metrics_sample() {
  MetricsSample out{.attached = kernel_.attached(),
                    .file_data_bytes = data_traffic_bytes(),
                    .connections = kernel_.connections()};
  const std::int64_t now = Loop::now_ms();
  const std::vector<InFlight> in_flight = kernel_.in_flight();
  for (const auto& session : kernel_.sessions()) {
    MountSample mount = mount_sample(*session, session->status());
    const auto stats = kernel_.stats(session->id());
    if (stats) mount.kernel = *stats;
    for (const InFlight& request : in_flight) {
      if (request.session == session->id()) note_request(mount, request, now);
    }
    out.mounts.push_back(std::move(mount));
  }
  for (const FrontEnd* front : fuse_.list()) {
    MountSample mount = mount_sample(*front, front->status());
    for (const InFlight& request : front->in_flight()) note_request(mount, request, now);
    out.mounts.push_back(std::move(mount));
  }
  for (const auto& [op, one] : fuse_.latencies()) out.fuse.push_back({op, one});
  const auto latency = trace_.read();
  if (latency) out.latency = *latency;
  const auto nodes = trace_.read_groups(CFS_TRACE_NODE);
  if (!nodes) return out;
  for (const GroupLatency& one : *nodes) {
    out.nodes.push_back({node_name(one.key.id), packet_name(one.key.op), one.latency});
  }
  return out;
}

Result<Json> Commands::session_stats(std::uint32_t id) {
  const auto session = kernel_.session(id);
  if (!session) return make_error(ENOENT, "there is no session " + std::to_string(id));
  const auto stats = kernel_.stats(id);
  if (!stats) return stats.error();
  Json out{{"frontend", "kernel"}, {"session", id}, {"kernel", kernel_counters(*stats)}};
  if (session->volume()) out["daemon"] = volume_counters(*session->volume());
  return out;
}

Result<Json> Commands::stats(const Json& args) {
  const auto session = args.find("session");
  if (session != args.end() && session->is_number_unsigned()) {
    return session_stats(session->get<std::uint32_t>());
  }
  const auto path = admin::text_arg(args, "mount_point");
  if (!path) return path.error();
  const FrontEnd* const front = fuse_.find(*path);
  if (front == nullptr) return make_error(ENOENT, *path + " is not a mount of this daemon");
  return Json{{"frontend", "fuse"}, {"daemon", volume_counters(*front->volume())}};
}

namespace {

Result<std::uint32_t> session_arg(const Json& args) {
  const auto session = args.find("session");
  if (session == args.end() || !session->is_number_unsigned()) {
    return make_error(EINVAL, "session is missing");
  }
  return session->get<std::uint32_t>();
}

Result<std::vector<Ino>> inodes_arg(const Json& args, const char* key) {
  std::vector<Ino> out;
  for (const Json& one : admin::member_or_empty(args, key)) {
    if (!one.is_number_unsigned() || one.get<Ino>() == 0 || out.size() == admin::kInodesMax) {
      return make_error(EINVAL, std::string(key) + " are inode numbers, not too many");
    }
    out.push_back(one.get<Ino>());
  }
  return out;
}

}  // namespace

Result<Json> Commands::cache(const Json& args) const {
  const auto id = session_arg(args);
  if (!id) return id.error();
  const auto inodes = inodes_arg(args, "inodes");
  if (!inodes) return inodes.error();
  const auto session = kernel_.session(*id);
  if (!session) return make_error(ENOENT, "there is no session " + std::to_string(*id));
  const auto counters = session->counters();
  if (!counters) return Json{{"session", *id}, {"volume", 0}};
  Json changed = Json::array();
  for (const Ino ino : *inodes) changed.push_back(changed_at(*counters, ino));
  return Json{{"session", *id},
              {"volume", counters->volume},
              {"sequence", counters->seq},
              {"changed", changed}};
}

Result<Json> Commands::cache_drop(const Json& args) {
  const auto id = session_arg(args);
  if (!id) return id.error();
  const auto directories = inodes_arg(args, "directories");
  if (!directories) return directories.error();
  const auto inodes = inodes_arg(args, "inodes");
  if (!inodes) return inodes.error();
  Result<void> dropped;
  if (admin::flag_or(args, "all", false)) dropped = kernel_.invalidate(*id, 0, 0);
  for (const Ino ino : *directories) {
    if (dropped) dropped = kernel_.invalidate(*id, ino, CFS_INV_ENTRIES);
  }
  for (const Ino ino : *inodes) {
    if (dropped) dropped = kernel_.invalidate(*id, ino, CFS_INV_ATTR);
  }
  if (!dropped) return dropped.error();
  return Json::object();
}

Result<Json> Commands::last_error(const Json& args) const {
  const auto config = admin::text_arg(args, "config");
  if (!config) return config.error();
  return Json{{"text", pool_.last_error(*config)}};
}

Task<Result<Json>> Commands::prepare(Json args) {
  const auto config = admin::text_arg(args, "config");
  if (!config) co_return config.error();
  if (admin::text_or(args, "frontend", "") == "kernel") {
    const Result<void> attached = kernel_.attach();
    if (!attached) co_return attached.error();
  }
  const auto volume = co_await pool_.prepare(*config);
  if (!volume) co_return volume.error();
  co_return Json{{"volume", (*volume)->config().volume},
                 {"cluster", (*volume)->cluster_name()},
                 {"read_only", (*volume)->read_only()},
                 {"root", attr_json((*volume)->root())}};
}

Task<Result<Json>> Commands::fuse_mount(Json args) {
  const auto config = admin::text_arg(args, "config");
  if (!config) co_return config.error();
  const auto path = admin::text_arg(args, "mount_point");
  if (!path) co_return path.error();
  if (path->empty() || path->front() != '/') {
    co_return make_error(EINVAL, "mount_point must be absolute");
  }
  MountPoint at{*path, admin::text_or(args, "source", "cubefs")};
  FuseOptions options;
  options.read_only = admin::flag_or(args, "read_only", false);
  options.acl = admin::flag_or(args, "acl", true);
  for (const Json& flag : admin::member_or_empty(args, "flags")) {
    if (flag.is_string()) options.flags.push_back(flag.get<std::string>());
  }
  const Result<void> mounted = co_await fuse_.mount(*config, at, options);
  if (!mounted) co_return mounted.error();
  co_return Json::object();
}

Task<Result<Json>> Commands::fuse_umount(Json args) {
  const auto path = admin::text_arg(args, "mount_point");
  if (!path) co_return path.error();
  const Result<void> done = co_await fuse_.unmount(*path);
  if (!done) co_return done.error();
  co_return Json::object();
}

}  // namespace cfs

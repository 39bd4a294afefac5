// SPDX-License-Identifier: Apache-2.0
/// Fetching and refreshing of views; contracts in view_keeper.h.
#include "daemon/core/view_keeper.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "cubefs/cfs_wire.h"
#include "daemon/base/when_all.h"
#include "daemon/core/md5.h"

namespace cfs {
namespace {

constexpr Millis kMetaPeriod(5 * 60 * 1000);
constexpr Millis kDataPeriod(60 * 1000);
constexpr std::int64_t kMetaGapMs = 5000;
constexpr std::int64_t kDataGapMs = 1000;
constexpr std::int64_t kStatAgeMs = 5000;
constexpr std::int64_t kMountMs = 10000;        // all masters together
constexpr std::int64_t kMountAttemptMs = 3000;  // one silent master must not eat all of it
constexpr std::int64_t kBackgroundMs = 30000;

/// The volume's own error codes say more than an errno: name what to do.
Error explain(const Error& error, const MountConfig& config) {
  switch (error.code) {
    case ENOENT:
      return make_error(ENOENT, "volume \"" + config.volume + "\" does not exist on this cluster");
    case EACCES:
      return make_error(EACCES, "\"" + config.owner + "\" is not the owner of volume \"" +
                                    config.volume + "\": give the right owner");
    case ETIMEDOUT:
      return error.in("the masters do not answer: check their addresses and the network");
    case ECONNREFUSED:
    case EHOSTUNREACH:
      return error.in("no master can be reached: check their addresses");
    default:
      return error;
  }
}

Result<void> first_error(const std::vector<Result<void>>& results) {
  for (const Result<void>& r : results)
    if (!r.ok()) return r;
  return {};
}

}  // namespace

std::string owner_key(const std::string& owner) {
  return md5_hex(owner);
}

MasterRequest ViewKeeper::by_name(std::string path) const {
  MasterRequest request;
  request.path = std::move(path);
  request.params.emplace_back("name", config_.volume);
  return request;
}

template <class T>
Task<Result<T>> ViewKeeper::ask(MasterRequest request) {
  if (mount_deadline_ms_ != 0) {
    request.deadline_ms = mount_deadline_ms_;
    request.limit_ms = kMountAttemptMs;
  } else {
    request.deadline_ms = Loop::now_ms() + kBackgroundMs;
  }
  const std::string path = request.path;
  Result<std::string> body = co_await master_->ask(std::move(request));
  if (!body.ok()) co_return body.error();
  Result<T> reply = wire::decode_reply<T>(*body);
  if (!reply.ok()) co_return reply.error().in(path);
  co_return reply;
}

// ---------------------------------------------------------------- mount

Task<Result<void>> ViewKeeper::open() {
  mount_deadline_ms_ = Loop::now_ms() + kMountMs;
  Result<void> done = co_await open_views();
  if (done.ok()) done = co_await open_rest();
  mount_deadline_ms_ = 0;
  if (!done.ok()) co_return explain(done.error(), config_);
  co_return done;
}

/// What needs no other's answer is asked side by side: each question is a connection of its own.
Task<Result<void>> ViewKeeper::open_views() {
  std::vector<Task<Result<void>>> asks;
  asks.push_back(fetch_volume());
  asks.push_back(fetch_cluster());
  asks.push_back(fetch_stat());
  asks.push_back(fetch_data());
  if (!config_.owner.empty()) {
    auth_key_ = owner_key(config_.owner);
    asks.push_back(fetch_meta());
  }
  const std::vector<Result<void>> got = co_await when_all(loop_, std::move(asks));
  if (!got.front().ok()) co_return got.front();
  Result<void> fit = check_volume();
  if (!fit.ok()) co_return fit;
  co_return first_error(got);
}

Task<Result<void>> ViewKeeper::open_rest() {
  std::vector<Task<Result<void>>> asks;
  asks.push_back(check_access());
  asks.push_back(refresh_quotas());
  if (config_.owner.empty()) {
    config_.owner = volume_.owner;
    auth_key_ = owner_key(config_.owner);
    asks.push_back(fetch_meta());
  }
  const std::vector<Result<void>> got = co_await when_all(loop_, std::move(asks));
  if (first_error(got).ok() && meta_->size() == 0) {
    co_return make_error(EIO, "volume \"" + config_.volume + "\" has no meta partition");
  }
  co_return first_error(got);
}

Result<void> ViewKeeper::check_volume() const {
  if (volume_.status == wire::kVolMarkedDeleted) {
    return make_error(ENOENT, "volume is marked deleted");
  }
  if (volume_.vol_type != 0 || volume_.vol_storage_class == CFS_CLASS_BLOBSTORE) {
    return make_error(EOPNOTSUPP, "volume \"" + config_.volume +
                                      "\" keeps its data in the blob store (erasure coding), "
                                      "which this client does not support");
  }
  if (volume_.forbidden) {
    return make_error(EPERM, "volume \"" + config_.volume +
                                 "\" is forbidden by its administrator: its meta nodes refuse "
                                 "lookups and changes");
  }
  if (volume_.latest_ver != 0) {
    return make_error(EOPNOTSUPP, "volume \"" + config_.volume +
                                      "\" has snapshots, which this client does not support");
  }
  return {};
}

Task<Result<void>> ViewKeeper::check_access() {
  constexpr const char* kCheckIp = "3";  // op of /admin/aclOp
  MasterRequest request = by_name("/admin/aclOp");
  request.params.emplace_back("ip", cluster_.client_ip);
  request.params.emplace_back("op", kCheckIp);
  Result<wire::AclRsp> acl = co_await ask<wire::AclRsp>(std::move(request));
  if (!acl.ok()) co_return acl.error();
  if (!acl->ok) {
    co_return make_error(EPERM, "address " + cluster_.client_ip +
                                    " is on the deny list of volume \"" + config_.volume + "\"");
  }
  co_return Result<void>();
}

// ---------------------------------------------------------------- single fetches

Task<Result<void>> ViewKeeper::fetch_cluster() {
  MasterRequest request;
  request.path = "/admin/getIp";
  Result<wire::ClusterInfo> info = co_await ask<wire::ClusterInfo>(std::move(request));
  if (!info.ok()) co_return info.error();
  cluster_ = std::move(info).value();
  co_return Result<void>();
}

Task<Result<void>> ViewKeeper::fetch_volume() {
  MasterRequest request = by_name("/admin/getVol");
  Result<wire::SimpleVolView> view = co_await ask<wire::SimpleVolView>(std::move(request));
  if (!view.ok()) co_return view.error();
  volume_ = std::move(view).value();
  Result<std::uint8_t> mask = wire::parse_tx_mask(volume_.tx_mask);
  if (mask.ok()) tx_mask_ = *mask;  // an unreadable one keeps the last
  co_return Result<void>();
}

Task<Result<void>> ViewKeeper::fetch_meta() {
  MasterRequest request = by_name("/client/vol");
  request.params.emplace_back("authKey", auth_key_);
  request.post = true;
  Result<wire::VolView> view = co_await ask<wire::VolView>(std::move(request));
  if (!view.ok()) co_return view.error();
  if (view->status == wire::kVolMarkedDeleted) {
    co_return make_error(ENOENT, "volume is marked deleted");
  }
  delete_lock_hours_ = view->delete_lock_hours;
  meta_ = MetaView::merge(meta_.get(), *view);
  if (on_meta_change_) on_meta_change_();
  co_return Result<void>();
}

Task<Result<void>> ViewKeeper::fetch_data() {
  MasterRequest request = by_name("/client/partitions");
  request.gzip = true;
  Result<wire::DataPartitionsView> view =
      co_await ask<wire::DataPartitionsView>(std::move(request));
  if (!view.ok()) co_return view.error();
  adopt_data(DataView::merge(data_.get(), *view));
  co_return Result<void>();
}

void ViewKeeper::adopt_data(std::shared_ptr<const DataView> view) {
  const bool changed = !view->same_as(*data_);
  data_ = std::move(view);
  if (changed && on_data_change_) on_data_change_();
}

Task<Result<void>> ViewKeeper::fetch_stat() {
  MasterRequest request = by_name("/client/volStat");
  request.params.emplace_back("version", "1");
  Result<wire::VolStatInfo> stat = co_await ask<wire::VolStatInfo>(std::move(request));
  if (!stat.ok()) co_return stat.error();
  stat_ = std::move(stat).value();
  stat_got_ms_ = Loop::now_ms();
  co_return Result<void>();
}

Task<Result<void>> ViewKeeper::refresh_quotas() {
  if (!volume_.enable_quota) co_return Result<void>();
  Result<wire::QuotaList> list = co_await ask<wire::QuotaList>(by_name("/quota/list"));
  if (!list.ok()) co_return list.error();
  const auto same = [](const wire::QuotaInfo& a, const wire::QuotaInfo& b) {
    return a.quota_id == b.quota_id && a.paths.size() == b.paths.size();
  };
  const bool unchanged = std::equal(list->quotas.begin(), list->quotas.end(),
                                    quotas_.quotas.begin(), quotas_.quotas.end(), same);
  if (!unchanged) ++quota_version_;
  quotas_ = std::move(list).value();
  co_return Result<void>();
}

Task<Result<DataPartition>> ViewKeeper::fetch_partition(std::uint64_t id) {
  MasterRequest request = by_name("/dataPartition/get");
  request.params.emplace_back("id", std::to_string(id));
  Result<wire::DataPartitionInfo> info = co_await ask<wire::DataPartitionInfo>(std::move(request));
  if (!info.ok()) {
    // EIO says that the partition is gone for good; a silent or failing master does not say that
    const int code = info.error().code;
    const int told = code == ENOENT ? EIO : (code == EIO ? EAGAIN : code);
    co_return make_error(told, "data partition " + std::to_string(id) + ": " + info.error().text());
  }
  DataPartition partition = to_data_partition(*info);
  partition.id = id;
  adopt_data(data_->with(partition));
  co_return partition;
}

Task<Result<wire::VolStatInfo>> ViewKeeper::stat() {
  if (Loop::now_ms() - stat_got_ms_ >= kStatAgeMs) {
    Result<void> got = co_await fetch_stat();
    if (!got.ok()) note_failure("volume statistics", got.error());
    if (!got.ok() && stat_.total_bytes == 0) co_return got.error();
  }
  co_return stat_;
}

// ---------------------------------------------------------------- refresh on demand

Task<bool> ViewKeeper::refresh_meta() {
  if (meta_running_) {
    co_await meta_done_.wait();
    co_return true;
  }
  const std::int64_t now = Loop::now_ms();
  if (stopped_ || (meta_asked_ms_ != 0 && now - meta_asked_ms_ < kMetaGapMs)) co_return false;
  meta_asked_ms_ = now;
  meta_running_ = true;
  meta_done_.reset();
  Result<void> got = co_await fetch_meta();
  meta_running_ = false;
  meta_done_.set();
  if (!got.ok()) note_failure("meta partitions", got.error());
  co_return got.ok();
}

Task<void> ViewKeeper::run_nudge(std::shared_ptr<ViewKeeper> self) {
  (void)co_await self->refresh_meta();
  self->nudged_ = false;
}

void ViewKeeper::nudge_meta() {
  if (stopped_ || std::exchange(nudged_, true)) return;
  loop_.spawn(run_nudge(shared_from_this()));
}

Task<Result<void>> ViewKeeper::refresh_data() {
  if (data_running_) {
    co_await data_done_.wait();
    co_return Result<void>();
  }
  const std::int64_t now = Loop::now_ms();
  if (stopped_ || (data_asked_ms_ != 0 && now - data_asked_ms_ < kDataGapMs)) {
    co_return Result<void>();
  }
  data_asked_ms_ = now;
  data_running_ = true;
  data_done_.reset();
  Result<void> got = co_await fetch_data();
  data_running_ = false;
  data_done_.set();
  if (!got.ok()) note_failure("data partitions", got.error());
  co_return got;
}

// ---------------------------------------------------------------- refresh in the background

void ViewKeeper::start() {
  loop_.spawn(run_meta(weak_from_this(), &loop_));
  loop_.spawn(run_data(weak_from_this(), &loop_));
}

void ViewKeeper::stop() {
  stopped_ = true;
  master_->stop();
}

Task<void> ViewKeeper::run_meta(std::weak_ptr<ViewKeeper> weak, Loop* loop) {
  for (;;) {
    const int slept = co_await loop->sleep(kMetaPeriod);
    const std::shared_ptr<ViewKeeper> self = weak.lock();
    if (slept != 0 || !self || self->stopped_) co_return;
    (void)co_await self->refresh_meta();
    Result<void> got = co_await self->fetch_stat();
    if (!got.ok()) self->note_failure("volume statistics", got.error());
  }
}

Task<void> ViewKeeper::run_data(std::weak_ptr<ViewKeeper> weak, Loop* loop) {
  for (;;) {
    const int slept = co_await loop->sleep(kDataPeriod);
    const std::shared_ptr<ViewKeeper> self = weak.lock();
    if (slept != 0 || !self || self->stopped_) co_return;
    (void)co_await self->refresh_data();
    Result<void> got = co_await self->fetch_volume();
    if (!got.ok()) self->note_failure("volume", got.error());
    got = co_await self->refresh_quotas();
    if (!got.ok()) self->note_failure("quotas", got.error());
  }
}

void ViewKeeper::note_failure(const char* what, const Error& error) {
  if (stopped_ || !log_limit_.allow()) return;
  spdlog::warn("volume {}: {} not refreshed, keeping the last view: {}", config_.volume, what,
               error.text());
}

}  // namespace cfs

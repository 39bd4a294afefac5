// SPDX-License-Identifier: Apache-2.0
/// Keeps the views of one volume fresh.
///
/// Purpose  Asks the masters at mount, in the background and on demand, and holds the last good
///          snapshot of each view.
/// Threads  The loop's.
/// Lifetime Background tasks hold a weak pointer: they end at their next wake-up after the owner
///          let go. Snapshots stay valid as long as somebody holds them.
/// Failure  open() tells why a mount is impossible; a failed refresh is logged and keeps the old
///          view.
/// Source   CubeFS v3.5.3 sdk/meta/meta.go, sdk/meta/view.go, sdk/data/wrapper/wrapper.go (periods,
///          order of calls).
#pragma once

#include <functional>
#include <memory>

#include "daemon/base/log.h"
#include "daemon/core/master_client.h"
#include "daemon/core/view.h"

namespace cfs {

class ViewKeeper : public std::enable_shared_from_this<ViewKeeper> {
 public:
  ViewKeeper(Loop& loop, std::unique_ptr<MasterService> master, MountConfig config)
      : loop_(loop), master_(std::move(master)), config_(std::move(config)) {}

  /// All views once, within about 10 s; refuses volumes this client cannot serve.
  Task<Result<void>> open();
  /// Start the periodic refreshes.
  void start();
  /// Periodic refreshes end, running transfers are cut short.
  void stop();

  [[nodiscard]] std::shared_ptr<const MetaView> meta() const { return meta_; }
  [[nodiscard]] std::shared_ptr<const DataView> data() const { return data_; }
  [[nodiscard]] const wire::ClusterInfo& cluster() const { return cluster_; }
  [[nodiscard]] const wire::SimpleVolView& volume() const { return volume_; }
  [[nodiscard]] std::uint8_t tx_mask() const { return tx_mask_; }  ///< enum wire::TxMask
  [[nodiscard]] std::int64_t delete_lock_hours() const { return delete_lock_hours_; }
  [[nodiscard]] const MasterService& master() const { return *master_; }
  /// Directory quotas, at most a minute old; empty when the volume has none.
  [[nodiscard]] const wire::QuotaList& quotas() const { return quotas_; }
  /// Changes when quotas come, go or get other directories.
  [[nodiscard]] std::uint64_t quota_version() const { return quota_version_; }
  /// Fetch them now.
  Task<Result<void>> refresh_quotas();

  /// Fetch the meta partition view now, at most once per 5 s (a call during a fetch waits for it).
  /// False when it was throttled or failed.
  Task<bool> refresh_meta();
  /// The same without waiting.
  void nudge_meta();
  /// Fetch the data partition view now, at most once a second.
  Task<Result<void>> refresh_data();
  /// Ask for one data partition and add it to the view; EIO when there is none.
  Task<Result<DataPartition>> fetch_partition(std::uint64_t id);
  /// Space and inode numbers, at most 5 s old.
  Task<Result<wire::VolStatInfo>> stat();
  [[nodiscard]] const wire::VolStatInfo& last_stat() const { return stat_; }

  void on_data_change(std::function<void()> f) { on_data_change_ = std::move(f); }
  void on_meta_change(std::function<void()> f) { on_meta_change_ = std::move(f); }

 private:
  template <class T>
  Task<Result<T>> ask(MasterRequest request);
  MasterRequest by_name(std::string path) const;
  Task<Result<void>> open_views();
  Task<Result<void>> open_rest();
  Task<Result<void>> check_access();
  Result<void> check_volume() const;

  Task<Result<void>> fetch_volume();
  Task<Result<void>> fetch_cluster();
  Task<Result<void>> fetch_meta();
  Task<Result<void>> fetch_data();
  Task<Result<void>> fetch_stat();
  void adopt_data(std::shared_ptr<const DataView> view);
  void note_failure(const char* what, const Error& error);

  static Task<void> run_meta(std::weak_ptr<ViewKeeper> weak, Loop* loop);
  static Task<void> run_data(std::weak_ptr<ViewKeeper> weak, Loop* loop);
  static Task<void> run_nudge(std::shared_ptr<ViewKeeper> self);

  Loop& loop_;
  std::unique_ptr<MasterService> master_;
  MountConfig config_;
  std::string auth_key_;
  std::int64_t mount_deadline_ms_ = 0;  // while open() runs

  wire::ClusterInfo cluster_;
  wire::SimpleVolView volume_;
  wire::VolStatInfo stat_;
  wire::QuotaList quotas_;
  std::uint64_t quota_version_ = 1;
  std::uint8_t tx_mask_ = wire::kTxMaskOff;
  std::int64_t delete_lock_hours_ = 0;
  std::shared_ptr<const MetaView> meta_;
  std::shared_ptr<const DataView> data_ = std::make_shared<DataView>();
  std::int64_t meta_asked_ms_ = 0, data_asked_ms_ = 0, stat_got_ms_ = 0;
  bool meta_running_ = false, data_running_ = false, stopped_ = false, nudged_ = false;
  Event meta_done_, data_done_;
  std::function<void()> on_data_change_, on_meta_change_;
  LogLimit log_limit_{60000};
};

/// Lower-case hex MD5 of the owner, the key of /client/vol. Source: sdk/meta/view.go.
std::string owner_key(const std::string& owner);

}  // namespace cfs

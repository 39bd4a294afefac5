// SPDX-License-Identifier: Apache-2.0
/// Session: one kernel mount.
///
/// Purpose  Owns the Volume of a mount, publishes its views, and answers the mount's requests by
///          calling the Volume. Puts what the servers said into the kernel's metadata cache before
///          it answers.
/// Threads  The loop thread.
/// Lifetime shared_ptr: KernelFront holds one until UNMOUNT, every running request another. close()
///          lets waiting requests fail and closes the volume.
///          Requests that come before adopt() wait in ready(): after a daemon's death they arrive
///          before the views do.
/// Failure  Answers carry the errno of the Volume; a request that breaks the ABI gets EINVAL.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "daemon/app/front_end.h"
#include "daemon/core/volume.h"
#include "daemon/kernel/cache_filler.h"
#include "daemon/kernel/convert.h"
#include "daemon/kernel/view_publisher.h"

namespace cfs {

/// Sequence at which something of an inode last changed here; other inodes may share it.
[[nodiscard]] inline std::uint64_t changed_at(const cfs_counters& counters, std::uint64_t ino) {
  // pairs with the release in cfs_change() of kmod/inode.c
  return __atomic_load_n(&counters.changed[(ino * 0x9E3779B97F4A7C15ULL) >> 48], __ATOMIC_ACQUIRE);
}

class Session final : public FrontEnd, public std::enable_shared_from_this<Session> {
 public:
  Session(Loop& loop, KernelPort& port, NodeTable& nodes, std::uint32_t id, std::string config)
      : loop_(loop),
        port_(port),
        id_(id),
        config_(std::move(config)),
        publisher_(port, nodes, id) {}

  /// Where to put what servers said; before adopt(). Outlives this; nullptr: nowhere.
  void fill_cache(CacheFiller* filler) { filler_ = filler; }

  /// Take the volume, publish everything, let requests through. On failure the volume is still the
  /// caller's to close.
  Result<void> adopt(std::shared_ptr<Volume> volume);
  /// Refuse what comes, let waiting requests fail, close the volume. Idempotent. The caller holds a
  /// reference until it has ended.
  Task<void> close();
  Task<void> stop() override { return close(); }
  /// 0, or ESHUTDOWN once the session is closed: no answer then, see KernelChannel::withhold().
  Task<int> ready();

  /// Namespace and extent requests, and the events that concern partitions. The request lives in the
  /// frame of this task, for those below.
  Task<Reply> handle(Request request);

  [[nodiscard]] std::uint32_t id() const { return id_; }
  [[nodiscard]] const std::string& config() const { return config_; }
  [[nodiscard]] bool is_ready() const { return volume_ != nullptr; }
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] std::shared_ptr<Volume> volume() const override { return volume_; }
  [[nodiscard]] FrontStatus status() const override;
  [[nodiscard]] std::size_t rows() const { return publisher_.rows(); }
  [[nodiscard]] Reply mount_answer() const;
  /// Of a mount that is open and has a metadata cache; nullptr: of no other.
  [[nodiscard]] std::shared_ptr<const cfs_counters> counters() const { return counters_; }
  /// The kernel does not know this session (any more).
  [[nodiscard]] bool orphaned() const { return orphaned_; }
  /// Why the last attempt to open the volume failed, for people; empty: it did not.
  std::string trouble;

 private:
  Task<Reply> namespace_request(const Request& request);
  Task<Reply> xattr_request(const Request& request);
  Task<Reply> data_request(const Request& request);
  Task<Reply> event(const Request& request);

  Task<Reply> lookup(const Request& request);
  Task<Reply> readdir(const Request& request);
  Task<Reply> create(const Request& request);
  Task<Reply> commit(const Request& request);
  Task<void> partition_refused(std::uint64_t partition_id, std::int32_t result);
  Task<void> need_writable(std::uint32_t storage_class);
  Task<void> need_partition(std::uint64_t partition_id);
  Task<void> prefetch(std::uint64_t dir);

  [[nodiscard]] CacheOrigin origin(std::uint64_t seq) const;
  [[nodiscard]] std::uint64_t seq_now() const;
  void keep_name(const CacheOrigin& origin, const cfs_req& head, const std::string& name,
                 const Result<Attr>& found);
  void keep_page(const CacheOrigin& origin, std::uint64_t dir, const DirPage& page);

  void publish();
  void note(const Result<void>& published);
  [[nodiscard]] Reply attr_reply(const Result<Attr>& attr) const;
  [[nodiscard]] static Progress progress_of(const Request& request);

  Loop& loop_;
  KernelPort& port_;
  std::uint32_t id_;
  std::string config_;
  ViewPublisher publisher_;
  std::shared_ptr<Volume> volume_;
  Validity valid_;
  Event opened_;  ///< set by adopt() and close()
  bool closed_ = false;
  bool orphaned_ = false;
  std::set<std::uint32_t> refilling_;  ///< storage classes whose list is being refreshed
  std::set<std::uint64_t> locating_;   ///< partitions being asked for
  std::set<std::uint64_t> fetching_;   ///< directories being fetched as a whole
  CacheFiller* filler_ = nullptr;
  std::shared_ptr<const cfs_counters> counters_;  ///< set with filler_, from adopt() to close()
};

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Stand-ins at the daemon's borders: the kernel (FakePort) and the cluster (FakeVolume).
///
/// Purpose  Sessions, views and connect orders are tested without a module and without servers.
/// Threads  The test's.
#pragma once

#include <sys/stat.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/core/volume.h"
#include "daemon/kernel/kernel_port.h"

namespace cfs::test {

/// Records what the kernel would have been told; node ids of a "former daemon" can be set.
struct FakePort final : KernelPort {
  Result<void> set_node(const cfs_node& node) override {
    const auto [it, fresh] = nodes.emplace(node.id, node.name);
    if (!fresh && it->second != node.name) return make_error(EEXIST, "node");
    return {};
  }
  Result<void> connect(const cfs_connect& order) override {
    dials.push_back(order);
    return connect_error == 0 ? Result<void>{} : make_error(connect_error, "connect");
  }
  Result<void> close_connection(const cfs_connect& order) override {
    closes.push_back(order);
    return {};
  }
  Result<void> publish_rows(std::uint32_t session, std::span<const cfs_dp_row> part) override {
    if (publish_error != 0) return make_error(publish_error, "rows");
    for (const cfs_dp_row& row : part) rows[session][row.partition_id] = row;
    rows_sent += part.size();
    return {};
  }
  Result<void> publish_writable(std::uint32_t, std::uint32_t storage_class,
                                std::span<const std::uint64_t> ids) override {
    writable[storage_class] = {ids.begin(), ids.end()};
    ++lists_sent;
    return {};
  }
  Result<void> invalidate(std::uint32_t, std::uint64_t, std::uint32_t) override { return {}; }
  Result<cfs_stats> stats(std::uint32_t) override { return cfs_stats{}; }
  Result<std::vector<SessionInfo>> sessions() override { return std::vector<SessionInfo>{}; }
  Result<std::shared_ptr<const cfs_counters>> counters(std::uint32_t) override {
    return std::shared_ptr<const cfs_counters>(change);
  }

  std::map<std::uint32_t, std::string> nodes;
  std::vector<cfs_connect> dials, closes;
  std::map<std::uint32_t, std::map<std::uint64_t, cfs_dp_row>> rows;
  std::map<std::uint32_t, std::vector<std::uint64_t>> writable;
  std::size_t rows_sent = 0, lists_sent = 0;
  int connect_error = 0, publish_error = 0;
  std::shared_ptr<cfs_counters> change = std::make_shared<cfs_counters>();
};

inline DataPartition make_partition(std::uint64_t id, int status = 2) {
  return DataPartition{.id = id,
                       .status = status,
                       .media = 1,
                       .discard = false,
                       .hosts = {"10.0.0.1:17310", "10.0.0.2:17310", "10.0.0.3:17310"},
                       .leader = 1};
}

/// One file system of two inodes; every call is counted, errors can be set.
class FakeVolume final : public Volume {
 public:
  FakeVolume() {
    config_.volume = "vol";
    config_.masters = {"127.0.0.1:17010"};
    root_.ino = 1;
    root_.mode = S_IFDIR | 0755;
    view = {make_partition(7), make_partition(8)};
  }
  Task<void> close() override {
    closed = true;
    co_return;
  }
  const MountConfig& config() const override { return config_; }
  const Attr& root() const override { return root_; }
  std::uint32_t storage_class() const override { return 1; }
  std::uint64_t fsid() const override { return 0x1122; }
  bool read_only() const override { return false; }
  bool follower_read() const override { return true; }
  std::string cluster_name() const override { return "fake"; }

  Task<Result<FsStat>> statfs() override { co_return FsStat{100, 40, 3}; }
  Task<Result<Attr>> lookup(Ino, std::string name) override {
    last_name = name;
    if (error != 0) co_return make_error(error, "lookup");
    co_return file();
  }
  Task<Result<OpenResult>> lookup_open(Ino, std::string name) override {
    last_name = name;
    if (error != 0) co_return make_error(error, "lookup");
    co_return OpenResult{.attr = file()};
  }
  Task<Result<Attr>> getattr(Ino) override { co_return file(); }
  Task<Result<Attr>> setattr(Ino, SetAttr change) override {
    Attr attr = file();
    if (change.valid & SetAttr::kMode) attr.mode = change.mode;
    co_return attr;
  }
  Task<Result<Attr>> truncate(Ino, std::uint64_t size) override {
    Attr attr = file();
    attr.size = size;
    co_return attr;
  }
  Task<Result<DirPage>> readdir(Ino, std::string, std::uint32_t, bool) override {
    DirPage page;
    page.entries.push_back(DirEntry{"name", 5, S_IFREG, file()});
    page.eof = true;
    co_return page;
  }
  Task<Result<Attr>> create(Ino, std::string name, std::uint32_t mode, std::string target,
                            Caller who, Progress& progress, Ahead* ahead) override {
    if (ahead != nullptr) {
      used_ahead = ahead->use ? ahead->use->ino : 0;
      if (ahead->more) ahead->next = Attr{.ino = 77, .mode = mode, .nlink = 1};
    }
    last_name = name + ">" + target;
    last_caller = who;
    last_record = progress.record();
    resumed = progress.resumed();
    Attr attr = file();
    attr.mode = mode;
    co_return attr;
  }
  Task<Result<Attr>> tmpfile(Ino, std::uint32_t mode, Caller, Progress&) override {
    Attr attr = file();
    attr.mode = mode;
    attr.nlink = 0;
    co_return attr;
  }
  Task<Result<Attr>> unlink(Ino, std::string, bool, Progress&, UnlinkHints hints) override {
    Attr attr = file();
    attr.link_left = hints.last;
    co_return attr;
  }
  Task<Result<Attr>> rename(Ino, std::string name, Ino, std::string new_name, bool no_replace,
                            Progress&, RenameHints) override {
    last_name = name + ">" + new_name + (no_replace ? "!" : "");
    co_return Attr{};
  }
  Task<Result<Attr>> link(Ino, Ino, std::string, Progress&) override { co_return file(); }
  Task<Result<std::string>> readlink(Ino) override { co_return std::string("target"); }
  Task<Result<void>> evict(Ino) override { co_return Result<void>{}; }
  Task<Result<void>> evict_link(Ino ino, Progress&) override {
    links_taken.push_back(ino);
    co_return Result<void>{};
  }
  Task<Result<std::string>> getxattr(Ino, std::string) override {
    co_return make_error(ENODATA, "no such attribute");
  }
  Task<Result<void>> setxattr(Ino, std::string, std::string, int) override {
    co_return Result<void>{};
  }
  Task<Result<std::vector<std::string>>> listxattr(Ino) override {
    co_return std::vector<std::string>{"user.a", "user.b"};
  }
  Task<Result<void>> removexattr(Ino, std::string) override { co_return Result<void>{}; }
  Task<Result<ExtentList>> extents(Ino) override { co_return ExtentList{}; }
  Task<Result<CommitResult>> commit(Ino, std::vector<ExtentKey> keys, std::uint32_t) override {
    committed = keys;
    CommitResult result;
    result.result = 0xF0;
    result.committed = static_cast<std::uint32_t>(keys.size());
    co_return result;
  }
  std::vector<DataPartition> partitions() const override { return view; }
  Task<Result<DataPartition>> partition(std::uint64_t id) override {
    if (id > 100) co_return make_error(EIO, "partition does not exist");
    co_return make_partition(id, 1);
  }
  Task<Result<void>> refresh_partitions() override {
    ++refreshes;
    writable_ids = after_refresh;
    co_return Result<void>{};
  }
  std::vector<std::uint64_t> writable(std::uint32_t) const override { return writable_ids; }
  void report_partition(std::uint64_t id, std::uint8_t result) override {
    reported.emplace_back(id, result);
  }
  void on_view_change(std::function<void()> listener) override { changed = std::move(listener); }
  Counters counters() const override { return {}; }

  static Attr file() {
    Attr attr;
    attr.ino = 5;
    attr.size = 9;
    attr.mode = S_IFREG | 0644;
    attr.nlink = 1;
    return attr;
  }

  std::vector<DataPartition> view;
  std::vector<std::uint64_t> writable_ids{7, 8}, after_refresh{8};
  std::vector<std::pair<std::uint64_t, int>> reported;
  std::vector<ExtentKey> committed;
  Ino used_ahead = 0;  ///< inode that the last create was given
  std::vector<Ino> links_taken;
  std::function<void()> changed;
  std::string last_name;
  Caller last_caller;
  void* last_record = nullptr;
  bool resumed = false, closed = false;
  int error = 0, refreshes = 0;

 private:
  MountConfig config_;
  Attr root_;
};

}  // namespace cfs::test

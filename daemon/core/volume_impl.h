// SPDX-License-Identifier: Apache-2.0
/// The implementation of Volume.
///
/// Purpose  Joins views, meta client and operations; keeps count of running calls for close().
/// Threads  The loop's.
/// Lifetime Held by shared_ptr; each call holds a Busy while it runs, and close() waits for them.
/// Failure  ESHUTDOWN from every call once close() began: not an answer to give to anybody, the
///          request belongs to the next daemon.
#pragma once

#include <unordered_set>

#include "daemon/core/meta_ops.h"
#include "daemon/core/name_guesses.h"
#include "daemon/core/trash.h"

namespace cfs {

class VolumeImpl final : public Volume {
 public:
  /// For open() and for tests with a master of their own.
  static Task<Result<std::shared_ptr<Volume>>> open_with(Loop& loop, MountConfig config,
                                                         std::unique_ptr<MasterService> master);
  VolumeImpl(Loop& loop, MountConfig config, std::shared_ptr<ViewKeeper> views);
  ~VolumeImpl() override;

  Task<void> close() override;

  [[nodiscard]] const MountConfig& config() const override { return config_; }
  [[nodiscard]] const Attr& root() const override { return root_; }
  [[nodiscard]] std::uint32_t storage_class() const override;
  [[nodiscard]] std::uint64_t fsid() const override;
  [[nodiscard]] bool read_only() const override { return config_.read_only; }
  [[nodiscard]] bool follower_read() const override;
  [[nodiscard]] std::string cluster_name() const override { return views_->cluster().cluster; }

  Task<Result<FsStat>> statfs() override;
  Task<Result<Attr>> lookup(Ino dir, std::string name) override;
  Task<Result<OpenResult>> lookup_open(Ino dir, std::string name) override;
  Task<Result<Attr>> getattr(Ino ino) override;
  Task<Result<Attr>> setattr(Ino ino, SetAttr change) override;
  Task<Result<Attr>> truncate(Ino ino, std::uint64_t size) override;
  Task<Result<DirPage>> readdir(Ino dir, std::string marker, std::uint32_t limit,
                                bool security) override;
  Task<Result<Attr>> create(Ino dir, std::string name, std::uint32_t mode, std::string target,
                            Caller who, Progress& progress, Ahead* ahead) override;
  Task<Result<Attr>> tmpfile(Ino dir, std::uint32_t mode, Caller who, Progress& progress) override;
  Task<Result<Attr>> unlink(Ino dir, std::string name, bool is_dir, Progress& progress,
                            UnlinkHints hints) override;
  Task<Result<Attr>> rename(Ino dir, std::string name, Ino new_dir, std::string new_name,
                            bool no_replace, Progress& progress, RenameHints hints) override;
  Task<Result<Attr>> link(Ino ino, Ino dir, std::string name, Progress& progress) override;
  Task<Result<std::string>> readlink(Ino ino) override;
  Task<Result<void>> evict(Ino ino) override;
  Task<Result<void>> evict_link(Ino ino, Progress& progress) override;

  Task<Result<std::string>> getxattr(Ino ino, std::string name) override;
  Task<Result<void>> setxattr(Ino ino, std::string name, std::string value, int flags) override;
  Task<Result<std::vector<std::string>>> listxattr(Ino ino) override;
  Task<Result<void>> removexattr(Ino ino, std::string name) override;

  Task<Result<ExtentList>> extents(Ino ino) override;
  Task<Result<CommitResult>> commit(Ino ino, std::vector<ExtentKey> keys,
                                    std::uint32_t storage_class) override;

  [[nodiscard]] std::vector<DataPartition> partitions() const override;
  Task<Result<DataPartition>> partition(std::uint64_t id) override;
  Task<Result<void>> refresh_partitions() override;
  [[nodiscard]] std::vector<std::uint64_t> writable(std::uint32_t storage_class) const override;
  void report_partition(std::uint64_t id, std::uint8_t result) override;
  void on_view_change(std::function<void()> listener) override;
  [[nodiscard]] Counters counters() const override;

  /// Tests only.
  MetaOps& ops() { return ops_; }
  Trash& trash() { return trash_; }

 private:
  /// One running call.
  class Busy {
   public:
    explicit Busy(VolumeImpl& v) : v_(v) { ++v_.running_; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy() {
      if (--v_.running_ == 0) v_.idle_.set();
    }

   private:
    VolumeImpl& v_;
  };
  /// Commits of one inode, in order.
  struct CommitLine {
    AsyncMutex mutex;
    std::size_t users = 0;
  };

  [[nodiscard]] Result<void> open_for_use() const;
  [[nodiscard]] Result<void> open_for_change() const;
  [[nodiscard]] Result<void> may_change(const std::string& name) const;

  /// Rounds of the trash until the volume is closed.
  static Task<void> keep_trash(std::weak_ptr<VolumeImpl> weak, Loop* loop);
  void learn(Ino dir, const std::string& name, Ino ino, std::uint32_t mode);
  Task<Result<void>> find_root();
  Task<Result<OpenResult>> resolve(Ino dir, std::string name, bool extents);
  Task<Result<OpenResult>> behind(Ino ino, bool extents, bool guessed);
  Task<Result<ExtentList>> extent_list(Ino ino);
  Task<void> fill_attrs(std::vector<DirEntry>* entries, bool security);
  Task<bool> find_secured(std::uint64_t partition, std::vector<Ino> inodes,
                          std::unordered_set<Ino>* found);
  Task<Result<wire::BatchInodeGetReply>> batch_get(std::uint64_t partition,
                                                   std::vector<Ino> inodes);
  Task<Result<std::optional<std::string>>> xattr_stored(Ino ino, std::string name);
  Task<Result<std::vector<std::string>>> xattr_names(Ino ino);
  Task<Result<CommitResult>> commit_in_turn(Ino ino, std::vector<ExtentKey> keys,
                                            std::uint32_t storage_class);
  Task<Result<CommitResult>> commit_batch(Ino ino, std::vector<ExtentKey> keys,
                                          std::uint32_t storage_class);
  Task<RawAnswer> commit_one(Ino ino, ExtentKey key, std::uint32_t storage_class);
  Task<std::uint64_t> generation(Ino ino);

  Loop& loop_;
  MountConfig config_;
  std::shared_ptr<ViewKeeper> views_;
  MetaOps ops_;
  Trash trash_;
  NameGuesses guesses_;
  Attr root_;
  std::unordered_map<Ino, std::unique_ptr<CommitLine>> commit_lines_;
  std::unordered_map<std::uint64_t, std::int64_t> avoid_until_;  // data partition -> ms
  std::size_t running_ = 0;
  Event idle_;
  bool closing_ = false;
};

/// ENAMETOOLONG, EILSEQ (the protocol cannot carry it), EINVAL ("", ".", "..", '/' or NUL inside).
Result<void> check_name(const std::string& name);

/// Xattr values as strings of the protocol and back; see docs: values that are not UTF-8 are stored
/// as kXattrMarker + base64.
std::string encode_xattr(const std::string& value);
std::string decode_xattr(const std::string& stored);
inline constexpr std::string_view kXattrMarker = "cfs-base64:";

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Volume: one mounted volume (or sub-directory), everything a front end can ask of it.
///
/// Purpose  The namespace operations with their exact RPC sequences, undo and lost-reply handling;
/// the
///          views of the cluster. Both front ends (kernel channel, FUSE) call this and nothing
///          below.
/// Threads  The loop it was opened on.
/// Lifetime shared_ptr; close() ends the background refresh and waits for running calls.
/// Deadline of a call: the caller's, Task::until() with deadline_ms(). Each call ends then, whatever
///          the number of its requests, or a few seconds later when it has something to take back.
/// Errors   Result<T> with the errno of include/cubefs/cfs_errno.h; retries are done inside.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/base/loop.h"
#include "daemon/base/result.h"
#include "daemon/base/task.h"

namespace cfs {

using Ino = std::uint64_t;

/// What the kernel, ls and cp ask for of every file, and nearly none has.
inline constexpr const char* kSecurityXattrs[] = {"security.capability", "security.selinux",
                                                  "system.posix_acl_access",
                                                  "system.posix_acl_default"};

/// Attributes in POSIX terms; times in seconds.
struct Attr {
  Ino ino = 0;
  std::uint64_t size = 0;
  std::uint64_t gen = 0;
  std::uint32_t mode = 0;
  std::uint32_t nlink = 0;
  std::uint32_t uid = 0, gid = 0;
  std::int64_t mtime = 0, ctime = 0, atime = 0;
  std::uint32_t storage_class = 0;
  std::string target{};    ///< of a symlink
  bool link_left = false;  ///< only of unlink(), see UnlinkHints
  /// It was asked for, and there is none of kSecurityXattrs.
  bool no_security = false;
};

/// What the caller of unlink() knows.
struct UnlinkHints {
  /// The regular file that its cache has under this name, 0 when it has none; saves the lookup, and
  /// is checked against what the server removed.
  Ino known = 0;
  /// It is the only link and nobody has it open: it may be left to evict_link(), which saves the
  /// caller a round trip. The answer tells it by `link_left`.
  bool last = false;
};

/// Inodes that are made before their names, so that a create need not wait for its own: for callers
/// who make many files of one kind.
struct Ahead {
  std::optional<Attr> use;   ///< made earlier, for the same directory, mode and owner
  bool more = false;         ///< make one for the next create
  std::optional<Attr> next;  ///< result: it, owed to a create or to evict_link()
};

struct SetAttr {
  enum : std::uint32_t { kMode = 1, kUid = 2, kGid = 4, kMtime = 8, kAtime = 16 };
  std::uint32_t valid = 0;
  std::uint32_t mode = 0;  ///< st_mode; the type stays what it is
  std::uint32_t uid = 0, gid = 0;
  std::int64_t mtime = 0, atime = 0;
  /// The caller believes in the inode: it is not read first, and what `valid` leaves out is here as well.
  bool known = false;
};

struct DirEntry {
  std::string name;
  Ino ino = 0;
  std::uint32_t type = 0;  ///< S_IFMT bits
  Attr attr;               ///< ino 0 when not known
};

struct DirPage {
  std::vector<DirEntry> entries;
  bool eof = false;
};

struct ExtentKey {
  std::uint64_t file_offset = 0, partition_id = 0, extent_id = 0, extent_offset = 0;
  std::uint32_t size = 0;
  bool fresh = false;  ///< commit: first key of this extent, overlaps no known key
};

struct ExtentList {
  std::uint64_t gen = 0, size = 0;
  std::uint32_t storage_class = 0;
  std::vector<ExtentKey> keys;
};

/// What an open needs: attributes and, of a regular file, the extents.
struct OpenResult {
  Attr attr;
  bool has_extents = false;  ///< false: not a regular file, or the list could not be read
  ExtentList extents{};
};

/// What a caller's cache knows of the names of a rename. Nothing here is believed blindly: a stale
/// hint is found before a name has changed, or by the transaction; then the names are looked up.
struct RenameHints {
  Ino src = 0;  ///< 0: not known
  std::uint32_t src_mode = 0;
  bool dst_known = false;
  Ino dst = 0;  ///< 0 with dst_known: the new name did not exist
  std::uint32_t dst_mode = 0;
};

struct CommitResult {
  std::uint8_t result = 0;      ///< CubeFS result code that decided
  std::uint32_t committed = 0;  ///< keys committed, from the first
  std::uint64_t gen = 0;        ///< 0: not asked for, each key committed is one step
};

struct FsStat {
  std::uint64_t total_bytes = 0, used_bytes = 0, inodes = 0;
};

/// One data partition as the view has it. hosts are "ip:port"; hosts[0] is the primary of appends.
struct DataPartition {
  std::uint64_t id = 0;
  int status = 0;  ///< 2 read-write, 1 read-only, 0 recovering, -1 unavailable
  std::uint32_t media = 0;
  bool discard = false;
  std::vector<std::string> hosts;
  int leader = -1;  ///< index, -1 unknown
};

/// What a mount is: parsed from the configuration string, which the kernel keeps for the next
/// daemon.
struct MountConfig {
  std::string volume;
  std::vector<std::string> masters;  ///< "host:port"
  std::string subdir = "/";
  std::string owner;  ///< empty: taken from the volume (a master tells it)
  bool read_only = false;
  bool follower_read = false;
  bool near_read = true;
  bool trash = true;  ///< deletions go to the trash where the volume has one
  std::uint32_t entry_valid_ms = 5000;
  std::uint32_t attr_valid_ms = 30000;
  std::uint32_t meta_timeout_s = 600;  ///< retry budget of a metadata request

  /// "key=value" lines <-> config. Unknown keys are refused by name.
  static Result<MountConfig> parse(const std::string& text);
  [[nodiscard]] std::string format() const;
};

/// Where a half-done operation stood: 256 bytes that outlive the daemon (kernel memory), or local
/// memory under FUSE. An operation stores a record before every RPC that changes a server and after
/// its reply; `resumed` is true when a former daemon left one.
class Progress {
 public:
  static constexpr std::size_t kBytes = 256;
  explicit Progress(void* record = nullptr, bool resumed = false)
      : record_(record ? record : own_), resumed_(resumed) {}
  [[nodiscard]] void* record() const { return record_; }
  [[nodiscard]] bool resumed() const { return resumed_; }

 private:
  alignas(8) unsigned char own_[kBytes] = {};
  void* record_;
  bool resumed_;
};

struct Caller {
  std::uint32_t uid = 0, gid = 0;
};

class Volume {
 public:
  /// Contact the masters, check owner and type, read the views and the root directory. Refused:
  /// erasure-coded volumes (EOPNOTSUPP), wrong owner (EACCES), unknown volume (ENOENT), silent
  /// masters (ETIMEDOUT), unreachable ones (ECONNREFUSED/EHOSTUNREACH), missing sub-directory
  /// (ENOENT), not a directory (ENOTDIR). Error::what says what to do.
  static Task<Result<std::shared_ptr<Volume>>> open(Loop& loop, MountConfig config);
  virtual ~Volume() = default;
  virtual Task<void> close() = 0;

  [[nodiscard]] virtual const MountConfig& config() const = 0;
  [[nodiscard]] virtual const Attr& root() const = 0;
  [[nodiscard]] virtual std::uint32_t storage_class() const = 0;  ///< of new files
  [[nodiscard]] virtual std::uint64_t fsid() const = 0;
  [[nodiscard]] virtual bool read_only() const = 0;
  [[nodiscard]] virtual bool follower_read() const = 0;
  [[nodiscard]] virtual std::string cluster_name() const = 0;

  /// Of a call that begins now, by the mount's meta_timeout_s.
  [[nodiscard]] std::int64_t deadline_ms() const {
    return Loop::now_ms() + std::int64_t{1000} * config().meta_timeout_s;
  }

  virtual Task<Result<FsStat>> statfs() = 0;
  virtual Task<Result<Attr>> lookup(Ino dir, std::string name) = 0;
  /// lookup() and extents() in two round trips. A list that cannot be read does not fail it.
  virtual Task<Result<OpenResult>> lookup_open(Ino dir, std::string name) = 0;
  virtual Task<Result<Attr>> getattr(Ino ino) = 0;
  /// The attributes afterwards; of a known inode only those that SetAttr has.
  virtual Task<Result<Attr>> setattr(Ino ino, SetAttr change) = 0;
  virtual Task<Result<Attr>> truncate(Ino ino, std::uint64_t size) = 0;
  /// Entries after `marker` in bytewise order, with attributes fetched in batches; `security`: with Attr::no_security.
  virtual Task<Result<DirPage>> readdir(Ino dir, std::string marker, std::uint32_t limit,
                                        bool security) = 0;
  /// File, directory, symlink (target), fifo or socket, by the type in `mode`. `gid` is the new
  /// inode's group. `ahead`, for regular files only, lives until the end; `use` is spent in any case, and
  /// there is no `next` after an error.
  virtual Task<Result<Attr>> create(Ino dir, std::string name, std::uint32_t mode,
                                    std::string target, Caller who, Progress& progress,
                                    Ahead* ahead = nullptr) = 0;
  /// A regular file without a name, in the quotas of `dir`; link() may name it. The servers purge
  /// it after 24 hours without a name, open or not.
  virtual Task<Result<Attr>> tmpfile(Ino dir, std::uint32_t mode, Caller who,
                                     Progress& progress) = 0;
  /// Attributes of the removed inode after the removal; nlink 0: the front end owes an evict()
  /// after the last close.
  virtual Task<Result<Attr>> unlink(Ino dir, std::string name, bool is_dir, Progress& progress,
                                    UnlinkHints hints = {}) = 0;
  /// Attributes of the overwritten inode (ino 0: none).
  virtual Task<Result<Attr>> rename(Ino dir, std::string name, Ino new_dir, std::string new_name,
                                    bool no_replace, Progress& progress,
                                    RenameHints hints = {}) = 0;
  virtual Task<Result<Attr>> link(Ino ino, Ino dir, std::string name, Progress& progress) = 0;
  virtual Task<Result<std::string>> readlink(Ino ino) = 0;
  virtual Task<Result<void>> evict(Ino ino) = 0;
  /// Take the link that unlink() left, and evict() when it was the last one.
  virtual Task<Result<void>> evict_link(Ino ino, Progress& progress) = 0;

  virtual Task<Result<std::string>> getxattr(Ino ino,
                                             std::string name) = 0;  ///< ENODATA when missing
  virtual Task<Result<void>> setxattr(Ino ino, std::string name, std::string value, int flags) = 0;
  virtual Task<Result<std::vector<std::string>>> listxattr(Ino ino) = 0;
  virtual Task<Result<void>> removexattr(Ino ino, std::string name) = 0;

  virtual Task<Result<ExtentList>> extents(Ino ino) = 0;
  /// Commit keys in the given order. A conflict or a partial commit is told in the result, not as
  /// an error.
  virtual Task<Result<CommitResult>> commit(Ino ino, std::vector<ExtentKey> keys,
                                            std::uint32_t storage_class) = 0;

  [[nodiscard]] virtual std::vector<DataPartition> partitions() const = 0;
  /// One partition by id, asking the master when the view does not have it (EIO: it does not
  /// exist).
  virtual Task<Result<DataPartition>> partition(std::uint64_t id) = 0;
  /// Ask the master for a fresh data partition view now (at most once a second).
  virtual Task<Result<void>> refresh_partitions() = 0;
  /// Writable partitions of a class, best first; failed ones (report_partition) go last for a
  /// while.
  [[nodiscard]] virtual std::vector<std::uint64_t> writable(std::uint32_t storage_class) const = 0;
  virtual void report_partition(std::uint64_t id, std::uint8_t result) = 0;
  /// Called on the loop whenever the partition view changed. One listener.
  virtual void on_view_change(std::function<void()> listener) = 0;

  /// Requests sent to meta nodes and bytes exchanged with them, by opcode name: for stats.
  struct Counters {
    std::uint64_t meta_requests = 0, meta_bytes_sent = 0, meta_bytes_received = 0;
    std::uint64_t meta_retries = 0, master_requests = 0;
  };
  [[nodiscard]] virtual Counters counters() const = 0;
};

}  // namespace cfs

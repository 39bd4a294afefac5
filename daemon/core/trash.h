// SPDX-License-Identifier: Apache-2.0
/// Trash of a volume: deletions become renames into <mount root>/.Trash/Current, and what lay there
/// long enough is deleted by one client in the background.
///
/// Purpose  remove() decides between a rename and a real deletion; round() rebuilds directories from
///          the flat names in Current, turns Current into Expired_<time>, deletes expired ones.
/// Names    Current/|__|a|__|b|__|name stands for /a/b/name of the mount. The daemon learns paths
///          from lookups and listings; where it does not know them (it has just been started) the
///          path begins with "inode-<number>" of the first directory it knows, so that nothing is
///          deleted for real by accident; the Go client deletes in that case.
/// Threads  The loop's.
/// Lifetime Owned by the volume. A round runs inside a Busy of it.
/// Failure  remove() gives the errno of the deletion or of the rename. A full quota or volume, and a
///          trash that cannot be made, lead to a real deletion (logged). Rounds log and go on.
/// Source   CubeFS v3.5.3 sdk/meta/trash.go.
#pragma once

#include <map>
#include <set>
#include <unordered_map>

#include "daemon/core/op_unlink.h"

namespace cfs {

/// Where directories are, as far as lookups and listings have told.
class DirNames {
 public:
  void learn(Ino dir, const std::string& name, Ino ino);
  void forget(Ino dir, const std::string& name);
  void move(Ino dir, const std::string& name, Ino new_dir, const std::string& new_name);
  /// Names from `root` down to `dir`. Where the way up is unknown the first part stands for the
  /// topmost directory known ("inode-7"), and *top is that directory.
  [[nodiscard]] std::vector<std::string> path(Ino root, Ino dir, Ino* top) const;

 private:
  using Place = std::pair<Ino, std::string>;
  std::map<Place, Ino> by_name_;
  std::unordered_map<Ino, Place> by_ino_;
};

class Trash {
 public:
  static constexpr const char* kName = ".Trash";
  static constexpr const char* kCurrent = "Current";

  Trash(MetaOps& ops, const MountConfig& config) : ops_(ops), config_(config) {}

  /// The volume has a trash, and this mount uses it.
  [[nodiscard]] bool on() const;
  /// Once the mount's root is known: make .Trash and Current if the trash is on.
  Task<void> prepare(Attr root);
  DirNames& names() { return names_; }

  /// unlink or rmdir. Attributes as of Volume::unlink(); a moved inode keeps its links.
  /// `hints` as there; only a real deletion believes them.
  Task<Result<Attr>> remove(Ino dir, std::string name, bool is_dir, UnlinkHints hints,
                            Progress& progress);

  /// One round of background work, if this client gets the lock of .Trash.
  Task<void> round();
  /// No more rounds: the running one ends after its current operation (a while is waited for that),
  /// so that nothing is left half deleted. Then let go of the lock.
  Task<void> finish();
  std::int64_t (*now_s)() = nullptr;  ///< tests only: another clock
  bool paused = false;                ///< tests only: the volume runs no rounds by itself

 private:
  // trash.cc: deletions
  [[nodiscard]] bool moves(Ino dir) const;
  [[nodiscard]] std::string flat_name(Ino dir, const std::string& name) const;
  Task<Result<Ino>> directory(Ino parent, std::string name, Attr like);
  Task<Result<Ino>> current();
  Task<Result<Attr>> erase(Ino dir, std::string name, bool is_dir, UnlinkHints hints,
                           Progress& progress);
  Task<Result<Attr>> move(Ino dir, std::string name, bool is_dir, Progress& progress);
  Task<Result<Attr>> resume_move(Ino dir, std::string name, bool is_dir, ProgressRecord found,
                                 Progress& progress);
  Task<Result<Attr>> move_as(Ino dir, std::string name, bool is_dir, Ino to, std::string target,
                             Progress& progress);
  Task<Result<Attr>> keep_if_empty(Ino dir, std::string name, Ino to, std::string target,
                                   Attr moved, Progress& progress);
  Task<Result<Attr>> move_back(Ino dir, std::string name, Ino from, std::string target, Attr moved,
                               Progress& progress);
  Task<void> note_long_name(Ino ino, std::string name);
  Task<Result<std::string>> name_of(Ino dir, Ino ino);
  Task<Result<wire::ReadDirReply>> page(Ino dir, std::string marker,
                                        CallMode mode = CallMode{.read = true});

  // trash_round.cc: background work
  [[nodiscard]] std::int64_t clock() const;
  Task<void> work();
  Task<bool> hold_lock();
  Task<bool> go_on();
  Task<void> release();
  Task<void> rebuild();
  Task<void> rebuild_entry(Ino current, wire::Dentry entry);
  Task<std::string> original_name(wire::Dentry entry);
  Task<void> expire();
  Task<bool> is_due(wire::Dentry entry);
  Task<void> begin_deleting(Ino ino);
  Task<void> rotate(wire::InodeInfo current);
  Task<bool> delete_tree(Ino dir, std::string name, Ino ino, int depth);
  Task<bool> delete_entry(Ino dir, wire::Dentry entry, int depth);

  MetaOps& ops_;
  const MountConfig& config_;
  DirNames names_;
  Attr root_;
  Ino trash_ = 0;  ///< .Trash, 0 until it was seen
  std::uint64_t lock_id_ = 0;
  std::int64_t lock_until_s_ = 0, expire_at_s_ = 0;
  bool locked_ = false, in_round_ = false, ending_ = false;
  std::set<Ino> deleting_;  ///< expired directories whose deletion has begun
};

/// Parts of the path that a name in Current stands for; empty when it is none of those.
std::vector<std::string> split_flat(const std::string& name);
/// A name of at most 255 bytes for one that is too long. Source: sdk/meta/trash.go (LongName).
std::string short_name(const std::string& base, std::uint64_t unique);

}  // namespace cfs

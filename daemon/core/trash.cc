// SPDX-License-Identifier: Apache-2.0
/// Deletions into the trash; contracts in trash.h, resume rules in docs/progress.md.
#include "daemon/core/trash.h"

#include <spdlog/spdlog.h>

#include "daemon/core/op_create.h"
#include "daemon/core/op_rename.h"
#include "daemon/core/volume_impl.h"

namespace cfs {
namespace {

constexpr std::string_view kSlash = "|__|";  // ParentDirPrefix of sdk/meta/trash.go
constexpr std::string_view kLongName = "LongName____";
constexpr std::size_t kMostDirs = 200000;
constexpr int kMostDepth = 4096;
constexpr std::uint64_t kPage = 1024;

std::uint64_t print_of(Ino dir, const std::string& name, bool is_dir) {
  return fingerprint({dir, is_dir ? 1u : 0u}, {name});
}

}  // namespace

// ---------------------------------------------------------------- names

/// Bounded: beyond the limit everything is forgotten and learnt anew.
void DirNames::learn(Ino dir, const std::string& name, Ino ino) {
  if (by_ino_.size() >= kMostDirs) {
    by_ino_.clear();
    by_name_.clear();
  }
  forget(dir, name);
  const auto old = by_ino_.find(ino);
  if (old != by_ino_.end()) by_name_.erase(old->second);
  by_ino_[ino] = Place{dir, name};
  by_name_[Place{dir, name}] = ino;
}

void DirNames::forget(Ino dir, const std::string& name) {
  const auto found = by_name_.find(Place{dir, name});
  if (found == by_name_.end()) return;
  by_ino_.erase(found->second);
  by_name_.erase(found);
}

void DirNames::move(Ino dir, const std::string& name, Ino new_dir, const std::string& new_name) {
  const auto found = by_name_.find(Place{dir, name});
  if (found == by_name_.end()) return forget(new_dir, new_name);
  learn(new_dir, new_name, found->second);
}

std::vector<std::string> DirNames::path(Ino root, Ino dir, Ino* top) const {
  std::vector<std::string> parts;
  Ino at = dir;
  for (int depth = 0; at != root && depth < kMostDepth; ++depth) {
    const auto place = by_ino_.find(at);
    if (place == by_ino_.end()) break;
    parts.push_back(place->second.second);
    at = place->second.first;
  }
  if (at != root) parts.push_back("inode-" + std::to_string(at));
  *top = at;
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string> split_flat(const std::string& name) {
  std::vector<std::string> parts;
  if (name.find(kSlash) == std::string::npos) return parts;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find(kSlash, at), name.size());
    if (end > at) parts.push_back(name.substr(at, end - at));
    at = end + kSlash.size();
  }
  return parts;
}

std::string short_name(const std::string& base, std::uint64_t unique) {
  char tail[48];
  std::snprintf(tail, sizeof(tail), "%.*s%016llx", static_cast<int>(kSlash.size()), kSlash.data(),
                static_cast<unsigned long long>(unique));
  const std::string end(tail);
  std::size_t keep = std::min(base.size(), CFS_NAME_BYTES_MAX - kLongName.size() - end.size());
  while (keep < base.size() && keep > 0 && (base[keep] & 0xC0) == 0x80) --keep;  // whole characters
  return std::string(kLongName) + base.substr(0, keep) + end;
}

std::string Trash::flat_name(Ino dir, const std::string& name) const {
  Ino top = 0;
  std::string flat;
  for (const std::string& part : names_.path(root_.ino, dir, &top))
    flat.append(kSlash).append(part);
  return flat.append(kSlash).append(name);
}

// ---------------------------------------------------------------- where

bool Trash::on() const {
  return config_.trash && !config_.read_only && ops_.views().last_stat().trash_interval_min > 0;
}

/// Not below .Trash itself.
bool Trash::moves(Ino dir) const {
  if (!on()) return false;
  if (dir == trash_) return false;
  Ino top = 0;
  const std::vector<std::string> parts = names_.path(root_.ino, dir, &top);
  const bool below = top == root_.ino && !parts.empty() && parts.front() == kName;
  return !below && top != trash_;
}

Task<void> Trash::prepare(Attr root) {
  root_ = std::move(root);
  if (!on()) co_return;
  Result<Ino> made = co_await current();
  if (!made.ok()) spdlog::warn("trash cannot be made: {}", made.error().text());
}

/// Find or make a directory; another client may make it at the same time.
Task<Result<Ino>> Trash::directory(Ino parent, std::string name, Attr like) {
  Result<wire::LookupReply> there = co_await ops_.lookup(parent, name);
  if (!there.ok() && there.error().code == ENOENT) {
    Progress progress;
    CreateOp op(ops_, progress,
                CreateOp::Args{parent, name, like.mode, {}, Caller{like.uid, like.gid}});
    Result<Attr> made = co_await op.run();
    if (made.ok()) co_return made->ino;
    if (made.error().code != EEXIST) co_return made.error();
    there = co_await ops_.lookup(parent, name);
  }
  if (!there.ok()) co_return there.error();
  if (!S_ISDIR(wire::from_go_mode(there->mode))) co_return make_error(ENOTDIR, name);
  co_return there->ino;
}

/// Looked up each time: another client may have turned Current into an expired directory.
Task<Result<Ino>> Trash::current() {
  Result<Ino> trash = co_await directory(root_.ino, kName, root_);
  if (!trash.ok()) co_return trash;
  trash_ = *trash;
  names_.learn(root_.ino, kName, trash_);
  Result<Ino> current = co_await directory(trash_, kCurrent, root_);
  if (current.ok()) names_.learn(trash_, kCurrent, *current);
  co_return current;
}

Task<Result<wire::ReadDirReply>> Trash::page(Ino dir, std::string marker, CallMode mode) {
  wire::ReadDirLimitReq req;
  req.pino = dir;
  req.marker = std::move(marker);
  req.limit = kPage;
  Answer<wire::ReadDirReply> got =
      co_await ops_.client().send_to<wire::ReadDirLimitReq>(dir, std::move(req), mode);
  if (!got.ok()) co_return answer_error(got.result, got.error);
  co_return std::move(got.reply);
}

/// The name of an inode in a directory; empty when it has none. Asks the leader only: a follower may
/// not have the name yet, and whoever believes that there is none takes away links.
Task<Result<std::string>> Trash::name_of(Ino dir, Ino ino) {
  std::string marker;
  for (;;) {
    Result<wire::ReadDirReply> got = co_await page(dir, marker, CallMode{});
    if (!got.ok()) co_return got.error();
    for (const wire::Dentry& d : got->children) {
      if (d.ino == ino) co_return d.name;
    }
    if (got->children.size() < kPage) co_return std::string();
    marker = got->children.back().name;
  }
}

// ---------------------------------------------------------------- remove

Task<Result<Attr>> Trash::remove(Ino dir, std::string name, bool is_dir, UnlinkHints hints,
                                 Progress& progress) {
  const std::uint64_t print = print_of(dir, name, is_dir);
  const std::optional<ProgressRecord> moving =
      ProgressLog::peek(progress, ProgressOp::kTrash, print);
  const bool erasing = ProgressLog::peek(progress, ProgressOp::kUnlink, print).has_value();
  Result<Attr> done = make_error(EOPNOTSUPP, "the trash itself cannot be removed");
  if (on() && dir == root_.ino && name == kName) co_return done;
  if (moving) {
    done = co_await resume_move(dir, name, is_dir, *moving, progress);
  } else if (!erasing && moves(dir)) {
    done = co_await move(dir, name, is_dir, progress);
  } else {
    done = co_await erase(dir, name, is_dir, hints, progress);
  }
  if (done.ok() && is_dir) names_.forget(dir, name);
  co_return done;
}

Task<Result<Attr>> Trash::erase(Ino dir, std::string name, bool is_dir, UnlinkHints hints,
                                Progress& progress) {
  UnlinkOp op(ops_, progress, dir, std::move(name), is_dir, hints);
  Result<Attr> done = co_await op.run();
  co_return done;
}

Task<Result<Attr>> Trash::move(Ino dir, std::string name, bool is_dir, Progress& progress) {
  Result<Removal> may = co_await check_removal(ops_, dir, name, is_dir);
  if (!may.ok()) co_return may.error();
  Result<Ino> to = co_await current();
  Result<Attr> done = make_error(EIO, {});
  if (!to.ok() && to.error().code == ESHUTDOWN) co_return to.error();
  if (!to.ok()) {
    spdlog::warn("\"{}\" is deleted for real, there is no trash: {}", name, to.error().text());
    done = co_await erase(dir, name, is_dir, {}, progress);
    co_return done;
  }
  std::string flat = flat_name(dir, name);
  std::string target = flat;
  if (flat.size() > CFS_NAME_BYTES_MAX) target = short_name(name, fingerprint({may->ino}, {flat}));
  done = co_await move_as(dir, name, is_dir, *to, target, progress);
  if (done.ok() && target != flat) co_await note_long_name(may->ino, flat);
  co_return done;
}

/// A former daemon was moving: to the directory of its record, where the inode may already have its
/// new name.
Task<Result<Attr>> Trash::resume_move(Ino dir, std::string name, bool is_dir, ProgressRecord found,
                                      Progress& progress) {
  const bool back = found.new_dir == dir;  // it was to leave the trash again
  const Ino to = back ? found.uniq_old : found.new_dir;
  Result<std::string> there = co_await name_of(to, found.ino);
  if (!there.ok()) co_return there.error();  // the record stays as it is
  std::string target = std::move(there).value();
  if (target.empty()) {
    target = flat_name(dir, name);
    if (target.size() > CFS_NAME_BYTES_MAX) target = short_name(name, found.ino);
  }
  Result<Attr> done = make_error(EIO, {});
  if (back) {
    const Attr moved{.ino = found.ino, .mode = found.mode, .nlink = 2};
    done = co_await move_back(dir, name, to, target, moved, progress);
    co_return done;
  }
  done = co_await move_as(dir, name, is_dir, to, target, progress);
  if (done.ok() || done.error().code != ENOENT) co_return done;
  // gone under the old name: moved by the former daemon, and since then by the trash's own work
  Result<wire::InodeInfo> info = co_await ops_.inode(found.ino);
  if (info.ok()) co_return to_attr(*info);
  co_return done;
}

/// Rename, with another name for a file whose name is taken in the trash. An empty directory of
/// which the trash has one of the same path is not worth keeping twice.
Task<Result<Attr>> Trash::move_as(Ino dir, std::string name, bool is_dir, Ino to,
                                  std::string target, Progress& progress) {
  constexpr int kTries = 5;
  Result<Attr> done = make_error(EEXIST, {});
  const std::string first = target;
  Progress again(progress.record(), false);
  for (int i = 0; i < kTries; ++i) {
    RenameOp op(ops_, i == 0 ? progress : again,
                RenameOp::Args{dir, name, to, target, true, {}, print_of(dir, name, is_dir)});
    done = co_await op.run();
    if (done.ok() || done.error().code != EEXIST || is_dir) break;
    const std::string suffix = "_" + std::to_string(::time(nullptr) + i);
    target = first.size() + suffix.size() > CFS_NAME_BYTES_MAX
                 ? short_name(first, fingerprint({static_cast<std::uint64_t>(i)}, {first, suffix}))
                 : first + suffix;
  }
  const int code = done.ok() ? 0 : done.error().code;
  if (code == EEXIST || code == EDQUOT || code == ENOSPC) {
    done = co_await erase(dir, name, is_dir, {}, again);
  } else if (is_dir && done.ok()) {
    done = co_await keep_if_empty(dir, name, to, target, *done, progress);
  }
  co_return done;
}

/// Another host may have filled the directory between the check and the move. One that the trash's
/// own work has moved on was empty; that work fills directories, too, but none with a flat name.
Task<Result<Attr>> Trash::keep_if_empty(Ino dir, std::string name, Ino to, std::string target,
                                        Attr moved, Progress& progress) {
  if (target.find(kSlash) == std::string::npos) co_return moved;
  co_await settle_time();
  Result<wire::InodeInfo> info = co_await ops_.inode(moved.ino);
  if (!info.ok() && info.error().code == ENOENT) co_return moved;
  if (!info.ok()) co_return info.error();
  if (check_empty(*info).ok()) co_return moved;
  Result<wire::LookupReply> there = co_await ops_.lookup(to, target);
  if (!there.ok() && there.error().code == ESHUTDOWN) co_return there.error();
  if (!there.ok() || there->ino != moved.ino) co_return moved;
  Progress old(progress.record(), true);
  ProgressLog log(old, ProgressOp::kTrash, print_of(dir, name, true), &ops_.progress_hook);
  log.record().new_dir = dir;
  log.record().uniq_old = to;
  if (!log.write(Step::kTrashBack)) co_return make_error(ECANCELED, "abandoned");
  Result<Attr> done = co_await move_back(dir, name, to, target, moved, progress);
  co_return done;
}

/// The rename keeps the record's `new_dir` and `uniq_old`, since it replaces nothing. Where the name
/// has been taken or the trash has moved the directory on, it stays in the trash and the name was
/// removed.
Task<Result<Attr>> Trash::move_back(Ino dir, std::string name, Ino from, std::string target,
                                    Attr moved, Progress& progress) {
  Progress begun(progress.record(), true);
  const RenameHints none;
  RenameOp op(ops_, begun,
              RenameOp::Args{from, target, dir, name, true, none, print_of(dir, name, true)});
  Result<Attr> done = co_await op.run();
  if (done.ok()) co_return make_error(ENOTEMPTY, "got an entry while it was removed");
  const int code = done.error().code;
  if (code == ESHUTDOWN || code == ECANCELED) co_return done;
  spdlog::error(
      "rmdir: directory {} got an entry while it was removed and stays in the trash as \"{}\": {}",
      moved.ino, target, done.error().text());
  if (code == EEXIST || code == ENOENT) co_return moved;
  co_return done;
}

/// The whole name, for who wants to restore the file. Source: sdk/meta/trash.go (OriginalName).
Task<void> Trash::note_long_name(Ino ino, std::string name) {
  wire::SetXattrReq req;
  req.ino = ino;
  req.key = "OriginalName";
  req.value = std::move(name);
  Answer<wire::NoBody> got = co_await ops_.client().send_to<wire::SetXattrReq>(ino, std::move(req));
  if (!got.ok()) spdlog::warn("trash: inode {} has no OriginalName: {}", ino, got.error.text());
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Volume: lookup, directory pages, and the entrances of the operations that change names.
///
/// Source   CubeFS v3.5.3 client/fs/dir.go, sdk/meta/api.go.
#include <spdlog/spdlog.h>

#include <map>

#include "daemon/base/when_all.h"
#include "daemon/core/op_create.h"
#include "daemon/core/op_link.h"
#include "daemon/core/op_rename.h"
#include "daemon/core/op_tmpfile.h"
#include "daemon/core/volume_impl.h"

namespace cfs {
namespace {

constexpr std::uint32_t kPageMax = 4096;
constexpr std::uint32_t kPageDefault = 1024;

/// A name the kernel can hand back to us; others cannot be opened and are left out.
bool usable(const wire::Dentry& d) {
  return d.ino != 0 && check_name(d.name).ok();
}

std::uint32_t type_bits(std::uint32_t go_mode) {
  return wire::from_go_mode(go_mode) & S_IFMT;
}

/// Page from a reply: drop the marker's own entry, and only that.
std::vector<DirEntry> to_entries(const wire::ReadDirReply& reply, const std::string& marker) {
  std::vector<DirEntry> out;
  out.reserve(reply.children.size());
  for (const wire::Dentry& d : reply.children) {
    if ((!marker.empty() && d.name == marker) || !usable(d)) continue;
    DirEntry entry;
    entry.name = d.name;
    entry.ino = d.ino;
    entry.type = type_bits(d.type);
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace

Task<Result<Attr>> VolumeImpl::lookup(Ino dir, std::string name) {
  const Result<void> open = open_for_use();
  if (!open.ok()) co_return open.error();
  const Result<void> good = check_name(name);
  if (!good.ok()) co_return good.error();
  const Busy busy(*this);
  Result<OpenResult> found = co_await resolve(dir, std::move(name), false);
  if (!found.ok()) co_return found.error();
  co_return std::move(found->attr);
}

Task<Result<OpenResult>> VolumeImpl::lookup_open(Ino dir, std::string name) {
  const Result<void> open = open_for_use();
  if (!open.ok()) co_return open.error();
  const Result<void> good = check_name(name);
  if (!good.ok()) co_return good.error();
  const Busy busy(*this);
  Result<OpenResult> found = co_await resolve(dir, std::move(name), true);
  co_return found;
}

/// A name and what is behind it: one round trip when the inode was guessed right, else two.
Task<Result<OpenResult>> VolumeImpl::resolve(Ino dir, std::string name, bool extents) {
  const NameGuesses::Guess guess = guesses_.of(dir, name);
  Result<wire::LookupReply> there = make_error(EIO, {});
  Result<OpenResult> found = make_error(EIO, {});
  if (guess.ino == 0) {
    there = co_await ops_.lookup(dir, name);
  } else {
    std::vector<Task<bool>> asks;
    asks.push_back(store_into(ops_.lookup(dir, name), &there));
    asks.push_back(store_into(behind(guess.ino, extents && guess.is_file, true), &found));
    (void)co_await when_all<bool>(loop_, std::move(asks));
  }
  if (!there.ok()) {
    if (there.error().code == ENOENT && guess.ino != 0) guesses_.learn(dir, name, 0, false);
    co_return there.error();
  }
  const std::uint32_t mode = wire::from_go_mode(there->mode);
  learn(dir, name, there->ino, mode);
  if (guess.ino != there->ino || !found.ok()) {
    // The dentry tells the type early. Where it is wrong (a name replaced by another type keeps its
    // first one) the list is not asked for, or not used.
    found = co_await behind(there->ino, extents && S_ISREG(mode), false);
  }
  co_return found;
}

/// Attributes, and the extents of a regular file when they are wanted. A name without an inode: a file
/// without rights stands for it, so that it can be removed. Source: CubeFS client/fs/dir.go
/// (Lookup, DummyInode).
Task<Result<OpenResult>> VolumeImpl::behind(Ino ino, bool extents, bool guessed) {
  Answer<wire::InodeGetReply> once;
  Result<wire::InodeInfo> info = make_error(EIO, {});
  Result<ExtentList> list = make_error(ENODATA, {});
  std::vector<Task<bool>> asks;
  asks.push_back(guessed ? store_into(ops_.inode_once(ino), &once)
                         : store_into(ops_.inode(ino), &info));
  if (extents) asks.push_back(store_into(extent_list(ino), &list));
  (void)co_await when_all<bool>(loop_, std::move(asks));
  if (guessed && !once.ok()) co_return answer_error(once.result, once.error);
  if (guessed) info = std::move(once.reply.info);
  if (!info.ok() && info.error().code != ENOENT) co_return info.error();
  OpenResult out;
  out.attr = info.ok() ? to_attr(*info) : Attr{.ino = ino, .mode = S_IFREG, .nlink = 1};
  out.has_extents = list.ok() && S_ISREG(out.attr.mode);
  if (!out.has_extents) co_return out;
  out.extents = std::move(list).value();
  out.extents.storage_class = out.attr.storage_class;
  co_return out;
}

// ---------------------------------------------------------------- readdir

Task<Result<DirPage>> VolumeImpl::readdir(Ino dir, std::string marker, std::uint32_t limit,
                                          bool security) {
  const Result<void> open = open_for_use();
  if (!open.ok()) co_return open.error();
  const Busy busy(*this);
  if (limit == 0) limit = kPageDefault;
  wire::ReadDirLimitReq req;
  req.pino = dir;
  req.marker = marker;
  req.limit = std::min(limit, kPageMax) + (marker.empty() ? 0 : 1);  // the marker comes again
  const std::uint64_t asked = req.limit;
  Answer<wire::ReadDirReply> got = co_await ops_.client().send_to<wire::ReadDirLimitReq>(
      dir, std::move(req), CallMode{.read = true});
  if (!got.ok()) co_return answer_error(got.result, got.error);
  DirPage page;
  page.eof = got.reply.children.size() < asked;
  page.entries = to_entries(got.reply, marker);
  co_await fill_attrs(&page.entries, security);
  for (const DirEntry& e : page.entries) learn(dir, e.name, e.ino, e.type);
  co_return page;
}

/// One request per partition, two with `security`, all side by side; what does not answer stays without attributes, or is not
/// known to have no security.
Task<void> VolumeImpl::fill_attrs(std::vector<DirEntry>* entries, bool security) {
  std::map<std::uint64_t, std::vector<Ino>> by_partition;
  const std::shared_ptr<const MetaView> view = views_->meta();
  for (const DirEntry& e : *entries) {
    const MetaPartition* p = view->of_inode(e.ino);
    if (p != nullptr) by_partition[p->id].push_back(e.ino);
  }
  std::vector<Result<wire::BatchInodeGetReply>> got(by_partition.size(), make_error(EIO, {}));
  std::unordered_set<Ino> secured;
  std::vector<Task<bool>> asks;
  std::size_t at = 0;
  for (const auto& [partition, inodes] : by_partition) {
    asks.push_back(store_into(batch_get(partition, inodes), &got[at++]));
    if (security) asks.push_back(find_secured(partition, inodes, &secured));
  }
  (void)co_await when_all<bool>(loop_, std::move(asks));
  std::unordered_map<Ino, const wire::InodeInfo*> infos;
  for (const Result<wire::BatchInodeGetReply>& reply : got) {
    if (!reply.ok()) continue;
    for (const wire::InodeInfo& info : reply->infos) infos[info.ino] = &info;
  }
  for (DirEntry& e : *entries) {
    const auto info = infos.find(e.ino);
    if (info == infos.end()) continue;
    e.attr = to_attr(*info->second);
    e.attr.no_security = security && !secured.contains(e.ino);
    e.type = e.attr.mode & S_IFMT;  // a replaced name may still carry its first type
  }
}

/// Those that have one of these xattrs, or may have: all when the partition does not answer.
Task<bool> VolumeImpl::find_secured(std::uint64_t partition, std::vector<Ino> inodes,
                                    std::unordered_set<Ino>* found) {
  wire::BatchGetXattrReq req;
  req.inos = inodes;
  req.keys.assign(std::begin(kSecurityXattrs), std::end(kSecurityXattrs));
  Answer<wire::BatchGetXattrReply> got = co_await ops_.client().send<wire::BatchGetXattrReq>(
      partition, std::move(req), CallMode{.read = true});
  if (!got.ok()) found->insert(inodes.begin(), inodes.end());
  for (const wire::XattrsOfInode& one : got.reply.inodes) {
    if (!one.attrs.empty()) found->insert(one.ino);
  }
  co_return got.ok();
}

Task<Result<wire::BatchInodeGetReply>> VolumeImpl::batch_get(std::uint64_t partition,
                                                             std::vector<Ino> inodes) {
  wire::BatchInodeGetReq req;
  req.inos = std::move(inodes);
  Answer<wire::BatchInodeGetReply> got = co_await ops_.client().send<wire::BatchInodeGetReq>(
      partition, std::move(req), CallMode{.read = true});
  if (!got.ok()) co_return answer_error(got.result, got.error);
  co_return std::move(got.reply);
}

// ---------------------------------------------------------------- changes of names

Task<Result<Attr>> VolumeImpl::create(Ino dir, std::string name, std::uint32_t mode,
                                      std::string target, Caller who, Progress& progress,
                                      Ahead* ahead) {
  const Result<void> may = may_change(name);
  if (!may.ok()) co_return may.error();
  if (S_ISCHR(mode) || S_ISBLK(mode)) co_return make_error(EPERM, "CubeFS has no device nodes");
  if ((mode & S_IFMT) == 0) mode |= S_IFREG;
  const Busy busy(*this);
  CreateOp op(ops_, progress, CreateOp::Args{dir, name, mode, std::move(target), who, ahead});
  Result<Attr> done = co_await op.run();
  if (done.ok()) learn(dir, name, done->ino, mode);
  co_return done;
}

Task<Result<Attr>> VolumeImpl::tmpfile(Ino dir, std::uint32_t mode, Caller who,
                                       Progress& progress) {
  const Result<void> may = open_for_change();
  if (!may.ok()) co_return may.error();
  const Busy busy(*this);
  TmpfileOp op(ops_, progress, dir, S_IFREG | (mode & ~S_IFMT), who);
  Result<Attr> done = co_await op.run();
  co_return done;
}

Task<Result<Attr>> VolumeImpl::unlink(Ino dir, std::string name, bool is_dir, Progress& progress,
                                      UnlinkHints hints) {
  const Result<void> may = may_change(name);
  if (!may.ok()) co_return may.error();
  const Busy busy(*this);
  Result<Attr> done = co_await trash_.remove(dir, name, is_dir, hints, progress);
  if (done.ok()) guesses_.learn(dir, name, 0, false);
  co_return done;
}

Task<Result<void>> VolumeImpl::evict_link(Ino ino, Progress& progress) {
  const Result<void> open = open_for_use();
  if (!open.ok()) co_return open;
  const Busy busy(*this);
  EvictLinkOp op(ops_, progress, ino);
  Result<Attr> done = co_await op.run();
  if (!done.ok()) co_return done.error();
  co_return Result<void>();
}

Task<Result<Attr>> VolumeImpl::rename(Ino dir, std::string name, Ino new_dir, std::string new_name,
                                      bool no_replace, Progress& progress, RenameHints hints) {
  Result<void> may = may_change(name);
  if (may.ok()) may = check_name(new_name);
  if (!may.ok()) co_return may.error();
  const Busy busy(*this);
  RenameOp op(ops_, progress, RenameOp::Args{dir, name, new_dir, new_name, no_replace, hints});
  Result<Attr> done = co_await op.run();
  if (!done.ok()) co_return done;
  const NameGuesses::Guess moved = guesses_.of(dir, name);
  guesses_.learn(dir, name, 0, false);
  guesses_.learn(new_dir, new_name, moved.ino, moved.is_file);
  trash_.names().move(dir, name, new_dir, new_name);
  co_return done;
}

Task<Result<Attr>> VolumeImpl::link(Ino ino, Ino dir, std::string name, Progress& progress) {
  const Result<void> may = may_change(name);
  if (!may.ok()) co_return may.error();
  const Busy busy(*this);
  LinkOp op(ops_, progress, ino, dir, std::move(name));
  Result<Attr> done = co_await op.run();
  co_return done;
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// The FUSE requests: each callback copies its arguments and runs a task that replies.
///
/// Purpose  Translation between libfuse's low-level calls and Volume / DataFile; no policy.
/// Threads  The loop thread, called by FuseSession::pump().
/// Failure  Each task answers its FuseCall exactly once.
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <ctime>
#include <string_view>

#include "daemon/base/when_all.h"
#include "daemon/fuse/fuse_acl.h"
#include "daemon/fuse/fuse_call.h"

namespace cfs {

namespace {

constexpr std::size_t kMaxIo = 1u << 20;

using Call = std::shared_ptr<FuseCall>;

FuseSession& session(fuse_req_t req) {
  return *static_cast<FuseSession*>(fuse_req_userdata(req));
}

Caller caller(fuse_req_t req) {
  const fuse_ctx* c = fuse_req_ctx(req);
  return {c->uid, c->gid};
}

void reply(const Call& req, const Result<void>& r) {
  req->err(r.code());
}

void reply_entry(FuseSession& s, const Call& req, const Result<Attr>& r) {
  if (r) {
    s.reply_entry(*req, *r);
  } else {
    req->err(r.code());
  }
}

/// Errno for an inode that the kernel knows but the server does not: it was removed or replaced
/// elsewhere. ESTALE makes the VFS look the name up again, ENOENT would be believed. Source: Linux
/// fs/namei.c, retry_estale().
int of_known_inode(int code) {
  return code == ENOENT ? ESTALE : code;
}

void reply_attr(FuseSession& s, const Call& req, const Result<Attr>& r) {
  if (!r) {
    req->err(of_known_inode(r.code()));
    return;
  }
  const struct stat st = s.to_stat(*r, req->asked_ms());
  if (S_ISREG(r->mode)) s.told_size(r->ino, static_cast<std::uint64_t>(st.st_size));
  req->attr(st, s.vol().config().attr_valid_ms / 1000.0);
}

/// Who makes an inode. The umask is 0 where the kernel has applied it.
struct Maker {
  Caller who;
  std::uint32_t umask = 0;
};

Maker maker(fuse_req_t req) {
  const fuse_ctx* c = fuse_req_ctx(req);
  return {{c->uid, c->gid}, session(req).acl() ? static_cast<std::uint32_t>(c->umask) : 0};
}

/// Group of a new inode: the directory's when that has the setgid bit, which a new directory then
/// has as well.
Task<Result<Caller>> owner_of_new(FuseSession* s, Ino dir, Caller who, std::uint32_t* mode) {
  const auto parent = co_await s->vol().getattr(dir);
  if (!parent) co_return parent.error();
  if ((parent->mode & S_ISGID) != 0) {
    who.gid = parent->gid;
    if (S_ISDIR(*mode)) *mode |= S_ISGID;
  }
  co_return who;
}

/// Its ACL and mode, by the directory's default ACL or the umask.
Task<Result<NewAcl>> acl_of_new(FuseSession* s, Ino dir, std::uint32_t mode, std::uint32_t umask) {
  NewAcl plain;
  plain.mode = mode;
  if (!s->acl() || S_ISLNK(mode)) co_return plain;
  plain.mode = mode & ~umask;
  if (s->without_default_acl(dir)) co_return plain;
  const std::uint64_t changes = s->default_acl_changes();
  Result<NewAcl> acl = co_await inherit_acl(&s->vol(), dir, mode, umask);
  if (acl && !acl->inherited) s->found_no_default_acl(dir, changes);
  co_return acl;
}

/// An inode without the ACL that its directory demands must not stay.
Task<Result<Attr>> finish_acl(FuseSession* s, Ino dir, std::string name, Attr made, NewAcl acl) {
  const Result<void> given = co_await give_acl(&s->vol(), made.ino, std::move(acl));
  if (given) co_return made;
  Progress progress;
  const auto removed = co_await s->vol().unlink(dir, std::move(name), S_ISDIR(made.mode), progress);
  if (removed) s->orphan(*removed);
  co_return given.error();
}

Task<Result<Attr>> make(FuseSession* s, Ino dir, std::string name, std::uint32_t mode,
                        std::string target, Maker maker) {
  Result<Caller> owner = make_error(EIO, {});
  Result<NewAcl> acl = make_error(EIO, {});
  std::vector<Task<bool>> asks;
  std::uint32_t with_sgid = mode;
  asks.push_back(store_into<Result<Caller>>(owner_of_new(s, dir, maker.who, &with_sgid), &owner));
  asks.push_back(store_into<Result<NewAcl>>(acl_of_new(s, dir, mode, maker.umask), &acl));
  (void)co_await when_all<bool>(s->loop(), std::move(asks));
  if (!owner) co_return owner.error();
  if (!acl) co_return acl.error();
  mode = acl->mode | (with_sgid & S_ISGID);
  Progress progress;
  Result<Attr> made = co_await s->vol().create(dir, name, mode, target, *owner, progress);
  if (!made) co_return made;
  made->no_security = acl->access.empty() && acl->defaults.empty();
  if (made->no_security) co_return made;
  const Ino ino = made->ino;
  made = co_await finish_acl(s, dir, std::move(name), *made, std::move(*acl));
  s->change_security(ino);  // it may have been listed meanwhile
  co_return made;
}

// ---- names ----
/// "." is a file handle's way to an inode the kernel has forgotten (export by NFS). A parent cannot be
/// found: the servers do not know it.
Task<void> do_lookup(FuseSession* s, Call req, Ino dir, std::string name) {
  if (name == ".") {
    const auto self = co_await s->vol().getattr(dir);
    reply_entry(*s, req, self);
    co_return;
  }
  if (name == "..") {
    req->err(ESTALE);
    co_return;
  }
  const auto a = co_await s->vol().lookup(dir, name);
  reply_entry(*s, req, a);
}

Task<void> do_make(FuseSession* s, Call req, Ino dir, std::string name, std::uint32_t mode,
                   std::string target, Maker who) {
  const auto a = co_await make(s, dir, name, mode, target, who);
  reply_entry(*s, req, a);
}

Task<void> do_unlink(FuseSession* s, Call req, Ino dir, std::string name, bool is_dir) {
  Progress progress;
  const auto removed = co_await s->vol().unlink(dir, name, is_dir, progress);
  if (removed) s->orphan(*removed);
  req->err(removed.code());
}

Task<void> do_rename(FuseSession* s, Call req, Ino dir, std::string name, Ino new_dir,
                     std::string new_name, bool no_replace) {
  Progress progress;
  const auto gone = co_await s->vol().rename(dir, name, new_dir, new_name, no_replace, progress);
  if (gone) s->orphan(*gone);
  req->err(gone.code());
}

Task<void> do_link(FuseSession* s, Call req, Ino ino, Ino dir, std::string name) {
  Progress progress;
  const auto a = co_await s->vol().link(ino, dir, name, progress);
  reply_entry(*s, req, a);
}

Task<void> do_readlink(FuseSession* s, Call req, Ino ino) {
  const auto target = co_await s->vol().readlink(ino);
  if (target) {
    req->readlink(*target);
  } else {
    req->err(target.code());
  }
}

// ---- attributes ----
Task<void> do_getattr(FuseSession* s, Call req, Ino ino) {
  const auto a = co_await s->vol().getattr(ino);
  reply_attr(*s, req, a);
}

SetAttr to_change(const struct stat& st, int to_set) {
  SetAttr c;
  if (to_set & FUSE_SET_ATTR_MODE) c.valid |= SetAttr::kMode;
  if (to_set & FUSE_SET_ATTR_UID) c.valid |= SetAttr::kUid;
  if (to_set & FUSE_SET_ATTR_GID) c.valid |= SetAttr::kGid;
  if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) c.valid |= SetAttr::kMtime;
  if (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) c.valid |= SetAttr::kAtime;
  const std::int64_t now = std::time(nullptr);
  c.mode = st.st_mode;
  c.uid = st.st_uid;
  c.gid = st.st_gid;
  c.mtime = to_set & FUSE_SET_ATTR_MTIME_NOW ? now : st.st_mtim.tv_sec;
  c.atime = to_set & FUSE_SET_ATTR_ATIME_NOW ? now : st.st_atim.tv_sec;
  return c;
}

Task<Result<Attr>> set_size(FuseSession* s, Ino ino, std::uint64_t size) {
  const std::shared_ptr<DataFile> open = s->open_file(ino);
  if (open) co_return co_await open->truncate(size);
  Result<Attr> cut = co_await s->vol().truncate(ino, size);
  if (cut) s->note_own_size(ino, size, Loop::now_ms());
  co_return cut;
}

/// With ACLs, chmod(2) changes that of the inode as well.
Task<Result<Attr>> change_attrs(FuseSession* s, Ino ino, SetAttr change) {
  Result<Attr> attr = make_error(EIO, {});
  Result<void> acl;
  std::vector<Task<bool>> asks;
  asks.push_back(store_into<Result<Attr>>(s->vol().setattr(ino, change), &attr));
  if (s->acl() && (change.valid & SetAttr::kMode) != 0) {
    asks.push_back(store_into<Result<void>>(acl_follows_mode(&s->vol(), ino, change.mode), &acl));
  }
  (void)co_await when_all<bool>(s->loop(), std::move(asks));
  if (attr && !acl) co_return acl.error();
  co_return attr;
}

Task<void> do_setattr(FuseSession* s, Call req, Ino ino, struct stat st, int to_set) {
  if (to_set & FUSE_SET_ATTR_SIZE) {
    const auto cut = co_await set_size(s, ino, static_cast<std::uint64_t>(st.st_size));
    if (!cut) {
      req->err(of_known_inode(cut.code()));
      co_return;
    }
  }
  const SetAttr change = to_change(st, to_set);
  if (change.valid & SetAttr::kMtime) {
    // commits move the server's mtime: they go first, or they would undo what is set here
    const std::shared_ptr<DataFile> open = s->open_file(ino);
    if (open) {
      const auto flushed = co_await open->flush();
      if (!flushed) {
        req->err(flushed.code());
        co_return;
      }
    }
  }
  if (change.valid != 0) {
    const auto a = co_await change_attrs(s, ino, change);
    reply_attr(*s, req, a);
    co_return;
  }
  co_await do_getattr(s, req, ino);
}

Task<void> do_statfs(FuseSession* s, Call req) {
  const auto st = co_await s->vol().statfs();
  if (!st) {
    req->err(st.code());
    co_return;
  }
  struct statvfs v {};
  const std::uint64_t used = std::min(st->used_bytes, st->total_bytes);
  v.f_bsize = v.f_frsize = 4096;
  v.f_blocks = st->total_bytes / 4096;
  v.f_bfree = v.f_bavail = (st->total_bytes - used) / 4096;
  v.f_files = st->inodes;
  v.f_ffree = v.f_favail = INT64_MAX - st->inodes;
  v.f_namemax = CFS_NAME_BYTES_MAX;
  req->statfs(v);
}

// ---- extended attributes ----
void reply_bytes(const Call& req, const std::string& bytes, std::size_t room) {
  if (room == 0) {
    req->xattr(bytes.size());
  } else if (bytes.size() > room) {
    req->err(ERANGE);
  } else {
    req->buf(bytes.data(), bytes.size());
  }
}

bool is_acl(std::string_view name) {
  return name == kAclAccess || name == kAclDefault;
}

/// Which names exist is for the file system to say. Where ACLs are not checked, setting one is refused
/// rather than ignored; reading one that another mount has set is fine. Source: Linux xattr(7).
int xattr_name_refused(const FuseSession& s, std::string_view name, bool sets) {
  for (const std::string_view prefix : {"user.", "trusted.", "security."}) {
    if (name == prefix) return EINVAL;
    if (name.substr(0, prefix.size()) == prefix) return 0;
  }
  return is_acl(name) && (s.acl() || !sets) ? 0 : EOPNOTSUPP;
}

/// Who is neither root nor in the file's group loses the setgid bit with the ACL. Source: Linux
/// fs/posix_acl.c (posix_acl_update_mode).
Task<bool> keeps_sgid(FuseSession* s, Ino ino, Caller who, std::vector<gid_t> groups) {
  if (who.uid == 0) co_return true;
  const auto now = co_await s->vol().getattr(ino);
  if (!now || (now->mode & S_ISGID) == 0 || now->gid == who.gid) co_return true;
  co_return std::find(groups.begin(), groups.end(), now->gid) != groups.end();
}

/// Supplementary groups; none when they cannot be read.
std::vector<gid_t> groups_of(fuse_req_t req) {
  constexpr int kMost = 65536;  // NGROUPS_MAX
  std::vector<gid_t> groups(kMost);
  const int n = fuse_req_getgroups(req, kMost, groups.data());
  groups.resize(n > 0 ? static_cast<std::size_t>(std::min(n, kMost)) : 0);
  return groups;
}

Task<void> do_set_acl(FuseSession* s, Call req, Ino ino, std::string value, Caller who,
                      std::vector<gid_t> groups) {
  const bool keep = co_await keeps_sgid(s, ino, who, std::move(groups));
  s->change_security(ino);
  const auto r = co_await set_access_acl(&s->vol(), ino, std::move(value), keep);
  s->change_security(ino);
  reply(req, r);
}

bool is_security(const std::string& name) {
  return std::find(std::begin(kSecurityXattrs), std::end(kSecurityXattrs), name) !=
         std::end(kSecurityXattrs);
}

Task<void> do_getxattr(FuseSession* s, Call req, Ino ino, std::string name, std::size_t room) {
  if (is_security(name) && s->without_security(ino)) {
    req->err(ENODATA);
    co_return;
  }
  const auto value = co_await s->vol().getxattr(ino, name);
  if (value) {
    reply_bytes(req, *value, room);
  } else {
    req->err(value.code());
  }
}

/// Names of trusted.* are for CAP_SYS_ADMIN only (xattr(7)); of a FUSE caller only the uid is known.
Task<void> do_listxattr(FuseSession* s, Call req, Ino ino, Caller who, std::size_t room) {
  const auto names = co_await s->vol().listxattr(ino);
  if (!names) {
    req->err(names.code());
    co_return;
  }
  std::string all;
  for (const std::string& n : *names) {
    if (who.uid == 0 || n.rfind("trusted.", 0) != 0) all.append(n).push_back('\0');
  }
  reply_bytes(req, all, room);
}

Task<void> do_setxattr(FuseSession* s, Call req, Ino ino, std::string name, std::string value,
                       int flags) {
  const bool defaults = name == kAclDefault, security = is_security(name);
  if (defaults) s->change_default_acl(ino);
  if (security) s->change_security(ino);
  const auto r = co_await s->vol().setxattr(ino, name, value, flags);
  if (defaults) s->change_default_acl(ino);
  if (security) s->change_security(ino);
  reply(req, r);
}

Task<void> do_removexattr(FuseSession* s, Call req, Ino ino, std::string name) {
  Result<void> r;
  if (is_acl(name)) {
    r = co_await remove_acl(&s->vol(), ino, name);
  } else {
    r = co_await s->vol().removexattr(ino, name);
  }
  reply(req, r);
}

// ---- files ----
/// With O_TRUNC in open(2) the kernel leaves the set-id bits to us. Source: Linux fs/fuse/file.c,
/// FUSE_ATOMIC_O_TRUNC without FUSE_HANDLE_KILLPRIV; chmod(2): whoever has not CAP_FSETID loses
/// them.
Task<Result<void>> clear_set_ids(FuseSession* s, Ino ino) {
  const auto now = co_await s->vol().getattr(ino);
  if (!now) co_return now.error();
  SetAttr change;
  change.valid = SetAttr::kMode;
  change.mode = now->mode & ~static_cast<std::uint32_t>(S_ISUID);
  if ((now->mode & S_IXGRP) != 0) change.mode &= ~static_cast<std::uint32_t>(S_ISGID);
  if (change.mode == now->mode) co_return Result<void>{};
  const auto set = co_await s->vol().setattr(ino, change);
  if (!set) co_return set.error();
  co_return Result<void>{};
}

Task<Result<void>> cut_at_open(FuseSession* s, DataFile* f, Ino ino, Caller who) {
  const auto cut = co_await f->truncate(0);
  if (!cut) co_return cut.error();
  if (who.uid == 0) co_return Result<void>{};
  co_return co_await clear_set_ids(s, ino);
}

Task<void> do_open(FuseSession* s, Call req, Ino ino, Caller who, fuse_file_info fi) {
  const std::shared_ptr<DataFile> f = s->file(ino);
  ++f->handles;
  Result<void> opened;
  Result<Attr> now = make_error(ENODATA, "not asked");
  std::vector<Task<bool>> asks;
  asks.push_back(store_into<Result<void>>(f->open(), &opened));
  if (s->may_have_pages(ino)) {
    asks.push_back(store_into<Result<Attr>>(s->vol().getattr(ino), &now));
  }
  (void)co_await when_all<bool>(s->loop(), std::move(asks));
  fi.keep_cache = s->pages_are_current(ino, now ? &*now : nullptr) ? 1 : 0;
  if (opened && (fi.flags & O_TRUNC) != 0) {
    fi.keep_cache = 0;
    opened = co_await cut_at_open(s, f.get(), ino, who);
  }
  if (opened) s->check_told_size(ino);
  if (opened && req->open(fi) == 0) co_return;
  if (!opened) req->err(of_known_inode(opened.code()));
  const auto released = co_await s->release_file(ino);
  static_cast<void>(released);
}

Task<void> do_create(FuseSession* s, Call req, Ino dir, std::string name, std::uint32_t mode,
                     Maker who, fuse_file_info fi) {
  auto a = co_await make(s, dir, name, mode, {}, who);
  // somebody else made the name meanwhile: without O_EXCL that is as good
  if (!a && a.code() == EEXIST && (fi.flags & O_EXCL) == 0) a = co_await s->vol().lookup(dir, name);
  if (!a) {
    req->err(a.code());
    co_return;
  }
  if (!S_ISREG(a->mode)) {
    req->err(S_ISDIR(a->mode) ? EISDIR : EEXIST);
    co_return;
  }
  const std::shared_ptr<DataFile> f = s->file(a->ino);
  ++f->handles;
  const fuse_entry_param e = s->to_entry(*a, req->asked_ms());
  if (req->create(e, fi) == 0) {
    s->remember(*a, req->asked_ms());
    co_return;
  }
  const auto released = co_await s->release_file(a->ino);
  static_cast<void>(released);
}

Task<void> do_read(FuseSession* s, Call req, Ino ino, std::size_t size, off_t off) {
  const auto data = co_await s->file(ino)->read(static_cast<std::uint64_t>(off), size);
  if (data) {
    req->buf(data->data(), data->size());
  } else {
    req->err(data.code());
  }
}

Task<void> do_write(FuseSession* s, Call req, Ino ino, std::string data, off_t off) {
  const std::size_t n = data.size();
  const auto done = co_await s->file(ino)->write(static_cast<std::uint64_t>(off), std::move(data));
  if (done) {
    req->write(n);
  } else {
    req->err(done.code());
  }
}

Task<void> do_flush(FuseSession* s, Call req, Ino ino) {
  const auto done = co_await s->file(ino)->flush();
  reply(req, done);
}

Task<void> do_release(FuseSession* s, Call req, Ino ino) {
  const auto done = co_await s->release_file(ino);
  reply(req, done);
}

// ---- directories ----
/// Adds entries to `out` until it is full; false when full.
class DirWriter {
 public:
  DirWriter(Call req, std::size_t room, bool plus)
      : req_(std::move(req)), buf_(room, '\0'), plus_(plus) {}

  /// `asked_ms`: when the page was asked for that has the entry.
  bool add(FuseSession& s, const DirEntry& entry, std::int64_t asked_ms, off_t next) {
    const Attr& attr = entry.attr;
    fuse_entry_param e{};
    if (attr.ino != 0) e = s.to_entry(attr, asked_ms);
    e.attr.st_ino = entry.ino;
    e.attr.st_mode = entry.type;
    if (attr.ino != 0) e.attr.st_mode = attr.mode;
    char* at = buf_.data() + used_;
    const std::size_t left = buf_.size() - used_;
    const std::size_t need =
        plus_ ? fuse_add_direntry_plus(nullptr, at, left, entry.name.c_str(), &e, next)
              : fuse_add_direntry(nullptr, at, left, entry.name.c_str(), &e.attr, next);
    if (need > left) return false;
    used_ += need;
    if (plus_ && attr.ino != 0) known_.push_back(attr);
    return true;
  }
  /// The kernel takes a reference on each entry with attributes.
  void send(FuseSession& s, std::int64_t asked_ms) {
    if (req_->buf(buf_.data(), used_) != 0) return;
    for (const Attr& attr : known_) s.remember(attr, asked_ms);
  }
  [[nodiscard]] bool empty() const { return used_ == 0; }

 private:
  Call req_;
  std::string buf_;
  std::vector<Attr> known_;
  std::size_t used_ = 0;
  bool plus_;
};

Task<void> do_readdir(FuseSession* s, Call req, std::shared_ptr<DirHandle> dir, std::size_t room,
                      std::uint64_t position, bool plus) {
  DirWriter out(req, room, plus);
  if (position == 0) dir->rewind();
  for (; position < 2; ++position) {
    const DirEntry dots{position == 0 ? "." : "..", dir->ino, S_IFDIR, {}};
    if (!out.add(*s, dots, 0, static_cast<off_t>(position + 1))) break;
  }
  if (position >= 2) {
    const auto loaded = co_await s->load_page(dir.get(), position);
    if (!loaded && out.empty()) {
      req->err(loaded.code());
      co_return;
    }
    const std::uint64_t end = dir->loaded_at + dir->loaded.entries.size();
    for (; loaded && position >= dir->loaded_at && position < end; ++position) {
      const DirEntry& e = dir->loaded.entries[position - dir->loaded_at];
      if (!out.add(*s, e, dir->asked_ms, static_cast<off_t>(position + 1))) break;
    }
  }
  out.send(*s, dir->asked_ms);
}

// ---- libfuse callbacks: copy and run ----
void on_init(void* data, fuse_conn_info* conn) {
  FuseSession& s = *static_cast<FuseSession*>(data);
  conn->max_write = kMaxIo;
  conn->max_readahead = kMaxIo;
  conn->want |=
      conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ATOMIC_O_TRUNC |
                       FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_AUTO_INVAL_DATA |
                       FUSE_CAP_EXPORT_SUPPORT);
  conn->want &= ~(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_POSIX_ACL | FUSE_CAP_SPLICE_READ);
  constexpr unsigned kAcl = FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK;
  const bool wanted = s.options().acl && s.options().default_permissions;
  if (!wanted || (conn->capable & kAcl) != kAcl) return;
  conn->want |= kAcl;
  s.use_acl();
}

void on_lookup(fuse_req_t r, fuse_ino_t p, const char* n) {
  FuseSession& s = session(r);
  s.run("LOOKUP", s.ino(p), r, do_lookup, s.ino(p), n);
}
void on_forget(fuse_req_t r, fuse_ino_t i, std::uint64_t count) {
  session(r).forget(session(r).ino(i), count);
  fuse_reply_none(r);
}
void on_forget_multi(fuse_req_t r, std::size_t n, fuse_forget_data* f) {
  for (std::size_t k = 0; k < n; ++k) session(r).forget(session(r).ino(f[k].ino), f[k].nlookup);
  fuse_reply_none(r);
}
void on_getattr(fuse_req_t r, fuse_ino_t i, fuse_file_info* /*fi*/) {
  FuseSession& s = session(r);
  s.run("GETATTR", s.ino(i), r, do_getattr, s.ino(i));
}
void on_setattr(fuse_req_t r, fuse_ino_t i, struct stat* st, int to_set, fuse_file_info* /*fi*/) {
  FuseSession& s = session(r);
  s.run("SETATTR", s.ino(i), r, do_setattr, s.ino(i), *st, to_set);
}
void on_readlink(fuse_req_t r, fuse_ino_t i) {
  FuseSession& s = session(r);
  s.run("READLINK", s.ino(i), r, do_readlink, s.ino(i));
}
void on_mknod(fuse_req_t r, fuse_ino_t p, const char* n, mode_t mode, dev_t rdev) {
  FuseSession& s = session(r);
  if (S_ISCHR(mode) || S_ISBLK(mode) || rdev != 0) {  // the protocol has no device numbers
    fuse_reply_err(r, EPERM);
    return;
  }
  s.run("CREATE", s.ino(p), r, do_make, s.ino(p), n, mode, std::string(), maker(r));
}
void on_mkdir(fuse_req_t r, fuse_ino_t p, const char* n, mode_t mode) {
  FuseSession& s = session(r);
  s.run("CREATE", s.ino(p), r, do_make, s.ino(p), n, S_IFDIR | (mode & 07777), std::string(),
        maker(r));
}
void on_symlink(fuse_req_t r, const char* target, fuse_ino_t p, const char* n) {
  FuseSession& s = session(r);
  s.run("CREATE", s.ino(p), r, do_make, s.ino(p), n, S_IFLNK | 0777, target, maker(r));
}
void on_unlink(fuse_req_t r, fuse_ino_t p, const char* n) {
  FuseSession& s = session(r);
  s.run("UNLINK", s.ino(p), r, do_unlink, s.ino(p), n, false);
}
void on_rmdir(fuse_req_t r, fuse_ino_t p, const char* n) {
  FuseSession& s = session(r);
  s.run("UNLINK", s.ino(p), r, do_unlink, s.ino(p), n, true);
}
void on_rename(fuse_req_t r, fuse_ino_t p, const char* n, fuse_ino_t np, const char* nn,
               unsigned flags) {
  FuseSession& s = session(r);
  if ((flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0) {
    fuse_reply_err(r, EINVAL);
    return;
  }
  s.run("RENAME", s.ino(p), r, do_rename, s.ino(p), n, s.ino(np), nn, flags != 0);
}
void on_link(fuse_req_t r, fuse_ino_t i, fuse_ino_t p, const char* n) {
  FuseSession& s = session(r);
  s.run("LINK", s.ino(i), r, do_link, s.ino(i), s.ino(p), n);
}
void on_open(fuse_req_t r, fuse_ino_t i, fuse_file_info* fi) {
  FuseSession& s = session(r);
  s.run("OPEN", s.ino(i), r, do_open, s.ino(i), caller(r), *fi);
}
void on_create(fuse_req_t r, fuse_ino_t p, const char* n, mode_t mode, fuse_file_info* fi) {
  FuseSession& s = session(r);
  s.run("CREATE", s.ino(p), r, do_create, s.ino(p), n, S_IFREG | (mode & 07777), maker(r), *fi);
}
void on_read(fuse_req_t r, fuse_ino_t i, std::size_t size, off_t off, fuse_file_info* /*fi*/) {
  FuseSession& s = session(r);
  s.run("READ", s.ino(i), r, do_read, s.ino(i), size, off);
}
void on_write(fuse_req_t r, fuse_ino_t i, const char* buf, std::size_t size, off_t off,
              fuse_file_info* /*fi*/) {
  FuseSession& s = session(r);
  s.run("WRITE", s.ino(i), r, do_write, s.ino(i), std::string(buf, size), off);
}
void on_flush(fuse_req_t r, fuse_ino_t i, fuse_file_info* /*fi*/) {
  FuseSession& s = session(r);
  s.run("FLUSH", s.ino(i), r, do_flush, s.ino(i));
}
void on_release(fuse_req_t r, fuse_ino_t i, fuse_file_info* /*fi*/) {
  FuseSession& s = session(r);
  s.run("RELEASE", s.ino(i), r, do_release, s.ino(i));
}
void on_fsync(fuse_req_t r, fuse_ino_t i, int /*datasync*/, fuse_file_info* /*fi*/) {
  FuseSession& s = session(r);
  s.run("FSYNC", s.ino(i), r, do_flush, s.ino(i));
}
/// Shared: the task of a killed reader may outlive the handle.
std::shared_ptr<DirHandle> dir_handle(const fuse_file_info* fi) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): libfuse keeps handles as numbers
  return *reinterpret_cast<std::shared_ptr<DirHandle>*>(fi->fh);
}
void on_opendir(fuse_req_t r, fuse_ino_t i, fuse_file_info* fi) {
  auto dir = std::make_unique<std::shared_ptr<DirHandle>>(std::make_shared<DirHandle>());
  (*dir)->ino = session(r).ino(i);
  fi->fh = reinterpret_cast<std::uint64_t>(dir.get());
  if (fuse_reply_open(r, fi) == 0) static_cast<void>(dir.release());
}
void on_readdir(fuse_req_t r, fuse_ino_t i, std::size_t size, off_t off, fuse_file_info* fi) {
  FuseSession& s = session(r);
  const std::shared_ptr<DirHandle> dir = dir_handle(fi);
  s.run("READDIR", s.ino(i), r, do_readdir, dir, std::min(size, kMaxIo),
        static_cast<std::uint64_t>(off), false);
}
void on_readdirplus(fuse_req_t r, fuse_ino_t i, std::size_t size, off_t off, fuse_file_info* fi) {
  FuseSession& s = session(r);
  const std::shared_ptr<DirHandle> dir = dir_handle(fi);
  s.run("READDIR", s.ino(i), r, do_readdir, dir, std::min(size, kMaxIo),
        static_cast<std::uint64_t>(off), true);
}
void on_releasedir(fuse_req_t r, fuse_ino_t /*i*/, fuse_file_info* fi) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  delete reinterpret_cast<std::shared_ptr<DirHandle>*>(fi->fh);
  fuse_reply_err(r, 0);
}
void on_fsyncdir(fuse_req_t r, fuse_ino_t /*i*/, int /*datasync*/, fuse_file_info* /*fi*/) {
  fuse_reply_err(r, 0);  // names are committed when their call returns
}
void on_statfs(fuse_req_t r, fuse_ino_t i) {
  FuseSession& s = session(r);
  s.run("STATFS", s.ino(i), r, do_statfs);
}
void on_setxattr(fuse_req_t r, fuse_ino_t i, const char* n, const char* v, std::size_t size,
                 int flags) {
  if (const int refused = xattr_name_refused(session(r), n, true)) {
    fuse_reply_err(r, refused);
    return;
  }
  FuseSession& s = session(r);
  if (n == std::string_view(kAclAccess)) {
    s.run("SETXATTR", s.ino(i), r, do_set_acl, s.ino(i), std::string(v, size), caller(r),
          groups_of(r));
    return;
  }
  s.run("SETXATTR", s.ino(i), r, do_setxattr, s.ino(i), n, std::string(v, size), flags);
}
void on_getxattr(fuse_req_t r, fuse_ino_t i, const char* n, std::size_t size) {
  if (const int refused = xattr_name_refused(session(r), n, false)) {
    fuse_reply_err(r, refused);
    return;
  }
  FuseSession& s = session(r);
  s.run("GETXATTR", s.ino(i), r, do_getxattr, s.ino(i), n, size);
}
void on_listxattr(fuse_req_t r, fuse_ino_t i, std::size_t size) {
  FuseSession& s = session(r);
  s.run("LISTXATTR", s.ino(i), r, do_listxattr, s.ino(i), caller(r), size);
}
void on_removexattr(fuse_req_t r, fuse_ino_t i, const char* n) {
  if (const int refused = xattr_name_refused(session(r), n, false)) {
    fuse_reply_err(r, refused);
    return;
  }
  FuseSession& s = session(r);
  s.run("REMOVEXATTR", s.ino(i), r, do_removexattr, s.ino(i), n);
}

fuse_lowlevel_ops make_operations() {
  fuse_lowlevel_ops o{};
  o.init = on_init;
  o.lookup = on_lookup;
  o.forget = on_forget;
  o.forget_multi = on_forget_multi;
  o.getattr = on_getattr;
  o.setattr = on_setattr;
  o.readlink = on_readlink;
  o.mknod = on_mknod;
  o.mkdir = on_mkdir;
  o.symlink = on_symlink;
  o.unlink = on_unlink;
  o.rmdir = on_rmdir;
  o.rename = on_rename;
  o.link = on_link;
  o.open = on_open;
  o.create = on_create;
  o.read = on_read;
  o.write = on_write;
  o.flush = on_flush;
  o.release = on_release;
  o.fsync = on_fsync;
  o.opendir = on_opendir;
  o.readdir = on_readdir;
  o.readdirplus = on_readdirplus;
  o.releasedir = on_releasedir;
  o.fsyncdir = on_fsyncdir;
  o.statfs = on_statfs;
  o.setxattr = on_setxattr;
  o.getxattr = on_getxattr;
  o.listxattr = on_listxattr;
  o.removexattr = on_removexattr;
  return o;
}

}  // namespace

const fuse_lowlevel_ops& fuse_operations() {
  static const fuse_lowlevel_ops ops = make_operations();
  return ops;
}

}  // namespace cfs

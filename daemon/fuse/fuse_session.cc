// SPDX-License-Identifier: Apache-2.0
/// Life of a FUSE mount; see fuse_session.h.
#include "daemon/fuse/fuse_session.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <chrono>
#include <ctime>

#include "daemon/fuse/fuse_call.h"
#include "daemon/fuse/fuse_front.h"

namespace cfs {

namespace {

constexpr std::int64_t kClockSlackS = 2;  // between us and the servers, which set times
constexpr std::uint32_t kDirPage = 1024;  // entries asked for at once, as the Go client does

std::string mount_options(const MountPoint& at, const FuseOptions& o) {
  std::string s = "fsname=" + at.source + ",subtype=cubefs";
  if (o.allow_other) s += ",allow_other";
  if (o.default_permissions) s += ",default_permissions";
  if (o.read_only) s += ",ro";
  for (const std::string& f : o.flags) s += "," + f;
  return s;
}

}  // namespace

Result<std::unique_ptr<FrontEnd>> fuse_mount(Loop& loop, std::shared_ptr<Volume> volume,
                                             MountPoint at, FuseOptions options) {
  auto session =
      std::make_unique<FuseSession>(loop, std::move(volume), std::move(at), std::move(options));
  const auto mounted = session->mount();
  if (!mounted) return mounted.error();
  return std::unique_ptr<FrontEnd>(std::move(session));
}

Result<void> FuseSession::mount() {
  fuse_args args = FUSE_ARGS_INIT(0, nullptr);
  fuse_opt_add_arg(&args, "cfsd");
  fuse_opt_add_arg(&args, "-o");
  fuse_opt_add_arg(&args, mount_options(at_, options_).c_str());
  session_ = fuse_session_new(&args, &fuse_operations(), sizeof(fuse_lowlevel_ops), this);
  fuse_opt_free_args(&args);
  if (session_ == nullptr) return make_error(EINVAL, "FUSE refused the mount options");
  if (fuse_session_mount(session_, at_.path.c_str()) != 0)
    return make_error(
        EIO, "cannot mount FUSE at " + at_.path + "; is /dev/fuse there, is fuse3 installed?");
  mounted_ = true;
  const int fd = fuse_session_fd(session_);
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  loop_.spawn(pump());
  return {};
}

FuseSession::~FuseSession() {
  if (session_ == nullptr) return;
  if (mounted_) fuse_session_unmount(session_);
  fuse_session_destroy(session_);
}

/// Reads requests until the mount ends; libfuse calls back into fuse_ops.cc for each.
Task<void> FuseSession::pump() {
  fuse_buf buf{};
  while (!fuse_session_exited(session_)) {
    const int got = fuse_session_receive_buf(session_, &buf);
    if (got == -EINTR) continue;
    if (got == -EAGAIN) {
      const int ready =
          co_await loop_.poll(fuse_session_fd(session_), POLLIN, Millis(stopping_ ? 100 : 0));
      if (ready < 0 && ready != -ETIME) break;
      continue;
    }
    if (got <= 0) break;  // unmounted
    fuse_session_process_buf(session_, &buf);
  }
  std::free(buf.mem);
  pump_ended_.set();
  if (!stopping_ && options_.ended) options_.ended();
}

Task<void> FuseSession::stop() {
  stopping_ = true;
  if (!pump_ended_.is_set()) {
    // The kernel answers a detached mount's reader with ENODEV when its last user has gone; do not
    // wait for that.
    co_await loop_.offload([this] { fuse_session_unmount(session_); });
    mounted_ = false;
    fuse_session_exit(session_);
  }
  co_await pump_ended_.wait();
  while (!running_.empty()) {
    idle_.reset();
    co_await idle_.wait();
  }
  for (auto& [i, f] : files_) {
    const auto flushed = co_await f->flush();
    if (!flushed)
      spdlog::error("{}: inode {}: written data is lost: {}", at_.path, i, flushed.error().text());
  }
  files_.clear();
  const std::set<Ino> left = std::move(orphans_);
  for (const Ino i : left) co_await evict(i);
}

FrontStatus FuseSession::status() const {
  FrontStatus s;
  s.kind = "fuse";
  s.mount_point = at_.path;
  s.config = volume_->config();
  s.cluster = volume_->cluster_name();
  s.ready = true;
  return s;
}

std::vector<InFlight> FuseSession::in_flight() const {
  std::vector<InFlight> out;
  for (const auto& [id, r] : running_) out.push_back(r);
  return out;
}

void FuseSession::start(const char* op, Ino subject, std::shared_ptr<FuseCall> call,
                        Task<void> task) {
  InFlight r;
  r.id = next_request_++;
  r.op = op;
  r.ino = subject;
  r.since_ms = Loop::now_ms();
  running_[r.id] = r;
  loop_.spawn(tracked(r.id, op, std::move(call), std::move(task)));
}

Task<void> FuseSession::tracked(std::uint64_t id, const char* op, std::shared_ptr<FuseCall> call,
                                Task<void> task) {
  const auto began = std::chrono::steady_clock::now();
  co_await std::move(task).until(volume_->deadline_ms());
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - began;
  if (options_.answered) {
    options_.answered(op, static_cast<std::uint64_t>(took.count()), call && call->failed());
  }
  running_.erase(id);
  if (running_.empty()) idle_.set();
}

std::optional<std::uint64_t> FuseSession::size_against(Ino i, std::int64_t asked_ms) const {
  const auto f = open_file(i);
  if (f) {
    if (const auto own = f->size_against(asked_ms)) return own;
  }
  const auto found = known_.find(i);
  if (found != known_.end() && found->second.own_size_ms >= asked_ms) return found->second.own_size;
  return std::nullopt;
}

struct stat FuseSession::to_stat(const Attr& a, std::int64_t asked_ms) const {
  struct stat st {};
  st.st_ino = a.ino;
  st.st_mode = a.mode;
  st.st_nlink = a.nlink;
  st.st_uid = a.uid;
  st.st_gid = a.gid;
  st.st_size = static_cast<off_t>(S_ISLNK(a.mode) && a.size == 0 ? a.target.size() : a.size);
  if (S_ISREG(a.mode)) {
    if (const auto own = size_against(a.ino, asked_ms)) st.st_size = static_cast<off_t>(*own);
  }
  st.st_blksize = 4096;
  st.st_blocks = (st.st_size + 511) / 512;
  st.st_mtim.tv_sec = a.mtime;
  st.st_ctim.tv_sec = a.ctime;
  st.st_atim.tv_sec = a.atime;
  return st;
}

fuse_entry_param FuseSession::to_entry(const Attr& a, std::int64_t asked_ms) const {
  fuse_entry_param e{};
  e.ino = node(a.ino);
  e.attr = to_stat(a, asked_ms);
  e.attr_timeout = volume_->config().attr_valid_ms / 1000.0;
  e.entry_timeout = volume_->config().entry_valid_ms / 1000.0;
  return e;
}

std::shared_ptr<FuseCall> FuseSession::call(fuse_req_t req) {
  auto call = std::make_shared<FuseCall>(loop_, req);
  call->watch();
  return call;
}

void FuseSession::reply_entry(FuseCall& call, const Attr& a) {
  if (call.entry(to_entry(a, call.asked_ms())) == 0) remember(a, call.asked_ms());
}

void FuseSession::remember(const Attr& a, std::int64_t asked_ms) {
  Known& known = known_[a.ino];
  ++known.lookups;
  if (!known.opened) {
    known.version = version_of(a);
    known.version_at = std::time(nullptr);
  }
  known.size = a.size;
  if (a.no_security && asked_ms > security_changed_ms_)
    known.no_security_until_ms = asked_ms + volume_->config().attr_valid_ms;
}

bool FuseSession::without_security(Ino i) const {
  const auto found = known_.find(i);
  return found != known_.end() && found->second.no_security_until_ms > Loop::now_ms();
}

void FuseSession::change_security(Ino i) {
  security_changed_ms_ = Loop::now_ms();
  const auto found = known_.find(i);
  if (found != known_.end()) found->second.no_security_until_ms = 0;
}

void FuseSession::told_size(Ino i, std::uint64_t size) {
  const auto found = known_.find(i);
  if (found != known_.end()) found->second.size = size;
}

void FuseSession::note_own_size(Ino i, std::uint64_t size, std::int64_t at_ms) {
  const auto found = known_.find(i);
  if (found == known_.end()) return;
  found->second.own_size = size;
  found->second.own_size_ms = at_ms;
}

void FuseSession::check_told_size(Ino i) {
  const auto found = known_.find(i);
  const auto f = open_file(i);
  if (found == known_.end() || !f || f->known_size() == found->second.size) return;
  // Offset -1: attributes only, no pages, so the kernel waits for nothing. Source: Linux
  // fs/fuse/inode.c, fuse_reverse_inval_inode().
  fuse_lowlevel_notify_inval_inode(session_, node(i), -1, 0);
}

bool FuseSession::may_have_pages(Ino i) const {
  const auto found = known_.find(i);
  return found != known_.end() && found->second.opened;
}

bool FuseSession::pages_are_current(Ino i, const Attr* a) {
  const auto found = known_.find(i);
  if (found == known_.end()) return false;
  Known& known = found->second;
  // Times are whole seconds: a file that had just been changed when it was asked for may have been
  // overwritten in place since, with the same generation, size and time.
  const bool settled = known.version.mtime + kClockSlackS < known.version_at;
  const bool current = known.opened && settled && a != nullptr && version_of(*a) == known.version;
  known.opened = true;
  if (a != nullptr) {
    known.version = version_of(*a);
    known.version_at = std::time(nullptr);
  }
  return current;
}

void FuseSession::forget(Ino i, std::uint64_t count) {
  const auto found = known_.find(i);
  if (found == known_.end()) return;
  found->second.lookups -= std::min(count, found->second.lookups);
  if (found->second.lookups != 0) return;
  known_.erase(found);
  no_default_acl_until_ms_.erase(i);
  if (orphans_.erase(i) != 0) start("EVICT", i, nullptr, evict(i));
}

bool FuseSession::without_default_acl(Ino dir) const {
  const auto found = no_default_acl_until_ms_.find(dir);
  return found != no_default_acl_until_ms_.end() && found->second > Loop::now_ms();
}

void FuseSession::found_no_default_acl(Ino dir, std::uint64_t changes) {
  if (changes != default_acl_changes_) return;
  no_default_acl_until_ms_[dir] = Loop::now_ms() + volume_->config().attr_valid_ms;
}

void FuseSession::change_default_acl(Ino dir) {
  ++default_acl_changes_;
  no_default_acl_until_ms_.erase(dir);
}

void FuseSession::orphan(const Attr& removed) {
  if (removed.ino == 0 || removed.nlink != 0 || S_ISDIR(removed.mode)) return;
  if (known_.count(removed.ino) != 0) {
    orphans_.insert(removed.ino);
  } else {
    start("EVICT", removed.ino, nullptr, evict(removed.ino));
  }
}

Task<void> FuseSession::evict(Ino i) {
  const auto gone = co_await volume_->evict(i);
  if (!gone)
    spdlog::warn("{}: evict of inode {}: {}; the server frees it after a day", at_.path, i,
                 gone.error().text());
}

std::shared_ptr<DataFile> FuseSession::file(Ino i) {
  auto& f = files_[i];
  if (!f) f = std::make_shared<DataFile>(loop_, *volume_, pool_, i);
  return f;
}

std::shared_ptr<DataFile> FuseSession::open_file(Ino i) const {
  const auto found = files_.find(i);
  return found == files_.end() ? nullptr : found->second;
}

Task<Result<void>> FuseSession::release_file(Ino i) {
  const std::shared_ptr<DataFile> f = open_file(i);
  if (!f) co_return Result<void>{};
  const auto flushed = co_await f->flush();
  if (--f->handles == 0) {
    const auto size = f->known_size();
    if (size && f->told_ms() >= 0) note_own_size(i, *size, f->told_ms());
    files_.erase(i);
  }
  co_return flushed;
}

Task<Result<void>> FuseSession::load_page(DirHandle* dir, std::uint64_t position) {
  if (dir->have && position >= dir->loaded_at &&
      position < dir->loaded_at + dir->loaded.entries.size())
    co_return Result<void>{};
  if (dir->pages.empty()) dir->pages.push_back({2, {}});
  std::size_t at = dir->pages.size() - 1;
  while (at > 0 && dir->pages[at].first > position) --at;
  for (;;) {
    const DirHandle::Page start = dir->pages[at];
    const std::int64_t asked_ms = Loop::now_ms();
    auto page = co_await volume_->readdir(dir->ino, start.marker, kDirPage, true);
    if (!page) co_return page.error();
    if (at >= dir->pages.size() || dir->pages[at].first != start.first) {  // rewound meanwhile
      if (dir->pages.empty()) dir->pages.push_back({2, {}});
      at = 0;
      continue;
    }
    dir->loaded = std::move(*page);
    dir->loaded_at = start.first;
    dir->asked_ms = asked_ms;
    dir->have = true;
    const std::uint64_t end = start.first + dir->loaded.entries.size();
    if (dir->loaded.eof || dir->loaded.entries.empty()) co_return Result<void>{};
    if (at + 1 == dir->pages.size()) dir->pages.push_back({end, dir->loaded.entries.back().name});
    if (position < end) co_return Result<void>{};
    ++at;
  }
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Requests of one mount; see session.h.
#include "daemon/kernel/session.h"

#include <spdlog/spdlog.h>

#include <ctime>

namespace cfs {
namespace {

constexpr Millis kRefreshPause{1000};
constexpr int kRefreshTries = 10;
constexpr std::uint32_t kFetchEntries = 1024;  ///< of one page of a prefetch
constexpr int kFetchPages = 64;                ///< of a directory; half of what the cache holds
constexpr std::size_t kFetchesMax = 4;         ///< directories at a time

Reply plain(const Result<void>& done) {
  return done ? Reply{} : Reply::error(done.code());
}

}  // namespace

// ---------------------------------------------------------------- life

Result<void> Session::adopt(std::shared_ptr<Volume> volume) {
  valid_ = Validity{volume->config().entry_valid_ms, volume->config().attr_valid_ms};
  Result<void> published = publisher_.publish(*volume);
  if (!published) return published.error().in("session " + std::to_string(id_));
  if (filler_ != nullptr) {
    const auto counters = port_.counters(id_);
    if (counters) counters_ = *counters;
  }
  volume_ = std::move(volume);
  trouble.clear();
  volume_->on_view_change([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->publish();
  });
  opened_.set();
  return {};
}

Task<void> Session::close() {
  if (closed_) co_return;
  closed_ = true;
  counters_.reset();
  opened_.set();
  if (!volume_) co_return;
  volume_->on_view_change({});
  const std::shared_ptr<Volume> volume = volume_;
  co_await volume->close();
}

Task<int> Session::ready() {
  co_await opened_.wait();
  co_return closed_ ? ESHUTDOWN : 0;
}

FrontStatus Session::status() const {
  FrontStatus out{.kind = "kernel",
                  .session = id_,
                  .mount_point = {},
                  .config = {},
                  .cluster = {},
                  .ready = is_ready(),
                  .trouble = trouble};
  const auto parsed = MountConfig::parse(config_);
  if (parsed) out.config = *parsed;
  if (volume_) out.cluster = volume_->cluster_name();
  return out;
}

Reply Session::mount_answer() const {
  return Reply::of(mount_reply(*volume_, valid_));
}

void Session::note(const Result<void>& published) {
  if (published) return;
  if (published.code() == ENODEV) orphaned_ = true;
  spdlog::warn("session {}: {}", id_, published.error().text());
}

void Session::publish() {
  if (volume_ && !closed_) note(publisher_.publish(*volume_));
}

// ---------------------------------------------------------------- requests

Progress Session::progress_of(const Request& request) {
  return Progress(request.progress, request.resumed());
}

Reply Session::attr_reply(const Result<Attr>& attr) const {
  return attr ? Reply::of(to_abi(*attr, valid_)) : Reply::error(attr.code());
}

Task<Reply> Session::handle(Request request) {
  const auto self = shared_from_this();
  if (!opened_.is_set() || closed_) {
    const int waited = co_await ready();
    if (waited != 0) co_return Reply::error(waited);
  }
  const std::int64_t deadline = volume_->deadline_ms();
  switch (request.head.op) {
    case CFS_OP_GETXATTR:
    case CFS_OP_SETXATTR:
    case CFS_OP_LISTXATTR:
    case CFS_OP_REMOVEXATTR:
      co_return co_await xattr_request(request).until(deadline);
    case CFS_OP_EXTENTS:
    case CFS_OP_COMMIT:
    case CFS_OP_TRUNCATE:
    case CFS_OP_EVICT:
    case CFS_OP_STATFS:
      co_return co_await data_request(request).until(deadline);
    case CFS_OP_EVENT:
      co_return co_await event(request);
    default:
      co_return co_await namespace_request(request).until(deadline);
  }
}

Task<Reply> Session::namespace_request(const Request& request) {
  const cfs_req& head = request.head;
  const std::string name(request.name);
  Progress progress = progress_of(request);
  switch (head.op) {
    case CFS_OP_LOOKUP:
      co_return co_await lookup(request);
    case CFS_OP_GETATTR: {
      const CacheOrigin asked = origin(head.seq);
      const auto attr = co_await volume_->getattr(head.ino);
      if (counters_ && attr) filler_->put_attr(asked, to_abi(*attr, valid_));
      co_return attr_reply(attr);
    }
    case CFS_OP_SETATTR: {
      const SetAttr change = from_abi(head);
      const auto attr = co_await volume_->setattr(head.ino, change);
      if (attr && change.known) co_return Reply{};
      co_return attr_reply(attr);
    }
    case CFS_OP_READDIR:
      co_return co_await readdir(request);
    case CFS_OP_CREATE:
      co_return co_await create(request);
    case CFS_OP_TMPFILE: {
      const Caller who{head.uid, head.create.gid};
      const auto attr = co_await volume_->tmpfile(head.ino, head.create.mode, who, progress);
      co_return attr_reply(attr);
    }
    case CFS_OP_UNLINK: {
      const bool is_dir = (head.unlink.flags & CFS_UNLINK_DIR) != 0;
      const bool last = !is_dir && (head.unlink.flags & CFS_UNLINK_LATER) != 0;
      const UnlinkHints hints{is_dir ? 0 : head.unlink.child, last};
      const auto attr = co_await volume_->unlink(head.ino, name, is_dir, progress, hints);
      Reply reply = attr_reply(attr);
      if (attr && attr->link_left) reply.res = CFS_UNLINK_LEFT;
      co_return reply;
    }
    case CFS_OP_RENAME: {
      const std::string new_name(request.name2);
      const bool no_replace = (head.rename.flags & CFS_RENAME_NOREPLACE) != 0;
      const RenameHints hints = rename_hints(head);
      const auto attr = co_await volume_->rename(head.ino, name, head.rename.new_dir, new_name,
                                                 no_replace, progress, hints);
      co_return attr_reply(attr);
    }
    case CFS_OP_LINK: {
      const auto attr = co_await volume_->link(head.ino, head.link.dir, name, progress);
      co_return attr_reply(attr);
    }
    case CFS_OP_READLINK: {
      const auto target = co_await volume_->readlink(head.ino);
      if (!target) co_return Reply::error(target.code());
      if (target->size() > CFS_LINK_LEN_MAX) co_return Reply::error(ENAMETOOLONG);
      co_return Reply{0, *target};
    }
    default:
      co_return Reply::error(ENOSYS);
  }
}

/// With the extents when they will be asked for next, as far as they are worth a copy.
Task<Reply> Session::lookup(const Request& request) {
  const cfs_req& head = request.head;
  const std::string name(request.name);
  const CacheOrigin asked = origin(head.seq);
  if ((head.lookup.flags & CFS_LOOKUP_EXTENTS) == 0) {
    const auto attr = co_await volume_->lookup(head.ino, name);
    keep_name(asked, head, name, attr);
    co_return attr_reply(attr);
  }
  const auto found = co_await volume_->lookup_open(head.ino, name);
  if (!found) {
    keep_name(asked, head, name, found.error());
    co_return Reply::error(found.code());
  }
  keep_name(asked, head, name, found->attr);
  co_return pack_open(*found, valid_);
}

Task<Reply> Session::readdir(const Request& request) {
  const std::string marker(request.name);
  const CacheOrigin asked = origin(request.head.seq);
  const auto page =
      co_await volume_->readdir(request.head.ino, marker, request.head.readdir.limit, true);
  if (!page) co_return Reply::error(page.code());
  keep_page(asked, request.head.ino, *page);
  co_return pack_readdir(*page, valid_);
}

Task<Reply> Session::create(const Request& request) {
  const cfs_req& head = request.head;
  const std::string name(request.name);
  const Caller who{head.uid, head.create.gid};
  Progress progress = progress_of(request);
  const bool made = (head.create.flags & CFS_CREATE_MADE) != 0;
  const std::string target(made ? std::string_view() : request.data);
  Ahead ahead;
  ahead.more = (head.create.flags & CFS_CREATE_AHEAD) != 0;
  if (made) ahead.use = unpack_attr(request.data);
  if ((made && !ahead.use) || (head.create.flags != 0 && !S_ISREG(head.create.mode)))
    co_return Reply::error(EINVAL);
  const auto attr = co_await volume_->create(head.ino, name, head.create.mode, target, who,
                                             progress, head.create.flags != 0 ? &ahead : nullptr);
  if (!attr || !ahead.next) co_return attr_reply(attr);
  co_return pack_created(*attr, *ahead.next, valid_);
}

Task<Reply> Session::xattr_request(const Request& request) {
  const cfs_req& head = request.head;
  const std::string name(request.name);
  switch (head.op) {
    case CFS_OP_GETXATTR: {
      const auto value = co_await volume_->getxattr(head.ino, name);
      if (!value) co_return Reply::error(value.code());
      if (value->size() > CFS_XATTR_BYTES_MAX) co_return Reply::error(E2BIG);
      co_return Reply{0, *value};
    }
    case CFS_OP_SETXATTR: {
      const std::string value(request.data);
      const int flags = static_cast<int>(head.setxattr.flags);
      const auto done = co_await volume_->setxattr(head.ino, name, value, flags);
      co_return plain(done);
    }
    case CFS_OP_LISTXATTR: {
      const auto names = co_await volume_->listxattr(head.ino);
      if (!names) co_return Reply::error(names.code());
      co_return pack_names(*names);
    }
    default: {
      const auto done = co_await volume_->removexattr(head.ino, name);
      co_return plain(done);
    }
  }
}

Task<Reply> Session::data_request(const Request& request) {
  const cfs_req& head = request.head;
  switch (head.op) {
    case CFS_OP_EXTENTS: {
      const auto list = co_await volume_->extents(head.ino);
      if (!list) co_return Reply::error(list.code());
      co_return pack_extents(*list);
    }
    case CFS_OP_COMMIT:
      co_return co_await commit(request);
    case CFS_OP_TRUNCATE: {
      const auto attr = co_await volume_->truncate(head.ino, head.truncate.size);
      co_return attr_reply(attr);
    }
    case CFS_OP_EVICT: {
      if ((head.evict.flags & CFS_EVICT_UNLINK) != 0) {
        Progress progress = progress_of(request);
        const auto done = co_await volume_->evict_link(head.ino, progress);
        co_return plain(done);
      }
      const auto done = co_await volume_->evict(head.ino);
      co_return plain(done);
    }
    default: {
      const auto stat = co_await volume_->statfs();
      if (!stat) co_return Reply::error(stat.code());
      co_return Reply::of(to_abi(*stat));
    }
  }
}

Task<Reply> Session::commit(const Request& request) {
  const cfs_req& head = request.head;
  const auto keys = unpack_keys(request.data, head.commit.nkeys);
  if (!keys) co_return Reply::error(EINVAL);
  const auto result = co_await volume_->commit(head.ino, *keys, head.commit.storage_class);
  if (!result) co_return Reply::error(result.code());
  co_return Reply::of(to_abi(*result));
}

// ---------------------------------------------------------------- metadata cache

CacheOrigin Session::origin(std::uint64_t seq) const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
                  static_cast<std::uint64_t>(now.tv_nsec);
  return CacheOrigin{counters_ ? counters_->volume : 0, seq, ns};
}

std::uint64_t Session::seq_now() const {
  // pairs with the release in cfs_change() of kmod/inode.c
  return counters_ ? __atomic_load_n(&counters_->seq, __ATOMIC_ACQUIRE) : 0;
}

void Session::keep_name(const CacheOrigin& origin, const cfs_req& head, const std::string& name,
                        const Result<Attr>& found) {
  if (!counters_) return;
  if (found) {
    filler_->put_names(origin, head.ino, {CacheName{name, to_abi(*found, valid_)}});
  } else if (found.code() == ENOENT) {
    filler_->put_absent(origin, head.ino, name);
  }
}

void Session::keep_page(const CacheOrigin& origin, std::uint64_t dir, const DirPage& page) {
  if (!counters_) return;
  std::vector<CacheName> names;
  names.reserve(page.entries.size());
  for (const DirEntry& entry : page.entries) {
    if (entry.attr.ino != entry.ino || entry.name.size() > CFS_NAME_LEN_MAX) continue;
    names.push_back(CacheName{entry.name, to_abi(entry.attr, valid_)});
  }
  filler_->put_names(origin, dir, names);
}

/// A directory whose names are asked for one by one: all of them at once.
Task<void> Session::prefetch(std::uint64_t dir) {
  if (!counters_ || fetching_.size() >= kFetchesMax) co_return;
  if (!fetching_.insert(dir).second) co_return;
  std::string marker;
  for (int i = 0; i < kFetchPages && counters_ && !loop_.stopping(); ++i) {
    const CacheOrigin asked = origin(seq_now());
    const auto page = co_await volume_->readdir(dir, marker, kFetchEntries, true);
    if (!page || page->entries.empty()) break;
    keep_page(asked, dir, *page);
    marker = page->entries.back().name;
    if (page->eof) break;
  }
  fetching_.erase(dir);
}

// ---------------------------------------------------------------- events

/// Answered when what it asks for was done: an event that a dying daemon leaves is seen again by
/// the next.
Task<Reply> Session::event(const Request& request) {
  const auto& event = request.head.event;
  switch (event.kind) {
    case CFS_EV_DP_REFUSED:
      co_await partition_refused(event.partition_id, event.error);
      break;
    case CFS_EV_NEED_WRITABLE:
      co_await need_writable(event.storage_class);
      break;
    case CFS_EV_NEED_DP:
      co_await need_partition(event.partition_id);
      break;
    case CFS_EV_PREFETCH:
      co_await prefetch(event.partition_id);
      break;
    default:
      break;
  }
  co_return Reply{};
}

Task<void> Session::partition_refused(std::uint64_t partition_id, std::int32_t result) {
  // a negative value is a transport errno: no result code, but no better a partition
  volume_->report_partition(partition_id, result < 0 ? 0 : static_cast<std::uint8_t>(result));
  publish();  // the lists without it, before the master is asked
  const auto fresh = co_await volume_->refresh_partitions();
  if (!fresh) spdlog::debug("session {}: refresh: {}", id_, fresh.error().text());
  publish();
}

Task<void> Session::need_writable(std::uint32_t storage_class) {
  if (!refilling_.insert(storage_class).second) co_return;
  for (int i = 0; i < kRefreshTries && !closed_ && !loop_.stopping(); ++i) {
    const auto fresh = co_await volume_->refresh_partitions();
    if (!fresh) spdlog::debug("session {}: refresh: {}", id_, fresh.error().text());
    if (closed_) break;
    note(publisher_.publish(*volume_));
    note(publisher_.publish_writable(*volume_, storage_class, true));
    if (!volume_->writable(storage_class).empty()) break;
    co_await loop_.sleep(kRefreshPause);
  }
  refilling_.erase(storage_class);
}

Task<void> Session::need_partition(std::uint64_t partition_id) {
  if (!locating_.insert(partition_id).second) co_return;
  while (!closed_ && !loop_.stopping()) {
    const auto partition = co_await volume_->partition(partition_id);
    if (closed_) break;
    if (partition) {
      note(publisher_.publish_partition(*partition));
      break;
    }
    if (partition.code() == EIO) {
      spdlog::error("session {}: {}", id_, partition.error().text());
      note(publisher_.publish_missing(partition_id));
      break;
    }
    co_await loop_.sleep(
        kRefreshPause);  // masters are silent: the I/O waits as long as its mount does
  }
  locating_.erase(partition_id);
}

}  // namespace cfs

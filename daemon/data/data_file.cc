// SPDX-License-Identifier: Apache-2.0
/// Reading and writing a file from user space; see data_file.h.
#include "daemon/data/data_file.h"

#include <algorithm>
#include <atomic>
#include <ctime>
#include <utility>

namespace cfs {

namespace {

constexpr std::uint8_t kNormal = CFS_ET_NORMAL | CFS_ET_PROTO_VERSION;
constexpr std::uint8_t kTiny = CFS_ET_PROTO_VERSION;
constexpr std::size_t kCommitBytes = 64u << 20;  // keys are committed at least this often

std::int64_t next_req_id() {
  static std::atomic<std::int64_t> next{(static_cast<std::int64_t>(std::time(nullptr)) << 32) + 1};
  return next++;
}

/// Followers behind hosts[0], each ended by '/'. Source: datanode/repl/packet.go.
std::string follower_arg(const DataPartition& p) {
  std::string arg;
  for (std::size_t i = 1; i < p.hosts.size(); ++i) arg += p.hosts[i] + "/";
  return arg.empty() ? "/" : arg;
}

void set_followers(wire::Packet& p, const DataPartition& dp) {
  p.arg = follower_arg(dp);
  p.h.arg_len = static_cast<std::uint32_t>(p.arg.size());
  p.h.followers =
      dp.hosts.size() > 1 ? static_cast<std::uint8_t>(dp.hosts.size() - 1) : CFS_FOLLOWERS_SINGLE;
}

void set_payload(wire::Packet& p, std::string_view data) {
  p.h.size = static_cast<std::uint32_t>(data.size());
  p.h.crc = wire::crc32_ieee(data);
}

/// Leader first, then the others.
std::vector<std::string> hosts_by_leader(const DataPartition& p) {
  std::vector<std::string> hosts = p.hosts;
  if (p.leader > 0 && static_cast<std::size_t>(p.leader) < hosts.size())
    std::swap(hosts[0], hosts[static_cast<std::size_t>(p.leader)]);
  return hosts;
}

}  // namespace

std::int64_t DataFile::deadline() const {
  return Loop::now_ms() + 1000LL * volume_.config().meta_timeout_s;
}

wire::Packet DataFile::request(std::uint8_t op, std::uint8_t extent_type,
                               std::uint64_t partition) const {
  wire::Packet p;
  p.h.extent_type = extent_type;
  p.h.proto_version = CFS_PROTO_VERSION;
  p.h.opcode = op;
  p.h.partition_id = partition;
  p.h.req_id = next_req_id();
  return p;
}

std::optional<std::uint64_t> DataFile::local_size() const {
  if (loaded_ && (!buffer_.empty() || sending_ || !map_.owed().empty())) return size_;
  return std::nullopt;
}

std::optional<std::uint64_t> DataFile::size_against(std::int64_t asked_ms) const {
  if (loaded_ && told_ms_ >= asked_ms) return size_;
  return local_size();
}

Task<Result<void>> DataFile::load() {
  const auto list = co_await volume_.extents(ino_);
  if (!list) co_return list.error();
  if (!map_.load(list->keys))
    co_return make_error(EIO, "the extent keys of inode " + std::to_string(ino_) + " overlap");
  size_ = list->size;
  storage_class_ = list->storage_class != 0 ? list->storage_class : volume_.storage_class();
  if (storage_class_ == CFS_CLASS_BLOBSTORE)
    co_return make_error(EOPNOTSUPP, "the file lies in erasure-coded storage");
  stream_.reset();
  loaded_ = true;
  co_return Result<void>{};
}

Task<Result<void>> DataFile::ready() {
  if (loaded_) co_return Result<void>{};
  co_return co_await load();
}

Task<Result<void>> DataFile::open() {
  const auto lock = co_await mutex_.lock();
  if (local_size()) co_return Result<void>{};
  co_return co_await load();
}

Task<Result<DataPartition>> DataFile::pick(std::vector<std::uint64_t> avoid) {
  for (int round = 0; round < 2; ++round) {
    for (const std::uint64_t id : volume_.writable(storage_class_)) {
      if (std::find(avoid.begin(), avoid.end(), id) != avoid.end()) continue;
      auto dp = co_await volume_.partition(id);
      if (dp) co_return std::move(*dp);
    }
    const auto fresh = co_await volume_.refresh_partitions();
    if (!fresh) co_return fresh.error();
  }
  co_return make_error(ENOSPC, "no writable data partition is left");
}

Task<Result<void>> DataFile::read_piece(ExtentKey key, std::uint64_t offset, std::uint64_t size,
                                        bool fresh, char* out) {
  const std::int64_t until = deadline();
  Error last{EIO, {}};
  for (int round = 0;; ++round) {
    const auto dp = co_await volume_.partition(key.partition_id);
    if (!dp) co_return dp.error();
    std::size_t missing = 0;
    const bool any = volume_.follower_read() || round > 0;  // appended bytes are on every replica
    for (const std::string& host : hosts_by_leader(*dp)) {
      wire::Packet p =
          request(any ? CFS_DOP_STREAM_FOLLOWER_READ : CFS_DOP_STREAM_READ, kNormal, dp->id);
      if (key.extent_id <= CFS_TINY_COUNT) p.h.extent_type = kTiny;
      p.h.extent_id = key.extent_id;
      p.h.extent_offset = static_cast<std::int64_t>(key.extent_offset + offset - key.file_offset);
      p.h.size = static_cast<std::uint32_t>(size);
      const auto result = co_await pool_.read(host, p, out);
      if (!result) {
        last = result.error();
        continue;
      }
      if (*result == CFS_RC_OK) co_return Result<void>{};
      if (*result == CFS_RC_NOT_EXIST) ++missing;
      last = make_error(*result == CFS_RC_NOT_EXIST ? EIO : cfs_result_errno(*result),
                        host + ": read: " + wire::result_name(*result));
    }
    if (missing >= (fresh ? dp->hosts.size() : 1)) co_return make_error(ESTALE, last.text());
    if (Loop::now_ms() > until || loop_.stopping()) co_return make_error(EIO, last.text());
    if (round > 0) co_await loop_.sleep(Millis(std::min(1000, 100 * round)));
  }
}

Task<Result<std::string>> DataFile::read(std::uint64_t offset, std::uint64_t size) {
  {
    const auto lock = co_await mutex_.lock();
    const auto known = co_await ready();
    if (!known) co_return known.error();
    const auto pushed = co_await push();
    if (!pushed) co_return pushed.error();
  }
  auto data = co_await read_mapped(offset, size, false);
  if (data || data.code() != ESTALE) co_return data;
  // The extents have moved without a new generation, or another host removed the file.
  {
    const auto lock = co_await mutex_.lock();
    const auto flushed = co_await flush_locked();
    if (!flushed) co_return flushed.error();
    const auto fresh = co_await load();
    if (!fresh && fresh.code() == ENOENT) co_return make_error(ESTALE, fresh.error().text());
    if (!fresh) co_return fresh.error();
  }
  data = co_await read_mapped(offset, size, true);
  if (!data && data.code() == ESTALE) co_return make_error(EIO, data.error().text());
  co_return data;
}

Task<Result<std::string>> DataFile::read_mapped(std::uint64_t offset, std::uint64_t size,
                                                bool fresh) {
  if (offset >= size_) co_return std::string();
  size = std::min(size, size_ - offset);
  std::string out(size, '\0');
  for (std::uint64_t done = 0; done < size;) {
    const ExtentMap::Slice s = map_.slice(offset + done, size - done);
    if (s.key != nullptr) {
      const auto got = co_await read_piece(*s.key, offset + done, s.size, fresh, out.data() + done);
      if (!got) co_return got.error();
    }
    done += s.size;
  }
  co_return out;
}

Task<Result<bool>> DataFile::append_tiny(std::uint64_t offset, std::string_view data) {
  auto dp = co_await pick({});
  if (!dp) co_return dp.error();
  wire::Packet p = request(CFS_DOP_WRITE, kTiny, dp->id);
  set_followers(p, *dp);
  set_payload(p, data);
  p.h.kernel_offset = offset;
  const auto reply = co_await pool_.call(dp->hosts[0], p, data);
  if (!reply || !reply->ok() || reply->h.extent_id == 0) {
    if (reply && !reply->ok() && reply->h.result != CFS_RC_DISK_NO_SPACE)
      volume_.report_partition(dp->id, reply->h.result);
    co_return false;  // a normal extent instead
  }
  ExtentKey key;
  key.file_offset = offset;
  key.partition_id = dp->id;
  key.extent_id = reply->h.extent_id;
  key.extent_offset = static_cast<std::uint64_t>(reply->h.extent_offset);
  key.size = static_cast<std::uint32_t>(data.size());
  key.fresh = true;
  map_.add(key, true);
  co_return true;
}

Task<Result<void>> DataFile::open_stream(std::uint64_t offset) {
  const std::int64_t until = deadline();
  std::vector<std::uint64_t> failed;
  bool full = true;
  for (;;) {
    auto dp = co_await pick(failed);
    if (!dp && full) co_return dp.error();  // each one has said so itself
    if (!dp) {
      if (Loop::now_ms() > until || loop_.stopping())
        co_return make_error(EIO, "no data partition takes a new extent");
      failed.clear();
      full = true;
      co_await loop_.sleep(Millis(500));
      continue;
    }
    std::string payload(8, '\0');
    cfs_put64(ino_, payload.data());
    wire::Packet p = request(CFS_DOP_CREATE_EXTENT, kNormal, dp->id);
    set_followers(p, *dp);
    p.h.size = 8;
    const auto reply = co_await pool_.call(dp->hosts[0], p, payload);
    if (reply && reply->ok() && reply->h.extent_id > CFS_MIN_EXTENT_ID) {
      stream_ = Stream{std::move(*dp), reply->h.extent_id, offset, 0, false};
      co_return Result<void>{};
    }
    failed.push_back(dp->id);
    full = full && reply && reply->h.result == CFS_RC_DISK_NO_SPACE;
    volume_.report_partition(
        dp->id, reply ? reply->h.result : static_cast<std::uint8_t>(CFS_RC_INTRA_GROUP_NET));
  }
}

Task<Result<void>> DataFile::append_stream(std::uint64_t offset, std::string_view data) {
  const std::int64_t until = deadline();
  for (;;) {
    const bool fits = stream_ && stream_->key_offset + stream_->size == offset &&
                      stream_->size + data.size() <= CFS_EXTENT_SIZE;
    if (!fits) {
      stream_.reset();
      const auto opened = co_await open_stream(offset);
      if (!opened) co_return opened.error();
    }
    Stream& s = *stream_;
    wire::Packet p = request(CFS_DOP_WRITE, kNormal, s.partition.id);
    set_followers(p, s.partition);
    set_payload(p, data);
    p.h.extent_id = s.extent_id;
    p.h.extent_offset = static_cast<std::int64_t>(s.size);
    p.h.kernel_offset = offset;
    const auto reply = co_await pool_.call(s.partition.hosts[0], p, data);
    if (reply && reply->ok()) {
      const auto n = static_cast<std::uint32_t>(data.size());
      if (s.keyed) {
        map_.grow(s.key_offset, n);
      } else {
        map_.add({offset, s.partition.id, s.extent_id, 0, n, true}, true);
        s.keyed = true;
      }
      s.size += n;
      co_return Result<void>{};
    }
    // Outcome unknown or refused: the acknowledged part keeps its key, these bytes go to another
    // extent.
    volume_.report_partition(
        s.partition.id,
        reply ? reply->h.result : static_cast<std::uint8_t>(CFS_RC_INTRA_GROUP_NET));
    stream_.reset();
    if (Loop::now_ms() > until || loop_.stopping())
      co_return make_error(
          EIO, "append: " + (reply ? wire::result_name(reply->h.result) : reply.error().text()));
  }
}

Task<Result<void>> DataFile::append(std::uint64_t offset, std::string_view data) {
  const bool small = offset + data.size() <= CFS_TINY_MAX &&
                     !(stream_ && stream_->key_offset + stream_->size == offset);
  // A full buffer is the start of something larger: that goes to a normal extent.
  if (small && data.size() < CFS_APPEND_MAX) {
    const auto tiny = co_await append_tiny(offset, data);
    if (!tiny) co_return tiny.error();
    if (*tiny) co_return Result<void>{};
  }
  while (!data.empty()) {
    std::size_t n = std::min<std::size_t>(data.size(), CFS_APPEND_MAX);
    if (stream_ && stream_->key_offset + stream_->size == offset && stream_->size < CFS_EXTENT_SIZE)
      n = std::min<std::size_t>(n, CFS_EXTENT_SIZE - stream_->size);
    const auto done = co_await append_stream(offset, data.substr(0, n));
    if (!done) co_return done.error();
    offset += n;
    data.remove_prefix(n);
  }
  co_return Result<void>{};
}

Task<Result<void>> DataFile::overwrite(ExtentKey key, std::uint64_t offset, std::string_view data) {
  const std::int64_t until = deadline();
  Error last{EIO, {}};
  for (int round = 0;; ++round) {
    const auto dp = co_await volume_.partition(key.partition_id);
    if (!dp) co_return dp.error();
    for (const std::string& host : hosts_by_leader(*dp)) {
      wire::Packet p = request(CFS_DOP_RANDOM_WRITE, kNormal, dp->id);
      set_payload(p, data);
      p.h.extent_id = key.extent_id;
      p.h.extent_offset = static_cast<std::int64_t>(key.extent_offset + offset - key.file_offset);
      p.h.kernel_offset = offset;
      // An unknown outcome is repeated with the same bytes; no newer write of this file is sent
      // before it is certain (mutex_).
      const auto reply = co_await pool_.call(host, p, data);
      if (reply && reply->ok()) co_return Result<void>{};
      last = reply ? wire::result_error(*reply, wire::Peer::kData) : reply.error();
      const bool move_on = !reply || reply->h.result == CFS_RC_TRY_OTHER_ADDR ||
                           reply->h.result == CFS_RC_AGAIN || reply->h.result == CFS_RC_LIMITED_IO;
      if (!move_on) co_return make_error(EIO, host + ": overwrite: " + last.text());
    }
    if (Loop::now_ms() > until || loop_.stopping())
      co_return make_error(EIO, "overwrite: " + last.text());
    co_await loop_.sleep(Millis(std::min(1000, 100 * (round + 1))));
  }
}

Task<Result<void>> DataFile::push() {
  sending_ = true;
  std::string data = std::exchange(buffer_, {});
  const auto sent = co_await send(data, buffer_at_);
  sending_ = false;
  if (!sent) buffer_ = std::move(data);  // not the writer may have asked: it is to hear of it
  co_return sent;
}

Task<Result<void>> DataFile::send(std::string_view data, std::uint64_t at) {
  for (std::uint64_t done = 0; done < data.size();) {
    const ExtentMap::Slice s = map_.slice(at + done, data.size() - done);
    const std::uint64_t n =
        s.key != nullptr ? std::min<std::uint64_t>(s.size, CFS_BLOCK_SIZE) : s.size;
    const std::string_view piece(data.data() + done, n);
    Result<void> sent;
    if (s.key != nullptr) {
      overwritten_ = true;
      sent = co_await overwrite(*s.key, at + done, piece);
    } else {
      sent = co_await append(at + done, piece);
    }
    if (!sent) co_return sent.error();
    done += n;
  }
  co_return Result<void>{};
}

Task<Result<void>> DataFile::write(std::uint64_t offset, std::string data) {
  const auto lock = co_await mutex_.lock();
  const auto known = co_await ready();
  if (!known) co_return known.error();
  const bool contiguous = buffer_.empty() || buffer_at_ + buffer_.size() == offset;
  if (!contiguous || buffer_.size() + data.size() > CFS_APPEND_MAX) {
    const auto pushed = co_await push();
    if (!pushed) co_return pushed.error();
  }
  if (buffer_.empty()) buffer_at_ = offset;
  buffer_ += data;
  size_ = std::max(size_, offset + data.size());
  if (buffer_.size() < CFS_APPEND_MAX) co_return Result<void>{};
  const auto pushed = co_await push();
  if (!pushed) co_return pushed.error();
  std::uint64_t uncommitted = 0;
  for (const ExtentKey& k : map_.owed()) uncommitted += k.size;
  if (uncommitted >= kCommitBytes && uncommitted % kCommitBytes < CFS_APPEND_MAX)
    co_return co_await commit();
  co_return Result<void>{};
}

Task<Result<void>> DataFile::commit() {
  std::vector<ExtentKey> keys = map_.owed();
  while (!keys.empty()) {
    keys.resize(std::min<std::size_t>(keys.size(), 256));
    const auto done = co_await volume_.commit(ino_, keys, storage_class_);
    if (!done) co_return done.error();
    map_.committed(done->committed);
    told_ms_ = Loop::now_ms();
    if (done->result != CFS_RC_OK) {
      loaded_ = false;  // the server's list is not what we believe: ask again before the next use
      stream_.reset();
      co_return make_error(cfs_result_errno(done->result),
                           "commit of extent keys: " + wire::result_name(done->result));
    }
    if (done->committed == 0)
      co_return make_error(EPROTO, "commit of extent keys: nothing was committed");
    keys = map_.owed();
  }
  co_return Result<void>{};
}

Task<Result<void>> DataFile::flush_locked() {
  if (!loaded_) co_return Result<void>{};
  const auto pushed = co_await push();
  if (!pushed) co_return pushed.error();
  const auto committed = co_await commit();
  if (!committed) co_return committed.error();
  if (!overwritten_) co_return Result<void>{};
  overwritten_ = false;  // the server does not move mtime for bytes written in place
  SetAttr change;
  change.valid = SetAttr::kMtime;
  change.mtime = std::time(nullptr);
  const auto sent = co_await volume_.setattr(ino_, change);
  if (!sent && sent.code() != ENOENT) co_return sent.error();
  co_return Result<void>{};
}

Task<Result<void>> DataFile::flush() {
  const auto lock = co_await mutex_.lock();
  co_return co_await flush_locked();
}

Task<Result<Attr>> DataFile::truncate(std::uint64_t size) {
  const auto lock = co_await mutex_.lock();
  // what is cut off needs no place, which may be why it is cut off
  if (!buffer_.empty() && size < buffer_at_ + buffer_.size())
    buffer_.resize(size > buffer_at_ ? size - buffer_at_ : 0);
  const auto flushed = co_await flush_locked();
  if (!flushed) co_return flushed.error();
  auto attr = co_await volume_.truncate(ino_, size);
  loaded_ = false;
  stream_.reset();
  if (!attr) co_return attr.error();
  const auto fresh = co_await load();
  if (!fresh) co_return fresh.error();
  told_ms_ = Loop::now_ms();
  co_return std::move(*attr);
}

}  // namespace cfs

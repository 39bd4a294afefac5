// SPDX-License-Identifier: Apache-2.0
/// The device: attach, slots, ioctls. See kernel_channel.h.
#include "daemon/kernel/kernel_channel.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace cfs {
namespace {

constexpr std::size_t kRowsPerCommand = 4096;
constexpr Millis kPollStop{10};
constexpr std::uint32_t kCloseFlagsMinor = 5;  ///< older kernels take no flags in CFS_IOC_CLOSE

Error device_error(const char* path) {
  switch (errno) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
      return make_error(ENOENT, std::string(path) + ": the cubefs module is not loaded");
    case EBUSY:
      return make_error(EBUSY, std::string(path) + ": another daemon is attached");
    case EACCES:
    case EPERM:
      return make_error(EPERM, std::string(path) + ": CAP_SYS_ADMIN is needed");
    default:
      return errno_error(path);
  }
}

Result<void> attach_to(int fd, cfs_attach& attach) {
  attach.len = sizeof(attach);
  attach.abi = CFS_ABI_MAJOR << 16 | CFS_ABI_MINOR;
  attach.features = CFS_FEAT_ALL;
  if (ioctl(fd, CFS_IOC_ATTACH, &attach) == 0) return {};
  if (errno == EPROTONOSUPPORT) {
    return make_error(EPROTONOSUPPORT,
                      "the loaded cubefs module has another ABI version: load the one that belongs "
                      "to this daemon");
  }
  return device_error("attach");
}

}  // namespace

KernelChannel::~KernelChannel() {
  close_device();
  if (buffers_) munmap(buffers_, std::size_t{kSlots} * CFS_REQ_BYTES_MAX);
}

// ---------------------------------------------------------------- attach

Result<void> KernelChannel::open(const char* path) {
  if (attached()) return {};
  if (!loop_.has_uring()) return make_error(ENOSYS, "the kernel channel needs io_uring");
  fd_ = ::open(path, O_RDWR | O_CLOEXEC);
  if (fd_ < 0) return device_error(path);
  Result<void> ready = attach();
  if (ready) ready = map_memory();
  if (!ready) close_device();
  return ready;
}

Result<void> KernelChannel::attach() {
  attach_ = cfs_attach{};
  return attach_to(fd_, attach_);
}

Result<void> KernelChannel::check_abi(const char* path) {
  const int fd = ::open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return {};
  cfs_attach attach{};
  const Result<void> attached = attach_to(fd, attach);
  ::close(fd);
  return attached.code() == EPROTONOSUPPORT ? attached : Result<void>{};
}

Result<void> KernelChannel::map_memory() {
  if (buffers_ == nullptr) {
    void* const mem = mmap(nullptr, std::size_t{kSlots} * CFS_REQ_BYTES_MAX, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mem == MAP_FAILED) return errno_error("request buffers");
    buffers_ = static_cast<unsigned char*>(mem);
  }
  if ((attach_.features & CFS_FEAT_PROGRESS) == 0 || attach_.nslots == 0) return {};
  progress_bytes_ = std::size_t{attach_.nslots} * CFS_PROGRESS_BYTES;
  void* const mem =
      mmap(nullptr, progress_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, CFS_MMAP_PROGRESS);
  if (mem == MAP_FAILED) return errno_error("progress records");
  progress_ = static_cast<unsigned char*>(mem);
  return {};
}

void KernelChannel::close_device() {
  if (progress_) munmap(progress_, progress_bytes_);
  progress_ = nullptr;
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

// ---------------------------------------------------------------- requests

void KernelChannel::start(RequestHandler& handler) {
  handler_ = &handler;
  stopping_ = false;
  for (std::uint32_t i = 0; i < kParked; ++i) add_slot();
}

void KernelChannel::add_slot() {
  if (stopping_ || next_slot_ >= kSlots) return;
  ++slots_;
  loop_.spawn(run_slot(next_slot_++));
}

bool KernelChannel::parse(const unsigned char* buffer, std::uint32_t bytes, Request& out) const {
  if (bytes < sizeof(cfs_req)) return false;
  std::memcpy(&out.head, buffer, sizeof(out.head));
  const cfs_req& head = out.head;
  const std::uint64_t tail = std::uint64_t{head.name_len} + head.name2_len + head.data_len;
  if (head.len != bytes || sizeof(head) + tail != bytes || head.id == 0) return false;
  const char* at = reinterpret_cast<const char*>(buffer) + sizeof(head);
  out.name = std::string_view(at, head.name_len);
  out.name2 = std::string_view(at + head.name_len, head.name2_len);
  out.data = std::string_view(at + head.name_len + head.name2_len, head.data_len);
  if (progress_ && head.slot < attach_.nslots) {
    out.progress = progress_ + std::size_t{head.slot} * CFS_PROGRESS_BYTES;
  }
  return true;
}

/// While the daemon stops, a failure may only mean that its own waits were cut short: such a
/// request is left to the next daemon.
bool KernelChannel::withhold(const Reply& reply) const {
  if (!stopping_ && !loop_.stopping()) return false;
  switch (-reply.res) {
    case ECANCELED:
    case EIO:
    case EAGAIN:
    case ETIMEDOUT:
    case ESHUTDOWN:
    case ECONNRESET:
    case EPIPE:
      return true;
    default:
      return false;
  }
}

/// After a failed command: what to issue next, in `op` and `cmd`. False: the slot ends.
bool KernelChannel::recover(int error, std::uint32_t& op, cfs_uring_cmd& cmd) {
  const bool commit = op == CFS_URING_COMMIT_AND_FETCH;
  if (commit && error == -ENOENT) {
    op = CFS_URING_FETCH;  // the request is gone; only the fetch is left to do
    return true;
  }
  if (commit && (error == -ENOMEM || error == -EFAULT) && cmd.reply_len > 0) {
    cmd.res = -ENOMEM;  // the answer is still owed, and an errno needs no memory
    cmd.reply_len = 0;
    return true;
  }
  if (error != -ESHUTDOWN) spdlog::error("kernel channel: {}", std::strerror(-error));
  return false;
}

/// One buffer: fetch, handle, answer and fetch again, until the channel is drained.
Task<void> KernelChannel::run_slot(std::uint32_t slot) {
  unsigned char* const buffer = buffers_ + std::size_t{slot} * CFS_REQ_BYTES_MAX;
  cfs_uring_cmd cmd{};
  cmd.buf = reinterpret_cast<std::uint64_t>(buffer);
  cmd.buf_len = CFS_REQ_BYTES_MAX;
  std::uint32_t op = CFS_URING_FETCH;
  Reply reply;
  while (attached()) {
    ++parked_;
    const int bytes = co_await loop_.command(fd_, op, &cmd, sizeof(cmd));
    --parked_;
    if (bytes < 0) {
      if (!recover(bytes, op, cmd)) break;
      continue;
    }
    if (parked_ < kSpare) add_slot();
    Request request;
    if (parse(buffer, static_cast<std::uint32_t>(bytes), request)) {
      reply = co_await handler_->handle(request);
      if (reply.bytes.size() > CFS_REPLY_MAX) reply = Reply::error(EFBIG);
    } else {
      if (bad_request_.allow()) spdlog::error("kernel request of {} bytes is malformed", bytes);
      reply = Reply::error(EPROTO);
    }
    if (!attached() || withhold(reply)) break;
    std::memcpy(&cmd.id, buffer + offsetof(cfs_req, id), sizeof(cmd.id));
    cmd.res = reply.res;
    cmd.reply = reinterpret_cast<std::uint64_t>(reply.bytes.data());
    cmd.reply_len = static_cast<std::uint32_t>(reply.bytes.size());
    op = CFS_URING_COMMIT_AND_FETCH;
  }
  --slots_;
}

Task<void> KernelChannel::stop(Millis grace) {
  if (!attached()) co_return;
  stopping_ = true;
  if (ioctl(fd_, CFS_IOC_DRAIN) < 0) spdlog::warn("drain: {}", std::strerror(errno));
  const std::int64_t deadline = Loop::now_ms() + grace.count();
  while (slots_ > 0 && Loop::now_ms() < deadline) {
    const int slept = co_await loop_.sleep(kPollStop);
    if (slept < 0) break;
  }
  if (slots_ > 0) spdlog::info("{} requests are left to the next daemon", slots_);
  close_device();
}

// ---------------------------------------------------------------- commands

Result<void> KernelChannel::command(unsigned long request, void* argument, const char* what) const {
  if (fd_ < 0) return make_error(ENOTCONN, std::string(what) + ": not attached to the kernel");
  if (ioctl(fd_, request, argument) < 0) return errno_error(what);
  return {};
}

Result<void> KernelChannel::set_node(const cfs_node& node) {
  cfs_node copy = node;
  return command(CFS_IOC_NODE, &copy, "publish node");
}

Result<void> KernelChannel::connect(const cfs_connect& order) {
  cfs_connect copy = order;
  return command(CFS_IOC_CONNECT, &copy, "connect");
}

Result<void> KernelChannel::close_connection(const cfs_connect& order) {
  cfs_connect copy = order;
  if ((abi() & 0xFFFF) < kCloseFlagsMinor) copy.flags = 0;
  return command(CFS_IOC_CLOSE, &copy, "close");
}

Result<void> KernelChannel::publish_rows(std::uint32_t session, std::span<const cfs_dp_row> rows) {
  for (std::size_t at = 0; at < rows.size(); at += kRowsPerCommand) {
    const auto part = rows.subspan(at, std::min(kRowsPerCommand, rows.size() - at));
    cfs_view view{};
    view.len = sizeof(view);
    view.session = session;
    view.nrows = static_cast<std::uint32_t>(part.size());
    view.rows = reinterpret_cast<std::uint64_t>(part.data());
    Result<void> done = command(CFS_IOC_VIEW, &view, "publish partitions");
    if (!done) return done;
  }
  return {};
}

Result<void> KernelChannel::publish_writable(std::uint32_t session, std::uint32_t storage_class,
                                             std::span<const std::uint64_t> ids) {
  cfs_writable list{};
  list.len = sizeof(list);
  list.session = session;
  list.storage_class = storage_class;
  list.count = static_cast<std::uint32_t>(std::min<std::size_t>(ids.size(), 65536));
  list.ids = reinterpret_cast<std::uint64_t>(ids.data());
  return command(CFS_IOC_WRITABLE, &list, "publish writable partitions");
}

Result<void> KernelChannel::invalidate(std::uint32_t session, std::uint64_t ino,
                                       std::uint32_t flags) {
  cfs_invalidate order{};
  order.len = sizeof(order);
  order.session = session;
  order.ino = ino;
  order.flags = flags;
  return command(CFS_IOC_INVALIDATE, &order, "invalidate");
}

Result<cfs_stats> KernelChannel::stats(std::uint32_t session) {
  cfs_stats stats{};
  stats.len = sizeof(stats);
  stats.session = session;
  const Result<void> done = command(CFS_IOC_STATS, &stats, "statistics");
  if (!done) return done.error();
  return stats;
}

Result<std::vector<SessionInfo>> KernelChannel::sessions() {
  std::vector<unsigned char> buffer(std::size_t{64} * 1024);
  cfs_sessions list{};
  for (;;) {
    list = cfs_sessions{};
    list.len = sizeof(list);
    list.buf = reinterpret_cast<std::uint64_t>(buffer.data());
    list.buf_len = static_cast<std::uint32_t>(buffer.size());
    const Result<void> done = command(CFS_IOC_SESSIONS, &list, "list sessions");
    if (done) break;
    if (done.code() != ENOSPC || list.need <= buffer.size()) return done.error();
    buffer.resize(list.need);
  }
  std::vector<SessionInfo> out;
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < list.count; ++i) {
    cfs_session_info info{};
    if (at + sizeof(info) > buffer.size()) break;
    std::memcpy(&info, buffer.data() + at, sizeof(info));
    if (info.reclen < sizeof(info) + info.config_len || at + info.reclen > buffer.size()) break;
    const char* const config = reinterpret_cast<const char*>(buffer.data()) + at + sizeof(info);
    out.push_back(SessionInfo{info.session, std::string(config, info.config_len)});
    at += info.reclen;
  }
  return out;
}

Result<std::shared_ptr<const cfs_counters>> KernelChannel::counters(std::uint32_t session) {
  if ((attach_.features & CFS_FEAT_COUNTERS) == 0) return make_error(ENOSYS, "change counters");
  void* const mem = mmap(nullptr, sizeof(cfs_counters), PROT_READ, MAP_SHARED, fd_,
                         static_cast<off_t>(CFS_MMAP_COUNTERS(session)));
  if (mem == MAP_FAILED) return errno_error("change counters");
  return std::shared_ptr<const cfs_counters>(
      static_cast<const cfs_counters*>(mem),
      [](const cfs_counters* c) { munmap(const_cast<cfs_counters*>(c), sizeof(*c)); });
}

}  // namespace cfs

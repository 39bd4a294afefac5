// SPDX-License-Identifier: Apache-2.0
/// Loop backend on poll(2), for hosts and containers that refuse io_uring.
///
/// Purpose  Does each operation when its descriptor is ready. poll(2), not epoll: several tasks may
///          wait on one descriptor, and regular files are allowed. Tens of descriptors, so a linear
///          scan is cheap enough.
/// Threads  The loop thread.
/// Lifetime Pending Ops live in suspended frames until they leave `pending`.
/// Failure  command() yields -ENOSYS; a closed descriptor yields -EBADF.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "daemon/base/loop_impl.h"

namespace cfs {
namespace {

int result_of(ssize_t n) {
  return n < 0 ? -errno : static_cast<int>(n);
}

/// Start a connect without blocking; the descriptor is left as it was.
int begin_connect(int fd, const sockaddr* addr, socklen_t len) {
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  const int res = result_of(::connect(fd, addr, len));
  ::fcntl(fd, F_SETFL, flags);
  return res;
}

int socket_error(int fd) {
  int err = 0;
  socklen_t len = sizeof(err);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0) return -errno;
  return -err;
}

}  // namespace

struct Loop::PollBackend final : Loop::Backend {
  explicit PollBackend(int wake_fd) : wake_fd(wake_fd) {}
  void start(Op& op) override;
  void wait(std::int64_t timeout_ms, Ready& ready) override;
  [[nodiscard]] bool is_uring() const override { return false; }

  static short events_of(const Op& op);
  static int perform(Op& op, short revents);
  std::int64_t first_deadline(std::int64_t timeout_ms) const;
  void settle(const std::vector<pollfd>& fds, Ready& ready);

  int wake_fd;
  std::vector<Op*> pending;
  Ready early;  // finished inside start()
};

std::unique_ptr<Loop::Backend> Loop::Backend::make_poll(int wake_fd) {
  return std::make_unique<PollBackend>(wake_fd);
}

void Loop::PollBackend::start(Op& op) {
  if (op.kind_ == Op::Kind::kCommand) return finish(op, -ENOSYS, early);
  if (op.kind_ == Op::Kind::kConnect) {
    const int res =
        begin_connect(op.fd_, static_cast<const sockaddr*>(op.p_), static_cast<socklen_t>(op.n_));
    if (res != -EINPROGRESS) return finish(op, res, early);
  }
  pending.push_back(&op);
}

short Loop::PollBackend::events_of(const Op& op) {
  switch (op.kind_) {
    case Op::Kind::kSend:
    case Op::Kind::kConnect:
      return POLLOUT;
    case Op::Kind::kPoll:
      return static_cast<short>(op.op_);
    default:
      return POLLIN;
  }
}

/// The operation itself, on a ready descriptor; -EAGAIN means not ready after all.
int Loop::PollBackend::perform(Op& op, short revents) {
  if ((revents & POLLNVAL) != 0) return -EBADF;
  void* const buf = const_cast<void*>(op.p_);
  switch (op.kind_) {
    case Op::Kind::kRecv:
      return result_of(::recv(op.fd_, buf, op.n_, MSG_DONTWAIT));
    case Op::Kind::kSend:
      return result_of(::send(op.fd_, buf, op.n_, MSG_DONTWAIT | MSG_NOSIGNAL));
    case Op::Kind::kConnect:
      return socket_error(op.fd_);
    case Op::Kind::kAccept:
      return result_of(::accept4(op.fd_, nullptr, nullptr, SOCK_CLOEXEC));
    case Op::Kind::kRead:
      return result_of(::read(op.fd_, buf, op.n_));
    default:
      return revents;
  }
}

std::int64_t Loop::PollBackend::first_deadline(std::int64_t timeout_ms) const {
  const std::int64_t now = now_ms();
  for (const Op* op : pending) {
    if (op->deadline_ms_ == 0) continue;
    const std::int64_t left = std::max<std::int64_t>(0, op->deadline_ms_ - now);
    timeout_ms = timeout_ms < 0 ? left : std::min(timeout_ms, left);
  }
  return std::min<std::int64_t>(timeout_ms, INT_MAX);
}

/// Finish every pending operation that is ready or too late. fds[i] belongs to pending[i].
void Loop::PollBackend::settle(const std::vector<pollfd>& fds, Ready& ready) {
  const std::int64_t now = now_ms();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < pending.size(); ++i) {
    Op& op = *pending[i];
    int res = fds[i].revents != 0 ? perform(op, fds[i].revents) : -EAGAIN;
    if (res == -EAGAIN && op.deadline_ms_ != 0 && op.deadline_ms_ <= now) res = -ETIME;
    if (res == -EAGAIN || res == -EINTR) {
      pending[kept++] = &op;
    } else {
      finish(op, res, ready);
    }
  }
  pending.resize(kept);
}

void Loop::PollBackend::wait(std::int64_t timeout_ms, Ready& ready) {
  if (!early.empty()) timeout_ms = 0;
  std::vector<pollfd> fds;
  fds.reserve(pending.size() + 1);
  for (const Op* op : pending) fds.push_back(pollfd{op->fd_, events_of(*op), 0});
  fds.push_back(pollfd{wake_fd, POLLIN, 0});
  const int n = ::poll(fds.data(), fds.size(), static_cast<int>(first_deadline(timeout_ms)));
  if (n > 0 && fds.back().revents != 0) drain(wake_fd);
  if (n >= 0) settle(fds, ready);
  ready.insert(ready.end(), early.begin(), early.end());
  early.clear();
}

}  // namespace cfs

// SPDX-License-Identifier: Apache-2.0
/// Blocking TCP for the mini cluster's data nodes; see data_socket.h.
#include "tools/minicluster/data_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace cfs::mini {
namespace {

constexpr int kListenBacklog = 512;
constexpr time_t kSendTimeoutSeconds = 5;

int wait_readable(int fd, const Deadline& deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd p{fd, POLLIN, 0};
    const int n = ::poll(&p, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (n > 0) return 0;
    if (n == 0) return ETIMEDOUT;
    if (errno != EINTR) return errno;
  }
}

std::optional<sockaddr_in> parse_address(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  sockaddr_in out{};
  out.sin_family = AF_INET;
  uint16_t port = 0;
  const char* const end = address.data() + address.size();
  const auto [parsed, error] = std::from_chars(address.data() + colon + 1, end, port);
  if (error != std::errc{} || parsed != end) return std::nullopt;
  out.sin_port = htons(port);
  if (::inet_pton(AF_INET, address.substr(0, colon).c_str(), &out.sin_addr) != 1) {
    return std::nullopt;
  }
  return out;
}

std::string describe(int (*name_of)(int, sockaddr*, socklen_t*), int fd) {
  sockaddr_in name{};
  socklen_t size = sizeof(name);
  if (name_of(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return "?";
  char ip[INET_ADDRSTRLEN] = "?";
  ::inet_ntop(AF_INET, &name.sin_addr, ip, sizeof(ip));
  return std::string(ip) + ":" + std::to_string(ntohs(name.sin_port));
}

std::string lower_case_reason(int error) {
  switch (error) {
    case EAGAIN:
    case ETIMEDOUT:
      return "i/o timeout";
    case ECONNREFUSED:
      return "connection refused";
    case ECONNRESET:
      return "connection reset by peer";
    case EPIPE:
      return "broken pipe";
    default:
      return std::strerror(error);
  }
}

Error dial_error(const std::string& address, int error) {
  const std::string reason = lower_case_reason(error);
  const bool timeout = error == ETIMEDOUT;
  return make_error(error, "dial tcp " + address + (timeout ? ": " : ": connect: ") + reason);
}

/// Waits for a non-blocking connect and returns its verdict.
int finish_connect(int fd, std::chrono::milliseconds timeout) {
  pollfd p{fd, POLLOUT, 0};
  const int n = ::poll(&p, 1, static_cast<int>(timeout.count()));
  if (n == 0) return ETIMEDOUT;
  if (n < 0) return errno;
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

size_t SocketReader::take_stashed(uint8_t* out, size_t size) {
  const size_t n = std::min(size, end_ - begin_);
  std::memcpy(out, stash_.data() + begin_, n);
  begin_ += n;
  return n;
}

int SocketReader::receive(uint8_t* out, size_t least, size_t most, size_t* received) {
  *received = 0;
  while (*received < least) {
    if (deadline_) {
      if (const int error = wait_readable(fd_, *deadline_); error != 0) return error;
    }
    // MSG_WAITALL would wait for all of `most`; it helps only where exactly that much is wanted.
    const bool whole = least == most && !deadline_;
    const ssize_t n = ::recv(fd_, out + *received, most - *received, whole ? MSG_WAITALL : 0);
    if (n == 0) return kEndOfStream;
    if (n < 0 && errno != EINTR) return errno;
    if (n > 0) *received += static_cast<size_t>(n);
  }
  return 0;
}

int SocketReader::read(void* out, size_t size) {
  if (size == 0) return 0;
  auto* at = static_cast<uint8_t*>(out);
  const size_t stashed = take_stashed(at, size);
  at += stashed;
  size -= stashed;
  if (size == 0) return 0;
  size_t received = 0;
  if (size >= kStashBytes) return receive(at, size, size, &received);
  if (const int error = receive(stash_.data(), size, kStashBytes, &received); error != 0) {
    return error;
  }
  begin_ = 0;
  end_ = received;
  take_stashed(at, size);
  return 0;
}

int send_parts(int fd, std::span<iovec> parts) {
  size_t first = 0;
  while (first < parts.size()) {
    if (parts[first].iov_len == 0) {
      ++first;
      continue;
    }
    msghdr message{};
    message.msg_iov = &parts[first];
    message.msg_iovlen = parts.size() - first;
    const ssize_t n = ::sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    for (auto sent = static_cast<size_t>(n); sent > 0 && first < parts.size();) {
      const size_t step = std::min(sent, parts[first].iov_len);
      parts[first].iov_base = static_cast<uint8_t*>(parts[first].iov_base) + step;
      parts[first].iov_len -= step;
      sent -= step;
      if (parts[first].iov_len == 0) ++first;
    }
  }
  return 0;
}

void set_data_options(int fd) {
  const int on = 1;
  const timeval send_timeout{kSendTimeoutSeconds, 0};
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send_timeout, sizeof(send_timeout));
}

Result<Fd> dial_tcp(const std::string& address, std::chrono::milliseconds timeout) {
  const std::optional<sockaddr_in> peer = parse_address(address);
  if (!peer) return make_error(EINVAL, "dial tcp " + address + ": invalid address");
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return errno_error("dial tcp " + address);
  int error = 0;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*peer), sizeof(*peer)) != 0) {
    error = errno == EINPROGRESS ? finish_connect(fd.get(), timeout) : errno;
  }
  if (error != 0) return dial_error(address, error);
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) {
    return errno_error("dial tcp " + address);
  }
  set_data_options(fd.get());
  return fd;
}

Result<Fd> listen_tcp(const std::string& ip, uint16_t port) {
  const std::string address = ip + ":" + std::to_string(port);
  const std::optional<sockaddr_in> local = parse_address(address);
  if (!local) return make_error(EINVAL, "listen " + address + ": not an IPv4 address");
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno_error("listen " + address);
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*local), sizeof(*local)) != 0) {
    return errno_error("bind " + address);
  }
  if (::listen(fd.get(), kListenBacklog) != 0) return errno_error("listen " + address);
  return fd;
}

uint16_t bound_port(int fd) {
  sockaddr_in name{};
  socklen_t size = sizeof(name);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return 0;
  return ntohs(name.sin_port);
}

std::string error_text(const char* operation, int fd, int error) {
  if (error == kEndOfStream) return "EOF";
  std::string text = std::string(operation) + " tcp " + describe(::getsockname, fd) + "->" +
                     describe(::getpeername, fd) + ": ";
  const bool timeout = error == ETIMEDOUT || error == EAGAIN;
  return text + (timeout ? "" : std::string(operation) + ": ") + lower_case_reason(error);
}

}  // namespace cfs::mini

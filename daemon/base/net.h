// SPDX-License-Identifier: Apache-2.0
/// TCP helpers on a Loop.
///
/// Purpose  Owned descriptors, addresses, sockets with our options, whole sends and receives.
/// Threads  parse and resolve calls: any; the tasks: the loop's.
/// Failure  Result with the errno of the kernel; ETIMEDOUT when a deadline passed; ECONNRESET at an
///          early end of stream.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "daemon/base/loop.h"

namespace cfs {

/// A descriptor that is closed with its owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  Fd& operator=(Fd&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct Endpoint {
  sockaddr_storage addr{};
  socklen_t len = 0;
};

/// "1.2.3.4:port" or "[::1]:port"; EINVAL for names.
Result<Endpoint> parse_endpoint(const std::string& text);
/// The same for "name:port"; blocks in the resolver, so call it through Loop::offload().
Result<Endpoint> resolve_endpoint(const std::string& text);
/// All addresses of the name, in the order in which to try them.
Result<std::vector<Endpoint>> resolve_endpoints(const std::string& text);

/// Blocking, close-on-exec TCP socket: no delay, keepalive 10 s, TCP_USER_TIMEOUT as given.
Result<Fd> tcp_socket(int family, Millis user_timeout);

/// Connect before `deadline_ms` (Loop::now_ms() clock).
Task<Result<void>> connect_to(Loop& loop, int fd, Endpoint to, std::int64_t deadline_ms);

/// A connection to a peer that may be out of reach for now. A lost SYN is sent again only after 1 s, so there is a fresh dial
/// every 200 ms, and the first that is answered counts: connected, or the error of a refusal. ETIMEDOUT: none was.
Task<Result<Fd>> dial(Loop& loop, Endpoint to, Millis user_timeout, std::int64_t deadline_ms);
/// Send or receive exactly `len` bytes before `deadline_ms`.
Task<Result<void>> send_all(Loop& loop, int fd, const char* data, std::size_t len,
                            std::int64_t deadline_ms);
Task<Result<void>> recv_all(Loop& loop, int fd, char* data, std::size_t len,
                            std::int64_t deadline_ms);

}  // namespace cfs

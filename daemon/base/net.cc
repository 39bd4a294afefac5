// SPDX-License-Identifier: Apache-2.0
/// TCP helpers on a Loop; contracts in net.h.
#include "daemon/base/net.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace cfs {
namespace {

constexpr int kKeepIdleS = 10;
constexpr int kKeepIntervalS = 3;
constexpr int kKeepCount = 3;

/// At least one.
Result<std::vector<Endpoint>> look_up(const std::string& text, int flags) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) {
    return make_error(EINVAL, "address \"" + text + "\" is not host:port");
  }
  std::string host = text.substr(0, colon);
  const std::string port = text.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  // the resolver would cut a greater number to 16 bits
  if (port.size() > 5 || std::strtoul(port.c_str(), nullptr, 10) > 65535) {
    return make_error(EINVAL, "address \"" + text + "\": the port is above 65535");
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int err = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (err != 0) return make_error(EINVAL, "address \"" + text + "\": " + ::gai_strerror(err));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  std::vector<Endpoint> out;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    Endpoint& to = out.emplace_back();
    to.len = one->ai_addrlen;
    std::memcpy(&to.addr, one->ai_addr, one->ai_addrlen);
  }
  return out;
}

Result<Endpoint> first_of(const Result<std::vector<Endpoint>>& found) {
  if (!found.ok()) return found.error();
  return found->front();
}

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof(value));
}

/// Error of an operation that yielded `res` < 0.
Error net_error(int res) {
  return make_error(res == -ETIME ? ETIMEDOUT : -res, {});
}

}  // namespace

Result<Endpoint> parse_endpoint(const std::string& text) {
  return first_of(look_up(text, AI_NUMERICHOST));
}

Result<Endpoint> resolve_endpoint(const std::string& text) {
  return first_of(resolve_endpoints(text));
}

Result<std::vector<Endpoint>> resolve_endpoints(const std::string& text) {
  return look_up(text, AI_ADDRCONFIG);
}

Result<Fd> tcp_socket(int family, Millis user_timeout) {
  Fd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error("socket");
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, kKeepIdleS);
  set_option(fd.get(), IPPROTO_TCP, TCP_KEEPINTVL, kKeepIntervalS);
  set_option(fd.get(), IPPROTO_TCP, TCP_KEEPCNT, kKeepCount);
  set_option(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(user_timeout.count()));
  return fd;
}

Task<Result<void>> connect_to(Loop& loop, int fd, Endpoint to, std::int64_t deadline_ms) {
  const std::int64_t left = std::max<std::int64_t>(1, deadline_ms - Loop::now_ms());
  const int res =
      co_await loop.connect(fd, reinterpret_cast<const sockaddr*>(&to.addr), to.len, Millis(left));
  if (res < 0) co_return net_error(res);
  co_return Result<void>();
}

namespace {

constexpr std::int64_t kDialPeriodMs = 200;
constexpr std::int64_t kDialTimeoutMs = 1000;  // of each; far peers answer late

/// Shared by the caller and all dials, whichever ends last.
struct Dialing {
  Loop& loop;
  Endpoint to;
  Millis user_timeout;
  std::int64_t deadline_ms;
  Result<Fd> outcome = make_error(ETIMEDOUT, {});
  bool over = false;
  Event ended = {};

  void end(Result<Fd> with) {
    if (std::exchange(over, true)) return;
    outcome = std::move(with);
    ended.set();
  }
};

Task<Result<Fd>> dial_once(Loop& loop, Endpoint to, Millis user_timeout, std::int64_t deadline_ms) {
  Result<Fd> fd = tcp_socket(to.addr.ss_family, user_timeout);
  if (!fd.ok()) co_return fd;
  const Result<void> done = co_await connect_to(loop, fd->get(), to, deadline_ms);
  if (!done.ok()) co_return done.error();
  co_return fd;
}

Task<void> one_of_many(std::shared_ptr<Dialing> d) {
  const std::int64_t until = std::min(d->deadline_ms, Loop::now_ms() + kDialTimeoutMs);
  Result<Fd> made = co_await dial_once(d->loop, d->to, d->user_timeout, until);
  if (made.ok() || made.code() != ETIMEDOUT) d->end(std::move(made));
}

Task<void> dial_again_and_again(std::shared_ptr<Dialing> d) {
  while (!d->over) {
    d->loop.spawn(one_of_many(d));
    const std::int64_t left = d->deadline_ms - Loop::now_ms();
    const int slept =
        co_await d->loop.sleep(Millis(std::clamp<std::int64_t>(left, 1, kDialPeriodMs)));
    if (slept < 0 || Loop::now_ms() >= d->deadline_ms) d->end(make_error(ETIMEDOUT, {}));
  }
}

}  // namespace

Task<Result<Fd>> dial(Loop& loop, Endpoint to, Millis user_timeout, std::int64_t deadline_ms) {
  const std::int64_t first = std::min(deadline_ms, Loop::now_ms() + kDialPeriodMs);
  Result<Fd> made = co_await dial_once(loop, to, user_timeout, first);
  if (made.ok() || made.code() != ETIMEDOUT || first == deadline_ms) co_return made;
  auto dialing = std::make_shared<Dialing>(
      Dialing{.loop = loop, .to = to, .user_timeout = user_timeout, .deadline_ms = deadline_ms});
  loop.spawn(dial_again_and_again(dialing));
  co_await dialing->ended.wait();
  co_return std::move(dialing->outcome);
}

Task<Result<void>> send_all(Loop& loop, int fd, const char* data, std::size_t len,
                            std::int64_t deadline_ms) {
  while (len > 0) {
    const std::int64_t left = deadline_ms - Loop::now_ms();
    if (left <= 0) co_return make_error(ETIMEDOUT, {});
    // nearly always there is room in the socket, and then one system call is all
    auto n = static_cast<int>(::send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL));
    if (n < 0) n = errno == EAGAIN ? co_await loop.send(fd, data, len, Millis(left)) : -errno;
    if (n == -EINTR || n == -EAGAIN) continue;
    if (n < 0) co_return net_error(n);
    data += n;
    len -= static_cast<std::size_t>(n);
  }
  co_return Result<void>();
}

Task<Result<void>> recv_all(Loop& loop, int fd, char* data, std::size_t len,
                            std::int64_t deadline_ms) {
  while (len > 0) {
    const std::int64_t left = deadline_ms - Loop::now_ms();
    if (left <= 0) co_return make_error(ETIMEDOUT, {});
    const int n = co_await loop.recv(fd, data, len, Millis(left));
    if (n == -EINTR || n == -EAGAIN) continue;
    if (n == 0) co_return make_error(ECONNRESET, "closed by the peer");
    if (n < 0) co_return net_error(n);
    data += n;
    len -= static_cast<std::size_t>(n);
  }
  co_return Result<void>();
}

}  // namespace cfs
